//! From the raw shape of `[electricity]` to the typed one.

mod channels;
mod tasks;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dlms::security::Form;
use dlms::time::DeviationSign;
use jiff::tz::TimeZone;

use channels::channels;

use super::{Authentication, Channel, Electricity, Link, Manner, Meter, Place, ProfileStatus, Push, Task};
use crate::config::Companion;
use crate::config::fault::Problem;
use crate::config::plc::{Plc, eui64};
use crate::config::raw::Table;
use crate::config::receivers::Taken;
use crate::config::values::{duration_within, file_from, one_of, secret_from, table_from};
use crate::config::words::{host_and_port, word, zone};
use crate::reading::{EventTable, MeterId, Obis};

pub(in crate::config) fn electricity(
    mut table: Table<'_>,
    networks: &[Plc],
    base: &Path,
    taken: &mut Taken,
) -> Electricity {
    let keys = table.optional("keys", secret_from(base));
    let peers = table.optional("peers", file_from(base));
    let system_title = table.optional("system_title", title);
    let retries = table.integer("retries", 0..101).unwrap_or(3);
    let events = table.optional("events", table_from(base, EventTable::read)).unwrap_or_default();
    let push = table.optional_table("push").and_then(|table| push(table, taken));
    let files = CompanionFiles { base, read: RefCell::default() };
    let everybody = manner(&mut table, Manner::default(), &files);
    let channels = channels(table.tables("channel"), networks, base, taken);
    let groups: Vec<(String, Manner)> =
        table.tables("group").into_iter().map(|table| group(table, &everybody, &files)).collect();
    let has_own = keys.is_some();
    let meters = meters(table.tables("meter"), (&channels, networks), &groups, &everybody, &files);
    let names: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
    let mut tasks = tasks::tasks(table.tables("task"), &names, everybody.clock.as_ref(), false);
    let has_own_events = table.contains("events");
    let mut companion_events = Vec::new();
    for companion in companions(&meters, &mut table) {
        let own = companion.tasks_in(everybody.clock.as_ref()).into_iter().map(|task| Task {
            id: format!("{}.{}", companion.name, task.id),
            companion: Some(companion.name.clone()),
            ..task
        });
        // One of the same id that the user says himself stands in its place.
        let own: Vec<Task> = own.filter(|own| tasks.iter().all(|task| task.id != own.id)).collect();
        tasks.extend(own.into_iter().filter(|task| meters.iter().any(|meter| task.is_for(meter))));
        // Whoever has a table of his own for the head-end knows best.
        let table = match (has_own_events, companion.has_common_events) {
            (true, _) => events.before(&companion.events),
            (false, true) => companion.events.before(&events),
            (false, false) => companion.events.clone(),
        };
        companion_events.push((companion.name.clone(), Arc::new(table)));
    }
    let needs = |of: fn(&Manner) -> bool| meters.iter().any(|meter| of(&meter.manner));
    let has_secret = |it: &Manner| it.authentication != Authentication::None || it.security != 0 || it.is_signed;
    if !has_own && !table.contains("keys") && needs(has_secret) {
        table.blame("keys", Problem::wrong("is missing: there are meters with a password or keys"));
    }
    let is_named = |manner: &Manner| manner.is_ciphered() || manner.has_signatures();
    if system_title.is_none() && !table.contains("system_title") && needs(is_named) {
        let text = "is missing: there are meters with keys, to which the unit has a name";
        table.blame("system_title", Problem::wrong(text));
    }
    table.finish();
    Electricity { keys, peers, system_title, retries, channels, meters, tasks, push, events, companion_events }
}

/// Companion profiles that were read: many meters follow one.
struct CompanionFiles<'a> {
    base: &'a Path,
    read: RefCell<BTreeMap<String, Result<Arc<Companion>, String>>>,
}

impl CompanionFiles<'_> {
    fn named(&self, text: &str) -> Result<Arc<Companion>, String> {
        let mut read = self.read.borrow_mut();
        read.entry(text.to_owned()).or_insert_with(|| Companion::named(text, self.base)).clone()
    }
}

