//! The gateway's side of two-way OMS: what is sent to which meter when it listens. OMS volume 2; EN 13757-4:2019, clause 12;
//! EN 13757-7:2018.
//!
//! A meter listens for a moment after it has sent (an access opportunity). A request that was answered toggles the frame
//! count bit; one that was not is sent again as it was, so that no meter does a thing twice. What a meter answers is an
//! opportunity too, up to SND-NKE, which ends the cycle. Nothing here knows modules or windows: [`Gateway::handle_hearing`]
//! says what is to be sent in the window that has just begun, [`Gateway::prepare`] what will be, for modules that answer
//! by themselves.

mod answers;
mod codes;
mod command;
mod frame;
mod hearing;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use answers::Answers;
pub(crate) use codes::*;
pub use command::{Command, Refused, Valve, valve_state};
pub use frame::{Frame, Protection, reception_level};
pub use hearing::{Hearing, Proof};
use session::{Exchange, Session, Step};

use crate::Address;

/// A command of somebody to one meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub id: u64,
    pub command: Command,
    pub protection: Protection,
    /// After it nothing is sent any more.
    pub expires: Instant,
    /// It may have been sent before a restart: the meter is asked first, and nothing is switched blindly.
    pub is_resumed: bool,
}

/// What became of a job, or of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The meter was told that it is bound.
    Bound(Address),
    /// About to be sent for the first time.
    Sent(u64),
    /// The meter has it; what it did is asked next.
    Delivered(u64),
    Ended(u64, End),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Done, and read back where it can be.
    Succeeded,
    /// The meter confirmed it, and does not say what came of it.
    Confirmed,
    /// An application error with this code.
    Failed(u8),
    /// The valve is something else than it was told to be.
    ValveIs(Valve),
    /// Never sent.
    Expired,
    /// Sent, and never answered.
    NotAnswered,
    Cancelled,
}

/// All meters that are spoken to.
#[derive(Debug)]
pub struct Gateway {
    own: Address,
    /// Meters that will be bound when they ask, and whether they have asked.
    to_bind: BTreeMap<Address, bool>,
    sessions: BTreeMap<Address, Session>,
    answers: Answers,
    access_number: u8,
    events: VecDeque<Event>,
}

impl Gateway {
    pub fn new(own: Address) -> Self {
        Self {
            own,
            to_bind: BTreeMap::new(),
            sessions: BTreeMap::new(),
            answers: Answers::default(),
            access_number: 0,
            events: VecDeque::new(),
        }
    }

    /// Binds the meter when it asks for it. False: too many are to be bound.
    pub fn bind(&mut self, meter: Address) -> bool {
        let meter = meter.identity();
        let has_room = self.to_bind.len() < METERS || self.to_bind.contains_key(&meter);
        if has_room {
            self.to_bind.insert(meter, false);
            self.answers.forget(&meter);
        }
        has_room
    }

    pub fn unbind(&mut self, meter: &Address) -> bool {
        self.answers.forget(meter);
        self.to_bind.remove(&meter.identity()).is_some()
    }

    pub fn to_bind(&self) -> impl Iterator<Item = &Address> {
        self.to_bind.keys()
    }

    /// Queues a job behind those of the same meter.
    ///
    /// # Errors
    /// Says what is wrong with it: it will not be sent.
    pub fn request(&mut self, meter: Address, job: Job) -> Result<(), Refused> {
        job.command.check(&meter, &job.protection)?;
        let meter = meter.identity();
        if !self.sessions.contains_key(&meter) && self.sessions.len() >= METERS {
            return Err(Refused::TooMany);
        }
        let session = self.sessions.entry(meter).or_default();
        if session.queue.len() >= QUEUE {
            return Err(Refused::TooMany);
        }
        session.is_unknown |= job.is_resumed;
        session.queue.push_back(job);
        Ok(())
    }

    /// Takes back a job that was not sent yet; false where there is none such.
    pub fn cancel(&mut self, id: u64) -> bool {
        for session in self.sessions.values_mut() {
            let before = session.queue.len();
            session.queue.retain(|job| job.id != id);
            if session.queue.len() < before {
                self.events.push_back(Event::Ended(id, End::Cancelled));
                return true;
            }
        }
        false
    }

    /// Protects what was queued or sent with less than `least` as `better` says, where that says something. False: some
    /// command has less still, and must not leave.
    pub fn raise(&mut self, meter: &Address, least: Proof, mut better: impl FnMut() -> Option<Protection>) -> bool {
        let Some(session) = self.sessions.get_mut(&meter.identity()) else { return true };
        let weak = session.jobs().filter(|job| job.command != Command::RequestData && job.protection.demands() < least);
        weak.fold(true, |is_enough, job| {
            job.protection = better().unwrap_or_else(|| job.protection.clone());
            is_enough && job.protection.demands() >= least
        })
    }

