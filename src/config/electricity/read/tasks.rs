//! `[[electricity.task]]`.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil;
use jiff::tz::TimeZone;

use super::super::{Task, What};
use super::obis;
use crate::config::fault::Problem;
use crate::config::raw::Table;
use crate::config::values::{duration_within, one_of};
use crate::config::words::{topic_level, zone};
use crate::config::{DAY, HOUR, MINUTE};
use crate::reading::Obis;
use crate::schedule::{Discipline, Grid, Priority, Window};

/// `is_companion`: of a companion profile, whose tasks may be optional.
pub(super) fn tasks(
    tables: Vec<Table<'_>>,
    groups: &[&str],
    clock: Option<&TimeZone>,
    is_companion: bool,
) -> Vec<Task> {
    let mut ids = BTreeSet::new();
    let mut tasks = Vec::new();
    for mut table in tables {
        let id = table.required("id", topic_level);
        if let Some(known) = id.as_ref().filter(|id| !ids.insert((*id).clone())) {
            table.blame("id", Problem::wrong(format!("{known:?} is the id of another task")));
        }
        let is_optional = is_companion && table.flag("optional", false);
        let what = what(&mut table);
        let period = table.required("period", period);
        let grid = grid(&mut table, period, clock);
        let mut members = Vec::new();
        for name in table.texts("groups") {
            if groups.contains(&name.as_str()) {
                members.push(name);
            } else {
                table.blame("groups", Problem::wrong(format!("there is no group {name:?}")));
            }
        }
        let usual = match (&what, period) {
            (Some(What::Events(_)), _) => Priority::Events,
            (_, Some(Period::Month)) => Priority::Billing,
            _ => Priority::Profile,
        };
        let zone = clock.cloned().unwrap_or(TimeZone::UTC);
        let slots = |duration: Duration| {
            let seconds = period.map_or(900, Period::seconds);
            u32::try_from(duration.as_secs().div_ceil(u64::from(seconds))).unwrap_or(u32::MAX)
        };
        // A profile of a day is one request; what can only be asked now is one slot.
        let day = period.map_or(1, |period| 86_400_u32.div_ceil(period.seconds()).clamp(1, 1_440));
        let task = Task {
            id: id.unwrap_or_default(),
            companion: None,
            is_optional,
            what: what.unwrap_or(What::Clock(Discipline::default())),
            groups: members,
            grid,
            priority: table.read("priority", usual, one_of(PRIORITIES)),
            window: table.optional("window", |text| window(text, &zone)),
            delay: table.read("delay", Duration::from_secs(30), duration_within(Duration::ZERO, DAY)),
            spread: table.read("spread", Duration::ZERO, duration_within(Duration::ZERO, DAY)),
            at_once: table.integer("at_once", 1..10_001).unwrap_or(day),
            back: slots(table.read("back", 60 * DAY, duration_within(HOUR, 680 * DAY))),
            history: slots(table.read("history", Duration::ZERO, duration_within(Duration::ZERO, 680 * DAY))),
        };
        table.finish();
        tasks.push(task);
    }
    tasks
}

/// `what`, and with it `object` or `objects`.
fn what(table: &mut Table<'_>) -> Option<What> {
    let kind = table.required("what", one_of(&[("profile", 0), ("events", 1), ("registers", 2), ("clock", 3)]));
    let object = table.optional("object", obis);
    let mut objects = Vec::new();
    for text in table.texts("objects") {
        match register(&text) {
            Ok(object) => objects.push(object),
            Err(problem) => table.blame("objects", problem),
        }
    }
    let (wanted, unwanted) = match kind? {
        0 | 1 => (Some("object"), "objects"),
        2 => (Some("objects"), "object"),
        _ => (None, if table.contains("object") { "object" } else { "objects" }),
    };
    if let Some(wanted) = wanted.filter(|wanted| !table.contains(wanted)) {
        table.blame(wanted, Problem::wrong("is missing"));
    } else if kind == Some(2) && objects.is_empty() {
        table.blame("objects", Problem::wrong("names no register"));
    }
    if table.contains(unwanted) {
        table.blame(unwanted, Problem::wrong("has no use here"));
    }
    let discipline = discipline(table);
    if kind.is_some_and(|kind| kind != 3) {
        for key in ["shift_above", "set_above", "alarm_above"] {
            if table.contains(key) {
                table.blame(key, Problem::wrong("belongs to what = \"clock\""));
            }
        }
    }
    match kind? {
        0 => object.map(What::Profile),
        1 => object.map(What::Events),
        2 => Some(What::Registers(objects)),
        _ => Some(What::Clock(discipline)),
    }
}

