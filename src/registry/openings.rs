//! Meters whose maker delivers them with a key that everybody knows, while the unit has none of theirs.
//!
//! What checks such a cipher are seven or eight bits: of a meter that was given a key of its own, one telegram in some
//! hundreds would be believed. One that does not open is the proof that it was; from then on many must open in a row.

use std::collections::HashMap;

use crate::reading::{MeterId, Security};

/// Meters of which a telegram did not open.
#[derive(Debug)]
pub(super) struct Openings {
    limit: usize,
    closed: HashMap<MeterId, Run>,
}

/// Telegrams that have opened since one did not.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    opened: u8,
    /// Of the last: its copies prove nothing.
    digest: u64,
}

impl Openings {
    /// Remembers at most `limit` meters.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, closed: HashMap::new() }
    }

    /// Notes a telegram of a meter without a key of ours. True: that it opened is chance, as far as one can tell.
    pub(super) fn is_chance(&mut self, id: MeterId, security: Security, digest: u64) -> bool {
        match security {
            Security::NoKey | Security::WrongKey if self.closed.len() < self.limit || self.closed.contains_key(&id) => {
                self.closed.insert(id, Run::default());
                false
            }
            Security::Decrypted => {
                let Some(run) = self.closed.get_mut(&id) else { return false };
                if run.opened == 0 || run.digest != digest {
                    *run = Run { opened: run.opened + 1, digest };
                }
                let is_chance = run.opened < PROOF;
                if !is_chance {
                    self.closed.remove(&id);
                }
                is_chance
            }
            _ => false,
        }
    }
}

/// Telegrams in a row that do not open by chance: the shortest do so once in 500 times each.
const PROOF: u8 = 4;
