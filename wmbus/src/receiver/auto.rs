//! Finds out which receiver is on a port, and then is that receiver.
//!
//! Each kind is asked twice at its own speed, and only by its first question, which changes nothing. Framed protocols
//! with a strong check come first, since what they are sent by mistake they drop; the one that takes any octets for a
//! frame to be sent comes last. Between two kinds the line is left alone for as long as an unfinished message lives.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Counters, Event, Failure, Kind, Mode, Receiver};

/// The kinds in the order in which they are asked.
pub static ORDER: &[&str] = &["im871a", "im170a", "iu891a", "cul", "amb8465", "amb3665", "rc1180"];

/// A port on which somebody may be.
#[derive(Debug)]
pub struct Auto {
    purpose: Purpose,
    /// Kinds that were not asked yet.
    rest: VecDeque<&'static Kind>,
    /// The kind that is asked now, or that is there.
    kind: &'static Kind,
    machine: Box<dyn Receiver>,
    mode: Mode,
    /// What it was asked first; None once it has answered.
    question: Option<Vec<u8>>,
    asked: u32,
    /// The next kind is asked then.
    pause: Option<Instant>,
    /// Heard before anybody has answered: it may be noise that looks like something.
    early: Vec<Event>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    is_ended: bool,
    counters: Counters,
    /// Telegrams that were passed on: what a kind heard that turns out not to be there was none.
    telegrams: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Listen with whatever is there.
    Listen,
    /// Say what is there, and leave it as it is.
    Name,
}

impl Auto {
    /// Looks for a receiver that can listen to `mode`, and listens.
    pub fn listen(mode: Mode, now: Instant) -> Self {
        Self::new(kinds(|kind| kind.modes.contains(&mode)), Purpose::Listen, mode, now)
    }

    /// Looks for any other receiver than `expected`, which did not answer at `baud`, and fails with its name.
    pub fn name(expected: &Kind, baud: u32, now: Instant) -> Self {
        let is_other = |kind: &Kind| kind != expected || kind.baud != baud;
        Self::new(kinds(is_other), Purpose::Name, Mode::default(), now)
    }

    fn new(mut rest: VecDeque<&'static Kind>, purpose: Purpose, mode: Mode, now: Instant) -> Self {
        let kind = rest.pop_front().expect("for every mode there is a kind, and more than one kind");
        let mut auto = Self {
            purpose,
            rest,
            kind,
            machine: open(kind, mode, purpose, now),
            mode,
            question: None,
            asked: 0,
            pause: None,
            early: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            is_ended: false,
            counters: Counters::default(),
            telegrams: 0,
        };
        auto.drain(now);
        auto
    }

    /// Somebody answered, or was found without a question.
    fn is_found(&self) -> bool {
        self.asked > 0 && self.question.is_none()
    }

    fn drain(&mut self, now: Instant) {
        self.empty(now);
        self.counters.clone_from(self.machine.counters());
        self.counters.telegrams = self.telegrams;
    }

    /// Takes what the machine has to say and to send.
    fn empty(&mut self, now: Instant) {
        while let Some(octets) = self.machine.poll_transmit() {
            if self.asked == 0 {
                self.question = Some(octets.clone());
            } else if self.question.as_ref().is_some_and(|question| *question != octets) {
                self.found();
            }
            if self.question.is_some() {
                self.asked += 1;
                if self.asked > ASKED {
                    return self.pass_on(now);
                }
            }
            if self.is_ended {
                return;
            }
            self.transmits.push_back(octets);
        }
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Telegram { .. } if !self.is_found() => {
                    if self.early.len() < EARLY_MAX {
                        self.early.push(event);
                    }
                }
                Event::Failed(Failure::Mute(_)) if !self.is_found() => return self.pass_on(now),
                // It speaks the same language, and is the maker's module for the other band.
                Event::Failed(Failure::ModeUnsupported { .. })
                    if self.purpose == Purpose::Name && !self.rest.is_empty() =>
                {
                    return self.pass_on(now);
                }
                Event::Telegram { .. } | Event::Sent(_) => self.say(event),
                Event::Ready(mut identity) => {
                    self.found();
                    identity.kind = Some(self.kind.name);
                    self.say(Event::Ready(identity));
                }
                Event::Failed(_) => {
                    self.found();
                    self.say(event);
                    self.is_ended = true;
                }
            }
        }
    }

    /// The kind that was asked is there.
    fn found(&mut self) {
        self.question = None;
        self.asked = self.asked.max(1);
        if self.purpose == Purpose::Name && !self.is_ended {
            let Kind { name: kind, baud, .. } = *self.kind;
            self.events.push_back(Event::Failed(Failure::Other { kind, baud }));
            self.is_ended = true;
        }
        let early = std::mem::take(&mut self.early);
        early.into_iter().for_each(|event| self.say(event));
    }

    fn say(&mut self, event: Event) {
        if !self.is_ended {
            self.telegrams += u64::from(matches!(event, Event::Telegram { .. }));
            self.events.push_back(event);
        }
    }

    /// It is another kind, or nobody.
    fn pass_on(&mut self, now: Instant) {
        self.early.clear();
        self.transmits.clear();
        match self.rest.is_empty() {
            true => {
                self.say(Event::Failed(Failure::Nobody));
                self.is_ended = true;
            }
            false => self.pause = Some(now + PAUSE),
        }
    }

    fn next(&mut self, now: Instant) {
        self.pause = None;
        let Some(kind) = self.rest.pop_front() else { return };
        self.kind = kind;
        self.machine = open(kind, self.mode, self.purpose, now);
        self.question = None;
        self.asked = 0;
        self.drain(now);
    }
}

