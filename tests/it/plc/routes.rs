//! Routes: what becomes of them is told with its cause and survives a kill, they can be held, and what a modem cannot do
//! it says.

use plc::g3::pib::{Layer, adp};
use serde_json::{Value, json};

use super::*;

impl Street {
    async fn formed(nature: Nature) -> Self {
        let mut street = Self::new(nature, devices(0..NODES));
        street.start().await;
        street.import(0..NODES);
        street.until("all have joined", |street| street.nodes("alive").len() as u32 == NODES).await;
        street.until("the routes are read", |street| street.ways().len() as u32 == NODES).await;
        street
    }

    /// First hops by short address, as nodes are shown.
    fn ways(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let nodes = self.ask(&["node", "list"]).1.into_iter();
        nodes.filter_map(|node| Some((text(&node["short_addr"])?, text(&node["next_hop"])?))).collect()
    }

    fn history(&self, node: &str) -> Value {
        let (code, mut said) = self.ask(&["route", "history", node]);
        assert_eq!(code, Some(0), "{}", self.log());
        said.remove(0)
    }

    /// First hop of the modem's own table.
    fn routed_over(&self, node: &str) -> String {
        let routes = self.ask(&["route", "show"]).1;
        routes.iter().find(|route| route["destination"] == node).unwrap()["next_hop"].as_str().unwrap().to_owned()
    }
}

/// What happened, and why, the newest last.
fn changes(history: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    history["changes"].as_array().unwrap().iter().map(|change| (text(&change["what"]), text(&change["why"]))).collect()
}

fn pairs(words: &[(&str, &str)]) -> Vec<(String, String)> {
    words.iter().map(|(what, why)| ((*what).to_owned(), (*why).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_is_held_and_all_that_became_of_it_survives_a_kill() {
    let mut street = Street::formed(nature(Generation::ModemLbs)).await;
    let ways = street.ways();
    let (far, before) = ways.iter().find(|(node, next_hop)| node != next_hop).unwrap();
    let other = ways.values().find(|next_hop| *next_hop != before).unwrap();
    assert_eq!(changes(&street.history(far)), pairs(&[("way", "joined")]));
    // Paths are traced by the service itself, within its share of the airtime.
    street.until("paths are traced", |street| street.status()["routes"]["traces"].as_u64().unwrap() > 5).await;

    let (code, said) = street.ask(&["route", "pin", far, far]);
    assert_eq!((code, said.len()), (Some(1), 0), "who is no neighbour takes no frame");
    assert_eq!(street.ask(&["route", "pin", far, other]).0, Some(0), "{}", street.log());
    assert_eq!(street.routed_over(far), *other);
    let held = pairs(&[("way", "joined"), ("pinned", "asked"), ("way", "asked")]);
    assert_eq!(changes(&street.history(far)), held);

    // The modem forgets it with its power, and is told again.
    street.kill();
    street.modem.modem().power_cut();
    street.start().await;
    street.until("it is held again", |street| street.routed_over(far) == *other).await;
    let history = street.history(far);
    assert_eq!(changes(&history)[..3], held);
    assert_eq!(history["held"], json!(other));
    let known: Vec<_> = history["alternates"].as_array().unwrap().iter().map(|way| &way["next_hop"]).collect();
    assert!(known.contains(&&json!(before)) && known.contains(&&json!(other)), "{history}");
    assert_eq!(street.ask(&["route", "release", far]).0, Some(0));
    assert_eq!(street.ask(&["route", "release", far]).0, Some(4));

    let (code, said) = street.ask(&["route", "blacklist", other]);
    assert_eq!(code, Some(0), "{}", street.log());
    let over: Vec<Value> = said[0]["stays"].as_array().unwrap().iter().map(|line| line["short_addr"].clone()).collect();
    let count = said[0]["routes"].as_u64().unwrap() as usize;
    assert!(count > 0 && count == over.len() + said[0]["moved"].as_u64().unwrap() as usize, "{said:?}");
    assert!(!over.contains(&json!(other)), "{said:?}");
    assert_eq!(street.history(other)["is_blacklisted"], true);
    assert_eq!(street.ask(&["route", "pin", far, other]).0, Some(1), "no route goes over it");
    assert_eq!(street.ask(&["route", "blacklist", other, "--remove"]).0, Some(0));
    assert_eq!(street.history(other)["is_blacklisted"], false);
    assert_eq!(street.ask(&["route", "blacklist", other, "--remove"]).0, Some(4), "it is not on the list");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_modem_that_keeps_its_tables_to_itself_says_so() {
    let lacks = vec![(Layer::Adp, adp::BLACKLIST_TABLE), (Layer::Adp, adp::CLUSTER_TRICKLE_ENABLED)];
    let street = Street::formed(Nature { lacks, ..nature(Generation::HostLbs) }).await;
    let near = street.ways().into_values().next().unwrap();
    let command = Command::new(env!("CARGO_BIN_EXE_dcu"))
        .args(["route", "blacklist", &near, "--socket"])
        .arg(street.path("control.sock"))
        .output()
        .unwrap();
    assert_eq!(command.status.code(), Some(1));
    let said = String::from_utf8(command.stderr).unwrap();
    assert!(said.contains("the modem keeps its blacklist to itself"), "{said}");
    assert_eq!(street.history(&near)["is_blacklisted"], false);
}
