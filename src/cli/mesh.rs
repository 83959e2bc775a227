//! `dcu mesh status|rekey`, and how any mesh noun asks its network.

use clap::Subcommand;

use super::client::{Service, unexpected};
use super::text::{Table, ago, counted, printable};
use super::{Exit, Failure, Out, Outcome};
use crate::control::{BranchLine, MeshAsk, MeshSaid, MeshState, MeshStatus, OutageLine, Reply, Request};

/// PLC and RF mesh networks, and their keys
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  dcu mesh status                       is the network up, who is in it?
  dcu mesh status --json                for a script
  dcu mesh rekey                        give the network a new group master key")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// How the networks are
    ///
    /// Ends with 7 when one of them is not up. Searches for routes are those of the coordinator, and how many of them found
    /// somebody; those that neighbours were made to do are counted apart: nobody tells what such a search found, only
    /// whether the node answered next.
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Give a network a new group master key
    ///
    /// Every node gets the new key, then all are told to use it, then the unit uses it too and still understands the old
    /// one for a day. Who was away all the time joins again. `dcu mesh status` says how far it is.
    Rekey {
        #[command(flatten)]
        common: Common,
    },
}

/// Which network, and how it is asked.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// Which network, by the name in the configuration; may be left out where there is one
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    #[command(flatten)]
    service: Service,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,
}

impl Common {
    /// The same, whose time begins now.
    pub(super) fn anew(&self) -> Self {
        Self { service: self.service.anew(), ..self.clone() }
    }

    /// The network that is meant.
    pub(super) fn network(&self) -> Result<String, Failure> {
        let mut networks = self.networks()?;
        match networks.len() {
            1 => Ok(networks.remove(0)),
            0 => Err(Failure::said(Exit::NotFound, "no network is configured: see [[plc]] in the configuration")),
            _ => Err(Failure::said(Exit::Usage, format!("say which --network: {}", networks.join(", ")))),
        }
    }

    /// The one that is named, or all.
    fn networks(&self) -> Result<Vec<String>, Failure> {
        match &self.network {
            Some(network) => Ok(vec![network.clone()]),
            None => match self.service.ask(Request::Networks)? {
                Reply::Networks { networks } => Ok(networks),
                other => Err(unexpected(&other)),
            },
        }
    }

    /// The clock by which the unit dated its last answer.
    pub(super) fn unit_now(&self) -> i64 {
        self.service.unit_now()
    }

    /// Asks the network that is meant.
    pub(super) fn ask(&self, ask: MeshAsk) -> Result<MeshSaid, Failure> {
        let network = self.network()?;
        self.ask_of(&network, ask)
    }

    pub(super) fn ask_of(&self, network: &str, ask: MeshAsk) -> Result<MeshSaid, Failure> {
        // A path through the mesh takes longer than any other answer.
        let is_far = matches!(
            ask,
            MeshAsk::Trace { .. } | MeshAsk::Refresh { .. } | MeshAsk::Pin { .. } | MeshAsk::Blacklist { .. }
        );
        let request = Request::Mesh { network: network.to_owned(), ask };
        match if is_far { self.service.ask_patiently(request)? } else { self.service.ask(request)? } {
            Reply::Mesh(said) => Ok(said),
            other => Err(unexpected(&other)),
        }
    }
}

pub(super) fn run(args: Args, out: &mut Out) -> Outcome {
    match args.verb {
        Verb::Status { common } => {
            let mut is_up = true;
            let networks = common.networks()?;
            if networks.is_empty() {
                return Err(Failure::said(
                    Exit::NotFound,
                    "no network is configured: see [[plc]] in the configuration",
                ));
            }
            for network in networks {
                let MeshSaid::Status(status) = common.ask_of(&network, MeshAsk::Status)? else { return Err(strange()) };
                is_up &= status.state == MeshState::Up;
                match common.json {
                    true => out.json(&status)?,
                    false => out.text(print(&status, common.unit_now()))?,
                }
            }
            Ok(if is_up { Exit::Done } else { Exit::Degraded })
        }
        Verb::Rekey { common } => {
            let said = common.ask(MeshAsk::Rekey)?;
            let MeshSaid::RekeyBegun { generation, nodes } = said else { return Err(strange()) };
            match common.json {
                true => out.json(&said)?,
                false => {
                    let nodes = counted(nodes as u64, "node");
                    out.line(format!(
                        "key {generation} is being given to {nodes}; `dcu mesh status` says how far it is"
                    ))?;
                }
            }
            Ok(Exit::Done)
        }
    }
}

