//! Two-way meters: which are to be bound, what they were told, and what came of it. The protocol is `wmbus::gateway`'s.
//!
//! An order is in its journal before it is accepted, and as sent before its frame leaves. After a restart what may have been
//! sent is asked of the meter, never repeated blindly. How an order is protected shows when its meter is heard: as the
//! meter protects its own telegrams. Message counters of the gateway are reserved ahead and never used twice.

mod live;
mod protected;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

pub use live::Known;
use live::Live;
use wmbus::gateway::{Command, End, Event, Frame, Gateway, Hearing, Protection, Refused};
use wmbus::record::{Date, DateTime, Time};
use wmbus::{Address, Keys, Telegram};

use super::orders::{Action, Entry, Order, State};
use crate::clock::Now;
use crate::journal::{Counters, Journal, JournalError};
use crate::reading::TimeQuality;

#[derive(Debug)]
pub struct TwoWay {
    gateway: Gateway,
    live: Live,
    orders: BTreeMap<u64, Order>,
    /// Queued, and not yet given to the gateway: their meters were not heard since.
    unheard: BTreeMap<Address, VecDeque<u64>>,
    journal: Journal,
    counters: Counters,
    news: VecDeque<News>,
    fault: Option<JournalError>,
    /// The journal lacks something: nothing leaves before it is there.
    is_behind: bool,
}

/// What somebody may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Bound(Address),
    /// An order has another state now.
    Order(Order),
}

/// Why an order is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the unit's clock is not synchronised: it sets no other")]
    Clock,
    #[error("no order {0} waits")]
    NotWaiting(u64),
    #[error("write the order down")]
    Journal(#[from] JournalError),
}

impl TwoWay {
    /// Goes on with what the files in `directory` hold.
    ///
    /// # Errors
    /// A file cannot be read or written, or is damaged: what was sent is not known then, and nothing may be sent.
    pub fn open(directory: &Path, own: Address, now: Now) -> Result<Self, JournalError> {
        let path = directory.join("orders");
        let (journal, recovered) = Journal::open(&path, KIND)?;
        let counters = Counters::open(&directory.join("gateway-counters"), COUNTERS)?;
        let mut two_way = Self {
            gateway: Gateway::new(own),
            live: Live::default(),
            orders: BTreeMap::new(),
            unheard: BTreeMap::new(),
            journal,
            counters,
            news: VecDeque::new(),
            fault: None,
            is_behind: false,
        };
        for entry in &recovered.entries {
            match Entry::parse(entry) {
                Some(Entry::Order(order)) => {
                    two_way.orders.insert(order.id, order);
                }
                Some(Entry::Bind(meter, true)) => {
                    two_way.gateway.bind(meter);
                }
                Some(Entry::Bind(meter, false)) => {
                    two_way.gateway.unbind(&meter);
                }
                None => return Err(JournalError::Damaged { path, offset: 0 }),
            }
        }
        for order in two_way.orders.values().filter(|order| !order.state.is_ended()) {
            two_way.unheard.entry(order.meter.identity()).or_default().push_back(order.id);
        }
        two_way.handle_timeout(now);
        two_way.compact();
        Ok(two_way)
    }

    /// Accepts an order: it is durable when this returns. One that came with the same `command` is not taken again.
    ///
    /// # Errors
    /// Says why it will not be sent.
    pub fn order(
        &mut self,
        meter: Address,
        action: Action,
        expires: Duration,
        command: Option<[u8; 16]>,
        keys: &impl Keys,
        now: Now,
    ) -> Result<Order, OrderError> {
        if let Some(order) = self.orders.values().find(|order| command.is_some() && order.command == command) {
            return Ok(order.clone());
        }
        if action == Action::SetClock && now.quality == TimeQuality::Unsynchronised {
            return Err(OrderError::Clock);
        }
        let open = self.orders.values().filter(|order| !order.state.is_ended());
        let (mut of_meter, mut of_all) = (0, 0);
        open.for_each(|order| {
            of_all += 1;
            of_meter += usize::from(order.meter.identity() == meter.identity());
        });
        if of_all >= ORDERS || of_meter >= PER_METER {
            return Err(Refused::TooMany.into());
        }
        let protection = keys.key(&meter).map_or(Protection::None, |key| Protection::AesCbcIv(key.clone()));
        told(action, now).check(&meter, &protection)?;
        let id = self.orders.keys().next_back().map_or(1, |last| last + 1);
        let expires_ms = now.utc_ms.saturating_add(i64::try_from(expires.as_millis()).unwrap_or(i64::MAX));
        let (given_ms, changed_ms) = (now.utc_ms, now.utc_ms);
        let order = Order { id, meter, action, given_ms, expires_ms, changed_ms, state: State::Queued, command };
        self.journal.append(&Entry::Order(order.clone()).emit())?;
        self.orders.insert(id, order.clone());
        self.unheard.entry(meter.identity()).or_default().push_back(id);
        self.forget();
        Ok(order)
    }

