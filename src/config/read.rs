//! From the raw shape to the typed configuration: the only way.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use super::electricity::electricity;
use super::fault::{Fault, Faults, Problem};
use super::plc::networks;
use super::raw::Table;
use super::receivers::{Taken, receivers};
use super::values::{duration_within, file_from, one_of, path_from, secret_from, size_within, table_from};
use super::words::{broker, medium, of_type, socket, topic_level, word, zone};
use super::{
    Acknowledge, Broker, Config, Control, DAY, HOUR, Log, MINUTE, Meters, Span, Store, Time, Tls, Unit, Uplink,
};
use crate::clock;
use crate::reading::raw::RawLimits;
use crate::reading::{Group, Groups, MeterId, MeterPattern, Period, ReadingTypes, Rule, Security, UnmarkedGas, Way};

/// The template's name of the unit; no unit with an uplink may keep it.
pub(super) const PLACEHOLDER: &str = "dcu-0000";

pub(super) fn config(text: &str, base: &Path) -> (Config, Vec<Fault>) {
    let faults = RefCell::new(Faults::default());
    let mut root = Table::root(text, &faults);
    let has_uplink = root.contains("uplink");
    let unit = unit(root.table("unit"), base, has_uplink);
    let mut taken = Taken::default();
    let wmbus = receivers(root.tables("wmbus"), base, &mut taken);
    let meters = meters(root.table("meters"), base);
    let plc = networks(root.tables("plc"), base, &mut taken);
    let electricity = electricity(root.table("electricity"), &plc, base, &mut taken);
    let store = store(root.table("store"));
    let uplink = root.optional_table("uplink").and_then(|table| uplink(table, base));
    let time = time(root.table("time"));
    let control = control(root.table("control"), base);
    let log = log(root.table("log"));
    root.finish();
    let config = Config { unit, wmbus, meters, electricity, plc, store, uplink, time, control, log };
    (config, faults.into_inner().finish(text))
}

fn unit(mut table: Table<'_>, base: &Path, has_uplink: bool) -> Unit {
    let default = Unit::default();
    let utility = table.read("utility", default.utility, topic_level);
    let id = table.optional("id", move |text| match text {
        PLACEHOLDER if has_uplink => {
            Err(Problem::wrong(format!("{text:?} is the template's: give this unit a name of its own")))
        }
        _ => topic_level(text),
    });
    if has_uplink && id.is_none() && !table.contains("id") {
        table.blame("id", Problem::wrong("is missing: an uplink needs the unit's name"));
    }
    let state_dir = table.read("state_dir", default.state_dir, path_from(base));
    let address = table.optional("address", |text| match text.parse() {
        Ok(id @ MeterId::MBus { .. }) => Ok(id),
        _ => Err(Problem::wrong(format!("{text:?} is not an address such as \"ABC-00000001-01-31\""))),
    });
    table.finish();
    Unit { utility, id: id.unwrap_or(default.id), state_dir, address }
}

fn meters(mut table: Table<'_>, base: &Path) -> Meters {
    let default = Meters::default();
    let keys = table.optional("keys", secret_from(base));
    let limit = table.integer("limit", 1..1_000_001).unwrap_or(default.limit);
    let silent_after = table.read("silent_after", default.silent_after, duration_within(HOUR, 60 * 24 * HOUR));
    let raw = RawLimits {
        per_meter: table.integer("raw_per_meter", 1..10_001).unwrap_or(default.raw.per_meter),
        telegrams: table.integer("raw_telegrams", 1..1_000_001).map_or(default.raw.telegrams, |n| n as usize),
        octets: table
            .read("raw_size", default.raw.octets, |text| size_within(64 << 10, 1 << 30)(text).map(|n| n as usize)),
    };
    let everybody = treatment(&mut table, default.groups.default);
    let mut names = BTreeSet::new();
    let groups = table.tables("group").into_iter().enumerate();
    let named = groups.map(|(n, table)| group(n, table, &everybody, &mut names)).collect();
    table.finish();
    Meters { keys, limit, silent_after, raw, groups: Groups { named, default: everybody } }
}

fn group(n: usize, mut table: Table<'_>, everybody: &Group, names: &mut BTreeSet<String>) -> Group {
    let name = table.read("name", format!("group{n}"), word);
    if !names.insert(name.clone()) {
        table.blame("name", Problem::wrong(format!("{name:?} is the name of another group")));
    }
    let members = members(&mut table);
    let group = Group { name: name.into(), members, ..treatment(&mut table, everybody.clone()) };
    table.finish();
    group
}

/// What may be said of one group and of all meters.
fn treatment(table: &mut Table<'_>, default: Group) -> Group {
    Group {
        rule: rule(table, default.rule),
        unmarked_gas: table.read("unmarked_gas", default.unmarked_gas, one_of(UNMARKED_GAS)),
        clock: table.optional("clock", zone).or(default.clock),
        evidence: table.flag("evidence", default.evidence),
        minimum_security: table.read("minimum_security", default.minimum_security, one_of(MINIMUM_SECURITY)),
        preferred_source: table.read("preferred_source", default.preferred_source, one_of(&Way::NAMES)),
        ..default
    }
}

