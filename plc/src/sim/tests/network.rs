//! A real coordinator over the emulated modem, whose nodes are those of a simulated network.

use std::time::Duration;

use super::house::{House, MINUTE};
use crate::g3::AdpStatus;
use crate::g3::coordinator::Event;
use crate::g3::modem::{self, Answer, Delivery, Priority};
use crate::g3::pib::{Layer, Typed, adp, mac};
use crate::sim::net::{Kind, Manner, Options, Shape, Site, World};
use crate::sim::{Nature, Network, Random, identity};

const NODES: u32 = 25;

fn house(speed: u32, is_formed: bool) -> House {
    let mut house = House::new(Nature { buffers: 32, ..Nature::default() }, 0..NODES);
    let site = Site::draw(&Shape::town(NODES as usize), &mut Random::new(3));
    let options = Options { seed: 3, manner: Manner::Eager, ..Options::default() };
    let network = |house: &House| Network::new(World::hosted(site.clone(), options), house.pair.now, speed);
    let network = network(&house);
    let empty = crate::sim::Modem::new(Nature::default(), Vec::new(), crate::sim::Behind::nothing(), house.pair.now);
    let modem = std::mem::replace(&mut house.pair.modem, empty);
    if is_formed {
        house.pair.modem = modem.with_formed(network);
        assert!(house.until(|house| house.pair.modem.joined() == NODES as usize));
        house.pair.modem.formed();
    } else {
        house.pair.modem = modem.with_network(network);
    }
    house
}

#[test]
fn who_is_asked_while_a_formed_network_is_let_in_is_asked_through_its_airtime() {
    let mut house = House::new(Nature { buffers: 32, ..Nature::default() }, 0..NODES);
    let begin = house.pair.now;
    let site = Site::draw(&Shape::town(NODES as usize), &mut Random::new(3));
    let world = World::hosted(site, Options { seed: 3, manner: Manner::Eager, ..Options::default() });
    let empty = crate::sim::Modem::new(Nature::default(), Vec::new(), crate::sim::Behind::nothing(), begin);
    house.pair.modem = std::mem::replace(&mut house.pair.modem, empty).with_formed(Network::new(world, begin, 1));
    let first = identity(0).0;
    let is_in = |house: &House| house.pair.coordinator.server().member(first).is_some_and(|member| member.is_joined);
    assert!(house.until(is_in));
    assert!(house.pair.modem.joined() < NODES as usize, "others are yet to come");
    let airtime = |house: &House, kind| house.pair.modem.network().unwrap().figures().of(kind).airtime;
    assert_eq!((airtime(&house, Kind::Join), airtime(&house, Kind::Data)), (0, 0));
    let (now, short_addr) = (house.pair.now, house.pair.coordinator.server().member(first).unwrap().short_addr);
    let deadline = now + MINUTE;
    house.pair.coordinator.send_datagram(short_addr, (4059, 4059), b"?", Priority::Normal, deadline, now).unwrap();
    house.run(MINUTE);
    assert_eq!(house.count(|event| matches!(event, Event::Datagram { .. })), 1);
    assert!(airtime(&house, Kind::Data) > 0);
    assert_eq!((airtime(&house, Kind::Join), house.pair.modem.joined()), (0, NODES as usize));
}

#[test]
fn joins_go_through_the_airtime_and_who_has_joined_answers() {
    let mut house = house(1, false);
    let begin = house.pair.now;
    assert!(house.until(|house| house.pair.modem.joined() * 10 >= NODES as usize * 9));
    assert!(house.pair.now - begin > Duration::from_secs(60), "nobody scans, rests and joins within a minute");
    let network = house.pair.modem.network().unwrap();
    assert!(network.figures().of(Kind::Join).airtime > 0 && network.figures().of(Kind::Beacon).airtime > 0);
    let joined = house.pair.coordinator.server().members().filter(|member| member.is_joined).count();
    assert!(joined * 10 >= NODES as usize * 9, "{joined}");
    house.run(2 * MINUTE);
    let answers = house.ask_everybody();
    let soon = house.count(|event| matches!(event, Event::Datagram { .. }));
    house.run(2 * MINUTE);
    let answers = answers + house.count(|event| matches!(event, Event::Datagram { .. })) - soon;
    assert!(answers * 10 >= joined * 8, "{answers} of {joined}");
}

