//! Orders to the M-Bus channels of electricity meters, and to the valves behind them.

use std::process::Command;

use dcu::journal::Audit;
use dlms::Obis;
use dlms::apdu::Attribute;
use dlms::cosem::{ControlMode, MbusClient};
use dlms::sim::object::{DisconnectControl, MbusChannel};
use serde_json::Value;

use crate::electricity::{Emulated, UNIT, Unit, configure};
use crate::support::head_end::{order, states};
use crate::support::mosquitto::Mosquitto;
use crate::support::service::{self, secret};

pub(crate) const GAS: MbusClient =
    MbusClient { identification_number: 0x7001_2345, manufacturer_id: 0x1593, version: 0x33, device_type: 3 };
pub(crate) const GAS_ID: &str = "ELS-70012345-33-03";
const KEY: &str = "5ec2e75ec2e75ec2e75ec2e75ec2e75e";

/// A meter that waits to be installed on this channel, with a valve.
pub(crate) fn wait_on(meter: &Emulated, channel: u8, waiting: MbusClient, mode: u8) {
    let mut object = MbusChannel::new(channel, None);
    (object.waiting, object.is_old) = (Some(waiting), channel == 3);
    let valve = DisconnectControl::new(ControlMode::new(mode).unwrap());
    let mut server = meter.server.lock().unwrap();
    server.meter.insert(Obis::new(0, channel, 24, 1, 0, 255), Box::new(object));
    server.meter.insert(Obis::new(0, channel, 24, 4, 0, 255), Box::new(valve));
}

/// An attribute as the meter itself has it.
fn attribute(meter: &Emulated, class_id: u16, channel: u8, kind: u8, number: i8) -> String {
    let attribute = Attribute::new(class_id, Obis::new(0, channel, 24, kind, 0, 255), number);
    let octets = meter.server.lock().unwrap().meter.get(&attribute, None).unwrap();
    dlms::Data::parse_all(&octets).unwrap().to_string()
}

