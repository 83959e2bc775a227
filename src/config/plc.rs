//! `[[plc]]`: one G3-PLC modem and the network that it coordinates.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use plc::Eui64;
use plc::g3::adp::Band;

use super::ReceiverSource;
use super::fault::Problem;
use super::raw::Table;
use super::receivers::Taken;
use super::values::{duration_within, name, one_of, path_from, port_problem};
use super::words::{host_and_port, topic_level};

/// A modem, and what network it is to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plc {
    /// What the network keeps lies in a directory of this name.
    pub name: String,
    /// A serial port or a TCP address.
    pub source: ReceiverSource,
    pub band: Band,
    pub pan_id: u16,
    /// The place of the first group master key in the modem's key table, 0 or 1.
    pub key_index: u8,
    /// The coordinator's own address; None: one that the unit makes for itself.
    pub eui64: Option<Eui64>,
    /// The ULA prefix, 64 bits; None: nodes have link-local addresses only.
    pub prefix: Option<[u8; 8]>,
    pub unlisted: Unlisted,
    pub pan_conflict: PanConflict,
    pub max_hops: u8,
    /// How long a rotation of the group master key waits for nodes that do not answer, and how long the old key is good
    /// after it.
    pub rekey_patience: Duration,
}

/// What is done when another network has our number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PanConflict {
    /// The network gets another number, and all nodes join it again.
    #[default]
    Change,
    /// It is told.
    Tell,
}

/// What a node is told that asks for admission and is not on the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// Nothing: it asks again, and is there when it is listed. A bootstrap server in the modem declines it all the same.
    #[default]
    Hold,
    /// That it may not join.
    Decline,
}

pub(super) fn networks(tables: Vec<Table<'_>>, base: &Path, taken: &mut Taken) -> Vec<Plc> {
    let mut networks = Vec::new();
    let mut names = BTreeSet::new();
    let mut pans = BTreeSet::new();
    for (n, mut table) in tables.into_iter().enumerate() {
        let name = name(&mut table, format!("plc{n}"), topic_level);
        if !names.insert(name.clone()) {
            table.blame("name", Problem::wrong(format!("{name:?} is the name of another network")));
        }
        let source = source(&mut table, base);
        if let Some((key, problem)) = source.as_ref().and_then(|source| taken.by(source, format!("network {name:?}"))) {
            table.blame(key, problem);
        }
        let band = table.read("band", Band::default(), band);
        let pan_id = table.required("pan_id", pan_id);
        if let Some(pan_id) = pan_id.filter(|pan_id| !pans.insert(*pan_id)) {
            table.blame("pan_id", Problem::wrong(format!("{pan_id:04x} is another network's")));
        }
        let network = Plc {
            name,
            source: source.clone().unwrap_or(ReceiverSource::Tcp(String::new())),
            band,
            pan_id: pan_id.unwrap_or_default(),
            key_index: table.integer("key_index", 0..2).unwrap_or(0) as u8,
            eui64: table.optional("eui64", own_eui64),
            prefix: table.optional("prefix", prefix),
            unlisted: table.read(
                "unlisted",
                Unlisted::default(),
                one_of(&[("hold", Unlisted::Hold), ("decline", Unlisted::Decline)]),
            ),
            pan_conflict: table.read(
                "pan_conflict",
                PanConflict::default(),
                one_of(&[("change", PanConflict::Change), ("tell", PanConflict::Tell)]),
            ),
            max_hops: table.integer("max_hops", 1..15).unwrap_or(MAX_HOPS.into()) as u8,
            rekey_patience: table.read(
                "rekey_patience",
                REKEY_PATIENCE,
                duration_within(Duration::from_secs(10), 30 * REKEY_PATIENCE),
            ),
        };
        table.finish();
        // With what is wrong in it told, it is there for those who name it.
        networks.push(network);
    }
    networks
}

