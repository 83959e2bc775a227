//! What becomes of a modem that does not answer, or not as it was asked: it is started again, after a pause that grows.

use std::time::{Duration, Instant};

use super::job::{Job, Need, Purpose, Refusal};
use super::{Cause, Event, Modem, RESET_TIME, Stage};
use crate::g3::adp::Request;
use crate::g3::pib::{Layer, mac};

impl Modem {
    /// A start came to nothing, or the modem is lost.
    pub(super) fn fail(&mut self, cause: Cause, now: Instant) {
        self.lose(cause);
        self.failures = (self.failures + 1).min(MAX_FAILURES);
        self.starts = self.starts.wrapping_add(1);
        self.found = None;
        if cause != Cause::Reset {
            self.send(&Request::Reset {});
        }
        self.stage = Stage::Pausing(now + self.pause());
    }

    pub(super) fn pause(&self) -> Duration {
        RESET_TIME * 2u32.saturating_pow(self.failures.saturating_sub(1))
    }

    /// Says what is not known any more.
    pub(super) fn lose(&mut self, cause: Cause) {
        // Once until it is up; but when it was asked for, what comes of it is news.
        if matches!(self.down_said, None | Some(Cause::Asked)) && self.down_said != Some(cause) {
            self.down_said = Some(cause);
            self.events.push_back(Event::Down(cause));
        }
        self.wanted = None;
        let jobs = [self.exchange.lose(), self.discovery.lose()].concat();
        for job in jobs {
            self.answer(job.purpose, Err(Refusal::Unknown));
        }
        let delivered = self.outbox.lose();
        self.tell(delivered);
    }

    /// A request was not answered in time.
    pub(super) fn give_up(&mut self, job: Job, now: Instant) {
        let result = Err(Refusal::Unknown);
        match job.purpose {
            // Firmware that does not know a command may say nothing.
            Purpose::Handshake if matches!(self.stage, Stage::Probing(_)) => self.handshake(result, now),
            Purpose::Handshake => {
                let form = self.form();
                self.exchange.was_silent();
                self.fail(self.silence(job.request.name()), now);
                self.late_form = form;
            }
            Purpose::Start(Need::May) => self.not_taken(&job.request, Refusal::Unknown),
            Purpose::Watch if !is_vital(&job.request) => {}
            // One silence is not the modem's death: the watch finds out.
            Purpose::User(_) => {
                self.answer(job.purpose, result);
                if self.is_running() {
                    self.watch(now);
                }
            }
            _ => self.fail(self.silence(job.request.name()), now),
        }
    }

    /// Why a request had no answer.
    pub(super) fn silence(&self, request: &'static str) -> Cause {
        let ((octets, frames), (octets_before, frames_before)) = (self.deframer.taken(), self.taken);
        if octets > octets_before && frames == frames_before { Cause::Strange(request) } else { Cause::Mute(request) }
    }

    pub(super) fn not_taken(&mut self, request: &Request, refusal: Refusal) {
        self.events.push_back(Event::NotTaken { request: attribute_name(request), refusal });
    }
}

/// The question that every modem answers.
fn is_vital(request: &Request) -> bool {
    matches!(request, Request::MacGet { attribute: mac::FRAME_COUNTER, .. })
}

/// What a request is about, for people.
pub(super) fn attribute_name(request: &Request) -> &'static str {
    let attribute = match request {
        Request::Set { attribute, .. } => Layer::Adp.attribute(*attribute),
        Request::MacSet { attribute, .. } => Layer::Mac.attribute(*attribute),
        _ => None,
    };
    attribute.map_or(request.name(), |attribute| attribute.name)
}

/// The pause doubles so often, to 64 s.
pub(super) const MAX_FAILURES: u32 = 7;
