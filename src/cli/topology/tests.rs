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
        outage: None,
        is_unreachable: false,
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
        counted_since_ms: None,
        key_generation: Some(1),
        failure: None,
        asked_ms: None,
        parents: Vec::new(),
        traced_ms: None,
        path: Vec::new(),
        fault: None,
        is_blacklisted: false,
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
    newer.nodes[1].link_cost = Some(13);
    newer.nodes[4].presence = NodePresence::Alive;
    let diff = Diff::new(&older, &newer);
    let changes: Vec<_> = diff.changes.values().copied().collect();
    // Of who stood behind the lost one nobody knows the way.
    assert_eq!(changes, [Change::Lost, Change::Moved, Change::Worse, Change::Astray, Change::Joined]);
    assert_eq!(newer.nodes[1].link_since(&older.nodes[2]), std::cmp::Ordering::Less);
    crate::cli::tests::golden("topology-diff.txt", &diff.text(&newer));
    assert_eq!(Diff::new(&older, &older).text(&older), "no change since 2025-10-09 08:53:20 UTC\n");
    let picture = svg::draw(&Forest::new(&newer), Some(&diff));
    assert!(picture.contains("moved, was behind 0001"));
}

#[test]
fn a_way_that_is_known_no_more_is_a_change() {
    let with = |line: NodeLine| topology(&[routed(1, 1, 1), line]);
    let (known, unknown) = (with(routed(2, 2, 1)), with(node(2, NodePresence::Alive)));
    let diff = Diff::new(&known, &unknown);
    assert_eq!(diff.changes.values().copied().collect::<Vec<_>>(), [Change::Astray]);
    let text = diff.text(&unknown);
    assert!(text.contains("AMM-00000002  way unknown  behind 0001  -\n"), "{text}");
    let picture = svg::draw(&Forest::new(&unknown), Some(&diff));
    assert_eq!(picture.matches("<rect class=\"change astray\"").count(), 2, "it and the legend");
    assert!(picture.contains("way unknown, was behind 0001</title>"));
    // Nor of who stands behind it.
    let behind = |line: NodeLine| topology(&[routed(1, 1, 1), line, routed(3, 2, 2)]);
    let (before, after) = (behind(routed(2, 1, 2)), behind(node(2, NodePresence::Alive)));
    let of_both = Diff::new(&before, &after);
    assert_eq!(of_both.changes.values().copied().collect::<Vec<_>>(), [Change::Astray; 2]);
    let text = of_both.text(&after);
    assert!(text.contains("AMM-00000003  way unknown  behind 0002  -\n"), "{text}");
    // Nothing was known of it before.
    assert!(Diff::new(&unknown, &known).changes.is_empty());
    // Who does not answer is that, above all.
    let out = with(NodeLine { is_unreachable: true, ..node(2, NodePresence::Alive) });
    assert_eq!(Diff::new(&known, &out).changes.values().copied().collect::<Vec<_>>(), [Change::Unreachable]);
}

#[test]
fn who_is_blacklisted_is_marked_everywhere() {
    let banned = NodeLine { is_blacklisted: true, ..routed(2, 1, 2) };
    let topology = topology(&[routed(1, 1, 1), banned]);
    let forest = Forest::new(&topology);
    let text = tree::text(&forest);
    assert!(text.contains("2 of 2 nodes joined; 1 blacklisted\n"), "{text}");
    assert!(text.contains("AMM-00000002  blacklisted, LQI 60 fair\n"), "{text}");
    let dot = tree::dot(&forest);
    assert!(dot.contains("alive\\nblacklisted\", style=solid, peripheries=2]"), "{dot}");
    assert!(dot.contains("double frame: blacklisted") && dot.matches("peripheries").count() == 1, "{dot}");
    let picture = svg::draw(&forest, None);
    let rows: Vec<&str> = picture.lines().filter(|line| line.starts_with("<g><title>")).collect();
    let marked: Vec<bool> = rows.iter().map(|row| row.contains("class=\"banned\"")).collect();
    assert!(marked == [false, true] && rows[1].contains("alive, blacklisted, "), "{rows:?}");
    assert!(picture.contains(">blacklisted: no way over it</text>"));
    let json = serde_json::to_value(&topology).unwrap();
    assert_eq!(json["nodes"][1]["is_blacklisted"], true);
    assert!(json["nodes"][0].get("is_blacklisted").is_none());
}

