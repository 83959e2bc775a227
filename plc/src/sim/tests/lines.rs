//! The driver alone: requests, tables, back-pressure, silence, counters.

use std::time::Duration;

use super::house::{House, MINUTE, device};
use crate::g3::adp::{Path, Value};
use crate::g3::coordinator::Event;
use crate::g3::modem::{self, Answer, Cause, Delivery, Full, Generation, Priority, Refusal, Ticket};
use crate::g3::pib::{Layer, Typed, adp, mac};
use crate::g3::{AdpStatus, MacStatus};
use crate::sim::{Behind, Faults, Nature};

fn up(nature: Nature, nodes: u32) -> House {
    let mut house = House::new(nature, 0..nodes);
    assert!(house.until(|house| house.pair.modem.joined() == nodes as usize));
    house
}

#[track_caller]
fn ask(
    house: &mut House,
    f: impl FnOnce(&mut modem::Modem, std::time::Instant) -> Result<Ticket, Full>,
) -> Result<Answer, Refusal> {
    let now = house.pair.now;
    let ticket = house.pair.coordinator.with_modem(now, |modem| f(modem, now)).unwrap();
    house.run(MINUTE);
    let answers = house.events.iter().filter_map(|event| match event {
        Event::Modem(modem::Event::Answered(of, result)) if *of == ticket => Some(result.clone()),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    assert_eq!(answers.len(), 1);
    answers[0].clone()
}

#[test]
fn attributes_are_read_and_written_with_their_types() {
    let mut house = up(Nature::default(), 1);
    let hops = ask(&mut house, |modem, now| modem.get(Layer::Adp, adp::MAX_HOPS, 0, now));
    assert_eq!(hops, Ok(Answer::Value(Typed::U8(8))));
    let value = Typed::U8(5).to_value();
    assert_eq!(ask(&mut house, |modem, now| modem.set(Layer::Adp, adp::MAX_HOPS, 0, value, now)), Ok(Answer::Done));
    let hops = ask(&mut house, |modem, now| modem.get(Layer::Adp, adp::MAX_HOPS, 0, now));
    assert_eq!(hops, Ok(Answer::Value(Typed::U8(5))));
    let key = ask(&mut house, |modem, now| modem.get(Layer::Mac, mac::KEY_TABLE, 0, now));
    assert_eq!(key, Err(Refusal::Mac(MacStatus::UNAVAILABLE_KEY)));
    let none = ask(&mut house, |modem, now| modem.get(Layer::Adp, 0xdead, 0, now));
    assert_eq!(none, Err(Refusal::Adp(AdpStatus::UNSUPPORTED_ATTRIBUTE)));
    let long = Value::from(vec![1, 2, 3]);
    let long = ask(&mut house, |modem, now| modem.set(Layer::Adp, adp::MAX_HOPS, 0, long, now));
    assert_eq!(long, Err(Refusal::Adp(AdpStatus::INVALID_PARAMETER)));
}

#[test]
fn tables_are_read_to_their_end_whatever_their_lengths_say() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        let mut house = up(Nature { generation, is_hybrid: true, ..Nature::default() }, 30);
        let Ok(Answer::Rows(routes)) =
            ask(&mut house, |modem, now| modem.read_table(Layer::Adp, adp::ROUTING_TABLE, now))
        else {
            panic!()
        };
        assert_eq!(routes.len(), 30);
        for (table, rows) in [(mac::NEIGHBOUR_TABLE, 8), (mac::POS_TABLE, 8), (mac::POS_TABLE_RF, 8)] {
            let Ok(Answer::Rows(read)) = ask(&mut house, |modem, now| modem.read_table(Layer::Mac, table, now)) else {
                panic!()
            };
            assert_eq!(read.len(), rows, "{table:x}");
        }
        let Ok(Answer::Rows(none)) =
            ask(&mut house, |modem, now| modem.read_table(Layer::Adp, adp::BLACKLIST_TABLE, now))
        else {
            panic!()
        };
        assert_eq!(none, []);
    }
}

