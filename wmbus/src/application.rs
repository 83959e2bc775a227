//! Application layers that are no data records: errors and alarms, EN 13757-3:2018, clauses 9 and 10; clocks that are
//! set, OMS volume 2. They are about the telegram, and never a value of the meter.
//!
//! ```text
//! 6C  00 ssmmhhDDMMWW 000000      the clock is set: date and time of type I
//! 6D  TT ssmmhh 000000000000      it is moved by a time of type J
//! T  TC-field: 1 forward, 2 backward
//! ```

use std::fmt;

use bytes::Buf;

use crate::Reject;
use crate::record::{DateTime, Time};
use crate::spec::Content;

/// What a meter answers instead of data, or sends because it must; what it is told of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    Error(ApplicationError),
    /// Bits that only the meter's manufacturer explains.
    Alarm(u8),
    /// Sent to a meter, and of its clock no proof.
    Clock(ClockChange),
}

/// What a meter's clock is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockChange {
    Set(DateTime),
    Forward(Time),
    Backward(Time),
}

/// Why a meter did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationError {
    Unspecified,
    UnimplementedCi,
    BufferTooLong,
    TooManyRecords,
    PrematureEnd,
    TooManyDifes,
    TooManyVifes,
    Busy,
    TooManyReadouts,
    /// A reserved code, or one of the manufacturer's.
    Other(u8),
}

impl Notice {
    /// Reads the application octets of an error, an alarm or a clock synchronisation; None where the content is something else.
    pub fn parse(content: Content, mut octets: &[u8]) -> Option<Result<Self, Reject>> {
        match content {
            // An error without a code is the unspecified one.
            Content::ApplicationError => {
                Some(Ok(Self::Error(ApplicationError::of(octets.first().copied().unwrap_or(0)))))
            }
            Content::Alarm => Some(octets.try_get_u8().map(Self::Alarm).map_err(Reject::from)),
            Content::ClockSynchronisation => Some(ClockChange::parse(&mut octets).map(Self::Clock)),
            _ => None,
        }
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Error(error) => out.push(error.code()),
            Self::Alarm(bits) => out.push(*bits),
            Self::Clock(change) => change.emit(out),
        }
    }
}

impl ClockChange {
    /// Reads the TC-field and what it announces, with the reserved octets behind it.
    pub fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let timing = buf.try_get_u8()?;
        let mut octets = [0; 9];
        buf.try_copy_to_slice(&mut octets)?;
        let [a, b, c, d, e, f, ..] = octets;
        let time = Time::parse([a, b, c]);
        let change = match timing {
            SET => DateTime::parse_i([a, b, c, d, e, f]).map(Self::Set),
            FORWARD => time.map(Self::Forward),
            BACKWARD => time.map(Self::Backward),
            _ => return Err(Reject::Reserved("tc field")),
        };
        change.ok_or(Reject::Reserved("time of a clock synchronisation"))
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Set(time) => {
                out.push(SET);
                out.extend_from_slice(&time.emit_i());
                out.extend_from_slice(&[0; 3]);
            }
            Self::Forward(time) | Self::Backward(time) => {
                out.push(if matches!(self, Self::Forward(_)) { FORWARD } else { BACKWARD });
                out.extend_from_slice(&time.emit());
                out.extend_from_slice(&[0; 6]);
            }
        }
    }
}

impl ApplicationError {
    pub const fn of(code: u8) -> Self {
        match code {
            0 => Self::Unspecified,
            1 => Self::UnimplementedCi,
            2 => Self::BufferTooLong,
            3 => Self::TooManyRecords,
            4 => Self::PrematureEnd,
            5 => Self::TooManyDifes,
            6 => Self::TooManyVifes,
            8 => Self::Busy,
            9 => Self::TooManyReadouts,
            other => Self::Other(other),
        }
    }

    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::UnimplementedCi => 1,
            Self::BufferTooLong => 2,
            Self::TooManyRecords => 3,
            Self::PrematureEnd => 4,
            Self::TooManyDifes => 5,
            Self::TooManyVifes => 6,
            Self::Busy => 8,
            Self::TooManyReadouts => 9,
            Self::Other(code) => code,
        }
    }
}

impl fmt::Display for Notice {
    /// `application error: too busy`, `alarm 04`, `clock set to 2026-03-05T23:59:58`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "application error: {error}"),
            Self::Alarm(bits) => write!(f, "alarm {bits:02x}"),
            Self::Clock(ClockChange::Set(time)) => write!(f, "clock set to {time}"),
            Self::Clock(ClockChange::Forward(time)) => write!(f, "clock moved forward by {time}"),
            Self::Clock(ClockChange::Backward(time)) => write!(f, "clock moved backward by {time}"),
        }
    }
}

