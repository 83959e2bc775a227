//! One node: what waits for it, how long it takes to answer, and when it is asked again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Exchange, Path, Priority};

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) path: Option<Path>,
    pub(super) is_busy: bool,
    /// Its place in the queue of all.
    pub(super) place: u64,
    /// With the attempts so far.
    queue: VecDeque<(Exchange, u32)>,
    /// How many times as long as the model says it takes, and how much that varies.
    slowness: Option<(f64, f64)>,
    /// In a row; the first of them was an answer that did not come, which is mended at once.
    failures: u32,
    is_mended_at_once: bool,
    silent_since: Option<Instant>,
    answered: Option<Instant>,
    pub(super) held_until: Option<Instant>,
    early: Option<Instant>,
}

impl Node {
    pub(super) fn push(&mut self, exchange: Exchange, place: u64, keep: Duration, now: Instant) {
        if self.queue.is_empty() && !self.is_busy && !self.has_begun(keep, now) {
            self.place = place;
        }
        let at = self.queue.iter().position(|(other, _)| other.priority > exchange.priority);
        self.queue.insert(at.unwrap_or(self.queue.len()), (exchange, 0));
    }

    pub(super) fn pop(&mut self) -> Option<(Exchange, u32)> {
        self.queue.pop_front()
    }

    pub(super) fn take(&mut self, ticket: u64) -> Option<Exchange> {
        let at = self.queue.iter().position(|(exchange, _)| exchange.ticket == ticket)?;
        self.queue.remove(at).map(|(exchange, _)| exchange)
    }

    /// Something is wanted of it, and it may well answer: it has not been silent for hours.
    pub(super) fn is_hoped_for(&self, now: Instant) -> bool {
        let is_wanted = self.is_busy || !self.queue.is_empty();
        is_wanted && self.silent_since.is_none_or(|since| since + GIVEN_UP > now)
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The priority of what can be sent now.
    pub(super) fn ready(&self, now: Instant) -> Option<Priority> {
        let is_held = self.held_until.is_some_and(|until| until > now);
        let first =
            self.queue.front().filter(|_| !self.is_busy).map(|(exchange, attempts)| (exchange.priority, *attempts));
        // Whom somebody waits for is asked once, whatever became of others.
        first.filter(|first| !is_held || *first == (Priority::OnDemand, 0)).map(|(priority, _)| priority)
    }

    /// Somebody waits for its answer, and it is not asked yet.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.is_busy && self.queue.front().is_some_and(|(exchange, _)| exchange.priority == Priority::OnDemand)
    }

    /// When something is to be done about it: it may be asked again, where there is `room`, or something expires.
    pub(super) fn wakes(&self, room: bool) -> Option<Instant> {
        let expires = self.queue.iter().map(|(exchange, _)| exchange.deadline);
        let held = self.held_until.filter(|_| room && !self.is_busy && !self.queue.is_empty() || self.is_waited_for());
        expires.chain(held).min()
    }

    pub(super) fn expire(&mut self, now: Instant) -> Vec<u64> {
        let expired = self.queue.iter().filter(|(exchange, _)| exchange.deadline <= now);
        let expired: Vec<u64> = expired.map(|(exchange, _)| exchange.ticket).collect();
        self.queue.retain(|(exchange, _)| exchange.deadline > now);
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
        }
        expired
    }

    /// It has answered lately, so that its association is open; or an exchange with it is to be repeated.
    pub(super) fn has_begun(&self, keep: Duration, now: Instant) -> bool {
        let is_repeated = self.queue.front().is_some_and(|(_, attempts)| *attempts > 0);
        is_repeated || self.answered.is_some_and(|answered| now - answered <= keep)
    }

    /// How long an answer may take from the confirm on.
    pub(super) fn patience(&self, exchange: &Exchange) -> Duration {
        let hops = f64::from(self.hops());
        let time = match self.slowness {
            Some((mean, deviation)) => self.model(exchange) * (mean + 4.0 * deviation),
            None => 0.0,
        };
        // A relay that must look for a route takes some seconds more than it ever took.
        Duration::from_secs_f64((2.0 + 1.5 * hops + time).min(60.0))
    }

    /// True where it was silent before.
    pub(super) fn answered(&mut self, exchange: &Exchange, took: Duration, now: Instant) -> bool {
        let ratio = took.as_secs_f64() / self.model(exchange);
        self.slowness = Some(match self.slowness {
            None => (ratio, ratio / 2.0),
            Some((mean, deviation)) => {
                (mean + (ratio - mean) / 8.0, deviation + ((ratio - mean).abs() - deviation) / 4.0)
            }
        });
        self.came_late(now)
    }

    /// It is left alone for so long; for `least` where nobody else waits.
    pub(super) fn hold(&mut self, now: Instant, pause: Duration, least: Duration) {
        (self.held_until, self.early) = (Some(now + pause), Some(now + least));
    }

    /// From when on it may be asked where nobody else waits.
    pub(super) fn early(&self) -> Option<Instant> {
        self.early.filter(|_| self.held_until.is_some() && !self.is_busy && !self.queue.is_empty())
    }

    /// It may be asked at once. True where it was silent before.
    pub(super) fn heard(&mut self) -> bool {
        (self.held_until, self.silent_since) = (None, None);
        std::mem::take(&mut self.failures) >= super::SILENT
    }

    /// True where it was silent before.
    pub(super) fn came_late(&mut self, now: Instant) -> bool {
        self.answered = Some(now);
        self.heard()
    }

    /// It did not answer, or, where it `is_lost`, there was no way to it; how often now, in a row.
    pub(super) fn failed(&mut self, exchange: Exchange, attempts: u32, is_lost: bool, now: Instant) -> u32 {
        self.silent_since.get_or_insert(now);
        if self.failures == 0 {
            self.is_mended_at_once = !is_lost;
        }
        self.failures = self.failures.saturating_add(1);
        self.queue.push_front((exchange, attempts));
        self.failures
    }

    /// Failures in a row that let others go first.
    pub(super) fn setbacks(&self) -> u32 {
        self.failures.saturating_sub(u32::from(self.is_mended_at_once))
    }

    fn hops(&self) -> u8 {
        self.path.map_or(1, |path| path.hops).max(1)
    }

    /// Seconds of an exchange that nothing disturbs.
    fn model(&self, exchange: &Exchange) -> f64 {
        TURNAROUND + self.airtime(exchange)
    }

    /// Seconds for which the medium is taken by it.
    pub(super) fn airtime(&self, exchange: &Exchange) -> f64 {
        let octets = f64::from(exchange.octets) + f64::from(exchange.answer);
        f64::from(self.hops()) * (2.0 * PER_FRAME + octets * PER_OCTET)
    }
}

/// Who was silent for so long is asked still, but nothing else waits for it.
const GIVEN_UP: Duration = Duration::from_secs(6 * 3600);
/// A meter thinks for so long.
const TURNAROUND: f64 = 0.5;
/// Preamble, header, silences, contention and acknowledgement.
const PER_FRAME: f64 = 0.06;
/// DBPSK, with the code's redundancy.
const PER_OCTET: f64 = 0.000_35;
