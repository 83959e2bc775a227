mod delegated;

use std::collections::BTreeMap;

use super::*;
use crate::g3::lbp::psk::Peer;

const PSK: Key = Key([5; 16]);

fn eui64() -> Eui64 {
    Eui64([2, 0, 0, 0, 0, 0, 0, 9])
}

#[allow(clippy::disallowed_methods, reason = "where a test's own clock begins; no other is read")]
fn server() -> (Server, Instant) {
    let now = Instant::now();
    let admission = BTreeMap::from([(eui64(), PSK)]);
    let entropy = Entropy(Box::new(|| [7; 16]));
    let ring = Ring::new(Key([9; 16]));
    let mut server = Server::new(Limits::default(), b"server", ring, [], Box::new(admission), entropy, now);
    server.up(Generation::HostLbs, now);
    (server, now)
}

fn said(server: &mut Server) -> Vec<lbp::Message> {
    let mut messages = Vec::new();
    while let Some(action) = server.poll_action() {
        let Action::Lbp { lbp, .. } = action else { panic!("{action:?}") };
        messages.push(lbp::Message::parse(&lbp.pdu.0).unwrap());
    }
    messages
}

fn tell(server: &mut Server, source: u16, data: lbp::Data, now: Instant) -> Vec<lbp::Message> {
    server.handle_lbp(source, &lbp::Message::new(lbp::Code::Joining, eui64(), data).to_vec(), now);
    said(server)
}

/// The conversation up to message 2, and the peer.
fn proved(server: &mut Server, now: Instant) -> (Peer, Vec<lbp::Message>) {
    let asked = tell(server, 0xffff, lbp::Data::Nothing, now);
    let [lbp::Message { data: lbp::Data::Eap(first), .. }] = asked.as_slice() else { panic!("{asked:?}") };
    let mut peer = Peer::new(&PSK, &eui64().0, [8; 16]);
    let second = peer.second(first).unwrap();
    let answer = tell(server, 0xffff, lbp::Data::Eap(second), now);
    (peer, answer)
}

#[test]
fn no_address_leaves_before_it_is_durable() {
    let (mut server, now) = server();
    let (peer, answer) = proved(&mut server, now);
    assert_eq!(answer, []);
    let Some(Event::Remember(member)) = server.poll_event() else { panic!() };
    assert_eq!((member.short_addr, member.is_joined), (1, false));
    server.remembered(eui64(), now);
    let given = said(&mut server);
    let [lbp::Message { data: lbp::Data::Eap(third), .. }] = given.as_slice() else { panic!("{given:?}") };
    assert!(peer.take_third(third).unwrap().contains(&Parameter::ShortAddr(1)));
}

#[test]
fn a_second_copy_of_a_question_is_passed_over_and_a_later_one_begins_anew() {
    let (mut server, now) = server();
    assert_eq!(tell(&mut server, 0xffff, lbp::Data::Nothing, now).len(), 1);
    assert_eq!(tell(&mut server, 0xffff, lbp::Data::Nothing, now + Duration::from_secs(1)), []);
    assert_eq!(tell(&mut server, 0x0003, lbp::Data::Nothing, now + Duration::from_secs(6)).len(), 1);
}

#[test]
fn a_message_goes_again_and_then_the_slot_is_free() {
    let (mut server, now) = server();
    let first = tell(&mut server, 0xffff, lbp::Data::Nothing, now);
    let due = server.poll_timeout().unwrap();
    server.handle_timeout(due);
    assert_eq!(said(&mut server), first, "the same octets");
    server.handle_timeout(server.poll_timeout().unwrap());
    let failed = std::iter::from_fn(|| server.poll_event()).last();
    assert_eq!(failed, Some(Event::JoinFailed { eui64: eui64(), why: Failure::NoAnswer }));
    // What is left is the look for who was not heard since the last rotation.
    server.handle_timeout(server.poll_timeout().unwrap());
    assert_eq!((server.poll_timeout(), said(&mut server)), (None, vec![]));
}

#[test]
fn few_devices_come_in_at_once_and_who_has_the_last_word_makes_room() {
    let (mut server, now) = server();
    let devices: Vec<Eui64> = (1..=4).map(|number| Eui64([number; 8])).chain([eui64()]).collect();
    server.set_admission(Box::new(devices.iter().map(|device| (*device, PSK)).collect::<BTreeMap<_, _>>()));
    let (peer, _) = proved(&mut server, now);
    let ask = |server: &mut Server, device: Eui64| {
        let joining = lbp::Message::new(lbp::Code::Joining, device, lbp::Data::Nothing);
        server.handle_lbp(0xffff, &joining.to_vec(), now);
        said(server).len()
    };
    assert_eq!([0, 1].map(|at| ask(&mut server, devices[at])), [1, 0]);
    server.remembered(eui64(), now);
    let given = said(&mut server);
    let [lbp::Message { data: lbp::Data::Eap(third), .. }] = given.as_slice() else { panic!("{given:?}") };
    peer.take_third(third).unwrap();
    let fourth = lbp::Data::Eap(peer.fourth(third.identifier, &[]).unwrap());
    let last = tell(&mut server, 0xffff, fourth, now);
    let to: Vec<(lbp::Code, Eui64)> = last.iter().map(|message| (message.code, message.eui64)).collect();
    assert_eq!(to, [(lbp::Code::Accepted, eui64()), (lbp::Code::Challenge, devices[1])]);
    assert_eq!(ask(&mut server, devices[2]), 0);
    // Nobody answers: what was asked is asked once more, then others are.
    for (after, codes) in [(20, 2), (40, 1)] {
        server.handle_timeout(now + Duration::from_secs(after));
        assert_eq!(said(&mut server).iter().filter(|said| said.code == lbp::Code::Challenge).count(), codes);
    }
}

#[test]
fn nobody_else_can_say_that_a_node_leaves() {
    let member = Member {
        eui64: eui64(),
        short_addr: 4,
        is_joined: true,
        is_assigned: false,
        key_generation: 1,
        active_generation: 1,
    };
    let (mut server, now) = server();
    server.roster = Roster::new([member]);
    let kick = lbp::Message::new(lbp::Code::KickFromLbd, eui64(), lbp::Data::Nothing).to_vec();
    for source in [0xffff, 5] {
        server.handle_lbp(source, &kick, now);
        assert!(server.member(eui64()).unwrap().is_joined);
    }
    server.handle_lbp(4, &kick, now);
    assert!(!server.member(eui64()).unwrap().is_joined);
}

#[test]
fn a_flood_of_names_fills_no_memory() {
    let (mut server, now) = server();
    let mut told = 0;
    for number in 0..100_000u64 {
        let joining = lbp::Message::new(lbp::Code::Joining, Eui64(number.to_be_bytes()), lbp::Data::Nothing).to_vec();
        server.handle_lbp(0xffff, &joining, now);
        told += std::iter::from_fn(|| server.poll_event()).count();
        assert_eq!(server.poll_action(), None, "who is held is told nothing");
    }
    assert!(told <= 1024);
    assert!(server.slots.len() <= 1 && server.waiting.len() <= 64 && server.refused.len() <= 1024);
    assert_eq!(server.members().count(), 0);
}
