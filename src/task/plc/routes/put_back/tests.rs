//! The task and an emulated modem, whose routing table is the test's own: what is written into it, and what is not.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plc::Eui64;
use plc::g3::adp::{Message, Request, Value};
use plc::g3::modem::Generation;
use plc::route::{Failure, Limits, What, Why};
use plc::sim::{Behind, Device, Modem, Nature, identity};
use plc::usi::{Deframer, Frame, Protocol};
use tempfile::TempDir;

use super::super::both;
use super::*;
use crate::control::{MeshAsk, MeshSaid, NodeSecret, RefusalKind};
use crate::task::plc::answers::Question;
use crate::task::plc::{Dark, tests};

struct Bench {
    plc: Plc,
    modem: Modem,
    now: Arc<Mutex<Now>>,
    line: Deframer,
    /// What the modem has, in its order.
    table: Vec<Route>,
    takes_rows: bool,
    /// Writes to the table come to nothing, and are not answered.
    is_mute: bool,
    /// What the host wrote, and where; for whom it had a route looked for; how often it read a row.
    written: Vec<(u16, Route)>,
    searched: Vec<u16>,
    read: usize,
    _dir: TempDir,
}

impl Bench {
    /// With routes to 5 and to 6 over 5, to 7, and to 8 over 7.
    fn new() -> Self {
        Self::with(Generation::ModemLbs, Vec::new())
    }

    /// The same with firmware of this generation, and these nodes are there.
    fn with(generation: Generation, devices: Vec<Device>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = tests::now();
        let (now, begin) = (Arc::new(Mutex::new(now)), now.mono);
        let clock: crate::clock::ReadClock = {
            let now = Arc::clone(&now);
            Arc::new(move || *now.lock().unwrap())
        };
        let plc = tests::open(dir.path(), clock, Dark::default());
        let nature = Nature { generation, ..Nature::default() };
        let mut bench = Self {
            plc,
            modem: Modem::new(nature, devices, Behind::nothing(), begin),
            now,
            line: Deframer::default(),
            table: [row(5, 5), row(6, 5), row(7, 7), row(8, 7)].to_vec(),
            takes_rows: true,
            is_mute: false,
            written: Vec::new(),
            searched: Vec::new(),
            read: 0,
            _dir: dir,
        };
        bench.plc.coordinator.with_modem(begin, |modem| modem.restart(None, begin));
        bench.pass(Duration::from_secs(60));
        assert_eq!(bench.plc.view.starts, 1, "the network runs");
        bench.reads_table();
        bench
    }

    fn time(&self) -> Now {
        *self.now.lock().unwrap()
    }

    /// So long; what is said meanwhile is carried between the two.
    fn pass(&mut self, time: Duration) {
        let end = self.time().mono + time;
        loop {
            self.exchange();
            let host = [self.plc.coordinator.poll_timeout(), self.plc.routing.poll_timeout()];
            let due = host.into_iter().chain([self.modem.poll_timeout()]).flatten().min();
            let (before, next) = (self.time().mono, due.map_or(end, |due| due.min(end)));
            if before >= end {
                return;
            }
            // Whatever wants to be called at once is called a little later.
            let next = next.max(before + Duration::from_micros(100));
            {
                let mut now = self.now.lock().unwrap();
                now.utc_ms += (next - before).as_millis() as i64;
                now.mono = next;
            }
            self.modem.handle_timeout(next);
            self.plc.coordinator.handle_timeout(next);
            self.plc.look_after_routes();
        }
    }

    fn exchange(&mut self) {
        let now = self.time().mono;
        loop {
            self.plc.drain();
            let mut is_quiet = true;
            while let Some(octets) = self.plc.coordinator.poll_transmit() {
                is_quiet = false;
                let frames: Vec<Frame> = octets.iter().filter_map(|octet| self.line.take(*octet)).collect();
                match frames.iter().find_map(|frame| Request::parse(frame.payload()).ok()) {
                    Some(request) if self.is_of_table(&request) => self.answer(request, now),
                    Some(Request::RouteDiscovery { destination, .. }) => self.searched.push(destination),
                    _ => self.modem.handle_bytes(&octets, now),
                }
            }
            while let Some(octets) = self.modem.poll_transmit() {
                is_quiet = false;
                self.plc.coordinator.handle_bytes(&octets, now);
            }
            if is_quiet {
                return;
            }
        }
    }

    fn is_of_table(&self, request: &Request) -> bool {
        let (Request::Get { attribute, .. } | Request::Set { attribute, .. }) = request else { return false };
        *attribute == adp::ROUTING_TABLE
    }

