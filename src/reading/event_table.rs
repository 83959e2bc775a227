//! What the codes in meters' event logs mean: a table that is a file, because no two head-ends and companions agree.

use std::collections::HashMap;

use super::rows::{Faulty, other_keys, rows, said};
use super::{EndDeviceEventType, MeterEvent, MeterTime, Obis, ObisPattern};
use crate::store::Lane;

/// The rows of such a file; the default is the one that comes with the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTable {
    /// The first that fits counts.
    rows: Vec<Row>,
    /// Rows by code.
    by_code: HashMap<u32, Vec<usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// Empty means any log.
    logs: Vec<ObisPattern>,
    name: String,
    event_type: Option<EndDeviceEventType>,
    lane: Lane,
}

/// What is no table of events: everything that is wrong in it, by line and key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", said(.0))]
pub struct NotEventTable(pub Faulty);

impl EventTable {
    /// Reads the text of such a file.
    ///
    /// # Errors
    /// Everything that is wrong, by row.
    pub fn read(text: &str) -> Result<Self, NotEventTable> {
        let (table, mut faults) = Self::rows(text)?;
        faults.extend(other_keys(text, KEY));
        if faults.is_empty() { Ok(table) } else { Err(NotEventTable(faults)) }
    }

    /// Reads the rows of a file that has other things, too.
    ///
    /// # Errors
    /// Everything that is wrong in them.
    pub fn within(text: &str) -> Result<Self, NotEventTable> {
        let (table, faults) = Self::rows(text)?;
        if faults.is_empty() { Ok(table) } else { Err(NotEventTable(faults)) }
    }

    /// A table without rows.
    pub fn none() -> Self {
        Self { rows: Vec::new(), by_code: HashMap::new() }
    }

    /// The rows of this one, and where none of them fits those of another.
    pub fn before(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.rows.extend(other.rows.iter().cloned());
        for (code, places) in &other.by_code {
            all.by_code.entry(*code).or_default().extend(places.iter().map(|place| place + self.rows.len()));
        }
        all
    }

    fn rows(text: &str) -> Result<(Self, Faulty), NotEventTable> {
        let (rows, mut faults) = rows(text, KEY).map_err(NotEventTable)?;
        let mut found = Self::none();
        for row in &rows {
            let mut new = Row { logs: Vec::new(), name: String::new(), event_type: None, lane: Lane::Information };
            let mut codes = Vec::new();
            for (key, value) in &row.table {
                let list = || value.as_array().map(Vec::as_slice);
                let refused = match key.as_str() {
                    "logs" => list()
                        .and_then(|logs| logs.iter().map(|log| ObisPattern::parse(log.as_str()?)).collect())
                        .map(|logs| new.logs = logs)
                        .is_none()
                        .then_some("not a list of logical names such as \"0-0:99.98.0*255\""),
                    "codes" => list()
                        .and_then(|all| all.iter().map(|code| u32::try_from(code.as_integer()?).ok()).collect())
                        .map(|all| codes = all)
                        .is_none()
                        .then_some("not a list of numbers"),
                    "name" => value
                        .as_str()
                        .filter(|name| name.len() <= NAME && !name.chars().any(char::is_control))
                        .map(|name| new.name = name.to_owned())
                        .is_none()
                        .then_some("not a text of 64 octets at most"),
                    "type" => value
                        .as_str()
                        .and_then(|text| text.parse().ok())
                        .map(|event_type| new.event_type = Some(event_type))
                        .is_none()
                        .then_some("not an end device event type such as \"3.26.0.47\""),
                    "lane" => value
                        .as_str()
                        .and_then(|text| LANES.into_iter().find(|lane| lane.name() == text))
                        .map(|lane| new.lane = lane)
                        .is_none()
                        .then_some("not one of \"p0\", \"p1\", \"p2\", \"p3\""),
                    _ => Some("unknown key: logs, codes, name, type and lane are known"),
                };
                faults.extend(refused.map(|text| row.wrong(key, text)));
            }
            if codes.is_empty() && !row.table.contains_key("codes") {
                faults.push(row.wrong("codes", "is missing"));
            }
            let place = found.rows.len();
            codes.iter().for_each(|code| found.by_code.entry(*code).or_default().push(place));
            found.rows.push(new);
        }
        Ok((found, faults))
    }

