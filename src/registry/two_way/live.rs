//! Whether a frame was said by its meter just now, so that the meter listens: not by a second receiver, a repeater, or
//! whoever recorded it.
//!
//! Of meters without a counter only copies within a second are known. The counters that were accepted are the admission's;
//! it sees a frame after all receivers have had their time, so that the newest one is remembered here until then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wmbus::{Address, Telegram, Verdict};

use super::TwoWay;
use crate::clock::Now;
use crate::reading::Mark;
use crate::reading::from_wmbus::trace;

/// The last frames that were live, by meter.
#[derive(Debug, Default)]
pub(super) struct Live(BTreeMap<Address, Last>);

#[derive(Debug)]
struct Last {
    digest: u64,
    at: Instant,
    /// Of the newest that opened.
    newest: Option<Newest>,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    mark: Mark,
    digest: u64,
    at: Instant,
}

impl TwoWay {
    /// Whether the meter has just sent this frame, which is noted then: what is not so is not to be answered, and not to be
    /// given to [`Self::hear`]. `is_past`: a counter is not above the last that was accepted.
    pub fn is_live(&mut self, telegram: &Telegram<'_>, is_past: impl FnOnce(Mark) -> bool, now: Now) -> bool {
        let is_foreign = matches!(telegram.verdict, Verdict::WrongKey | Verdict::BadMac);
        // What comes out of a repeater comes too late.
        if is_foreign || telegram.is_repeated() {
            return false;
        }
        let is_in_cycle = self.gateway.is_in_cycle(&telegram.address);
        let (digest, mark) = trace(telegram);
        self.live.note(&telegram.address, digest, mark, is_in_cycle, is_past, now.mono)
    }
}

impl Live {
    fn note(
        &mut self,
        meter: &Address,
        digest: u64,
        mark: Option<Mark>,
        is_in_cycle: bool,
        is_past: impl FnOnce(Mark) -> bool,
        now: Instant,
    ) -> bool {
        self.0.retain(|_, last| now.saturating_duration_since(last.at) < CYCLE);
        let last = self.0.get(&meter.identity());
        if last.is_some_and(|last| last.digest == digest && now.saturating_duration_since(last.at) < COPY) {
            return false;
        }
        let known = last.and_then(|last| last.newest);
        let newest = match (mark, known) {
            (None, known) => known,
            // In a cycle a meter repeats its last frame as it was.
            (Some(mark), Some(known)) if mark == known.mark => {
                let is_recent = now.saturating_duration_since(known.at) < CYCLE;
                if !(is_in_cycle && is_recent && digest == known.digest) {
                    return false;
                }
                Some(known)
            }
            (Some(mark), known) => {
                if known.is_some_and(|known| !mark.is_after(known.mark)) || is_past(mark) {
                    return false;
                }
                Some(Newest { mark, digest, at: now })
            }
        };
        self.0.insert(meter.identity(), Last { digest, at: now, newest });
        true
    }
}

/// Receivers differ by less; a meter repeats itself after two seconds at the soonest.
const COPY: Duration = Duration::from_secs(1);
/// A meter ends its cycle after so long.
const CYCLE: Duration = Duration::from_secs(88);