    fn answer(&mut self, request: Request, now: Instant) {
        let message = match request {
            Request::Get { attribute, index } => {
                self.read += 1;
                let row = self.table.get(usize::from(index));
                let status = if row.is_some() { AdpStatus::SUCCESS } else { AdpStatus::INVALID_INDEX };
                let value = row.map_or_else(Value::default, |row| Typed::Route(*row).to_value());
                Message::GetConfirm { status, attribute, index, value }
            }
            Request::Set { .. } if self.is_mute => return,
            Request::Set { attribute, index, value } => {
                let Ok(Typed::Route(row)) = Layer::Adp.parse(attribute, &value.octets) else { panic!("{value:?}") };
                self.written.push((index, row));
                let status = if self.takes_rows { AdpStatus::SUCCESS } else { AdpStatus::READ_ONLY };
                if self.takes_rows {
                    self.table.truncate(self.table.len().max(usize::from(index)));
                    self.table.splice(usize::from(index)..self.table.len().min(usize::from(index) + 1), [row]);
                }
                Message::SetConfirm { status, attribute, index }
            }
            other => panic!("{other:?}"),
        };
        let (mut payload, mut octets) = (Vec::new(), Vec::new());
        message.emit(&mut payload);
        Frame::new(Protocol::ADP_G3, payload).unwrap().emit(&mut octets);
        self.plc.coordinator.handle_bytes(&octets, now);
    }

    /// The host reads the whole table.
    fn reads_table(&mut self) {
        self.plc.read_routes(None);
        self.pass(Duration::from_secs(1));
    }

    /// The modem has no way to a node that it is to send to; what the host does about it within a second.
    fn has_no_way(&mut self, node: u16) -> Vec<(u16, Route)> {
        let before = self.written.len();
        let now = both(self.time());
        self.plc.routing.routes.failed(node, Failure::NoRoute { searched: false }, now);
        self.pass(Duration::from_secs(1));
        self.written.split_off(before)
    }

    fn minutes(&self) -> u16 {
        self.plc.routing.routes.limits().route_minutes()
    }
}

/// As the modem has it.
fn row(destination: u16, next_hop: u16) -> Route {
    let hop_count = if destination == next_hop { 1 } else { 2 };
    Route { destination, next_hop, route_cost: 9, hop_count, weak_link_count: 0, medium: Some(0), valid_time: 180 }
}

#[test]
fn a_row_goes_behind_the_last_one_where_its_node_has_none_with_all_that_was_known_of_it() {
    let mut bench = Bench::new();
    bench.table.remove(1);
    bench.reads_table();
    assert_eq!(bench.plc.routing.routes.way(6), None);
    let (valid_time, read) = (bench.minutes(), bench.read);
    assert_eq!(bench.has_no_way(6), [(3, Route { valid_time, ..row(6, 5) })]);
    assert_eq!((bench.read - read, bench.searched.len()), (1, 0), "its place alone is looked at");
    bench.reads_table();
    assert_eq!(bench.plc.routing.routes.way(6).map(|way| way.next_hop), Some(5));
}

#[test]
fn a_row_whose_time_is_over_is_written_where_it_is() {
    let mut bench = Bench::new();
    bench.table[1].valid_time = 0;
    let valid_time = bench.minutes();
    assert_eq!(bench.has_no_way(6), [(1, Route { valid_time, ..row(6, 5) })]);
}

#[test]
fn where_the_rows_have_moved_no_other_one_is_written_over() {
    let mut bench = Bench::new();
    // 7 has the place that 6 had when the table was read.
    bench.table.remove(1);
    let valid_time = bench.minutes();
    assert_eq!(bench.has_no_way(6), [(3, Route { valid_time, ..row(6, 5) })]);
    let kept: Vec<u16> = bench.table.iter().map(|row| row.destination).collect();
    assert_eq!(kept, [5, 7, 8, 6]);
}

#[test]
fn what_the_modem_has_by_itself_is_left_as_it_is() {
    let mut bench = Bench::new();
    assert_eq!(bench.has_no_way(6), [], "the row is there");
    // Another way, at another place.
    bench.table = [row(5, 5), row(7, 7), row(8, 7), row(6, 7)].to_vec();
    assert_eq!(bench.has_no_way(6), []);
    assert_eq!(bench.plc.routing.routes.way(6).map(|way| way.next_hop), Some(7), "it was read");
    assert!(bench.searched.is_empty());
}

