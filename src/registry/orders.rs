//! Commands to meters as somebody gave them, and how far each is; and how both are written into their journal.

use bytes::{Buf, BufMut};
use wmbus::Address;
use wmbus::gateway::{End, Valve};

/// A command that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub id: u64,
    pub meter: Address,
    pub action: Action,
    /// Milliseconds since 1970 UTC, as the two below.
    pub given_ms: i64,
    pub expires_ms: i64,
    pub changed_ms: i64,
    pub state: State,
    /// The head-end's command that it came with.
    pub command: Option<[u8; 16]>,
}

/// What a meter is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    RequestData,
    CloseValve,
    OpenValve,
    EnableOpening,
    /// To the unit's own time, when it is sent.
    SetClock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Queued,
    /// It may be on the air at any moment, or has been.
    Sent,
    /// The meter has confirmed it; what it did is asked.
    Delivered,
    Ended(End),
    /// The meter's own protection is none that commands can be given.
    Unsupported,
    /// A time that a module would send some day is no time.
    NotTimed,
}

impl Action {
    pub const ALL: [Self; 5] =
        [Self::RequestData, Self::CloseValve, Self::OpenValve, Self::EnableOpening, Self::SetClock];

    /// The name on the command line and on the control socket.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestData => "request-data",
            Self::CloseValve => "close-valve",
            Self::OpenValve => "open-valve",
            Self::EnableOpening => "enable-opening",
            Self::SetClock => "set-clock",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    pub(super) const fn valve(self) -> Option<Valve> {
        match self {
            Self::CloseValve => Some(Valve::Closed),
            Self::OpenValve => Some(Valve::Open),
            Self::EnableOpening => Some(Valve::ManualOpening),
            Self::RequestData | Self::SetClock => None,
        }
    }
}

impl State {
    /// The name on the control socket.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Ended(End::Succeeded) => "succeeded",
            Self::Ended(End::Confirmed) => "confirmed",
            Self::Ended(End::Failed(_) | End::ValveIs(_)) | Self::Unsupported | Self::NotTimed => "failed",
            Self::Ended(End::Expired) => "expired",
            Self::Ended(End::NotAnswered) => "indeterminate",
            Self::Ended(End::Cancelled) => "cancelled",
        }
    }

    /// What the name does not say, for people.
    pub fn detail(self) -> String {
        match self {
            Self::Queued => "waits until the meter listens".into(),
            Self::Sent => "waits for the meter's answer".into(),
            Self::Delivered => "the meter has it; its state is asked".into(),
            Self::Ended(End::Confirmed) => "the meter confirmed it, and does not say what came of it".into(),
            Self::Ended(End::Failed(code)) => format!("the meter answers with application error {code}"),
            Self::Ended(End::ValveIs(valve)) => format!("the meter says that its valve is {}", valve.name()),
            Self::Ended(End::NotAnswered) => "sent, and the meter did not answer".into(),
            Self::Unsupported => "commands cannot be protected as this meter protects its telegrams".into(),
            Self::NotTimed => "the receiver sends by itself in this mode: a time would be old by then".into(),
            Self::Ended(End::Succeeded | End::Expired | End::Cancelled) => String::new(),
        }
    }

    pub const fn is_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Sent | Self::Delivered)
    }

    const fn code(self) -> [u8; 2] {
        match self {
            Self::Queued => [0, 0],
            Self::Sent => [1, 0],
            Self::Delivered => [2, 0],
            Self::Ended(End::Succeeded) => [3, 0],
            Self::Ended(End::Confirmed) => [4, 0],
            Self::Ended(End::Failed(code)) => [5, code],
            Self::Ended(End::ValveIs(valve)) => [6, valve as u8],
            Self::Ended(End::Expired) => [7, 0],
            Self::Ended(End::NotAnswered) => [8, 0],
            Self::Ended(End::Cancelled) => [9, 0],
            Self::Unsupported => [10, 0],
            Self::NotTimed => [11, 0],
        }
    }

    fn of([code, argument]: [u8; 2]) -> Option<Self> {
        Some(match code {
            0 => Self::Queued,
            1 => Self::Sent,
            2 => Self::Delivered,
            3 => Self::Ended(End::Succeeded),
            4 => Self::Ended(End::Confirmed),
            5 => Self::Ended(End::Failed(argument)),
            6 => {
                let valve = [Valve::Closed, Valve::Open, Valve::ManualOpening].get(usize::from(argument)).copied();
                Self::Ended(End::ValveIs(valve?))
            }
            7 => Self::Ended(End::Expired),
            8 => Self::Ended(End::NotAnswered),
            9 => Self::Ended(End::Cancelled),
            10 => Self::Unsupported,
            11 => Self::NotTimed,
            _ => return None,
        })
    }
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// The whole of an order, as it is now.
    Order(Order),
    /// A meter that is to be bound, or not any more.
    Bind(Address, bool),
}

