//! Values as they are typed on a command line: `TYPE=TEXT`, or octets of A-XDR.

use dlms::time::{ClockStatus, DateTime, DeviationSign};
use dlms::{Data, Obis};

/// A value, encoded; None where there is to be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed(pub(super) Option<Vec<u8>>);

/// What the help says of it.
pub(super) const FORMS: &str = "\
VALUE is TYPE=TEXT with a type of the standard: null-data, boolean=true, integer,
long, double-long, long64, unsigned, long-unsigned, double-long-unsigned,
long64-unsigned, enum, bcd, float32, float64 (numbers), bit-string=0101,
octet-string=HEX, visible-string=TEXT, utf8-string=TEXT, text=TEXT (octets),
obis=1-0:1.8.0*255, date-time=2026-06-25T12:30:00 with +02:00 or Z behind it or
nothing; or a-xdr=HEX: any value as it is encoded, such as a structure.";

impl Typed {
    /// Reads a value for a meter that signs its deviation so.
    pub(super) fn parse(text: &str, sign: DeviationSign) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let (kind, text) = text.split_once('=').unwrap_or((text, ""));
        let not = || format!("{text:?} is no {kind}");
        macro_rules! number {
            ($variant:ident) => {
                Data::$variant(text.parse().map_err(|_| not())?)
            };
        }
        let octets = |text: &str| hex::decode(text.replace([' ', ':'], "")).map_err(|_| not());
        let held;
        let data = match kind {
            "null-data" if text.is_empty() => Data::NullData,
            "boolean" => number!(Boolean),
            "integer" => number!(Integer),
            "long" => number!(Long),
            "double-long" => number!(DoubleLong),
            "long64" => number!(Long64),
            "unsigned" => number!(Unsigned),
            "long-unsigned" => number!(LongUnsigned),
            "double-long-unsigned" => number!(DoubleLongUnsigned),
            "long64-unsigned" => number!(Long64Unsigned),
            "enum" => number!(Enum),
            "bcd" => number!(Bcd),
            "float32" => number!(Float32),
            "float64" => number!(Float64),
            "visible-string" => Data::VisibleString(text.as_bytes()),
            "utf8-string" => Data::Utf8String(text.as_bytes()),
            "text" => Data::OctetString(text.as_bytes()),
            "octet-string" => {
                held = octets(text)?;
                Data::OctetString(&held)
            }
            "obis" => {
                held = text.parse::<Obis>().map_err(|_| not())?.0.to_vec();
                Data::OctetString(&held)
            }
            "date-time" => {
                held = date_time(text, sign).ok_or_else(not)?.octets();
                Data::OctetString(&held)
            }
            "bit-string" => return bits(text).map(|octets| Self(Some(octets))).ok_or_else(not),
            "a-xdr" => {
                held = octets(text)?;
                Data::parse_all(&held).map_err(|reject| format!("the octets are no value: {reject}"))?
            }
            _ => return Err(format!("{kind:?} is no type; --help lists them")),
        };
        Ok(Self(Some(data.octets())))
    }
}

/// A moment with its offset, or local time without.
fn date_time(text: &str, sign: DeviationSign) -> Option<DateTime> {
    let status = ClockStatus(0);
    let civil: jiff::civil::DateTime = text.trim_end_matches('Z').parse().ok()?;
    let local = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    let Ok(moment) = text.parse::<jiff::Timestamp>() else { return Some(DateTime::from_local(local, None, status)) };
    let offset = i16::try_from((local - moment.as_second()) / 60).ok()?;
    Some(DateTime::from_unix(moment.as_second(), offset, sign, status))
}

fn bits(text: &str) -> Option<Vec<u8>> {
    let count = u8::try_from(text.len()).ok().filter(|count| *count < 0x80)?;
    let mut octets = vec![0; text.len().div_ceil(8)];
    for (place, bit) in text.chars().enumerate() {
        match bit {
            '1' => *octets.get_mut(place / 8)? |= 0x80 >> (place % 8),
            '0' => {}
            _ => return None,
        }
    }
    Some([&[4, count], octets.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let found = Typed::parse(text, DeviationSign::Dlms).map(|typed| typed.0.map_or("none".into(), hex::encode));
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn values_are_typed() {
        check("none", Ok("none"));
        check("null-data", Ok("00"));
        check("boolean=true", Ok("0301"));
        check("integer=-1", Ok("0fff"));
        check("double-long-unsigned=900", Ok("0600000384"));
        check("float32=1.5", Ok("173fc00000"));
        check("octet-string=0102", Ok("09020102"));
        check("text=AB", Ok("09024142"));
        check("bit-string=101000001", Ok("0409a080"));
        check("obis=1-0:1.8.0*255", Ok("09060100010800ff"));
        check("date-time=2026-06-25T12:30:00+02:00", Ok("090c07ea0619040c1e0000ff8800"));
        check("date-time=2026-06-25T10:30:00Z", Ok("090c07ea0619040a1e0000000000"));
        check("date-time=2026-06-25T12:30:00", Ok("090c07ea0619040c1e0000800000"));
        check("a-xdr=02020f00 1100", Ok("02020f001100"));
        check("unsigned=256", Err("\"256\" is no unsigned"));
        check("int=1", Err("\"int\" is no type; --help lists them"));
        check("a-xdr=0202", Err("the octets are no value: octets missing"));
        check("octet-string=0", Err("\"0\" is no octet-string"));
    }
}