#[test]
fn the_modem_knows_what_the_network_knows_and_traces_its_paths() {
    let mut house = house(1, true);
    let now = house.pair.now;
    let far = (0..NODES).map(|number| house.pair.coordinator.server().member(identity(number).0).unwrap().short_addr);
    let far: Vec<u16> = far.collect();
    let world = house.pair.modem.network().unwrap().world();
    let (place, hops) = (0..NODES as usize)
        .map(|place| (place, world.route(place + 1).map_or(0, |(_, h)| h)))
        .max_by_key(|it| it.1)
        .unwrap();
    assert!(hops > 1, "nobody is far away");
    let asked = house.pair.coordinator.with_modem(now, |modem| {
        [
            modem.read_table(Layer::Adp, adp::ROUTING_TABLE, now).unwrap(),
            modem.read_table(Layer::Mac, mac::NEIGHBOUR_TABLE, now).unwrap(),
            modem.discover_path(far[place], now).unwrap(),
        ]
    });
    house.run(MINUTE);
    let answer = |wanted| {
        house.events.iter().find_map(|event| match event {
            Event::Modem(modem::Event::Answered(ticket, answer)) if *ticket == wanted => Some(answer.clone().unwrap()),
            _ => None,
        })
    };
    let Some(Answer::Rows(rows)) = answer(asked[0]) else { panic!("no table") };
    let row = rows.iter().find_map(|row| match row {
        Typed::Route(route) if route.destination == far[place] => Some(*route),
        _ => None,
    });
    assert_eq!(row.map(|row| row.hop_count), Some(hops));
    let Some(Answer::Rows(neighbours)) = answer(asked[1]) else { panic!("no neighbours") };
    assert!(!neighbours.is_empty() && neighbours.len() < NODES as usize);
    let Some(Answer::Path(path)) = answer(asked[2]) else { panic!("no path: {:?}", answer(asked[2])) };
    assert_eq!((path.forward.len(), path.forward.last().map(|hop| hop.short_addr)), (hops.into(), Some(far[place])));
    assert_eq!(path.reverse.last().map(|hop| hop.short_addr), Some(0));
    assert_eq!(path.forward[0].short_addr, row.unwrap().next_hop);
}

#[test]
fn a_message_to_who_has_no_power_fails_in_simulated_time_and_power_brings_it_back() {
    let speed = 10;
    let mut house = house(speed, true);
    let now = house.pair.now;
    house.pair.modem.switch(4, false, now);
    let short_addr = house.pair.coordinator.server().member(identity(4).0).unwrap().short_addr;
    let sent =
        house.pair.coordinator.send_datagram(short_addr, (4059, 4059), b"?", Priority::Normal, now + MINUTE, now);
    let sent = sent.unwrap();
    let is_over = |house: &House| {
        house.events.iter().find_map(|event| match event {
            Event::Modem(modem::Event::Sent(ticket, delivery)) if *ticket == sent => Some(*delivery),
            _ => None,
        })
    };
    assert!(house.until(|house| is_over(house).is_some()));
    assert_eq!(is_over(&house), Some(Delivery::Refused(AdpStatus::ROUTE_ERROR)));
    // Six attempts and a search of 20 s, ten times as fast.
    let took = house.pair.now - now;
    assert!((Duration::from_secs(2)..Duration::from_secs(10)).contains(&took), "{took:?}");
    let now = house.pair.now;
    house.pair.modem.switch(4, true, now);
    assert!(house.until(|house| house.pair.modem.devices()[4].joins() == 2));
}
