//! What became of each node between two pictures of a network.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::forest::Forest;
use super::tree::{link, short};
use crate::cli::text::{Table, counted, printable, utc};
use crate::control::{COST_MARGIN, LQI_MARGIN, Silence, Topology, TopologyNode};

/// What became of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// In the network now, and not before.
    Joined,
    /// Not in the network any more.
    Lost,
    /// It does not answer any more, with others or alone, or answers again.
    Out,
    Unreachable,
    Back,
    /// Nothing is known of its way any more.
    Astray,
    /// Behind another node.
    Moved,
    /// On a link of a worse class.
    Worse,
    Better,
    /// No route of the coordinator is to go over it any more, or may again: beside whatever else became of it.
    Banned,
    Allowed,
}

/// The changes of a network, by EUI-64.
#[derive(Debug)]
pub(super) struct Diff<'a> {
    older: &'a Topology,
    before: BTreeMap<&'a str, &'a TopologyNode>,
    pub(super) changes: BTreeMap<&'a str, Change>,
    /// Who was put on the blacklist or taken from it.
    bans: BTreeMap<&'a str, Change>,
}

impl<'a> Diff<'a> {
    pub(super) fn new(older: &'a Topology, newer: &'a Topology) -> Self {
        let by_eui64 = |topology: &'a Topology| -> BTreeMap<&'a str, &'a TopologyNode> {
            topology.nodes.iter().map(|node| (node.eui64.as_str(), node)).collect()
        };
        let (before, after) = (by_eui64(older), by_eui64(newer));
        let (placed, is_placed) = (placed(older), placed(newer));
        let (mut changes, mut bans) = (BTreeMap::new(), BTreeMap::new());
        for eui64 in before.keys().chain(after.keys()) {
            let is_astray = placed.contains(eui64) && !is_placed.contains(eui64);
            let change = change(before.get(eui64).copied(), after.get(eui64).copied(), is_astray);
            changes.extend(change.map(|change| (*eui64, change)));
            let is_banned =
                |nodes: &BTreeMap<&str, &TopologyNode>| nodes.get(eui64).is_some_and(|it| it.is_blacklisted);
            match (is_banned(&before), is_banned(&after)) {
                (false, true) => drop(bans.insert(*eui64, Change::Banned)),
                (true, false) => drop(bans.insert(*eui64, Change::Allowed)),
                _ => {}
            }
        }
        Self { older, before, changes, bans }
    }

    /// What became of one node, most weighty first.
    pub(super) fn of(&self, eui64: &str) -> impl Iterator<Item = Change> + '_ {
        self.changes.get(eui64).into_iter().chain(self.bans.get(eui64)).copied()
    }

    /// Who stood before it in the older picture.
    pub(super) fn parent_before(&self, eui64: &str) -> Option<&'a str> {
        let parent = self.before.get(eui64)?.parent.as_deref()?;
        Some(self.before.get(parent).map_or("0000", |node| short(node)))
    }

    /// One line a change.
    pub(super) fn text(&self, newer: &Topology) -> String {
        let after: BTreeMap<&str, &TopologyNode> = newer.nodes.iter().map(|node| (node.eui64.as_str(), node)).collect();
        let short_of = |eui64: &str| after.get(eui64).map_or("0000", |node| short(node)).to_owned();
        let mut table = Table::new(&["node", "short", "meter", "change", "before", "now"]);
        let nodes: BTreeSet<&str> = self.changes.keys().chain(self.bans.keys()).copied().collect();
        let each = |eui64| self.of(eui64).map(move |change| (eui64, change));
        let all: Vec<(&str, Change)> = nodes.into_iter().flat_map(each).collect();
        for (eui64, change) in &all {
            let (before, now) = (self.before.get(eui64), after.get(eui64));
            let said = |node: Option<&&TopologyNode>, parent: Option<String>| match change {
                Change::Joined | Change::Lost => {
                    node.map_or_else(|| "-".to_owned(), |node| node.presence.name().to_owned())
                }
                Change::Astray | Change::Moved => {
                    parent.map_or_else(|| "-".to_owned(), |parent| format!("behind {parent}"))
                }
                Change::Out | Change::Unreachable | Change::Back => {
                    let said = |node: &TopologyNode| node.out().unwrap_or_else(|| node.presence.name().to_owned());
                    node.map_or_else(|| "-".to_owned(), |node| printable(&said(node)))
                }
                Change::Banned | Change::Allowed => {
                    node.map_or("-", |node| if node.is_blacklisted { "blacklisted" } else { "not" }).to_owned()
                }
                Change::Worse | Change::Better => node.and_then(|node| link(node)).unwrap_or_else(|| "-".to_owned()),
            };
            let any = now.or(before);
            // Who stands behind somebody of whom nothing is known has a parent, and no way.
            let parent_now =
                now.and_then(|node| node.parent.as_deref()).map(short_of).filter(|_| *change != Change::Astray);
            table.row([
                (*eui64).to_owned(),
                any.map_or_else(String::new, |node| short(node).to_owned()),
                any.map_or_else(String::new, |node| node.meter.clone()),
                change.name().to_owned(),
                said(before, self.parent_before(eui64).map(ToOwned::to_owned)),
                said(now, parent_now),
            ]);
        }
        let count = counted(all.len() as u64, "change");
        let since = utc(self.older.at_ms);
        let is_link = |(_, change): &(&str, Change)| matches!(change, Change::Worse | Change::Better);
        let rule = match all.iter().any(is_link) {
            true => format!(
                "\nworse, better: more than LQI {LQI_MARGIN} or cost {COST_MARGIN} beyond the class that it had\n"
            ),
            false => String::new(),
        };
        match all.is_empty() {
            true => format!("no change since {since}\n"),
            false => format!("{count} since {since}\n\n{}{rule}", table.text()),
        }
    }
}