/// What the command says, and with which exit code.
pub(crate) fn channel(unit: &Unit, words: &[&str]) -> (i32, String, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
    command.args(["meter", "channel", "--json", "--socket"]).arg(unit.path("control.sock")).args(words);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), said, serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn a_meter_is_installed_keyed_and_its_valve_closed_through_the_electricity_meter() {
    let [meter, open] = [Emulated::ciphered(71), Emulated::plain(72)];
    wait_on(&meter, 2, GAS, 3);
    let water = MbusClient { identification_number: 0x7001_2346, device_type: 7, ..GAS };
    wait_on(&meter, 3, water, 2);
    wait_on(&open, 1, GAS, 4);
    let task = "[[electricity.task]]\nid = \"clock\"\nwhat = \"clock\"\nperiod = \"1h\"\n";
    let (text, keys) = configure(&[&meter, &open], task);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    let id = meter.id();
    // The clock of the unit may not be known yet.
    unit.until(&["meter", "channel", &id, "2"], |card| card["behind"].is_null() && card["valve"].is_object());
    let (code, said, _) = channel(&unit, &[&id, "2", "capture"]);
    assert!(code == 6 && said.contains("nothing is installed on channel 2"), "{said}");
    assert_eq!(channel(&unit, &[&id, "4"]).0, 4, "there is no such object");
    assert_eq!(channel(&unit, &[&id, "5"]).0, 1, "there is no such channel");
    let (code, said, _) = channel(&unit, &[&id, "2", "install", "--behind", "ELS-70012346-33-07"]);
    assert!(code == 1 && said.contains("object unavailable"), "{code} {said}");
    let (_, _, card) = channel(&unit, &[&id, "2"]);
    assert!(card["behind"].is_null(), "who was not found is not left there: {card}");
    let (code, said, card) = channel(&unit, &[&id, "2", "install", "--behind", GAS_ID]);
    assert_eq!((code, card["behind"].as_str(), card["primary_address"].as_u64()), (0, Some(GAS_ID), Some(2)), "{said}");
    // Once more is the same; another one finds the channel taken.
    assert_eq!(channel(&unit, &[&id, "2", "install", "--behind", GAS_ID]).0, 0);
    let (code, said, _) = channel(&unit, &[&id, "2", "install", "--behind", "ELS-70012346-33-07"]);
    assert!(code == 6 && said.contains("deinstall it first"), "{said}");
    // An older meter wants another parameter, and whoever is found is taken.
    let (code, said, card) = channel(&unit, &[&id, "3", "install", "--address", "9"]);
    assert_eq!((code, card["behind"].as_str()), (0, Some("ELS-70012346-33-07")), "{said}");
    assert_eq!(attribute(&meter, 72, 3, 1, 5), "9");

    secret(&unit.path("mbus.toml"), &format!("[{GAS_ID}]\nkey = \"{KEY}\"\ndefault_key = \"{}\"\n", "44".repeat(16)));
    let file = unit.path("mbus.toml").display().to_string();
    let (code, said, card) = channel(&unit, &[&id, "2", "set-key", &file]);
    assert_eq!((code, card["key"].as_str()), (0, Some("encryption key set and transferred")), "{said}");
    let (code, said, _) = channel(&unit, &[&id, "3", "set-key", &file]);
    assert!(code == 6 && said.contains("the key is of"), "{said}");
    let (_, _, card) = channel(&unit, &[&id, "2", "capture"]);
    assert_eq!(card["key"], "encryption key in use", "what the meter enciphers is read with the key: both have it");
    assert_eq!(channel(&unit, &[&open.id(), "1", "install"]).0, 0);
    let (code, said, _) = channel(&unit, &[&open.id(), "1", "set-key", &file]);
    assert!(code == 6 && said.contains("not encrypted"), "{said}");
    assert_eq!(attribute(&open, 72, 1, 1, 14), "0");

    let (code, _, card) = channel(&unit, &[&id, "2", "disconnect"]);
    assert_eq!((code, card["valve"]["state"].as_str()), (0, Some("disconnected")));
    assert_eq!(attribute(&meter, 70, 2, 4, 2), "false");
    let (code, _, card) = channel(&unit, &[&id, "2", "connect"]);
    assert_eq!((code, card["valve"]["state"].as_str()), (0, Some("ready for reconnection")), "somebody opens it there");
    assert_eq!(attribute(&meter, 70, 2, 4, 2), "false");
    let (code, said, _) = channel(&unit, &[&open.id(), "1", "connect"]);
    assert!(code == 6 && said.contains("gas valve"), "{said}");
    assert_eq!(channel(&unit, &[&id, "3", "disconnect"]).0, 0);
    let (code, _, card) = channel(&unit, &[&id, "3", "connect"]);
    assert_eq!((code, card["valve"]["is_connected"].as_bool()), (0, Some(true)), "of water it is opened");
    // A valve that does not move is told, though the meter says that it did.
    let mut stuck = DisconnectControl::new(ControlMode::new(4).unwrap());
    stuck.is_stuck = true;
    open.server.lock().unwrap().meter.insert(Obis::new(0, 1, 24, 4, 0, 255), Box::new(stuck));
    let (code, said, _) = channel(&unit, &[&open.id(), "1", "disconnect"]);
    assert!(code == 1 && said.contains("has not moved"), "{said}");

    let (code, _, card) = channel(&unit, &[&id, "3", "deinstall"]);
    assert_eq!((code, card["behind"].as_str()), (0, None));
    let card = unit.ask(&["meter", "show", &id]);
    assert_eq!(card["electricity"]["behind"], serde_json::json!({ "2": GAS_ID }));
    unit.terminate();
    let told: Vec<_> = unit.events().into_iter().filter(|(_, code, _)| code == "electricity.channel").collect();
    let is_told = |meter: &str, detail: &str| told.iter().any(|(id, _, told)| id == meter && told == detail);
    assert!(is_told(&id, &format!("channel 2: install {GAS_ID}: succeeded: {GAS_ID}, connected")), "{told:#?}");
    assert!(is_told(&id, &format!("channel 2: disconnect: succeeded: {GAS_ID}, disconnected")), "{told:#?}");
    assert!(!told.iter().any(|(_, _, detail)| detail.contains("show")), "who only looks is not told");
    let audit = unit.path("state/audit");
    let (entries, _) = Audit::read(&audit).unwrap();
    let said: Vec<_> = entries.iter().map(|entry| format!("{} {}", entry.what, entry.decision)).collect();
    assert!(said.contains(&format!("set-key of {GAS_ID:?}, channel 2 of meter {id:?} accepted")), "{said:#?}");
    let secret = hex::decode(KEY).unwrap();
    for text in [unit.log().into_bytes(), std::fs::read(audit).unwrap()] {
        assert!(!text.windows(16).any(|window| window == secret) && !String::from_utf8_lossy(&text).contains(KEY));
    }
}

