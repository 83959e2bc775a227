//! Commands that change something outside the uplink: each carried out at most once, as the command journal remembers.
//!
//! Accepted is a command when that is durable; only then is it handed on. What came of it is durable before it is told.

use std::collections::BTreeMap;

use prost::Message as _;

use super::request::Request;
use super::{Uplink, status};
use crate::clock::Now;
use crate::journal::{Kept, Limits};
use crate::reading::TimeQuality;
use crate::wire::trust::Role;
use crate::wire::v1::channel_order::What;
use crate::wire::v1::command::Operation;
use crate::wire::v1::command_state::State;
use crate::wire::v1::order_meter::Action;
use crate::wire::v1::{self, command_state};
use crate::wire::{columns, hash, signed};

/// What the command journal held when the uplink starts.
pub type Known = (BTreeMap<[u8; 16], Kept>, Limits);

/// The commands that are known, and those under way.
#[derive(Debug)]
pub(super) struct Book {
    /// None: what was carried out is not known.
    known: Option<BTreeMap<[u8; 16], (i64, v1::CommandState)>>,
    limits: Limits,
    /// Accepted, and not durable yet.
    waiting: BTreeMap<[u8; 16], Waiting>,
    /// Handed on.
    under_way: usize,
}

#[derive(Debug)]
struct Waiting {
    operation: Operation,
    not_after_ms: i64,
    state: v1::CommandState,
}

/// How an order to a meter stands, which may take days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    /// As [`v1::CommandState`] has them.
    pub code: &'static str,
    pub detail: String,
    /// The unit's own number of it.
    pub order: u64,
}

/// By the command that each came with.
pub type Standings = BTreeMap<[u8; 16], Standing>;

/// What came of a command that was handed on.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Succeeded(Option<command_state::Result>),
    /// It waits for its meter; `handle_standings` says what becomes of it.
    Queued,
    Failed {
        code: &'static str,
        detail: String,
    },
    /// It may have been carried out, or not.
    Unknown {
        detail: String,
    },
}

impl Book {
    pub(super) fn new(known: Option<Known>) -> Self {
        let (known, limits) = match known {
            Some((kept, limits)) => (Some(kept), limits),
            None => (None, Limits::default()),
        };
        let decoded = |(id, kept): ([u8; 16], Kept)| {
            let state = v1::CommandState::decode(kept.state.as_slice()).unwrap_or_default();
            (id, (kept.not_after_ms, state))
        };
        let known = known.map(|kept| kept.into_iter().map(decoded).collect());
        Self { known, limits, waiting: BTreeMap::new(), under_way: 0 }
    }

    pub(super) fn state(&self, id: &[u8; 16]) -> Option<&v1::CommandState> {
        let waiting = self.waiting.get(id).map(|waiting| &waiting.state);
        waiting.or_else(|| self.known.as_ref()?.get(id).map(|(_, state)| state))
    }
}

impl Uplink {
    /// What a restart interrupted is told so. The journal holds it as open, and no meter's queue has it.
    pub(super) fn interrupted(&mut self, standings: &Standings, now: Now) {
        let known = self.book.known.iter().flatten();
        let open = known.filter(|(id, (_, state))| is_open(state.state()) && !standings.contains_key(*id));
        let open = open.map(|(id, _)| *id);
        for id in open.collect::<Vec<_>>() {
            let detail = "the unit restarted while it was carried out".to_owned();
            let state = self.command_state(id, State::Indeterminate, "restarted", detail, now);
            self.told(id, state, now);
        }
    }

    /// Tells what is new of orders to meters; `standings` has all of them.
    pub fn handle_standings(&mut self, standings: &Standings, now: Now) {
        for (id, Standing { state, code, detail, order }) in standings {
            let known = self.book.known.as_ref().and_then(|known| known.get(id));
            if known.is_some_and(|(_, known)| is_open(known.state()) && known.state() != *state) {
                let result = Some(command_state::Result::MeterOrder(*order));
                let state = v1::CommandState { result, ..self.command_state(*id, *state, code, detail.clone(), now) };
                self.told(*id, state, now);
            }
        }
        self.progress(now);
    }

