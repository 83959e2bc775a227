//! Commands that others carry out: asked at the desk as a technician would, and answered in the words of the contract.

mod channel;

use std::path::PathBuf;

use plc::Eui64;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};
use wmbus::gateway::End;

use crate::control::{
    Handover, HopLine, MeshAsk, MeshSaid, NodeSecret, PathLine, Refusal, RefusalKind, Reply, Request,
};
use crate::journal::{Commands, JournalError, Kept, Limits};
use crate::registry::{Action, Order, OrderState};
use crate::task::chain;
use crate::task::control::{Query, Who};
use crate::uplink::order::{Known, Outcome, Standing, Standings, action_name};
use crate::wire::columns;
use crate::wire::v1::command::Operation;
use crate::wire::v1::command_state::{Result as Said, State as Stands};
use crate::wire::v1::{NodeOfNetwork, NodesImported, RekeyBegun, TracedHop, TracedPath};

/// A command that is done, and what came of it.
pub(super) type Done = ([u8; 16], Outcome);

/// The command journal, and the way to who carries commands out.
#[derive(Debug)]
pub(in crate::task) struct Orders {
    path: PathBuf,
    /// None: it is damaged.
    commands: Option<Commands>,
    queries: mpsc::Sender<Query>,
    done: mpsc::Sender<Done>,
}

impl Orders {
    /// What is done comes out of the second.
    pub(in crate::task) fn new(
        path: PathBuf,
        commands: Option<Commands>,
        queries: mpsc::Sender<Query>,
    ) -> (Self, mpsc::Receiver<Done>) {
        let (done, done_out) = mpsc::channel(DONE);
        (Self { path, commands, queries, done }, done_out)
    }

    pub(super) fn known(&self) -> Option<Known> {
        self.commands.as_ref().map(|commands| (commands.kept().clone(), commands.limits()))
    }

    /// Makes durable how a command stands. False: it is not.
    pub(super) fn keep(&mut self, id: [u8; 16], kept: Kept) -> bool {
        self.tried("keep a command", |commands| commands.keep(id, kept))
    }

    pub(super) fn forget(&mut self, until_ms: i64) -> bool {
        self.tried("forget commands", |commands| commands.forget(until_ms))
    }

    fn tried(&mut self, what: &str, f: impl FnOnce(&mut Commands) -> Result<(), JournalError>) -> bool {
        match self.commands.as_mut().map(f) {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                warn!(err = %chain(&error), what, "write the command journal");
                false
            }
            None => false,
        }
    }

    pub(super) fn begin_anew(&mut self, now_ms: i64) -> Result<Limits, String> {
        match Commands::begin_anew(&self.path, now_ms) {
            Ok((commands, aside)) => {
                let limits = commands.limits();
                warn!(aside = ?aside, "command journal begun anew by a signed order");
                self.commands = Some(commands);
                Ok(limits)
            }
            Err(error) => {
                error!(err = %chain(&error), "begin the command journal anew");
                Err(chain(&error))
            }
        }
    }

    /// Has a command carried out; [`Done`] says how it ended.
    pub(super) fn order(&self, id: [u8; 16], operation: Operation, left_ms: i64) {
        let (queries, done) = (self.queries.clone(), self.done.clone());
        tokio::spawn(async move {
            let outcome = match request(operation, left_ms) {
                Some(request) => carry_out(&queries, id, request).await,
                None => failed("malformed", "no node or meter is named, or nothing that it is told"),
            };
            // Who is stopping hears of it at the next start: the journal says that it was begun.
            drop(done.send((id, outcome)).await);
        });
    }
}

async fn carry_out(queries: &mpsc::Sender<Query>, id: [u8; 16], request: Request) -> Outcome {
    let (reply, answer) = oneshot::channel();
    if queries.send(Query { request, who: Who::HeadEnd(id), reply }).await.is_err() {
        return failed("busy", "the service is stopping");
    }
    match answer.await {
        Ok(Reply::Mesh(said)) => Outcome::Succeeded(result(&said)),
        Ok(Reply::Orders { .. }) => Outcome::Queued,
        Ok(Reply::Channel(card)) => Outcome::Succeeded(Some(Said::Channel(channel::state(&card)))),
        Ok(Reply::Handover(handover)) => match handover.envelope() {
            Some(envelope) => Outcome::Succeeded(Some(Said::Handover(envelope))),
            None => Outcome::Unknown { detail: "the state cannot be said".to_owned() },
        },
        // A meter was taken over.
        Ok(Reply::Meter(_)) => Outcome::Succeeded(None),
        Ok(Reply::Refused(Refusal { kind, message })) => match kind {
            RefusalKind::Malformed => failed("malformed", message),
            RefusalKind::NotFound => failed("not_found", message),
            RefusalKind::NotPermitted => failed("not_permitted", message),
            RefusalKind::Busy => failed("busy", message),
            RefusalKind::Failed => failed("failed", message),
            RefusalKind::TimedOut => Outcome::Unknown { detail: message },
        },
        Ok(_) => Outcome::Unknown { detail: "something else was answered than was asked".to_owned() },
        Err(_) => Outcome::Unknown { detail: "the service is stopping".to_owned() },
    }
}

fn failed(code: &'static str, detail: impl Into<String>) -> Outcome {
    Outcome::Failed { code, detail: detail.into() }
}

