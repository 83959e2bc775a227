//! Application layers that are no data records: errors and alarms. EN 13757-3:2018, clauses 9 and 10.

use std::fmt;

use bytes::Buf;

use crate::Reject;
use crate::spec::Content;

/// What a meter answers instead of data, or sends because it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    Error(ApplicationError),
    /// Bits that only the meter's manufacturer explains.
    Alarm(u8),
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
    /// Reads the application octets of an error or alarm; None where the content is something else.
    pub fn parse(content: Content, mut octets: &[u8]) -> Option<Result<Self, Reject>> {
        match content {
            // An error without a code is the unspecified one.
            Content::ApplicationError => {
                Some(Ok(Self::Error(ApplicationError::of(octets.first().copied().unwrap_or(0)))))
            }
            Content::Alarm => Some(octets.try_get_u8().map(Self::Alarm).map_err(Reject::from)),
            _ => None,
        }
    }

    /// Appends what [`Self::parse`] reads.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Error(error) => error.code(),
            Self::Alarm(bits) => *bits,
        });
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
    /// `application error: too busy`, `alarm 04`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "application error: {error}"),
            Self::Alarm(bits) => write!(f, "alarm {bits:02x}"),
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
    fn codes_are_what_they_were_read_from() {
        for code in 0..=u8::MAX {
            assert_eq!(ApplicationError::of(code).code(), code);
        }
        assert_eq!(Notice::parse(Content::Alarm, &[]), Some(Err(Reject::Truncated)));
        assert_eq!(Notice::parse(Content::Records, &[1]), None);
    }
}