/// The companion profiles that meters follow, each once.
fn companions(meters: &[Meter], table: &mut Table<'_>) -> Vec<Arc<Companion>> {
    let mut found: Vec<Arc<Companion>> = Vec::new();
    for companion in meters.iter().filter_map(|meter| meter.manner.companion.as_ref()) {
        match found.iter().find(|known| known.name == companion.name) {
            None => found.push(Arc::clone(companion)),
            Some(known) if Arc::ptr_eq(known, companion) || known == companion => {}
            Some(_) => {
                let text = format!("two files have the name {:?}: give one of them another", companion.name);
                table.blame("companion", Problem::wrong(text));
                return found;
            }
        }
    }
    found
}

/// `[[task]]` of a companion profile.
pub(in crate::config) fn companion_tasks(tables: Vec<Table<'_>>, clock: Option<&TimeZone>) -> Vec<Task> {
    tasks::tasks(tables, &[], clock, true)
}

fn push(mut table: Table<'_>, taken: &mut Taken) -> Option<Push> {
    let (tcp, udp) = (table.optional("tcp", listening), table.optional("udp", listening));
    if !table.contains("tcp") && !table.contains("udp") {
        table.blame("tcp", Problem::wrong("is missing, and so is `udp`: meters have no address to send to"));
    }
    let tcp_error = tcp.as_ref().and_then(|at| unheard(at, &TcpListener::bind(at).err()?));
    let udp_error = udp.as_ref().and_then(|at| unheard(at, &UdpSocket::bind(at).err()?));
    tcp_error.into_iter().for_each(|problem| table.blame("tcp", problem));
    udp_error.into_iter().for_each(|problem| table.blame("udp", problem));
    let is_taken = udp.as_ref().and_then(|at| taken.udp(at, "`electricity.push`".to_owned()));
    is_taken.into_iter().for_each(|(key, problem)| table.blame(key, problem));
    table.finish();
    (tcp.is_some() || udp.is_some()).then_some(Push { tcp, udp })
}

/// What keeps the unit from listening at an address. That it is taken says little: mostly the service itself listens.
fn unheard(text: &str, error: &io::Error) -> Option<Problem> {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => Some(Problem::absent(format!(
            "no interface of this unit has the address of {text:?}; \"0.0.0.0:4059\" and \"[::]:4059\" are for all it has"
        ))),
        io::ErrorKind::PermissionDenied => Some(Problem::absent(format!("{text:?} may not be listened at: {error}"))),
        _ => None,
    }
}

fn listening(text: &str) -> Result<String, Problem> {
    let refuse = || Problem::wrong(format!("{text:?} is not an address such as \"0.0.0.0:4059\""));
    text.parse::<std::net::SocketAddr>().map(|_| text.to_owned()).map_err(|_| refuse())
}

/// `3:1-0:1.8.0*255:2`
fn attribute(text: &str) -> Result<dlms::apdu::Attribute, Problem> {
    let parts = text.split_once(':').and_then(|(class, rest)| Some((class, rest.rsplit_once(':')?)));
    let read = |(class, (name, attribute)): (&str, (&str, &str))| {
        let name: Obis = name.parse().ok()?;
        Some(dlms::apdu::Attribute::new(class.parse().ok()?, dlms::Obis(name.0), attribute.parse().ok()?))
    };
    let refuse = || Problem::wrong(format!("{text:?} is not an attribute such as \"3:1-0:1.8.0*255:2\""));
    parts.and_then(read).ok_or_else(refuse)
}

/// A list that is said anew where it is said at all.
fn attributes(table: &mut Table<'_>, default: Vec<dlms::apdu::Attribute>) -> Vec<dlms::apdu::Attribute> {
    if !table.contains("push_objects") {
        return default;
    }
    let mut found = Vec::new();
    for text in table.texts("push_objects") {
        match attribute(&text) {
            Ok(attribute) => found.push(attribute),
            Err(problem) => table.blame("push_objects", problem),
        }
    }
    found
}

fn title(text: &str) -> Result<[u8; 8], Problem> {
    match text.parse() {
        Ok(MeterId::SystemTitle(title)) => Ok(title),
        _ => Err(Problem::wrong(format!("{text:?} is not a system title such as \"4d4d4d0000bc614e\""))),
    }
}

fn group(mut table: Table<'_>, everybody: &Manner, files: &CompanionFiles<'_>) -> (String, Manner) {
    let name = table.required("name", word).unwrap_or_default();
    let manner = manner(&mut table, everybody.clone(), files);
    table.finish();
    (name, manner)
}

