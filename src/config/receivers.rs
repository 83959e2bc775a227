//! `[[wmbus]]`: the receivers, and that nobody else is where they are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use wmbus::receiver::{KINDS, Kind, Mode};

use super::fault::Problem;
use super::raw::Table;
use super::values::{one_of, path_from, port_problem};
use super::words::{host_and_port, word};
use super::{Receiver, ReceiverSource};

/// Where receivers and modems are, and which of them: two at one port would take each other's octets.
#[derive(Debug, Default)]
pub(super) struct Taken {
    places: BTreeMap<(&'static str, String), String>,
    /// Addresses that datagrams are listened for at.
    udp: Vec<(String, String)>,
}

impl Taken {
    /// Takes a place for somebody; where it is taken, the key that names it, and what is wrong.
    pub(super) fn by(&mut self, source: &ReceiverSource, who: String) -> Option<(&'static str, Problem)> {
        let (said, place) = match source {
            ReceiverSource::Serial { path, .. } => return self.port(path, who),
            ReceiverSource::Udp(address) => return self.udp(address, who),
            ReceiverSource::Tcp(address) => (address, address.to_ascii_lowercase()),
            ReceiverSource::Command(words) => (words.first()?, words.join("\0")),
        };
        self.place(key_of(source), place, said, who)
    }

    /// The same of a serial port, which has many names below /dev/serial.
    pub(super) fn port(&mut self, path: &Path, who: String) -> Option<(&'static str, Problem)> {
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.place("port", place.display().to_string(), &path.display().to_string(), who)
    }

    /// The same of an address that datagrams are listened for at: that of all interfaces has those of each.
    pub(super) fn udp(&mut self, address: &str, who: String) -> Option<(&'static str, Problem)> {
        if let Some((there, other)) = self.udp.iter().find(|(there, _)| is_same(there, address)) {
            let at = if there == address { String::new() } else { format!(", at {there:?}") };
            return Some(("udp", Problem::wrong(format!("{address:?} is taken by {other}{at}"))));
        }
        self.udp.push((address.to_owned(), who));
        None
    }

    fn place(&mut self, key: &'static str, place: String, said: &str, who: String) -> Option<(&'static str, Problem)> {
        match self.places.entry((key, place)) {
            Entry::Vacant(free) => {
                free.insert(who);
                None
            }
            Entry::Occupied(other) => Some((key, Problem::wrong(format!("{said:?} is taken by {}", other.get())))),
        }
    }
}

/// Whether the kernel would refuse the second of two sockets for datagrams there.
fn is_same(one: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<SocketAddr>().ok();
    let (Some(a), Some(b)) = (parse(one), parse(other)) else {
        // A name stands for one of the unit's addresses, whichever that is.
        let has_all = |text: &str| parse(text).is_some_and(|at| at.is_ipv6() && at.ip().is_unspecified());
        let port = |text: &str| text.rsplit_once(':').map(|(_, port)| port.to_owned());
        return one.eq_ignore_ascii_case(other) || port(one) == port(other) && (has_all(one) || has_all(other));
    };
    let (one, other) = (a.ip().to_canonical(), b.ip().to_canonical());
    // One of IPv6 for all interfaces hears what comes over IPv4, too.
    let has = |all: IpAddr, it: IpAddr| all.is_unspecified() && (all.is_ipv6() || it.is_ipv4());
    a.port() == b.port() && (one == other || has(one, other) || has(other, one))
}

/// The key that names it.
const fn key_of(source: &ReceiverSource) -> &'static str {
    match source {
        ReceiverSource::Serial { .. } => "port",
        ReceiverSource::Tcp(_) => "tcp",
        ReceiverSource::Udp(_) => "udp",
        ReceiverSource::Command(_) => "command",
    }
}

