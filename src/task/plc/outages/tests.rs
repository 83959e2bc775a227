//! What the task takes up of outages that were open when the last life ended.

use plc::outage::{Kept, Scope};
use tempfile::TempDir;

use super::super::tests::{UTC_MS, eui64, life, network_of, now};
use super::*;

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