#[test]
fn a_path_is_found_hop_by_hop_or_in_part() {
    let mut house = up(Nature::default(), 30);
    let far = house.pair.modem.devices()[29].short_addr().unwrap();
    let Ok(Answer::Path(path)) = ask(&mut house, |modem, now| modem.discover_path(far, now)) else { panic!() };
    assert_eq!((path.destination, path.forward.len(), path.reverse.len()), (far, 2, 2));
    let hop = |path: &Path, place: usize| path.forward.get(place).map(|hop| hop.short_addr);
    let relay = hop(&path, 0);
    house.pair.modem.switch(29, false, house.pair.now);
    let Ok(Answer::PathPart(part)) = ask(&mut house, |modem, now| modem.discover_path(far, now)) else { panic!() };
    assert_eq!((part.destination, hop(&part, 0), part.forward.len(), part.reverse.len()), (far, relay, 1, 0));
    house.pair.modem.switch(29, true, house.pair.now);
    let none = ask(&mut house, |modem, now| modem.discover_path(0x7ff0, now));
    assert!(matches!(none, Ok(Answer::PathPart(path)) if path.forward.is_empty()));
    assert_eq!(ask(&mut house, |modem, now| modem.discover_route(far, 8, now)), Ok(Answer::Done));
    let none = ask(&mut house, |modem, now| modem.discover_route(0x7ff0, 8, now));
    assert_eq!(none, Err(Refusal::Adp(AdpStatus::ROUTE_ERROR)));
}

#[test]
fn a_modem_that_is_full_stops_its_host_and_loses_nothing() {
    let mut house = up(Nature { buffers: 2, hop_time: Duration::from_millis(400), ..Nature::default() }, 1);
    let (now, deadline) = (house.pair.now, house.pair.now + MINUTE * 10);
    let short_addr = house.pair.modem.devices()[0].short_addr().unwrap();
    let mut tickets = Vec::new();
    let full = loop {
        match house.pair.coordinator.send_datagram(short_addr, (1, 2), b"x", Priority::Normal, deadline, now) {
            Ok(ticket) => tickets.push(ticket),
            Err(full) => break full,
        }
    };
    assert_eq!(full, crate::g3::coordinator::SendError::Full);
    assert!(tickets.len() >= 64, "{}", tickets.len());
    house.run(MINUTE * 5);
    let confirmed = house.count(|event| matches!(event, Event::Modem(modem::Event::Sent(_, Delivery::Confirmed))));
    assert_eq!(confirmed, tickets.len());
    let refused = house.pair.modem.statistics().refused;
    assert!(refused <= 8, "{refused} of {} were refused", tickets.len());
}

#[test]
fn confirms_that_are_lost_on_the_line_keep_nobody_from_joining_and_no_answer_from_coming() {
    for (lost_confirm_ppm, minutes) in [(10_000, 1), (200_000, 2), (500_000, 5)] {
        let faults = Faults { lost_confirm_ppm, ..Faults::default() };
        let nature = Nature { faults, hop_time: Duration::from_millis(20), ..Nature::default() };
        let mut house = House::new(nature, 0..60);
        house.run(MINUTE * minutes);
        assert_eq!(house.pair.modem.joined(), 60, "{lost_confirm_ppm}");
        house.events.clear();
        assert_eq!(house.ask_everybody(), 60, "{lost_confirm_ppm}");
        house.run(MINUTE * 3);
        let unknown = house.count(|event| matches!(event, Event::Modem(modem::Event::Sent(_, Delivery::Unknown))));
        assert_eq!(unknown, 0, "what was answered has arrived");
        house.agree();
    }
}

#[test]
fn a_confirm_that_comes_after_the_answer_is_not_news_and_one_that_is_overdue_is() {
    let mut house = up(Nature::default(), 1);
    let short_addr = house.pair.modem.devices()[0].short_addr().unwrap();
    house.pair.modem.faults().slow_confirm = Duration::from_secs(40);
    let (now, deadline) = (house.pair.now, house.pair.now + MINUTE);
    for _ in 0..4 {
        house.pair.coordinator.send_datagram(short_addr, (1, 2), b"x", Priority::Normal, deadline, now).unwrap();
    }
    // Nobody is there, so that nobody answers.
    let nobody = house.pair.coordinator.send_datagram(9, (1, 2), b"x", Priority::Normal, deadline, now).unwrap();
    house.run(Duration::from_secs(20));
    let confirmed = Event::Modem(modem::Event::Sent(nobody, Delivery::Confirmed));
    assert_eq!(house.count(|event| matches!(event, Event::Modem(modem::Event::Sent(..)))), 4);
    house.run(MINUTE);
    let refused = Event::Modem(modem::Event::Sent(nobody, Delivery::Refused(AdpStatus::ROUTE_ERROR)));
    assert_eq!((house.count(|event| *event == refused), house.count(|event| *event == confirmed)), (1, 0));
    assert_eq!(house.count(|event| matches!(event, Event::Modem(modem::Event::Sent(..)))), 5);
    assert_eq!(house.pair.coordinator.modem().rejects().0.of("unexpected"), 0);
}

