//! Messages that go through the air: waiting, and on their way under a handle until the modem confirms them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::job::Ticket;
use crate::Octets;
use crate::g3::AdpStatus;
use crate::g3::adp::{Lbp, Request};
use crate::g3::lbp::{self, eap};
use crate::net;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The next hop has acknowledged it, or the node has answered.
    Confirmed,
    Refused(AdpStatus),
    /// Its deadline came before it could leave.
    Expired,
    /// It was handed to the modem and nobody said what became of it.
    Unknown,
}

/// The order in which messages leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    High,
    #[default]
    Normal,
}

/// The queue is full: ask again when something has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("queue is full")
    }
}

impl std::error::Error for Full {}

#[derive(Debug)]
pub(super) struct Outbox {
    /// Bootstrapping goes before data.
    lbp: VecDeque<Parcel>,
    high: VecDeque<Parcel>,
    normal: VecDeque<Parcel>,
    flight: BTreeMap<u8, Flight>,
    /// Handles whose message was answered before it was confirmed, and how long that confirm is still waited for.
    answered: BTreeMap<u8, Instant>,
    next_handle: u8,
    /// How many the modem may have at once: as many as it had when it was full, and one more when that has gone well.
    window: usize,
    /// Confirmed since the window has changed.
    calm: usize,
    /// The modem has said that it takes nothing, and when it is asked all the same.
    stopped_until: Option<Instant>,
    /// The modem had no room for the last one.
    paused_until: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Parcel {
    ticket: Ticket,
    content: Content,
    deadline: Instant,
}

#[derive(Debug, Clone)]
enum Content {
    Lbp(Lbp),
    /// With leave to look for a route, or without.
    Data(Octets, Priority, bool),
}

#[derive(Debug)]
struct Flight {
    parcel: Parcel,
    /// It takes a place of the window until then; a confirm that comes later still says what became of it.
    holds_until: Option<Instant>,
    due: Instant,
}

/// What became of a message, and whether it was one of LBP.
pub(super) type Delivered = (Ticket, Delivery, bool);

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            lbp: VecDeque::new(),
            high: VecDeque::new(),
            normal: VecDeque::new(),
            flight: BTreeMap::new(),
            answered: BTreeMap::new(),
            next_handle: 0,
            window: WINDOW,
            calm: 0,
            stopped_until: None,
            paused_until: None,
        }
    }

    pub(super) fn push_data(
        &mut self,
        ticket: Ticket,
        nsdu: Vec<u8>,
        priority: Priority,
        discovers: bool,
        deadline: Instant,
    ) -> Result<(), Full> {
        let queue = match priority {
            Priority::High => &mut self.high,
            Priority::Normal => &mut self.normal,
        };
        if queue.len() >= MAX_WAITING {
            return Err(Full);
        }
        queue.push_back(Parcel { ticket, content: Content::Data(nsdu.into(), priority, discovers), deadline });
        Ok(())
    }

    pub(super) fn push_lbp(&mut self, ticket: Ticket, pdu: Lbp, deadline: Instant) -> Result<(), Full> {
        if self.lbp.len() >= MAX_WAITING {
            return Err(Full);
        }
        self.lbp.push_back(Parcel { ticket, content: Content::Lbp(pdu), deadline });
        Ok(())
    }

    /// How many may still be queued at this priority.
    pub(super) fn room(&self, priority: Priority) -> usize {
        let queue = if priority == Priority::High { &self.high } else { &self.normal };
        MAX_WAITING.saturating_sub(queue.len())
    }

    /// The next message that may go now.
    pub(super) fn next(&mut self, max_hops: u8, now: Instant) -> Option<Request> {
        if self.held() >= self.window || self.stopped_until.is_some() || self.paused_until.is_some() {
            return None;
        }
        let parcel = self.lbp.pop_front().or_else(|| self.high.pop_front()).or_else(|| self.normal.pop_front())?;
        let handle = self.free_handle();
        let request = match &parcel.content {
            Content::Lbp(pdu) => Request::Lbp {
                handle,
                max_hops,
                discover_route: true,
                quality_of_service: 0,
                // A joining device has no key yet; the modem secures what goes to its agent by the network's own rule.
                is_secured: false,
                pdu: pdu.clone(),
            },
            Content::Data(nsdu, priority, discovers) => Request::Data {
                handle,
                discover_route: *discovers,
                quality_of_service: u8::from(*priority == Priority::High),
                nsdu: nsdu.clone(),
            },
        };
        self.answered.remove(&handle);
        self.flight.insert(handle, Flight { parcel, holds_until: Some(now + HOLD_TIME), due: now + CONFIRM_TIME });
        Some(request)
    }

    /// A confirm; None when nothing of that handle and kind is on its way. What the modem had no room for goes again, and
    /// what was answered meanwhile is not news.
    pub(super) fn confirm(
        &mut self,
        handle: u8,
        is_lbp: bool,
        status: AdpStatus,
        now: Instant,
    ) -> Option<Option<Delivered>> {
        if self.answered.remove(&handle).is_some() {
            return Some(None);
        }
        let of_kind = |flight: &Flight| matches!(flight.parcel.content, Content::Lbp(_)) == is_lbp;
        if !self.flight.get(&handle).is_some_and(of_kind) {
            return None;
        }
        let parcel = self.flight.remove(&handle)?.parcel;
        let delivery = match status {
            AdpStatus::SUCCESS => {
                self.grow();
                Delivery::Confirmed
            }
            busy if busy.is_transient() && parcel.deadline > now => {
                self.paused_until = Some(now + BUSY_TIME);
                self.shrink();
                self.queue_of(&parcel.content).push_front(parcel);
                return Some(None);
            }
            refused => Delivery::Refused(refused),
        };
        Some(Some((parcel.ticket, delivery, is_lbp)))
    }

    /// A node answers in LBP: the message that it answers has arrived, whether or not its confirm does.
    pub(super) fn heard_lbp(&mut self, pdu: &[u8], now: Instant) -> Option<Delivered> {
        let heard = lbp::Message::parse(pdu).ok()?;
        self.settle(|content| matches!(content, Content::Lbp(sent) if is_lbp_answer(&sent.pdu.0, &heard)), now)
    }

    /// A node sends a packet: the oldest that is on its way to it, from port to port, has arrived.
    pub(super) fn heard_data(&mut self, nsdu: &[u8], now: Instant) -> Option<Delivered> {
        let heard = net::Datagram::parse(nsdu).ok()?;
        self.settle(|content| matches!(content, Content::Data(sent, ..) if is_data_answer(&sent.0, &heard)), now)
    }

    fn settle(&mut self, is_it: impl Fn(&Content) -> bool, now: Instant) -> Option<Delivered> {
        let found = self.flight.iter().filter(|(_, flight)| is_it(&flight.parcel.content));
        let handle = *found.min_by_key(|(_, flight)| flight.due)?.0;
        let parcel = self.flight.remove(&handle)?.parcel;
        if self.answered.len() >= MAX_ANSWERED {
            let oldest = self.answered.iter().min_by_key(|(_, until)| **until).map(|(handle, _)| *handle);
            oldest.and_then(|handle| self.answered.remove(&handle));
        }
        self.answered.insert(handle, now + CONFIRM_TIME);
        Some((parcel.ticket, Delivery::Confirmed, matches!(parcel.content, Content::Lbp(_))))
    }

    /// The modem refused a message without naming its handle: the oldest of that kind is meant.
    pub(super) fn refuse(&mut self, is_lbp: bool) -> Option<Delivered> {
        let handle = *self
            .flight
            .iter()
            .filter(|(_, flight)| matches!(flight.parcel.content, Content::Lbp(_)) == is_lbp)
            .min_by_key(|(_, flight)| flight.due)?
            .0;
        let parcel = self.flight.remove(&handle)?.parcel;
        Some((parcel.ticket, Delivery::Refused(AdpStatus::INVALID_REQUEST), is_lbp))
    }

    pub(super) fn set_ready(&mut self, is_ready: bool, now: Instant) {
        if !is_ready {
            self.shrink();
        }
        // The word that it takes messages again may be lost.
        self.stopped_until = (!is_ready).then(|| now + STOP_TIME);
        self.paused_until = None;
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [&self.lbp, &self.high, &self.normal].into_iter().flatten().map(|parcel| parcel.deadline);
        let dues = self.flight.values().map(|flight| flight.holds_until.unwrap_or(flight.due));
        deadlines.chain(dues).chain(self.stopped_until).chain(self.paused_until).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<Delivered> {
        self.stopped_until = self.stopped_until.filter(|until| *until > now);
        self.paused_until = self.paused_until.filter(|until| *until > now);
        self.answered.retain(|_, until| *until > now);
        let mut delivered = Vec::new();
        for queue in [&mut self.lbp, &mut self.high, &mut self.normal] {
            queue.retain(|parcel| {
                let is_due = parcel.deadline <= now;
                if is_due {
                    delivered.push((parcel.ticket, Delivery::Expired, matches!(parcel.content, Content::Lbp(_))));
                }
                !is_due
            });
        }
        self.flight.retain(|_, flight| {
            flight.holds_until = flight.holds_until.filter(|until| *until > now);
            let is_due = flight.due <= now;
            if is_due {
                let is_lbp = matches!(flight.parcel.content, Content::Lbp(_));
                delivered.push((flight.parcel.ticket, Delivery::Unknown, is_lbp));
            }
            !is_due
        });
        delivered
    }

    /// The modem is lost, and what it had with it.
    pub(super) fn lose(&mut self) -> Vec<Delivered> {
        self.stopped_until = None;
        self.paused_until = None;
        self.answered.clear();
        self.window = WINDOW;
        let lbp = std::mem::take(&mut self.lbp);
        let flight = std::mem::take(&mut self.flight).into_values().map(|flight| flight.parcel);
        flight
            .chain(lbp)
            .map(|parcel| (parcel.ticket, Delivery::Unknown, matches!(parcel.content, Content::Lbp(_))))
            .collect()
    }

    /// What the modem still has, as far as can be said: a confirm that is overdue was lost on the line.
    fn held(&self) -> usize {
        self.flight.values().filter(|flight| flight.holds_until.is_some()).count()
    }

    /// The modem has no room for more than it has.
    fn shrink(&mut self) {
        self.window = self.held().clamp(1, self.window);
        self.calm = 0;
    }

    fn grow(&mut self) {
        self.calm += 1;
        if self.calm >= CALM {
            self.window = WINDOW.min(self.window + 1);
            self.calm = 0;
        }
    }

    /// A handle that nothing on its way has: the window is far smaller than their number.
    fn free_handle(&mut self) -> u8 {
        while self.flight.contains_key(&self.next_handle) {
            self.next_handle = self.next_handle.wrapping_add(1);
        }
        let handle = self.next_handle;
        self.next_handle = handle.wrapping_add(1);
        handle
    }

    fn queue_of(&mut self, content: &Content) -> &mut VecDeque<Parcel> {
        match content {
            Content::Lbp(_) => &mut self.lbp,
            Content::Data(_, Priority::High, _) => &mut self.high,
            Content::Data(_, Priority::Normal, _) => &mut self.normal,
        }
    }
}

