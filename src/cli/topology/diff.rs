//! What became of each node between two pictures of a network.

use std::collections::BTreeMap;

use super::tree::short;
use crate::cli::text::{Table, counted, utc};
use crate::control::{Topology, TopologyNode};

/// What became of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// In the network now, and not before.
    Joined,
    /// Not in the network any more.
    Lost,
    /// Behind another node.
    Moved,
    /// On a link of a worse class.
    Worse,
    Better,
}

/// The changes of a network, by EUI-64.
#[derive(Debug)]
pub(super) struct Diff<'a> {
    older: &'a Topology,
    before: BTreeMap<&'a str, &'a TopologyNode>,
    pub(super) changes: BTreeMap<&'a str, Change>,
}

impl<'a> Diff<'a> {
    pub(super) fn new(older: &'a Topology, newer: &'a Topology) -> Self {
        let by_eui64 = |topology: &'a Topology| -> BTreeMap<&'a str, &'a TopologyNode> {
            topology.nodes.iter().map(|node| (node.eui64.as_str(), node)).collect()
        };
        let (before, after) = (by_eui64(older), by_eui64(newer));
        let mut changes = BTreeMap::new();
        for eui64 in before.keys().chain(after.keys()) {
            let change = change(before.get(eui64).copied(), after.get(eui64).copied());
            changes.extend(change.map(|change| (*eui64, change)));
        }
        Self { older, before, changes }
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
        for (eui64, change) in &self.changes {
            let (before, now) = (self.before.get(eui64), after.get(eui64));
            let said = |node: Option<&&TopologyNode>, parent: Option<String>| match change {
                Change::Joined | Change::Lost => {
                    node.map_or_else(|| "-".to_owned(), |node| node.presence.name().to_owned())
                }
                Change::Moved => parent.map_or_else(|| "-".to_owned(), |parent| format!("behind {parent}")),
                Change::Worse | Change::Better => {
                    node.map_or_else(|| "-".to_owned(), |node| node.quality().name().to_owned())
                }
            };
            let any = now.or(before);
            let parent_now = now.and_then(|node| node.parent.as_deref()).map(short_of);
            table.row([
                (*eui64).to_owned(),
                any.map_or_else(String::new, |node| short(node).to_owned()),
                any.map_or_else(String::new, |node| node.meter.clone()),
                change.name().to_owned(),
                said(before, self.parent_before(eui64).map(ToOwned::to_owned)),
                said(now, parent_now),
            ]);
        }
        let count = counted(self.changes.len() as u64, "change");
        let since = utc(self.older.at_ms);
        match self.changes.is_empty() {
            true => format!("no change since {since}\n"),
            false => format!("{count} since {since}\n\n{}", table.text()),
        }
    }
}

impl Change {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Lost => "lost",
            Self::Moved => "moved",
            Self::Worse => "worse",
            Self::Better => "better",
        }
    }
}

fn change(before: Option<&TopologyNode>, now: Option<&TopologyNode>) -> Option<Change> {
    let is_joined = |node: Option<&TopologyNode>| node.is_some_and(TopologyNode::is_joined);
    match (is_joined(before), is_joined(now)) {
        (false, true) => return Some(Change::Joined),
        (true, false) => return Some(Change::Lost),
        (false, false) => return None,
        (true, true) => {}
    }
    let (before, now) = (before?, now?);
    // A way that was not known is not another one.
    if before.parent.is_some() && now.parent.is_some() && before.parent != now.parent {
        return Some(Change::Moved);
    }
    use crate::control::LinkQuality::Unknown;
    match (before.quality(), now.quality()) {
        (Unknown, _) | (_, Unknown) => None,
        (before, now) if before < now => Some(Change::Worse),
        (before, now) if before > now => Some(Change::Better),
        _ => None,
    }
}
