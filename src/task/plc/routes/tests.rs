//! What the task takes up of routes, and what it says where that cannot be.

use std::path::Path;

use plc::Eui64;
use plc::route::Standing;

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

/// The life ends, and the store has what waited for it.
fn end(mut plc: Plc) {
    plc.routing.write();
    assert!(plc.waiting.hand_over(&plc.store, now()));
    plc.store.close().unwrap();
}

/// Somebody wants the route to a node to go over another one, and no route over a third.
fn order(plc: &mut Plc, (node, next_hop): (u16, u16), banned: u16) {
    plc.routing.routes.hold(node, next_hop, true, both(now())).unwrap();
    plc.routing.routes.set_blacklisted(banned, true, both(now()));
    plc.drain();
}

/// What is held, and who is blacklisted.
fn wanted(plc: &Plc) -> (Vec<(u16, u16)>, Vec<u16>) {
    let Standing { held, blacklist, .. } = plc.routing.routes.standing();
    (held.into_iter().collect(), blacklist.into_iter().collect())
}

#[test]
fn what_is_wanted_outlives_its_file_whatever_became_of_it_and_that_is_said_once() {
    type Harm = fn(&Path);
    fn change(path: &Path, how: impl Fn(Vec<u8>) -> Vec<u8>) {
        std::fs::write(path, how(std::fs::read(path).unwrap())).unwrap();
    }
    let (gone, damaged) = ("was emptied, cut or taken away", "is damaged and set aside as ");
    let harms: [(Harm, Option<&str>); 7] = [
        (|_| (), None),
        (|path| std::fs::remove_file(path).unwrap(), Some(gone)),
        (|path| change(path, |_| Vec::new()), Some(gone)),
        (|path| change(path, |octets| octets[..8].to_vec()), Some(gone)),
        (|path| change(path, |octets| octets[..octets.len() - 1].to_vec()), Some(gone)),
        (
            |path| change(path, |octets| octets.iter().enumerate().map(|(at, it)| it ^ u8::from(at == 12)).collect()),
            Some(damaged),
        ),
        (|path| change(path, |_| b"somebody else's words".to_vec()), Some(damaged)),
    ];
    for (number, (harm, how)) in harms.into_iter().enumerate() {
        let dir = network_of(1..=6);
        let path = dir.path().join("plc-feeder/routes");
        let mut plc = life(&dir, &Dark::default());
        order(&mut plc, (4, 1), 3);
        plc.routing.write();
        order(&mut plc, (5, 2), 6);
        end(plc);
        harm(&path);
        let all = (vec![(4, 1), (5, 2)], vec![3, 6]);
        let plc = life(&dir, &Dark::default());
        let said = told(&plc.waiting);
        assert_eq!((wanted(&plc), said.len()), (all.clone(), usize::from(how.is_some())), "{number}: {said:?}");
        if let (Some(how), [(code, detail)]) = (how, said.as_slice()) {
            let says = |words| detail.contains(words);
            assert_eq!(plc.status(now()).lost, [detail.strip_prefix("network feeder: ").unwrap()]);
            assert!(code == "plc.routes_lost" && says(how) && says("2 held, 2 blacklisted"), "{detail}");
            assert_eq!(path.with_extension("damaged").exists(), how == damaged);
        }
        // A kill before anything of that is kept.
        plc.store.close().unwrap();
        let plc = life(&dir, &Dark::default());
        assert_eq!((wanted(&plc), told(&plc.waiting).len()), (all.clone(), usize::from(how.is_some())), "{number}");
        end(plc);
        let mut plc = life(&dir, &Dark::default());
        assert_eq!((wanted(&plc), told(&plc.waiting).len()), (all, 0), "{number}");
        // What is taken back stays so, also where an old copy of the file has it.
        let old = std::fs::read(&path).unwrap();
        let later = both(Now { utc_ms: now().utc_ms + 1_000, ..now() });
        assert!(plc.routing.routes.release(4, later) && plc.routing.routes.set_blacklisted(3, false, later));
        plc.drain();
        end(plc);
        std::fs::write(&path, old).unwrap();
        let plc = life(&dir, &Dark::default());
        assert_eq!((wanted(&plc), told(&plc.waiting).len()), ((vec![(5, 2)], vec![6]), 0), "{number}");
        plc.store.close().unwrap();
    }
}

