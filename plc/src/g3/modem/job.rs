//! Requests that are answered by a confirm: one is open at a time, it is repeated a few times.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::g3::adp::{Message, Path, Request};
use crate::g3::pib::{Layer, Typed};
use crate::g3::{AdpStatus, MacStatus};

/// The name of something that was asked for: its answer carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    Value(Typed),
    /// Every row of a table that could be read.
    Rows(Vec<Typed>),
    Path(Path),
    /// What was found of a path that is not whole: hops there as far as they go, perhaps none.
    PathPart(Path),
}

/// Why a request was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Adp(AdpStatus),
    Mac(MacStatus),
    /// The modem does not take such a command at all.
    Command(crate::g3::SerialStatus),
    /// A value is not as its type has it, or a path that is said to be found is not there.
    Malformed,
    /// The modem was lost, or did not answer: nobody knows.
    Unknown,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Adp(status) => status.fmt(f),
            Self::Mac(status) => status.fmt(f),
            Self::Command(status) => status.fmt(f),
            Self::Malformed => f.write_str("malformed value"),
            Self::Unknown => f.write_str("no answer"),
        }
    }
}

/// One step of the start: what follows when it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) request: Request,
    pub(super) need: Need,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Must,
    /// A modem that has it must take it; one that keeps it to itself need not.
    MustIfKnown,
    May,
}

/// Whom an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Start(Need),
    /// INITIALIZE and the question for the generation.
    Handshake,
    /// The watch over the modem and its counters.
    Watch,
    /// New keys for a running modem.
    Keys,
    User(Ticket),
}

/// Something to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) purpose: Purpose,
    pub(super) request: Request,
    /// Rows until now, where a table is read: its request is for the next index.
    pub(super) rows: Option<Vec<Typed>>,
}

/// Jobs of one kind, of which one is open.
#[derive(Debug)]
pub(super) struct Lane {
    waiting: VecDeque<Job>,
    open: Option<Open>,
    /// So often in a row INITIALIZE was not answered: it gets twice the time with each.
    silences: u32,
    /// See `Config::pace`.
    pace: u32,
}

#[derive(Debug)]
struct Open {
    job: Job,
    tries: u32,
    due: Instant,
}

/// What became of the open job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on: a table has another row.
    Again(Job),
    Ended(Job, Result<Answer, Refusal>),
}

impl Step {
    pub(super) fn set(layer: Layer, attribute: u32, index: u16, typed: Typed, need: Need) -> Self {
        let value = typed.to_value();
        let request = match layer {
            Layer::Adp => Request::Set { attribute, index, value },
            Layer::Mac => Request::MacSet { attribute, index, value },
        };
        Self { request, need }
    }
}

impl Lane {
    pub(super) fn new(pace: u32) -> Self {
        Self { waiting: VecDeque::new(), open: None, silences: 0, pace: pace.max(1) }
    }

    pub(super) fn push(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    pub(super) fn push_front(&mut self, job: Job) {
        self.waiting.push_front(job);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.open.is_some())
    }

    pub(super) fn is_waiting_for(&self, purpose: Purpose) -> bool {
        let open = self.open.iter().map(|open| &open.job);
        self.waiting.iter().chain(open).any(|job| job.purpose == purpose)
    }

    /// The request that goes out now, if none is open.
    pub(super) fn next(&mut self, now: Instant) -> Option<Request> {
        if self.open.is_some() {
            return None;
        }
        let job = self.waiting.pop_front()?;
        let request = job.request.clone();
        let doublings = if matches!(request, Request::Initialize { .. }) { self.silences } else { 0 };
        self.open = Some(Open { due: now + patience(&request, self.pace) * 2u32.pow(doublings), job, tries: 1 });
        Some(request)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.due)
    }

    /// The open request goes out again, or is given up.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Result<Request, Job>> {
        let open = self.open.as_mut().filter(|open| open.due <= now)?;
        if open.tries >= tries(&open.job.request) {
            return self.open.take().map(|open| Err(open.job));
        }
        open.tries += 1;
        open.due = now + patience(&open.job.request, self.pace);
        Some(Ok(open.job.request.clone()))
    }

    /// Takes a message that may answer the open request.
    pub(super) fn take(&mut self, message: &Message) -> Option<Outcome> {
        let result = answer(&self.open.as_ref()?.job.request, message)?;
        let mut job = self.open.take()?.job;
        let Some(mut rows) = job.rows.take() else { return Some(Outcome::Ended(job, result)) };
        match result {
            Ok(Answer::Value(row)) => rows.push(row),
            // A row that cannot be read is passed over; the table goes on behind it.
            Err(Refusal::Malformed) => {}
            Err(Refusal::Adp(AdpStatus::INVALID_INDEX) | Refusal::Mac(MacStatus::INVALID_INDEX)) => {
                return Some(Outcome::Ended(job, Ok(Answer::Rows(rows))));
            }
            Err(refusal) => return Some(Outcome::Ended(job, Err(refusal))),
            Ok(_) => {}
        }
        if let Request::Get { index, .. } | Request::MacGet { index, .. } = &mut job.request {
            if *index >= MAX_ROWS {
                return Some(Outcome::Ended(job, Ok(Answer::Rows(rows))));
            }
            *index += 1;
        }
        job.rows = Some(rows);
        Some(Outcome::Again(job))
    }

    /// The open INITIALIZE was not answered in time.
    pub(super) fn was_silent(&mut self) {
        self.silences = (self.silences + 1).min(MAX_DOUBLINGS);
    }

    /// The modem runs: however long it was away, it needs no more time than a slow one.
    pub(super) fn is_up(&mut self) {
        self.silences = self.silences.min(2);
    }

    /// Forgets what a start has begun.
    pub(super) fn drop_start(&mut self) {
        self.waiting.retain(|job| !matches!(job.purpose, Purpose::Start(_)));
        self.open = self.open.take().filter(|open| !matches!(open.job.purpose, Purpose::Start(_)));
    }

    /// The modem is lost: what was open is not known, what belongs to this life of the modem goes with it.
    pub(super) fn lose(&mut self) -> Vec<Job> {
        self.waiting.retain(|job| matches!(job.purpose, Purpose::User(_)));
        self.open
            .take()
            .map(|open| open.job)
            .into_iter()
            .filter(|job| matches!(job.purpose, Purpose::User(_)))
            .collect()
    }
}

