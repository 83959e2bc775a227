//! What the task takes up of outages that were open when the last life ended.

use plc::outage::{Kept, Scope};
use tempfile::TempDir;

use super::super::tests::{UTC_MS, eui64, life, network_of, now};
use super::*;
use crate::reading::{self, EventKind};
use crate::store::Body;

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
    let serial = plc.watch.log.as_mut().map(|log| log.note(&began, both(now())));
    plc.watch.write(now());
    plc.outage_told(&began, serial, now());
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
    // What the store has of those that were open is said.
    assert_eq!((plc.outage_lines(now()).len(), lost(&plc)), (0, vec![format!("cannot be read{LOST}")]));
    // The network runs, and outages are told as ever.
    plc.watch.write(now());
    end(plc);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // What is damaged is set aside, and that is told.
    std::fs::write(&path, b"DCUj").unwrap();
    let plc = life(&dir, &Dark::default());
    let aside = path.with_extension("damaged");
    let said = format!(
        "is damaged and set aside as {}: the end of those that were open is not told; none is known to have been open",
        aside.display()
    );
    assert_eq!((plc.outage_lines(now()).len(), lost(&plc)), (0, vec![said]));
    end(plc);
    assert_eq!(life(&dir, &Dark::default()).waiting.len(), 0);
}

/// What is told of an outage of three that was open.
const LOST: &str =
    ": the end of those that were open is not told: phase at 120 degrees, 3 nodes out, since 2025-10-09T08:52:20Z";

