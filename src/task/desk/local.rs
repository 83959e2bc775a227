//! What somebody at the unit itself orders is audited, as the head-end's commands are.

use crate::control::{ChannelAsk, MeshAsk, MeshSaid, Reply, Request};

/// What a request changes, in words; None for one that only asks. No key is in it.
pub(super) fn words(request: &Request) -> Option<String> {
    Some(match request {
        Request::Order { meter, action, .. } => format!("order {action:?} to meter {meter:?}"),
        Request::CancelOrder { order } => format!("cancel order {order}"),
        Request::Bind { meter, wanted: true } => format!("bind meter {meter:?}"),
        Request::Bind { meter, wanted: false } => format!("do not bind meter {meter:?} any more"),
        Request::Replace { old, new } => format!("replace meter {old:?} by {new:?}"),
        Request::Remove { meter } => format!("remove meter {meter:?}"),
        Request::Restore { meter } => format!("restore meter {meter:?}"),
        Request::HandOver { meter } => format!("hand meter {meter:?} over"),
        Request::TakeOver { handover } => format!("take meter {:?} over from {:?}", handover.meter, handover.unit),
        Request::Channel { ask: ChannelAsk::Show, .. } => return None,
        Request::Channel { meter, channel, ask } => {
            let whom = match ask {
                ChannelAsk::Install { behind: Some(behind), .. } => format!(" {behind:?}"),
                ChannelAsk::SetKey(key) => format!(" of {:?}", key.behind),
                _ => String::new(),
            };
            format!("{}{whom}, channel {channel} of meter {meter:?}", ask.name())
        }
        Request::Mesh { network, ask } => {
            let what = match ask {
                // Only the last part changes something.
                MeshAsk::Import { part: Some(part), .. } if !part.is_last => return None,
                MeshAsk::Import { .. } => "import nodes into".to_owned(),
                MeshAsk::Admit { node } => format!("admit {node:?} of"),
                MeshAsk::Deny { node } => format!("deny {node:?} of"),
                MeshAsk::Kick { node } => format!("kick {node:?} of"),
                MeshAsk::Rekey => "rekey".to_owned(),
                MeshAsk::Trace { node } => format!("trace the route to {node:?} of"),
                MeshAsk::Refresh { node } => format!("refresh the route to {node:?} of"),
                MeshAsk::Pin { node, next_hop } => format!("hold the route to {node:?} at {next_hop:?} of"),
                MeshAsk::Release { node } => format!("release the route to {node:?} of"),
                MeshAsk::Blacklist { node, is_blacklisted: true } => format!("let no route go over {node:?} of"),
                MeshAsk::Blacklist { node, .. } => format!("let routes go over {node:?} of"),
                MeshAsk::Status | MeshAsk::Nodes | MeshAsk::Routes | MeshAsk::History { .. } => return None,
            };
            format!("{what} network {network:?}")
        }
        _ => return None,
    })
}

/// What came of it.
pub(super) fn result(reply: &Reply) -> String {
    match reply {
        Reply::Refused(refusal) => format!("failed: {}", refusal.message),
        Reply::Mesh(MeshSaid::Imported { added, changed, same }) => {
            format!("succeeded: {added} added, {changed} changed, {same} known")
        }
        Reply::Mesh(MeshSaid::RekeyBegun { generation, .. }) => format!("succeeded: key {generation}"),
        _ => "succeeded".to_owned(),
    }
}
