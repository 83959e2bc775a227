//! `dcu uplink test`: each step on the way to the broker, and the one that fails.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use dcu::simulate::head_end::keys::{Kit, Plan};
use dcu::task::probe::STEPS;

use crate::support::mosquitto::{Mosquitto, Options};
use crate::support::service::Unit;
use crate::support::today;

/// Walks the way of the unit's configuration. Every step before `failing` must be good and have its time, `failing` must
/// say `why`, and those after it must not have been tried.
#[track_caller]
fn check(unit: &Unit, failing: Option<(&str, &str)>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
    let output = command.args(["uplink", "test", "--config"]).arg(unit.path("dcu.toml")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = if failing.is_some() { 1 } else { 0 };
    assert_eq!(output.status.code(), Some(expected), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let failing_at = failing.map_or(STEPS.len(), |(step, _)| STEPS.iter().position(|other| *other == step).unwrap());
    for (at, step) in STEPS.iter().enumerate() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut lines = text.lines().map(words);
        let line =
            lines.find(|words| words.get(1).is_some_and(|word| word == step)).unwrap_or_else(|| panic!("{text}"));
        let mark = match at.cmp(&failing_at) {
            std::cmp::Ordering::Less => "ok",
            std::cmp::Ordering::Equal => "FAILED",
            std::cmp::Ordering::Greater => "-",
        };
        assert_eq!(line[0], mark, "{step}: {text}");
        if mark != "-" {
            assert!(line[2].parse::<f64>().is_ok() && line[3] == "ms", "{step} has no time: {text}");
        }
    }
    if let Some((_, why)) = failing {
        assert!(text.contains(why), "no {why:?} in {text}");
    }
}

#[test]
fn every_step_to_a_good_broker_is_told_with_its_time() {
    let Some(broker) = Mosquitto::start() else { return };
    check(&Unit::new(&broker, ""), None);
}

#[test]
fn a_name_that_nobody_knows_is_the_step_that_fails() {
    let Some(broker) = Mosquitto::start() else { return };
    let unit = Unit::new(&broker, "");
    unit.configure("mqtts://localhost:", "mqtts://no-such-broker.invalid:");
    check(&unit, Some(("name", "no-such-broker.invalid")));
}

#[test]
fn a_closed_port_is_the_step_that_fails() {
    let Some(broker) = Mosquitto::start() else { return };
    let unit = Unit::new(&broker, "");
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    unit.configure(&format!("mqtts://localhost:{}", broker.port), &format!("mqtts://127.0.0.1:{closed}"));
    check(&unit, Some(("tcp", &format!("127.0.0.1:{closed}"))));
}

#[test]
fn a_certificate_for_another_name_is_the_step_that_fails() {
    let Some(broker) = Mosquitto::start() else { return };
    let unit = Unit::new(&broker, "server_name = \"broker.example\"\n");
    check(&unit, Some(("tls", "broker.example")));
}

#[test]
fn an_expired_certificate_is_the_step_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { days: 30, ..Plan::default() };
    let (old, _) = Kit::make(&dir.path().join("old"), &plan, jiff::civil::date(2024, 1, 1)).unwrap();
    let Some(broker) = Mosquitto::start_with(Options { identity: Some(old.broker()), ..Options::default() }) else {
        return;
    };
    let unit = Unit::new(&broker, "");
    unit.configure(&format!("ca = {:?}", broker.kit.ca()), &format!("ca = {:?}", old.ca()));
    check(&unit, Some(("tls", "expired")));
}

#[test]
fn a_certificate_that_the_broker_does_not_take_is_the_step_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (other, _) = Kit::make(&dir.path().join("other"), &Plan::default(), today()).unwrap();
    let Some(broker) = Mosquitto::start_with(Options { client_ca: Some(other.ca()), ..Options::default() }) else {
        return;
    };
    // With TLS 1.3 the broker's verdict comes after the handshake.
    check(&Unit::new(&broker, ""), Some(("connect", "certificate")));
}

#[test]
fn an_access_list_without_the_unit_is_the_step_that_fails() {
    let acl = "user head-end\ntopic readwrite dcu/v1/#\n";
    let Some(broker) = Mosquitto::start_with(Options { acl: Some(acl.into()), ..Options::default() }) else { return };
    check(&Unit::new(&broker, ""), Some(("publish", "access list")));
}