/// What waits to be told, all of it that outages are lost.
fn lost(plc: &Plc) -> Vec<String> {
    let said = plc.waiting.records().map(|(lane, body)| match body {
        Body::Event(reading::Event { kind: EventKind::Unit { code, detail }, .. }) => {
            assert_eq!((*lane, code.as_str()), (Lane::Security, "plc.outages_lost"));
            detail.strip_prefix("network feeder: the file of open outages ").unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    });
    said.collect()
}

#[test]
fn outages_that_were_open_are_told_to_be_lost_once_whatever_became_of_their_file() {
    type Harm = fn(&Path);
    fn cut(path: &Path, keep: fn(usize) -> usize) {
        let octets = std::fs::read(path).unwrap();
        std::fs::write(path, &octets[..keep(octets.len())]).unwrap();
    }
    let gone = "was emptied, cut or taken away";
    let harms: [(Harm, &str); 6] = [
        (|path| std::fs::remove_file(path).unwrap(), gone),
        (|path| std::fs::write(path, b"").unwrap(), gone),
        (|path| cut(path, |_| 8), gone),
        (|path| cut(path, |length| length / 2), gone),
        (|path| cut(path, |length| length - 1), gone),
        (
            |path| {
                std::fs::remove_file(path).unwrap();
                std::fs::create_dir(path).unwrap();
            },
            "cannot be read",
        ),
    ];
    for (number, (harm, how)) in harms.into_iter().enumerate() {
        let dir = network_of(1..=8);
        leave_open(&dir, &[2, 4, 6]);
        harm(&dir.path().join("plc-feeder/outages"));
        let dark = Dark::default();
        let plc = life(&dir, &dark);
        assert_eq!((plc.outage_lines(now()).len(), lost(&plc)), (0, vec![format!("{how}{LOST}")]), "{number}");
        assert_eq!(plc.status(now()).unkept.len(), usize::from(how == "cannot be read"));
        assert!(!dark.has(eui64(4)), "who is out is found out again");
        // A kill before the store has it.
        plc.store.close().unwrap();
        let plc = life(&dir, &dark);
        assert_eq!(lost(&plc).len(), 1, "{number}");
        end(plc);
        let plc = life(&dir, &dark);
        assert_eq!(lost(&plc), Vec::<String>::new(), "{number}");
        end(plc);
        // What is found out then is kept, or lost with the next end.
        leave_open(&dir, &[2, 4, 6]);
        let plc = life(&dir, &dark);
        let is_kept = how == gone;
        assert_eq!(
            (plc.outage_lines(now()).len(), lost(&plc).len()),
            if is_kept { (1, 0) } else { (0, 1) },
            "{number}"
        );
        end(plc);
    }
}

#[test]
fn who_was_back_when_outages_were_lost_is_said_and_shown() {
    let dir = network_of(1..=8);
    leave_open(&dir, &[2, 4, 6]);
    let mut plc = life(&dir, &Dark::default());
    plc.node_heard(4, now().mono);
    plc.drain();
    plc.write_outages(now());
    let lines = plc.outage_lines(now());
    let [OutageLine { out: 2, back: 1, .. }] = lines.as_slice() else { panic!("{lines:?}") };
    end(plc);
    std::fs::write(dir.path().join("plc-feeder/outages"), b"").unwrap();
    let plc = life(&dir, &Dark::default());
    let said = format!("was emptied, cut or taken away{}", LOST.replace("3 nodes out", "2 nodes out, 1 back"));
    assert_eq!(plc.status(now()).lost, [format!("the file of open outages {said}")]);
    assert_eq!(lost(&plc), [said]);
    end(plc);
    // It is told once, and shown for a day, also after another start.
    let plc = life(&dir, &Dark::default());
    assert_eq!((plc.status(now()).lost.len(), lost(&plc).len()), (1, 0));
    let in_hours = |hours: i64| Now { utc_ms: now().utc_ms + hours * 3_600_000, ..now() };
    assert_eq!([23, 24].map(|hours| plc.status(in_hours(hours)).lost.len()), [1, 0]);
    end(plc);
}

#[test]
fn what_was_over_is_neither_lost_nor_open_again() {
    let dir = network_of(1..=8);
    let path = dir.path().join("plc-feeder/outages");
    leave_open(&dir, &[2, 4, 6]);
    let open = std::fs::read(&path).unwrap();
    let mut plc = life(&dir, &Dark::default());
    [2, 4, 6].into_iter().for_each(|node| plc.node_heard(node, now().mono));
    plc.drain();
    assert_eq!(plc.waiting.len(), 1);
    end(plc);
    // The end was cut off, all of it, the whole file.
    let whole = std::fs::read(&path).unwrap();
    for left in [&open[..], &whole[..whole.len() - 1], &[]] {
        std::fs::write(&path, left).unwrap();
        let plc = life(&dir, &Dark::default());
        assert_eq!((plc.outage_lines(now()).len(), plc.waiting.len()), (0, 0), "{} octets", left.len());
        end(plc);
    }
}

#[test]
fn of_what_an_earlier_version_told_it_is_known_only_that_it_is_gone() {
    let dir = network_of(1..=8);
    let path = dir.path().join("plc-feeder/outages");
    leave_open(&dir, &[2, 4, 6]);
    let whole = std::fs::read(&path).unwrap();
    // The store of that version: it has a mark of what was told, and none of what is open.
    std::fs::remove_dir_all(dir.path().join("store")).unwrap();
    let plc = life(&dir, &Dark::default());
    let kind = EventKind::Unit { code: "plc.outage".to_owned(), detail: String::new() };
    let event = Body::Event(reading::Event { received: now().received(), meter: None, kind });
    let mark = (plc.mark_of(lost::TOLD), 1_u64.to_be_bytes().to_vec());
    plc.store.try_append_marked(vec![(Lane::Outage, event)], &[mark], None).map_err(|(error, ..)| error).unwrap();
    plc.store.close().unwrap();
    let plc = life(&dir, &Dark::default());
    assert_eq!((plc.outage_lines(now()).len(), plc.waiting.len()), (1, 0), "it goes on");
    plc.store.close().unwrap();
    std::fs::write(&path, b"").unwrap();
    let plc = life(&dir, &Dark::default());
    let said =
        "was emptied, cut or taken away: the end of those that were open is not told; which they were is not known";
    assert_eq!((plc.outage_lines(now()).len(), lost(&plc)), (0, vec![said.to_owned()]));
    end(plc);
    let plc = life(&dir, &Dark::default());
    assert_eq!(plc.waiting.len(), 0);
    plc.store.close().unwrap();
    std::fs::write(&path, whole).unwrap();
    assert_eq!(life(&dir, &Dark::default()).outage_lines(now()).len(), 0, "an old copy");
}