#[test]
fn a_blacklisting_that_begins_or_ends_is_a_change_beside_others() {
    let with = |is_blacklisted, first: u16| {
        topology(&[routed(1, 1, 1), routed(3, 1, 3), NodeLine { is_blacklisted, ..routed(2, 2, first) }])
    };
    let (free, banned, moved) = (with(false, 1), with(true, 1), with(false, 3));
    let said = |older: &Topology, newer: &Topology| {
        let (diff, forest) = (Diff::new(older, newer), Forest::new(newer));
        (diff.text(newer), svg::draw(&forest, Some(&diff)))
    };
    let (text, picture) = said(&free, &banned);
    assert!(text.starts_with("1 change since") && text.contains("blacklisted  not     blacklisted\n"), "{text}");
    assert!(picture.contains("<rect class=\"change barred\"") && picture.matches(">blacklisted</text>").count() == 2);
    let (text, picture) = said(&banned, &free);
    assert!(text.contains("blacklisted no more  blacklisted  not\n"), "{text}");
    assert!(
        picture.contains(", blacklisted no more</title>")
            && picture.matches(">blacklisted no more</text>").count() == 2
    );
    // What else became of it is told as well.
    let (text, picture) = said(&banned, &moved);
    assert!(text.starts_with("2 changes since"), "{text}");
    assert!(text.contains("moved                behind 0001  behind 0003\n"), "{text}");
    assert!(text.contains("blacklisted no more  blacklisted  not\n"), "{text}");
    assert!(picture.contains("moved, was behind 0001, blacklisted no more</title>"));
    assert_eq!(picture.matches("<rect class=\"change moved\"").count(), 2, "it and the legend");
    assert_eq!(said(&banned, &banned).0, "no change since 2025-10-09 08:53:20 UTC\n");
}