    /// Whether a row names this log.
    pub fn has(&self, log: Obis, code: u32) -> bool {
        let rows = self.by_code.get(&code).into_iter().flatten().filter_map(|place| self.rows.get(*place));
        rows.into_iter().any(|row| !row.logs.is_empty() && row.is_for(log))
    }

    /// An entry of a log, and its lane. A code that is not in the table is told as it is.
    pub fn event(&self, log: Obis, code: u32, is_pushed: bool, time: Option<MeterTime>) -> (Lane, MeterEvent) {
        let rows = self.by_code.get(&code).into_iter().flatten().filter_map(|place| self.rows.get(*place));
        let row = rows.into_iter().find(|row| row.is_for(log));
        let (lane, event_type, name) =
            row.map_or((Lane::Information, None, String::new()), |row| (row.lane, row.event_type, row.name.clone()));
        (lane, MeterEvent { log, code, event_type, name, is_pushed, time })
    }
}

impl Default for EventTable {
    fn default() -> Self {
        Self::read(include_str!("events.toml")).expect("a test reads the file that comes with the program")
    }
}

impl Row {
    fn is_for(&self, log: Obis) -> bool {
        self.logs.is_empty() || self.logs.iter().any(|pattern| pattern.fits(log))
    }
}

const KEY: &str = "event";
const LANES: [Lane; 4] = [Lane::Outage, Lane::Security, Lane::PowerQuality, Lane::Information];
/// Octets.
const NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: Obis = Obis([0, 0, 99, 98, 0, 255]);

    #[test]
    fn the_file_that_comes_with_the_program_says_what_meters_have_in_common() {
        let table = EventTable::default();
        let said = |code| {
            let (lane, event) = table.event(STANDARD, code, false, None);
            (lane, event.event_type.map(|it| it.to_string()).unwrap_or_default(), event.name)
        };
        assert_eq!(said(1), (Lane::Outage, "3.26.0.47".to_owned(), "power down".to_owned()));
        assert_eq!(said(40), (Lane::Security, "3.12.29.39".to_owned(), "terminal cover removed".to_owned()));
        assert_eq!(said(77), (Lane::PowerQuality, "3.26.38.150".to_owned(), "under voltage".to_owned()));
        assert_eq!(said(114).1, "3.36.114.24");
        // Where public sources contradict each other.
        assert_eq!(said(48), (Lane::Information, String::new(), String::new()));
    }

    #[test]
    fn a_row_may_be_for_some_logs_only() {
        let text = "[[event]]\nlogs = [\"0-*:24.5.0*255\"]\ncodes = [1]\nname = \"valve\"\nlane = \"p0\"\n\
                    [[event]]\ncodes = [1, 2]\nname = \"other\"\n";
        let table = EventTable::read(text).unwrap();
        let name = |log, code| table.event(Obis(log), code, true, None).1.name;
        assert_eq!(name([0, 3, 24, 5, 0, 255], 1), "valve");
        assert_eq!(name([0, 3, 24, 5, 0, 255], 2), "other");
        assert_eq!(name([0, 0, 99, 98, 1, 255], 1), "other");
        assert_eq!(name([0, 0, 99, 98, 1, 255], 3), "");
    }

    #[test]
    fn every_fault_is_told() {
        let text = "colour = 1\n[[event]]\nname = 7\n[[event]]\ncodes = [-1]\ntype = \"3.26\"\nlane = \"p7\"\nhue = 1\n\
                    logs = [\"1.8.0\"]\n";
        let NotEventTable(faults) = EventTable::read(text).unwrap_err();
        assert_eq!(faults.len(), 8, "{faults:?}");
        assert!(EventTable::read("[[event]").is_err());
        assert!(EventTable::read("event = 7").is_err());
        assert!(
            "3.26.0.+4".parse::<EndDeviceEventType>().is_err() && "1.2.3.4.5".parse::<EndDeviceEventType>().is_err()
        );
    }
}
