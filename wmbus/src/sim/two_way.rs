//! A meter that listens for a moment after each of its frames: OMS, two-way, with a valve and a clock.
//!
//! It is strict where a real one may be kind: what comes before or after its window it does not hear, a command must be
//! protected as its own frames are, and a repeated request (same frame count bit) is answered again and not carried out
//! again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Message, Protection};
use crate::gateway::{
    ACC_DMD, ACK, CNF_IR, FCB, FCV, REQ_UD1, REQ_UD2, RSP_UD, SND_IR, SND_NKE, SND_UD, Valve, valve_state,
};
use crate::record::{DataField, Draft, Value};
use crate::spec::Content;
use crate::tpl::{Configuration, Extension, ShortHeader, Status, Tpl};
use crate::{Address, Form, Key, Link, Scratch, SecurityMode, Telegram, Verdict, link};

/// The meter.
#[derive(Debug)]
pub struct TwoWayMeter {
    address: Address,
    /// With mode 7, else with mode 5; None for a meter without protection.
    key: Option<Key>,
    is_mode_7: bool,
    /// When it listens, counted from the end of its frame.
    window: (Duration, Duration),
    access_number: u8,
    counter: u32,
    /// The highest counter of the gateway.
    gateway_counter: Option<u32>,
    sent_at: Option<Instant>,
    cycle_ends: Option<Instant>,
    frame_count_bit: Option<bool>,
    last: Vec<u8>,
    witness: Witness,
    air: VecDeque<Vec<u8>>,
}

/// What it saw and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witness {
    pub is_bound: bool,
    pub valve: Option<Valve>,
    /// The clock as it was set, as sent.
    pub clock: Option<[u8; 6]>,
    pub executed: u32,
    pub repeated: u32,
    /// Frames that were not for it, not readable, not protected, or not new.
    pub refused: u32,
    /// Frames outside its window, and how far the last one was off its middle, in microseconds.
    pub missed: u32,
    pub deviation_us: Option<i64>,
    pub ended_cycles: u32,
    /// The reception level in the last frame to it.
    pub level: u8,
}

impl TwoWayMeter {
    pub fn new(address: Address, key: Option<Key>, is_mode_7: bool, window: (Duration, Duration)) -> Self {
        Self {
            address,
            key,
            is_mode_7,
            window,
            access_number: 0x40,
            counter: 100,
            gateway_counter: None,
            sent_at: None,
            cycle_ends: None,
            frame_count_bit: None,
            last: Vec::new(),
            witness: Witness { valve: Some(Valve::Open), ..Witness::default() },
            air: VecDeque::new(),
        }
    }

    pub const fn witness(&self) -> &Witness {
        &self.witness
    }

    /// SND-NR with its readings; it listens after it.
    pub fn announce(&mut self, now: Instant) {
        let access_number = self.next();
        self.say(SND_NR, access_number, now);
    }

    /// SND-IR: wants to be bound.
    pub fn ask_to_be_bound(&mut self, now: Instant) {
        let access_number = self.next();
        self.say(SND_IR, access_number, now);
    }

    /// ACC-DMD: has something to tell.
    pub fn demand_access(&mut self, now: Instant) {
        let access_number = self.next();
        self.say_short(ACC_DMD, access_number, now);
    }