#[test]
fn what_is_wanted_while_its_file_cannot_be_written_is_wanted_in_the_next_life() {
    let dir = network_of(1..=6);
    let path = dir.path().join("plc-feeder/routes");
    std::fs::create_dir(&path).unwrap();
    for _ in 0..2 {
        let mut plc = life(&dir, &Dark::default());
        order(&mut plc, (4, 1), 3);
        end(plc);
        let plc = life(&dir, &Dark::default());
        assert_eq!((wanted(&plc), told(&plc.waiting).len()), ((vec![(4, 1)], vec![3]), 0));
        plc.store.close().unwrap();
    }
    // A file again: it has what is wanted, too.
    std::fs::remove_dir(&path).unwrap();
    end(life(&dir, &Dark::default()));
    std::fs::remove_dir_all(dir.path().join("store")).unwrap();
    let plc = life(&dir, &Dark::default());
    assert_eq!(wanted(&plc), (vec![(4, 1)], vec![3]));
    plc.store.close().unwrap();
}

#[test]
fn who_orders_something_hears_that_it_is_not_kept_and_why() {
    let dir = network_of(1..=6);
    let said = |plc: &mut Plc| match plc.release("0004", now()) {
        Ok(MeshSaid::Done { node, unkept }) => (node, unkept),
        other => panic!("{other:?}"),
    };
    let node = || Eui64::to_string(&super::super::tests::eui64(4));
    let mut plc = life(&dir, &Dark::default());
    order(&mut plc, (4, 1), 3);
    assert_eq!((said(&mut plc), plc.routing.routes.held()), ((node(), None), 0));
    end(plc);
    let path = dir.path().join("plc-feeder/routes");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let mut plc = life(&dir, &Dark::default());
    order(&mut plc, (4, 1), 3);
    // The store has it, at once.
    assert_eq!(said(&mut plc), (node(), None));
    plc.store.close().unwrap();
    let mut plc = life(&dir, &Dark::default());
    assert_eq!(wanted(&plc), (vec![], vec![3]));
    order(&mut plc, (4, 1), 3);
    plc.store.close().unwrap();
    let (named, unkept) = said(&mut plc);
    let why = unkept.unwrap();
    assert!(named == node() && why.starts_with("read ") && why.contains("plc-feeder/routes: "), "{why}");
    assert_eq!(plc.routing.routes.held(), 0, "it is carried out");
}

#[test]
fn what_a_kill_kept_from_the_store_is_taken_from_the_file_and_nothing_of_another_network_is_taken() {
    let dir = network_of(1..=6);
    let mut plc = life(&dir, &Dark::default());
    order(&mut plc, (4, 1), 3);
    end(plc);
    let mut plc = life(&dir, &Dark::default());
    plc.routing.routes.set_blacklisted(3, false, both(now()));
    order(&mut plc, (5, 2), 6);
    plc.routing.write();
    // A kill before the store has it.
    plc.store.close().unwrap();
    let plc = life(&dir, &Dark::default());
    assert_eq!((wanted(&plc), told(&plc.waiting).len()), ((vec![(4, 1), (5, 2)], vec![6]), 0));
    end(plc);
    // Its nodes are forgotten, and others have their addresses one day.
    std::fs::remove_dir_all(dir.path().join("plc-feeder")).unwrap();
    let plc = life(&dir, &Dark::default());
    assert_eq!((wanted(&plc), told(&plc.waiting).len()), ((vec![], vec![]), 0));
    plc.store.close().unwrap();
}

#[test]
fn of_an_earlier_version_the_file_alone_has_what_is_wanted() {
    let dir = network_of(1..=6);
    let path = dir.path().join("plc-feeder/routes");
    let mut plc = life(&dir, &Dark::default());
    order(&mut plc, (4, 1), 3);
    plc.routing.write();
    // Its store has no such mark.
    plc.store.close().unwrap();
    let plc = life(&dir, &Dark::default());
    assert_eq!(wanted(&plc), (vec![(4, 1)], vec![3]));
    plc.store.close().unwrap();
    let mut octets = std::fs::read(&path).unwrap();
    octets[12] ^= 1;
    std::fs::write(&path, &octets).unwrap();
    let plc = life(&dir, &Dark::default());
    let said = told(&plc.waiting);
    assert_eq!((wanted(&plc), said.len()), ((vec![], vec![]), 1));
    assert!(said[0].1.ends_with("none is held any more, and nobody is blacklisted"), "{said:?}");
    assert_eq!(std::fs::read(path.with_extension("damaged")).unwrap(), octets);
    plc.store.close().unwrap();
}

#[test]
fn what_cannot_be_kept_is_shown_and_the_network_runs() {
    let dir = network_of(1..=3);
    let names = [("routes", "the history of routes"), ("outages", "open outages"), ("heard", "when nodes were heard")];
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
