//! The meters that were heard: when, by whom, how well, with what verdict, and what they said last; and their keys.
//!
//! Bounded: for one meter more than the limit the longest silent one is forgotten, of those that the key file names last.
//! For a known meter a telegram costs one look-up and no memory beyond the last readings. Nothing here reads a clock.

mod admission;
mod budget;
mod card;
mod credentials;
mod guard;
mod heard_log;
mod kept;
mod keys;
mod late;
mod memory;
mod mesh;
mod network;
mod openings;
mod orders;
mod outage_log;
mod rhythm;
mod route_log;
mod silence;
mod two_way;
mod ways;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub use admission::{Admission, Finding};
pub use budget::LinkBudget;
pub use card::medium;
pub use credentials::{Credential, CredentialError, Credentials};
pub use guard::Damaged;
pub use heard_log::{HeardLog, Sighting};
pub use kept::Kept;
pub use keys::{KeyError, KeyFault, MeterKeys, parse_key};
pub use late::{Late, Place, Whole};
pub use mesh::{Mesh, path_line, route_history};
pub use network::{Imported, Listed, METER_LIMIT as NODE_METER_LIMIT, NODES as NODE_LIMIT, Network};
pub use orders::{Action, Order, State as OrderState};
pub use outage_log::OutageLog;
pub use rhythm::Rhythm;
pub use route_log::RouteLog;
pub use two_way::{Known, News, OrderError, TwoWay};
pub use ways::Ways;

use crate::clock::Now;
use crate::reading::from_wmbus::Converted;
use crate::reading::{Link, MeterId, Reading, Received, Security, Source};

#[derive(Debug)]
pub struct Registry {
    limit: usize,
    keys: Arc<MeterKeys>,
    index: HashMap<MeterId, usize>,
    meters: Vec<Meter>,
    verdicts: [u64; Security::ALL.len()],
    telegrams: u64,
    readings: u64,
    forgotten: u64,
    repeated: u64,
}

/// What is known of one meter.
#[derive(Debug)]
pub struct Meter {
    pub id: MeterId,
    /// None: it was in a run that did not write it down.
    pub first: Option<Received>,
    pub last: Received,
    /// Frames on the air; 0 where nobody has counted them.
    pub telegrams: u64,
    /// Of the last telegram that was judged; None before.
    pub security: Option<Security>,
    /// What of the last telegram was not understood.
    reject: Option<wmbus::Reject>,
    verdicts: [u32; Security::ALL.len()],
    /// The status octet of the last telegram that had one.
    pub status: Option<u8>,
    pub hearings: Vec<Hearing>,
    /// Of the last telegram that was decoded, current values first; not all of them.
    pub readings: Vec<Reading>,
    /// The last frames, the newest first, to know them again.
    recent: [Option<Recent>; RECENT],
    pub rhythm: Rhythm,
    is_silent: bool,
    /// In the key file, by its number.
    is_named: bool,
}

/// A frame, and when it was heard first.
#[derive(Debug, Clone, Copy)]
struct Recent {
    digest: u64,
    boot_ms: u64,
}

/// How one receiver hears one meter.
#[derive(Debug, Clone)]
pub struct Hearing {
    pub receiver: Arc<str>,
    pub telegrams: u64,
    /// Of them, those that came through a repeater.
    pub repeated: u64,
    pub last: Received,
    /// Of the last one that came without a repeater.
    pub rssi_dbm: Option<i16>,
    pub budget: LinkBudget,
}

/// Whether a telegram is one that was heard already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    New,
    /// The very same frame, by another receiver or a repeater: link data only.
    Repeated,
}

/// What of a message a telegram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// One of several frames.
    Fragment,
    /// What they make together: not on the air itself.
    Message,
}

