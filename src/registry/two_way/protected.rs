//! How what a meter is told is protected: as the meter protects its own telegrams, never less than it has shown before or
//! its group demands.

use std::time::Duration;

use wmbus::gateway::{Job, Protection};
use wmbus::{Address, Key, Keys, SecurityMode, Telegram, Verdict};

use super::{TwoWay, told};
use crate::clock::Now;
use crate::journal::{Counters, JournalError};
use crate::registry::orders::{Action, State};

impl TwoWay {
    /// Gives the gateway the orders of a meter that is heard, with the protection that the meter itself has.
    pub(super) fn take_up(&mut self, telegram: &Telegram<'_>, is_prompt: bool, keys: &impl Keys, now: Now) {
        let meter = telegram.address.identity();
        let Some(ids) = self.unheard.get(&meter) else { return };
        let Some(kind) = kind(telegram, keys) else { return };
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
                kind => match protection(kind, &meter, &mut self.counters) {
                    Ok(protection) => protection,
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

    /// What was taken up before the meter showed more than that is protected anew, as it does now. False: a command is
    /// protected less than the meter has shown or its group demands, and must not leave.
    pub(super) fn raise(&mut self, telegram: &Telegram<'_>, keys: &impl Keys) -> bool {
        let meter = telegram.address.identity();
        let Self { gateway, counters, fault, live, .. } = self;
        let kind = kind(telegram, keys);
        gateway.raise(&meter, live.least(&meter), || {
            let better = protection(kind.as_ref()?, &meter, counters);
            better.map_err(|error| *fault = Some(error)).ok()
        })
    }
}

/// How a meter protects itself.
enum Kind {
    None,
    Mode5(Key),
    Mode7(Key),
    Unsupported,
}

/// None where that is another frame's to say.
fn kind(telegram: &Telegram<'_>, keys: &impl Keys) -> Option<Kind> {
    let is_authenticated = telegram.security.authenticated;
    match (telegram.security.mode, keys.key(&telegram.address.identity())) {
        // With a MAC, which commands in mode 5 do not have here.
        (SecurityMode::AesCbcIv, Some(_)) if is_authenticated => Some(Kind::Unsupported),
        (SecurityMode::AesCbcIv, Some(key)) if telegram.verdict == Verdict::Ok => Some(Kind::Mode5(key.clone())),
        (SecurityMode::AesCbcNoIv, Some(key)) if is_authenticated => Some(Kind::Mode7(key.clone())),
        (SecurityMode::None, None) => Some(Kind::None),
        // A meter with a key says now and then something that needs none.
        (SecurityMode::None, Some(_)) | (SecurityMode::AesCbcIv | SecurityMode::AesCbcNoIv, _) => None,
        _ => Some(Kind::Unsupported),
    }
}

fn protection(kind: &Kind, meter: &Address, counters: &mut Counters) -> Result<Protection, JournalError> {
    Ok(match kind {
        Kind::None | Kind::Unsupported => Protection::None,
        Kind::Mode5(key) => Protection::AesCbcIv(key.clone()),
        Kind::Mode7(key) => Protection::AesCbcNoIv { key: key.clone(), counter: unused(meter, counters)? },
    })
}

/// A message counter that was never used.
fn unused(meter: &Address, counters: &mut Counters) -> Result<u32, JournalError> {
    let mut name = Vec::with_capacity(8);
    meter.emit(&mut name);
    // Four thousand million commands to one meter: the last one would be repeated, and refused by the meter.
    counters.next(&name).map(|counter| u32::try_from(counter).unwrap_or(u32::MAX))
}
