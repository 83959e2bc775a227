//! Meters that follow a companion profile: nobody lists their objects, and all that is read has its name.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use dcu::store::Lane;
use dlms::Data;
use dlms::sim::object::{EventLog, Stored};
use dlms::time::DeviationSign;

use crate::dlms::dcu;
use crate::electricity::{Emulated, Unit, keys_of};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A profile of somebody's own.
const OWN: &str = r#"
title = "of our town"
sources = ["the meter's maker"]
deviation = "inverted"
common_events = false

[[task]]
id = "power"
what = "events"
object = "0-0:99.98.2*255"
period = "1h"
history = "2d"

[[task]]
id = "quality"
what = "events"
object = "0-0:99.98.7*255"
period = "1h"
optional = true

[[object]]
name = "0-0:99.98.2*255"
means = "events of the supply"

[[event]]
codes = [101]
logs = ["0-0:99.98.2*255"]
name = "power failure"
type = "3.26.0.47"
lane = "p0"
"#;

fn configuration(idis: &Emulated, own: &Emulated) -> (String, String) {
    let text = format!(
        "auth = \"lls\"\n[[electricity.channel]]\nname = \"lan\"\nlink = \"wrapper\"\ntimeout = \"2s\"\n\
         [[electricity.group]]\nname = \"town\"\ncompanion = \"own.toml\"\n\
         [[electricity.meter]]\nid = \"{}\"\nchannel = \"lan\"\ntcp = \"{}\"\ncompanion = \"idis\"\n\
         reads = [\"clock\", \"load-profile\", \"daily\", \"registers\"]\n\
         [[electricity.meter]]\nid = \"{}\"\nchannel = \"lan\"\ntcp = \"{}\"\ngroup = \"town\"\n\
         [[electricity.task]]\nid = \"idis.load-profile\"\nwhat = \"profile\"\nobject = \"1-0:99.1.0*255\"\n\
         period = \"15min\"\nhistory = \"2d\"\n",
        idis.id(),
        idis.address,
        own.id(),
        own.address
    );
    (text, keys_of(&idis.id()) + &keys_of(&own.id()))
}

#[test]
fn what_is_read_follows_from_the_companion_profile() {
    let [idis, own] = [Emulated::plain(51), Emulated::plain(52)];
    let code = "0-0:96.11.2*255".parse().unwrap();
    // A code that the program's own table calls something else, and one that this profile names.
    // One in the last hour that is asked for, at whatever minute this runs (in the first one of an hour it is the one
    // before): an empty one is asked for again before it counts as empty.
    let hour = now() - now() % 3_600;
    let log = EventLog { code, entries: vec![(hour - 7_300, 101), (hour - 3_660, 40), (hour - 60, 40)] };
    {
        let mut server = own.server.lock().unwrap();
        server.meter.insert("0-0:99.98.2*255".parse().unwrap(), Box::new(log));
        server.meter.insert(code, Box::new(Stored::data(Data::Unsigned(40).octets())));
        server.meter.world.clock.sign = DeviationSign::Inverted;
    }
    let (text, keys) = configuration(&idis, &own);
    let mut unit = Unit::new(&text, &keys);
    fs::write(unit.path("own.toml"), OWN).unwrap();
    unit.start();
    unit.until_complete("own.power", 1);
    // The user's own task of the same id stands in the place of the profile's, and is for all of his meters.
    unit.until_complete("idis.load-profile", 2);
    let tasks = Command::new(env!("CARGO_BIN_EXE_dcu"))
        .args(["task", "list", "--json", "--socket"])
        .arg(unit.path("control.sock"))
        .output()
        .unwrap();
    let tasks = String::from_utf8(tasks.stdout).unwrap();
    let ids: Vec<String> = tasks
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["idis.load-profile", "idis.daily", "idis.registers", "idis.clock", "own.power"]);
    let card = unit.ask(&["task", "show", "own.power"]);
    assert_eq!(card["objects"][0]["meaning"], "events of the supply", "{card:#}");
    let card = unit.ask(&["task", "show", "idis.daily"]);
    assert_eq!(card["objects"][0]["meaning"], "load profile with period 2", "{card:#}");
    unit.terminate();
    let mut told: Vec<_> = unit
        .events_of_meters()
        .into_iter()
        .filter(|(_, event)| event.log.to_string() == "0-0:99.98.2*255")
        .map(|(lane, event)| (lane, event.code, event.name, event.time.unwrap().utc.unwrap()))
        .collect();
    told.sort_by_key(|(_, code, ..)| *code);
    // Of the last hour too, but in the first minute of one.
    let codes: Vec<_> = told.iter().map(|(_, code, ..)| *code).collect();
    assert!(codes == [40, 101] || codes == [40, 40, 101], "{told:?}");
    let [(_, 40, unnamed, _), .., (Lane::Outage, 101, name, utc)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((unnamed.as_str(), name.as_str()), ("", "power failure"));
    assert_eq!(*utc, hour - 7_300, "the deviation is inverted");
    // The register's name in the stream is the meter's own.
    assert!(unit.readings().iter().any(|(lane, _)| *lane == Lane::LoadProfile));
}