impl Registry {
    /// Remembers at most `limit` meters.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            keys: Arc::default(),
            index: HashMap::new(),
            meters: Vec::new(),
            verdicts: [0; Security::ALL.len()],
            telegrams: 0,
            readings: 0,
            forgotten: 0,
            repeated: 0,
        }
    }

    /// Meters that these keys name are not forgotten for others.
    #[must_use]
    pub fn naming(self, keys: Arc<MeterKeys>) -> Self {
        Self { keys, ..self }
    }

    /// Notes a telegram whose sender is known, whatever its verdict. What is one of several frames is counted by them.
    pub fn heard(&mut self, converted: &Converted, part: Part, now: Now) -> Novelty {
        let source = &converted.source;
        if part == Part::Message {
            return self.assembled(converted);
        }
        let received = now.received();
        if let Some(meter) = self.place(source.meter, received) {
            meter.hear(source, received);
            let window = if source.access_number.is_some() { REPEATER } else { SIMULTANEOUS };
            let is_same = |recent: &Recent| {
                let age = Duration::from_millis(received.boot_ms.saturating_sub(recent.boot_ms));
                recent.digest == converted.digest && age <= window
            };
            if meter.last.boot_id == received.boot_id && meter.recent.iter().flatten().any(is_same) {
                self.repeated += 1;
                return Novelty::Repeated;
            }
            meter.note(converted, received);
            if part == Part::Whole {
                meter.judge(converted);
            }
        }
        self.telegrams += 1;
        self.repeated += source.links.len().saturating_sub(1) as u64;
        if part == Part::Whole {
            self.judged(converted);
        }
        Novelty::New
    }

    fn judged(&mut self, converted: &Converted) {
        self.readings += u64::try_from(converted.readings.len()).unwrap_or(u64::MAX);
        count(&mut self.verdicts, converted.source.security);
    }

    /// Notes what came of the frames of a message, each of which was noted when it was heard.
    fn assembled(&mut self, converted: &Converted) -> Novelty {
        if let Some(meter) = self.index.get(&converted.source.meter).and_then(|at| self.meters.get_mut(*at)) {
            meter.judge(converted);
        }
        self.judged(converted);
        Novelty::New
    }

    /// Notes that a fragment's message did not become whole.
    pub fn given_up(&mut self, id: &MeterId) {
        count(&mut self.verdicts, Security::Unsupported);
        if let Some(meter) = self.index.get(id).and_then(|at| self.meters.get_mut(*at)) {
            // Others have been heard since.
            meter.security.get_or_insert(Security::Unsupported);
            meter.count(Security::Unsupported);
        }
    }

    /// Notes that the last telegram of a meter was heard once more.
    pub fn heard_again(&mut self, source: &Source, now: Now) {
        let received = now.received();
        if let Some(meter) = self.place(source.meter, received) {
            meter.hear(source, received);
        }
        self.repeated += 1;
    }

    /// Notes a frame of which not even the sender could be read.
    pub fn rejected(&mut self, reject: wmbus::Reject) {
        self.telegrams += 1;
        count(&mut self.verdicts, Security::from(wmbus::Verdict::from(reject)));
    }

    pub fn meter(&self, id: &MeterId) -> Option<&Meter> {
        self.index.get(id).and_then(|at| self.meters.get(*at))
    }

    pub fn len(&self) -> usize {
        self.meters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.meters.is_empty()
    }

    /// Meters forgotten because there were more than the limit.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Frames that were heard more than once.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// What is known of the meter; a new one takes the place of the longest silent one when there is no other. None: all
    /// places are taken by meters that the key file names, and it does not name this one.
    fn place(&mut self, id: MeterId, received: Received) -> Option<&mut Meter> {
        if let Some(at) = self.index.get(&id) {
            return self.meters.get_mut(*at);
        }
        let meter = Meter { is_named: self.keys.names(&id), ..Meter::new(id, received) };
        if self.meters.len() < self.limit {
            self.index.insert(id, self.meters.len());
            self.meters.push(meter);
            return self.meters.last_mut();
        }
        // Whoever invents meters pushes out others that were hardly heard, and in the clear, before those that are there.
        let worth = |meter: &Meter| {
            let is_there = meter.telegrams > HARDLY || meter.security.and_then(Security::strength) > Some(0);
            (meter.is_named, is_there, meter.last.boot_ms)
        };
        let silent = self.meters.iter_mut().enumerate().min_by_key(|(_, meter)| worth(meter));
        let (at, silent) = silent.filter(|(_, silent)| meter.is_named || !silent.is_named)?;
        self.index.remove(&silent.id);
        *silent = meter;
        self.forgotten += 1;
        self.index.insert(id, at);
        Some(silent)
    }
}

impl Meter {
    fn new(id: MeterId, received: Received) -> Self {
        Self {
            id,
            first: Some(received),
            last: received,
            telegrams: 0,
            security: None,
            reject: None,
            verdicts: [0; Security::ALL.len()],
            status: None,
            hearings: Vec::new(),
            readings: Vec::new(),
            recent: [None; RECENT],
            rhythm: Rhythm::default(),
            is_silent: false,
            is_named: false,
        }
    }

