//! One meter that is spoken to, and the request that waits for its answer.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Command, End, Event, FCB, FCV, Frame, Job, REQ_UD1, REQ_UD2, SND_UD, frame};
use crate::Address;

#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) queue: VecDeque<Job>,
    pub(super) open: Option<Exchange>,
    /// The next request's; a cycle begins with 1, as after SND-NKE.
    pub(super) frame_count_bit: bool,
    /// We have sent in this cycle, and owe it an SND-NKE.
    pub(super) is_in_cycle: bool,
    /// The meter may be in a cycle of an earlier run, with a frame count bit that nobody knows.
    pub(super) is_unknown: bool,
    pub(super) heard: Option<Instant>,
    /// The request that was answered last.
    pub(super) answered: Option<u8>,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Exchange {
    /// What it is for; None for the answer to an access demand.
    pub(super) job: Option<Job>,
    pub(super) step: Step,
    /// None before it was sent or prepared.
    pub(super) access_number: Option<u8>,
    pub(super) tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// SND-UD.
    Command,
    /// REQ-UD2 after it, or alone.
    Data,
    /// REQ-UD1: what an access demand is about.
    Alarm,
}

impl Session {
    /// An acknowledgement that has this number is of this cycle: of the open request, or of the one before, once more.
    pub(super) fn knows(&self, access_number: u8) -> bool {
        let open = self.open.as_ref().filter(|open| open.tries > 0).and_then(|open| open.access_number);
        self.is_in_cycle && (open == Some(access_number) || self.answered == Some(access_number))
    }

    pub(super) fn jobs(&mut self) -> impl Iterator<Item = &mut Job> {
        self.open.iter_mut().filter_map(|open| open.job.as_mut()).chain(&mut self.queue)
    }

    pub(super) fn give_up(&mut self, events: &mut VecDeque<Event>) {
        if let Some(Exchange { job: Some(job), step, access_number, .. }) = self.open.take() {
            let is_sent = access_number.is_some() || step != Step::Command;
            events.push_back(Event::Ended(job.id, if is_sent { End::NotAnswered } else { End::Expired }));
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.open.is_none() && self.queue.is_empty() && !self.is_in_cycle
    }
}

impl Exchange {
    pub(super) const fn new(job: Option<Job>, step: Step) -> Self {
        Self { job, step, access_number: None, tries: 0 }
    }

    pub(super) fn frame(&self, meter: &Address, link: &Address, frame_count_bit: bool, rssi_dbm: Option<i16>) -> Frame {
        let access_number = self.access_number.unwrap_or(0);
        let count = FCV | if frame_count_bit { FCB } else { 0 };
        match (&self.job, self.step) {
            (Some(job), Step::Command) => {
                frame::command(&job.command, &job.protection, SND_UD | count, access_number, meter, link, rssi_dbm)
            }
            (_, Step::Alarm) => frame::control(REQ_UD1 | count, access_number, meter, link, rssi_dbm),
            _ => frame::control(REQ_UD2 | count, access_number, meter, link, rssi_dbm),
        }
    }
}

impl Job {
    pub(super) fn first_step(&self) -> Step {
        if self.is_resumed || self.command == Command::RequestData { Step::Data } else { Step::Command }
    }
}
