//! The server in the modem, which says that a node has joined, and never that it has not.

use super::super::*;
use super::PSK;
use crate::g3::bootstrap::delegate::{JOIN_TIME, REKEY_TIME};

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
    house.server.join_complete(node(2), 2, house.now);
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
    house.server.join_complete(node(2), 2, house.now);
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

fn is_joined(house: &House, number: u8) -> bool {
    house.server.member(node(number)).unwrap().is_joined
}

/// The house after a kill, with what was durable; two nodes were assigned their addresses.
fn killed() -> House {
    let mut before = new();
    assert_eq!(before.ask(1), [assign(1, 1)]);
    before.wait(JOIN_TIME);
    assert_eq!(before.ask(2), [assign(2, 2)]);
    let members: Vec<_> = before.server.members().copied().collect();
    assert!(members.iter().all(|member| member.is_assigned && !member.was_joined()));
    house(Ring::new(PSK), &members)
}

#[test]
fn who_may_have_joined_unnoticed_is_in_the_network_when_it_is_heard_or_seen() {
    let mut house = killed();
    let now = house.now;
    assert!(!house.server.forget(node(1)), "its address is in use, perhaps");
    house.server.heard(1, now);
    house.server.seen(2);
    house.server.seen(3);
    house.said();
    for number in [1, 2] {
        let member = house.server.member(node(number)).unwrap();
        assert!(member.is_joined && !member.is_assigned && member.was_joined());
        assert_eq!(member.key_generation, 1);
    }
    assert_eq!(house.count(|event| matches!(event, Event::Joined { .. })), 2);
    // A route outlives its node.
    assert!(house.server.kick(node(2), now));
    house.server.seen(2);
    house.server.heard(2, now);
    assert!(!is_joined(&house, 2));
}

#[test]
fn a_word_that_comes_late_counts_and_one_of_another_address_does_not() {
    let mut house = killed();
    let now = house.now;
    house.server.join_complete(node(1), 7, now);
    house.server.join_complete(node(2), 2, now);
    assert_eq!((is_joined(&house, 1), is_joined(&house, 2)), (false, true));
    assert_eq!(house.server.rejects().iter().map(|(_, count)| count).sum::<u64>(), 1);
}

#[test]
fn who_is_heard_in_the_middle_of_its_join_has_joined() {
    let mut house = new();
    assert_eq!(house.ask(1), [assign(1, 1)]);
    assert_eq!(house.ask(2), []);
    house.server.seen(1);
    assert!(!is_joined(&house, 1), "a route may be older than the join");
    house.server.heard(1, house.now);
    assert_eq!(house.said(), [assign(2, 2)]);
    assert!(is_joined(&house, 1));
}

#[test]
fn who_may_have_joined_is_sent_away_like_any_other_and_no_more_heard() {
    let mut house = killed();
    assert!(house.server.kick(node(1), house.now));
    assert_eq!(house.said(), [Action::Kick { eui64: node(1), short_addr: 1 }]);
    assert!(!house.server.kick(node(1), house.now));
    house.server.set_admission(Box::new(BTreeMap::new()));
    house.wait(Duration::from_secs(3600));
    house.server.heard(1, house.now);
    assert_eq!(house.said(), [Action::Kick { eui64: node(1), short_addr: 1 }], "it is not admitted");
    assert!(!is_joined(&house, 1));
}

#[test]
fn who_asks_and_is_not_admitted_is_not_in_the_network_for_sure() {
    let mut house = killed();
    house.server.set_admission(Box::new(BTreeMap::new()));
    assert_eq!(house.ask(1), [turn_away(1)]);
    assert!(!house.server.member(node(1)).unwrap().may_be_joined());
}

fn rekey(number: u8, distribute: bool) -> Action {
    let short_addr = number.into();
    Action::Rekey { eui64: node(number), short_addr, psk: Some(psk(number)), distribute }
}

fn members(joined: std::ops::Range<u8>) -> Vec<Member> {
    let member = |number: u8| Member {
        eui64: node(number),
        short_addr: number.into(),
        is_joined: number != 2,
        is_assigned: number == 2,
        key_generation: 1,
        active_generation: 1,
    };
    joined.map(member).collect()
}

fn rekeyed(said: &[Action]) -> Vec<&Action> {
    said.iter().filter(|action| !matches!(action, Action::Keys(_))).collect()
}

#[test]
fn a_rekey_ends_soon_where_the_modem_does_not_say_how_far_it_is() {
    let mut house = house(Ring::new(PSK), &members(1..4));
    assert!(house.server.rekey(Key([8; 16])));
    let said = house.said();
    assert_eq!(rekeyed(&said), [&rekey(1, true)]);
    assert_eq!(
        house.count(|event| matches!(event, Event::Rekey { missing: 3, .. })),
        1,
        "the one that may be there, too"
    );
    let said = house.wait(REKEY_TIME * 4);
    let expected: Vec<_> = [(2, true), (3, true), (1, false), (2, false), (3, false)].map(|(n, d)| rekey(n, d)).into();
    assert_eq!(rekeyed(&said), expected.iter().collect::<Vec<_>>());
    assert_eq!(house.server.ring().phase, Phase::Grace);
}

#[test]
fn who_was_passed_over_is_rekeyed_again_where_the_modem_says_of_others_that_they_are() {
    let mut house = house(Ring::new(PSK), &members(1..4));
    assert!(house.server.rekey(Key([8; 16])));
    house.said();
    let said = house.wait(REKEY_TIME);
    assert_eq!(rekeyed(&said), [&rekey(2, true)]);
    house.server.join_complete(node(2), 2, house.now);
    assert_eq!(house.said(), [rekey(1, true)], "nobody said so of the first");
    let said = house.wait(REKEY_TIME);
    assert_eq!(rekeyed(&said), [&rekey(3, true)], "who was not tried before comes first");
    house.server.join_complete(node(3), 3, house.now);
    assert_eq!(house.said(), []);
    assert_eq!((house.server.ring().phase, is_joined(&house, 1)), (Phase::Distribute, true));
}

#[test]
fn a_rekey_lets_those_in_who_ask() {
    let mut house = house(Ring::new(PSK), &members(1..4));
    assert!(house.server.rekey(Key([8; 16])));
    house.said();
    assert_eq!(house.ask(5), []);
    let said = house.wait(REKEY_TIME);
    assert_eq!(rekeyed(&said), [&assign(5, 4)]);
    house.server.join_complete(node(5), 4, house.now);
    assert_eq!(house.said(), [rekey(2, true)]);
}