/// The patterns of `members`, each narrowed to the device types of `medium`.
fn members(table: &mut Table<'_>) -> Vec<MeterPattern> {
    let mut patterns = checked(table, "members", |text| {
        text.parse::<MeterPattern>()
            .map_err(|_| Problem::wrong(format!("{text:?} is not a meter such as \"12345678\" or \"KAM-*\"")))
    });
    let types: Vec<u8> = checked(table, "medium", medium).into_iter().flatten().collect();
    if !table.contains("members") && !table.contains("medium") {
        table.blame("members", Problem::wrong("is missing: a group says its `members`, its `medium`, or both"));
    }
    if types.is_empty() {
        return patterns;
    }
    if !table.contains("members") {
        patterns.push(MeterPattern::default());
    }
    let narrowed = patterns.iter().flat_map(|pattern| match pattern.device_type {
        Some(_) => vec![*pattern],
        None => types.iter().flat_map(|device_type| of_type(pattern, *device_type)).collect(),
    });
    narrowed.collect()
}

fn checked<T>(table: &mut Table<'_>, key: &'static str, read: impl Fn(&str) -> Result<T, Problem>) -> Vec<T> {
    let mut values = Vec::new();
    for text in table.texts(key) {
        match read(&text) {
            Ok(value) => values.push(value),
            Err(problem) => table.blame(key, problem),
        }
    }
    values
}

/// `policy`, and with it `interval` or `every` where it needs one.
fn rule(table: &mut Table<'_>, default: Rule) -> Rule {
    let one = NonZeroU32::MIN;
    let words = [
        ("snapshot", Rule::Snapshot(Period::HOUR)),
        ("change", Rule::Change),
        ("every", Rule::Every(one)),
        ("all", Rule::All),
    ];
    let rule = table.optional("policy", one_of(&words)).unwrap_or(default);
    let interval = table.optional("interval", |text| {
        let period = u32::try_from(duration_within(MINUTE, DAY)(text)?.as_secs()).ok().and_then(Period::new);
        period.ok_or_else(|| Problem::wrong(format!("{text:?} does not divide a day into equal parts")))
    });
    let every = table.integer("every", 1..1_000_001).and_then(NonZeroU32::new);
    if table.contains("interval") && !matches!(rule, Rule::Snapshot(_)) {
        table.blame("interval", Problem::wrong("belongs to policy = \"snapshot\""));
    }
    if table.contains("every") && !matches!(rule, Rule::Every(_)) {
        table.blame("every", Problem::wrong("belongs to policy = \"every\""));
    }
    if rule == Rule::Every(one) && !table.contains("every") {
        table.blame("every", Problem::wrong("is missing: policy = \"every\" needs a number of telegrams"));
    }
    match rule {
        Rule::Snapshot(period) => Rule::Snapshot(interval.unwrap_or(period)),
        Rule::Every(n) => Rule::Every(every.unwrap_or(n)),
        Rule::Change | Rule::All => rule,
    }
}

fn store(mut table: Table<'_>) -> Store {
    let default = Store::default();
    let store = Store {
        commit_window: table.read(
            "commit_window",
            default.commit_window,
            duration_within(Duration::from_millis(200), Duration::from_secs(30)),
        ),
        commit_records: table.integer("commit_records", 1..4_097).unwrap_or(default.commit_records),
        seal_records: table.integer("seal_records", 1..501).unwrap_or(default.seal_records),
        seal_octets: table.read("seal_size", default.seal_octets, size_within(1 << 10, 6 << 10)),
        seal_age: table.read("seal_age", default.seal_age, duration_within(Duration::from_secs(1), HOUR)),
        billing_seal_age: table.read(
            "billing_seal_age",
            default.billing_seal_age,
            duration_within(Duration::from_secs(1), HOUR),
        ),
        retention: table.read("retention", default.retention, duration_within(HOUR, 3_660 * DAY)),
        size_limit: table.read("size_limit", default.size_limit, size_within(4 << 20, 1 << 40)),
        open_limit: table.read("open_limit", default.open_limit, duration_within(Duration::from_secs(1), 10 * MINUTE)),
    };
    if store.seal_age >= store.retention {
        table.blame("seal_age", Problem::wrong("must be shorter than store.retention"));
    }
    table.finish();
    store
}

