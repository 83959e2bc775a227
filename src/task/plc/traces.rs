//! A path to a node that was asked for and did not come: what that says of the node, and in which words.

use plc::g3::AdpStatus;
use plc::g3::adp::Hop;
use plc::g3::modem::Refusal as Refused;

use super::Plc;
use super::answers::{Reply, refusal};
use super::routes::both;
use crate::clock::Now;
use crate::control::{Refusal, RefusalKind};

/// What came instead of a path there and back.
#[derive(Debug, Clone, Copy)]
pub(super) enum NoPath<'a> {
    /// The way there, as far as it was heard.
    Part(&'a [Hop]),
    Refused(Refused),
}

impl Plc {
    pub(super) fn no_path(&mut self, node: u16, why: NoPath<'_>, reply: Option<Reply>, now: Now) {
        self.routing.routes.traced(node, None, both(now));
        if why.is_of_node() {
            self.node_probed(node, false, now.mono);
        }
        // A client that hung up wants no answer.
        drop(reply.map(|reply| reply.send(Err(why.said(node)))));
    }
}

impl NoPath<'_> {
    /// It says something of the node, and not only that the modem is busy, or is not there.
    fn is_of_node(self) -> bool {
        match self {
            Self::Part(_) | Self::Refused(Refused::Malformed) => true,
            Self::Refused(refused) => matches!(refused, Refused::Adp(status) if !status.is_transient()),
        }
    }

    fn said(self, node: u16) -> Refusal {
        let unheard = "did not answer the request for its path, or its answer was lost on the way back";
        let text = match self {
            Self::Part(hops) => {
                let way: Vec<_> = hops.iter().map(|hop| format!("{:04x}", hop.short_addr)).collect();
                match hops.last() {
                    Some(last) if last.short_addr == node => {
                        format!(
                            "the request for its path reached node {node:04x} (over {}), and its answer was lost on the way back",
                            way.join(", ")
                        )
                    }
                    Some(_) => format!("node {node:04x} {unheard}: the request was heard as far as {}", way.join(", ")),
                    None => format!("node {node:04x} {unheard}: no hop of the path was heard"),
                }
            }
            Self::Refused(Refused::Adp(AdpStatus::INCOMPLETE_PATH | AdpStatus::TIMEOUT)) => {
                format!("node {node:04x} {unheard}: no hop of the path was heard")
            }
            Self::Refused(refused) => return refusal(refused),
        };
        Refusal::new(RefusalKind::Failed, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_a_path_that_is_not_whole_means_and_how_far_it_was_heard() {
        let hop = |short_addr| Hop {
            short_addr,
            metric_not_supported: 0,
            link_cost: 10,
            phase_differential: 0,
            medium_rx: 0,
            medium_tx: 0,
        };
        let said = |why: NoPath<'_>| why.said(7).message;
        let unheard = "node 0007 did not answer the request for its path, or its answer was lost on the way back";
        assert_eq!(said(NoPath::Part(&[])), format!("{unheard}: no hop of the path was heard"));
        assert_eq!(
            said(NoPath::Part(&[hop(1), hop(0x1a)])),
            format!("{unheard}: the request was heard as far as 0001, 001a")
        );
        assert_eq!(
            said(NoPath::Part(&[hop(1), hop(7)])),
            "the request for its path reached node 0007 (over 0001, 0007), and its answer was lost on the way back"
        );
        let incomplete = NoPath::Refused(Refused::Adp(AdpStatus::INCOMPLETE_PATH));
        assert_eq!(said(incomplete), said(NoPath::Part(&[])));
        let busy = NoPath::Refused(Refused::Adp(AdpStatus::BUSY));
        assert_eq!(said(busy), "the modem says: busy");
        assert_eq!([incomplete.is_of_node(), NoPath::Part(&[]).is_of_node(), busy.is_of_node()], [true, true, false]);
    }
}
