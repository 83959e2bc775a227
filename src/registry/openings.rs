//! Meters whose maker delivers them with a key that everybody knows, while the unit has none of theirs.
//!
//! What checks such a cipher are seven or eight bits, and which telegrams of a meter with a key of its own seem to open
//! depends on that key alone: of one meter in five hundred all short ones do. Where more is in a telegram than a total, it
//! must fit together, which is no chance. So one that does not open closes a meter that has not proven itself, and a run of
//! short ones proves next to nothing.

use std::collections::HashMap;

use crate::reading::{MeterId, Security};

/// What the meters have shown in this run; who is closed is kept elsewhere, durably.
#[derive(Debug)]
pub(super) struct Openings {
    limit: usize,
    meters: HashMap<MeterId, Run>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// Telegrams that opened and cannot have by chance, since the meter was closed.
    proofs: u8,
    /// Other ones that opened, since one did not.
    opened: u8,
    /// Telegrams that did not open, since one was a proof.
    failed: u8,
    /// Of the last: its copies say nothing new.
    digest: Option<u64>,
}

/// A telegram of a meter without a key of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried {
    pub(super) security: Security,
    /// That it opened is no chance.
    pub(super) is_proof: bool,
    pub(super) digest: u64,
}

/// What is to be thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thought {
    /// That it opened is chance, as far as one can tell.
    pub(super) is_chance: bool,
    /// The meter has a key of its own, as far as one can tell.
    pub(super) is_closed: bool,
}

impl Openings {
    /// Remembers at most `limit` meters.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, meters: HashMap::new() }
    }

    /// Judges a telegram of a meter that was closed before, or was not.
    pub(super) fn judge(&mut self, id: MeterId, tried: Tried, was_closed: bool) -> Thought {
        let known = self.meters.get(&id);
        if known.is_none() && self.meters.len() >= self.limit {
            // Without what it has shown no one knows better than what is kept.
            let is_opened = tried.security == Security::Decrypted;
            return Thought { is_chance: was_closed && is_opened, is_closed: was_closed };
        }
        let mut run = known.copied().unwrap_or_default();
        let is_copy = run.digest.replace(tried.digest) == Some(tried.digest);
        let thought = run.judge(tried, is_copy, was_closed);
        self.meters.insert(id, run);
        thought
    }
}

impl Run {
    fn judge(&mut self, Tried { security, is_proof, .. }: Tried, is_copy: bool, was_closed: bool) -> Thought {
        let more = u8::from(!is_copy);
        match security {
            Security::NoKey | Security::WrongKey => {
                (self.failed, self.opened) = (self.failed.saturating_add(more), 0);
                let is_closed = was_closed || self.proofs == 0 || self.failed >= DAMAGED;
                if is_closed {
                    self.proofs = 0;
                }
                Thought { is_chance: false, is_closed }
            }
            Security::Decrypted => {
                if is_proof {
                    (self.proofs, self.failed) = (self.proofs.saturating_add(more), 0);
                } else {
                    self.opened = self.opened.saturating_add(more);
                }
                let is_closed = was_closed && self.proofs < PROOFS && self.opened < OPENED;
                Thought { is_chance: is_closed, is_closed }
            }
            _ => Thought { is_chance: false, is_closed: was_closed },
        }
    }
}

/// Telegrams that cannot open by chance open a meter that was closed.
const PROOFS: u8 = 2;
/// So does a run of others as long as this: who sends nothing else is not lost for ever because of a forged one.
const OPENED: u8 = 64;
/// A meter that has proven that it has its maker's key is not closed by fewer telegrams that do not open.
const DAMAGED: u8 = 3;
