//! `[[electricity.channel]]`: the media that meters are reached over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::datagrams;
use crate::config::MINUTE;
use crate::config::electricity::{Channel, Link, Place};
use crate::config::fault::Problem;
use crate::config::plc::Plc;
use crate::config::raw::Table;
use crate::config::receivers::Taken;
use crate::config::values::{duration_within, name, one_of, path_from, port_problem};
use crate::config::words::{host_and_port, word};

pub(super) fn channels(tables: Vec<Table<'_>>, networks: &[Plc], base: &Path, taken: &mut Taken) -> Vec<Channel> {
    let mut names = BTreeSet::new();
    let read = |(n, mut table): (usize, Table<'_>)| {
        let name = name(&mut table, format!("channel{n}"), word);
        if !names.insert(name.clone()) {
            table.blame("name", Problem::wrong(format!("{name:?} is the name of another channel")));
        }
        let link = table.required("link", one_of(&[("wrapper", Link::Wrapper), ("hdlc", Link::Hdlc)]));
        let tcp = table.optional("tcp", host_and_port);
        let baud = table.integer("baud", 300..4_000_001).unwrap_or(9_600);
        let port = table.optional("port", path_from(base));
        if let Some(problem) = port.as_deref().and_then(port_problem) {
            table.blame("port", problem);
        }
        if let Some((key, problem)) = port.as_ref().and_then(|port| taken.port(port, format!("channel {name:?}"))) {
            table.blame(key, problem);
        }
        let udp = datagrams(&mut table, link);
        for (one, other) in [("port", "tcp"), ("port", "udp"), ("tcp", "udp")] {
            if table.contains(one) && table.contains(other) {
                table.blame(other, Problem::wrong(format!("has no use beside `{one}`")));
            }
        }
        if table.contains("port") && link == Some(Link::Wrapper) {
            table.blame("port", Problem::wrong("has no use with link = \"wrapper\", which is for `tcp`"));
        }
        let network = table.optional("plc", |text| {
            let found = networks.iter().find(|network| network.name == text);
            let missing = || Problem::wrong(format!("there is no [[plc]] of the name {text:?}"));
            found.map(|network| network.name.clone()).ok_or_else(missing)
        });
        let has_other = ["port", "tcp", "udp"].iter().any(|key| table.contains(key));
        if table.contains("plc") && (has_other || link == Some(Link::Hdlc)) {
            table.blame("plc", Problem::wrong("goes with link = \"wrapper\", and without `port`, `tcp` and `udp`"));
        }
        let is_line = port.is_some();
        let place = port.map(|path| Place::Serial { path, baud }).or(tcp.map(Place::Tcp)).or(udp.map(Place::Udp));
        let is_one = place.is_some();
        let place = place.or(network.map(Place::Plc)).or_else(|| named(&table));
        let at_once = table.integer("at_once", 1..1_001).unwrap_or(if is_one { 1 } else { 16 });
        if at_once > 1 && is_line {
            table.blame("at_once", Problem::wrong("is 1 on a serial line"));
        }
        let timeout =
            table.read("timeout", Duration::from_secs(10), duration_within(Duration::from_millis(100), 10 * MINUTE));
        let frame_size = table.integer("frame_size", 32..2_031).unwrap_or(128) as u16;
        table.finish();
        Channel { name, link: link.unwrap_or(Link::Wrapper), place, at_once, timeout, frame_size }
    };
    tables.into_iter().enumerate().map(read).collect()
}

/// Where its meters would be, if what is said of it were right: that it is not is told once, and not of each meter.
fn named(table: &Table<'_>) -> Option<Place> {
    let at = |key| table.contains(key);
    match () {
        () if at("plc") => Some(Place::Plc(String::new())),
        () if at("tcp") => Some(Place::Tcp(String::new())),
        () if at("udp") => Some(Place::Udp(String::new())),
        () if at("port") => Some(Place::Serial { path: PathBuf::new(), baud: 0 }),
        () => None,
    }
}
