//! What the task takes up of outages that were open when the last life ended.

use plc::Key;
use plc::g3::bootstrap::Ring;
use plc::outage::{Kept, Scope};
use tempfile::TempDir;

use super::*;
use crate::config::plc::{PanConflict, Unlisted};
use crate::config::{self, ReceiverSource};
use crate::reading::TimeQuality;
use crate::registry::Network;
use crate::store::{Options, Store};

const UTC_MS: i64 = 1_760_000_000_000;

#[expect(clippy::disallowed_methods, reason = "any instant to count from")]
pub(in crate::task::plc) fn now() -> Now {
    Now { mono: Instant::now(), boot_id: [7; 16], boot_ms: 0, utc_ms: UTC_MS, quality: TimeQuality::Synchronised }
}

pub(in crate::task::plc) fn eui64(node: u16) -> Eui64 {
    Eui64([2, 0, 0, 0, 0, 0, (node >> 8) as u8, node as u8])
}

/// The state directory of a unit whose network has these nodes.
pub(in crate::task::plc) fn network_of(nodes: impl IntoIterator<Item = u16>) -> TempDir {
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

/// Another life of the unit; what it has to tell before it does anything.
pub(in crate::task::plc) fn life(dir: &TempDir, dark: &Dark) -> Plc {
    let clock: crate::clock::ReadClock = {
        let now = now();
        Arc::new(move || now)
    };
    let codec = crate::wire::CODEC;
    let options = Options::new(dir.path().join("store"), "dcu-1");
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
    let mut plc = Plc::open(&said, None, dir.path(), store, (clock, 1), dark.clone()).unwrap();
    plc.drain();
    plc
}

/// The life ends, and what it told is in the store.
fn end(mut plc: Plc) {
    assert!(plc.waiting.hand_over(&plc.store, now()));
    plc.store.close().unwrap();
}

/// An outage that was told, and is open when the life ends.
fn leave_open(dir: &TempDir, out: &[u16]) {
    let kept = Kept {
        number: 3,
        scope: Scope::Phase(2),
        since_ms: UTC_MS - 60_000,
        out: out.iter().copied().collect(),
        asked: 4,
        back: BTreeSet::new(),
        returned_ms: None,
        is_partly_told: false,
    };
    let mut plc = life(dir, &Dark::default());
    plc.watch.outages.restore(&kept, both(now()));
    let began = plc.watch.outages.open().map(|outage| Event::Began(outage.clone())).next().unwrap();
    let serial = plc.watch.log.as_mut().unwrap().note(&began, both(now()));
    plc.watch.write(now());
    plc.outage_told(&began, Some(serial), now());
    end(plc);
}

#[test]
fn a_meter_is_unreachable_until_it_is_reached_whether_its_node_is_out_or_not() {
    let (dark, node) = (Dark::default(), Eui64([1; 8]));
    dark.set_reachable(node, false);
    assert!(dark.is_unreachable(node) && !dark.has(node));
    let (feeder, yard) = (Arc::from("feeder"), Arc::from("yard"));
    dark.set_out(&feeder, BTreeSet::from([node]));
    // Another network, of which nobody is out.
    dark.set_out(&yard, BTreeSet::new());
    assert!(dark.is_unreachable(node) && dark.has(node));
    dark.set_reachable(node, true);
    assert!(!dark.is_unreachable(node) && dark.has(node));
    dark.set_out(&feeder, BTreeSet::new());
    assert!(!dark.has(node));
}

#[test]
fn what_is_open_goes_on_for_those_who_are_still_members_and_ends_with_the_last_of_them() {
    let dir = network_of(1..=8);
    leave_open(&dir, &[2, 4, 6, 9]);
    let dark = Dark::default();
    let mut plc = life(&dir, &dark);
    assert_eq!(plc.waiting.len(), 0, "it was told");
    let lines = plc.outage_lines(now());
    let [OutageLine { out: 3, back: 0, since_ms, .. }] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(*since_ms, UTC_MS - 60_000);
    assert!([2, 4, 6].into_iter().all(|node| dark.has(eui64(node))) && !dark.has(eui64(8)));
    assert_eq!(plc.out().0, 3);
    [2, 4].into_iter().for_each(|node| plc.node_heard(node, now().mono));
    plc.drain();
    assert_eq!((plc.waiting.len(), plc.outage_lines(now()).len()), (0, 1));
    plc.watch.write(now());
    end(plc);

    let mut plc = life(&dir, &dark);
    assert!(dark.has(eui64(6)) && !dark.has(eui64(2)), "who is back is back");
    plc.node_heard(6, now().mono);
    plc.drain();
    assert_eq!((plc.waiting.len(), plc.outage_lines(now()).len()), (1, 0), "one event");
    // A kill before the store has it: it is told, once.
    plc.store.close().unwrap();
    let plc = life(&dir, &dark);
    assert_eq!((plc.waiting.len(), plc.outage_lines(now()).len()), (1, 0));
    end(plc);
    assert_eq!(life(&dir, &dark).waiting.len(), 0);
}

#[test]
fn an_outage_whose_nodes_have_all_left_is_given_up_once() {
    let dir = network_of([7]);
    leave_open(&dir, &[2, 4, 6, 9]);
    for told in [1, 0] {
        let plc = life(&dir, &Dark::default());
        assert_eq!((plc.outage_lines(now()).len(), plc.waiting.len()), (0, told));
        end(plc);
    }
}

#[test]
fn a_file_that_is_none_of_ours_stays_and_nothing_is_taken_up() {
    let dir = network_of(1..=8);
    leave_open(&dir, &[2, 4, 6]);
    let path = dir.path().join("plc-feeder/outages");
    std::fs::write(&path, b"DCUj\x01xyz and what somebody else has written").unwrap();
    let before = std::fs::read(&path).unwrap();
    let mut plc = life(&dir, &Dark::default());
    assert_eq!((plc.outage_lines(now()).len(), plc.waiting.len()), (0, 0));
    // The network runs, and outages are told as ever.
    plc.watch.write(now());
    end(plc);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // What is damaged is set aside, and that is told.
    std::fs::write(&path, b"DCUj").unwrap();
    let plc = life(&dir, &Dark::default());
    assert_eq!((plc.outage_lines(now()).len(), plc.waiting.len()), (0, 1));
    end(plc);
    assert_eq!(life(&dir, &Dark::default()).waiting.len(), 0);
}