fn hundredths(percent: u32) -> String {
    format!("{}.{}", percent / 100, percent % 100 / 10)
}

/// Branches that fit a line.
const BRANCHES: usize = 6;

/// The service answered something else than was asked.
pub(super) fn strange() -> Failure {
    Failure::said(Exit::Failed, "the service answered something that was not asked")
}

fn print(status: &MeshStatus, now: i64) -> String {
    let mut items = Table::new(&["", ""]);
    let state = status.state.name();
    let why = status.error.as_deref().map_or(String::new(), |error| format!(": {}", printable(error)));
    items.row(["state".into(), format!("{state} since {}{why}", ago(now, status.since_ms))]);
    items.row(["modem".into(), format!("{}, {}", printable(&status.source), status.band)]);
    if let Some(server) = &status.bootstrap_server {
        items.row([String::new(), format!("bootstrap server in the {server}; {}", counted(status.starts, "start"))]);
    }
    items.row(["pan".into(), format!("{}, coordinator {}", status.pan_id, status.eui64)]);
    if let Some(conflict_ms) = status.conflict_ms {
        items.row([String::new(), format!("conflict: another network has this number, {}", ago(now, conflict_ms))]);
    }
    if !status.foreign_pans.is_empty() {
        items.row([String::new(), format!("others in hearing: {}", status.foreign_pans.join(", "))]);
    }
    let rekey = match status.rekey.as_str() {
        "settled" => String::new(),
        phase => format!("; {phase}, {} without it", counted(status.rekey_missing as u64, "node")),
    };
    items.row(["key".into(), format!("{}{rekey}", status.key_generation)]);
    let MeshStatus { listed, joined, alive, unlisted, .. } = status;
    items.row(["nodes".into(), format!("{joined} of {listed} joined, {alive} heard within the last hour")]);
    if *unlisted > 0 {
        items.row([String::new(), format!("{} asked and not listed", counted(*unlisted as u64, "node"))]);
    }
    if status.out + status.unreachable > 0 {
        let MeshStatus { out, unreachable, .. } = status;
        let silent = out + unreachable;
        let words =
            format!("{silent} of them not answering: {out} in outages, {unreachable} with an unreachable meter");
        items.row([String::new(), words]);
    }
    for OutageLine { scope, since_ms, out, back } in &status.outages {
        let back = if *back > 0 { format!(", {back} back") } else { String::new() };
        let out = counted(*out as u64, "node");
        items.row(["outage".into(), format!("{}: {out} out{back}, {}", printable(scope), ago(now, *since_ms))]);
    }
    for unkept in &status.unkept {
        let advice = "move it away and start the service again";
        items.row(["not kept".into(), format!("{}: {advice}", printable(unkept))]);
    }
    for lost in &status.lost {
        items.row(["lost".into(), printable(lost)]);
    }
    let routes = &status.routes;
    if routes.changes > 0 {
        let [held, banned] = [(routes.held, "held"), (routes.blacklisted, "blacklisted")]
            .map(|(count, word)| if count > 0 { format!(", {count} {word}") } else { String::new() });
        items.row([
            "routes".into(),
            format!("{} bad{held}{banned}, {}", routes.faulty, counted(routes.changes, "change")),
        ]);
        items.row([String::new(), format!("{} of {} found", routes.found, counted(routes.searches, "search"))]);
        if routes.neighbour_searches > 0 {
            let by = counted(routes.neighbour_searches, "search");
            let answered = routes.neighbour_searches_answered;
            items.row([String::new(), format!("{by} by neighbours, the node answered after {answered} of them")]);
        }
        let traced = counted(routes.traces, "path");
        items.row([String::new(), format!("{traced} traced, {} s of airtime", routes.airtime_s)]);
    }
    let polling = &status.polling;
    if polling.sent > 0 {
        let (window, noise) = (hundredths(polling.window_percent), if polling.is_noisy { ", noisy hour" } else { "" });
        let (under_way, waiting) = (polling.under_way, polling.waiting);
        items.row(["requests".into(), format!("{under_way} of {window} under way, {waiting} waiting{noise}")]);
        let done = format!("{} sent, {} answered, {} lost", polling.sent, polling.answered, polling.lost);
        // Branches that do not disturb each other are served at once, so that it may be more than has passed.
        let airtime = format!(
            "{} s of airtime by the model, of all branches together, control {} %",
            polling.airtime_s, polling.control_percent
        );
        items.row([String::new(), format!("{done}; {airtime}")]);
        let branch = |branch: &BranchLine| {
            let name = branch.short_addr.as_deref().unwrap_or(&branch.eui64);
            format!("{name} {} of {}", branch.under_way, hundredths(branch.window_percent))
        };
        let branches: Vec<String> = polling.branches.iter().take(BRANCHES).map(branch).collect();
        items.row(["branches".into(), branches.join(", ")]);
    }
    if !status.rejected.is_empty() {
        let rejected = status.rejected.iter().map(|(reason, count)| format!("{reason} {count}"));
        items.row(["rejected".into(), rejected.collect::<Vec<_>>().join(", ")]);
    }
    if let Some(since_ms) = status.counted_since_ms {
        items.row(["counted".into(), format!("since the service began, {}", ago(now, since_ms))]);
    }
    format!("{}\n\n{}", printable(&status.network), items.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::RouteCounts;

    #[test]
    fn the_status_tells_who_does_not_answer_and_counts_from_the_units_clock() {
        let outage = OutageLine { scope: "branch behind 0017".into(), since_ms: 5_000, out: 3, back: 1 };
        let mut status = MeshStatus { at_ms: 65_000, joined: 100, listed: 100, alive: 96, ..MeshStatus::default() };
        assert!(!print(&status, status.at_ms).contains("not answering"));
        (status.out, status.unreachable, status.outages) = (3, 2, vec![outage]);
        let text = print(&status, status.at_ms);
        assert!(text.contains("5 of them not answering: 3 in outages, 2 with an unreachable meter"), "{text}");
        assert!(text.contains("branch behind 0017: 3 nodes out, 1 back, 1 min ago"), "{text}");
        assert!(!text.contains("counted"), "an older service does not say it: {text}");
        let has = |status: &MeshStatus, words: &str| print(status, status.at_ms).contains(words);
        status.routes = RouteCounts { changes: 1, searches: 4, found: 3, traces: 7, ..RouteCounts::default() };
        assert!(has(&status, "3 of 4 searches found\n") && has(&status, "7 paths traced, 0 s of airtime"));
        assert!(!has(&status, "by neighbours"));
        assert!(!has(&status, "not kept"));
        status.unkept = vec!["open outages: read outages: Is a directory".into()];
        assert!(has(&status, "outages: read outages: Is a directory: move it away and start the service again\n"));
        assert!(!has(&status, "lost"));
        status.lost = vec!["the file of open outages is damaged: it is gone".into()];
        assert!(has(&status, "lost") && has(&status, "the file of open outages is damaged: it is gone\n"));
        (status.routes.neighbour_searches, status.routes.neighbour_searches_answered) = (1, 0);
        assert!(has(&status, "1 search by neighbours, the node answered after 0 of them\n"));
        status.counted_since_ms = Some(5_000);
        let text = print(&status, status.at_ms);
        assert!(text.lines().last().is_some_and(|line| line.starts_with("counted")), "{text}");
        assert!(text.ends_with("since the service began, 1 min ago\n"), "{text}");
    }
}
