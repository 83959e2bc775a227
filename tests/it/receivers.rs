//! All kinds of receivers at once around one service: what several of them hear is one reading, one that dies and comes
//! back loses none, and no garbage does.

use std::process::Command;

/// The last line of a run that was a success.
fn simulate(readings: u32, faults: &str, seed: u64) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_dcu"))
        .args(["simulate", "--receivers", RECEIVERS, "--meters", "30", "--rate", "120", "--json"])
        .args(["--readings", &readings.to_string(), "--faults", faults, "--seed", &seed.to_string()])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    let text = String::from_utf8(output.stdout).unwrap();
    let report: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let of = |name: &str| report[name].as_u64().unwrap();
    assert!(of("copies") > 300, "{report}");
    assert_eq!((of("lost"), of("strange"), of("disordered")), (0, 0, 0), "{report}");
    assert_eq!((of("delivered"), of("decoded")), (of("heard"), of("heard")), "{report}");
    report
}

#[test]
fn what_six_receivers_hear_arrives_once_though_one_of_them_dies_and_comes_back() {
    // The seeds let a stick and the program die.
    for seed in [3, 5] {
        simulate(4000, "receiver-outage=1s,loss=2%,corrupt=1%", seed);
    }
}

#[test]
fn garbage_between_the_telegrams_costs_none_and_arrives_as_nothing() {
    let report = simulate(2500, "garbage=300,corrupt=1%", 3);
    assert!(report["garbage"].as_u64().unwrap() > 300, "{report}");
}

const RECEIVERS: &str = "im871a,iu891a,amb8465,cul,rc1180,rtl_wmbus";
