//! Electricity meters of a digital twin, read while days pass quickly, alone and beside meters with radios.

use std::process::Command;

use serde_json::Value;

/// Runs a simulation that must succeed; its report.
fn simulate(args: &[&str]) -> Value {
    // A network needs days that are longer, and what it has not carried by then is missing.
    let has_network = args.iter().any(|arg| arg.starts_with("--network"));
    let day = ["--day", "10s"];
    let output = Command::new(env!("CARGO_BIN_EXE_dcu"))
        .args(["simulate", "--for", "12s", "--seed", "3", "--json"])
        .args(day.iter().filter(|_| !has_network))
        .args(args)
        .output()
        .unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{report:#}\n{told}");
    assert_eq!((&report["lost"], &report["strange"]), (&0.into(), &0.into()));
    assert!(has_network || report["completeness"] == 1.0, "{report:#}");
    report
}

#[test]
fn every_slot_arrives_once_though_meters_were_away_clocks_go_wrong_and_summer_time_begins() {
    let report = simulate(&["--electricity", "20", "--faults", "meter-loss=30%,clock-drift=10s,dst"]);
    assert_eq!(report["doubled"], 0, "{report:#}");
    assert!(report["gaps"].as_u64() > Some(0) && report["gaps"] == report["backfilled"], "{report:#}");
}

#[test]
fn both_kinds_of_meters_are_complete_in_one_unit_whatever_goes_wrong_with_them() {
    let report = simulate(&[
        "--electricity",
        "10",
        "--gas-water",
        "10",
        "--rate",
        "20",
        "--receivers",
        "im871a,cul",
        "--faults",
        "loss=5%,receiver-outage=1s,broker-outage=2s,meter-loss=30%,clock-drift=10s,dst,plc-loss=1%,modem-reset",
    ]);
    let (radio, electricity) = (&report["gas_water"], &report["electricity"]);
    assert!(radio["heard"].as_u64() > Some(100) && radio["heard"] == radio["delivered"], "{report:#}");
    assert!(radio["sent"].as_u64() > radio["heard"].as_u64() && radio["copies"].as_u64() > Some(0), "{report:#}");
    assert!(electricity["gaps"].as_u64() > Some(0), "{report:#}");
    assert_eq!((&electricity["gaps"], &electricity["doubled"]), (&electricity["backfilled"], &0.into()), "{report:#}");
    assert!(electricity["joins"].as_u64() >= Some(10), "they are behind a modem: {report:#}");
}

#[test]
fn nodes_join_and_meters_are_read_through_the_airtime_of_a_simulated_network() {
    let report = simulate(&["--electricity", "8", "--plc", "--network", "--day", "144s"]);
    let network = &report["network"];
    assert!(report["joins"].as_u64() > Some(5) && network["joined"].as_u64() > Some(5), "{report:#}");
    for airtime in ["data_airtime_s", "join_airtime_s", "route_airtime_s"] {
        assert!(network[airtime].as_f64() > Some(0.0), "{airtime}: {report:#}");
    }
    assert!(report["stored"].as_u64() > Some(100) && report["doubled"] == 0, "{report:#}");
}

#[test]
fn nodes_stand_where_a_published_feeder_has_its_loads() {
    let feeder = concat!(env!("CARGO_MANIFEST_DIR"), "/plc/tests/netsim/feeders/kerber_dorfnetz.json");
    let at = ["--electricity", "8", "--plc", "--network=formed", "--feeder", feeder];
    let report = simulate(&[&at[..], &["--day", "144s"]].concat());
    assert!(report["joins"] == 8 && report["stored"].as_u64() > Some(100) && report["doubled"] == 0, "{report:#}");
}

#[test]
fn kills_cost_neither_kind_of_meters_anything_but_the_open_commit_window() {
    let report = simulate(&["--electricity", "5", "--gas-water", "10", "--rate", "20", "--kills", "2"]);
    let (radio, electricity) = (&report["gas_water"], &report["electricity"]);
    assert_eq!((&report["kills"], &electricity["doubled"], &electricity["joins"]), (&2.into(), &0.into(), &5.into()));
    assert!(radio["delivered"].as_u64() > Some(100), "{report:#}");
}

#[test]
fn faults_of_what_is_not_there_are_wrong_usage() {
    for args in [
        &["--electricity", "2", "--faults", "loss=5%"][..],
        &["--meters", "2", "--faults", "meter-loss=5%"],
        &["--electricity", "2", "--faults", "modem-reset"],
        &["--electricity", "2", "--gas-water", "2", "--tcp", "--faults", "plc-loss=1%"],
        &["--electricity", "2", "--rate", "5"],
        &["--electricity", "2", "--plc", "--tcp"],
        &["--electricity", "2", "--network"],
        &["--electricity", "2", "--plc", "--feeder", "plc/tests/netsim/feeders/kerber_dorfnetz.json"],
        &["--electricity", "58", "--plc", "--network", "--feeder", "plc/tests/netsim/feeders/kerber_dorfnetz.json"],
        &["--electricity", "2", "--plc", "--network", "--faults", "plc-loss=1%"],
        &["--plc"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_dcu")).arg("simulate").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