    /// Takes back an order that was not sent.
    ///
    /// # Errors
    /// It is on its way, over, or was never there.
    pub fn cancel(&mut self, id: u64, now: Now) -> Result<(), OrderError> {
        let waiting = self.unheard.values_mut().find_map(|ids| {
            let at = ids.iter().position(|waiting| *waiting == id)?;
            ids.remove(at)
        });
        let is_queued = self.orders.get(&id).is_some_and(|order| order.state == State::Queued);
        if is_queued && waiting.is_some() {
            self.change(id, State::Ended(End::Cancelled), now);
            return Ok(());
        }
        if !self.gateway.cancel(id) {
            return Err(OrderError::NotWaiting(id));
        }
        self.drain(now);
        Ok(())
    }

    /// The meter will be bound when it asks for it, or not any more.
    ///
    /// # Errors
    /// Too many are to be bound, or it cannot be written down.
    pub fn bind(&mut self, meter: Address, is_wanted: bool) -> Result<(), OrderError> {
        if is_wanted && !self.gateway.bind(meter) {
            return Err(Refused::TooMany.into());
        }
        if !is_wanted {
            self.gateway.unbind(&meter);
        }
        self.journal.append(&Entry::Bind(meter, is_wanted).emit())?;
        Ok(())
    }

    pub fn to_bind(&self) -> impl Iterator<Item = &Address> {
        self.gateway.to_bind()
    }

    /// All that are open, and the last that ended; oldest first.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// Whether a frame of this meter is worth a look.
    pub fn concerns(&self, meter: &Address) -> bool {
        self.unheard.contains_key(&meter.identity()) || self.gateway.concerns(meter)
    }

    /// Takes what a meter sent just now ([`Self::is_live`]); what is to be sent to it in the window that begins now comes
    /// back. `is_prompt`: the host sends it, and at once.
    pub fn hear(
        &mut self,
        telegram: &Telegram<'_>,
        rssi_dbm: Option<i16>,
        is_prompt: bool,
        keys: &impl Keys,
        now: Now,
    ) -> Option<Frame> {
        let is_repetition = self.live.is_repetition(&telegram.address);
        let hearing = Hearing { is_repetition, ..Hearing::of(telegram, rssi_dbm)? };
        self.take_up(telegram, is_prompt, keys, now);
        if !self.raise(telegram, keys) {
            return None;
        }
        let frame = self.gateway.handle_hearing(&hearing, now.mono);
        self.drain(now);
        frame.filter(|_| self.is_written())
    }

    /// What a module may send to a meter by itself; None where nothing waits.
    pub fn prepare(&mut self, meter: &Address, now: Now) -> Option<Frame> {
        let frame = self.gateway.prepare(meter);
        self.drain(now);
        frame.filter(|_| self.is_written())
    }

    /// What could not be written down must not leave.
    fn is_written(&mut self) -> bool {
        if self.is_behind {
            self.compact();
        }
        !self.is_behind
    }