/// From how much on a clock is shifted, set, or told to be off.
fn discipline(table: &mut Table<'_>) -> Discipline {
    let second = Duration::from_secs(1);
    let discipline = Discipline {
        shift_above: table.optional("shift_above", duration_within(second, 15 * MINUTE)),
        set_above: table.optional("set_above", duration_within(second, DAY)),
        alarm_above: table.optional("alarm_above", duration_within(second, 365 * DAY)),
    };
    let Discipline { shift_above, set_above, alarm_above } = discipline;
    let is_before =
        |one: Option<Duration>, other: Option<Duration>| one.zip(other).is_none_or(|(one, other)| one < other);
    if !is_before(shift_above, set_above) {
        table.blame("set_above", Problem::wrong("must be more than shift_above"));
    }
    if !is_before(set_above.max(shift_above), alarm_above) {
        table.blame("alarm_above", Problem::wrong("must be more than shift_above and set_above"));
    }
    discipline
}

/// `1-0:1.8.0*255`, or with its class `4:1-0:1.6.0*255`.
fn register(text: &str) -> Result<(u16, Obis), Problem> {
    if let Ok(obis) = text.parse() {
        return Ok((dlms::cosem::class::REGISTER, obis));
    }
    let (class, name) = text.split_once(':').unwrap_or((text, ""));
    match (class.parse(), name.parse()) {
        (Ok(class @ (1 | 3 | 4 | 5 | 70)), Ok(obis)) => Ok((class, obis)),
        _ => {
            Err(Problem::wrong(format!("{text:?} is not a register such as \"1-0:1.8.0*255\" or \"4:1-0:1.6.0*255\"")))
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Period {
    Seconds(u32),
    Day,
    Month,
}

impl Period {
    const fn seconds(self) -> u32 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Day => 86_400,
            Self::Month => 31 * 86_400,
        }
    }
}

fn period(text: &str) -> Result<Period, Problem> {
    if text == "month" {
        return Ok(Period::Month);
    }
    match duration_within(MINUTE, DAY)(text)?.as_secs() {
        86_400 => Ok(Period::Day),
        seconds if 86_400 % seconds == 0 => Ok(Period::Seconds(seconds as u32)),
        _ => Err(Problem::wrong(format!("{text:?} does not divide a day into equal parts"))),
    }
}

/// `at`, `day` and `zone` of days and months.
fn grid(table: &mut Table<'_>, period: Option<Period>, clock: Option<&TimeZone>) -> Grid {
    let own = |text: &str| time_of_day(text);
    let at = table.read("at", civil::Time::midnight(), own);
    let day = table.integer("day", 1..32).unwrap_or(1) as i8;
    let zone = table.optional("zone", zone).or(clock.cloned()).unwrap_or(TimeZone::UTC);
    let blame = |key: &'static str, text: &str| {
        if table.contains(key) {
            table.blame(key, Problem::wrong(text));
        }
    };
    match period {
        Some(Period::Seconds(_)) | None => {
            blame("at", "belongs to a period of a day or a month");
            blame("zone", "belongs to a period of a day or a month");
            blame("day", "belongs to a period of a month");
        }
        Some(Period::Day) => blame("day", "belongs to a period of a month"),
        Some(Period::Month) => {}
    }
    match period {
        None => Grid::Every { seconds: 900 },
        Some(Period::Seconds(seconds)) => Grid::Every { seconds },
        Some(Period::Day) => Grid::Daily { at, zone },
        Some(Period::Month) => Grid::Monthly { day, at, zone },
    }
}

/// `22:00-05:00`
fn window(text: &str, zone: &TimeZone) -> Result<Window, Problem> {
    let (from, to) = text
        .split_once('-')
        .ok_or_else(|| Problem::wrong(format!("{text:?} is not a time of the day such as \"22:00-05:00\"")))?;
    Ok(Window { from: time_of_day(from)?, to: time_of_day(to)?, zone: zone.clone() })
}

fn time_of_day(text: &str) -> Result<civil::Time, Problem> {
    let refuse = || Problem::wrong(format!("{text:?} is not a time such as \"06:00\""));
    let (hour, minute) = text.split_once(':').ok_or_else(refuse)?;
    let number = |digits: &str| digits.parse::<i8>().ok().filter(|_| digits.len() == 2);
    let (Some(hour), Some(minute)) = (number(hour), number(minute)) else { return Err(refuse()) };
    civil::Time::new(hour, minute, 0, 0).map_err(|_| refuse())
}

const PRIORITIES: &[(&str, Priority)] =
    &[("events", Priority::Events), ("billing", Priority::Billing), ("profile", Priority::Profile)];