    /// Whether a frame of this meter is worth a look.
    pub fn concerns(&self, meter: &Address) -> bool {
        self.sessions.contains_key(&meter.identity()) || self.to_bind.contains_key(&meter.identity())
    }

    /// The meter was sent something and the cycle not ended: it repeats its last frame, and listens after it.
    pub fn is_in_cycle(&self, meter: &Address) -> bool {
        self.sessions.get(&meter.identity()).is_some_and(|session| session.is_in_cycle)
    }

    /// Takes what a meter sent; what is to be sent in the window that begins now comes back. A link frame is answered so
    /// often in a minute, the very same SND-IR once. The caller passes no frame that is a copy, a recording or a forgery.
    pub fn handle_hearing(&mut self, hearing: &Hearing, now: Instant) -> Option<Frame> {
        let Hearing { meter, c_field, access_number, .. } = *hearing;
        self.handle_timeout(now);
        match c_field {
            SND_IR if self.to_bind.contains_key(&meter.identity()) => {
                if !self.answers.admit(&meter, c_field, access_number, now) {
                    return None;
                }
                if self.to_bind.insert(meter.identity(), true) == Some(false) {
                    self.events.push_back(Event::Bound(meter));
                }
                return Some(self.link_frame(CNF_IR, access_number, hearing));
            }
            SND_IR => return None,
            ACC_DMD if self.concerns(&meter) => {
                let session = self.sessions.entry(meter.identity()).or_default();
                session.heard = Some(now);
                if session.open.is_none() && session.queue.is_empty() {
                    session.open = Some(Exchange::new(None, Step::Alarm));
                }
                let is_answered = self.answers.admit(&meter, c_field, access_number, now);
                return is_answered.then(|| self.link_frame(ACK, access_number, hearing));
            }
            _ => {}
        }
        let is_answer = hearing.is_answer();
        if is_answer {
            self.answered(hearing);
        }
        let session = self.sessions.get_mut(&meter.identity())?;
        // Nothing protects it: one that belongs to nothing that was asked may be anybody's.
        if c_field & TYPE == ACK && !session.is_unknown && !session.knows(access_number) {
            return None;
        }
        if !session.is_in_cycle {
            // Whatever was before, the meter counts anew.
            session.frame_count_bit = true;
        }
        session.heard = Some(now);
        if !(hearing.is_accessible || is_answer && session.is_in_cycle) {
            return None;
        }
        if std::mem::take(&mut session.is_unknown) {
            session.is_in_cycle = true;
            return self.end_cycle(&meter, hearing);
        }
        let next = self.advance(hearing);
        if next.is_none() {
            return self.end_cycle(&meter, hearing);
        }
        next
    }

    /// What will be sent when the meter listens next, its link layer naming the meter: for a module that sends it by
    /// itself. None where nothing waits.
    pub fn prepare(&mut self, meter: &Address) -> Option<Frame> {
        self.open(meter)?;
        let session = self.sessions.get(&meter.identity())?;
        let frame_count_bit = session.frame_count_bit || !session.is_in_cycle;
        Some(session.open.as_ref()?.frame(meter, meter, frame_count_bit, None))
    }

    /// Meters for which something waits.
    pub fn waiting(&self) -> impl Iterator<Item = &Address> {
        let waits = |session: &Session| session.open.is_some() || !session.queue.is_empty();
        self.sessions.iter().filter(move |(_, session)| waits(session)).map(|(meter, _)| meter)
    }

