//! Companion profiles: files that say which objects meters of a kind have, what is read of them when, how their clocks
//! are to be understood, and what the codes in their logs mean. Five come with the program; a user may have others.
//!
//! The shape is that of `[electricity]` where it says the same: keys of a meter, `[[task]]`, and `[[event]]` as in the
//! table of events; and beside them `title`, `sources` and `[[object]]`.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use dlms::time::DeviationSign;
use jiff::tz::TimeZone;

use super::electricity::{self, Manner, ProfileStatus, Task};
use super::fault::{Fault, Faults, Gravity, Problem};
use super::raw::Table;
use super::values::{file_from, one_of, text_of};
use crate::reading::{EventTable, Obis, ObisPattern};

/// What meters of one kind have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Companion {
    /// `idis`, or the name of the file without its ending: what its tasks' ids begin with.
    pub name: String,
    /// For people.
    pub title: String,
    rules: Rules,
    objects: Vec<Object>,
    /// As the file says them, in UTC where it says no zone.
    pub tasks: Vec<Task>,
    pub events: EventTable,
    /// The program's own table says what the file does not.
    pub has_common_events: bool,
    text: String,
}

/// Keys of a meter that the file says: None leaves what was said before.
#[derive(Debug, Clone, Default, PartialEq)]
struct Rules {
    deviation: Option<DeviationSign>,
    profile_status: Option<ProfileStatus>,
    counter: Option<Obis>,
    client: Option<u16>,
}

/// `[[object]]`
#[derive(Debug, Clone, PartialEq)]
struct Object {
    name: ObisPattern,
    class: Option<u16>,
    means: String,
}

impl Companion {
    /// The files that come with the program: name and text.
    pub const SHIPPED: [(&str, &str); 5] = [
        ("dsmr", include_str!("companion/dsmr.toml")),
        ("idis", include_str!("companion/idis.toml")),
        ("india", include_str!("companion/india.toml")),
        ("italy", include_str!("companion/italy.toml")),
        ("spain", include_str!("companion/spain.toml")),
    ];

    /// One that comes with the program, by its name, or a file that ends in `.toml`, from `base`.
    ///
    /// # Errors
    /// Says which there are, or what is wrong in the file: with its line, and what to do.
    pub fn named(text: &str, base: &Path) -> Result<Arc<Self>, String> {
        if let Some((name, shipped)) = Self::SHIPPED.iter().find(|(name, _)| *name == text) {
            return Ok(Arc::new(Self::read(name, shipped).expect("a test reads the files that come with the program")));
        }
        let Some(name) = Path::new(text).file_stem().and_then(|stem| stem.to_str()).filter(|_| text.ends_with(".toml"))
        else {
            let known: Vec<&str> = Self::SHIPPED.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{text:?} is no companion profile: {}, or a file such as \"own.toml\"",
                known.join(", ")
            ));
        };
        let path = file_from(base)(text).map_err(|problem| problem.text)?;
        let read = text_of(&path, LIMIT).map_err(|error| format!("{text:?}: {error}"))?;
        let told = |faults: Vec<Fault>| {
            let faults: Vec<String> = faults.iter().map(|fault| fault.of(Path::new(text))).collect();
            format!("{}: mend it; `dcu config companion idis` prints one that is good", faults.join("; "))
        };
        super::words::topic_level(name).map_err(|problem| format!("the name of the file {}", problem.text))?;
        Self::read(name, &read).map(Arc::new).map_err(told)
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// Everything that is wrong, by line and key.
    pub fn read(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let faults = RefCell::new(Faults::default());
        let mut root = Table::root(text, &faults);
        let sound = |text: &str| match text.chars().any(char::is_control) {
            false if (1..=MEANING).contains(&text.len()) => Ok(text.to_owned()),
            _ => Err(Problem::wrong(format!("is not a text of 1 to {MEANING} octets"))),
        };
        let title = root.required("title", sound).unwrap_or_default();
        if root.texts("sources").is_empty() {
            root.blame("sources", Problem::wrong("names nobody who says so"));
        }
        let rules = Rules {
            deviation: root.optional("deviation", one_of(electricity::DEVIATIONS)),
            profile_status: root.optional("profile_status", one_of(electricity::STATUSES)),
            counter: root.optional("counter", electricity::obis),
            client: root.integer("client", 1..65_536).map(|client| client as u16),
        };
        let object = |mut table: Table<'_>| {
            let name = table.required("name", |text| {
                let refuse = || Problem::wrong(format!("{text:?} is not a logical name such as \"1-0:99.1.0*255\""));
                ObisPattern::parse(text).ok_or_else(refuse)
            });
            let class = table.integer("class", 1..65_536).map(|class| class as u16);
            let means = table.required("means", sound);
            table.finish();
            Some(Object { name: name?, class, means: means? })
        };
        let objects = root.tables("object").into_iter().filter_map(object).collect();
        let tasks = electricity::companion_tasks(root.tables("task"), None);
        let has_common_events = root.flag("common_events", true);
        // They have a reader of their own.
        root.ignore("event");
        root.finish();
        let mut found = faults.into_inner().finish(text);
        let events = EventTable::within(text).unwrap_or_else(|error| {
            found.extend(error.0.into_iter().map(|(line, key, text)| Fault {
                gravity: Gravity::Wrong,
                line: Some(line),
                key,
                text,
            }));
            EventTable::none()
        });
        found.sort_by_key(|fault| fault.line);
        // Of what is not TOML nothing else can be said.
        if let Some(not_toml) = found.iter().find(|fault| fault.key.is_empty()) {
            return Err(vec![not_toml.clone()]);
        }
        let text = text.to_owned();
        let companion = Self { name: name.to_owned(), title, rules, objects, tasks, events, has_common_events, text };
        if found.is_empty() { Ok(companion) } else { Err(found) }
    }

    /// What the file says of a meter, and otherwise what was said before.
    pub(super) fn over(&self, before: Manner) -> Manner {
        let Rules { deviation, profile_status, counter, client } = self.rules;
        Manner {
            deviation: deviation.unwrap_or(before.deviation),
            profile_status: profile_status.unwrap_or(before.profile_status),
            counter: counter.or(before.counter),
            client: client.unwrap_or(before.client),
            ..before
        }
    }

    pub fn deviation(&self) -> Option<DeviationSign> {
        self.rules.deviation
    }

    /// Where the meter tells its invocation counter.
    pub fn counter(&self) -> Option<Obis> {
        self.rules.counter
    }

    /// Its tasks under the ids that they have in a unit; days and months end in this zone where the file says none.
    pub(super) fn tasks_in(&self, zone: Option<&TimeZone>) -> Vec<Task> {
        let faults = RefCell::new(Faults::default());
        electricity::companion_tasks(Table::root(&self.text, &faults).tables("task"), zone)
    }

    /// What an object means; None where the file does not know it.
    pub fn meaning(&self, class: Option<u16>, name: Obis) -> Option<&str> {
        let is_it = |object: &&Object| {
            object.name.fits(name) && (object.class.is_none() || class.is_none() || object.class == class)
        };
        self.objects.iter().find(is_it).map(|object| object.means.as_str())
    }
}

