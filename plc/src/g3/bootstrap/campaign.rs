//! The rotation of the group master key: distribute, activate, switch, grace.
//!
//! Every phase is durable before anything of it leaves, and everything in a phase may be done twice: a service that is
//! killed goes on where it was. The coordinator keeps both keys until the grace is over. Who was absent misses the new
//! key, loses the network, and joins again as after any loss.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Member;
use crate::g3::modem::Keyring;
use crate::{Eui64, Key};

/// The keys of a network and how far their rotation is. Keep it, and hand it to the next life of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    pub keyring: Keyring,
    /// Of the newest key. A member with a lower one has yet to get it.
    pub generation: u32,
    pub phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Settled,
    /// Every node gets the new key.
    Distribute,
    /// Every node that has it is told to use it.
    Activate,
    /// The coordinator uses it, and still understands the old one.
    Grace,
}

/// How long each phase waits for those who do not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub distribute: Duration,
    pub activate: Duration,
    pub grace: Duration,
}

/// What is done with a node in a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Distribute,
    Activate,
}

#[derive(Debug)]
pub(super) struct Campaign {
    patience: Patience,
    /// When the phase ends without those who do not answer; settled, when who was not heard since is told again.
    deadline: Option<Instant>,
    activated: BTreeSet<Eui64>,
    /// Who did not answer: when it is tried again, and how often it was.
    retries: BTreeMap<Eui64, (Option<Instant>, u32)>,
}

impl Patience {
    /// So long for those who do not get the key, as long again until the old one is forgotten, and between them a quarter
    /// of it for those who have it.
    pub fn within(time: Duration) -> Self {
        Self { distribute: time, activate: time / 4, grace: time }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::within(HOUR * 24)
    }
}

impl Ring {
    /// A network with its first key.
    pub const fn new(gmk: Key) -> Self {
        Self { keyring: Keyring::new(gmk), generation: 1, phase: Phase::Settled }
    }

    /// The generation of the key that a node gets when it joins.
    pub(super) const fn active_generation(&self) -> u32 {
        match self.phase {
            Phase::Distribute | Phase::Activate => self.generation.saturating_sub(1),
            Phase::Settled | Phase::Grace => self.generation,
        }
    }

    /// The place of the newest key.
    pub const fn newest(&self) -> u8 {
        match self.phase {
            Phase::Distribute | Phase::Activate => self.keyring.other(),
            Phase::Settled | Phase::Grace => self.keyring.active,
        }
    }

    /// The ring with a new key to be distributed.
    pub(super) fn with(mut self, gmk: Key) -> Self {
        let place = usize::from(self.keyring.other());
        if let Some(key) = self.keyring.keys.get_mut(place) {
            *key = Some(gmk);
        }
        Self { generation: self.generation + 1, phase: Phase::Distribute, ..self }
    }

    /// The ring in the phase after this one.
    pub(super) fn next(mut self) -> Self {
        match self.phase {
            Phase::Settled => {}
            Phase::Distribute => self.phase = Phase::Activate,
            Phase::Activate => {
                self.keyring.active = self.keyring.other();
                self.phase = Phase::Grace;
            }
            Phase::Grace => {
                let place = usize::from(self.keyring.other());
                if let Some(key) = self.keyring.keys.get_mut(place) {
                    *key = None;
                }
                self.phase = Phase::Settled;
            }
        }
        self
    }
}

impl Campaign {
    pub(super) fn new(phase: Phase, patience: Patience, now: Instant) -> Self {
        let mut campaign = Self { patience, deadline: None, activated: BTreeSet::new(), retries: BTreeMap::new() };
        campaign.enter(phase, SILENCE_TIME, now);
        campaign
    }

    /// `silence` is how long a node may say nothing under the new key before it is doubted that it uses it.
    pub(super) fn enter(&mut self, phase: Phase, silence: Duration, now: Instant) {
        self.retries.clear();
        if phase == Phase::Distribute {
            self.activated.clear();
        }
        let time = match phase {
            Phase::Settled => silence,
            Phase::Distribute => self.patience.distribute,
            Phase::Activate => self.patience.activate,
            Phase::Grace => self.patience.grace,
        };
        self.deadline = Some(now + time);
    }

    /// What a node still needs.
    pub(super) fn task(&self, ring: &Ring, member: &Member) -> Option<Task> {
        let has_key = member.key_generation >= ring.generation;
        match ring.phase {
            _ if !member.may_be_joined() => None,
            // The activation is not acknowledged: only what a node says under the new key proves that it uses it.
            Phase::Settled => (self.deadline.is_none() && has_key && member.active_generation < ring.generation)
                .then_some(Task::Activate),
            Phase::Distribute | Phase::Activate if !has_key => Some(Task::Distribute),
            Phase::Distribute => None,
            Phase::Activate | Phase::Grace => {
                (has_key && !self.activated.contains(&member.eui64)).then_some(Task::Activate)
            }
        }
    }

    /// It did not answer in this phase, once at least.
    pub(super) fn was_tried(&self, eui64: Eui64) -> bool {
        self.retries.contains_key(&eui64)
    }

    pub(super) fn may_try(&self, eui64: Eui64, now: Instant) -> bool {
        self.retries.get(&eui64).is_none_or(|(at, _)| at.is_none_or(|at| at <= now))
    }

    pub(super) fn succeeded(&mut self, eui64: Eui64, task: Task, phase: Phase, now: Instant) {
        match (task, phase) {
            (Task::Activate, Phase::Settled) => return self.failed(eui64, now),
            (Task::Activate, _) => drop(self.activated.insert(eui64)),
            (Task::Distribute, _) => {}
        }
        self.retries.remove(&eui64);
    }

    pub(super) fn failed(&mut self, eui64: Eui64, now: Instant) {
        let tries = self.retries.get(&eui64).map_or(0, |(_, tries)| *tries);
        let pause = RETRY_TIME * 2u32.saturating_pow(tries.min(MAX_DOUBLINGS));
        self.retries.insert(eui64, (Some(now + pause), tries + 1));
    }

    /// What was taken to be done may not have been: it is done again.
    pub(super) fn doubt(&mut self, eui64: Eui64) {
        self.activated.remove(&eui64);
    }

    /// A node that joins in the middle has the key that it got, and uses it.
    pub(super) fn joined(&mut self, eui64: Eui64, ring: &Ring) {
        self.retries.remove(&eui64);
        if matches!(ring.phase, Phase::Grace) {
            self.activated.insert(eui64);
        } else {
            self.activated.remove(&eui64);
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Pauses that are over are no reason to wake up again.
    pub(super) fn handle_timeout(&mut self, phase: Phase, now: Instant) {
        self.deadline = self.deadline.filter(|deadline| phase != Phase::Settled || *deadline > now);
        for (at, _) in self.retries.values_mut() {
            *at = at.filter(|at| *at > now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retries.values().filter_map(|(at, _)| *at).chain(self.deadline).min()
    }
}

/// A node that is read every quarter of an hour has been heard by then.
pub(super) const SILENCE_TIME: Duration = Duration::from_secs(20 * 60);
const HOUR: Duration = Duration::from_secs(3600);
/// A node that did not answer is tried again after this time, which doubles.
const RETRY_TIME: Duration = Duration::from_secs(60);
const MAX_DOUBLINGS: u32 = 5;
