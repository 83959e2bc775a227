//! The server in the modem, which says that a node has joined, and never that it has not.

use super::super::*;
use super::PSK;
use crate::g3::bootstrap::delegate::JOIN_TIME;

const NOBODY: u16 = 0xffff;

fn node(number: u8) -> Eui64 {
    Eui64([2, 0, 0, 0, 0, 0, 0, number])
}

fn psk(number: u8) -> Key {
    Key([number; 16])
}

struct House {
    server: Server,
    now: Instant,
    events: Vec<Event>,
}

/// Nodes 1 to 9 may join, each with its own key.
#[allow(clippy::disallowed_methods, reason = "where a test's own clock begins; no other is read")]
fn house(ring: Ring, members: &[Member]) -> House {
    let now = Instant::now();
    let admission: BTreeMap<_, _> = (1..10).map(|number| (node(number), psk(number))).collect();
    let (limits, entropy) = (Limits::default(), Entropy(Box::new(|| [7; 16])));
    let members = members.iter().copied();
    let mut server = Server::new(limits, b"server", ring, members, Box::new(admission), entropy, now);
    server.up(Generation::ModemLbs, now);
    House { server, now, events: Vec::new() }
}

fn new() -> House {
    house(Ring::new(PSK), &[])
}

impl House {
    /// What the modem is to do, everything being durable at once.
    fn said(&mut self) -> Vec<Action> {
        while let Some(event) = self.server.poll_event() {
            match &event {
                Event::Remember(member) => self.server.remembered(member.eui64, self.now),
                Event::KeepRing(_) => self.server.ring_kept(self.now),
                _ => {}
            }
            self.events.push(event);
        }
        std::iter::from_fn(|| self.server.poll_action()).collect()
    }

    fn ask(&mut self, number: u8) -> Vec<Action> {
        self.server.join_request(node(number), self.now);
        self.said()
    }

    fn wait(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut said = Vec::new();
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now);
            said.extend(self.said());
        }
        self.now = end;
        said
    }

    fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is_it(event)).count()
    }
}

fn assign(number: u8, short_addr: u16) -> Action {
    Action::Assign { eui64: node(number), short_addr, psk: Some(psk(number)) }
}

fn turn_away(number: u8) -> Action {
    Action::Assign { eui64: node(number), short_addr: NOBODY, psk: None }
}

#[test]
fn a_join_that_comes_to_no_end_keeps_the_others_waiting_for_a_short_time_only() {
    let mut house = new();
    assert_eq!(house.ask(1), [assign(1, 1)]);
    assert_eq!(house.ask(2), [], "the modem has one key at a time");
    assert_eq!(house.wait(JOIN_TIME), [turn_away(1), assign(2, 2)]);
    house.server.join_complete(node(2), house.now);
    assert_eq!(house.said(), []);
    assert!(house.server.member(node(2)).unwrap().is_joined);
}

#[test]
fn who_asks_again_has_failed_and_the_next_one_is_served() {
    let mut house = new();
    assert_eq!(house.ask(1), [assign(1, 1)]);
    assert_eq!(house.ask(1), [], "the same frame twice");
    assert_eq!(house.ask(2), []);
    house.now += Duration::from_secs(2);
    assert_eq!(house.ask(1), [assign(2, 2)]);
    house.server.join_complete(node(2), house.now);
    assert_eq!(house.said(), [assign(1, 1)]);
    // The second failure in a row: it has to wait, and is told so each time.
    for _ in 0..3 {
        house.now += Duration::from_secs(2);
        assert_eq!(house.ask(1), [turn_away(1)]);
    }
    assert_eq!(house.ask(3), [assign(3, 3)]);
}

#[test]
fn who_may_not_join_keeps_no_place_in_the_modem() {
    let mut house = new();
    for _ in 0..4 {
        for stranger in 20..40 {
            assert_eq!(house.ask(stranger), [turn_away(stranger)]);
        }
        house.now += Duration::from_secs(5);
    }
    let refused = |event: &Event| matches!(event, Event::Refused { is_declined: false, .. });
    assert_eq!(house.count(refused), 20, "each is said once");
    assert_eq!(house.ask(1), [assign(1, 1)]);
}

#[test]
fn who_waits_too_long_gives_its_place_in_the_modem_back() {
    let mut house = new();
    let mut said = Vec::new();
    for number in 1..10 {
        said.extend(house.ask(number));
    }
    said.extend(house.wait(JOIN_TIME * 12));
    for number in 1..10 {
        assert!(said.contains(&turn_away(number)), "{number}: {said:?}");
    }
    assert_eq!(house.ask(9), [assign(9, 9)]);
}