    /// A frame on the air that begins now.
    pub fn hear(&mut self, frame: &[u8], now: Instant) {
        let Some(sent_at) = self.sent_at else { return };
        let (from, to) = self.window;
        let waited = now.saturating_duration_since(sent_at);
        let middle = (from + to) / 2;
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let mut scratch = Scratch::default();
        let Ok(telegram) = Telegram::decode_as(Form::Stripped, frame, &self.key, &mut scratch) else {
            self.witness.refused += 1;
            return;
        };
        if telegram.address != self.address || !telegram.is_to_meter() {
            return;
        }
        self.witness.deviation_us = Some(micros(waited) - micros(middle));
        if !(from..=to).contains(&waited) {
            self.witness.missed += 1;
            return;
        }
        let Some((tpl, header)) = telegram.tpl.and_then(|tpl| Some((tpl, tpl.header?))) else {
            self.witness.refused += 1;
            return;
        };
        self.witness.level = header.status.0;
        let c_field = telegram.link.c_field();
        match c_field & !(FCB | FCV) {
            SND_UD | REQ_UD1 | REQ_UD2 => {}
            _ => {
                match c_field {
                    CNF_IR => self.witness.is_bound |= header.access_number == self.access_number,
                    ACK if header.access_number == self.access_number => self.begin_cycle(now),
                    SND_NKE => {
                        self.cycle_ends = None;
                        self.frame_count_bit = None;
                        self.witness.ended_cycles += 1;
                    }
                    _ => self.witness.refused += 1,
                }
                return;
            }
        }
        let frame_count_bit = c_field & FCB != 0;
        if self.frame_count_bit == Some(frame_count_bit) {
            self.witness.repeated += 1;
            let last = self.last.clone();
            return self.put(last, now);
        }
        let valve = valve_state(&telegram);
        let clock = (tpl.content == Content::ClockSynchronisation)
            .then(|| telegram.application.get(1..)?.first_chunk().copied())
            .flatten();
        if c_field & !(FCB | FCV) == SND_UD {
            let security = telegram.security;
            let is_newer =
                security.counter.is_none_or(|counter| self.gateway_counter.is_none_or(|last| counter > last));
            let is_protected = match (self.key.is_some(), self.is_mode_7) {
                (false, _) => true,
                (true, false) => security.mode == SecurityMode::AesCbcIv,
                (true, true) => security.authenticated && is_newer,
            };
            if telegram.verdict != Verdict::Ok || !is_protected {
                self.witness.refused += 1;
                return;
            }
            self.gateway_counter = security.counter.or(self.gateway_counter);
            self.witness.executed += 1;
            self.witness.valve = valve.or(self.witness.valve);
            self.witness.clock = clock.or(self.witness.clock);
        }
        self.frame_count_bit = Some(frame_count_bit);
        self.begin_cycle(now);
        if c_field & !(FCB | FCV) == SND_UD {
            self.say_short(ACK, header.access_number, now);
        } else {
            self.say(RSP_UD, header.access_number, now);
        }
    }

    /// In a cycle it repeats its last frame every two seconds, so that it can be spoken to.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.cycle_ends.is_some_and(|ends| ends <= now) {
            self.cycle_ends = None;
            self.frame_count_bit = None;
        }
        if self.poll_timeout().is_some_and(|due| due <= now) {
            let last = self.last.clone();
            self.put(last, now);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.cycle_ends.and(self.sent_at).map(|sent| sent + REPEAT)
    }

    /// A frame that it sends: L first, without CRCs.
    pub fn poll_air(&mut self) -> Option<Vec<u8>> {
        self.air.pop_front()
    }

    /// When its last frame really ended, where the air took its time.
    pub fn sent(&mut self, at: Instant) {
        self.sent_at = Some(at);
    }

    fn next(&mut self) -> u8 {
        self.access_number = self.access_number.wrapping_add(1);
        self.access_number
    }

    fn begin_cycle(&mut self, now: Instant) {
        self.cycle_ends = Some(now + CYCLE);
    }

    fn say(&mut self, c_field: u8, access_number: u8, now: Instant) {
        self.counter += 1;
        let valve = self.witness.valve.unwrap_or(Valve::Open) as i64;
        let records = [
            Draft::new(DataField::Integer32, &[0x13], Value::Integer(12_345)),
            Draft::new(DataField::Integer8, &[0xfd, 0x1f], Value::Integer(valve)),
        ];
        let protection = match &self.key {
            None => Protection::None,
            Some(key) if self.is_mode_7 => Protection::AesCbcNoIv { key, counter: self.counter },
            Some(key) => Protection::AesCbcIv(key),
        };
        let message = Message::new(self.address, access_number, &records).protection(protection);
        let frame = Message { c_field, access: LISTENS, ..message }.emit(Form::Stripped);
        self.put(frame.unwrap_or_default(), now);
    }

    fn say_short(&mut self, c_field: u8, access_number: u8, now: Instant) {
        let configuration = Configuration { field: LISTENS, extension: Extension::None };
        let header = ShortHeader { access_number, status: Status(0), configuration };
        let mut body = Vec::new();
        Link::Wireless { c_field, address: self.address }.emit(&mut body);
        let content = Content::Nothing;
        Tpl { ci_field: 0x8a, address: None, header: Some(header), content, to_meter: false }.emit(&mut body);
        self.put(link::frame(Form::Stripped, &body).unwrap_or_default(), now);
    }

    fn put(&mut self, frame: Vec<u8>, now: Instant) {
        self.last.clone_from(&frame);
        self.sent_at = Some(now);
        self.air.push_back(frame);
    }
}

const SND_NR: u8 = 0x44;
/// Bidirectional, and accessible now.
const LISTENS: u16 = 0xc000;
const REPEAT: Duration = Duration::from_secs(2);
const CYCLE: Duration = Duration::from_secs(88);
