//! What the unit says to meters: it finds the window of each and gives the frame to the receiver that heard it.
//!
//! Modes whose meters listen after 100 ms or later are served by the host, as well as it can: the error is measured.
//! Where they listen within milliseconds only a module can answer, with a frame that it was given before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};
use wmbus::gateway::Hearing;
use wmbus::receiver::{Kind, Mode, When};
use wmbus::wize::{self, CI_WIZE, INSTPING};
use wmbus::{Address, Form, Keys, Scratch, Telegram};

use super::airtime::Airtime;
use crate::clock::Now;
use crate::control::{OrderLine, Refusal, RefusalKind};
use crate::reading::meter_id;
use crate::reading::{EventKind, Groups, MeterId, TimeQuality};
use crate::registry::{Action, Admission, Known, MeterKeys, News, Order, OrderError, TwoWay};
use crate::task::receiver::{At, Heard, Outgoing};

/// One receiver, seen as a sender.
#[derive(Debug)]
pub(in crate::task) struct Port {
    pub(in crate::task) name: Arc<str>,
    pub(in crate::task) kind: &'static Kind,
    pub(in crate::task) mode: Mode,
    /// Of its serial line; None where there is none.
    pub(in crate::task) baud: Option<u32>,
    pub(in crate::task) outgoing: mpsc::Sender<Outgoing>,
    /// The meter for whom its module has a frame.
    pub(in crate::task) loaded: Option<Address>,
    pub(in crate::task) airtime: Airtime,
}

#[derive(Debug)]
pub(in crate::task) struct Talk {
    ports: Vec<Port>,
    /// The unit's own.
    address: Option<Address>,
    /// Or why no meter can be told anything.
    two_way: Result<TwoWay, String>,
    /// Orders that came with commands of the head-end.
    told: watch::Sender<Vec<Order>>,
    /// Why a meter has to wait.
    postponed: VecDeque<(MeterId, String)>,
    scratch: Scratch,
}

/// What the desk wants of it.
#[derive(Debug)]
pub(in crate::task) enum Ask {
    /// `command`: the head-end's, that it came with.
    Order {
        meter: MeterId,
        action: Action,
        expires: Duration,
        command: Option<[u8; 16]>,
    },
    Orders,
    Cancel(u64),
    Bind {
        meter: MeterId,
        is_wanted: bool,
    },
    ToBind,
}

/// What it answers.
#[derive(Debug)]
pub(in crate::task) enum Answer {
    Orders(Vec<OrderLine>),
    ToBind(Vec<String>),
}

pub(in crate::task) type Reply = oneshot::Sender<Result<Answer, Refusal>>;

impl Talk {
    pub(in crate::task) fn new(
        ports: Vec<Port>,
        address: Option<Address>,
        two_way: Result<TwoWay, String>,
        told: watch::Sender<Vec<Order>>,
    ) -> Self {
        Self { ports, address, two_way, told, postponed: VecDeque::new(), scratch: Scratch::default() }
    }

    /// Whether the sender of a frame is one that is spoken to.
    pub(super) fn concerns(&self, heard: &Heard) -> bool {
        if self.address.is_none() || heard.form != Some(Form::Stripped) {
            return false;
        }
        let Some((mut sender, rest)) = heard.frame.get(2..).and_then(|octets| octets.split_at_checked(8)) else {
            return false;
        };
        let Ok(sender) = Address::parse(&mut sender) else { return false };
        is_ping(heard)
            || self.two_way.as_ref().is_ok_and(|two_way| {
                // Behind a radio adapter the long header names the meter.
                let behind = rest.get(1..).and_then(|mut rest| Address::parse_long(&mut rest).ok());
                two_way.concerns(&sender) || behind.is_some_and(|meter| two_way.concerns(&meter))
            })
    }

