//! What tells a telegram from its copies, and what must rise from one to the next.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;
use wmbus::{SecurityMode, Telegram};

use super::security;
use crate::reading::Mark;

/// The digest and, of a telegram that opened, the mark: as [`super::convert`] has them.
pub fn trace(telegram: &Telegram<'_>) -> (u64, Option<Mark>) {
    (digest(telegram), mark(telegram).filter(|_| security(telegram).strength().is_some()))
}

/// Of one algorithm for ever: the last one of a meter is kept with its counter.
pub(super) fn digest(telegram: &Telegram<'_>) -> u64 {
    let mut hasher = SipHasher13::new();
    let octets = telegram.octets();
    // Bit 15 of the manufacturer is no part of what is said, wherever it was lost on the way.
    let octets = match (telegram.link, octets) {
        (wmbus::Link::Wireless { .. }, [c_field, low, high, rest @ ..]) => {
            [*c_field, *low, *high & 0x7f].hash(&mut hasher);
            rest
        }
        _ => octets,
    };
    let before = telegram.octets().len() - octets.len();
    let marked = marked(telegram).and_then(|(at, marks)| {
        let at = at.checked_sub(before)?;
        Some((octets.get(..at)?, octets.get(at)? & !marks, octets.get(at + 1..)?))
    });
    match marked {
        Some(parts) => parts.hash(&mut hasher),
        None => octets.hash(&mut hasher),
    }
    hasher.finish()
}

/// The octet in which a repeater marks its copy, and its marks (hop count, repeated access): in the communication control
/// field of an extended link layer, without one in the configuration field of modes 0 and 5.
fn marked(telegram: &Telegram<'_>) -> Option<(usize, u8)> {
    match (telegram.ell, telegram.afl, telegram.tpl?) {
        (Some(ell), ..) if ell.extended_control.is_none() => Some((COMMUNICATION_CONTROL, 0x12)),
        (None, None, tpl) if matches!(tpl.header?.configuration.mode(), 0 | 5) => {
            Some((if tpl.address.is_some() { CONFIGURATION_LONG } else { CONFIGURATION_SHORT }, 0x03))
        }
        _ => None,
    }
}

pub(super) fn mark(telegram: &Telegram<'_>) -> Option<Mark> {
    let counter = telegram.security.counter?;
    let access_number = match telegram.security.mode {
        SecurityMode::EllAesCtr => telegram.ell.map(|ell| ell.access_number),
        _ => None,
    };
    Some(Mark { counter, access_number })
}

/// After C, M (2), A (6) and CI.
const COMMUNICATION_CONTROL: usize = 10;
/// Behind those, access number and status; a long header has an address (8) before them.
const CONFIGURATION_SHORT: usize = 12;
const CONFIGURATION_LONG: usize = 20;