#[test]
fn a_word_at_each_node_says_what_became_of_it_and_the_legend_has_them_all() {
    let (older, mut newer) = (street(), street());
    newer.nodes[2].link_cost = Some(13);
    newer.nodes[5].presence = NodePresence::Alive;
    let diff = Diff::new(&older, &newer);
    assert_eq!(diff.changes.values().copied().collect::<Vec<_>>(), [Change::Worse, Change::Joined]);
    let picture = svg::draw(&Forest::new(&newer), Some(&diff));
    let (legend, rows): (Vec<&str>, Vec<&str>) = picture.lines().partition(|line| !line.starts_with("<g><title>"));
    let remarks = |word: &str| rows.iter().filter(|row| row.contains(&format!(">{word}"))).count();
    assert_eq!((remarks("worse c13"), remarks("joined<"), remarks("lost q60")), (1, 1, 1), "{rows:?}");
    for change in Change::ALL {
        let item = format!("<rect class=\"change {}\" x=\"0\"", change.class());
        assert!(legend.iter().any(|line| line.contains(&item) && line.contains(&format!(">{}", change.name()))));
    }
    assert!(picture.contains(">a word at each node says which<") && picture.contains(">not in the network<"));
    // Nothing of the legend stands beyond the picture, whatever it says.
    for line in legend.iter().filter(|line| line.starts_with("<g transform=\"translate(")) {
        let x: usize = line["<g transform=\"translate(".len()..].split(' ').next().unwrap().parse().unwrap();
        let words = line.rsplit_once("</text>").unwrap().0.rsplit_once('>').unwrap().1;
        assert!(x + 16 + words.chars().count() * 6 < 1_600, "{line}");
    }
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

#[test]
fn who_does_not_answer_is_shown_everywhere_and_counted() {
    let mut lines =
        vec![traced(1, 5, &[(1, 10, 0)]), traced(2, 5, &[(2, 9, 0)]), routed(3, 1, 3), node(4, NodePresence::Lost)];
    lines[0].outage = Some("branch behind 0001".into());
    lines[1].is_unreachable = true;
    // Of who is not in the network, it is that.
    lines[3].is_unreachable = true;
    let (before, after) = (topology(&[routed(1, 1, 1), routed(2, 1, 2), routed(3, 1, 3)]), topology(&lines));
    let forest = Forest::new(&after);
    let text = tree::text(&forest);
    assert!(text.contains("3 of 4 nodes joined, 2 of them not answering\n"), "{text}");
    assert!(text.contains("AMM-00000001  routed, out: branch behind 0001, LQI 60 fair, 0°\n"), "{text}");
    assert!(text.contains("AMM-00000002  routed, unreachable, LQI 60 fair, 0°\n"), "{text}");
    let dot = tree::dot(&forest);
    assert!(
        dot.contains("2 of them not answering")
            && dot.contains("out: branch behind 0001\", style=dashed, color=magenta"),
        "{dot}"
    );
    assert_eq!(dot.matches("-> \"00112233aabb").count(), dot.matches("[color=").count());
    assert_eq!(dot.matches("[color=magenta, style=solid").count(), 2);
    let picture = svg::draw(&forest, None);
    let rows: Vec<&str> = picture.lines().filter(|line| line.starts_with("<g><title>")).collect();
    let is_out = |row: &&&str| row.contains("node out silent") && row.contains("link out") && !row.contains("fair");
    // Only the title tells of the link as it was.
    let drawn: Vec<String> = rows.iter().map(|row| row.split_once("</title>").unwrap().1.to_owned()).collect();
    assert_eq!(drawn.iter().map(String::as_str).collect::<Vec<_>>().iter().filter(is_out).count(), 2, "{rows:?}");
    assert!(rows[0].contains("out: branch behind 0001") && rows[1].contains(">unreachable q60 0°<"), "{rows:?}");
    assert!(picture.contains("3 of 4 nodes joined, 2 of them not answering"));
    let json = serde_json::to_value(&after).unwrap();
    assert_eq!(
        (&json["nodes"][0]["outage"], &json["nodes"][1]["is_unreachable"]),
        (&"branch behind 0001".into(), &true.into())
    );
    let diff = Diff::new(&before, &after);
    assert_eq!(diff.changes.values().copied().collect::<Vec<_>>(), [Change::Out, Change::Unreachable]);
    let text = diff.text(&after);
    assert!(text.contains("  out          alive   out: branch behind 0001\n"), "{text}");
    assert!(text.contains("  unreachable  alive   unreachable\n"), "{text}");
    let marked = svg::draw(&forest, Some(&diff));
    assert_eq!(marked.matches("<rect class=\"change unreachable\"").count(), 2, "it and the legend");
    assert!(marked.contains(".change.out{fill:") && marked.contains(".change.unreachable{fill:"));
    let back: Vec<_> = Diff::new(&after, &before).changes.values().copied().collect();
    assert_eq!(back, [Change::Back, Change::Back]);
    // The others are back, and its meter is not; who else is in the outage is no change.
    let with =
        |outage: Option<&str>| NodeLine { outage: outage.map(Into::into), is_unreachable: true, ..routed(1, 1, 1) };
    let [of_all, of_branch, alone] =
        [Some("transformer"), Some("branch behind 0001"), None].map(|of| topology(&[with(of)]));
    let changes = |older, newer| Diff::new(older, newer).changes.values().copied().collect::<Vec<_>>();
    assert_eq!(changes(&of_all, &of_branch), []);
    assert_eq!((changes(&of_all, &alone), changes(&alone, &of_all)), (vec![Change::Unreachable], vec![Change::Out]));
}

/// How a link has changed that had these LQIs back and there, and cost, and has those.
#[track_caller]
fn link_since(
    before: (Option<u8>, Option<u8>, Option<u8>),
    now: (Option<u8>, Option<u8>, Option<u8>),
    expected: std::cmp::Ordering,
) {
    let link = |(lqi, lqi_forward, link_cost)| {
        let mut nodes = topology(&[routed(1, 1, 1)]).nodes;
        crate::control::TopologyNode { lqi, lqi_forward, link_cost, ..nodes.remove(0) }
    };
    assert_eq!(link(now).link_since(&link(before)), expected, "{before:?} {now:?}");
}

#[test]
fn a_link_has_changed_when_it_is_well_beyond_its_class() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let lqi = |back: u8, there: u8| (Some(back), Some(there), None);
    link_since(lqi(72, 90), lqi(60, 90), Equal);
    link_since(lqi(72, 90), lqi(59, 90), Less);
    link_since(lqi(90, 90), lqi(90, 59), Less);
    link_since(lqi(59, 90), lqi(83, 90), Equal);
    link_since(lqi(59, 90), lqi(84, 90), Greater);
    link_since(lqi(52, 52), lqi(40, 52), Equal);
    link_since(lqi(52, 52), lqi(39, 52), Less);
    // Only what both know counts.
    link_since((Some(90), None, None), lqi(90, 30), Equal);
    link_since((Some(90), None, None), (None, None, Some(14)), Equal);
    link_since((Some(90), None, Some(9)), (None, None, Some(14)), Less);
    link_since((None, None, Some(9)), (Some(20), None, Some(14)), Less);
    link_since((None, Some(67), None), lqi(51, 89), Equal);
    let cost = |cost| (None, None, Some(cost));
    link_since(cost(10), cost(11), Equal);
    link_since(cost(10), cost(12), Less);
    link_since(cost(12), cost(11), Equal);
    link_since(cost(12), cost(10), Greater);
    link_since((None, None, None), cost(20), Equal);
}