    /// Takes a frame as soon as one receiver has it: the meter will not wait for the others.
    pub(super) fn hear(&mut self, heard: &Heard, keys: &MeterKeys, groups: &Groups, admission: &Admission, now: Now) {
        let Some(own) = self.address else { return };
        let at = self.ports.iter().position(|port| port.name == heard.receiver);
        let Some(port) = at.and_then(|at| self.ports.get_mut(at)).filter(|port| !port.kind.sends.is_empty()) else {
            return;
        };
        let form = Form::Stripped;
        let Ok(telegram) = Telegram::decode_as(form, &heard.frame, keys, &mut self.scratch) else { return };
        if !port.airtime.has_room(port.mode, now.mono) {
            if let Some(trouble) = port.airtime.trouble(port.mode) {
                let trouble = format!("{}: {trouble}", port.name);
                warn!(port = %port.name, trouble, "duty cycle used up");
                self.postponed.push_back((meter_id(&telegram.address), trouble));
            }
            return;
        }
        if is_ping(heard) {
            let modem = at.and_then(|at| u8::try_from(at).ok()).unwrap_or(0);
            port.pong(&telegram, heard, &wize::Mailbox::new(&own, modem, port.mode), keys);
        } else if let Ok(two_way) = &mut self.two_way {
            let group = groups.of(&meter_id(&telegram.address));
            if two_way.is_live(&telegram, &Known { admission, group, keys }, now) {
                port.answer(&telegram, heard, two_way, keys, now);
            } else {
                // Its module does not look at counters: what it had is gone.
                port.loaded.take_if(|loaded| *loaded == telegram.address);
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        if let Ok(two_way) = &mut self.two_way {
            two_way.handle_timeout(now);
        }
    }

    pub(super) fn poll_timeout(&self, now: Now) -> Option<Instant> {
        self.two_way.as_ref().ok().and_then(|two_way| two_way.poll_timeout(now))
    }

    /// For the head-end: every order and what becomes of it.
    pub(super) fn poll_event(&mut self) -> Option<(MeterId, EventKind)> {
        if let Some((meter, detail)) = self.postponed.pop_front() {
            return Some((meter, EventKind::Unit { code: "wmbus.duty_cycle".to_owned(), detail }));
        }
        let two_way = self.two_way.as_mut().ok()?;
        if let Some(error) = two_way.poll_fault() {
            warn!(err = %crate::task::chain(&error), "write down what meters are told: nothing is sent");
        }
        let (meter, code, detail) = match two_way.poll_news()? {
            News::Bound(meter) => (meter, "meter.bound", String::new()),
            News::Order(order) => {
                self.told.send_if_modified(|told| tell(told, &order));
                let (action, state, detail) = (order.action.name(), order.state.name(), order.state.detail());
                let separator = if detail.is_empty() { "" } else { ": " };
                (order.meter, "meter.command", format!("order {} {action} {state}{separator}{detail}", order.id))
            }
        };
        info!(meter = %meter_id(&meter), code, detail, "meter told");
        Some((meter_id(&meter), EventKind::Unit { code: code.to_owned(), detail }))
    }

    pub(super) fn answer(&mut self, ask: Ask, keys: &MeterKeys, now: Now) -> Result<Answer, Refusal> {
        let two_way = self.two_way.as_mut().map_err(|why| Refusal::new(RefusalKind::NotPermitted, why.clone()))?;
        let refused = |error: OrderError| {
            let kind = match error {
                OrderError::Journal(_) => RefusalKind::Failed,
                OrderError::NotWaiting(_) => RefusalKind::NotFound,
                OrderError::Refused(_) | OrderError::Clock => RefusalKind::NotPermitted,
            };
            Refusal::new(kind, crate::task::chain(&error))
        };
        let nobody_sends = || {
            let silences: Option<Vec<_>> = self.ports.iter().map(Port::silence).collect();
            let Some(silences) = silences else { return Ok(()) };
            let text = format!(
                "no receiver can send: one of kind im871a, im170a, amb8465 or amb3665 in a mode with a way back (s2, t2, \
                 c2, n2a to n2f) is needed; t2 and s2 need amb8465{}",
                silences.iter().map(|why| format!("; {why}")).collect::<String>()
            );
            Err(Refusal::new(RefusalKind::NotPermitted, text))
        };
        match ask {
            Ask::Order { meter, action, expires, command } => {
                nobody_sends()?;
                let order = two_way.order(address(meter)?, action, expires, command, keys, now).map_err(refused)?;
                self.told.send_if_modified(|told| tell(told, &order));
                Ok(Answer::Orders(vec![OrderLine::of(&order)]))
            }
            Ask::Orders => Ok(Answer::Orders(two_way.orders().map(OrderLine::of).collect())),
            Ask::Cancel(id) => {
                two_way.cancel(id, now).map_err(refused)?;
                Ok(Answer::Orders(two_way.orders().filter(|order| order.id == id).map(OrderLine::of).collect()))
            }
            Ask::Bind { meter, is_wanted } => {
                if is_wanted {
                    nobody_sends()?;
                }
                two_way.bind(address(meter)?, is_wanted).map_err(refused)?;
                Ok(Answer::ToBind(two_way.to_bind().map(ToString::to_string).collect()))
            }
            Ask::ToBind => Ok(Answer::ToBind(two_way.to_bind().map(ToString::to_string).collect())),
        }
    }
}

impl Port {
    /// Why no meter is told anything through it; None where meters can be.
    fn silence(&self) -> Option<String> {
        let kind = self.kind;
        let why = if kind.sends.is_empty() {
            kind.silence
        } else if self.mode.response_window(true).is_none() {
            "meters do not listen in this mode"
        } else if self.is_preloaded() && !kind.sends.contains(&When::Heard) {
            "meters of this mode listen sooner than a host can answer"
        } else {
            return None;
        };
        Some(format!("{} ({} in mode {}): {why}", self.name, kind.name, self.mode))
    }

    /// Its meters listen sooner than any host can answer.
    fn is_preloaded(&self) -> bool {
        self.mode.response_window(true).is_some_and(|(from, _)| from < HOST)
    }

    /// Answers an installation ping.
    fn pong(&mut self, telegram: &Telegram<'_>, heard: &Heard, mailbox: &wize::Mailbox, keys: &MeterKeys) {
        let meter = meter_id(&telegram.address);
        let Some(ping) = mailbox.ping(telegram) else {
            debug!(port = %self.name, meter = %meter, "ping that is not proven, or listens on another channel");
            return;
        };
        if heard.at.quality == TimeQuality::Unsynchronised {
            warn!(port = %self.name, meter = %meter, "ping not answered: the unit's clock, which it asks for, is not synchronised");
            return;
        }
        let (opens, closes) = ping.window();
        let end = self.air_end(heard);
        let network = telegram.wize.map_or(0, |header| header.network);
        let utc_s = (heard.at.utc_ms + i64::try_from((opens + GUARD).as_millis()).unwrap_or(0)) / 1000;
        let epoch = u32::try_from(utc_s - WIZE_EPOCH).unwrap_or(0);
        let body = keys.network_key(network).and_then(|kmac| mailbox.pong(telegram, heard.rssi_dbm, epoch, kmac));
        if let Some(frame) = body.and_then(|body| wmbus::link::frame(Form::Stripped, &body)) {
            self.put(Outgoing { frame, at: At::Between(end + opens + GUARD, end + closes) }, heard.at.mono);
        }
    }

    /// What is said to a meter that has just been heard.
    fn answer(&mut self, telegram: &Telegram<'_>, heard: &Heard, two_way: &mut TwoWay, keys: &MeterKeys, now: Now) {
        let is_fast = Hearing::of(telegram, None).is_some_and(|hearing| hearing.is_fast);
        let Some((from, to)) = self.mode.response_window(is_fast) else { return };
        let meter = telegram.address;
        if !self.is_preloaded() {
            let frame = two_way.hear(telegram, heard.rssi_dbm, true, keys, now);
            let Some(frame) = frame.map(|frame| frame.octets) else { return };
            let begin = self.air_end(heard) + (from + to) / 2;
            let begin = begin.checked_sub(self.line_time(frame.len())).unwrap_or(begin);
            self.put(Outgoing { frame, at: At::Between(begin, begin + LATE) }, now.mono);
            return;
        }
        // A confirmation of installation bears the number of the frame it confirms: nobody can prepare it.
        if !self.kind.sends.contains(&When::Heard) || telegram.link.c_field() == SND_IR {
            return;
        }
        let has_answered = self.loaded.take_if(|loaded| *loaded == meter).is_some();
        let is_wanted = two_way.hear(telegram, heard.rssi_dbm, false, keys, now).is_some();
        if has_answered || !is_wanted || self.loaded.is_some() {
            return;
        }
        if let Some(frame) = two_way.prepare(&meter, now) {
            self.loaded = Some(meter);
            self.put(Outgoing { frame: frame.octets, at: At::Heard }, now.mono);
        }
    }

    fn put(&mut self, outgoing: Outgoing, now: Instant) {
        self.airtime.spend(self.mode, outgoing.frame.len(), now);
        if self.outgoing.try_send(outgoing).is_err() {
            warn!(port = %self.name, "too many frames wait to be sent: one is dropped");
        }
    }

    /// When a frame's last octet was on the air: before the line had brought all of it.
    fn air_end(&self, heard: &Heard) -> Instant {
        let line = self.line_time(heard.frame.len());
        heard.at.mono.checked_sub(line).unwrap_or(heard.at.mono)
    }

    /// What the serial line takes for a frame: ten bits an octet, and what the module adds.
    fn line_time(&self, octets: usize) -> Duration {
        let bits = 10 * (octets as u64 + ADDED);
        self.baud.map_or(Duration::ZERO, |baud| Duration::from_micros(bits * 1_000_000 / u64::from(baud.max(1))))
    }
}

/// Takes a new state of an order that came with a command. Of what is over only so much is remembered.
fn tell(told: &mut Vec<Order>, order: &Order) -> bool {
    if order.command.is_none() {
        return false;
    }
    match told.iter_mut().find(|told| told.id == order.id) {
        Some(told) => told.clone_from(order),
        None => told.push(order.clone()),
    }
    let over = told.iter().filter(|order| order.state.is_ended()).count();
    if let Some(oldest) = told.iter().position(|order| order.state.is_ended()).filter(|_| over > ENDED) {
        told.remove(oldest);
    }
    true
}

fn is_ping(heard: &Heard) -> bool {
    heard.frame.get(1) == Some(&INSTPING) && heard.frame.get(CI_PLACE) == Some(&CI_WIZE)
}

fn address(meter: MeterId) -> Result<Address, Refusal> {
    meter.address().ok_or_else(|| Refusal::new(RefusalKind::NotPermitted, "it is no meter of M-Bus"))
}

/// Orders that are over and told still.
const ENDED: usize = 256;
/// Behind L, C, M and A.
const CI_PLACE: usize = 10;
const SND_IR: u8 = 0x46;
/// Seconds from 1970 to 2013.
const WIZE_EPOCH: i64 = 1_356_998_400;
/// After a device's window has opened, so that a slow clock of its does not matter.
const GUARD: Duration = Duration::from_millis(100);
/// The soonest that a host answers.
const HOST: Duration = Duration::from_millis(50);
/// So late a frame still leaves: no module says how long it takes itself.
const LATE: Duration = Duration::from_millis(50);
/// Octets that a module's framing adds.
const ADDED: u64 = 7;