fn uplink(mut table: Table<'_>, base: &Path) -> Option<Uplink> {
    let allows_plaintext = table.flag("plaintext", false);
    let broker = table.required("broker", |text| broker(text, allows_plaintext));
    let is_tls = broker.as_ref().is_none_or(|(_, is_tls)| *is_tls);
    let tls = is_tls.then(|| tls(&mut table, base, broker.as_ref().map(|(broker, _)| broker.host.as_str())));
    let acknowledge = acknowledge(&mut table, base);
    let mut uplink = Uplink::new(Broker { host: String::new(), port: 0 }, None, Acknowledge::Broker);
    let second = Duration::from_secs(1);
    uplink.signing_key = table.optional("signing_key", secret_from(base));
    uplink.reading_types = table.optional("reading_types", table_from(base, ReadingTypes::read)).unwrap_or_default();
    uplink.keep_alive = table.read("keep_alive", uplink.keep_alive, duration_within(5 * second, HOUR));
    uplink.session_expiry = table.read("session_expiry", uplink.session_expiry, duration_within(MINUTE, 365 * DAY));
    uplink.republish = span(&mut table, ["republish_first", "republish_last"], uplink.republish, (second, DAY));
    uplink.backoff = span(&mut table, ["backoff_first", "backoff_last"], uplink.backoff, (second / 10, HOUR));
    uplink.in_flight = table.integer("in_flight", 1..101).unwrap_or(uplink.in_flight);
    uplink.inbound_limit = table.read("inbound_limit", uplink.inbound_limit, size_within(4 << 10, 16 << 20));
    uplink.checkpoint = table.read("checkpoint", uplink.checkpoint, duration_within(MINUTE, DAY));
    uplink.topology_interval = table.read("topology_interval", uplink.topology_interval, duration_within(second, DAY));
    if !is_tls {
        for key in ["ca", "certificate", "key", "server_name", "tls"] {
            if table.contains(key) {
                table.ignore(key);
                table.blame(key, Problem::wrong("has no use with a broker address \"mqtt://\", which is without TLS"));
            }
        }
    }
    table.finish();
    let (broker, _) = broker?;
    let tls = match tls {
        Some(None) => return None,
        Some(tls) => tls,
        None => None,
    };
    Some(Uplink { broker, tls, acknowledge: acknowledge?, ..uplink })
}

fn tls(table: &mut Table<'_>, base: &Path, host: Option<&str>) -> Option<Tls> {
    let ca = table.required("ca", file_from(base));
    let certificate = table.required("certificate", file_from(base));
    let key = table.required("key", secret_from(base));
    let server_name = table.optional("server_name", |text| match text {
        "" => Err(Problem::wrong("is empty")),
        _ => Ok(text.to_owned()),
    });
    let accepts_1_2 = table.read("tls", false, one_of(&[("1.3", false), ("1.2", true)]));
    let server_name = server_name.or(host.map(str::to_owned))?;
    Some(Tls { ca: ca?, certificate: certificate?, key: key?, server_name, accepts_1_2 })
}

fn acknowledge(table: &mut Table<'_>, base: &Path) -> Option<Acknowledge> {
    let by_head_end = table.read("acknowledge", true, one_of(&[("head-end", true), ("broker", false)]));
    let read = file_from(base);
    if by_head_end {
        return table.required("trust", read).map(|trust| Acknowledge::HeadEnd { trust });
    }
    if table.contains("trust") {
        table.ignore("trust");
        table.blame("trust", Problem::wrong("has no use with acknowledge = \"broker\""));
    }
    Some(Acknowledge::Broker)
}

fn span(table: &mut Table<'_>, keys: [&'static str; 2], default: Span, within: (Duration, Duration)) -> Span {
    let [first_key, last_key] = keys;
    let first = table.read(first_key, default.first, duration_within(within.0, within.1));
    let last = table.read(last_key, default.last, duration_within(within.0, within.1));
    if first > last {
        table.blame(first_key, Problem::wrong(format!("must not be longer than {last_key}")));
    }
    Span { first, last }
}

fn time(mut table: Table<'_>) -> Time {
    let default = Time::default();
    let sources = [("kernel", clock::Source::Kernel), ("trusted", clock::Source::Trusted)];
    let time = Time {
        source: table.read("source", default.source, one_of(&sources)),
        holdover: table.read("holdover", default.holdover, duration_within(MINUTE, 365 * DAY)),
    };
    table.finish();
    time
}

fn control(mut table: Table<'_>, base: &Path) -> Control {
    let default = Control::default();
    let control = Control {
        socket: table.read("socket", default.socket, |text| socket(base, text)),
        group: table.read("group", default.group, |text| Ok((!text.is_empty()).then(|| text.to_owned()))),
        clients: table.integer("clients", 1..257).unwrap_or(default.clients),
    };
    table.finish();
    control
}

fn log(mut table: Table<'_>) -> Log {
    let level = table.read("level", Log::default().level, |text| {
        match text.parse::<tracing_subscriber::filter::targets::Targets>() {
            Ok(_) if !text.trim().is_empty() => Ok(text.to_owned()),
            _ => Err(Problem::wrong(format!("{text:?} is not a level (error, warn, info, debug, trace)"))),
        }
    });
    table.finish();
    Log { level }
}

const MINIMUM_SECURITY: &[(&str, Security)] =
    &[("plain", Security::Plain), ("decrypted", Security::Decrypted), ("authenticated", Security::Authenticated)];
const UNMARKED_GAS: &[(&str, UnmarkedGas)] = &[
    ("temperature-converted", UnmarkedGas::TemperatureConverted),
    ("metering", UnmarkedGas::Metering),
    ("base", UnmarkedGas::Base),
    ("unspecified", UnmarkedGas::Unspecified),
];
