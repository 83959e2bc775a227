//! What a meter can be told, and what it may not be told.

use std::fmt;

use super::Protection;
use crate::application::ClockChange;
use crate::record::{DataField, DateTime, Draft, Value};
use crate::spec::Content;
use crate::{Address, Telegram};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Command {
    /// REQ-UD2.
    RequestData,
    Valve(Valve),
    /// Sets the clock to this time, which is UTC.
    SetClock(DateTime),
}

/// A valve: what it is told to be, and what it says that it is. The data of VIF FD 1F (remote control), the values as in
/// the Dutch companion standard P2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Valve {
    Closed = 0,
    Open = 1,
    /// A person at the meter may open it.
    ManualOpening = 2,
}

/// Why a command is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Gas flows only after a person has opened the valve at the meter.
    DirectGasOpening,
    /// The meter's type has no valve that is known here.
    NoValve,
    /// Whoever can send could switch it: such a meter needs a key.
    Unprotected,
    /// Too many commands wait already.
    TooMany,
}

impl Eq for Command {}

impl Command {
    /// Whether it may be sent at all.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(&self, meter: &Address, protection: &Protection) -> Result<(), Refused> {
        match self {
            Self::Valve(_) if !is_gas(meter) && !is_water(meter) => return Err(Refused::NoValve),
            Self::Valve(Valve::Open) if is_gas(meter) => return Err(Refused::DirectGasOpening),
            Self::RequestData => return Ok(()),
            Self::Valve(_) | Self::SetClock(_) => {}
        }
        if *protection == Protection::None { Err(Refused::Unprotected) } else { Ok(()) }
    }

    /// Whether the meter can be asked what came of it.
    pub(super) const fn is_read_back(&self) -> bool {
        matches!(self, Self::Valve(_))
    }

    pub(super) const fn wanted_valve(&self) -> Option<Valve> {
        match self {
            Self::Valve(valve) => Some(*valve),
            Self::RequestData | Self::SetClock(_) => None,
        }
    }

    /// CI-field with a long header, and the application data.
    pub(super) fn application(&self, out: &mut Vec<u8>) -> u8 {
        match self {
            Self::RequestData => {}
            Self::Valve(valve) => {
                Draft::new(DataField::Integer8, &VALVE, Value::Integer(*valve as i64)).emit(out);
            }
            Self::SetClock(time) => {
                ClockChange::Set(*time).emit(out);
                return CI_CLOCK;
            }
        }
        CI_COMMAND
    }
}

impl Valve {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::ManualOpening => "enabled for manual opening",
        }
    }

    const fn of(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Closed),
            1 => Some(Self::Open),
            2 => Some(Self::ManualOpening),
            _ => None,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DirectGasOpening => {
                "a gas valve is not opened from afar: enable it for manual opening, and somebody on site opens it"
            }
            Self::NoValve => "a meter of this type has no valve that is known here",
            Self::Unprotected => "the meter has no key: whoever can send could give it this command",
            Self::TooMany => "too many commands wait already",
        })
    }
}

impl std::error::Error for Refused {}

/// What a telegram says of the meter's valve.
pub fn valve_state(telegram: &Telegram<'_>) -> Option<Valve> {
    telegram.records().flatten().find_map(|record| match (record.vib.octets, record.value) {
        (octets, Value::Integer(number)) if octets == VALVE => Valve::of(number),
        (octets, Value::Binary([number])) if octets == VALVE => Valve::of((*number).into()),
        _ => None,
    })
}

/// The code of an application error. EN 13757-3:2018, 10.
pub(super) fn application_error(telegram: &Telegram<'_>) -> Option<u8> {
    let is_error = telegram.tpl.is_some_and(|tpl| tpl.content == Content::ApplicationError);
    is_error.then(|| telegram.application.first().copied().unwrap_or(0))
}

fn is_gas(meter: &Address) -> bool {
    meter.device_type == 0x03
}

fn is_water(meter: &Address) -> bool {
    matches!(meter.device_type, 0x06 | 0x07 | 0x15 | 0x16 | 0x17)
}

const VALVE: [u8; 2] = [0xfd, 0x1f];
const CI_COMMAND: u8 = 0x5b;
const CI_CLOCK: u8 = 0x6c;
