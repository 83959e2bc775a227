//! When nodes were heard, through ends of the service.

use super::super::outages::Dark;
use super::super::tests::{eui64, life, network_of, now};
use super::*;
use crate::control::NodePresence;

/// Of these nodes when each was heard, joined, and with which LQI.
fn lines(plc: &Plc) -> Vec<(Option<i64>, Option<i64>, Option<u8>)> {
    plc.node_lines(now()).into_iter().map(|line| (line.heard_ms, line.joined_ms, line.lqi)).collect()
}

#[test]
fn what_was_heard_is_known_after_a_clean_end_and_is_ten_minutes_old_at_most_after_a_kill() {
    let dir = network_of(1..=3);
    let begin = now();
    let minutes = |minutes: u32| Now {
        mono: begin.mono + std::time::Duration::from_secs(60) * minutes,
        utc_ms: begin.utc_ms + i64::from(minutes) * 60_000,
        ..begin
    };
    let mut plc = life(&dir, &Dark::default());
    assert_eq!(lines(&plc), [(None, None, None); 3]);
    plc.mesh.heard(eui64(1), 255, begin.utc_ms);
    // Of who is no member nothing is kept.
    plc.mesh.heard(eui64(9), 80, begin.utc_ms);
    plc.look_after_heard(minutes(0));
    plc.store.close().unwrap();
    let mut plc = life(&dir, &Dark::default());
    assert_eq!(lines(&plc), [(None, None, None); 3], "a kill within the first minute");
    plc.mesh.heard(eui64(1), 255, begin.utc_ms);
    plc.mesh.heard(eui64(9), 80, begin.utc_ms);
    plc.look_after_heard(minutes(2));
    plc.mesh.heard(eui64(2), 70, minutes(3).utc_ms);
    plc.look_after_heard(minutes(11));
    plc.store.close().unwrap();
    let mut plc = life(&dir, &Dark::default());
    let first = (Some(begin.utc_ms), None, Some(255));
    assert_eq!(lines(&plc), [first, (None, None, None), (None, None, None)], "a kill later");
    assert_eq!(plc.node_lines(minutes(59))[0].presence, NodePresence::Alive);
    assert_eq!(plc.node_lines(minutes(61))[0].presence, NodePresence::Routed);
    // A clock that is not set yet.
    assert_eq!(plc.node_lines(Now { utc_ms: 0, ..begin })[0].presence, NodePresence::Routed);
    plc.look_after_heard(minutes(2));
    plc.mesh.heard(eui64(2), 70, minutes(12).utc_ms);
    plc.look_after_heard(minutes(12));
    plc.store.close().unwrap();
    let mut plc = life(&dir, &Dark::default());
    assert_eq!(
        lines(&plc),
        [first, (Some(minutes(12).utc_ms), None, Some(70)), (None, None, None)],
        "ten minutes later"
    );
    plc.mesh.heard(eui64(3), 60, minutes(13).utc_ms);
    plc.write_heard(minutes(13));
    plc.store.close().unwrap();
    let plc = life(&dir, &Dark::default());
    // What is counted begins anew, and says since when.
    let counted = |plc: &Plc, at: Now| plc.node_lines(at)[0].counted_since_ms;
    let begin_ms = counted(&plc, now()).unwrap();
    assert!((begin_ms - begin.utc_ms).abs() < 60_000, "{begin_ms}");
    // A clock that was set by a day says it by what it is now.
    let set = Now { utc_ms: begin.utc_ms + 86_400_000, ..minutes(0) };
    assert!((counted(&plc, set).unwrap() - set.utc_ms).abs() < 60_000);
    assert_eq!(lines(&plc)[2], (Some(minutes(13).utc_ms), None, Some(60)), "a clean end");
}

#[test]
fn a_file_that_is_damaged_or_none_of_ours_keeps_no_network_from_running() {
    let dir = network_of(1..=3);
    let path = dir.path().join("plc-feeder/heard");
    for (octets, is_kept) in [(&b"DCUj\x01g3h and no entry"[..], true), (b"DCUj\x01g3r", false), (b"", true)] {
        std::fs::write(&path, octets).unwrap();
        let mut plc = life(&dir, &Dark::default());
        assert_eq!(lines(&plc), [(None, None, None); 3]);
        plc.mesh.heard(eui64(1), 90, now().utc_ms);
        plc.write_heard(now());
        plc.store.close().unwrap();
        let plc = life(&dir, &Dark::default());
        assert_eq!(lines(&plc)[0].0.is_some(), is_kept, "{octets:?}");
        plc.store.close().unwrap();
        if !is_kept {
            assert_eq!(std::fs::read(&path).unwrap(), octets);
        }
    }
}

#[test]
fn what_is_lost_of_when_nodes_were_heard_is_said_once() {
    type Harm = fn(&[u8]) -> Vec<u8>;
    let (gone, damaged) = ("was emptied, cut or taken away: of ", "is damaged and set aside as ");
    let harms: [(Harm, Option<(&str, &str)>); 5] = [
        (|octets| octets.to_vec(), None),
        (|_| Vec::new(), Some((gone, "3 of 3 nodes it is not known any more"))),
        (|octets| octets[..8].to_vec(), Some((gone, "3 of 3 nodes it is not known any more"))),
        (|octets| octets[..octets.len() - 1].to_vec(), Some((gone, "1 of 3 nodes it is not known any more"))),
        (
            |octets| octets.iter().enumerate().map(|(at, octet)| octet ^ u8::from(at == 12)).collect(),
            Some((damaged, "3 of 3 nodes it is not known any more")),
        ),
    ];
    for (number, (harm, said)) in harms.into_iter().enumerate() {
        let dir = network_of(1..=4);
        let path = dir.path().join("plc-feeder/heard");
        let mut plc = life(&dir, &Dark::default());
        for nodes in [&[1, 2][..], &[3]] {
            nodes.iter().for_each(|node| plc.mesh.heard(eui64(*node), 90, now().utc_ms));
            plc.write_heard(now());
        }
        assert!(plc.waiting.hand_over(&plc.store, now()));
        plc.store.close().unwrap();
        std::fs::write(&path, harm(&std::fs::read(&path).unwrap())).unwrap();
        let mut plc = life(&dir, &Dark::default());
        let told = plc.status(now()).lost;
        assert_eq!(told.len(), usize::from(said.is_some()), "{number}: {told:?}");
        if let (Some((how, whom)), [told]) = (said, told.as_slice()) {
            assert!(told.contains(how) && told.ends_with(whom), "{number}: {told}");
            assert_eq!(plc.waiting.records().count(), 1);
        }
        assert!(plc.waiting.hand_over(&plc.store, now()));
        plc.store.close().unwrap();
        let plc = life(&dir, &Dark::default());
        assert_eq!((plc.status(now()).lost, plc.waiting.len()), (told, 0), "{number}");
        plc.store.close().unwrap();
    }
}