impl fmt::Display for ApplicationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::UnimplementedCi => "ci field is not implemented",
            Self::BufferTooLong => "buffer too long",
            Self::TooManyRecords => "too many records",
            Self::PrematureEnd => "premature end of record",
            Self::TooManyDifes => "more than ten dife",
            Self::TooManyVifes => "more than ten vife",
            Self::Busy => "too busy",
            Self::TooManyReadouts => "too many readouts",
            Self::Other(code) => return write!(f, "code {code:02x}"),
        })
    }
}

// The TC-field.
const SET: u8 = 0;
const FORWARD: u8 = 1;
const BACKWARD: u8 = 2;

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::{Form, NoKeys, Scratch, Telegram, Verdict};

    /// Telegrams made by us: the CI-fields of errors and alarms, with each kind of header.
    #[test]
    fn errors_and_alarms_are_told() {
        let short = [0x2a, 0, 0, 0];
        let long = hex!("78563412 2d2c 1b 16 2a 00 0000");
        for (ci_field, header, octets, expected) in [
            (0x70, &[][..], &[8][..], "application error: too busy"),
            (0x70, &[], &[], "application error: unspecified"),
            (0x6e, &short, &[1], "application error: ci field is not implemented"),
            (0x6f, &long, &[0x42], "application error: code 42"),
            (0x71, &[], &[4], "alarm 04"),
            (0x74, &short, &[0x80], "alarm 80"),
            (0x75, &long, &[1], "alarm 01"),
        ] {
            let body = [&hex!("08 2d2c 78563412 1b16")[..], &[ci_field], header, octets].concat();
            let frame = crate::link::frame(Form::Stripped, &body).unwrap();
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode_as(Form::Stripped, &frame, &NoKeys, &mut scratch).unwrap();
            assert_eq!((telegram.verdict, telegram.records().count()), (Verdict::Ok, 0));
            assert!(telegram.to_string().ends_with(expected), "{telegram}");
            let mut again = Vec::new();
            telegram.notice().unwrap().emit(&mut again);
            assert!(again == octets || octets.is_empty());
        }
    }

    #[test]
    fn a_clock_synchronisation_is_told_and_is_no_reading() {
        let header = hex!("78563412 2d2c 1b 16 2a 00 0000");
        for (ci_field, octets, expected) in [
            (0x6c, hex!("00 003217 1f1500 000000"), Some("clock set to 2008-05-31T23:50:00")),
            (0x6d, hex!("01 0a0000 000000000000"), Some("clock moved forward by 00:00:10")),
            (0x6d, hex!("02 000100 000000000000"), Some("clock moved backward by 00:01:00")),
            (0x6d, hex!("03 000100 000000000000"), None),
            (0x6c, hex!("00 003217 000000 000000"), None),
            (0x6d, hex!("01 3c0000 000000000000"), None),
        ] {
            let body = [&hex!("53 2d2c 78563412 1b16")[..], &[ci_field], &header, &octets].concat();
            let frame = crate::link::frame(Form::Stripped, &body).unwrap();
            let mut scratch = Scratch::default();
            let telegram = Telegram::decode_as(Form::Stripped, &frame, &NoKeys, &mut scratch).unwrap();
            assert!(telegram.is_to_meter() && telegram.records().count() == 0);
            assert_eq!(telegram.notice().map(|notice| notice.to_string()).as_deref(), expected);
            if let Some(notice) = telegram.notice() {
                let mut again = Vec::new();
                notice.emit(&mut again);
                // Whether the year is a leap year is in a bit that nobody needs.
                again.first_chunk_mut().map(|[_, second]: &mut [u8; 2]| *second &= 0x7f).unwrap();
                assert_eq!(again, octets);
            }
        }
        assert_eq!(ClockChange::parse(&mut &hex!("00 003217 1f15")[..]), Err(Reject::Truncated));
    }

    #[test]
    fn codes_are_what_they_were_read_from() {
        for code in 0..=u8::MAX {
            assert_eq!(ApplicationError::of(code).code(), code);
        }
        assert_eq!(Notice::parse(Content::Alarm, &[]), Some(Err(Reject::Truncated)));
        assert_eq!(Notice::parse(Content::Records, &[1]), None);
    }
}