/// Exactly one of `port` and `tcp`.
fn source(table: &mut Table<'_>, base: &Path) -> Option<ReceiverSource> {
    let given = ["port", "tcp"].into_iter().filter(|key| table.contains(key)).count();
    let baud = table.integer("baud", 0..u32::MAX).unwrap_or(BAUD);
    if !BAUDS.contains(&baud) {
        let rates: Vec<String> = BAUDS.iter().map(u32::to_string).collect();
        table.blame("baud", Problem::wrong(format!("{baud} is no rate of a modem: {}", rates.join(", "))));
    }
    let port = table.optional("port", path_from(base));
    if let Some(problem) = port.as_deref().and_then(port_problem) {
        table.blame("port", problem);
    }
    let tcp = table.optional("tcp", host_and_port);
    if given != 1 {
        table.blame("port", Problem::wrong("exactly one of `port` and `tcp` says where the modem is"));
        return None;
    }
    port.map(|path| ReceiverSource::Serial { path, baud }).or(tcp.map(ReceiverSource::Tcp))
}

fn band(text: &str) -> Result<Band, Problem> {
    let built = [Band::CenelecA, Band::CenelecB, Band::Fcc, Band::RfOnly];
    // In ARIB's band the names in EAP-PSK have other forms, of 34 and 36 octets: no node would join.
    if text == Band::Arib.name() {
        let known = built.map(|band| format!("{:?}", band.name())).join(", ");
        return Err(Problem::wrong(format!(
            "{text:?} is not supported, as nodes of that band join in a way that the unit does not know; {known} are"
        )));
    }
    one_of(&built.map(|band| (band.name(), band)))(text)
}

/// G.9903 clause 9.4: two bits of a PAN id are clear. Four digits, as everything prints them.
fn pan_id(text: &str) -> Result<u16, Problem> {
    let wrong = |text: String| Err(Problem::wrong(text));
    let digits = Some(text).filter(|text| text.len() == 4 && text.bytes().all(|digit| digit.is_ascii_hexdigit()));
    match digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
        Some(pan_id) if pan_id & !PAN_MASK != 0 => {
            let nearest = pan_id & PAN_MASK;
            wrong(format!("{text:?} has bits of 0300 set, which no PAN id may; {nearest:04x} has not"))
        }
        Some(pan_id) => Ok(pan_id),
        _ => wrong(format!("{text:?} is not a PAN id of four hexadecimal digits such as \"781d\"")),
    }
}

pub(super) fn eui64(text: &str) -> Result<Eui64, Problem> {
    text.parse().map_err(|_| Problem::wrong(format!("{text:?} is not an EUI-64 such as \"001122ffff000001\"")))
}

/// The coordinator's: nobody has these two, which stand for no address and for everybody's.
fn own_eui64(text: &str) -> Result<Eui64, Problem> {
    match eui64(text)? {
        Eui64([0, 0, 0, 0, 0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => {
            Err(Problem::wrong(format!("{text:?} is nobody's address")))
        }
        own => Ok(own),
    }
}

/// `fd00:1:2:3::/64`, within fc00::/7.
fn prefix(text: &str) -> Result<[u8; 8], Problem> {
    let address = text.strip_suffix("/64").and_then(|address| address.parse::<std::net::Ipv6Addr>().ok());
    let octets = address.map(|address| address.octets()).filter(|octets| octets[0] & 0xfe == 0xfc);
    match octets.and_then(|octets| Some((*octets.first_chunk::<8>()?, *octets.last_chunk::<8>()?))) {
        Some((prefix, [0, 0, 0, 0, 0, 0, 0, 0])) => Ok(prefix),
        _ => Err(Problem::wrong(format!("{text:?} is not a prefix such as \"fd00:1:2:3::/64\""))),
    }
}

const PAN_MASK: u16 = 0xfcff;
const BAUD: u32 = 115_200;
/// What firmware of modems can be set to.
const BAUDS: [u32; 8] = [9_600, 19_200, 38_400, 57_600, BAUD, 230_400, 460_800, 921_600];
const MAX_HOPS: u8 = 8;
const REKEY_PATIENCE: Duration = Duration::from_secs(24 * 3_600);