impl Entry {
    pub(super) fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        match self {
            Self::Order(order) => {
                match &order.command {
                    None => out.put_u8(ORDER),
                    Some(command) => {
                        out.put_u8(COMMANDED);
                        out.put_slice(command);
                    }
                }
                out.put_u64_le(order.id);
                order.meter.emit(&mut out);
                out.put_u8(Action::ALL.iter().position(|action| *action == order.action).unwrap_or(0) as u8);
                out.put_i64_le(order.given_ms);
                out.put_i64_le(order.expires_ms);
                out.put_i64_le(order.changed_ms);
                out.put_slice(&order.state.code());
            }
            Self::Bind(meter, is_wanted) => {
                out.put_slice(&[BIND, u8::from(*is_wanted)]);
                meter.emit(&mut out);
            }
        }
        out
    }

    pub(super) fn parse(mut buf: &[u8]) -> Option<Self> {
        match buf.try_get_u8().ok()? {
            kind @ (ORDER | COMMANDED) => Some(Self::Order(Order {
                command: match kind {
                    ORDER => None,
                    _ => Some(buf.try_get_u128().ok()?.to_be_bytes()),
                },
                id: buf.try_get_u64_le().ok()?,
                meter: Address::parse(&mut buf).ok()?,
                action: *Action::ALL.get(usize::from(buf.try_get_u8().ok()?))?,
                given_ms: buf.try_get_i64_le().ok()?,
                expires_ms: buf.try_get_i64_le().ok()?,
                changed_ms: buf.try_get_i64_le().ok()?,
                state: State::of([buf.try_get_u8().ok()?, buf.try_get_u8().ok()?])?,
            })),
            BIND => {
                let is_wanted = buf.try_get_u8().ok()? != 0;
                Some(Self::Bind(Address::parse(&mut buf).ok()?, is_wanted))
            }
            _ => None,
        }
    }
}

const ORDER: u8 = 1;
const BIND: u8 = 2;
/// An order with the command that it came with.
const COMMANDED: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_read_as_it_was_written() {
        let meter = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 1, device_type: 7 };
        let states = [
            State::Queued,
            State::Sent,
            State::Delivered,
            State::Ended(End::Succeeded),
            State::Ended(End::Confirmed),
            State::Ended(End::Failed(9)),
            State::Ended(End::ValveIs(Valve::ManualOpening)),
            State::Ended(End::Expired),
            State::Ended(End::NotAnswered),
            State::Ended(End::Cancelled),
            State::Unsupported,
            State::NotTimed,
        ];
        for (id, state) in (0..).zip(states) {
            for action in Action::ALL {
                assert_eq!(Action::named(action.name()), Some(action));
                let (given_ms, expires_ms, changed_ms) = (1, -2, 3);
                for command in [None, Some([0xc0; 16])] {
                    let order = Order { id, meter, action, given_ms, expires_ms, changed_ms, state, command };
                    let entry = Entry::Order(order);
                    let octets = entry.emit();
                    assert_eq!(Entry::parse(&octets), Some(entry));
                    for end in 0..octets.len() {
                        assert_eq!(Entry::parse(&octets[..end]), None);
                    }
                }
            }
        }
        let entry = Entry::Bind(meter, true);
        assert_eq!(Entry::parse(&entry.emit()), Some(entry));
    }
}