    /// Telegrams with this verdict.
    pub fn verdicts(&self, security: Security) -> u32 {
        self.verdicts.get(security as usize).copied().unwrap_or(0)
    }

    /// Telegrams by the name of their verdict.
    fn counted(&self) -> BTreeMap<String, u32> {
        let counted = Security::ALL.iter().zip(self.verdicts).filter(|(_, count)| *count > 0);
        counted.map(|(security, count)| (security.name().to_owned(), count)).collect()
    }

    fn note(&mut self, converted: &Converted, received: Received) {
        let source = &converted.source;
        self.last = received;
        // Counters of sessions are no transmissions.
        self.rhythm.hear(received.boot_ms, source.access_number.and_then(|number| u8::try_from(number).ok()));
        self.telegrams += 1;
        self.recent.rotate_right(1);
        if let Some(newest) = self.recent.first_mut() {
            *newest = Some(Recent { digest: converted.digest, boot_ms: received.boot_ms });
        }
    }

    /// Takes what a telegram says, which is all of one message.
    fn judge(&mut self, converted: &Converted) {
        let source = &converted.source;
        self.security = Some(source.security);
        self.reject = converted.reject;
        self.count(source.security);
        self.status = source.status.first().copied().or(self.status);
        if !converted.readings.is_empty() {
            let of = |is_current| move |reading: &&Reading| (reading.register.storage == 0) == is_current;
            let readings = &converted.readings;
            let current_first = readings.iter().filter(of(true)).chain(readings.iter().filter(of(false)));
            self.readings.clear();
            self.readings.extend(current_first.take(SUMMARY).cloned());
        }
    }

    fn count(&mut self, security: Security) {
        if let Some(counter) = self.verdicts.get_mut(security as usize) {
            *counter = counter.saturating_add(1);
        }
    }

    fn hear(&mut self, source: &Source, received: Received) {
        for link in &source.links {
            let is_known = |hearing: &Hearing| hearing.receiver == link.receiver;
            if self.hearings.len() < RECEIVERS && !self.hearings.iter().any(is_known) {
                self.hearings.push(Hearing::new(Arc::clone(&link.receiver), received));
            }
            if let Some(hearing) = self.hearings.iter_mut().find(|hearing| is_known(hearing)) {
                hearing.hear(link, source.hops.is_some(), received);
            }
        }
    }

    /// How the meter is heard, the best link first: by the mean signal of the last day.
    pub fn links(&self) -> Vec<&Hearing> {
        let mut links: Vec<_> = self.hearings.iter().collect();
        links.sort_by_key(|hearing| std::cmp::Reverse((hearing.mean_dbm(), hearing.telegrams)));
        links
    }
}

impl Hearing {
    fn new(receiver: Arc<str>, last: Received) -> Self {
        Self { receiver, telegrams: 0, repeated: 0, last, rssi_dbm: None, budget: LinkBudget::default() }
    }

    fn hear(&mut self, link: &Link, is_repeated: bool, received: Received) {
        self.telegrams += 1;
        self.last = received;
        if is_repeated {
            // How well the repeater is heard says nothing of the meter.
            self.repeated += 1;
        } else {
            self.rssi_dbm = link.rssi_dbm;
            self.budget.hear(received.boot_ms, link.rssi_dbm);
        }
    }

    /// On the last day on which there was one.
    pub fn mean_dbm(&self) -> Option<i8> {
        self.budget.days().filter_map(|day| day.rssi_dbm()).last().map(|[_, mean, _]| mean)
    }
}

fn count(verdicts: &mut [u64; Security::ALL.len()], security: Security) {
    if let Some(counter) = verdicts.get_mut(security as usize) {
        *counter += 1;
    }
}

/// A repeater sends within 25 seconds; the meter has counted its access number up by then.
const REPEATER: Duration = Duration::from_secs(30);
/// Frames without an access number may be the same because nothing has changed: only other receivers repeat them.
const SIMULTANEOUS: Duration = Duration::from_secs(2);
/// Frames by which a late copy is known: receivers differ by less than a meter takes to say that many.
const RECENT: usize = 4;
/// A meter that was heard more often is there.
const HARDLY: u64 = 3;
/// Last readings that are remembered.
const SUMMARY: usize = 8;
/// Receivers that are told apart for one meter.
const RECEIVERS: usize = 8;

#[cfg(test)]
mod tests;