    /// Accepts a command that changes something, as far as can be said before it is durable.
    pub(super) fn accept_order(
        &mut self,
        id: [u8; 16],
        command: &v1::Command,
        operation: &Operation,
        now: Now,
    ) -> Result<(), &'static str> {
        if now.quality == TimeQuality::Unsynchronised {
            return Err("clock");
        }
        if matches!(operation, Operation::ResetJournal(_)) {
            self.reset(id, now);
            return Ok(());
        }
        let Limits { forgotten_ms, begin_ms } = self.book.limits;
        let Some(known) = self.book.known.as_ref().filter(|_| command.not_before_ms >= begin_ms) else {
            return Err("journal_lost");
        };
        if command.not_after_ms <= forgotten_ms {
            return Err("expired");
        }
        if let Operation::ImportNodes(import) = operation {
            let is_good = |node: &v1::NodeKey| node.psk.len() == 16;
            if import.nodes.is_empty() || import.nodes.len() > MOST_NODES || !import.nodes.iter().all(is_good) {
                return Err("bad_nodes");
            }
        }
        // What is over for a day need not be remembered: nobody asks for it, and its time is over.
        let until_ms = now.utc_ms.saturating_sub(DAY_MS);
        if known.values().any(|(not_after_ms, _)| *not_after_ms <= until_ms) {
            self.requests.push_back(Request::ForgetCommands { until_ms });
        }
        if known.len() >= MOST_KNOWN || self.book.waiting.len() + self.book.under_way >= MOST_UNDER_WAY {
            return Err("busy");
        }
        let state = self.command_state(id, State::Accepted, "", String::new(), now);
        let kept = Kept { not_after_ms: command.not_after_ms, state: state.encode_to_vec() };
        self.requests.push_back(Request::KeepCommand { id, kept });
        let waiting = Waiting { operation: operation.clone(), not_after_ms: command.not_after_ms, state };
        self.book.waiting.insert(id, waiting);
        Ok(())
    }

    /// The answer to `KeepCommand`.
    pub fn handle_kept(&mut self, id: [u8; 16], is_durable: bool, now: Now) {
        // What came of a command is kept, too: that needs no answer.
        let Some(Waiting { operation, not_after_ms, state }) = self.book.waiting.remove(&id) else { return };
        let known = self.book.known.as_mut().filter(|_| is_durable);
        if let Some(known) = known {
            known.insert(id, (not_after_ms, state.clone()));
            self.publish_answer(id, &state);
            self.book.under_way += 1;
            self.requests.push_back(Request::Order { id, operation, not_after_ms });
        } else {
            let what = format!("command {}", hex::encode(id));
            self.audit(self.topics.dcu().to_owned(), what, String::new(), "rejected (not_durable)".to_owned(), now);
            self.answer(id, State::Rejected, "not_durable", String::new(), 0, now);
        }
        self.progress(now);
    }

    /// The answer to `ForgetCommands`, when they are forgotten.
    pub fn handle_forgotten(&mut self, until_ms: i64) {
        self.book.limits.forgotten_ms = self.book.limits.forgotten_ms.max(until_ms);
        if let Some(known) = &mut self.book.known {
            known.retain(|_, (not_after_ms, _)| *not_after_ms > until_ms);
        }
    }

    /// What came of an `Order`.
    pub fn handle_done(&mut self, id: [u8; 16], outcome: Outcome, now: Now) {
        self.book.under_way = self.book.under_way.saturating_sub(1);
        let state = match outcome {
            Outcome::Queued => return self.progress(now),
            Outcome::Succeeded(result) => {
                v1::CommandState { result, ..self.command_state(id, State::Succeeded, "", String::new(), now) }
            }
            Outcome::Failed { code, detail } => self.command_state(id, State::Failed, code, detail, now),
            Outcome::Unknown { detail } => self.command_state(id, State::Indeterminate, "no_answer", detail, now),
        };
        self.told(id, state, now);
        self.progress(now);
    }

    fn reset(&mut self, id: [u8; 16], now: Now) {
        if self.book.known.is_some() {
            return self.answer(id, State::Failed, "not_lost", "the journal is sound".to_owned(), 0, now);
        }
        self.requests.push_back(Request::ResetJournal { id });
    }

    /// The answer to `ResetJournal`: the limits of the new journal, or why there is none.
    pub fn handle_reset(&mut self, id: [u8; 16], limits: Result<Limits, String>, now: Now) {
        match limits {
            Ok(limits) => {
                self.book.limits = limits;
                self.book.known = Some(BTreeMap::new());
                self.answer(id, State::Succeeded, "", String::new(), 0, now);
            }
            Err(detail) => self.answer(id, State::Failed, "failed", detail, 0, now),
        }
        self.progress(now);
    }

    /// Keeps a new state where the command is one of the journal's. False: it is not.
    pub(super) fn keep(&mut self, id: [u8; 16], state: &v1::CommandState) -> bool {
        let Some((not_after_ms, known)) = self.book.known.as_mut().and_then(|known| known.get_mut(&id)) else {
            return false;
        };
        known.clone_from(state);
        let kept = Kept { not_after_ms: *not_after_ms, state: state.encode_to_vec() };
        self.requests.push_back(Request::KeepCommand { id, kept });
        true
    }

    pub(super) fn command_state(
        &self,
        id: [u8; 16],
        state: State,
        code: &str,
        detail: String,
        now: Now,
    ) -> v1::CommandState {
        v1::CommandState {
            id: id.to_vec(),
            dcu: self.topics.dcu().to_owned(),
            state: state.into(),
            code: code.to_owned(),
            detail: detail.chars().take(DETAIL).collect(),
            at: Some(status::received(now)),
            ordered: self.ordered_by(&id),
            ..v1::CommandState::default()
        }
    }
}

