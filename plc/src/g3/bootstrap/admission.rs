//! Who may join.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Eui64, Key};

/// What becomes of a node that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may prove that it has this key.
    Admit(Key),
    /// It is told that it may not.
    Decline,
    /// It is told nothing, and asks again; the server in the modem declines it, as it would keep a place there.
    Hold,
}

/// Looks up who may join. It is asked at every attempt, and at every rekey.
pub trait Admission: fmt::Debug + Send {
    fn verdict(&self, eui64: Eui64) -> Verdict;
}

/// A list of pre-shared keys: who is not on it is held.
impl Admission for BTreeMap<Eui64, Key> {
    fn verdict(&self, eui64: Eui64) -> Verdict {
        self.get(&eui64).map_or(Verdict::Hold, |psk| Verdict::Admit(*psk))
    }
}
