//! Which IEC 61968-9 ReadingType a value has: a table that is a file, because no two head-ends agree.
//!
//! The type says what a head-end's own interface calls the quantity. It changes nothing about the value.

use std::sync::Arc;

use super::rows::{Faulty, Row, other_keys, rows, said};
use super::{Interval, Obis, ObisPattern, Origin, Register, Unit};

/// The rows of such a file; the default is the one that comes with the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingTypes {
    /// The first that fits counts.
    rows: Vec<Typed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Typed {
    obis: Vec<ObisPattern>,
    /// Several codes have one spelling.
    units: Vec<Unit>,
    /// In seconds; None is any, and none.
    interval_s: Option<u32>,
    /// None is any.
    origin: Option<Origin>,
    reading_type: Arc<str>,
}

/// What is no table of reading types: everything that is wrong in it, by line and key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", said(.0))]
pub struct NotReadingTypes(pub Faulty);

impl ReadingTypes {
    /// Reads the text of such a file.
    ///
    /// # Errors
    /// Everything that is wrong, by row.
    pub fn read(text: &str) -> Result<Self, NotReadingTypes> {
        let (found, mut faults) = rows(text, KEY).map_err(NotReadingTypes)?;
        faults.extend(other_keys(text, KEY));
        let rows = found.iter().map(|row| typed(row, &mut faults)).collect();
        if faults.is_empty() { Ok(Self { rows }) } else { Err(NotReadingTypes(faults)) }
    }

    /// A table without rows.
    pub const fn none() -> Self {
        Self { rows: Vec::new() }
    }

    /// The type of a register's value; None where no row fits.
    pub fn of(&self, register: &Register, interval: Option<Interval>, origin: Origin) -> Option<&Arc<str>> {
        let obis = register.obis?;
        let is_for = |row: &&Typed| row.is_for(obis, register.unit, interval.map(|it| it.length_s), origin);
        self.rows.iter().find(is_for).map(|row| &row.reading_type)
    }
}

impl Default for ReadingTypes {
    fn default() -> Self {
        Self::read(include_str!("reading_types.toml")).expect("a test reads the file that comes with the program")
    }
}

impl Typed {
    fn is_for(&self, obis: Obis, unit: Unit, interval_s: Option<u32>, origin: Origin) -> bool {
        self.units.contains(&unit)
            && (self.interval_s.is_none() || self.interval_s == interval_s)
            && self.origin.is_none_or(|own| own == origin)
            && self.obis.iter().any(|pattern| pattern.fits(obis))
    }
}

fn typed(row: &Row, faults: &mut Faulty) -> Typed {
    let mut new =
        Typed { obis: Vec::new(), units: Vec::new(), interval_s: None, origin: None, reading_type: "".into() };
    for (key, value) in &row.table {
        let refused = match key.as_str() {
            "obis" => value
                .as_array()
                .and_then(|all| all.iter().map(|code| ObisPattern::parse(code.as_str()?)).collect())
                .map(|obis| new.obis = obis)
                .is_none()
                .then_some("not a list of OBIS codes such as \"1-*:1.8.0*255\", with * for any group"),
            "unit" => value
                .as_str()
                .map(|unit| new.units = units(unit))
                .filter(|()| !new.units.is_empty())
                .is_none()
                .then_some("not a unit as readings have it, such as \"Wh\", \"var\", \"m3\", \"Cel\""),
            "interval" => value
                .as_integer()
                .and_then(|seconds| u32::try_from(seconds).ok())
                .map(|seconds| new.interval_s = Some(seconds))
                .is_none()
                .then_some("not a number of seconds such as 900"),
            "origin" => Origin::NAMES
                .into_iter()
                .find(|(name, _)| value.as_str() == Some(name))
                .map(|(_, origin)| new.origin = Some(origin))
                .is_none()
                .then_some("not one of \"profile\", \"spontaneous\", \"on-demand\", \"snapshot\", \"billing\""),
            "name" => value.as_str().is_none().then_some("not a text"),
            "type" => value
                .as_str()
                .filter(|text| is_reading_type(text))
                .map(|text| new.reading_type = text.into())
                .is_none()
                .then_some("not a reading type: 18 numbers such as \"0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0\""),
            _ => Some("unknown key: obis, unit, interval, origin, name and type are known"),
        };
        faults.extend(refused.map(|text| row.wrong(key, text)));
    }
    let missing = ["obis", "unit", "type"].into_iter().filter(|key| !row.table.contains_key(*key));
    faults.extend(missing.map(|key| row.wrong(key, "is missing")));
    new
}

/// Codes of the unit that is spelled so.
fn units(spelling: &str) -> Vec<Unit> {
    (1..=u8::MAX).map(Unit).filter(|unit| unit.to_string() == spelling).collect()
}

/// IEC 61968-9, annex C: 18 numbers; the multiplier, a power of ten, may be negative.
fn is_reading_type(text: &str) -> bool {
    let is_number = |(place, part): (usize, &str)| {
        let digits = part.strip_prefix('-').filter(|_| place == MULTIPLIER).unwrap_or(part);
        (1..=5).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit())
    };
    text.split('.').count() == FIELDS && text.split('.').enumerate().all(is_number)
}

