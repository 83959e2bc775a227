//! Telegrams that were recorded and sent again, also across a restart.

use serde_json::Value;
use wmbus::record::{DataField, Draft, Value as Datum};
use wmbus::sim::{Message, Protection};
use wmbus::{Address, Form, Key};

use crate::support::mosquitto::Mosquitto;
use crate::support::service::{Unit, secret};

const METER: &str = "KAM-12345678-1b-16";

#[test]
fn a_replayed_and_a_cloned_telegram_are_no_readings() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut unit = Unit::new(&broker, "");
    let configuration = std::fs::read_to_string(unit.path("dcu.toml")).unwrap();
    let keyed =
        configuration.replace("[meters]\n", "[meters]\nkeys = \"meters.keys\"\nminimum_security = \"decrypted\"\n");
    std::fs::write(unit.path("dcu.toml"), keyed).unwrap();
    secret(&unit.path("meters.keys"), "12345678 000102030405060708090A0B0C0D0E0F\n");
    unit.start();

    let accepted = [telegram(10, 1_000), telegram(11, 1_001)];
    unit.hear(accepted.clone());
    unit.hear([telegram(9, 5), telegram(11, 6), unprotected(7)]);
    let seen = verdicts(&unit, 5);
    assert_eq!(seen["verdicts"], serde_json::json!({"authenticated": 2, "replayed": 1, "cloned": 1, "too_weak": 1}));
    assert_eq!(seen["counter"], 11);
    assert_eq!(volume(&seen), "1.001");

    unit.terminate();
    unit.start();
    // Recorded before the restart; the first of them is what a repeater might still send.
    unit.hear([accepted[1].clone(), accepted[0].clone(), telegram(8, 9)]);
    unit.hear([telegram(12, 1_002)]);
    let seen = verdicts(&unit, 3);
    assert_eq!(seen["verdicts"], serde_json::json!({"authenticated": 1, "replayed": 2}));
    assert_eq!(volume(&seen), "1.002");
    let (_, status) = unit.ask(&["status"]);
    assert_eq!(status["meters"]["readings"], 1);

    // What was stored is durable with its counter.
    let stored = |status: &Value| {
        let lanes = status["buffer"]["lanes"].as_array();
        let is_whole = |lane: &Value| lane["lane"] == "mbus" && lane["last"] == 3;
        status["buffer"]["uncommitted"] == 0 && lanes.is_some_and(|lanes| lanes.iter().any(is_whole))
    };
    unit.until("the third one is stored", stored);
    unit.kill();
    unit.start();
    unit.hear([telegram(12, 1_002), telegram(11, 1_001), telegram(10, 1_000)]);
    unit.hear([telegram(13, 1_003)]);
    let seen = verdicts(&unit, 3);
    assert_eq!(seen["verdicts"], serde_json::json!({"authenticated": 1, "replayed": 2}));
    unit.terminate();
}

/// The meter's card, once so many of its telegrams were judged.
#[track_caller]
fn verdicts(unit: &Unit, telegrams: u64) -> Value {
    unit.until("all are judged", |status| status["meters"]["telegrams"].as_u64() >= Some(telegrams));
    let (code, card) = unit.ask(&["meter", "show", METER]);
    assert_eq!(code, Some(0), "{card:#}");
    card
}

fn volume(card: &Value) -> &str {
    card["readings"].as_array().unwrap().iter().find(|reading| reading["quantity"] == "volume").unwrap()["value"]
        .as_str()
        .unwrap()
}

fn telegram(counter: u32, litres: i64) -> Vec<u8> {
    let key = Key::new(std::array::from_fn(|at| at as u8));
    message(litres, Protection::AesCbcNoIv { key: &key, counter })
}

fn unprotected(litres: i64) -> Vec<u8> {
    message(litres, Protection::None)
}

fn message(litres: i64, protection: Protection<'_>) -> Vec<u8> {
    let manufacturer = Address::manufacturer_code("KAM").unwrap();
    let address = Address { manufacturer, identification: 0x1234_5678, version: 0x1b, device_type: 0x16 };
    let records = [Draft::new(DataField::Integer32, &[0x13], Datum::Integer(litres))];
    Message::new(address, 42, &records).protection(protection).emit(Form::Stripped).unwrap()
}
