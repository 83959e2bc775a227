//! Associations that stay open between the orders of a meter, where each exchange costs airtime: the client with its keys
//! and counters, and nobody speaks. A meter ends what is idle by itself, and tells nobody: who finds that an association
//! is not open any more opens a new one, and the meter's next ones are kept half as long.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use dlms::client::Client;
use tracing::debug;

use super::{Job, Outcome, Party, Trouble};
use crate::config::electricity::Place;
use crate::reading::{MeterId, Obis};
use crate::task::electricity::{Session, SessionError};

/// The associations that are open, by their meters: of a meter one.
#[derive(Debug, Default)]
pub(in crate::task::electricity) struct Parked(Mutex<BTreeMap<[u8; 8], Entry>>);

#[derive(Debug)]
struct Entry {
    /// Whoever is spoken with by other keys is another party.
    party: Weak<Party>,
    client: Client,
    since: Instant,
    until: Instant,
}

/// How long a meter's associations stay open, as far as it has shown, and what was asked in the one that is.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Learned>);

#[derive(Debug, Default)]
struct Learned {
    /// Less than what is configured, where the meter was faster.
    limit: Option<Duration>,
    /// Found open so often since.
    found: u32,
    /// When the columns of a profile were last asked for in the association that is open.
    columns: BTreeMap<Obis, Instant>,
}

impl Parked {
    /// The association of a meter, and for how long nobody spoke in it. It is not kept here any longer.
    fn take(&self, party: &Arc<Party>, now: Instant) -> Option<(Client, Duration)> {
        let entry = self.open().remove(&party.meter.id)?;
        let is_his = std::ptr::eq(entry.party.as_ptr(), Arc::as_ptr(party));
        (is_his && now < entry.until).then(|| (entry.client, now.saturating_duration_since(entry.since)))
    }

    /// Keeps the association of a meter for so long. Where there are too many, the one goes that nobody spoke in longest.
    fn park(&self, party: &Arc<Party>, client: Client, limit: Duration, now: Instant) {
        self.sweep(now);
        let mut open = self.open();
        if open.len() >= MOST && !open.contains_key(&party.meter.id) {
            let oldest = open.iter().min_by_key(|(_, entry)| entry.since).map(|(id, _)| *id);
            oldest.into_iter().for_each(|id| drop(open.remove(&id)));
        }
        open.insert(party.meter.id, Entry { party: Arc::downgrade(party), client, since: now, until: now + limit });
    }

    /// Forgets what is too old, and the keys of who is not spoken with by them any more.
    pub(in crate::task::electricity) fn sweep(&self, now: Instant) {
        self.open().retain(|_, entry| now < entry.until && entry.party.strong_count() > 0);
    }

    /// An association with a meter is open.
    pub(in crate::task::electricity) fn has(&self, id: [u8; 8]) -> bool {
        self.open().contains_key(&id)
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<[u8; 8], Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    /// For how long an association may stay open, of at most so long.
    fn limit(&self, most: Duration) -> Duration {
        self.with(|learned| learned.limit.map_or(most, |limit| limit.min(most)))
    }

    /// After so long it was still open.
    fn found(&self) {
        self.with(|learned| {
            learned.found += 1;
            if learned.found >= OFTEN {
                // It was restarted then, and is not as impatient as it seemed; or it shows again that it is.
                (learned.limit, learned.found) = (learned.limit.map(|limit| limit.saturating_mul(2)), 0);
            }
        });
    }

    /// An association was opened: nothing was asked in it yet. The one before was not open any more after so long.
    pub(super) fn opened(&self, lost: Option<Duration>) {
        self.with(|learned| {
            learned.columns.clear();
            if let Some(idle) = lost {
                (learned.limit, learned.found) = (Some((idle / 2).max(LEAST)), 0);
            }
        });
    }

    /// The columns of a profile were asked for in the association that is open, and not long ago.
    pub(super) fn has_columns(&self, object: Obis, now: Instant) -> bool {
        self.with(|learned| learned.columns.get(&object).is_some_and(|at| now.saturating_duration_since(*at) < COLUMNS))
    }

    pub(super) fn columns_told(&self, object: Obis, now: Instant) {
        self.with(|learned| learned.columns.insert(object, now));
    }

    fn with<T>(&self, run: impl FnOnce(&mut Learned) -> T) -> T {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Job {
    /// What is wanted, in the association that stayed open. Where there is none, or the meter does not know it any more,
    /// after how long: then nothing was done, as everything begins with a question.
    pub(super) async fn go_on(&self, outcome: &mut Outcome) -> Result<Result<(), Trouble>, Option<Duration>> {
        let (client, idle) = self.parked.take(&self.meter, (self.clock)().mono).ok_or(None)?;
        let agreed = client.association();
        let port = match self.meter.open(self.priority).await {
            Ok(port) => port,
            Err(error) => return Ok(Err(error.into())),
        };
        let mut session = Session::new(client, port, self.reserve());
        let asked = self.ask(&mut session, &agreed, outcome).await;
        if session.is_answered() {
            self.meter.shown.idle.found();
            return Ok(self.end(session, asked, outcome).await);
        }
        debug!(meter = %MeterId::SystemTitle(self.meter.meter.id), ?idle, "association not open any more");
        *outcome = self.outcome();
        outcome.received = session.client().received_counter();
        Err(Some(idle))
    }

    /// Leaves the association open for the next order, where that saves airtime; else ends it.
    pub(super) async fn leave(&self, session: Session, is_well: bool) -> Result<(), SessionError> {
        let limit = self.meter.shown.idle.limit(self.meter.meter.manner.keep_open);
        if is_well && self.may_stay_open() && limit > Duration::ZERO {
            if let Some(client) = session.park() {
                self.parked.park(&self.meter, client, limit, (self.clock)().mono);
            }
            return Ok(());
        }
        let (client, _) = session.release().await?;
        self.meter.shown.is_mute.store(!client.is_release_answered(), Ordering::Relaxed);
        Ok(())
    }

    /// Through a mesh each exchange takes seconds; elsewhere the meter is better let go. Who has forgotten us and is asked
    /// without protection might answer as it answers strangers.
    pub(super) fn may_stay_open(&self) -> bool {
        let is_slow = matches!(self.meter.meter.place(&self.meter.channel), Some(Place::Plc(_)));
        is_slow && self.meter.meter.manner.security != 0
    }
}

/// Associations that are kept at once, of 2 kB each.
const MOST: usize = 1_024;
/// No meter ends what is idle sooner: one that seems to was restarted.
const LEAST: Duration = Duration::from_secs(10);
/// Found open so often, a meter's association is kept twice as long again.
const OFTEN: u32 = 8;
/// In an association that stays open the columns of a profile are asked for again after so long: somebody else may have
/// changed them.
const COLUMNS: Duration = Duration::from_secs(12 * 3600);

#[cfg(test)]
mod tests;
