//! What the poll scheduler and the routes cost of a core while a network is read as fast as its airtime allows, and what it
//! costs to hear that many nodes at once do not answer: `cargo bench -p plc --bench poll`.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "and prints")]

use std::time::{Duration, Instant};

use plc::outage::{self, Outages, Place};
use plc::poll::{Exchange, Limits, Path, Priority, Scheduler};
use plc::route::{self, Failure, Now, Routes, Way};
use plc::sim::identity;

fn main() {
    for nodes in [1_000, 2_000] {
        let (exchanges, time, cpu) = read(nodes);
        let share = 100.0 * cpu.as_secs_f64() / time.as_secs_f64();
        println!(
            "{nodes} nodes, {exchanges} exchanges in {} min of the network: {:.1} us each, {share:.3} % of a core",
            time.as_secs() / 60,
            cpu.as_secs_f64() * 1e6 / f64::from(exchanges)
        );
    }
    for nodes in [500, 1_000, 2_000] {
        let (calls, most, cpu) = darken(nodes);
        let mean = cpu.as_secs_f64() * 1e6 / f64::from(calls);
        println!("{nodes} nodes, every second one silent: {mean:.1} us each of {calls} calls, {most:.1?} at most");
    }
}

/// Of the nodes of 100 branches and three phases every second one does not answer, and one in ten of the probes: calls, the
/// longest, and what they cost.
fn darken(nodes: u16) -> (u32, Duration, Duration) {
    let mut now = Instant::now();
    let mut outages = Outages::new(outage::Limits::default());
    for node in 1..=nodes {
        outages.place(node, Place { phase: Some((node % 3 * 2) as u8), branch: Some(node / 3 % 100 + 1) });
        outages.heard(node, now);
    }
    let (mut calls, mut most, mut all) = (0, Duration::ZERO, Duration::ZERO);
    let mut said: Vec<(u16, bool)> = (1..=nodes).rev().map(|node| (node, node % 2 == 0)).collect();
    while let Some((node, is_there)) = said.pop() {
        now += Duration::from_millis(100);
        let start = Instant::now();
        if is_there {
            outages.heard(node, now)
        } else {
            outages.silent(node, now)
        }
        let took = start.elapsed();
        (calls, most, all) = (calls + 1, most.max(took), all + took);
        while outages.poll_event().is_some() {}
        while let Some(action) = outages.poll_action() {
            if let outage::Action::Probe { node } = action {
                outages.probed(node, node % 10 != 0, now);
            }
        }
    }
    (calls, most, all)
}

/// Ten exchanges with each node, half a second each, one in fifty lost; all wait from the begin on. The task asks for the
/// next deadline after each event, as the daemon does. Exchanges, how long they took, and what that cost.
fn read(nodes: u32) -> (u32, Duration, Duration) {
    let begin = Instant::now();
    let mut now = begin;
    let both = |mono| Now { mono, utc_ms: 0 };
    let mut scheduler = Scheduler::new(Limits::default());
    let mut routes = Routes::new(route::Limits::of(nodes as usize, 8), both(now));
    routes.set_up(true);
    let way = |node: u32| Way { next_hop: (node % 12 + 1) as u16, hops: 2, cost: 20, weak_links: 0, medium: None };
    routes.table((1..=nodes).map(|node| (node as u16, way(node))), both(now));
    let deadline = begin + Duration::from_secs(30 * 86_400);
    for node in 1..=nodes {
        scheduler.path(identity(node).0, Path { first_hop: identity(node % 12 + 1).0, hops: 2 });
        for step in 0..10 {
            let (ticket, node) = (u64::from(node * 10 + step), identity(node).0);
            let (octets, answer, priority) = (90, 250, Priority::Profile);
            scheduler.request(Exchange { ticket, node, priority, octets, answer, deadline }, now);
        }
    }
    let (start, mut answered, mut sent) = (Instant::now(), 0, 0_u32);
    while answered < 10 * nodes {
        while let Some(transmit) = scheduler.poll_transmit() {
            sent += 1;
            let node = (transmit.ticket / 10) as u16;
            routes.may_search(node, false, both(now));
            now += Duration::from_millis(100);
            if sent % 50 == 0 {
                scheduler.confirmed(transmit.ticket, false, now);
                routes.failed(node, Failure::NoRoute { searched: false }, both(now));
                continue;
            }
            scheduler.confirmed(transmit.ticket, true, now);
            std::hint::black_box((scheduler.poll_timeout(), routes.poll_timeout()));
            now += Duration::from_millis(400);
            scheduler.answered(transmit.ticket, now);
            routes.answered(node, both(now));
            answered += 1;
        }
        now = scheduler.poll_timeout().unwrap_or(now).max(now);
        scheduler.handle_timeout(now);
        routes.handle_timeout(both(now));
        while let Some(action) = routes.poll_action() {
            if let route::Action::Discover { node, .. } = action {
                routes.discovered(node, true, both(now));
            }
        }
        while scheduler.poll_event().is_some() || routes.poll_change().is_some() {}
    }
    (answered, now - begin, start.elapsed())
}