pub(super) fn receivers(tables: Vec<Table<'_>>, base: &Path, taken: &mut Taken) -> Vec<Receiver> {
    let kinds: Vec<(&str, &'static Kind)> = KINDS.iter().map(|kind| (kind.name, kind)).collect();
    let mut receivers = Vec::new();
    let mut names = BTreeSet::new();
    for (n, mut table) in tables.into_iter().enumerate() {
        let name = table.read("name", format!("wmbus{n}"), word);
        if !names.insert(name.clone()) {
            table.blame("name", Problem::wrong(format!("{name:?} is the name of another receiver")));
        }
        let kind = table.required("kind", one_of(&kinds));
        let default = kind.map_or(Mode::default(), Kind::default_mode);
        let mode = table.read("mode", default, one_of(&Mode::ALL.map(|mode| (mode.name(), mode))));
        if let Some(kind) = kind.filter(|kind| !kind.modes.is_empty() && !kind.modes.contains(&mode)) {
            table.blame("mode", Problem::wrong(format!("a receiver of kind {:?} cannot listen to {mode}", kind.name)));
        }
        let source = source(&mut table, kind, base);
        if let Some((key, problem)) = source.as_ref().and_then(|source| taken.by(source, format!("receiver {name:?}")))
        {
            table.blame(key, problem);
        }
        let reenumerate = table.flag("reenumerate", false);
        if reenumerate && !matches!(source, None | Some(ReceiverSource::Serial { .. })) {
            table.blame("reenumerate", Problem::wrong("has no use without a `port`"));
        }
        table.finish();
        if let (Some(kind), Some(source)) = (kind, source) {
            receivers.push(Receiver { name, kind, source, mode, reenumerate });
        }
    }
    receivers
}

/// Exactly one of `port`, `tcp`, `udp` and `command`.
fn source(table: &mut Table<'_>, kind: Option<&Kind>, base: &Path) -> Option<ReceiverSource> {
    let given = ["port", "tcp", "udp", "command"].into_iter().filter(|key| table.contains(key)).count();
    let baud = table.integer("baud", 300..4_000_001).unwrap_or(kind.map_or(57_600, |kind| kind.baud));
    let port = table.optional("port", path_from(base));
    if let Some(problem) = port.as_deref().and_then(port_problem) {
        table.blame("port", problem);
    }
    let tcp = table.optional("tcp", host_and_port);
    let udp = table.optional("udp", host_and_port);
    let command = table.texts("command");
    if given != 1 {
        table.blame(
            "port",
            Problem::wrong("exactly one of `port`, `tcp`, `udp` and `command` says where the octets come from"),
        );
        return None;
    }
    if table.contains("command") && command.first().is_none_or(String::is_empty) {
        table.blame("command", Problem::wrong("is empty: the first word is the program"));
        return None;
    }
    let is_missing = |program: &&String| program.contains('/') && !Path::new(program).exists();
    if let Some(program) = command.first().filter(is_missing) {
        table.blame("command", Problem::absent(format!("{program:?} does not exist")));
    }
    let serial = port.map(|path| ReceiverSource::Serial { path, baud });
    let source = serial.or(tcp.map(ReceiverSource::Tcp)).or(udp.map(ReceiverSource::Udp));
    let source = source.or((!command.is_empty()).then_some(ReceiverSource::Command(command)));
    if let (Some(kind), Some(source)) = (kind, &source) {
        if let Some((key, text)) = misfit(kind, source) {
            table.blame(key, Problem::wrong(format!("a receiver of kind {:?} {text}", kind.name)));
        }
    }
    source
}

/// Why receivers of this kind are not to be had from there: the key and the reason.
fn misfit(kind: &Kind, source: &ReceiverSource) -> Option<(&'static str, &'static str)> {
    let key = key_of(source);
    if key == "port" {
        return None;
    }
    // A receiver that is told its mode has to be spoken to.
    let is_spoken_to = !kind.modes.is_empty();
    match kind.name {
        "auto" => Some((key, "has a `port`: only there the speed can be changed")),
        "raw" if key == "udp" => Some((key, "does not come in lines")),
        _ if is_spoken_to && key != "tcp" => Some((key, "has a `port` or a `tcp` address")),
        _ => None,
    }
}