/// The answer that a message is to a request; None where it is none.
fn answer(request: &Request, message: &Message) -> Option<Result<Answer, Refusal>> {
    let adp = |status: AdpStatus| if status.is_success() { Ok(Answer::Done) } else { Err(Refusal::Adp(status)) };
    let mac = |status: MacStatus| if status.is_success() { Ok(Answer::Done) } else { Err(Refusal::Mac(status)) };
    let typed =
        |layer: Layer, id, octets: &[u8]| layer.parse(id, octets).map(Answer::Value).map_err(|_| Refusal::Malformed);
    match (request, message) {
        (request, Message::Status { status, command }) if *command == request.command() => {
            Some(if status.is_success() { Ok(Answer::Done) } else { Err(Refusal::Command(*status)) })
        }
        (Request::Set { attribute, index, .. }, Message::SetConfirm { status, attribute: a, index: i })
        | (Request::LbpSet { attribute, index, .. }, Message::LbpSetConfirm { status, attribute: a, index: i })
            if (attribute, index) == (a, i) =>
        {
            Some(adp(*status))
        }
        (Request::MacSet { attribute, index, .. }, Message::MacSetConfirm { status, attribute: a, index: i })
            if (attribute, index) == (a, i) =>
        {
            Some(mac(*status))
        }
        (Request::Get { attribute, index }, Message::GetConfirm { status, attribute: a, index: i, value })
            if (attribute, index) == (a, i) =>
        {
            Some(adp(*status).and_then(|_| typed(Layer::Adp, *a, &value.octets)))
        }
        (Request::MacGet { attribute, index }, Message::MacGetConfirm { status, attribute: a, index: i, value })
            if (attribute, index) == (a, i) =>
        {
            Some(mac(*status).and_then(|_| typed(Layer::Mac, *a, &value.octets)))
        }
        (Request::NetworkStart { .. }, Message::NetworkStartConfirm { status })
        | (Request::NetworkLeave {}, Message::NetworkLeaveConfirm { status })
        | (Request::Discovery { .. }, Message::DiscoveryConfirm { status })
        | (Request::RouteDiscovery { .. }, Message::RouteDiscoveryConfirm { status })
        | (Request::Reset {}, Message::ResetConfirm { status }) => Some(adp(*status)),
        (Request::PathDiscovery { destination, .. }, Message::PathDiscoveryConfirm { status, path }) => {
            let path = path.as_ref().filter(|path| path.destination == *destination);
            Some(match (adp(*status), path) {
                (Ok(_), Some(path)) => Ok(Answer::Path(path.clone())),
                (Ok(_), None) => Err(Refusal::Malformed),
                (Err(Refusal::Adp(AdpStatus::INCOMPLETE_PATH)), Some(path)) => Ok(Answer::PathPart(path.clone())),
                (Err(refusal), _) => Err(refusal),
            })
        }
        _ => None,
    }
}

/// How long the modem may take to answer: what goes through the air first, by the network's time, then what it needs
/// itself with its line, which is by the host's however fast the network's goes.
fn patience(request: &Request, pace: u32) -> Duration {
    let (air_s, own_s) = match request {
        // adpPathDiscoveryTime is 40 s, adpNetTraversalTime 20 s, each with a margin.
        Request::PathDiscovery { .. } => (40, 10),
        Request::RouteDiscovery { .. } => (30, 10),
        Request::Discovery { duration_s } => (u64::from(*duration_s), 10),
        Request::Initialize { .. } => (0, 5),
        Request::NetworkStart { .. } | Request::NetworkLeave {} => (0, 10),
        _ => (0, 2),
    };
    Duration::from_secs(air_s) + Duration::from_secs(own_s) * pace
}

/// How often it is asked. What goes through the air is not repeated: it costs airtime.
const fn tries(request: &Request) -> u32 {
    match request {
        Request::PathDiscovery { .. } | Request::RouteDiscovery { .. } | Request::Discovery { .. } => 1,
        // Each begins everything anew; the other form takes turns with it.
        Request::Initialize { .. } => 1,
        _ => 3,
    }
}

/// To 40 s.
const MAX_DOUBLINGS: u32 = 3;
/// No table of a modem is longer.
const MAX_ROWS: u16 = 4095;
