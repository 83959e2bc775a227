//! Electricity meters of a digital twin, read while days pass quickly.

use std::process::Command;

use serde_json::Value;

#[test]
fn every_slot_arrives_once_though_meters_were_away_clocks_go_wrong_and_summer_time_begins() {
    let output = Command::new(env!("CARGO_BIN_EXE_dcu"))
        .args(["simulate", "--electricity", "20", "--for", "12s", "--day", "10s", "--seed", "3", "--json"])
        .args(["--faults", "meter-loss=30%,clock-drift=10s,dst"])
        .output()
        .unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{report:#}\n{told}");
    assert_eq!(report["completeness"], 1.0, "{report:#}");
    for nothing in ["lost", "doubled", "strange"] {
        assert_eq!(report[nothing], 0, "{report:#}");
    }
    assert!(report["gaps"].as_u64() > Some(0) && report["gaps"] == report["backfilled"], "{report:#}");
}

#[test]
fn faults_of_telegrams_are_none_of_electricity_meters_and_the_other_way_round() {
    for args in [["--electricity", "2", "--faults", "loss=5%"], ["--meters", "2", "--faults", "meter-loss=5%"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_dcu")).arg("simulate").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