#[test]
fn a_row_over_who_is_blacklisted_gives_way_to_another_one_at_its_place() {
    let mut bench = Bench::new();
    bench.table[1] = row(6, 7);
    bench.reads_table();
    // 7 has moved since the table was read.
    bench.table = [row(5, 5), row(7, 7), row(6, 7), row(8, 7)].to_vec();
    let now = both(bench.time());
    let (valid_time, before) = (bench.minutes(), bench.written.len());
    bench.plc.routing.routes.set_blacklisted(7, true, now);
    bench.pass(Duration::from_secs(30));
    assert_eq!(bench.written.split_off(before), [(2, Route { valid_time, ..row(6, 5) })], "8 has no other way");
    assert_eq!(bench.plc.routing.routes.way(6).map(|way| way.next_hop), Some(5), "it was read again");
    let last = bench.plc.routing.routes.history(6).last().map(|entry| (entry.what.name(), entry.why));
    assert_eq!(last, Some(("way", Why::Blacklisted)), "not the modem: the table was read before the row was there");
    // A search finds it over who is blacklisted: whoever asked hears that, and what is done about it.
    bench.table[2] = row(6, 7);
    let (reply, mut said) = tokio::sync::oneshot::channel();
    bench.plc.refreshed(6, Ok(Answer::Done), Some(reply));
    bench.pass(Duration::from_secs(1));
    let Ok(Ok(MeshSaid::Found { next_hop, hops, is_blacklisted, detour, .. })) = said.try_recv() else { panic!() };
    assert_eq!((next_hop.as_deref(), hops, is_blacklisted), (Some("0007"), Some(2), true));
    assert_eq!(detour.as_deref(), Some("0005"));
    bench.pass(Duration::from_secs(30));
    assert_eq!(bench.table[2].next_hop, 5);
}

#[test]
fn it_is_put_back_some_times_in_a_row_and_then_looked_for_and_an_answer_begins_anew() {
    let mut bench = Bench::new();
    let most = Limits::of(4, 8).put_back;
    bench.table.remove(3);
    bench.reads_table();
    let lose = |bench: &mut Bench| {
        bench.table.retain(|row| row.destination != 8);
        bench.has_no_way(8).len()
    };
    (0..most).for_each(|time| assert_eq!((lose(&mut bench), bench.searched.len()), (1, 0), "{time}"));
    bench.plc.routing.routes.answered(8, both((bench.plc.clock)()));
    (0..most).for_each(|time| assert_eq!((lose(&mut bench), bench.searched.len()), (1, 0), "{time}"));
    assert_eq!(lose(&mut bench), 0);
    assert_eq!(bench.searched, [8]);
}

#[test]
fn the_row_of_who_does_not_answer_is_looked_at_and_what_it_says_is_what_is_put_back() {
    let mut bench = Bench::new();
    bench.table[1] = row(6, 7);
    let read = bench.read;
    bench.plc.unanswered(6);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.read - read, 1, "its row alone");
    assert_eq!(bench.plc.routing.routes.way(6).map(|way| way.next_hop), Some(7));
    bench.table.remove(1);
    let written: Vec<u16> = bench.has_no_way(6).iter().map(|(_, row)| row.next_hop).collect();
    assert_eq!(written, [7]);
    // Another row in its place says nothing, nor does a modem that is silent; the request counts as lost.
    for _ in 1..bench.plc.routing.routes.limits().failures {
        bench.table[1] = row(9, 9);
        bench.plc.unanswered(8);
        bench.pass(Duration::from_secs(1));
        assert_eq!((bench.plc.routing.routes.way(8).map(|way| way.next_hop), bench.searched.len()), (Some(7), 0));
    }
    bench.plc.unanswered(8);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.searched, [8]);
}

#[test]
fn who_answers_after_it_was_lost_may_do_so_by_another_way_and_its_row_says_which() {
    let mut bench = Bench::new();
    let answers = |bench: &mut Bench, node| {
        let read = bench.read;
        bench.plc.routing.routes.answered(node, both(bench.time()));
        bench.pass(Duration::from_secs(1));
        bench.read - read
    };
    bench.table[1] = row(6, 7);
    assert_eq!(answers(&mut bench, 6), 0, "it was not lost");
    bench.plc.routing.routes.failed(6, Failure::NoAnswer, both(bench.time()));
    assert_eq!(answers(&mut bench, 6), 1, "its row alone");
    assert_eq!(bench.plc.routing.routes.way(6).map(|way| way.next_hop), Some(7));
    // Where it is not there any more all are read soon.
    bench.table.rotate_left(1);
    bench.plc.routing.routes.failed(6, Failure::NoAnswer, both(bench.time()));
    assert_eq!(answers(&mut bench, 6), 1);
    let read = bench.read;
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.read - read, bench.table.len() + 1);
}