impl Change {
    pub(super) const ALL: [Self; 11] = [
        Self::Joined,
        Self::Lost,
        Self::Out,
        Self::Unreachable,
        Self::Back,
        Self::Astray,
        Self::Moved,
        Self::Worse,
        Self::Better,
        Self::Banned,
        Self::Allowed,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Lost => "lost",
            Self::Out => "out",
            Self::Unreachable => "unreachable",
            Self::Back => "back",
            Self::Astray => "way unknown",
            Self::Moved => "moved",
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Banned => "blacklisted",
            Self::Allowed => "blacklisted no more",
        }
    }

    /// Its name in the picture's style sheet.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Astray => "astray",
            // `banned` is the ring around who is.
            Self::Banned => "barred",
            Self::Allowed => "unbarred",
            _ => self.name(),
        }
    }
}

/// Who stands somewhere in the tree: of the others something on the way is unknown.
fn placed(topology: &Topology) -> BTreeSet<&str> {
    Forest::new(topology).tree.iter().map(|twig| twig.node.eui64.as_str()).collect()
}

fn change(before: Option<&TopologyNode>, now: Option<&TopologyNode>, is_astray: bool) -> Option<Change> {
    let is_joined = |node: Option<&TopologyNode>| node.is_some_and(TopologyNode::is_joined);
    match (is_joined(before), is_joined(now)) {
        (false, true) => return Some(Change::Joined),
        (true, false) => return Some(Change::Lost),
        (false, false) => return None,
        (true, true) => {}
    }
    let (before, now) = (before?, now?);
    match (before.silence(), now.silence()) {
        (before, now) if before == now => {}
        (_, Some(Silence::Out)) => return Some(Change::Out),
        (_, Some(Silence::Unreachable)) => return Some(Change::Unreachable),
        (_, None) => return Some(Change::Back),
    }
    if is_astray {
        return Some(Change::Astray);
    }
    // A way that was not known is not another one.
    if before.parent.is_some() && now.parent.is_some() && before.parent != now.parent {
        return Some(Change::Moved);
    }
    match now.link_since(before) {
        Ordering::Less => Some(Change::Worse),
        Ordering::Greater => Some(Change::Better),
        Ordering::Equal => None,
    }
}