/// Octets of such a file.
const LIMIT: u64 = 1 << 20;
/// Octets of what an object means.
const MEANING: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_come_with_the_program_are_good_and_name_what_they_read() {
        for (name, text) in Companion::SHIPPED {
            let companion = Companion::read(name, text).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
            assert!(text.contains("from memory") || text.contains("public"), "{name} says no source");
            assert!(!companion.tasks.is_empty() && companion.tasks.iter().any(|task| !task.is_optional), "{name}");
            for task in &companion.tasks {
                for (class, object) in task.what.objects() {
                    let meaning = companion.meaning(Some(class), object);
                    assert!(meaning.is_some(), "{name}: nothing says what {object} of {} is", task.id);
                }
            }
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_by_line() {
        let text = "title = \"own\"\nsources = [\"me\"]\ndeviation = \"left\"\n\n[[object]]\nname = \"1.8.0\"\n\
                    means = \"energy\"\n\n[[task]]\nid = \"a\"\nwhat = \"profile\"\nperiod = \"7min\"\n\n\
                    [[event]]\ncodes = [-1]\n\n[[event]]\ncodes = [1]\nname = \"x\"\nlane = \"p9\"\n";
        let faults = Companion::read("own", text).unwrap_err();
        let told: Vec<String> = faults.iter().map(|fault| fault.of(Path::new("own.toml"))).collect();
        assert_eq!(
            told,
            [
                "own.toml:3: deviation: \"left\" is not one of \"dlms\", \"inverted\"",
                "own.toml:6: object[0].name: \"1.8.0\" is not a logical name such as \"1-0:99.1.0*255\"",
                "own.toml:9: task[0].object: is missing",
                "own.toml:12: task[0].period: \"7min\" does not divide a day into equal parts",
                "own.toml:14: event[0].codes: not a list of numbers",
                "own.toml:17: event[1].lane: not one of \"p0\", \"p1\", \"p2\", \"p3\"",
            ]
        );
        let broken = Companion::read("own", "sources = [\"me\"]\ntitle = \n").unwrap_err();
        assert_eq!((broken.len(), broken[0].line), (1, Some(2)));
    }

    #[test]
    fn what_is_no_companion_is_told_with_those_there_are() {
        let base = tempfile::tempdir().unwrap();
        let wrong = |text: &str| Companion::named(text, base.path()).unwrap_err();
        assert!(wrong("sand").starts_with("\"sand\" is no companion profile: dsmr, idis, india, italy, spain"));
        assert!(wrong("none.toml").contains("does not exist"), "{}", wrong("none.toml"));
        std::fs::write(base.path().join("own.toml"), "title = \"own\"\nsources = [\"me\"]\nhue = 1\n").unwrap();
        let told = wrong("own.toml");
        assert!(told.starts_with("own.toml:3: hue: unknown key: mend it; `dcu config companion"), "{told}");
    }
}