#[test]
fn a_unit_that_knows_no_ways_writes_those_to_whom_its_modem_hears() {
    // Rows of the older firmware have no medium.
    for (generation, medium) in [(Generation::ModemLbs, Some(0)), (Generation::HostLbs, None)] {
        let (mut bench, node, _) = joined_to(generation);
        let now = both(bench.time());
        bench.table.clear();
        bench.reads_table();
        bench.plc.routing.routes = plc::route::Routes::new(*bench.plc.routing.routes.limits(), now);
        bench.plc.routing.routes.set_up(true);
        bench.plc.read_tables();
        let before = bench.written.len();
        bench.pass(Duration::from_secs(1));
        let valid_time = bench.minutes();
        let route_cost = 0;
        assert_eq!(bench.written[before..], [(0, Route { route_cost, medium, valid_time, ..row(node, node) })]);
        assert_eq!((bench.searched.len(), bench.plc.routing.tables_due.is_some()), (0, true), "it is lost");
        // The tables are read again within a minute, and it is no more.
        bench.pass(Duration::from_secs(60));
        let last = bench.plc.routing.routes.history(node).last().map(|entry| (entry.what.name(), entry.why));
        assert_eq!((last, bench.plc.routing.tables_due), (Some(("way", Why::Near)), None));
    }
}

#[test]
fn in_a_dense_network_somebody_else_is_to_look_for_it_first() {
    let mut bench = Bench::new();
    bench.plc.routing.routes.set_limits(Limits { check_share: 0.0, ..Limits::of(1_000, 8) });
    let (most, valid_time) = (Limits::of(1_000, 8).put_back, bench.minutes());
    let back = [(3, Route { valid_time, ..row(6, 5) })];
    let lose = |bench: &mut Bench| {
        bench.table.retain(|row| row.destination != 6);
        bench.has_no_way(6)
    };
    (0..most).for_each(|_| assert_eq!(lose(&mut bench), back));
    // 7 has a branch of its own.
    let over = Route { route_cost: 0, hop_count: 3, valid_time, ..row(6, 7) };
    assert_eq!(lose(&mut bench), [(3, over)]);
    bench.reads_table();
    let last = |bench: &Bench| bench.plc.routing.routes.history(6).last().map(|entry| (entry.what.name(), entry.why));
    assert_eq!(last(&bench), Some(("way", Why::ByAnother)));
    // It finds nobody, and nobody else is there: as nobody waits for the others the modem looks for it after hours alone.
    assert_eq!(lose(&mut bench), []);
    bench.pass(Duration::from_secs(60));
    assert!(bench.searched.is_empty());
    bench.pass(bench.plc.routing.routes.limits().patience);
    assert_eq!(bench.searched, [6]);
    // What was there goes back when the search has found nobody either.
    bench.plc.routing.routes.discovered(6, false, both(bench.time()));
    assert_eq!(lose(&mut bench), back, "not over 7, which the table had last");
}

#[test]
fn who_never_had_a_way_is_looked_for() {
    let mut bench = Bench::new();
    let read = bench.read;
    assert_eq!(bench.has_no_way(9), []);
    assert_eq!((bench.searched.as_slice(), bench.read), (&[9][..], read));
}

#[test]
fn a_modem_that_takes_no_rows_is_not_asked_to_again_until_it_starts_anew() {
    let mut bench = Bench::new();
    (bench.takes_rows, bench.table) = (false, [row(5, 5), row(7, 7)].to_vec());
    bench.reads_table();
    assert_eq!(bench.has_no_way(6).len(), 1, "this it refuses");
    let read = bench.read;
    assert_eq!(bench.has_no_way(8), []);
    assert_eq!((bench.searched.as_slice(), bench.read), (&[8][..], read));
    let now = bench.time().mono;
    bench.takes_rows = true;
    bench.plc.coordinator.with_modem(now, |modem| modem.restart(None, now));
    bench.pass(Duration::from_secs(60));
    bench.reads_table();
    assert_eq!((bench.plc.view.starts, bench.has_no_way(6).len()), (2, 1));
}

