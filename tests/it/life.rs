//! A meter is replaced, removed, or answers in another one's place.

use dcu::reading::{MeterId, Origin, Path, Reading, Value};
use dcu::store::Lane;
use dcu::wire::signed::PublicKey;
use dcu::wire::trust::{self, Role};
use dlms::cosem::MbusClient;
use dlms::sim::{Model, Port};
use dlms::{Data, Obis};

use crate::behind::{GAS, GAS_ID, channel, wait_on};
use crate::electricity::{Emulated, UNIT, Unit, check_profile, configure};
use crate::support::head_end::{order, states};
use crate::support::mosquitto::Mosquitto;
use crate::support::service::{self, secret};

const TASK: &str = "[[electricity.task]]\nid = \"profile\"\nwhat = \"profile\"\nobject = \"1-0:99.1.0*255\"\n\
                    period = \"15min\"\nhistory = \"1h\"\n";

#[test]
fn a_replaced_meter_tells_its_last_and_the_new_one_its_first_readings() {
    let [old, new, gone] = [Emulated::ciphered(61), Emulated::ciphered(62), Emulated::plain(63)];
    let (text, keys) = configure(&[&old, &new, &gone], TASK);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until_complete("profile", 3);
    let line = |id: &str| unit.ask(&["meter", "show", id]);
    assert_eq!(line(&old.id())["electricity"]["state"], "active");
    assert_eq!(unit.ask(&["meter", "replace", &old.id(), &old.id()]), serde_json::Value::Null);
    let begun = unit.ask(&["meter", "replace", &old.id(), &new.id()]);
    assert_eq!(begun["id"], old.id().as_str());
    let pending = format!("replaced by {} once it has told its final registers, or has not answered", new.id());
    assert_eq!(begun["electricity"]["pending"], pending.as_str(), "{begun:#}");
    unit.until(&["meter", "show", &old.id()], |card| card["electricity"]["state"] == "replaced");
    let card = line(&old.id());
    assert_eq!(
        (card["electricity"]["replaced_by"].as_str(), card["has_key"].as_bool()),
        (Some(&*new.id()), Some(false))
    );
    assert_eq!(unit.ask(&["meter", "remove", &gone.id()])["electricity"]["state"], "removed");
    assert_eq!(unit.ask(&["meter", "remove", &gone.id()]), serde_json::Value::Null, "once is enough");
    // The new one's first answer comes after the old one's last.
    unit.until(&["status"], |status| status["electricity"]["retired"] == 2);
    std::thread::sleep(std::time::Duration::from_secs(2));
    unit.kill();
    unit.start();
    unit.until(&["status"], |status| status["electricity"]["retired"] == 2);
    let card = unit.ask(&["meter", "show", &old.id()]);
    assert!(card["electricity"]["pending"].is_null(), "{card:#}");
    assert_eq!((card["electricity"]["state"].as_str(), card["has_key"].as_bool()), (Some("replaced"), Some(false)));
    assert!(card["electricity"]["tasks"][0]["complete_until_ms"].as_i64() > Some(0), "what was read stays known");
    unit.terminate();
    let events = unit.events();
    let detail = |id: &str, code: &str| {
        let found = events.iter().find(|(meter, found, _)| *meter == id && found == code);
        found.map(|(_, _, detail)| detail.clone()).unwrap_or_else(|| panic!("{code}: {events:?}"))
    };
    let replaced = detail(&old.id(), "electricity.replaced");
    let commissioned = detail(&new.id(), "electricity.commissioned");
    assert!(replaced.contains(&new.id()) && replaced.contains("1-0:1.8.0*255 "), "{replaced}");
    assert!(commissioned.contains(&old.id()) && commissioned.contains("1-0:1.8.0*255 "), "{commissioned}");
    detail(&gone.id(), "electricity.removed");
    let demanded = unit.demanded();
    for meter in [&old, &new] {
        let import = demanded.iter().find(|it| it.source.meter.to_string() == meter.id()).unwrap();
        assert_eq!(import.register.unit.to_string(), "Wh");
    }
    assert!(!demanded.iter().any(|it| it.source.meter.to_string() == gone.id()));
}

