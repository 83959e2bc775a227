//! Commands: who may, and when. Those of the uplink itself are carried out here: send a range again, make a checkpoint.

use std::collections::BTreeSet;

use prost::Message as _;

use super::request::{Asked, Request};
use super::schedule::Next;
use super::{Flying, Topic, Uplink, order};
use crate::clock::Now;
use crate::journal::AuditEntry;
use crate::reading::{EventKind, TimeQuality};
use crate::store::{Batch, Epoch, Lane};
use crate::wire::signed::{self, Verified};
use crate::wire::v1::{self, command::Operation, command_state::State};

/// A range that is being sent again.
#[derive(Debug)]
pub(super) struct Job {
    command: [u8; 16],
    epoch: Epoch,
    lane: Lane,
    /// The next sequence to be sent, and the last one.
    next: u64,
    last: u64,
    /// The batch with `next`, fetched.
    ready: Option<Batch>,
    /// `next` is not stored: the batch after it is looked for.
    is_after: bool,
    /// First sequences of the batches in flight.
    flying: BTreeSet<u64>,
    /// The lowest sequence that is not stored.
    missing: Option<u64>,
    batches: u64,
}

/// A command that was answered, and how.
#[derive(Debug)]
pub(super) struct Answered {
    id: [u8; 16],
    state: v1::CommandState,
}

impl Uplink {
    pub(super) fn command(&mut self, octets: &[u8], now: Now) {
        let opened = signed::open::<v1::Command>(octets, &self.trust).map_err(|error| error.to_string());
        let command = opened.and_then(|verified| {
            let id = <[u8; 16]>::try_from(verified.message.id.as_slice());
            id.map(|id| (id, verified)).map_err(|_| "a command's id has 16 octets".to_owned())
        });
        let (id, verified) = match command {
            Ok(command) => command,
            Err(detail) => {
                self.figures.commands_refused += 1;
                return self.event(EventKind::Unit { code: "uplink.command_refused".into(), detail }, now.mono);
            }
        };
        self.figures.commands += 1;
        if let Some(state) = self.state_of(&id).cloned() {
            return self.publish_answer(id, &state);
        }
        self.begun = verified.message.operation.as_ref().map(|operation| (id, order::ordered(operation)));
        let accepted = self.accept(id, &verified, now);
        let who = verified
            .signers
            .iter()
            .map(|signer| format!("{} {}", signer.name, signer.id))
            .collect::<Vec<_>>()
            .join(" ");
        let what = format!("command {}: {}", hex::encode(id), words(&verified.message.operation));
        let decision = accepted.map_or_else(|code| format!("rejected ({code})"), |()| "accepted".to_owned());
        self.audit(who, what, decision, String::new(), now);
        if let Err(code) = accepted {
            self.figures.commands_refused += 1;
            self.answer(id, State::Rejected, code, clocks(code, &verified.message, now.utc_ms), 0, now);
        }
    }

    fn state_of(&self, id: &[u8; 16]) -> Option<&v1::CommandState> {
        let answered = self.answered.iter().find(|answered| answered.id == *id).map(|answered| &answered.state);
        answered.or_else(|| self.book.state(id))
    }

    /// What a command wants, as [`order::ordered`] has it; 0 where that is not known.
    pub(super) fn ordered_by(&self, id: &[u8; 16]) -> u32 {
        let begun = self.begun.filter(|(begun, _)| begun == id).map(|(_, ordered)| ordered);
        begun.or_else(|| self.state_of(id).map(|state| state.ordered)).unwrap_or(0)
    }

    pub(super) fn audit(&mut self, who: String, what: String, decision: String, result: String, now: Now) {
        self.requests.push_back(Request::Audit(AuditEntry { utc_ms: now.utc_ms, who, what, decision, result }));
    }

