//! Whether a frame was said by its meter just now, so that the meter listens: not by a second receiver, a repeater, or
//! whoever recorded it; and not by whoever has only what the meter was protected with before.
//!
//! Of meters without a counter only the last frame is known again. The counters that were accepted are the admission's; it
//! sees a frame after all receivers have had their time, so that the newest one is remembered here until then.
//!
//! A meter itself says a thing twice only in a cycle, where it repeats its last answer until it hears the next request or
//! SND-NKE (OMS volume 2, frequent access cycle), or while it demands access. A readings' frame is never repeated: the meter
//! that did not hear what was sent after it is in no cycle, and its next frame is a new one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wmbus::gateway::{Hearing, Proof};
use wmbus::{Address, Telegram, Verdict};

use super::TwoWay;
use crate::clock::Now;
use crate::reading::from_wmbus::{security, trace};
use crate::reading::{Group, Mark, MeterId, meter_id};
use crate::registry::{Admission, MeterKeys};

/// What is known of a meter when it is heard.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub admission: &'a Admission,
    pub group: &'a Group,
    pub keys: &'a MeterKeys,
}

/// The last frames that were live, by meter.
#[derive(Debug, Default)]
pub(super) struct Live(BTreeMap<Address, Last>);

#[derive(Debug, Default)]
struct Last {
    /// The newest that opened and has a counter.
    counted: Option<Said>,
    /// The last without.
    bare: Option<Said>,
    /// The strength that the next one must have.
    least: u8,
    /// The last of all was the meter's own repetition.
    is_repetition: bool,
}

#[derive(Debug, Clone, Copy)]
struct Said {
    mark: Option<Mark>,
    digest: u64,
    /// For the first time, and the last.
    since: Instant,
    at: Instant,
    repetitions: u32,
}

impl TwoWay {
    /// Whether the meter has just sent this frame, which is noted then: what is not so is not to be answered, and not to be
    /// given to [`Self::hear`].
    pub fn is_live(&mut self, telegram: &Telegram<'_>, known: &Known<'_>, now: Now) -> bool {
        let is_foreign = matches!(telegram.verdict, Verdict::WrongKey | Verdict::BadMac);
        // What comes out of a repeater comes too late.
        if is_foreign || telegram.is_repeated() {
            return false;
        }
        let Some(hearing) = Hearing::of(telegram, None) else { return false };
        let meter = &telegram.address;
        let id = meter_id(meter);
        let least = self.live.strength(meter).max(known.admission.least(&id, known.group));
        let strength = security(telegram).strength().unwrap_or(0);
        // What says something of the link alone has no protection. The gateway takes such an answer where it waits for it.
        if strength < least && !hearing.is_link() {
            return false;
        }
        let may_repeat = hearing.is_demand() || hearing.is_answer() && self.gateway.is_in_cycle(meter);
        let is_live = self.live.note(telegram, may_repeat, &id, known, now.mono);
        if let Some(last) = self.live.0.get_mut(&meter.identity()) {
            last.least = least.max(strength);
        }
        is_live
    }
}

impl Live {
    /// The last frame was the meter's own repetition of one before.
    pub(super) fn is_repetition(&self, meter: &Address) -> bool {
        self.0.get(&meter.identity()).is_some_and(|last| last.is_repetition)
    }

    /// How a command must be protected at the least.
    pub(super) fn least(&self, meter: &Address) -> Proof {
        match self.strength(meter) {
            0 => Proof::Nothing,
            1 => Proof::Encrypted,
            _ => Proof::Authenticated,
        }
    }

    fn strength(&self, meter: &Address) -> u8 {
        self.0.get(&meter.identity()).map_or(0, |last| last.least)
    }

    fn note(
        &mut self,
        telegram: &Telegram<'_>,
        may_repeat: bool,
        id: &MeterId,
        known: &Known<'_>,
        now: Instant,
    ) -> bool {
        let (digest, mark) = trace(telegram);
        let age = |at: Instant| now.saturating_duration_since(at);
        self.0.retain(|_, last| last.counted.iter().chain(&last.bare).any(|said| age(said.at) < CYCLE));
        let mut new = Said { mark, digest, since: now, at: now, repetitions: 0 };
        let last = self.0.get(&telegram.address.identity());
        let said = last.and_then(|last| if mark.is_some() { last.counted } else { last.bare });
        match (said, mark) {
            (Some(said), _) if (said.mark, said.digest) == (mark, digest) && age(said.since) < CYCLE => {
                let repetitions = said.repetitions + 1;
                if !may_repeat || age(said.at) < REPETITION || repetitions > REPETITIONS {
                    return false;
                }
                new = Said { at: now, repetitions, ..said };
            }
            (said, Some(mark)) => {
                let is_behind = said.and_then(|said| said.mark).is_some_and(|newest| !mark.is_after(newest));
                if is_behind || known.admission.is_past(id, mark, known.keys) {
                    return false;
                }
            }
            (_, None) => {}
        }
        let last = self.0.entry(telegram.address.identity()).or_default();
        *(if mark.is_some() { &mut last.counted } else { &mut last.bare }) = Some(new);
        last.is_repetition = new.repetitions > 0;
        true
    }
}

/// A meter in a cycle repeats itself after two seconds at the soonest, by its clock; what comes much sooner is a copy.
const REPETITION: Duration = Duration::from_millis(1_500);
/// So many repetitions of one frame are answered: whoever plays one back must not spend the airtime of all others.
const REPETITIONS: u32 = 4;
/// A meter ends its cycle after so long.
const CYCLE: Duration = Duration::from_secs(88);