    /// Gives up what took too long; a spurious call does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let events = &mut self.events;
        for session in self.sessions.values_mut() {
            session.queue.retain(|job| {
                let is_due = job.expires > now;
                if !is_due {
                    events.push_back(Event::Ended(job.id, End::Expired));
                }
                is_due
            });
            let is_over =
                session.open.as_ref().and_then(|open| open.job.as_ref()).is_some_and(|job| job.expires <= now);
            if is_over {
                session.give_up(events);
            }
            if session.heard.is_some_and(|heard| now.saturating_duration_since(heard) >= CYCLE) {
                session.is_in_cycle = false;
            }
        }
        self.sessions.retain(|_, session| !session.is_done());
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |session: &Session| {
            let open = session.open.as_ref().and_then(|open| open.job.as_ref());
            session.queue.iter().chain(open).map(|job| job.expires).min()
        };
        self.sessions.values().filter_map(due).min()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// An answer, if it is the one that is waited for: its access number is the request's.
    fn answered(&mut self, hearing: &Hearing) {
        let Some(session) = self.sessions.get_mut(&hearing.meter.identity()) else { return };
        let is_awaited = session.open.as_ref().is_some_and(|open| {
            // Link frames (ACK) have no protection, and so end no command that can be read back.
            let is_link = hearing.c_field & TYPE == ACK;
            let demanded = open.job.as_ref().map_or(Proof::Nothing, |job| job.protection.demands());
            let is_proven = hearing.is_open && (is_link && open.step == Step::Command || hearing.proof >= demanded);
            open.tries > 0 && open.access_number == Some(hearing.access_number) && is_proven
        });
        let Some(mut open) = session.open.take_if(|_| is_awaited) else { return };
        session.frame_count_bit = !session.frame_count_bit;
        session.answered = open.access_number;
        let Some(job) = open.job.take() else { return };
        let end = match (open.step, hearing.error) {
            (_, Some(code)) => Some(End::Failed(code)),
            (Step::Command, None) if hearing.c_field & TYPE == ACK && job.command.is_read_back() => {
                self.events.push_back(Event::Delivered(job.id));
                None
            }
            (Step::Command, None) => Some(End::Confirmed),
            (Step::Data | Step::Alarm, None) => match (job.command.wanted_valve(), hearing.valve) {
                (None, _) => Some(End::Succeeded),
                (Some(wanted), Some(is)) if wanted == is => Some(End::Succeeded),
                // Not done before the restart: now it is sent, as if for the first time.
                (Some(_), Some(_)) if job.is_resumed => {
                    session.queue.push_front(Job { is_resumed: false, ..job });
                    return;
                }
                (Some(_), Some(is)) => Some(End::ValveIs(is)),
                (Some(_), None) if job.is_resumed => Some(End::NotAnswered),
                (Some(_), None) => Some(End::Confirmed),
            },
        };
        match end {
            Some(end) => self.events.push_back(Event::Ended(job.id, end)),
            None => session.open = Some(Exchange::new(Some(job), Step::Data)),
        }
    }

    /// The next request of a meter that listens: the open one again, or a new one.
    fn advance(&mut self, hearing: &Hearing) -> Option<Frame> {
        let Hearing { meter, is_repetition, rssi_dbm, .. } = hearing;
        let session = self.sessions.get_mut(&meter.identity())?;
        if !is_repetition && session.open.as_ref().is_some_and(|open| open.tries >= TRIES) {
            session.give_up(&mut self.events);
        }
        self.open(meter)?;
        let session = self.sessions.get_mut(&meter.identity())?;
        let open = session.open.as_mut()?;
        open.tries += u32::from(!is_repetition || open.tries == 0);
        session.is_in_cycle = true;
        Some(open.frame(meter, &self.own, session.frame_count_bit, *rssi_dbm))
    }

    /// Makes the next job of the meter, where none is open, the open one; from now on it may leave at any moment.
    fn open(&mut self, meter: &Address) -> Option<()> {
        let session = self.sessions.get_mut(&meter.identity())?;
        if session.open.is_none() {
            let job = session.queue.pop_front()?;
            let step = job.first_step();
            session.open = Some(Exchange::new(Some(job), step));
        }
        let open = session.open.as_mut()?;
        if open.access_number.is_none() {
            open.access_number = Some(self.access_number);
            self.access_number = self.access_number.wrapping_add(1);
            if let Some(job) = open.job.as_ref().filter(|_| open.step == Step::Command) {
                self.events.push_back(Event::Sent(job.id));
            }
        }
        Some(())
    }

    /// Nothing more to say: the meter need not listen any longer.
    fn end_cycle(&mut self, meter: &Address, hearing: &Hearing) -> Option<Frame> {
        let session = self.sessions.get_mut(&meter.identity())?;
        let is_owed = std::mem::take(&mut session.is_in_cycle);
        let access_number = self.access_number;
        is_owed.then(|| {
            self.access_number = self.access_number.wrapping_add(1);
            self.link_frame(SND_NKE, access_number, hearing)
        })
    }

    fn link_frame(&self, c_field: u8, access_number: u8, hearing: &Hearing) -> Frame {
        frame::control(c_field, access_number, &hearing.meter, &self.own, hearing.rssi_dbm)
    }
}

/// A request is sent so often, with the same frame count bit; and once more for each repetition of what the meter said.
const TRIES: u32 = 5;
/// So long after its last frame a meter ends its cycle by itself.
const CYCLE: Duration = Duration::from_secs(88);
/// Meters that are spoken to, and jobs that one of them may have.
const METERS: usize = 2_048;
const QUEUE: usize = 8;