impl Receiver for Auto {
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        if !self.is_ended && self.pause.is_none() {
            self.machine.handle_bytes(bytes, now);
            self.drain(now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self.pause {
            _ if self.is_ended => {}
            Some(pause) if pause <= now => self.next(now),
            Some(_) => {}
            None => {
                self.machine.handle_timeout(now);
                self.drain(now);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.is_ended { None } else { self.pause.or_else(|| self.machine.poll_timeout()) }
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn baud(&self) -> Option<u32> {
        Some(self.kind.baud)
    }

    fn check(&mut self, now: Instant) {
        if self.is_found() && !self.is_ended {
            self.machine.check(now);
            self.drain(now);
        }
    }

    fn reset(&mut self, now: Instant) {
        if self.is_found() && !self.is_ended {
            self.machine.reset(now);
            self.drain(now);
        }
    }
}

fn open(kind: &'static Kind, mode: Mode, purpose: Purpose, now: Instant) -> Box<dyn Receiver> {
    let mode = if purpose == Purpose::Listen { mode } else { kind.default_mode() };
    (kind.open)(mode, now)
}

fn kinds(is_wanted: impl Fn(&Kind) -> bool) -> VecDeque<&'static Kind> {
    ORDER.iter().filter_map(|name| Kind::named(name)).filter(|kind| is_wanted(kind)).collect()
}

/// How often the first question of a kind is put.
const ASKED: u32 = 2;
/// After this time a receiver has forgotten what was begun and not ended.
const PAUSE: Duration = Duration::from_millis(300);
/// Telegrams that wait for an answer.
const EARLY_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Form;
    use crate::sim::{Emulator, EmulatorKind, Faults, Nature, RECEIVERS};

    /// A receiver at one speed, whoever asks it at another gets and gives rubbish.
    struct Bench {
        host: Auto,
        emulator: Box<dyn Emulator>,
        baud: u32,
        now: Instant,
        events: Vec<Event>,
    }

    #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
    fn now() -> Instant {
        Instant::now()
    }

    impl Bench {
        fn new(row: &EmulatorKind, host: impl Fn(Instant) -> Auto, faults: Faults) -> Self {
            let now = now();
            let emulator = (row.open)(Nature { uid: 7, firmware: 0x14, faults, seed: 1 }, now);
            Self { host: host(now), emulator, baud: row.baud, now, events: Vec::new() }
        }

        fn run(&mut self) {
            for _ in 0..200 {
                loop {
                    let is_right = self.host.baud() == Some(self.baud);
                    let garble = |octets: Vec<u8>| match is_right {
                        true => octets,
                        false => octets.into_iter().map(|octet| octet.rotate_left(3) ^ 0x5a).collect(),
                    };
                    if let Some(octets) = self.host.poll_transmit() {
                        self.emulator.handle_bytes(&garble(octets), self.now);
                    } else if let Some(octets) = self.emulator.poll_transmit() {
                        self.host.handle_bytes(&garble(octets), self.now);
                    } else {
                        break;
                    }
                }
                self.events.extend(std::iter::from_fn(|| self.host.poll_event()));
                let is_over = self.events.iter().any(|event| !matches!(event, Event::Telegram { .. }));
                match self.host.poll_timeout() {
                    Some(due) if !is_over => {
                        self.now = due;
                        self.host.handle_timeout(due);
                    }
                    _ => return,
                }
            }
            panic!("it does not end: {:?}", self.host);
        }
    }

    fn rows() -> impl Iterator<Item = &'static EmulatorKind> {
        RECEIVERS.iter().filter(|row| ORDER.contains(&row.receiver))
    }

    #[test]
    fn every_kind_with_a_handshake_is_in_the_order() {
        for kind in super::super::KINDS.iter().filter(|kind| !kind.modes.is_empty() && kind.name != "auto") {
            assert!(ORDER.contains(&kind.name), "{}", kind.name);
        }
    }

    #[test]
    fn every_receiver_is_found_at_its_speed_and_listens() {
        for row in rows() {
            let kind = Kind::named(row.receiver).unwrap();
            let mode = kind.default_mode();
            let mut bench = Bench::new(row, |now| Auto::listen(mode, now), Faults::default());
            let begin = bench.now;
            bench.run();
            let [Event::Ready(identity)] = bench.events.as_slice() else { panic!("{}: {:?}", row.name, bench.events) };
            assert_eq!((identity.kind, identity.mode), (Some(row.receiver), Some(mode)), "{}", row.name);
            assert_eq!(bench.host.baud(), Some(row.baud), "{}", row.name);
            assert!(bench.now - begin < Duration::from_secs(15), "{} after {:?}", row.name, bench.now - begin);
            let sent = if mode == Mode::C1T1 { Mode::T1 } else { mode };
            let frame = [11, 0x44, 0x2d, 0x2c, 0x78, 0x56, 0x34, 0x12, 0x1b, 0x16, 0xa0, 0x3e];
            bench.events.clear();
            bench.emulator.hear(&frame, sent, -60, bench.now);
            while let Some(octets) = bench.emulator.poll_transmit() {
                bench.host.handle_bytes(&octets, bench.now);
            }
            let heard = Event::Telegram { frame: frame.to_vec(), form: Some(Form::Stripped), rssi_dbm: Some(-60) };
            assert_eq!(bench.host.poll_event(), Some(heard), "{}", row.name);
        }
    }

    #[test]
    fn telegrams_that_waited_in_the_right_receiver_are_heard() {
        let frame = vec![11, 0x44, 0x2d, 0x2c, 0x78, 0x56, 0x34, 0x12, 0x1b, 0x16, 0xa0, 0x3e];
        for row in rows() {
            let mode = Kind::named(row.receiver).unwrap().default_mode();
            let faults = Faults { stale: vec![frame.clone()], ..Faults::default() };
            let mut bench = Bench::new(row, |now| Auto::listen(mode, now), faults);
            bench.run();
            let [Event::Telegram { frame: heard, .. }, Event::Ready(_)] = bench.events.as_slice() else {
                panic!("{}: {:?}", row.name, bench.events)
            };
            assert_eq!(*heard, frame, "{}", row.name);
        }
    }

    #[test]
    fn an_empty_port_is_given_up() {
        let row = EmulatorKind::named("im871a").unwrap();
        let mute = Faults { mute: true, ..Faults::default() };
        let mut bench = Bench::new(row, |now| Auto::listen(Mode::C1T1, now), mute);
        bench.run();
        assert_eq!(bench.events, [Event::Failed(Failure::Nobody)]);
        assert_eq!(bench.host.poll_timeout(), None);
    }

    #[test]
    fn another_receiver_than_expected_is_named_and_left_as_it_is() {
        for row in rows() {
            let expected = Kind::named(if row.name == "rc1180" { "cul" } else { "rc1180" }).unwrap();
            let mut bench = Bench::new(row, |now| Auto::name(expected, expected.baud, now), Faults::default());
            let mode = bench.emulator.mode();
            bench.run();
            // These modules of one maker answer alike in both bands.
            let kind = match row.receiver {
                "amb3665" => "amb8465",
                receiver => receiver,
            };
            assert_eq!(bench.events, [Event::Failed(Failure::Other { kind, baud: row.baud })], "{}", row.name);
            assert_eq!(bench.emulator.mode(), mode, "{}", row.name);
        }
    }

    #[test]
    fn the_expected_receiver_at_another_speed_is_named_with_it() {
        let row = EmulatorKind::named("cul").unwrap();
        let expected = Kind::named("cul").unwrap();
        let mut bench = Bench::new(row, |now| Auto::name(expected, 9_600, now), Faults::default());
        bench.run();
        assert_eq!(bench.events, [Event::Failed(Failure::Other { kind: "cul", baud: 38_400 })]);
    }
}
