//! How what a meter is told is protected: as the meter protects its own telegrams.

use std::time::Duration;

use wmbus::gateway::{Job, Protection};
use wmbus::{Address, Key, Keys, SecurityMode, Telegram};

use super::{TwoWay, told};
use crate::clock::Now;
use crate::journal::JournalError;
use crate::registry::orders::{Action, State};

impl TwoWay {
    /// Gives the gateway the orders of a meter that is heard, with the protection that the meter itself has.
    pub(super) fn take_up(&mut self, telegram: &Telegram<'_>, is_prompt: bool, keys: &impl Keys, now: Now) {
        let meter = telegram.address.identity();
        let Some(ids) = self.unheard.get(&meter) else { return };
        let key = keys.key(&meter);
        let kind = match (telegram.security.mode, key) {
            (SecurityMode::AesCbcIv, Some(key)) if telegram.verdict == wmbus::Verdict::Ok => Kind::Mode5(key.clone()),
            (SecurityMode::AesCbcNoIv, Some(key)) if telegram.security.authenticated => Kind::Mode7(key.clone()),
            (SecurityMode::None, None) => Kind::None,
            // A meter with a key says now and then something that needs none; what it is protected with is another frame's.
            (SecurityMode::None, Some(_)) | (SecurityMode::AesCbcIv | SecurityMode::AesCbcNoIv, _) => return,
            _ => Kind::Unsupported,
        };
        let ids = ids.clone();
        self.unheard.remove(&meter);
        for id in ids {
            let Some(order) = self.orders.get(&id).cloned() else { continue };
            if order.action == Action::SetClock && !is_prompt {
                self.change(id, State::NotTimed, now);
                continue;
            }
            let protection = match &kind {
                Kind::Unsupported if order.action != Action::RequestData => {
                    self.change(id, State::Unsupported, now);
                    continue;
                }
                Kind::None | Kind::Unsupported => Protection::None,
                Kind::Mode5(key) => Protection::AesCbcIv(key.clone()),
                Kind::Mode7(key) => match self.counter(&meter) {
                    Ok(counter) => Protection::AesCbcNoIv { key: key.clone(), counter },
                    Err(error) => {
                        self.fault = Some(error);
                        self.unheard.entry(meter).or_default().push_back(id);
                        continue;
                    }
                },
            };
            let left = u64::try_from(order.expires_ms - now.utc_ms).unwrap_or(0);
            let expires = now.mono + Duration::from_millis(left);
            let is_resumed = order.state != State::Queued && order.action.valve().is_some();
            let job = Job { id, command: told(order.action, now), protection, expires, is_resumed };
            if self.gateway.request(meter, job).is_err() {
                self.unheard.entry(meter).or_default().push_back(id);
            }
        }
    }

    /// A message counter that was never used.
    fn counter(&mut self, meter: &Address) -> Result<u32, JournalError> {
        let mut name = Vec::with_capacity(8);
        meter.emit(&mut name);
        // Four thousand million commands to one meter: the last one would be repeated, and refused by the meter.
        self.counters.next(&name).map(|counter| u32::try_from(counter).unwrap_or(u32::MAX))
    }
}

/// How a meter protects itself.
enum Kind {
    None,
    Mode5(Key),
    Mode7(Key),
    Unsupported,
}