#[test]
fn what_cannot_leave_in_time_expires_and_what_nobody_confirms_is_unknown() {
    let mut house = House::with(Nature::default(), vec![device(0)], Behind::nothing());
    assert!(house.until(|house| house.pair.modem.joined() == 1));
    let short_addr = house.pair.modem.devices()[0].short_addr().unwrap();
    house.pair.modem.faults().slow_confirm = MINUTE * 10;
    let (now, soon) = (house.pair.now, house.pair.now + Duration::from_secs(10));
    for _ in 0..6 {
        house.pair.coordinator.send_datagram(short_addr, (1, 2), b"x", Priority::Normal, soon, now).unwrap();
    }
    house.run(MINUTE * 3);
    let of = |delivery| house.count(|event| matches!(event, Event::Modem(modem::Event::Sent(_, d)) if *d == delivery));
    assert_eq!((of(Delivery::Unknown), of(Delivery::Expired)), (4, 2));
}

#[test]
fn firmware_that_lacks_something_is_taken_as_it_is() {
    let lacks = vec![
        (Layer::Mac, mac::FRAME_COUNTER_RF),
        (Layer::Adp, adp::MANUF_DISCOVER_SEQUENCE_NUMBER),
        (Layer::Adp, adp::CONTEXT_INFORMATION_TABLE),
    ];
    for is_mute_about_them in [false, true] {
        let mut house = up(Nature { lacks: lacks.clone(), is_mute_about_them, ..Nature::default() }, 2);
        house.run(MINUTE * 10);
        assert_eq!(house.count(|event| matches!(event, Event::Modem(modem::Event::Down(_)))), 0);
        let said = house.count(|event| matches!(event, Event::Modem(modem::Event::NotTaken { .. })));
        assert_eq!(said, 4, "two contexts, and one each of the others");
        let attribute =
            ask(&mut house, |modem, now| modem.get(Layer::Adp, adp::MANUF_DISCOVER_SEQUENCE_NUMBER, 0, now));
        let refusal = Refusal::Adp(AdpStatus::UNSUPPORTED_ATTRIBUTE);
        assert_eq!(attribute, Err(if is_mute_about_them { Refusal::Unknown } else { refusal }));
        assert!(house.is_up());
    }
    // What nothing can be without is another matter.
    let mut house = House::new(Nature { lacks: vec![(Layer::Mac, mac::KEY_TABLE)], ..Nature::default() }, 0..1);
    house.run(MINUTE);
    let refusal = Refusal::Mac(MacStatus::UNSUPPORTED_ATTRIBUTE);
    let down = Event::Modem(modem::Event::Down(Cause::Refused { request: "key_table", refusal }));
    assert_eq!(house.count(|event| *event == down), 1);
}

#[test]
fn a_bootstrap_server_in_the_modem_is_found_whatever_it_says_to_the_first_question() {
    for (is_mute_about_them, is_strict) in [(false, false), (false, true), (true, false), (true, true)] {
        let nature = Nature {
            generation: Generation::ModemLbs,
            lacks_message_timeout: true,
            is_mute_about_them,
            is_strict,
            ..Nature::default()
        };
        let mut house = House::new(nature, 0..4);
        house.run(MINUTE * 2);
        assert_eq!(house.pair.modem.joined(), 4, "{is_mute_about_them} {is_strict}: {:?}", house.events);
        assert_eq!(house.pair.coordinator.modem().generation(), Some(Generation::ModemLbs));
        let downs: Vec<_> = house.events.iter().filter(|e| matches!(e, Event::Modem(modem::Event::Down(_)))).collect();
        let other = Event::Modem(modem::Event::Down(Cause::OtherGeneration));
        // Firmware that takes everything and says nothing is known by what it asks.
        let expected = if is_mute_about_them && !is_strict { vec![&other] } else { vec![] };
        assert_eq!(downs, expected, "{is_mute_about_them} {is_strict}");
        assert_eq!(house.pair.coordinator.modem().rejects().0.iter().count(), 0);
    }
}

