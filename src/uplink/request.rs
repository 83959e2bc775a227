//! Questions and orders to the store, and what is remembered of an open question.

use super::acknowledge::Claim;
use super::lane::Key;
use crate::journal::{AuditEntry, Kept};
use crate::store::{Epoch, Lane};
use crate::wire::v1::command::Operation;

/// What the driver asks of the store. Each with an `id` is answered by the door it names, or by
/// `handle_store_failure`; answers may come in any order.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `Store::unacknowledged`: batches without acknowledgement, of all epochs, oldest first. `handle_batches`.
    Unacknowledged { id: u64, lane: Lane, after: Option<(Epoch, u64)>, limit: usize },
    /// `Store::batches_after`: batches, acknowledged or not. `handle_batches`.
    After { id: u64, epoch: Epoch, lane: Lane, after: u64, limit: usize },
    /// `Store::batch`: the batch that holds the sequence. `handle_batches` with one or none.
    Containing { id: u64, epoch: Epoch, lane: Lane, sequence: u64 },
    /// `Store::is_acknowledged` of the range, and the hash of the batch that ends with `last`. `handle_examined`.
    Examine { id: u64, epoch: Epoch, lane: Lane, first: u64, last: u64 },
    /// `Store::heads` and the audit head. `handle_heads`.
    Heads { id: u64 },
    /// `Store::acknowledge`: these whole batches are durable at the head-end. Needs no answer.
    Acknowledge { epoch: Epoch, lane: Lane, ranges: Vec<(u64, u64)> },
    /// One line for the audit chain. Needs no answer.
    Audit(AuditEntry),
    /// `Commands::keep`. `handle_kept`.
    KeepCommand { id: [u8; 16], kept: Kept },
    /// `Commands::forget`. `handle_forgotten` when that is durable.
    ForgetCommands { until_ms: i64 },
    /// `Commands::begin_anew`. `handle_reset`.
    ResetJournal { id: [u8; 16] },
    /// A command to be carried out by others. `handle_done`.
    Order { id: [u8; 16], operation: Operation, not_after_ms: i64 },
}

/// An open question.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// `head` is the lane's head when it was asked.
    Fetch {
        lane: Lane,
        class: Class,
        head: u64,
    },
    Republish {
        lane: Lane,
        key: Key,
    },
    Resend {
        command: [u8; 16],
        is_after: bool,
    },
    /// `hole` is the part of the claim that we know nothing of; None where we do not know its end.
    Examine {
        claim: Claim,
        hole: Option<(u64, u64)>,
    },
    Heads,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Sealed since the connection stands.
    Fresh,
    Backlog,
}