#[test]
fn a_modem_that_does_not_answer_is_asked_again_with_the_next_row() {
    let mut bench = Bench::new();
    bench.table = [row(5, 5), row(7, 7)].to_vec();
    bench.reads_table();
    bench.is_mute = true;
    assert_eq!(bench.has_no_way(6), []);
    bench.pass(Duration::from_secs(60));
    bench.is_mute = false;
    bench.pass(Duration::from_secs(60));
    bench.reads_table();
    assert_eq!((bench.has_no_way(8).len(), bench.searched.as_slice(), bench.plc.view.starts), (1, &[][..], 1));
}

#[test]
fn of_a_node_whose_way_nobody_used_for_hours_an_echo_is_wanted() {
    let (mut bench, node, _) = joined();
    let of_way = |bench: &Bench| {
        let ways = bench.plc.routing.routes.alternates(node);
        ways.first().map(|way| (way.answered, way.failed)).unwrap()
    };
    let every = bench.plc.routing.routes.limits().check_every;
    assert_eq!(of_way(&bench), (0, 0));
    bench.pass(every / 2 + Duration::from_secs(60));
    assert_eq!(of_way(&bench), (1, 0), "nobody knows when it was used last");
    bench.pass(every - Duration::from_secs(120));
    assert_eq!(of_way(&bench), (1, 0), "it was used");
    bench.pass(Duration::from_secs(180));
    assert_eq!(of_way(&bench), (2, 0));
    // What does not leave is told like any message that finds no way.
    let now = bench.time().mono;
    bench.modem.switch(0, false, now);
    bench.pass(every - Duration::from_secs(100));
    assert_eq!(of_way(&bench), (2, 1));
    assert!(bench.plc.routing.echoes.is_empty() && bench.searched.is_empty());
}

#[test]
fn who_has_a_neighbour_blacklisted_hears_of_all_routes_over_it_and_hundreds_are_moved() {
    let mut bench = Bench::new();
    let near = [row(5, 5), row(7, 7), row(9, 9)];
    let over = |next_hop| (100..300).map(move |node| row(node, next_hop));
    let alone = || (300..303).map(|node| row(node, 7));
    for next_hop in [5, 7] {
        bench.table = near.into_iter().chain(over(next_hop)).collect();
        bench.reads_table();
    }
    // What joined since the table was read counts too.
    bench.table.extend(alone());
    let blacklist = |bench: &mut Bench, is_wanted| {
        let (reply, mut said) = tokio::sync::oneshot::channel();
        bench.plc.write_blacklist(7, is_wanted, Some(reply));
        bench.pass(Duration::from_secs(60));
        said.try_recv().unwrap()
    };
    let refusal = blacklist(&mut bench, false).unwrap_err();
    assert_eq!((refusal.kind, refusal.message.as_str()), (RefusalKind::NotFound, "node 0007 is not blacklisted"));
    let said = blacklist(&mut bench, true).unwrap();
    let MeshSaid::Blacklisted { node, is_new, routes, moved, stays, unkept: None } = said else { panic!("{said:?}") };
    assert_eq!((node.as_str(), is_new, routes, moved), ("0007", true, 203, 200));
    let stays: Vec<_> = stays.iter().map(|line| (line.short_addr.as_str(), line.why.as_str())).collect();
    assert_eq!(stays, ["012c", "012d", "012e"].map(|node| (node, "no-other-way")));

    assert_eq!(bench.table.iter().filter(|row| row.next_hop == 5).count(), 201, "more than the modem's queue holds");
    bench.reads_table();
    let routes = &bench.plc.routing.routes;
    let last = |node| routes.history(node).last().map(|entry| (entry.what.name(), entry.why));
    assert!((100..300).all(|node| last(node) == Some(("way", Why::Blacklisted))));
    assert!((300..303).all(|node| last(node) == Some(("stays", Why::NoOther))));
    let said = blacklist(&mut bench, true).unwrap();
    assert!(matches!(said, MeshSaid::Blacklisted { is_new: false, routes: 3, moved: 0, .. }), "{said:?}");
    assert!(matches!(blacklist(&mut bench, false), Ok(MeshSaid::Done { .. })));
}

#[test]
fn a_modem_that_takes_no_rows_moves_nobody_around_who_is_blacklisted() {
    let mut bench = Bench::new();
    bench.table[1] = row(6, 7);
    bench.reads_table();
    bench.takes_rows = false;
    let now = both(bench.time());
    bench.plc.routing.routes.set_blacklisted(7, true, now);
    bench.pass(Duration::from_secs(30));
    let told = |node| {
        let history = bench.plc.routing.routes.history(node);
        history.filter(|entry| entry.what.name() == "stays").map(|entry| entry.why).collect::<Vec<_>>()
    };
    assert_eq!((told(6), told(8)), (vec![Why::Locked], vec![Why::NoOther]));
}

