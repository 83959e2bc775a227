//! A meter on a line that is slow, says "not yet", or speaks of something else first.

use std::time::Duration;

use hex_literal::hex;

use super::*;
use crate::link::hdlc::Secondary;

/// A client, and a meter that answers as the test says.
struct Line {
    client: Client,
    meter: Secondary,
    now: Instant,
    /// How long each frame of the meter takes.
    delay: Duration,
    /// Polls that a request waits for its answer.
    late: u32,
}

impl Line {
    fn new(settings: Settings) -> Self {
        let (own, meter) = (Address::one(16).unwrap(), Address::one(1).unwrap());
        let parameters = Parameters::default();
        let primary = Primary::new(own, meter, parameters, Timing::default(), 1 << 20);
        Self {
            client: Client::new(settings, Box::new(primary), Box::new(SplitMix::new(2)), 100..200, None),
            meter: Secondary::new(own, meter, parameters, 1 << 20),
            now: start(),
            delay: Duration::ZERO,
            late: 0,
        }
    }

    /// Runs until the client has something to tell but rejects.
    fn next(&mut self, answer: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> Event {
        let mut due: Option<(u32, Vec<Vec<u8>>)> = None;
        for _ in 0..10_000 {
            if let Some(event) = std::iter::from_fn(|| self.client.poll_event()).find(|it| !is_reject(it)) {
                return event;
            }
            let Some(octets) = self.client.poll_transmit() else {
                self.now = self.client.poll_timeout().expect("something is waited for");
                self.client.handle_timeout(self.now);
                continue;
            };
            self.meter.handle_bytes(&octets, self.now);
            while let Some(event) = self.meter.poll_event() {
                if let LinkEvent::Apdu(apdu) = event {
                    due = Some((self.late, answer(&apdu)));
                }
            }
            match due.take() {
                Some((0, apdus)) => apdus.iter().for_each(|apdu| self.meter.send(apdu, self.now)),
                Some((polls, apdus)) => {
                    due = Some((polls - 1, apdus));
                    self.meter.settle().unwrap();
                }
                None => {}
            }
            while let Some(octets) = self.meter.poll_transmit() {
                self.now += self.delay;
                if self.client.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                    self.client.handle_timeout(self.now);
                }
                self.client.handle_bytes(&octets, self.now);
            }
        }
        panic!("goes on for ever")
    }

    fn associate(&mut self) {
        self.client.associate(self.now);
        let event = self.next(|_| vec![AARE.to_vec()]);
        assert!(matches!(event, Event::Associated(_)), "{event:?}");
    }
}

const fn is_reject(event: &Event) -> bool {
    matches!(event, Event::Rejected(_))
}

/// Waits over the wrapper for a value, four seconds.
fn asked_over_tcp() -> Client {
    let settings = Settings { timeout: Duration::from_secs(4), is_pre_established: true, ..Settings::default() };
    let link = Box::new(Wrapper::new(16, 1));
    let mut client = Client::new(settings, link, Box::new(SplitMix::new(2)), 100..200, None);
    client.associate(start());
    client.get(ENERGY, None, start());
    client
}

fn is_answered(event: &Event) -> bool {
    matches!(event, Event::Answered { result: Ok(Answer::Value(_)), .. })
}

/// A meter accepts: GET, and blocks of it. Made by hand.
const AARE: [u8; 43] = hex!("6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f0400001010ffff0007");
/// EventNotification of an alarm register, and an answer of GET.
const NOTIFICATION: [u8; 15] = hex!("c20000010000616200ff0206000000");
const ANSWER: [u8; 9] = hex!("c401c1000600000001");

#[test]
fn a_meter_that_is_not_ready_is_polled_at_each_request() {
    let mut line = Line { late: 3, ..Line::new(Settings::default()) };
    line.associate();
    line.client.get(ENERGY, None, line.now);
    assert!(is_answered(&line.next(|_| vec![ANSWER.to_vec()])));
}

#[test]
fn a_notification_does_not_end_the_waiting_for_the_answer() {
    let mut line = Line::new(Settings::default());
    line.associate();
    line.client.get(ENERGY, None, line.now);
    let notification = [&NOTIFICATION[..], &[0x0f]].concat();
    let answer = |_: &[u8]| vec![notification.clone(), ANSWER.to_vec()];
    assert_eq!(line.next(answer), Event::Notified(notification.clone()));
    let then = line.now;
    assert!(is_answered(&line.next(answer)));
    assert_eq!(line.now, then, "the meter is polled at once");
}

#[test]
fn an_answer_that_comes_slowly_is_not_given_up_while_it_comes() {
    let long = [&hex!("c401c1000982")[..], &1000_u16.to_be_bytes(), &[7; 1000]].concat();
    // Nine frames, and no more than three of them within the time for one answer.
    let settings = Settings { timeout: Duration::from_secs(4), ..Settings::default() };
    let mut line = Line { delay: Duration::from_millis(1_500), ..Line::new(settings) };
    line.associate();
    line.client.get(ENERGY, None, line.now);
    assert!(is_answered(&line.next(|_| vec![long.clone()])));
    // Over TCP by its octets.
    let (mut client, mut now) = (asked_over_tcp(), start());
    let mut framed = Vec::new();
    crate::link::wrapper::emit(1, 16, &long, &mut framed).unwrap();
    for part in framed.chunks(100) {
        now += Duration::from_secs(3);
        client.handle_timeout(now);
        client.handle_bytes(part, now);
    }
    assert!(std::iter::from_fn(|| client.poll_event()).any(|event| is_answered(&event)));
}

#[test]
fn an_answer_without_an_end_is_given_up() {
    for promised in [&hex!("0001 0001 0010 ffff")[..], &hex!("00")] {
        let (mut client, mut now) = (asked_over_tcp(), start());
        client.handle_bytes(promised, now);
        let is_failed = |event: Event| matches!(event, Event::Answered { result: Err(_), .. });
        while !std::iter::from_fn(|| client.poll_event()).any(is_failed) {
            assert!(now < start() + 41 * Duration::from_secs(1), "it is waited for without an end");
            now += Duration::from_millis(500);
            client.handle_bytes(&[0], now);
            if client.poll_timeout().is_some_and(|due| due <= now) {
                client.handle_timeout(now);
            }
        }
        assert!(now > start() + 4 * Duration::from_secs(1), "it came all the time");
    }
}

#[test]
fn what_is_said_in_the_clear_beside_a_protected_answer_takes_nothings_place() {
    let (settings, access) = protected();
    let mut pair = Pair::new(Medium::Wrapper, settings, access);
    pair.associate().unwrap();
    let id = pair.client.get(ENERGY, None, pair.now);
    let request = pair.client.poll_transmit().unwrap();
    let mut notification = Vec::new();
    crate::link::wrapper::emit(1, MANAGEMENT, &[&NOTIFICATION[..], &[0x0f]].concat(), &mut notification).unwrap();
    pair.client.handle_bytes(&notification, pair.now);
    assert_eq!(pair.client.poll_event(), Some(Event::Rejected(Reject::NotProtected)));
    pair.server.handle_bytes(&request, pair.now);
    assert!(matches!(pair.answer(id), Ok(Answer::Value(_))));
}