/// What tells operations apart, without saying what they are: never 0.
pub fn ordered(operation: &Operation) -> u32 {
    let command = v1::Command { operation: Some(operation.clone()), ..v1::Command::default() };
    let digest = hash(&command.encode_to_vec());
    digest.first_chunk().map_or(1, |octets| u32::from_be_bytes(*octets)).max(1)
}

/// What a meter is told, as the command line and the control socket have it: `close-valve` and so on.
pub fn action_name(action: Action) -> String {
    action.as_str_name().trim_start_matches(ACTION).to_lowercase().replace('_', "-")
}

/// Its opposite.
pub fn action_named(name: &str) -> Option<Action> {
    Action::from_str_name(&format!("{ACTION}{}", name.to_uppercase().replace('-', "_")))
}

const fn is_open(state: State) -> bool {
    matches!(state, State::Accepted | State::Queued | State::Sent | State::Delivered)
}

/// Who may order this, and how many of them must sign.
pub(super) fn signers(operation: &Operation) -> (&'static [Role], usize) {
    match operation {
        Operation::Resend(_) | Operation::Checkpoint(_) => (&[Role::Reader, Role::Ingest], 1),
        Operation::ImportNodes(_) | Operation::AdmitNode(_) | Operation::DenyNode(_) | Operation::KickNode(_) => {
            (&[Role::Installer, Role::CryptoOfficer], 1)
        }
        Operation::OrderMeter(order) => match order.action() {
            Action::RequestData => (&[Role::Reader, Role::Operator], 1),
            Action::SetClock => (&[Role::Operator], 1),
            Action::CloseValve | Action::OpenValve | Action::EnableOpening | Action::Unspecified => {
                (&[Role::Switcher], 1)
            }
        },
        Operation::TraceRoute(_) | Operation::RefreshRoute(_) => (&[Role::Operator, Role::Installer], 1),
        Operation::HandOver(_) | Operation::TakeOver(_) => (&[Role::Installer], 1),
        Operation::Channel(order) => match &order.what {
            None | Some(What::Show(_)) => (&[Role::Reader, Role::Operator, Role::Installer], 1),
            Some(What::SetKey(_)) => (&[Role::CryptoOfficer], 1),
            Some(What::Disconnect(_)) => (&[Role::Switcher], 1),
            // Nobody is there where it opens.
            Some(What::Connect(connect)) => (&[Role::Switcher], if connect.directly { 2 } else { 1 }),
            Some(_) => (&[Role::Installer], 1),
        },
        // They concern everybody in the network, or all that was ever ordered.
        Operation::Rekey(_) | Operation::ResetJournal(_) => (&[Role::CryptoOfficer], 2),
    }
}