fn manner(table: &mut Table<'_>, default: Manner, files: &CompanionFiles<'_>) -> Manner {
    let companion = table.optional("companion", |text| files.named(text).map_err(Problem::wrong));
    // What is said beside it is stronger than what it says, and that is stronger than what was said for all.
    let default = match &companion {
        Some(companion) => companion.over(default),
        None => default,
    };
    let companion = companion.or(default.companion);
    let reads = reads(table, companion.as_deref()).or(default.reads);
    let words = [
        ("none", Authentication::None),
        ("lls", Authentication::Lls),
        ("md5", Authentication::Md5),
        ("sha1", Authentication::Sha1),
        ("sha256", Authentication::Sha256),
        ("gmac", Authentication::Gmac),
        ("ecdsa", Authentication::Ecdsa),
    ];
    let forms = [
        ("global", Form::Global),
        ("dedicated", Form::Dedicated),
        ("general-global", Form::GeneralGlobal),
        ("general-dedicated", Form::GeneralDedicated),
    ];
    let security = [("none", 0), ("authenticated", 0x10), ("encrypted", 0x20), ("authenticated-encrypted", 0x30)];
    let address = |number: u32| number as u16;
    let manner = Manner {
        client: table.integer("client", 1..65_536).map_or(default.client, address),
        server: table.integer("server", 1..65_536).map_or(default.server, address),
        physical: table.integer("physical", 0..16_384).map(address).or(default.physical),
        is_wide: table.flag("wide_address", default.is_wide),
        authentication: table.read("auth", default.authentication, one_of(&words)),
        security: table.read("security", default.security, one_of(&security)),
        suite: table.integer("suite", 0..3).map_or(default.suite, |suite| suite as u8),
        ciphering: table.read("ciphering", default.ciphering, one_of(&forms)),
        is_signed: table.flag("sign", default.is_signed),
        has_general_blocks: table.flag("general_blocks", default.has_general_blocks),
        counter_restarts: table.flag("counter_restarts", default.counter_restarts),
        keep_open: table.read("keep_open", default.keep_open, duration_within(Duration::ZERO, KEPT_OPEN_MOST)),
        counter: table.optional("counter", obis).or(default.counter),
        clock: table.optional("clock", zone).or(default.clock),
        deviation: table.read("deviation", default.deviation, one_of(DEVIATIONS)),
        profile_status: table.read("profile_status", default.profile_status, one_of(STATUSES)),
        companion,
        reads,
        push_objects: attributes(table, default.push_objects),
    };
    if manner.has_signatures() && manner.suite == 0 {
        let key = ["sign", "auth"].into_iter().find(|key| table.contains(key)).unwrap_or("suite");
        table.blame(key, Problem::wrong("signatures are of suite = 1 (P-256) or suite = 2 (P-384)"));
    }
    if table.contains("ciphering") && manner.ciphering != Form::Global && manner.security == 0 {
        table.blame("ciphering", Problem::wrong("has no use without `security`"));
    }
    manner
}

/// `udp`, the address of datagrams.
fn datagrams(table: &mut Table<'_>, link: Option<Link>) -> Option<String> {
    let udp = table.optional("udp", host_and_port);
    if table.contains("udp") && link == Some(Link::Hdlc) {
        table.blame("udp", Problem::wrong("goes with link = \"wrapper\""));
    }
    udp
}

/// Which tasks of the companion profile are wanted.
fn reads(table: &mut Table<'_>, companion: Option<&Companion>) -> Option<Arc<[String]>> {
    if !table.contains("reads") {
        return None;
    }
    let ids = table.texts("reads");
    let Some(companion) = companion else {
        table.blame("reads", Problem::wrong("has no use without `companion`"));
        return None;
    };
    for id in &ids {
        if companion.tasks.iter().all(|task| task.id != *id) {
            let known: Vec<&str> = companion.tasks.iter().map(|task| task.id.as_str()).collect();
            let text = format!("{id:?} is no task of {}: {}", companion.name, known.join(", "));
            table.blame("reads", Problem::wrong(text));
        }
    }
    Some(ids.into())
}