const KEY: &str = "reading";
const FIELDS: usize = 18;
/// Counted from 0.
const MULTIPLIER: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Function;

    #[track_caller]
    fn check(types: &ReadingTypes, (obis, unit, length_s): (&str, Unit, Option<u32>), expected: Option<&str>) {
        let register = Register {
            obis: obis.parse().ok(),
            quantity: "any".into(),
            unit,
            function: Function::Instantaneous,
            storage: 0,
            tariff: 0,
            subunit: 0,
            modifier: "".into(),
        };
        let interval = length_s.map(|length_s| Interval { end_utc: 0, length_s });
        let found = types.of(&register, interval, Origin::Profile);
        assert_eq!(found.map(|it| &**it), expected, "{obis} {unit} {length_s:?}");
    }

    #[test]
    fn the_file_that_comes_with_the_program_knows_what_meters_have_in_common() {
        let types = ReadingTypes::default();
        for (given, expected) in [
            (("1-0:1.8.0", Unit::WATT_HOUR, None), "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0"),
            (("1-0:2.8.0", Unit::WATT_HOUR, None), "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.0.72.0"),
            (("1-0:1.8.0", Unit::WATT_HOUR, Some(900)), "0.0.2.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0"),
            (("1-0:1.8.2", Unit::WATT_HOUR, None), "0.0.0.9.1.1.12.0.0.0.0.2.0.0.0.0.72.0"),
            (("1-1:1.29.0", Unit::WATT_HOUR, Some(900)), "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"),
            (("1-1:1.29.0", Unit::WATT_HOUR, Some(600)), "0.0.0.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"),
            (("1-0:3.29.0", Unit::VAR_HOUR, None), "0.0.0.4.2.1.12.0.0.0.0.0.0.0.0.0.73.0"),
            (("8-0:1.0.0", Unit::CUBIC_METRE, Some(0)), "0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.42.0"),
            (("7-0:3.2.0", Unit::CUBIC_METRE_CORRECTED, None), "0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.167.0"),
            (("1-0:32.7.0", Unit::VOLT, None), "0.0.0.12.0.1.54.0.0.0.0.0.0.0.128.0.29.0"),
        ] {
            check(&types, given, Some(expected));
        }
        // Another unit, a maximum, no code at all: nothing is guessed.
        check(&types, ("1-0:1.8.0", Unit::JOULE, None), None);
        check(&types, ("1-0:1.6.0", Unit::WATT, None), None);
        check(&types, ("", Unit::WATT_HOUR, None), None);
        check(&ReadingTypes::none(), ("1-0:1.8.0", Unit::WATT_HOUR, None), None);
    }

    #[test]
    fn the_first_row_that_fits_counts() {
        let row = |more: &str, last: u8| {
            format!("[[reading]]\nobis = [\"1-*:1.8.*\"]\nunit = \"Wh\"\n{more}type = \"{}{last}\"\n", "0.".repeat(17))
        };
        let text = row("origin = \"billing\"\n", 1) + &row("interval = 3600\n", 2) + &row("origin = \"profile\"\n", 3);
        let types = ReadingTypes::read(&text).unwrap();
        let expected = |last: u8| format!("{}{last}", "0.".repeat(17));
        check(&types, ("1-0:1.8.4", Unit::WATT_HOUR, Some(3600)), Some(&expected(2)));
        check(&types, ("1-0:1.8.4", Unit::WATT_HOUR, Some(900)), Some(&expected(3)));
        check(&types, ("1-0:2.8.4", Unit::WATT_HOUR, Some(900)), None);
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let check = |text: &str, expected: &[&str]| {
            let said = ReadingTypes::read(text).unwrap_err().to_string();
            let places: Vec<_> =
                said.split("; ").map(|fault| fault.splitn(3, ": ").take(2).collect::<Vec<_>>()).collect();
            let places: Vec<_> = places.iter().map(|place| place.join(": ")).collect();
            assert_eq!(places, expected, "{said}");
        };
        check("[[reading]", &["line 1: reading"]);
        check("reading = 7", &["line 1: reading"]);
        check("reading = [7]", &["line 1: reading[0]"]);
        check("[[event]]\n", &["line 1: event"]);
        check("\n[[reading]]\n", &["line 2: reading[0].obis", "line 2: reading[0].unit", "line 2: reading[0].type"]);
        let row = |more: &str| {
            format!("[[reading]]\nobis = [\"1-0:1.8.0\"]\nunit = \"Wh\"\ntype = \"{}0\"\n{more}", "0.".repeat(17))
        };
        assert!(ReadingTypes::read(&row("name = \"energy\"\n")).is_ok());
        for more in ["origin = \"meter\"\n", "interval = -1\n", "name = 7\n", "hue = 1\n"] {
            let key = more.split_once(' ').unwrap().0;
            check(&(row("") + &row(more)), &[&format!("line 5: reading[1].{key}")]);
        }
        check(&row("").replace("1-0:1.8.0", "1.8.0"), &["line 1: reading[0].obis"]);
        check(&row("").replace("Wh", "kWh"), &["line 1: reading[0].unit"]);
    }

    #[test]
    fn a_type_has_eighteen_numbers() {
        for (text, expected) in [
            ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", true),
            ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.-3.72.0", true),
            ("0.0.-2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", false),
            ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72", false),
            ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0.0", false),
            ("0.0.2.4.1.1.12.0.0.0.0.0.0.0..3.72.0", false),
            ("0.0.2.4.1.1.12.0.0.0.0.t.0.0.0.3.72.0", false),
            ("", false),
        ] {
            assert_eq!(is_reading_type(text), expected, "{text}");
        }
    }
}