/// What a command wants, for the audit. No key is in it.
pub(super) fn words(operation: &Operation) -> String {
    let node = |what: &str, which: &Option<v1::NodeOfNetwork>| {
        let (network, node) = which.as_ref().map_or(("", ""), |which| (&which.network, &which.node));
        format!("{what} {node:?} of network {network:?}")
    };
    match operation {
        Operation::Resend(v1::Resend { epoch, lane, first, last }) => {
            format!("resend {epoch:016x} lane {lane} {first}-{last}")
        }
        Operation::Checkpoint(_) => "checkpoint".to_owned(),
        Operation::ImportNodes(import) => {
            format!("import {} nodes into network {:?}", import.nodes.len(), import.network)
        }
        Operation::AdmitNode(order) => node("admit", &order.which),
        Operation::DenyNode(order) => node("deny", &order.which),
        Operation::KickNode(order) => node("kick", &order.which),
        Operation::Rekey(rekey) => format!("rekey network {:?}", rekey.network),
        Operation::TraceRoute(order) => node("trace the route to", &order.which),
        Operation::RefreshRoute(order) => node("refresh the route to", &order.which),
        Operation::OrderMeter(order) => {
            format!("tell meter {} {}", named(order.meter.as_ref()), action_name(order.action()))
        }
        Operation::ResetJournal(_) => "reset the command journal".to_owned(),
        Operation::HandOver(v1::HandOver { meter }) => format!("hand meter {} over", named(meter.as_ref())),
        Operation::TakeOver(v1::TakeOver { handover }) => {
            let claim = signed::claim::<v1::MeterHandover>(handover).unwrap_or_default();
            format!("take meter {} over from {:?}", named(claim.meter.as_ref()), claim.dcu)
        }
        Operation::Channel(v1::ChannelOrder { meter, channel, what }) => {
            let what = match what {
                None => "nothing",
                Some(What::Show(_)) => "show",
                Some(What::Install(_)) => "install",
                Some(What::Deinstall(_)) => "deinstall",
                Some(What::Capture(_)) => "capture",
                Some(What::ResetAlarm(_)) => "reset-alarm",
                Some(What::SynchronizeClock(_)) => "synchronize-clock",
                Some(What::SetKey(_)) => "set-key",
                Some(What::Disconnect(_)) => "disconnect",
                Some(What::Connect(v1::channel_order::Connect { directly: true })) => "connect directly",
                Some(What::Connect(_)) => "connect",
            };
            format!("{what}, channel {channel} of meter {}", named(meter.as_ref()))
        }
    }
}

fn named(meter: Option<&v1::MeterId>) -> String {
    let meter = meter.and_then(|meter| columns::to_meter(meter).ok());
    meter.map_or_else(|| "that is not named".to_owned(), |meter| meter.to_string())
}

/// What the names of the contract begin with.
const ACTION: &str = "ACTION_";
/// Nodes of one import: they fit a packet.
const MOST_NODES: usize = 4096;
/// Commands that are remembered; more in a day are refused.
const MOST_KNOWN: usize = 4096;
const MOST_UNDER_WAY: usize = 8;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Characters of a text for people.
const DETAIL: usize = 500;
