//! What the task takes up of routes, and what it says where that cannot be.

use super::super::outages::Dark;
use super::super::tests::{life, network_of, now};
use super::*;
use crate::reading::{Event, EventKind};
use crate::store::{Body, Lane};
use crate::task::waiting::Waiting;

/// Codes and details of what waits for the store.
fn told(waiting: &Waiting) -> Vec<(String, String)> {
    let unit = |(lane, body): &(Lane, Body)| match body {
        Body::Event(Event { kind: EventKind::Unit { code, detail }, .. }) if *lane == Lane::Security => {
            Some((code.clone(), detail.clone()))
        }
        _ => None,
    };
    waiting.records().filter_map(unit).collect()
}

#[test]
fn routes_that_were_held_are_held_again_and_a_damaged_file_is_said_once_and_keeps_nothing_from_being_kept() {
    let dir = network_of(1..=3);
    let path = dir.path().join("plc-feeder/routes");
    let blacklist = |plc: &mut Plc| {
        plc.routing.routes.set_blacklisted(2, true, both(now()));
        plc.drain();
        plc.routing.write();
    };
    let banned = |plc: &Plc| plc.routing.routes.blacklist().collect::<Vec<_>>();
    let mut plc = life(&dir, &Dark::default());
    blacklist(&mut plc);
    plc.store.close().unwrap();
    let plc = life(&dir, &Dark::default());
    assert_eq!((banned(&plc), told(&plc.waiting).len()), (vec![2], 0));
    plc.store.close().unwrap();

    let mut octets = std::fs::read(&path).unwrap();
    octets[12] ^= 1;
    std::fs::write(&path, &octets).unwrap();
    let mut plc = life(&dir, &Dark::default());
    let said = told(&plc.waiting);
    assert_eq!((banned(&plc), said.len()), (vec![], 1));
    assert_eq!(said[0].0, "plc.routes_lost");
    assert!(said[0].1.starts_with("network feeder: what was kept of routes is damaged"), "{said:?}");
    assert_eq!(std::fs::read(path.with_extension("damaged")).unwrap(), octets);
    blacklist(&mut plc);
    plc.store.close().unwrap();
    let plc = life(&dir, &Dark::default());
    assert_eq!((banned(&plc), told(&plc.waiting).len()), (vec![2], 0));
    plc.store.close().unwrap();
}

#[test]
fn what_cannot_be_kept_is_shown_and_the_network_runs() {
    let dir = network_of(1..=3);
    let names = [("routes", "what became of routes"), ("outages", "open outages"), ("heard", "when nodes were heard")];
    for (name, _) in names {
        std::fs::create_dir(dir.path().join("plc-feeder").join(name)).unwrap();
    }
    let mut plc = life(&dir, &Dark::default());
    for (shown, (name, what)) in plc.status(now()).unkept.iter().zip(names) {
        assert!(shown.starts_with(&format!("{what}: read ")) && shown.contains(&format!("/{name}: ")), "{shown}");
    }
    assert_eq!(plc.status(now()).unkept.len(), names.len());
    plc.routing.routes.set_blacklisted(2, true, both(now()));
    plc.drain();
    plc.routing.write();
    plc.watch.write(now());
    plc.write_heard(now());
    plc.store.close().unwrap();
    for (name, _) in names {
        std::fs::remove_dir(dir.path().join("plc-feeder").join(name)).unwrap();
    }
    let plc = life(&dir, &Dark::default());
    assert_eq!(plc.status(now()).unkept, Vec::<String>::new());
    plc.store.close().unwrap();
}