/// With one node that has joined.
fn joined() -> (Bench, u16, Eui64) {
    joined_to(Generation::ModemLbs)
}

fn joined_to(generation: Generation) -> (Bench, u16, Eui64) {
    let (eui64, psk) = identity(1);
    let mut bench = Bench::with(generation, vec![Device::new(eui64, psk)]);
    let node = NodeSecret { eui64: eui64.to_string(), psk: hex::encode(psk.0), meter: String::new() };
    let (reply, _said) = tokio::sync::oneshot::channel();
    bench.plc.answer(Question::Ask(MeshAsk::Import { nodes: vec![node], part: None }, reply));
    bench.pass(Duration::from_secs(600));
    let short_addr = bench.plc.coordinator.server().member(eui64).filter(|member| member.is_joined).unwrap().short_addr;
    bench.table = vec![row(short_addr, short_addr)];
    bench.reads_table();
    (bench, short_addr, eui64)
}

#[test]
fn each_search_that_was_asked_for_has_one_end_in_the_history() {
    let (mut bench, node, eui64) = joined();
    let refresh = |bench: &mut Bench| {
        let (reply, said) = tokio::sync::oneshot::channel();
        bench.plc.answer(Question::Ask(MeshAsk::Refresh { node: eui64.to_string() }, reply));
        said
    };
    let ends = |bench: &Bench| {
        let history = bench.plc.routing.routes.history(node).skip_while(|entry| entry.what.name() != "searched");
        history.map(|entry| (entry.what, entry.why)).collect::<Vec<_>>()
    };
    let searched = (What::Searched { most_hops: 8 }, Why::Asked);
    // It finds the way that was there.
    let (reply, mut said) = tokio::sync::oneshot::channel();
    drop(refresh(&mut bench));
    bench.plc.refreshed(node, Ok(Answer::Done), Some(reply));
    bench.pass(Duration::from_secs(1));
    assert!(matches!(said.try_recv(), Ok(Ok(MeshSaid::Found { is_blacklisted: false, stays: None, .. }))));
    let way = bench.plc.routing.routes.way(node).unwrap();
    assert_eq!(ends(&bench), [searched, (What::Way(way), Why::Asked)]);

    // The modem does not answer the first one; the others, more than its queue holds, are refused or wait.
    let mut bench = joined().0;
    let mut first = refresh(&mut bench);
    bench.pass(Duration::from_secs(60));
    assert_eq!(first.try_recv().unwrap().unwrap_err().kind, RefusalKind::Failed);
    assert_eq!(ends(&bench), [searched, (What::Refused(Some(Refused::Unknown)), Why::Asked)]);
    for status in [AdpStatus::ROUTE_ERROR, AdpStatus::ROUTE_ERROR, AdpStatus::BUSY] {
        let now = both(bench.time());
        bench.plc.routing.routes.asked(node, now);
        let (reply, mut said) = tokio::sync::oneshot::channel();
        bench.plc.refreshed(node, Err(Refused::Adp(status)), Some(reply));
        let refusal = said.try_recv().unwrap().unwrap_err();
        let eui64 = bench.plc.coordinator.server().member_at(node).unwrap().eui64;
        let expected = match status {
            AdpStatus::BUSY => "the modem says: busy".to_owned(),
            _ => format!(
                "no way to {eui64} was found: it is off, or nobody in the network reaches it (the modem says: route error)"
            ),
        };
        assert_eq!((refusal.kind, &refusal.message), (RefusalKind::Failed, &expected));
    }
    let busy = What::Refused(Some(Refused::Adp(AdpStatus::BUSY)));
    let expected = [searched, (What::NotFound, Why::Asked), searched, (What::NotFound, Why::Asked), searched];
    assert_eq!(ends(&bench)[2..], [&expected[..], &[(busy, Why::Asked)]].concat());

    let mut bench = joined().0;
    let mut waiting: Vec<_> = (0..80).map(|_| refresh(&mut bench)).collect();
    let refused: Vec<_> = waiting.iter_mut().filter_map(|said| said.try_recv().ok()?.err()).collect();
    assert!(refused.len() > 10 && refused.iter().all(|refusal| refusal.kind == RefusalKind::Busy), "{refused:?}");
    assert_eq!(ends(&bench).last(), Some(&(What::Refused(None), Why::Asked)));
}