#[test]
fn the_head_end_orders_a_channel_with_the_role_for_it() {
    let Some(broker) = Mosquitto::start() else { return };
    let meter = Emulated::ciphered(73);
    wait_on(&meter, 1, GAS, 4);
    let (text, keys) = configure(&[&meter], "");
    let mut unit = service::Unit::new(&broker, "");
    secret(&unit.path("keys.toml"), &keys);
    let title = hex::encode(UNIT);
    let electricity = format!("[electricity]\nkeys = \"keys.toml\"\nsystem_title = \"{title}\"\n{text}[store]\n");
    unit.configure("[store]\n", &electricity);
    unit.start();
    let id = meter.id();
    unit.until("a meter takes part", |_| unit.ask(&["meter", "channel", &id, "1"]).0 == Some(0));
    let file = unit.path("mbus.toml").display().to_string();
    secret(&unit.path("mbus.toml"), &format!("[{GAS_ID}]\nkey = \"{KEY}\"\ndefault_key = \"{}\"\n", "44".repeat(16)));
    let channel = |words: &[&str]| order(&broker, &[&["channel", &id, "1"][..], words].concat());
    let key = |name: &str| broker.kit.dir().join(format!("{name}.key")).display().to_string();
    let done = ["accepted", "succeeded"];
    let (code, said) = channel(&["install", "--behind", GAS_ID]);
    assert_eq!((code, states(&said)), (Some(0), done.to_vec()), "{said:?} {}", unit.log());
    assert_eq!(said[1]["result"]["behind"], GAS_ID);
    let (code, said) = channel(&["set-key", &file]);
    assert_eq!((code, states(&said)), (Some(0), done.to_vec()), "{said:?}");
    assert_eq!(said[1]["result"]["key"], "encryption key set and transferred");
    let (code, said) = order(&broker, &["--sign", &key("installer"), "channel", &id, "1", "disconnect"]);
    assert_eq!((code, said[0]["code"].as_str()), (Some(6), Some("bad_role")));
    let (code, said) = channel(&["disconnect"]);
    assert_eq!((code, said[1]["result"]["control_state"].as_u64()), (Some(0), Some(0)), "{said:?}");
    let (code, said) = channel(&["connect"]);
    assert_eq!((code, said[1]["code"].as_str()), (Some(6), Some("not_permitted")), "a gas valve");
    let one = order(&broker, &["--sign", &key("switcher"), "channel", "--directly", &id, "1", "connect"]);
    assert_eq!((one.0, one.1[0]["code"].as_str()), (Some(6), Some("needs_two_signatures")));
    let (code, said) = order(&broker, &["channel", "--directly", &id, "1", "connect"]);
    assert_eq!((code, said[1]["result"]["is_connected"].as_bool()), (Some(0), Some(true)), "{said:?}");
    let (code, said) = order(&broker, &["channel", "0102030405060708", "1", "show"]);
    assert_eq!((code, said[1]["code"].as_str()), (Some(4), Some("not_found")), "{said:?}");
    unit.terminate();
    let (entries, _) = Audit::read(&unit.path("state/audit")).unwrap();
    let is_there = |what: &str| entries.iter().any(|entry| entry.what.contains(what) && entry.decision == "accepted");
    assert!(is_there(&format!("connect directly, channel 1 of meter {id}")), "{entries:?}");
    assert!(!format!("{entries:?}{}", unit.log()).contains(KEY));
}