    fn accept(&mut self, id: [u8; 16], verified: &Verified<v1::Command>, now: Now) -> Result<(), &'static str> {
        let command = &verified.message;
        if command.dcu != self.topics.dcu() {
            return Err("another_dcu");
        }
        let operation = command.operation.as_ref().ok_or("unsupported")?;
        let (roles, wanted) = order::signers(operation);
        match verified.signers_with(roles, self.topics.dcu()) {
            0 => return Err("bad_role"),
            signers if signers < wanted => return Err("needs_two_signatures"),
            _ => {}
        }
        if now.quality != TimeQuality::Unsynchronised {
            is_in_time(command, now.utc_ms)?;
        }
        match operation {
            Operation::Resend(resend) => self.accept_resend(id, resend, now),
            Operation::Checkpoint(_) if self.checkpoint_for.len() >= MOST_JOBS => Err("busy"),
            Operation::Checkpoint(_) => {
                self.checkpoint_due = now.mono;
                self.answer(id, State::Accepted, "", String::new(), 0, now);
                self.checkpoint_for.push(id);
                Ok(())
            }
            operation => self.accept_order(id, command, operation, now),
        }
    }

    fn accept_resend(&mut self, id: [u8; 16], resend: &v1::Resend, now: Now) -> Result<(), &'static str> {
        let lane = u8::try_from(resend.lane).ok().and_then(Lane::from_number).ok_or("bad_range")?;
        if resend.first == 0 || resend.first > resend.last || resend.last == u64::MAX {
            return Err("bad_range");
        }
        if self.jobs.len() >= MOST_JOBS {
            return Err("busy");
        }
        self.jobs.push_back(Job {
            command: id,
            epoch: Epoch(resend.epoch),
            lane,
            next: resend.first,
            last: resend.last,
            ready: None,
            is_after: false,
            flying: BTreeSet::new(),
            missing: None,
            batches: 0,
        });
        self.answer(id, State::Accepted, "", String::new(), 0, now);
        Ok(())
    }

    /// Publishes the next batch of the oldest resend, or asks for it.
    pub(super) fn send_job(&mut self, now: Now) -> Next {
        let is_asked = self.asked.values().any(|asked| matches!(asked, Asked::Resend { .. }));
        let lanes = &self.lanes;
        let Some(job) = self.jobs.front_mut() else { return Next::Nothing };
        if job.next > job.last || lanes.get(&job.lane).is_none_or(|queue| !queue.is_open(now.mono)) {
            return Next::Nothing;
        }
        let Job { command, epoch, lane, next, .. } = *job;
        if let Some(batch) = job.ready.take() {
            job.next = batch.last().saturating_add(1);
            job.flying.insert(batch.first);
            self.figures.republished += 1;
            self.transmit_batch(lane, batch.octets.into(), Flying::Resent { command, lane, first: batch.first });
            return Next::Sent;
        }
        let is_after = job.is_after;
        if !is_asked {
            self.ask(Asked::Resend { command, is_after }, |id| {
                if is_after {
                    Request::After { id, epoch, lane, after: next, limit: 1 }
                } else {
                    Request::Containing { id, epoch, lane, sequence: next }
                }
            });
        }
        Next::Nothing
    }

    pub(super) fn resend_fetched(&mut self, command: [u8; 16], is_after: bool, batches: Vec<Batch>) {
        let Some(job) = self.job(command) else { return };
        let batch = batches.into_iter().find(|batch| batch.last() >= job.next);
        match batch {
            Some(batch) if !is_after && batch.first <= job.next => job.ready = Some(batch),
            Some(batch) if is_after && batch.first <= job.last => {
                job.next = job.next.max(batch.first);
                job.ready = Some(batch);
                job.is_after = false;
            }
            _ if is_after => {
                job.next = job.last.saturating_add(1);
                job.is_after = false;
            }
            _ => {
                job.missing = Some(job.missing.map_or(job.next, |missing| missing.min(job.next)));
                job.is_after = true;
            }
        }
    }

    pub(super) fn resent_puback(&mut self, id: u64, command: [u8; 16], lane: Lane, first: u64, reason: u8, now: Now) {
        if reason == 0 {
            self.opened(lane, now);
            if let Some(job) = self.job(command) {
                job.flying.remove(&first);
                job.batches += 1;
            }
        } else {
            self.closed(id, lane, reason, now);
            self.rewind(command, first);
        }
    }

    /// The batch that begins with `first` did not reach the broker.
    pub(super) fn rewind(&mut self, command: [u8; 16], first: u64) {
        if let Some(job) = self.job(command) {
            job.flying.remove(&first);
            job.next = job.next.min(first);
            job.ready = None;
            job.is_after = false;
        }
    }

    /// Answers the oldest resend when all of it is with the broker. False: there is none to answer.
    pub(super) fn finish_job(&mut self, now: Now) -> bool {
        let is_done = |job: &&Job| job.next > job.last && job.flying.is_empty();
        let Some(Job { command, missing, batches, .. }) = self.jobs.front().filter(is_done) else { return false };
        let (command, missing, batches) = (*command, *missing, *batches);
        self.jobs.pop_front();
        match missing {
            None => self.answer(command, State::Succeeded, "", String::new(), batches, now),
            Some(first) => {
                let detail = format!("record {first} is not stored");
                self.answer(command, State::Failed, "range_not_stored", detail, batches, now);
            }
        }
        true
    }

    pub(super) fn answer(&mut self, id: [u8; 16], state: State, code: &str, detail: String, batches: u64, now: Now) {
        let state = v1::CommandState { batches, ..self.command_state(id, state, code, detail, now) };
        self.told(id, state, now);
    }

    /// Publishes how a command stands, and remembers it.
    pub(super) fn told(&mut self, id: [u8; 16], state: v1::CommandState, now: Now) {
        self.publish_answer(id, &state);
        let code = &state.code;
        let result = match state.state() {
            State::Succeeded => Some("succeeded".to_owned()),
            State::Failed => Some(format!("failed ({code})")),
            State::Indeterminate => Some(format!("indeterminate ({code})")),
            _ => None,
        };
        if let Some(result) = result {
            let what = format!("command {}", hex::encode(id));
            self.audit(self.topics.dcu().to_owned(), what, String::new(), result, now);
        }
        if self.keep(id, &state) {
            return;
        }
        match self.answered.iter_mut().find(|answered| answered.id == id) {
            Some(answered) => answered.state = state,
            None => {
                self.answered.truncate(MOST_ANSWERED - 1);
                self.answered.push_front(Answered { id, state });
            }
        }
    }

    pub(super) fn publish_answer(&mut self, id: [u8; 16], state: &v1::CommandState) {
        debug_assert!(state.encoded_len() < 4096, "answers are short");
        let octets = signed::sign(state, &[&self.key]);
        self.push_control(Topic::CommandState(id), octets.into());
    }

    fn job(&mut self, command: [u8; 16]) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.command == command)
    }
}

fn is_in_time(command: &v1::Command, utc_ms: i64) -> Result<(), &'static str> {
    let (begin, end) = (command.not_before_ms, command.not_after_ms);
    if end.checked_sub(begin).is_none_or(|length| !(0..=LONGEST_MS).contains(&length)) {
        Err("window_too_long")
    } else if utc_ms < begin {
        Err("not_yet")
    } else if utc_ms > end {
        Err("expired")
    } else {
        Ok(())
    }
}

/// Where it is a matter of time: the unit's, and the command's own.
pub(super) fn clocks(code: &str, command: &v1::Command, utc_ms: i64) -> String {
    let said = |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string());
    match code {
        "not_yet" | "expired" => format!(
            "the unit's clock says {}, the order is good from {} to {}",
            said(utc_ms),
            said(command.not_before_ms),
            said(command.not_after_ms)
        ),
        _ => String::new(),
    }
}

fn words(operation: &Option<Operation>) -> String {
    operation.as_ref().map_or_else(|| "an operation that is not known".to_owned(), order::words)
}

const LONGEST_MS: i64 = 24 * 3600 * 1000;
const MOST_JOBS: usize = 4;
const MOST_ANSWERED: usize = 256;
