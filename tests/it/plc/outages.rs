//! A phase without power: one event names it with its nodes, and one its return, whatever becomes of the service meanwhile.

use std::collections::BTreeSet;

use dcu::reading::{Event, EventKind};
use dcu::store::{Body, Lane, Record};

use super::*;

impl Street {
    /// The phase of a node in sixths of a turn, by its path.
    fn phase(&self, eui64: &str) -> u64 {
        let node = self.ask(&["node", "show", eui64]).1.remove(0);
        let hops = node["path"].as_array().unwrap_or_else(|| panic!("no path: {node}"));
        hops.iter().map(|hop| hop["phase_differential"].as_u64().unwrap()).sum::<u64>() % 6
    }

    fn outages(&self) -> Vec<Value> {
        self.status()["outages"].as_array().cloned().unwrap_or_default()
    }

    fn told_in(&self, lane: Lane, code: &str) -> Vec<String> {
        let event = |record: Record| match record.body {
            Body::Event(Event { kind: EventKind::Unit { code: told, detail }, .. }) if told == code => Some(detail),
            _ => None,
        };
        electricity::records(&self.path("state"), &[lane]).into_iter().filter_map(event).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phase_that_fails_is_one_event_with_its_nodes_and_so_is_its_return() {
    let mut street = Street::new(nature(Generation::HostLbs), devices(0..NODES));
    street.start().await;
    street.import(0..NODES);
    street.until("all have joined", |street| street.nodes("alive").len() as u32 == NODES).await;
    let mut phases: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    for number in 0..NODES {
        let eui64 = identity(number).0.to_string();
        assert_eq!(street.ask(&["route", "trace", &eui64]).0, Some(0), "{}", street.log());
        phases.entry(street.phase(&eui64)).or_default().insert(number);
    }
    let (phase, dark) = phases.iter().max_by_key(|(_, nodes)| nodes.len()).unwrap();
    assert!((5..NODES as usize - 4).contains(&dark.len()), "{phases:?}");
    let stored = |street: &Street, lane: Lane| {
        let status = street.ask(&["status"]).1.remove(0);
        let lanes = status["buffer"]["lanes"].as_array().unwrap();
        lanes.iter().find(|of| of["lane"] == lane.name()).and_then(|of| of["last"].as_u64())
    };
    let switch = |street: &Street, is_on| {
        dark.iter().for_each(|number| street.modem.modem().switch(*number as usize, is_on, Instant::now()));
    };
    switch(&street, false);
    for number in dark.iter().take(2) {
        assert_ne!(street.ask(&["route", "trace", &identity(*number).0.to_string()]).0, Some(0));
    }
    street.until("the outage is named", |street| !street.outages().is_empty()).await;
    let outage = street.outages().remove(0);
    assert_eq!(outage["scope"], format!("phase at {} degrees", 60 * phase));
    assert_eq!((&outage["out"], &outage["back"]), (&dark.len().into(), &0.into()));
    assert_eq!(street.status()["out"], dark.len());
    let meant: BTreeSet<_> = dark.iter().map(|number| identity(*number).0.to_string()).collect();
    let shown = |street: &Street| -> BTreeSet<_> {
        let topology = street.ask(&["topology"]).1.remove(0);
        let nodes = topology["nodes"].as_array().unwrap();
        let shown = nodes.iter().filter(|node| node["outage"] == outage["scope"]);
        shown.map(|node| node["eui64"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(shown(&street), meant);

    // A kill: it goes on, and is not told again.
    street.until("it is stored", |street| stored(street, Lane::Outage) == Some(1)).await;
    street.kill();
    street.start().await;
    assert_eq!((street.outages(), street.status()["out"].as_u64()), (vec![outage.clone()], Some(dark.len() as u64)));
    assert_eq!(shown(&street), meant);
    switch(&street, true);
    // Who is back first is asked by somebody; the others are asked by the service.
    let first = identity(*dark.first().unwrap()).0.to_string();
    assert_eq!(street.ask(&["route", "trace", &first]).0, Some(0), "{}", street.log());
    street.until("it is over", |street| street.outages().is_empty()).await;
    street.until("both are stored", |street| stored(street, Lane::Outage) == Some(2)).await;
    street.kill();
    let (began, over) = (street.told_in(Lane::Outage, "plc.outage"), street.told_in(Lane::Outage, "plc.restored"));
    assert_eq!((began.len(), over.len()), (1, 1), "{began:?} {over:?}");
    assert!(over[0].ends_with(&format!("{} nodes are back", dark.len())), "{over:?}");
    for number in dark {
        assert!(began[0].contains(&identity(*number).0.to_string()), "{began:?}");
    }
    // It is over for the next life too, and what is damaged is set aside.
    street.start().await;
    assert_eq!(street.outages(), Vec::<Value>::new());
    let before = stored(&street, Lane::Security);
    street.kill();
    let path = street.path("state/plc-feeder/outages");
    let mut octets = fs::read(&path).unwrap();
    octets[12] ^= 1;
    fs::write(&path, &octets).unwrap();
    street.start().await;
    assert!(street.log().contains("what was kept of open outages is damaged: set aside"), "{}", street.log());
    assert_eq!(fs::read(street.path("state/plc-feeder/outages.damaged")).unwrap(), octets);
    let lost = |street: &Street| street.told_in(Lane::Security, "plc.outages_lost").len();
    street.until("it is told", |street| stored(street, Lane::Security) > before.map(|last| last + 1)).await;
    street.kill();
    assert_eq!((lost(&street), street.told_in(Lane::Outage, "plc.restored").len()), (1, 1));
}