#[test]
fn the_label_of_a_link_has_the_lqi_that_its_colour_goes_by() {
    let lines = [NodeLine { lqi: Some(90), lqi_forward: Some(60), ..routed(1, 1, 1) }];
    let topology = topology(&lines);
    let picture = svg::draw(&Forest::new(&topology), None);
    let row = picture.lines().find(|line| line.starts_with("<g><title>")).unwrap();
    assert!(row.contains("link fair") && row.contains(">q60<"), "{row}");
    assert!(row.contains("LQI 60 there, 90 back, fair"), "{row}");
    assert!(picture.contains("fair: LQI 52 to 71, else cost 11") && picture.contains("LQI, the worse of both ways"));
}

#[test]
fn what_the_coordinator_hears_of_a_node_behind_another_is_not_of_its_link() {
    let heard = |line: NodeLine| NodeLine { lqi: Some(40), lqi_forward: Some(30), ..line };
    let street = topology(&[routed(1, 1, 1), heard(traced(2, 5, &[(1, 10, 0), (2, 9, 0)])), heard(routed(3, 2, 1))]);
    let links = street.nodes.iter().skip(1).map(|node| (node.worse_lqi(), node.quality()));
    assert_eq!(links.collect::<Vec<_>>(), [(None, LinkQuality::Good), (None, LinkQuality::Unknown)]);
}

#[test]
fn a_way_that_nobody_traced_looks_otherwise_and_says_how_long_it_is() {
    let topology = topology(&[routed(1, 1, 1), routed(2, 2, 1), routed(3, 5, 1)]);
    let forest = Forest::new(&topology);
    let picture = svg::draw(&forest, None);
    let rows: Vec<&str> = picture.lines().filter(|line| line.starts_with("<g><title>")).collect();
    assert_eq!(rows.iter().map(|row| row.contains(" far\"")).collect::<Vec<_>>(), [false, false, true], "{rows:?}");
    assert!(rows[2].contains(">5 hops<"), "{rows:?}");
    let dot = tree::dot(&forest);
    assert!(
        dot.contains("style=dotted, label=\"5 hops, not traced\"") && dot.contains("nodes between were not traced"),
        "{dot}"
    );
}

#[test]
fn who_does_not_answer_stands_where_it_was_though_its_route_is_gone() {
    use crate::control::ParentLine;
    let parents = vec![ParentLine { since_ms: 1, next_hop: "0001".into(), until_ms: Some(2) }];
    let gone = |number, presence| NodeLine { parents: parents.clone(), ..node(number, presence) };
    let topology = topology(&[
        routed(1, 1, 1),
        NodeLine { outage: Some("branch behind 0001".into()), ..gone(2, NodePresence::Routed) },
        gone(3, NodePresence::Lost),
        gone(4, NodePresence::Alive),
    ]);
    let first = "00112233aabb0001";
    parent(&topology, 2, Some((first, ParentFrom::Earlier)));
    parent(&topology, 3, Some((first, ParentFrom::Earlier)));
    parent(&topology, 4, None);
    let forest = Forest::new(&topology);
    assert!(tree::text(&forest).contains("out: branch behind 0001, way as it was\n"), "{}", tree::text(&forest));
    assert!(svg::draw(&forest, None).contains("link out far"));
    assert!(tree::dot(&forest).contains("color=magenta, style=dotted"));
}

#[test]
fn a_node_has_the_name_that_the_configuration_gives_its_meter() {
    let configured = Some("4d4d4d0000bc614e".to_owned());
    let topology = topology(&[
        NodeLine { meter: String::new(), electricity_meter: configured.clone(), ..routed(1, 1, 1) },
        NodeLine { electricity_meter: configured, ..routed(2, 1, 2) },
        NodeLine { meter: String::new(), ..routed(3, 1, 3) },
    ]);
    let names: Vec<&str> = topology.nodes.iter().map(|node| node.meter.as_str()).collect();
    assert_eq!(names, ["4d4d4d0000bc614e", "AMM-00000002", ""]);
    let forest = Forest::new(&topology);
    let dot = tree::dot(&forest);
    assert!(dot.contains("\"0001 4d4d4d0000bc614e\\nalive\"") && dot.contains("\"0003\\nalive\""), "{dot}");
    assert!(tree::text(&forest).contains("4d4d4d0000bc614e") && svg::draw(&forest, None).contains("4d4d4d0000bc614e"));
}