#[test]
fn of_two_meters_that_answer_alike_one_is_told_and_not_taken() {
    let [first, twin, stranger, wanted] =
        [Emulated::plain(64), Emulated::plain(65), Emulated::ciphered(66), Emulated::ciphered(67)];
    // The twin has the other one's name; and where one is expected, another one answers.
    let name = Data::OctetString(format!("DCU{:013}", 64).as_bytes()).octets();
    let stored = dlms::sim::object::Stored::data(name);
    twin.server.lock().unwrap().meter.insert(Obis::new(0, 0, 42, 0, 0, 255), Box::new(stored));
    let (text, keys) = configure(&[&first, &twin, &wanted], TASK);
    let text = text.replace(&wanted.address.to_string(), &stranger.address.to_string());
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    // Whichever of the two is read first is believed.
    let refused = |card: &serde_json::Value| card["electricity"]["detail"].as_str().map(str::to_owned);
    let both = [first.id(), twin.id()];
    let wrong = loop {
        let found = both.iter().find(|id| refused(&unit.ask(&["meter", "show", id])).is_some());
        if let Some(found) = found {
            break found.clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    unit.until(&["meter", "show", &wanted.id()], |card| {
        refused(card).is_some_and(|detail| detail.contains("another meter answers"))
    });
    let right = both.iter().find(|id| **id != wrong).unwrap();
    unit.until(&["meter", "show", right], |card| card["last_heard_ms"].is_i64());
    unit.terminate();
    let told: Vec<_> = unit.events().into_iter().map(|(meter, code, _)| (meter, code)).collect();
    assert!(told.contains(&(wrong.clone(), "electricity.duplicate".to_owned())), "{told:?}");
    assert!(told.contains(&(wanted.id(), "electricity.other_meter".to_owned())), "{told:?}");
    let readings = unit.readings();
    assert!(readings.iter().all(|(lane, it)| *lane == Lane::LoadProfile && it.source.meter.to_string() == **right));
    assert!(!readings.is_empty());
}

#[test]
fn what_is_behind_a_meter_is_told_as_its_own() {
    let gas = MbusClient { identification_number: 0x7001_2345, manufacturer_id: 0x1593, version: 0x33, device_type: 3 };
    let model = Model { gas: Some(gas), ..Model::electricity(68).unwrap() };
    let meter = Emulated::of(model, Port::wrapper(1), true);
    let tasks = "[[electricity.task]]\nid = \"gas\"\nwhat = \"profile\"\nobject = \"0-1:24.3.0*255\"\nperiod = \"1h\"\n\
                 history = \"6h\"\n[[electricity.task]]\nid = \"now\"\nwhat = \"registers\"\nperiod = \"1h\"\n\
                 history = \"1h\"\nobjects = [\"4:0-1:24.2.1*255\", \"70:0-1:24.4.0*255\", \"1-0:1.8.0*255\", \
                 \"4:0-2:24.2.1*255\"]\n";
    let (text, keys) = configure(&[&meter], tasks);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until_complete("gas", 1);
    unit.until_complete("now", 1);
    let card = unit.ask(&["meter", "show", &meter.id()]);
    let id = "ELS-70012345-33-03";
    assert_eq!(card["electricity"]["behind"]["1"], id);
    unit.terminate();
    let readings: Vec<_> = unit.readings().into_iter().map(|(_, reading)| reading).collect();
    let own = MeterId::SystemTitle(meter.model.system_title().0);
    let is_gas = |reading: &&Reading| reading.register.obis.unwrap().0[2] == 24;
    let (behind, direct): (Vec<_>, Vec<_>) = readings.iter().partition(is_gas);
    assert!(behind.iter().all(|it| it.source.meter.to_string() == id && it.source.path == Path::Behind(own)));
    assert!(!direct.is_empty() && direct.iter().all(|it| it.source.meter == own && it.source.path == Path::Direct));
    let hours: Vec<_> = behind.iter().filter(|it| it.source.origin == Origin::Profile).collect();
    assert!(hours.len() >= 6, "{}", hours.len());
    for hour in hours {
        let volume = meter.model.curve(Obis(hour.register.obis.unwrap().0)).at(hour.interval.unwrap().end_utc);
        assert_eq!(hour.value, Value::Decimal { mantissa: volume.try_into().unwrap(), scaler: -3 });
    }
    let valve = behind.iter().find(|it| it.register.obis.unwrap().0[3] == 4).unwrap();
    assert_eq!(valve.value.to_string(), "1", "connected");
}

#[test]
fn who_was_behind_the_old_meter_is_bound_to_the_new_one() {
    let old = Emulated::of(Model { gas: Some(GAS), ..Model::electricity(81).unwrap() }, Port::wrapper(1), true);
    let new = Emulated::ciphered(82);
    wait_on(&new, 1, GAS, 4);
    let (text, keys) = configure(&[&old, &new], TASK);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until_complete("profile", 2);
    assert_eq!(unit.ask(&["meter", "replace", &old.id(), &new.id()])["id"], old.id().as_str());
    unit.until(&["meter", "show", &new.id()], |card| card["electricity"]["behind"]["1"] == GAS_ID);
    // Both know it after a restart too.
    std::thread::sleep(std::time::Duration::from_secs(1));
    unit.kill();
    unit.start();
    unit.until(&["meter", "show", &new.id()], |card| card["electricity"]["behind"]["1"] == GAS_ID);
    let card = unit.ask(&["meter", "show", &old.id()]);
    assert_eq!(card["electricity"]["replaced_by"], new.id().as_str());
    unit.terminate();
    let events = unit.events();
    let bound = events.iter().find(|(meter, code, _)| *meter == new.id() && code == "electricity.channel");
    let (.., detail) = bound.unwrap_or_else(|| panic!("{events:?}"));
    let begin = format!("channel 1: install {GAS_ID} as behind {}, which is replaced: succeeded: {GAS_ID}", old.id());
    assert!(detail.starts_with(&begin) && detail.contains("key has to be set"), "{detail}");
}

#[test]
fn who_cannot_be_bound_to_the_new_meter_is_tried_again_through_restarts_and_given_up_in_the_end() {
    let old = Emulated::of(Model { gas: Some(GAS), ..Model::electricity(89).unwrap() }, Port::wrapper(1), true);
    let new = Emulated::ciphered(90);
    let water = MbusClient { identification_number: 0x7001_2346, device_type: 7, ..GAS };
    wait_on(&old, 2, water, 4);
    // The new meter does not find the gas meter yet, and has no second channel.
    wait_on(&new, 1, water, 4);
    let (text, keys) = configure(&[&old, &new], TASK);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until_complete("profile", 2);
    let (_, said, card) = channel(&unit, &[&old.id(), "2", "install"]);
    assert_eq!(card["behind"], "ELS-70012346-33-07", "{said}");
    assert_eq!(unit.ask(&["meter", "replace", &old.id(), &new.id()])["id"], old.id().as_str());
    let tried = |unit: &Unit| {
        let events =
            unit.events().into_iter().filter(|(meter, code, _)| *meter == new.id() && code == "electricity.channel");
        let failed = events.filter(|(_, _, detail)| detail.contains(": failed: ")).map(|(_, _, detail)| detail);
        let failed: Vec<_> = failed.collect();
        [1, 2].map(|channel| failed.iter().filter(|it| it.starts_with(&format!("channel {channel}:"))).count())
    };
    let mut runs = 0;
    unit.until(&["meter", "show", &old.id()], |card| card["electricity"]["state"] == "replaced");
    loop {
        // Each start is an attempt: what was tried before it is kept.
        std::thread::sleep(std::time::Duration::from_secs(2));
        unit.terminate();
        runs += 1;
        let [gas, water] = tried(&unit);
        assert!(gas <= runs && water <= runs, "{gas} {water} in {runs} runs");
        if unit.events().iter().any(|(_, code, _)| code == "electricity.channel_given_up") {
            break;
        }
        assert!(runs < 20, "never given up: {:#?}", unit.events());
        if gas == 1 {
            wait_on(&new, 1, GAS, 4);
        }
        unit.start();
        unit.until(&["meter", "show", &new.id()], |card| card["electricity"]["state"] == "active");
    }
    let events = unit.events();
    let given_up: Vec<_> = events.iter().filter(|(_, code, _)| code == "electricity.channel_given_up").collect();
    let [(meter, _, detail)] = given_up.as_slice() else { panic!("{given_up:?}") };
    let begin = format!("channel 2: ELS-70012346-33-07, behind {} before, after 6 attempts: ", old.id());
    assert!(*meter == new.id() && detail.starts_with(&begin), "{detail}");
    assert_eq!(tried(&unit)[1], 6);
    let bound = format!("channel 1: install {GAS_ID} as behind {}, which is replaced: succeeded: {GAS_ID}", old.id());
    assert!(events.iter().any(|(_, _, detail)| detail.starts_with(&bound)), "{events:#?}");
    // Nothing more is tried.
    unit.start();
    unit.until(&["meter", "show", &new.id()], |card| card["electricity"]["behind"]["1"] == GAS_ID);
    std::thread::sleep(std::time::Duration::from_secs(1));
    unit.terminate();
    assert_eq!(tried(&unit)[1], 6);
}

#[test]
fn the_head_end_has_a_meter_handed_over_and_taken_over_by_signed_orders() {
    let Some(broker) = Mosquitto::start() else { return };
    let meter = Emulated::ciphered(91);
    let (text, keys) = configure(&[&meter], TASK);
    let mut unit = service::Unit::new(&broker, "");
    secret(&unit.path("keys.toml"), &keys);
    let head = format!("[electricity]\nkeys = \"keys.toml\"\nsystem_title = \"{}\"\n", hex::encode(UNIT));
    unit.configure("[store]\n", &format!("{head}{text}[store]\n"));
    unit.start();
    let id = meter.id();
    let state =
        |unit: &service::Unit| unit.ask(&["meter", "show", &id]).1["electricity"]["state"].as_str().map(str::to_owned);
    unit.until("the meter is read", |_| state(&unit).as_deref() == Some("active"));
    let switcher = broker.kit.dir().join("switcher.key").display().to_string();
    let (code, said) = order(&broker, &["--sign", &switcher, "hand-over", &id]);
    assert_eq!((code, said[0]["code"].as_str()), (Some(6), Some("bad_role")));
    let (code, said) = order(&broker, &["hand-over", &id]);
    assert_eq!((code, states(&said)), (Some(0), vec!["accepted", "succeeded"]), "{said:?} {}", unit.log());
    assert_eq!(state(&unit).as_deref(), Some("handed over"));
    let handover = said[1]["result"].clone();
    assert_eq!((handover["meter"].as_str(), handover["unit"].as_str()), (Some(&*id), Some("dcu-1")), "{said:?}");
    // The same order again is told the same, and carried out once.
    let again = order(&broker, &["--id", said[1]["order"].as_str().unwrap(), "hand-over", &id]);
    assert_eq!(again.1.last().unwrap()["result"], handover);
    // Whatever became of what was told first, another order has it told again.
    let (code, said) = order(&broker, &["hand-over", &id]);
    assert_eq!((code, states(&said)), (Some(0), vec!["accepted", "succeeded"]), "{said:?}");
    assert_eq!((&said[1]["result"]["meter"], state(&unit).as_deref()), (&handover["meter"], Some("handed over")));
    let path = unit.path("meter.json");
    let file = |said: &serde_json::Value| {
        std::fs::write(&path, said.to_string()).unwrap();
        path.display().to_string()
    };
    let mut altered = handover.clone();
    let signed = handover["signed"].as_str().unwrap();
    let (head, last) = signed.split_at(signed.len() - 1);
    altered["signed"] = format!("{head}{}", if last == "0" { "1" } else { "0" }).into();
    let (code, said) = order(&broker, &["take-over", &file(&altered)]);
    assert_eq!((code, said[1]["code"].as_str()), (Some(6), Some("not_permitted")), "{said:?}");
    assert_eq!(state(&unit).as_deref(), Some("handed over"));
    let (code, said) = order(&broker, &["take-over", &file(&handover)]);
    assert_eq!((code, states(&said)), (Some(0), vec!["accepted", "succeeded"]), "{said:?}");
    // What was told is durable.
    unit.kill();
    unit.start();
    unit.until("the meter is read again", |_| state(&unit).as_deref() == Some("active"));
    let (code, said) = order(&broker, &["take-over", &file(&handover)]);
    assert_eq!((code, said[1]["code"].as_str()), (Some(6), Some("not_permitted")), "it takes part: {said:?}");
    unit.terminate();
    let (entries, _) = dcu::journal::Audit::read(&unit.path("state/audit")).unwrap();
    for what in [format!("hand meter {id} over"), format!("take meter {id} over from \"dcu-1\"")] {
        assert!(entries.iter().any(|entry| entry.what.contains(&what) && entry.decision == "accepted"), "{entries:?}");
    }
}

#[test]
fn a_removed_meter_comes_back_from_where_it_was_left() {
    let meter = Emulated::ciphered(83);
    let (text, keys) = configure(&[&meter], TASK);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until_complete("profile", 1);
    let id = meter.id();
    assert_eq!(unit.ask(&["meter", "restore", &id]), serde_json::Value::Null, "it takes part");
    assert_eq!(unit.ask(&["meter", "remove", &id])["has_key"], false);
    std::thread::sleep(std::time::Duration::from_secs(1));
    unit.kill();
    unit.start();
    unit.until(&["meter", "show", &id], |card| card["electricity"]["state"] == "removed");
    let card = unit.ask(&["meter", "restore", &id]);
    assert!(card["electricity"]["pending"].is_null(), "{card:#}");
    assert_eq!((card["electricity"]["state"].as_str(), card["has_key"].as_bool()), (Some("active"), Some(true)));
    // Its key is good again.
    let (exit, said, card) = crate::behind::channel(&unit, &[&id, "1"]);
    assert!(exit == 4 && said.contains("the meter has no M-Bus channel 1") && card.is_null(), "{exit}: {said}");
    unit.until_complete("profile", 1);
    unit.terminate();
    assert!(unit.events().iter().any(|(meter, code, _)| *meter == id && code == "electricity.restored"));
    let readings = unit.readings();
    check_profile(&readings, &[&meter], 4);
}

#[test]
fn a_meter_goes_from_unit_to_unit_without_a_gap_or_a_double() {
    let meter = Emulated::ciphered(84);
    let task = TASK.replace("1h", "30d") + "at_once = 2\nback = \"60d\"\n";
    let (text, keys) = configure(&[&meter], &task);
    let awaited = text.replace("auth = \"gmac\"", "handed_over = true\nauth = \"gmac\"");
    let peers = |text: &str| format!("peers = \"peers.toml\"\n{text}");
    let (mut first, mut second) = (Unit::new(&peers(&text), &keys), Unit::new(&peers(&awaited), &keys));
    for unit in [&first, &second] {
        std::fs::write(unit.path("peers.toml"), "").unwrap();
    }
    let trusts = |unit: &Unit, other: &Unit| {
        let public = std::fs::read_to_string(other.path("state/device-key.pub.pem")).unwrap();
        let public = PublicKey::from_pem(&public).unwrap();
        let file = trust::to_toml("the other", &[Role::Device], Some("dcu-1"), &public);
        std::fs::write(unit.path("peers.toml"), file).unwrap();
    };
    let id = meter.id();
    let file = |unit: &Unit, name: &str, said: &serde_json::Value| {
        std::fs::write(unit.path(name), said.to_string()).unwrap();
        unit.path(name).display().to_string()
    };
    let state = |unit: &Unit| unit.ask(&["meter", "show", &id])["electricity"]["state"].clone();
    second.start();
    second.until(&["meter", "show", &id], |card| card["electricity"]["state"] == "awaited");
    // It falls silent again and again, so that the hand-over comes in the midst of reading.
    meter.faults(|faults| faults.hang_after = Some(40));
    first.start();
    first.until(&["status"], |status| status["electricity"]["all"]["settled"].as_u64() > Some(60));
    // Who waits for it no more asks again: it goes on meanwhile, if it was not done at once.
    first.ask(&["meter", "hand-over", &id, "--timeout", "1ms"]);
    let said = first.ask(&["meter", "hand-over", &id]);
    assert_eq!((said["meter"].as_str(), said["unit"].as_str()), (Some(&*id), Some("dcu-1")), "{}", first.log());
    // What was told may have got lost on its way: it is told again.
    let again = first.ask(&["meter", "hand-over", &id]);
    assert_eq!((&again["meter"], &again["unit"]), (&said["meter"], &said["unit"]), "{}", first.log());
    let said = again;
    first.kill();
    meter.faults(|faults| faults.hang_after = None);
    let kept = file(&second, "first.json", &said);
    let mut damaged = said.clone();
    damaged["signed"] = said["signed"].as_str().unwrap().replace('0', "1").into();
    let mut other = said.clone();
    other["unit"] = "dcu-2".into();
    assert_eq!(second.ask(&["meter", "take-over", &kept]), serde_json::Value::Null, "nobody knows the first unit");
    trusts(&second, &first);
    trusts(&first, &second);
    for altered in [damaged, other] {
        let bad = file(&second, "bad.json", &altered);
        assert_eq!(second.ask(&["meter", "take-over", &bad]), serde_json::Value::Null);
    }
    assert_eq!(state(&second), "awaited");
    assert_eq!(second.ask(&["meter", "take-over", &kept])["id"], id.as_str());
    assert_eq!(second.ask(&["meter", "take-over", &kept]), serde_json::Value::Null, "it takes part");
    second.until_complete("profile", 1);
    first.start();
    first.until(&["meter", "show", &id], |card| card["electricity"]["state"] == "handed over");
    // Back again; what was said before is old by now.
    let back = second.ask(&["meter", "hand-over", &id]);
    assert_eq!(second.ask(&["meter", "take-over", &kept]), serde_json::Value::Null);
    let back = file(&first, "back.json", &back);
    assert_eq!(first.ask(&["meter", "take-over", &back])["electricity"]["state"], "active");
    first.until_complete("profile", 1);
    first.terminate();
    second.terminate();
    let told = |unit: &Unit, code: &str| unit.events().into_iter().any(|(_, found, _)| found == code);
    for code in ["electricity.handed_over", "electricity.taken_over"] {
        assert!(told(&first, code) && told(&second, code), "{code}");
    }
    let readings = [first.readings(), second.readings()];
    let counts = readings.each_ref().map(Vec::len);
    assert!(counts.iter().all(|count| *count > 100), "both have read it: {counts:?}");
    check_profile(&readings.concat(), &[&meter], 30 * 96);
}
