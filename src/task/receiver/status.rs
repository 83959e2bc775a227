//! What a receiver's task makes known: the frames, and how it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use wmbus::receiver::{Counters, Identity};

use super::outbox::Sending;
use super::recovery::Stage;
use crate::clock::Now;

/// One frame and how it was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub receiver: Arc<str>,
    /// L field first.
    pub frame: Vec<u8>,
    /// What the receiver leaves of the CRCs, where it is known.
    pub form: Option<wmbus::Form>,
    pub rssi_dbm: Option<i16>,
    /// When its last octet was read.
    pub at: Now,
}

/// What is known of a receiver, for whoever asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub state: State,
    pub since: Now,
    /// Why it does not listen, with the whole chain; None while it does.
    pub error: Option<String>,
    /// Who it said that it was, last time.
    pub identity: Identity,
    pub last_heard: Option<Now>,
    /// Since the start of the service.
    pub counters: Counters,
    /// Telegrams an hour that it usually hears at this time; None before that is known.
    pub expected: Option<u64>,
    /// It hears nothing, and should.
    pub is_deaf: bool,
    /// What was done to make it work again, and how often.
    pub recoveries: BTreeMap<Stage, u64>,
    pub sending: Sending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The source is not there; it is tried again and again.
    Absent,
    /// The source is open, the receiver does not answer yet.
    Starting,
    Receiving,
}

impl Status {
    /// It works as far as anybody can tell.
    pub fn is_well(&self) -> bool {
        self.state == State::Receiving && !self.is_deaf
    }

    pub fn new(now: Now) -> Self {
        Self {
            state: State::Absent,
            since: now,
            error: None,
            identity: Identity::default(),
            last_heard: None,
            counters: Counters::default(),
            expected: None,
            is_deaf: false,
            recoveries: BTreeMap::new(),
            sending: Sending::default(),
        }
    }
}
