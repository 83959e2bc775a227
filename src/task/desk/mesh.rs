//! Questions about mesh networks, and what the head-end is told of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Desk, ask, ask_within};
use crate::config::electricity::Meter;
use crate::control::{MeshAsk, MeshSaid, MeshStatus, Refusal, RefusalKind, Reply};
use crate::reading::MeterId;
use crate::task::{plc, topology};
use crate::uplink::Snapshot;

impl Desk {
    /// Is there an uplink, and are there networks to tell it of?
    pub(super) fn is_seen(&self) -> bool {
        self.config.uplink.is_some() && !self.config.plc.is_empty()
    }

    pub(super) async fn tell_topology(&self) {
        let mut snapshot = Snapshot::default();
        let behind = behind(&self.config.electricity.meters);
        for (number, (_, network)) in (0..).zip(&self.networks) {
            let question = |ask| move |reply| plc::Question::Ask(ask, reply);
            let status = ask(network, question(MeshAsk::Status), "the network").await;
            let mut nodes = ask(network, question(MeshAsk::Nodes), "the network").await;
            if let Ok(Ok(said)) = &mut nodes {
                name(said, &behind);
            }
            // What it was is not what it is: where one does not answer, nothing is said this time.
            let (Ok(Ok(MeshSaid::Status(status))), Ok(Ok(MeshSaid::Nodes { nodes }))) = (status, nodes) else { return };
            snapshot.networks.push(topology::network(&status));
            snapshot.nodes.extend(nodes.iter().filter_map(|node| topology::node(number, node)));
        }
        snapshot.networks.extend(self.failed_networks.iter().map(topology::network));
        // Without an uplink nobody is told.
        drop(self.topology.send(Arc::new(snapshot)));
    }

    /// What a network answers; one that does not run says why. Where there is one network, it need not be named.
    pub(super) fn mesh(&self, network: &str, mut ask: MeshAsk) -> impl Future<Output = Reply> + Send + use<> {
        let network = match self.config.plc.as_slice() {
            [only] if network.is_empty() => &only.name,
            _ => network,
        };
        let door = self.networks.iter().find(|(name, _)| name == network).map(|(_, door)| door.clone());
        let failed = self.failed_networks.iter().find(|status| status.network == network).cloned();
        let missing = Refusal::new(RefusalKind::NotFound, format!("no network {network:?} is configured"));
        let behind = behind(&self.config.electricity.meters);
        // A node may be named by the meter that is configured behind it.
        if let Some(node) = ask.node_mut() {
            let word = node.to_ascii_lowercase();
            let named = behind.iter().find(|(_, meter)| **meter == word);
            named.into_iter().for_each(|(eui64, _)| node.clone_from(eui64));
        }
        async move {
            match (door, failed) {
                (Some(door), _) => match ask_network(&door, ask).await {
                    Reply::Mesh(mut said) => {
                        name(&mut said, &behind);
                        Reply::Mesh(said)
                    }
                    reply => reply,
                },
                (None, Some(status)) if ask == MeshAsk::Status => Reply::Mesh(MeshSaid::Status(Box::new(status))),
                (None, Some(MeshStatus { network, error, .. })) => {
                    let why = error.unwrap_or_default();
                    Refusal::new(RefusalKind::Failed, format!("network {network} does not run: {why}")).into()
                }
                (None, None) => missing.into(),
            }
        }
    }

    /// How each network is; one that does not answer is left out.
    pub(super) async fn meshes(&self) -> Vec<MeshStatus> {
        let mut networks = Vec::new();
        for (_, network) in &self.networks {
            let question = |reply| plc::Question::Ask(MeshAsk::Status, reply);
            if let Ok(Ok(MeshSaid::Status(status))) = ask(network, question, "the network").await {
                networks.push(*status);
            }
        }
        networks.extend(self.failed_networks.iter().cloned());
        networks
    }
}

/// Electricity meters by the EUI-64 of the node that they are configured behind.
fn behind(meters: &[Meter]) -> BTreeMap<String, String> {
    let named = |meter: &Meter| Some((meter.node?.to_string(), MeterId::SystemTitle(meter.id).to_string()));
    meters.iter().filter_map(named).collect()
}

/// Names the meters that are configured behind nodes: nobody else knows them.
fn name(said: &mut MeshSaid, behind: &BTreeMap<String, String>) {
    let meter = |meter: &mut String, eui64: &str| {
        let configured = behind.get(eui64).filter(|_| meter.is_empty());
        configured.into_iter().for_each(|configured| meter.clone_from(configured));
    };
    match said {
        MeshSaid::Nodes { nodes } => {
            nodes.iter_mut().for_each(|node| node.electricity_meter = behind.get(&node.eui64).cloned());
        }
        MeshSaid::Routes { routes } => {
            let known = routes.iter_mut().filter_map(|route| Some((&mut route.meter, route.eui64.as_deref()?)));
            known.for_each(|(of, eui64)| meter(of, eui64));
        }
        MeshSaid::History(history) => meter(&mut history.meter, &history.node),
        _ => {}
    }
}

async fn ask_network(network: &mpsc::Sender<plc::Question>, ask: MeshAsk) -> Reply {
    let silent = "the network does not answer: see `dcu mesh status`".to_owned();
    let said = ask_within(PATIENCE, network, |reply| plc::Question::Ask(ask, reply), silent).await;
    said.and_then(|said| said).map_or_else(Into::into, Reply::Mesh)
}

/// A path discovery takes 40 s at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{RouteHistory, RouteLine};

    #[test]
    fn routes_have_the_names_of_configured_meters_where_the_site_gives_none() {
        let (node, meter) = ("02005eff0000002f", "4d4d4d0000bc614e");
        let behind = BTreeMap::from([(node.to_owned(), meter.to_owned())]);
        let route = |eui64: Option<&str>, meter: &str| RouteLine {
            destination: "0007".into(),
            eui64: eui64.map(ToOwned::to_owned),
            meter: meter.to_owned(),
            next_hop: "0007".into(),
            cost: 7,
            hops: 1,
            weak_links: 0,
            medium: None,
            valid_min: 30,
        };
        let routes = vec![route(Some(node), ""), route(Some(node), "flat 3"), route(None, "")];
        let mut said = MeshSaid::Routes { routes };
        name(&mut said, &behind);
        let MeshSaid::Routes { routes } = said else { panic!() };
        assert_eq!(routes.iter().map(|route| route.meter.as_str()).collect::<Vec<_>>(), [meter, "flat 3", ""]);
        let history = RouteHistory {
            node: node.to_owned(),
            short_addr: "0007".into(),
            meter: String::new(),
            next_hop: None,
            hops: None,
            traced_hops: None,
            fault: None,
            held: None,
            is_blacklisted: false,
            alternates: Vec::new(),
            changes: Vec::new(),
        };
        let mut said = MeshSaid::History(Box::new(history));
        name(&mut said, &behind);
        assert!(matches!(said, MeshSaid::History(history) if history.meter == meter));
    }
}