#[test]
fn a_modem_that_is_slow_to_initialize_comes_up_and_its_form_is_not_tried_in_vain() {
    for generation in [Generation::HostLbs, Generation::ModemLbs] {
        for (seconds, minutes) in [(8, 1), (18, 2), (35, 4)] {
            let initialize_time = Duration::from_secs(seconds);
            let mut house = House::new(Nature { generation, initialize_time, ..Nature::default() }, 0..1);
            house.run(MINUTE * minutes);
            assert!(house.is_up(), "{generation:?} {seconds}: {:?}", house.events);
            let downs: Vec<_> =
                house.events.iter().filter(|e| matches!(e, Event::Modem(modem::Event::Down(_)))).collect();
            assert_eq!(downs, [&Event::Modem(modem::Event::Down(Cause::Mute("Initialize")))]);
            assert_eq!(house.pair.coordinator.modem().rejects().0.iter().count(), 0);
        }
    }
}

#[test]
fn a_silent_modem_is_said_to_be_down_once_and_taken_up_when_it_speaks() {
    let mut house = up(Nature::default(), 1);
    house.pair.modem.faults().deaf_ppm = 1_000_000;
    let reserved = house.disk.counters.frame_counter;
    house.run(MINUTE * 60 * 24);
    assert!(!house.is_up());
    let downs: Vec<_> = house.events.iter().filter(|e| matches!(e, Event::Modem(modem::Event::Down(_)))).collect();
    assert_eq!(downs, [&Event::Modem(modem::Event::Down(Cause::Mute("MacGet")))]);
    assert!(house.disk.counters.frame_counter <= reserved + 20_000, "a modem that is away uses up no counters");
    house.pair.modem.faults().deaf_ppm = 0;
    assert!(house.until(House::is_up));
}

#[test]
fn counters_are_reserved_before_they_are_used_in_every_life() {
    let mut house = up(Nature::default(), 1);
    let short_addr = house.pair.modem.devices()[0].short_addr().unwrap();
    for life in 0..5 {
        for _ in 0..30 {
            for _ in 0..60 {
                let (now, deadline) = (house.pair.now, house.pair.now + MINUTE);
                house
                    .pair
                    .coordinator
                    .send_datagram(short_addr, (1, 2), b"x", Priority::Normal, deadline, now)
                    .unwrap();
            }
            house.run(Duration::from_secs(1));
        }
        assert!(house.pair.modem.statistics().datagrams >= (life + 1) * 1_700);
        match life % 2 {
            0 => house.kill(),
            _ => house.pair.modem.power_cut(),
        }
        assert!(house.until(House::is_up));
        house.run(MINUTE);
        house.exchange();
    }
    house.agree();
}

#[test]
fn half_a_frame_on_the_line_costs_a_new_life_seconds_and_the_network_nothing() {
    // A whole request, but for its end: what follows is taken for its rest.
    let half = [0x7e, 0x00, 0xc6, 0x0b, 0x01];
    for (before_modem, before_host) in [(&half[..], &[][..]), (&[], &half), (&half, &half)] {
        let mut house = up(Nature::default(), 4);
        house.kill();
        house.events.clear();
        let now = house.pair.now;
        house.pair.modem.handle_bytes(before_modem, now);
        house.pair.coordinator.handle_bytes(before_host, now);
        // The first request of the new life is not heard either.
        house.pair.modem.faults().deaf_ppm = 1_000_000;
        house.run(Duration::from_millis(100));
        house.pair.modem.faults().deaf_ppm = 0;
        house.run(Duration::from_secs(10));
        assert!(house.is_up(), "{:?}", house.events);
        assert_eq!((house.pair.modem.joined(), house.ask_everybody()), (4, 4));
    }
}
