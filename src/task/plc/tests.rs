//! What tests of the task have in common: a state directory, and a task that lives in it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plc::g3::bootstrap::{Member, Ring};
use plc::{Eui64, Key};
use tempfile::TempDir;

use super::{Dark, Plc};
use crate::clock::{Now, ReadClock};
use crate::config::plc::{PanConflict, Unlisted};
use crate::config::{self, ReceiverSource};
use crate::reading::TimeQuality;
use crate::registry::Network;
use crate::store::{Options, Store};

pub(super) const UTC_MS: i64 = 1_760_000_000_000;

#[expect(clippy::disallowed_methods, reason = "any instant to count from")]
pub(super) fn now() -> Now {
    Now { mono: Instant::now(), boot_id: [7; 16], boot_ms: 0, utc_ms: UTC_MS, quality: TimeQuality::Synchronised }
}

pub(super) fn eui64(node: u16) -> Eui64 {
    Eui64([2, 0, 0, 0, 0, 0, (node >> 8) as u8, node as u8])
}

/// The state directory of a unit whose network has these nodes.
pub(super) fn network_of(nodes: impl IntoIterator<Item = u16>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut network = Network::open(&dir.path().join("plc-feeder"), Ring::new(Key([1; 16]))).unwrap();
    let member = |short_addr| Member {
        eui64: eui64(short_addr),
        short_addr,
        is_joined: true,
        is_assigned: false,
        key_generation: 1,
        active_generation: 1,
    };
    network.keep_members(&nodes.into_iter().map(member).collect::<Vec<_>>()).unwrap();
    dir
}

/// The task of the network `feeder`, with what this directory has of it; it has done nothing yet.
pub(super) fn open(dir: &Path, clock: ReadClock, dark: Dark) -> Plc {
    let options = Options::new(dir.join("store"), "dcu-1");
    let codec = crate::wire::CODEC;
    let (store, _) = Store::open(options, codec, Arc::clone(&clock), Box::new(|| 7), Box::new(|_| {})).unwrap();
    let said = config::Plc {
        name: "feeder".into(),
        source: ReceiverSource::Tcp("localhost:1".into()),
        band: plc::g3::adp::Band::CenelecA,
        pan_id: 0x781d,
        key_index: 0,
        eui64: Some(Eui64([2, 0, 0, 0, 0, 0, 0xff, 1])),
        prefix: None,
        unlisted: Unlisted::Hold,
        pan_conflict: PanConflict::Tell,
        max_hops: 8,
        rekey_patience: Duration::from_secs(3_600),
    };
    Plc::open(&said, None, dir, store, (clock, 1), dark).unwrap()
}

/// Another life of the unit; what it has to tell before it does anything.
pub(super) fn life(dir: &TempDir, dark: &Dark) -> Plc {
    let now = now();
    let mut plc = open(dir.path(), Arc::new(move || now), dark.clone());
    plc.drain();
    plc
}