fn meters(
    tables: Vec<Table<'_>>,
    (channels, networks): (&[Channel], &[Plc]),
    groups: &[(String, Manner)],
    everybody: &Manner,
    files: &CompanionFiles<'_>,
) -> Vec<Meter> {
    let mut ids = BTreeSet::new();
    let mut meters = Vec::new();
    for mut table in tables {
        let id = table.required("id", title);
        if let Some(known) = id.filter(|id| !ids.insert(*id)) {
            table.blame("id", Problem::wrong(format!("{} is another meter's", MeterId::SystemTitle(known))));
        }
        let channel = table.required("channel", |text| {
            let found = channels.iter().position(|channel| channel.name == text);
            found.ok_or_else(|| Problem::wrong(format!("there is no channel {text:?}")))
        });
        let group = table.optional("group", |text| {
            let found = groups.iter().find(|(name, _)| name == text);
            found.ok_or_else(|| Problem::wrong(format!("there is no group {text:?}")))
        });
        let tcp = table.optional("tcp", host_and_port);
        let udp = datagrams(&mut table, channel.and_then(|it| channels.get(it)).map(|it| it.link));
        if table.contains("tcp") && table.contains("udp") {
            table.blame("udp", Problem::wrong("has no use beside `tcp`"));
        }
        let place = tcp.map(Place::Tcp).or(udp.map(Place::Udp));
        let own = ["tcp", "udp"].into_iter().find(|key| table.contains(key));
        let node = table.optional("node", eui64);
        let is_handed_over = table.flag("handed_over", false);
        let manner = manner(&mut table, group.map_or(everybody, |(_, manner)| manner).clone(), files);
        match channel.and_then(|channel| channels.get(channel)) {
            Some(Channel { place: None, .. }) if own.is_none() => {
                let text = "is missing, and so is `udp`: its channel has neither `tcp`, `udp` nor `port`";
                table.blame("tcp", Problem::wrong(text));
            }
            Some(Channel { place: Some(Place::Plc(_)), .. }) if !table.contains("node") => {
                table.blame("node", Problem::wrong("is missing: its channel is a PLC network"));
            }
            Some(Channel { place: Some(Place::Plc(_)), .. }) if own.is_some() => {
                table.blame(own.unwrap_or("tcp"), Problem::wrong("has no use in a PLC network"));
            }
            Some(Channel { place, .. }) if node.is_some() && !matches!(place, Some(Place::Plc(_))) => {
                table.blame("node", Problem::wrong("has no use outside a PLC network"));
            }
            Some(Channel { place: Some(Place::Serial { .. }), .. }) if own.is_some() => {
                table.blame(own.unwrap_or("tcp"), Problem::wrong("has no use on a serial line"));
            }
            Some(Channel { link: Link::Hdlc, .. }) if manner.client > 0x7f => {
                table.blame("client", Problem::wrong("is at most 127 over HDLC"));
            }
            Some(Channel { link: Link::Hdlc, .. }) if manner.server >= 1 << 14 => {
                table.blame("server", Problem::wrong("is at most 16383 over HDLC"));
            }
            Some(Channel { place: Some(Place::Plc(name)), .. }) => {
                let network = networks.iter().find(|network| network.name == *name);
                if node.is_some() && network.and_then(|network| network.eui64) == node {
                    table.blame("node", Problem::wrong(format!("is the own address of the modem of {name:?}")));
                }
            }
            _ => {}
        }
        table.finish();
        if let (Some(id), Some(channel)) = (id, channel) {
            let group = group.map(|(name, _)| name.clone());
            meters.push(Meter { id, channel, place, node, group, is_handed_over, manner });
        }
    }
    meters
}

pub(in crate::config) fn obis(text: &str) -> Result<Obis, Problem> {
    text.parse().map_err(|error| Problem::wrong(format!("{text:?}: {error}")))
}

/// A client that is left alone for longer has been replaced, or its meter has.
const KEPT_OPEN_MOST: Duration = Duration::from_secs(7 * 86_400);

pub(in crate::config) const DEVIATIONS: &[(&str, DeviationSign)] =
    &[("dlms", DeviationSign::Dlms), ("inverted", DeviationSign::Inverted)];
pub(in crate::config) const STATUSES: &[(&str, ProfileStatus)] =
    &[("idis", ProfileStatus::Idis), ("raw", ProfileStatus::Raw)];