    pub fn handle_timeout(&mut self, now: Now) {
        let is_over = |id: &u64| self.orders.get(id).is_none_or(|order| order.expires_ms <= now.utc_ms);
        let over: Vec<u64> = self.unheard.values().flatten().copied().filter(is_over).collect();
        for id in over {
            self.unheard.values_mut().for_each(|ids| ids.retain(|waiting| *waiting != id));
            // What was sent before a restart may have been done.
            let is_sent = self.orders.get(&id).is_some_and(|order| order.state != State::Queued);
            self.change(id, State::Ended(if is_sent { End::NotAnswered } else { End::Expired }), now);
        }
        self.unheard.retain(|_, ids| !ids.is_empty());
        self.gateway.handle_timeout(now.mono);
        self.drain(now);
    }

    pub fn poll_timeout(&self, now: Now) -> Option<Instant> {
        let first = self.unheard.values().flatten().filter_map(|id| Some(self.orders.get(id)?.expires_ms)).min();
        let first = first.map(|at| now.mono + Duration::from_millis(u64::try_from(at - now.utc_ms).unwrap_or(0)));
        first.into_iter().chain(self.gateway.poll_timeout()).min()
    }

    pub fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Why the last entry is not durable; told once.
    pub fn poll_fault(&mut self) -> Option<JournalError> {
        self.fault.take()
    }

    fn drain(&mut self, now: Now) {
        while let Some(event) = self.gateway.poll_event() {
            match event {
                Event::Bound(meter) => self.news.push_back(News::Bound(meter)),
                Event::Sent(id) => self.change(id, State::Sent, now),
                Event::Delivered(id) => self.change(id, State::Delivered, now),
                Event::Ended(id, end) => self.change(id, State::Ended(end), now),
            }
        }
    }

    fn change(&mut self, id: u64, state: State, now: Now) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        (order.state, order.changed_ms) = (state, now.utc_ms);
        let order = order.clone();
        if let Err(error) = self.journal.append(&Entry::Order(order.clone()).emit()) {
            self.fault = Some(error);
            self.is_behind = true;
        }
        self.news.push_back(News::Order(order));
        if self.journal.octets() > OCTETS {
            self.compact();
        }
    }

    /// Of what is over only the last is remembered.
    fn forget(&mut self) {
        let ended = self.orders.values().filter(|order| order.state.is_ended());
        let over = ended.clone().count().saturating_sub(ENDED);
        let old: Vec<u64> = ended.take(over).map(|order| order.id).collect();
        for id in old {
            self.orders.remove(&id);
        }
    }

    fn compact(&mut self) {
        self.forget();
        let orders = self.orders.values().map(|order| Entry::Order(order.clone()).emit());
        let bound = self.gateway.to_bind().map(|meter| Entry::Bind(*meter, true).emit());
        let entries: Vec<Vec<u8>> = orders.chain(bound).collect();
        match self.journal.compact(entries.iter().map(Vec::as_slice)) {
            Ok(()) => self.is_behind = false,
            Err(error) => self.fault = Some(error),
        }
    }
}

fn told(action: Action, now: Now) -> Command {
    match (action.valve(), action) {
        (Some(valve), _) => Command::Valve(valve),
        (None, Action::SetClock) => Command::SetClock(utc(now.utc_ms)),
        (None, _) => Command::RequestData,
    }
}

/// The unit's time, for a meter.
fn utc(utc_ms: i64) -> DateTime {
    let time = jiff::Timestamp::from_millisecond(utc_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let civil = time.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let number = |number: i8| u8::try_from(number).unwrap_or(0);
    let date = Date::new(u16::try_from(civil.year()).unwrap_or(0), number(civil.month()), number(civil.day()));
    let time = Time::new(number(civil.hour()), number(civil.minute()), number(civil.second()));
    let (date, time) = date.zip(time).expect("a calendar's date is one");
    DateTime::new(date, time)
}

const KIND: [u8; 3] = *b"ord";
/// Orders that wait: of all meters, and of one.
const ORDERS: usize = 4_096;
const PER_METER: usize = 8;
/// Orders that are over and remembered.
const ENDED: usize = 256;
/// Octets at which the journal is written anew: some times what all orders take.
const OCTETS: u64 = 1 << 20;
/// Counters reserved at once.
const COUNTERS: u64 = 16;

#[cfg(test)]
mod tests;