/// The device answers exactly this message of the bootstrap server: a late copy of message 2 is none to message 3.
fn is_lbp_answer(sent: &[u8], heard: &lbp::Message) -> bool {
    let Ok(sent) = lbp::Message::parse(sent) else { return false };
    let (lbp::Data::Eap(question), lbp::Data::Eap(answer)) = (&sent.data, &heard.data) else { return false };
    let is_next = matches!(
        (&question.body, &answer.body),
        (eap::Body::First { .. }, eap::Body::Second { .. }) | (eap::Body::Third { .. }, eap::Body::Fourth { .. })
    );
    is_next && sent.eui64 == heard.eui64 && question.identifier == answer.identifier
}

fn is_data_answer(sent: &[u8], heard: &net::Datagram) -> bool {
    net::Datagram::parse(sent).is_ok_and(|sent| {
        (sent.source, sent.destination) == (heard.destination, heard.source)
            && (sent.source_port, sent.destination_port) == (heard.destination_port, heard.source_port)
    })
}

/// Messages the modem has at once, at most.
const WINDOW: usize = 4;
/// Messages that wait, of each kind.
pub(super) const MAX_WAITING: usize = 64;
/// The window grows by one after so many confirms.
const CALM: usize = 16;
/// A message takes a place of the window for so long without a confirm: frames get lost on a serial line, and what is
/// overdue must not keep others from the air. A modem that still has it says that it is full.
const HOLD_TIME: Duration = Duration::from_secs(15);
/// The modem may look for a route first, and repeat every fragment on a busy line.
const CONFIRM_TIME: Duration = Duration::from_secs(120);
const MAX_ANSWERED: usize = 128;
const BUSY_TIME: Duration = Duration::from_millis(200);
/// A modem that stopped the host is asked again after this time.
const STOP_TIME: Duration = Duration::from_secs(60);
