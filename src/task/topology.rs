//! What the head-end is told of mesh networks: what they say, in the words of the contract.

use plc::Eui64;

use crate::control::{MeshState, MeshStatus, NodeLine, NodePresence, OutageLine};
use crate::wire::v1::mesh_network::State;
use crate::wire::v1::mesh_node::{Medium, Presence};
use crate::wire::v1::{MeshNetwork, MeshNode, MeshNodeName, MeshOutage};

pub(super) fn network(status: &MeshStatus) -> MeshNetwork {
    let state = match status.state {
        MeshState::Absent => State::Absent,
        MeshState::Starting => State::Starting,
        MeshState::Up => State::Up,
        MeshState::Failed => State::Failed,
    };
    MeshNetwork {
        name: status.network.clone(),
        state: state.into(),
        error: status.error.clone().unwrap_or_default(),
        band: status.band.clone(),
        pan_id: short(&status.pan_id).unwrap_or_default(),
        eui64: eui64(&status.eui64).unwrap_or_default(),
        key_generation: status.key_generation,
        rekey: status.rekey.clone(),
        rekey_missing: status.rekey_missing as u32,
        foreign_pans: status.foreign_pans.iter().filter_map(|pan_id| short(pan_id)).collect(),
        conflict_ms: status.conflict_ms,
        outages: status.outages.iter().map(outage).collect(),
    }
}

fn outage(line: &OutageLine) -> MeshOutage {
    MeshOutage {
        scope: line.scope.clone(),
        since_s: line.since_ms.div_euclid(1000),
        out: line.out as u32,
        back: line.back as u32,
    }
}

/// A node of the network of this number.
pub(super) fn node(network: u32, line: &NodeLine) -> Option<MeshNode> {
    let presence = match line.presence {
        NodePresence::Alive => Presence::Alive,
        NodePresence::Routed => Presence::Routed,
        NodePresence::Lost => Presence::Lost,
        NodePresence::Listed => Presence::Listed,
        NodePresence::Denied => Presence::Denied,
        NodePresence::Unlisted => Presence::Unlisted,
    };
    let medium = line.medium.as_deref().map(|medium| if medium == "plc" { Medium::Plc } else { Medium::Rf });
    let seconds = |ms: Option<i64>| ms.map(|ms| ms.div_euclid(1000));
    let mut before_s = 0;
    let since = |since_ms: i64| {
        let since_s = since_ms.div_euclid(1000);
        since_s - std::mem::replace(&mut before_s, since_s)
    };
    Some(MeshNode {
        name: Some(MeshNodeName { network, eui64: eui64(&line.eui64)? }),
        presence: presence.into(),
        short_addr: line.short_addr.as_deref().and_then(short),
        meter: line.name().to_owned(),
        joined_s: seconds(line.joined_ms),
        heard_s: seconds(line.heard_ms),
        asked_s: seconds(line.asked_ms),
        failure: line.failure.clone().unwrap_or_default(),
        joins: line.joins,
        losses: line.losses,
        key_generation: line.key_generation,
        hops: line.hops.map(u32::from),
        weak_links: line.weak_links.map(u32::from),
        next_hop: line.next_hop.as_deref().and_then(short),
        parent: line.parent.as_deref().and_then(short),
        medium: medium.map(i32::from),
        lqi_forward: line.lqi_forward.map(u32::from),
        lqi_reverse: line.lqi.map(u32::from),
        modulation_type: line.modulation_type.map(u32::from),
        modulation_scheme: line.modulation_scheme.map(u32::from),
        phase_differential: line.phase_differential.map(u32::from),
        parent_since_s: line.parents.iter().map(|parent| parent.since_ms).map(since).collect(),
        parent_short_addr: line.parents.iter().filter_map(|parent| short(&parent.next_hop)).collect(),
        outage: line.outage.clone(),
        meter_unreachable: line.is_unreachable.then_some(true),
        blacklisted: line.is_blacklisted.then_some(true),
    })
}

fn eui64(text: &str) -> Option<u64> {
    text.parse::<Eui64>().ok().map(|eui64| u64::from_be_bytes(eui64.0))
}

fn short(text: &str) -> Option<u32> {
    u16::from_str_radix(text, 16).ok().map(u32::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_out_or_blacklisted_and_whose_meter_is_unreachable_is_published() {
        let line = |outage: Option<&str>, is_unreachable: bool| -> NodeLine {
            let line = json!({
                "eui64": "02005eff0000002f", "short_addr": "0007", "meter": "flat 3", "presence": "alive",
                "outage": outage, "is_unreachable": is_unreachable, "joined_ms": null, "heard_ms": 5_000, "lqi": null,
                "hops": null, "next_hop": null, "weak_links": null, "joins": 0, "losses": 0, "key_generation": null,
                "failure": null, "asked_ms": null,
            });
            serde_json::from_value(line).unwrap()
        };
        let of = |line: NodeLine| {
            let node = node(0, &line).unwrap();
            (node.outage, node.meter_unreachable)
        };
        assert_eq!(of(line(None, false)), (None, None));
        assert_eq!(of(line(Some("transformer"), false)), (Some("transformer".to_owned()), None));
        assert_eq!(of(line(None, true)), (None, Some(true)));
        let banned = |is_blacklisted| node(0, &NodeLine { is_blacklisted, ..line(None, false) }).unwrap().blacklisted;
        assert_eq!((banned(true), banned(false)), (Some(true), None));
        let outages = vec![OutageLine { scope: "transformer".into(), since_ms: 61_999, out: 8, back: 1 }];
        let published = network(&MeshStatus { outages, ..MeshStatus::default() }).outages;
        assert_eq!(published, [MeshOutage { scope: "transformer".into(), since_s: 61, out: 8, back: 1 }]);
    }
}