/// How the orders to meters stand that came with commands.
pub(super) fn standings(orders: &[Order]) -> Standings {
    let standing = |order: &Order| {
        let (state, code) = match order.state {
            OrderState::Queued => (Stands::Queued, ""),
            OrderState::Sent => (Stands::Sent, ""),
            OrderState::Delivered => (Stands::Delivered, ""),
            OrderState::Ended(End::Succeeded | End::Confirmed) => (Stands::Succeeded, ""),
            OrderState::Ended(End::Failed(_)) => (Stands::Failed, "refused_by_meter"),
            OrderState::Ended(End::ValveIs(_)) => (Stands::Failed, "valve_differs"),
            OrderState::Ended(End::Expired) => (Stands::Failed, "not_heard"),
            OrderState::Ended(End::Cancelled) => (Stands::Failed, "cancelled"),
            OrderState::Ended(End::NotAnswered) => (Stands::Indeterminate, "no_answer"),
            OrderState::Unsupported => (Stands::Failed, "not_protected"),
            OrderState::NotTimed => (Stands::Failed, "not_timed"),
        };
        Some((order.command?, Standing { state, code, detail: order.state.detail(), order: order.id }))
    };
    orders.iter().filter_map(standing).collect()
}

/// What is asked at the desk; None for what nobody there does. `left_ms`: until it is not to be carried out any more.
fn request(operation: Operation, left_ms: i64) -> Option<Request> {
    let (network, ask) = match operation {
        Operation::ImportNodes(import) => {
            let secret = |node: &crate::wire::v1::NodeKey| NodeSecret {
                eui64: Eui64(node.eui64.to_be_bytes()).to_string(),
                psk: hex::encode(&node.psk),
                meter: node.meter.clone(),
            };
            (import.network.clone(), MeshAsk::Import { nodes: import.nodes.iter().map(secret).collect(), part: None })
        }
        Operation::AdmitNode(order) => one(order.which?, |node| MeshAsk::Admit { node }),
        Operation::DenyNode(order) => one(order.which?, |node| MeshAsk::Deny { node }),
        Operation::KickNode(order) => one(order.which?, |node| MeshAsk::Kick { node }),
        Operation::TraceRoute(order) => one(order.which?, |node| MeshAsk::Trace { node }),
        Operation::RefreshRoute(order) => one(order.which?, |node| MeshAsk::Refresh { node }),
        Operation::Rekey(rekey) => (rekey.network, MeshAsk::Rekey),
        Operation::OrderMeter(order) => {
            let meter = columns::to_meter(order.meter.as_ref()?).ok()?.to_string();
            let (action, expires_s) = (action_name(order.action()), u64::try_from(left_ms / 1000).unwrap_or(0));
            return Action::named(&action).map(|_| Request::Order { meter, action, expires_s });
        }
        Operation::Channel(order) => return channel::request(order),
        Operation::HandOver(order) => {
            let meter = columns::to_meter(order.meter.as_ref()?).ok()?.to_string();
            return Some(Request::HandOver { meter });
        }
        Operation::TakeOver(order) => {
            return Handover::of(&order.handover).map(|handover| Request::TakeOver { handover });
        }
        Operation::Resend(_) | Operation::Checkpoint(_) | Operation::ResetJournal(_) => return None,
    };
    Some(Request::Mesh { network, ask })
}

fn one(which: NodeOfNetwork, ask: impl FnOnce(String) -> MeshAsk) -> (String, MeshAsk) {
    (which.network, ask(which.node))
}

fn result(said: &MeshSaid) -> Option<Said> {
    Some(match said {
        MeshSaid::Imported { added, changed, same } => {
            let [added, changed, same] = [added, changed, same].map(|count| *count as u32);
            Said::Imported(NodesImported { added, changed, same })
        }
        MeshSaid::Done { node, .. } | MeshSaid::Found { node, .. } => Said::Node(eui64(node)?),
        MeshSaid::RekeyBegun { generation, nodes } => {
            Said::Rekey(RekeyBegun { generation: *generation, nodes: *nodes as u32 })
        }
        MeshSaid::Path(path) => Said::Path(traced(path)?),
        MeshSaid::Status(_)
        | MeshSaid::Nodes { .. }
        | MeshSaid::Routes { .. }
        | MeshSaid::History(_)
        | MeshSaid::Blacklisted { .. }
        | MeshSaid::Taken => return None,
    })
}

fn traced(path: &PathLine) -> Option<TracedPath> {
    let hop = |hop: &HopLine| {
        Some(TracedHop {
            short_addr: short(&hop.short_addr)?,
            link_cost: hop.link_cost.into(),
            phase_differential: hop.phase_differential.into(),
            is_rf: hop.medium == "rf",
        })
    };
    Some(TracedPath {
        node: eui64(&path.node)?,
        short_addr: short(&path.short_addr)?,
        forward: path.forward.iter().filter_map(hop).collect(),
        reverse: path.reverse.iter().filter_map(hop).collect(),
    })
}

fn eui64(text: &str) -> Option<u64> {
    text.parse::<Eui64>().ok().map(|eui64| u64::from_be_bytes(eui64.0))
}

fn short(text: &str) -> Option<u32> {
    u16::from_str_radix(text, 16).ok().map(u32::from)
}

const DONE: usize = 16;
