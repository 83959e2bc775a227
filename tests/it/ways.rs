//! One gas meter behind an electricity meter and heard over the air: both are kept, and told apart.

use dcu::reading::{MeterId, Path, Reading, Standing};
use dcu::simulate::receiver::{EmulatedReceiver, Options};
use dcu::store::{Body, Lane};
use dlms::sim::{Model, Port};
use tokio::time::timeout;
use wmbus::record::{DataField, Draft, Value as Datum};
use wmbus::sim::{EmulatorKind, Message, Outcome};
use wmbus::{Address, Form};

use crate::behind::{GAS, GAS_ID};
use crate::electricity::{Emulated, Unit, configure};
use crate::support::service::LIMIT;

const TASKS: &str = "[[electricity.task]]\nid = \"gas\"\nwhat = \"profile\"\nobject = \"0-1:24.3.0*255\"\nperiod = \"1h\"\n\
                     history = \"6h\"\n[[electricity.task]]\nid = \"now\"\nwhat = \"registers\"\nperiod = \"1d\"\n\
                     objects = [\"4:0-1:24.2.1*255\"]\n";

fn telegram(litres: i64) -> Vec<u8> {
    let address = Address {
        manufacturer: GAS.manufacturer_id,
        identification: GAS.identification_number,
        version: GAS.version,
        device_type: GAS.device_type,
    };
    let records = [Draft::new(DataField::Integer32, &[0x13], Datum::Integer(litres))];
    Message::new(address, litres as u8, &records).emit(Form::Stripped).unwrap()
}

/// Readings of the gas meter that came over the air, from its profile, and on demand, where `preferred` says which count.
async fn run(preferred: &str, serial: u32) -> [Vec<Reading>; 3] {
    let model = Model { gas: Some(GAS), ..Model::electricity(serial).unwrap() };
    let [meter, next] = [Emulated::of(model, Port::wrapper(1), true), Emulated::ciphered(serial + 1)];
    let (text, keys) = configure(&[&meter, &next], TASKS);
    let mut unit = Unit::new(&text, &keys);
    let link = unit.path("stick");
    let kind = EmulatorKind::named("im871a").unwrap();
    let module = EmulatedReceiver::open(Options { kind, link: Some(link.clone()), ..Options::default() }).unwrap();
    let more = format!(
        "[[wmbus]]\nname = \"roof\"\nkind = \"im871a\"\nport = {link:?}\n[meters]\npolicy = \"all\"\n\
         [[meters.group]]\nname = \"gas\"\nmedium = \"gas\"\npreferred_source = {preferred:?}\n"
    );
    let file = unit.path("dcu.toml");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &more).unwrap();
    unit.start();
    timeout(LIMIT, module.listening()).await.expect("the module is set up");
    let is_read = |card: &serde_json::Value| card["behind"]["last_ms"].is_i64();
    // It was never heard: by its full name, and by what is on its face.
    let card = unit.until(&["meter", "show", GAS_ID], is_read);
    assert_eq!(card["behind"]["electricity_meter"], meter.id().as_str());
    assert_eq!((card["behind"]["channel"].as_u64(), card["behind"]["used_source"].as_str()), (Some(1), Some("behind")));
    assert_eq!((card["medium"].as_str(), card["heard"].as_array().map(Vec::len)), (Some("gas"), Some(0)));
    assert_eq!(unit.ask(&["meter", "show", "70012345"])["id"], GAS_ID);
    assert_eq!(unit.ask(&["meter", "command", GAS_ID, "close-valve"]), serde_json::Value::Null, "it was never heard");
    unit.until(&["task", "show", "gas"], |task| task["each"][0]["missing"] == 0 || task["each"][1]["missing"] == 0);
    // Who is behind whom is known after a kill, before the meter is read again.
    unit.kill();
    unit.start();
    timeout(LIMIT, module.listening()).await.expect("the module is set up again");
    unit.until(&["meter", "show", GAS_ID], is_read);
    for litres in [41_000, 41_001] {
        assert_eq!(module.send(telegram(litres), -70).await, Outcome::Intact);
    }
    let is_heard = |card: &serde_json::Value| card["heard"][0]["telegrams"] == 2;
    let card = unit.until(&["meter", "show", GAS_ID], is_heard);
    assert_eq!(card["heard"][0]["receiver"], "roof");
    assert_eq!(card["behind"]["electricity_meter"], meter.id().as_str(), "both ways are shown");
    assert_eq!(
        (&card["behind"]["preferred_source"], &card["behind"]["used_source"]),
        (&preferred.into(), &preferred.into())
    );
    assert_eq!(unit.ask(&["meter", "replace", &meter.id(), &next.id()])["id"], meter.id().as_str());
    unit.until(&["meter", "show", &meter.id()], |card| card["electricity"]["state"] == "replaced");
    let card = unit.ask(&["meter", "show", GAS_ID]);
    assert!(card["behind"].is_null() && is_heard(&card), "it is behind nobody any more: {card}");
    unit.terminate();
    let own = MeterId::SystemTitle(meter.model.system_title().0);
    [(Lane::MBus, Path::Direct), (Lane::LoadProfile, Path::Behind(own)), (Lane::OnDemand, Path::Behind(own))].map(
        |(lane, path)| {
            let records = unit.records(&[lane]).into_iter();
            let readings = records.filter_map(|record| match record.body {
                Body::Reading(reading) if reading.source.path == path => Some(reading),
                _ => None,
            });
            let readings: Vec<_> = readings.collect();
            assert!(readings.iter().all(|reading| reading.source.meter.to_string() == GAS_ID));
            readings
        },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gas_meter_on_two_ways_is_kept_on_both_and_the_preferred_one_is_told() {
    let standings = |readings: &[Reading]| readings.iter().map(|reading| reading.source.standing).collect::<Vec<_>>();
    let [air, profile, demanded] = run("behind", 85).await;
    assert_eq!(standings(&air), [Standing::Secondary; 2]);
    assert_eq!(air[0].value.to_string(), "41.000");
    assert!(profile.len() >= 6 && standings(&profile).iter().all(|it| *it == Standing::Sole), "nothing was heard yet");
    assert_eq!(standings(&demanded), [Standing::Preferred], "{demanded:?}");
    let [air, profile, demanded] = run("air", 87).await;
    assert_eq!(standings(&air), [Standing::Preferred; 2]);
    assert!(profile.len() >= 6);
    assert_eq!(standings(&demanded), [Standing::Secondary]);
}