#[test]
fn hops_that_a_modem_does_not_count_are_those_of_the_path() {
    let street = topology(&[
        NodeLine { hops: Some(0), ..traced(2, 5, &[(1, 10, 0), (2, 10, 0)]) },
        NodeLine { hops: Some(0), ..routed(1, 0, 1) },
        routed(3, 0, 1),
    ]);
    assert_eq!(street.nodes.iter().map(|node| node.hops).collect::<Vec<_>>(), [Some(2), Some(1), None]);
}

#[test]
fn a_name_comes_before_what_is_remarked_beside_it() {
    let path: Vec<(u16, u8, u8)> = (1..=12).map(|number| (number, 10, 2)).collect();
    let row = |depth: usize, name: &str, outage: Option<&str>, is_unreachable| {
        let meter = name.to_owned();
        let last = NodeLine {
            meter,
            outage: outage.map(Into::into),
            is_unreachable,
            ..traced(depth as u16, 5, &path[..depth])
        };
        let above = (1..depth).map(|number| traced(number as u16, 5, &path[..number]));
        let picture = svg::draw(&Forest::new(&topology(&above.chain([last]).collect::<Vec<_>>())), None);
        let row = picture.lines().rfind(|line| line.starts_with("<g><title>")).unwrap().to_owned();
        let (title, drawn) = row.split_once("</title>").unwrap();
        assert!(title.contains(&format!("cost 10 good, {}°", 120 * depth % 360)), "{title}");
        let between = |text: &str, end: &str| text.split(end).next().unwrap().rsplit('>').next().unwrap().to_owned();
        (between(drawn, "</tspan>"), between(drawn, "</text></g>"))
    };
    let name = "AMM-1234567890AB";
    for (depth, outage, is_unreachable, remark) in [
        (2, None, true, "unreachable c10 240°"),
        (5, None, true, "unreachable c10"),
        (7, None, true, "unreachable"),
        (8, None, true, "unreacha…"),
        (8, Some("phase at 0 degrees"), false, "out c10"),
        (8, None, false, "c10 240°"),
        (12, None, true, ""),
        (12, Some("phase at 0 degrees"), false, "out"),
        (12, None, false, "c10"),
    ] {
        assert_eq!(row(depth, name, outage, is_unreachable), (name.to_owned(), remark.to_owned()), "{depth}");
    }
    // What is longer than all the room there is.
    let long = "a name of more letters than any line has room for, 64 of them";
    let (cut, remark) = row(3, long, None, true);
    assert!(
        long.starts_with(cut.trim_end_matches('…')) && cut.chars().count() > 35 && remark.is_empty(),
        "{cut} {remark}"
    );
}

#[test]
fn who_stands_on_the_path_of_another_one_has_the_hops_of_that() {
    let street = topology(&[
        traced(4, 5, &[(1, 10, 0), (2, 10, 0), (3, 10, 0), (4, 10, 0)]),
        traced(3, 6, &[(2, 10, 0), (3, 10, 0)]),
        node(1, NodePresence::Alive),
        node(2, NodePresence::Alive),
        // Which the routing table counts otherwise.
        NodeLine { hops: Some(5), ..traced(5, 7, &[(2, 10, 0), (5, 10, 0)]) },
    ]);
    let hops: Vec<_> = street.nodes.iter().map(|node| (node.parent_from, node.hops)).collect();
    let by_path = |hops| (Some(ParentFrom::Path), Some(hops));
    // The newest path over 2 has it first.
    assert_eq!(hops, [by_path(4), by_path(2), by_path(1), by_path(1), by_path(5)]);
}

#[test]
fn the_picture_has_its_colours_for_who_knows_no_variables() {
    let picture = svg::draw(&Forest::new(&street()), None);
    assert!(!picture.contains("var("));
    let (light, dark) = picture.split_once("@media(prefers-color-scheme:dark){").unwrap();
    for rule in [".page,.routed{fill:", "text{fill:", ".good{stroke:", ".out{stroke:"] {
        assert!(light.contains(rule) && dark.contains(rule), "{rule}");
    }
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