#[test]
fn what_is_wrong_with_a_profile_is_told_with_its_line_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let check = |companion: &str| {
        let text = format!(
            "[unit]\nid = \"dcu-1\"\nstate_dir = \"state\"\n[electricity]\ncompanion = \"{companion}\"\n\
             reads = [\"everything\"]\n"
        );
        fs::write(path("dcu.toml"), text).unwrap();
        let output =
            Command::new(env!("CARGO_BIN_EXE_dcu")).args(["config", "check"]).arg(path("dcu.toml")).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    fs::write(path("own.toml"), OWN.replace("\"1h\"\nhistory", "\"7min\"\nhistory").replace("101", "-1")).unwrap();
    let (code, told) = check("own.toml");
    assert_eq!(code, Some(78));
    let own = "electricity.companion: own.toml:11: task[0].period: \"7min\" does not divide a day into equal parts; \
               own.toml:25: event[0].codes: not a list of numbers: mend it; `dcu config companion idis` prints one that \
               is good";
    assert!(told.contains(own), "{told}");
    assert!(check("nobody").1.contains("is no companion profile: dsmr, idis, india, italy, spain, or a file"));
    let wanted = "electricity.reads: \"everything\" is no task of idis: load-profile, daily, billing";
    assert!(check("idis").1.contains(wanted), "{}", check("idis").1);
    // What is printed is what is read.
    let printed = Command::new(env!("CARGO_BIN_EXE_dcu")).args(["config", "companion", "india"]).output().unwrap();
    fs::write(path("own.toml"), printed.stdout).unwrap();
    assert!(check("own.toml").1.contains("is no task of own: load-profile"), "{}", check("own.toml").1);
}

#[test]
fn the_technician_sees_names_and_asks_by_them() {
    let meter = Emulated::plain(53);
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("meter.toml");
    crate::support::service::secret(&keys, "password = \"12345678\"\n");
    let (address, keys) = (meter.address.to_string(), keys.to_str().unwrap().to_owned());
    let way = ["--wrapper", &address, "--client", "1", "--auth", "lls", "--keys", &keys, "--companion", "idis"];
    let rows = dcu(&[&["profile", "load-profile", "--entries", "1-2"], &way[..]].concat()).well();
    assert!(rows.out.starts_with("time "), "{}", rows.out);
    assert!(rows.out.contains("active energy import, total Wh"), "{}", rows.out);
    let line = &dcu(&[&["get", "3:1-0:1.8.1*255:2", "--json"], &way[..]].concat()).well().lines()[0];
    assert_eq!((&line["meaning"], &line["unit"]), (&"active energy import, tariff".into(), &"Wh".into()));
    let told = dcu(&[&["profile", "relay"], &way[..]].concat());
    let advice = "dcu: relay reads no profile; these do: load-profile, daily, billing, ";
    assert!(told.code == Some(2) && told.told.starts_with(advice), "{}", told.told);
}
