use proptest::prelude::*;

use super::diff::{Change, Diff};
use super::forest::Forest;
use super::{Exit, Failure, svg, tree};
use crate::control::{HopLine, LinkQuality, NodeLine, NodePresence, ParentFrom, Topology};

fn node(number: u16, presence: NodePresence) -> NodeLine {
    NodeLine {
        electricity_meter: None,
        eui64: format!("00112233aabb{number:04x}"),
        short_addr: Some(format!("{number:04x}")),
        meter: format!("AMM-{number:08}"),
        presence,
        joined_ms: Some(0),
        heard_ms: Some(1_760_000_000_000),
        lqi: Some(60),
        hops: None,
        next_hop: None,
        weak_links: None,
        parent: None,
        medium: None,
        lqi_forward: None,
        modulation_type: None,
        modulation_scheme: None,
        phase_differential: None,
        joins: 1,
        losses: 0,
        key_generation: Some(1),
        failure: None,
        asked_ms: None,
        parents: Vec::new(),
        traced_ms: None,
        path: Vec::new(),
        fault: None,
    }
}

fn routed(number: u16, hops: u8, next_hop: u16) -> NodeLine {
    let next_hop = Some(format!("{next_hop:04x}"));
    NodeLine { hops: Some(hops), next_hop, ..node(number, NodePresence::Alive) }
}

/// `path` has short address, cost and phase differential of each hop.
fn traced(number: u16, traced_ms: i64, path: &[(u16, u8, u8)]) -> NodeLine {
    let hop = |(short, link_cost, phase_differential): &(u16, u8, u8)| HopLine {
        short_addr: format!("{short:04x}"),
        link_cost: *link_cost,
        phase_differential: *phase_differential,
        medium: if *link_cost == 12 { "rf" } else { "plc" }.to_owned(),
    };
    let path: Vec<_> = path.iter().map(hop).collect();
    let next_hop = path.first().map(|hop| hop.short_addr.clone());
    let hops = Some(path.len() as u8);
    NodeLine { traced_ms: Some(traced_ms), hops, next_hop, path, ..node(number, NodePresence::Routed) }
}

fn topology(nodes: &[NodeLine]) -> Topology {
    Topology::new("feeder".into(), "781d".into(), "0011223344556677".into(), 1_760_000_000_000, nodes)
}

fn street() -> Topology {
    topology(&[
        routed(1, 1, 1),
        traced(2, 5, &[(1, 10, 2), (2, 12, 4)]),
        traced(3, 6, &[(1, 10, 2), (2, 11, 0), (3, 9, 2)]),
        routed(4, 4, 1),
        node(5, NodePresence::Alive),
        node(6, NodePresence::Denied),
        NodeLine { hops: Some(1), ..node(7, NodePresence::Lost) },
    ])
}

#[track_caller]
fn parent(topology: &Topology, number: u16, expected: Option<(&str, ParentFrom)>) {
    let node = topology.nodes.iter().find(|node| node.short_addr == Some(format!("{number:04x}"))).unwrap();
    assert_eq!(node.parent.as_deref().zip(node.parent_from), expected, "{number}");
}

#[test]
fn who_stands_before_a_node_comes_from_paths_then_from_routes() {
    let street = street();
    let first = "00112233aabb0001";
    parent(&street, 1, Some(("0011223344556677", ParentFrom::Path)));
    parent(&street, 2, Some((first, ParentFrom::Path)));
    parent(&street, 3, Some(("00112233aabb0002", ParentFrom::Path)));
    parent(&street, 4, Some((first, ParentFrom::Route)));
    parent(&street, 5, None);
    let [one, two, three, ..] = street.nodes.as_slice() else { panic!() };
    // The path that is newer says what the link to 2 is like; phases add up, whole turns are none.
    assert_eq!((two.link_cost, two.phase_deg, two.quality()), (Some(11), Some(120), LinkQuality::Fair));
    assert_eq!((three.phase_deg, three.lqi), (Some(240), None));
    // Only what the coordinator hears itself has an LQI here.
    assert_eq!((one.lqi, one.quality()), (Some(60), LinkQuality::Fair));
}

#[test]
fn paths_that_contradict_each_other_make_no_circle() {
    let circle = topology(&[
        traced(1, 5, &[(2, 10, 0), (1, 10, 0)]),
        traced(2, 6, &[(3, 10, 0), (2, 10, 0)]),
        traced(3, 7, &[(1, 10, 0), (3, 10, 0)]),
        routed(4, 1, 4),
    ]);
    let forest = Forest::new(&circle);
    assert_eq!(forest.tree.len() + forest.astray.len(), 4);
}

#[test]
fn the_tree_and_the_graph_are_as_before() {
    let street = street();
    let forest = Forest::new(&street);
    crate::cli::tests::golden("topology.txt", &tree::text(&forest));
    crate::cli::tests::golden("topology.dot", &tree::dot(&forest));
}

#[test]
fn what_changed_is_told() {
    let (older, mut newer) = (street(), street());
    newer.nodes.retain(|node| node.short_addr.as_deref() != Some("0001"));
    newer.nodes[0].parent = Some("0011223344556677".into());
    newer.nodes[1].link_cost = Some(12);
    newer.nodes[4].presence = NodePresence::Alive;
    let diff = Diff::new(&older, &newer);
    let changes: Vec<_> = diff.changes.values().copied().collect();
    assert_eq!(changes, [Change::Lost, Change::Moved, Change::Worse, Change::Joined]);
    crate::cli::tests::golden("topology-diff.txt", &diff.text(&newer));
    assert_eq!(Diff::new(&older, &older).text(&older), "no change since 2025-10-09 08:53:20 UTC\n");
    let picture = svg::draw(&Forest::new(&newer), Some(&diff));
    assert!(picture.contains("moved, was behind 0001"));
}

#[test]
fn the_picture_of_another_network_is_no_older_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, topology: &Topology| {
        let path = directory.path().join(name);
        std::fs::write(&path, serde_json::to_string(topology).unwrap()).unwrap();
        path
    };
    let street = street();
    let (one, other) = (file("one", &street), file("other", &Topology { network: "yard".into(), ..street.clone() }));
    assert_eq!(super::older(&one, &street).unwrap(), street);
    let Failure { exit, error } = super::older(&other, &street).unwrap_err();
    let said = error.unwrap().to_string();
    assert!(exit == Exit::Usage && said.contains("shows another network: \"yard\", PAN 781d"), "{said}");
}

#[test]
fn names_from_outside_are_text_in_the_picture() {
    let mut street = street();
    street.network = "</title><script>".into();
    street.nodes[0].meter = "\"&<b>\u{1b}[2J".into();
    let picture = svg::draw(&Forest::new(&street), None);
    assert!(!picture.contains("<script") && !picture.contains("<b>") && !picture.contains('\u{1b}'));
}

/// Where marks are drawn.
fn places(picture: &str) -> Vec<(usize, usize)> {
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let place = |line: &str| {
        let mark = &line[line.find("class=\"node ")?..];
        match mark.split_once(" cx=\"") {
            Some((_, at)) => Some((number(at)?, number(at.split_once("cy=\"")?.1)?)),
            None => {
                let at = mark.split_once(" d=\"M")?.1;
                Some((number(at)?, number(at.split_once(' ')?.1)?))
            }
        }
    };
    // Of the lines of nodes, not of the legend.
    picture.lines().filter(|line| line.starts_with("<g><title>")).filter_map(place).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_node_hides_another(parents in proptest::collection::vec(any::<u16>(), 1..1500)) {
        let nodes: Vec<NodeLine> = (1u16..).zip(&parents).map(|(number, parent)| {
            match parent % number {
                0 => routed(number, 1, number),
                before => traced(number, i64::from(number), &[(before, 10, 0), (number, 11, 2)]),
            }
        }).collect();
        let topology = topology(&nodes);
        let picture = svg::draw(&Forest::new(&topology), None);
        let mut places = places(&picture);
        prop_assert_eq!(places.len(), nodes.len());
        places.sort_unstable_by_key(|(x, y)| (*y, x / 310));
        prop_assert!(places.windows(2).all(|pair| (pair[0].1, pair[0].0 / 310) != (pair[1].1, pair[1].0 / 310)));
        prop_assert!(places.iter().all(|(x, _)| *x < 1600));
    }
}
