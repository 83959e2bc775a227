//! The service reads emulated electricity meters: nothing is lost, nothing told twice, whatever meters and unit do.

use std::collections::BTreeMap;
use std::fs;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dcu::reading::{Event, EventKind, MeterEvent, MeterId, Origin, Reading, TimeQuality};
use dcu::store::{Body, Lane, Limit, OpenError, Options, Record, Store};
use dcu::task::mqtt::Settings;
use dcu::wire;
use dcu::wire::v1;
use dlms::Data;
use dlms::apdu::{Attribute, CaptureObject};
use dlms::client::Authentication;
use dlms::link::hdlc::{Address, Parameters};
use dlms::security::{AuthenticationKey, Ciphering, EncryptionKey, Secret, SystemTitle};
use dlms::sim::object::{EventLog, Stored};
use dlms::sim::{Access, Faults, Model, Port, Quirks, Server};
use dlms::spec::DataAccessResult;
use dlms::time::DeviationSign;
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::mosquitto::Mosquitto;
use crate::support::service::{self, LIMIT, secret};

/// An emulated meter behind a socket of its own.
pub(crate) struct Emulated {
    pub(crate) model: Model,
    pub(crate) address: SocketAddr,
    is_ciphered: bool,
    pub(crate) server: Arc<Mutex<Server>>,
}

pub(crate) const UNIT: [u8; 8] = *b"DCU\0\0\0\0\x01";
pub(crate) const GLOBAL: [u8; 16] = *b"0123456789abcdef";
pub(crate) const AUTHENTICATION: [u8; 16] = *b"fedcba9876543210";

pub(crate) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

impl Emulated {
    /// Over the wrapper, with HLS by GMAC and ciphering.
    pub(crate) fn ciphered(serial: u32) -> Self {
        Self::of(Model::electricity(serial).unwrap(), Port::wrapper(1), true)
    }

    /// Over HDLC, as one of several devices on a line.
    fn on_line(serial: u32, is_ciphered: bool) -> Self {
        let address = Address::server(1, Some(16 + serial as u16)).unwrap();
        Self::of(Model::electricity(serial).unwrap(), Port::hdlc(address, Parameters::default()), is_ciphered)
    }

    /// Over the wrapper, with a password.
    pub(crate) fn plain(serial: u32) -> Self {
        Self::of(Model::electricity(serial).unwrap(), Port::wrapper(1), false)
    }

    pub(crate) fn of(model: Model, port: Port, is_ciphered: bool) -> Self {
        let server = Arc::new(Mutex::new(server(&model, port, is_ciphered)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&server);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &[&shared]);
            }
        });
        Self { model, address, is_ciphered, server }
    }

    pub(crate) fn id(&self) -> String {
        MeterId::SystemTitle(self.model.system_title().0).to_string()
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.server.lock().unwrap().faults);
    }
}

/// A meter that knows the unit: with HLS by GMAC and ciphering, or with a password.
pub(crate) fn server(model: &Model, port: Port, is_ciphered: bool) -> Server {
    let access = match is_ciphered {
        false => Access::management(1, Authentication::Lls(Secret::new(b"12345678"))),
        true => {
            let ciphering = Ciphering {
                suite: model.suite,
                own_title: model.system_title(),
                peer_title: Some(SystemTitle(UNIT)),
                global: EncryptionKey::new(&GLOBAL).unwrap(),
                broadcast: None,
                dedicated: None,
                authentication: AuthenticationKey::new(&AUTHENTICATION).unwrap(),
            };
            let access = Access::management(1, Authentication::Gmac);
            Access { ciphering: Some(ciphering), is_protected: true, ..access }
        }
    };
    Server::new(model.build(), port, vec![access, Access::public()], unix_now(), u64::from(model.serial))
}

/// What the unit's file of keys says of a meter.
pub(crate) fn keys_of(id: &str) -> String {
    format!(
        "[{id}]\npassword = \"12345678\"\nencryption_key = \"{}\"\nauthentication_key = \"{}\"\n",
        hex::encode(GLOBAL),
        hex::encode(AUTHENTICATION)
    )
}

/// One connection to meters that all hear it, until the other side ends it.
fn serve(mut stream: impl std::io::Read + std::io::Write, servers: &[&Mutex<Server>]) {
    servers.iter().for_each(|server| server.lock().unwrap().reconnect());
    let mut buf = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buf) {
        for server in servers {
            let mut server = server.lock().unwrap();
            server.handle_bytes(&buf[..read], Instant::now());
            while let Some(due) = server.poll_timeout() {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                server.handle_timeout(Instant::now());
            }
            while let Some(octets) = server.poll_transmit() {
                let _ = stream.write_all(&octets);
            }
        }
    }
}

/// A serial line with these meters on it; its path.
fn serial_line(meters: &[&Emulated]) -> PathBuf {
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut settings = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
    nix::sys::termios::cfmakeraw(&mut settings);
    nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &settings).unwrap();
    let path = nix::unistd::ttyname(&pty.slave).unwrap();
    let servers: Vec<_> = meters.iter().map(|meter| Arc::clone(&meter.server)).collect();
    std::thread::spawn(move || {
        // Held open, so that the line outlives who opens and closes it.
        let _slave = pty.slave;
        let servers: Vec<&Mutex<Server>> = servers.iter().map(|server| &**server).collect();
        serve(std::fs::File::from(pty.master), &servers);
    });
    path
}

pub(crate) fn is_complete(status: &Value) -> bool {
    let all = &status["electricity"]["all"];
    all["expected"].as_u64() > Some(0) && all["expected"] == all["settled"]
}

/// A unit that reads such meters, and forwards nothing.
pub(crate) struct Unit {
    dir: TempDir,
    child: Option<Child>,
}

impl Unit {
    pub(crate) fn new(electricity: &str, keys: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        secret(&dir.path().join("keys.toml"), keys);
        let text = format!(
            "[unit]\nid = \"dcu-1\"\nstate_dir = \"state\"\n[store]\ncommit_window = \"200ms\"\nseal_age = \"1s\"\n\
             [time]\nsource = \"trusted\"\n[control]\nsocket = \"control.sock\"\n\
             [electricity]\nkeys = \"keys.toml\"\nsystem_title = \"{}\"\nretries = 1\n{electricity}",
            hex::encode(UNIT)
        );
        fs::write(dir.path().join("dcu.toml"), text).unwrap();
        Self { dir, child: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
        command.args(["run", "--config"]).arg(self.path("dcu.toml")).stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.stderr(log).spawn().unwrap());
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn terminate(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_dcu"))
            .args(words)
            .args(["--json", "--socket"])
            .arg(self.path("control.sock"))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn until(&self, words: &[&str], is_wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let said = self.ask(words);
            if is_wanted(&said) {
                return said;
            }
            assert!(begin.elapsed() < LIMIT, "not in time: {said:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Every meter of the task has everything.
    #[track_caller]
    pub(crate) fn until_complete(&self, task: &str, meters: usize) -> Value {
        self.until(&["task", "show", task], |card| {
            let each = card["each"].as_array().map_or(&[][..], Vec::as_slice);
            each.len() == meters && each.iter().all(|meter| meter["missing"] == 0 && meter["state"] == "active")
        })
    }

    /// All readings that are durable, after the end of the service.
    pub(crate) fn readings(&self) -> Vec<(Lane, Reading)> {
        let records = self.records(&[Lane::LoadProfile, Lane::Billing, Lane::Information]).into_iter();
        let reading = |record: Record| match record.body {
            Body::Reading(reading) => Some((record.lane, reading)),
            _ => None,
        };
        records.filter_map(reading).collect()
    }

    /// What was read because somebody wanted it.
    pub(crate) fn demanded(&self) -> Vec<Reading> {
        let reading = |record: Record| match record.body {
            Body::Reading(reading) => Some(reading),
            _ => None,
        };
        self.records(&[Lane::OnDemand]).into_iter().filter_map(reading).collect()
    }

    /// What was told of meters: who, code and detail.
    pub(crate) fn events(&self) -> Vec<(String, String, String)> {
        let event = |record: Record| match record.body {
            Body::Event(Event { meter: Some(meter), kind: EventKind::Unit { code, detail }, .. }) => {
                Some((meter.to_string(), code, detail))
            }
            _ => None,
        };
        self.records(&[Lane::Security]).into_iter().filter_map(event).collect()
    }

    /// What meters' logs say, and what meters pushed.
    pub(crate) fn events_of_meters(&self) -> Vec<(Lane, MeterEvent)> {
        let lanes = [Lane::Outage, Lane::Security, Lane::PowerQuality, Lane::Information];
        let event = |record: Record| match record.body {
            Body::Event(Event { meter: Some(_), kind: EventKind::Meter(event), .. }) => Some((record.lane, event)),
            _ => None,
        };
        self.records(&lanes).into_iter().filter_map(event).collect()
    }

    pub(crate) fn records(&self, lanes: &[Lane]) -> Vec<Record> {
        records(&self.path("state"), lanes)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// All that is durable in these lanes, after the end of the service that has its state there.
pub(crate) fn records(state: &Path, lanes: &[Lane]) -> Vec<Record> {
    let begin = Instant::now();
    let ahead = Arc::new(AtomicU64::new(0));
    let clock = {
        let ahead = Arc::clone(&ahead);
        move || dcu::clock::Now {
            mono: begin + Duration::from_secs(ahead.load(Ordering::Relaxed)),
            boot_id: [1; 16],
            boot_ms: 1,
            utc_ms: unix_now() * 1000,
            quality: TimeQuality::Synchronised,
        }
    };
    let options = Options::new(state.join("store"), "dcu-1");
    let open = || Store::open(options.clone(), wire::CODEC, Arc::new(clock.clone()), Box::new(|| 7), Box::new(|_| {}));
    // A child that another test has just forked holds all locks of this process until it is another program.
    let is_held =
        |opened: &Result<_, OpenError>| matches!(opened, Err(OpenError::InUse { .. })) && begin.elapsed() < LIMIT;
    let mut opened = open();
    while is_held(&opened) {
        std::thread::sleep(Duration::from_millis(20));
        opened = open();
    }
    let (store, _) = opened.unwrap();
    // An hour passes for the store, so that everything is sealed.
    ahead.store(3_600, Ordering::Relaxed);
    let (done, committed) = std::sync::mpsc::channel();
    store.commit(Some(Box::new(move |result| done.send(result.is_ok()).unwrap()))).unwrap();
    assert!(committed.recv_timeout(LIMIT).unwrap());
    let mut all = Vec::new();
    for lane in lanes {
        let lane = *lane;
        let mut after = 0;
        loop {
            let batches =
                store.batches_after(store.epoch(), lane, after, Limit { batches: 100, octets: 1 << 20 }).unwrap();
            let Some(last) = batches.last() else { break };
            after = last.last();
            for batch in &batches {
                all.extend(wire::open_batch(&batch.octets).unwrap().1);
            }
        }
    }
    store.close().unwrap();
    all
}

/// The configuration of these meters, each at its own address, and their keys.
pub(crate) fn configure(meters: &[&Emulated], tasks: &str) -> (String, String) {
    let channel = "[[electricity.channel]]\nname = \"lan\"\nlink = \"wrapper\"\ntimeout = \"2s\"\n";
    let (text, keys) = configured(meters, |meter| format!("tcp = \"{}\"\n", meter.address));
    (format!("{channel}{text}{tasks}"), keys)
}

/// Meters of a channel `lan`, with more lines for each of them, and their keys.
fn configured(meters: &[&Emulated], more: impl Fn(&Emulated) -> String) -> (String, String) {
    let (mut text, mut keys) = (String::new(), String::new());
    for meter in meters {
        let (id, more) = (meter.id(), more(meter));
        text += &format!("[[electricity.meter]]\nid = \"{id}\"\nchannel = \"lan\"\n{more}");
        text += match meter.is_ciphered {
            true => "auth = \"gmac\"\nsecurity = \"authenticated-encrypted\"\n",
            false => "auth = \"lls\"\n",
        };
        keys += &keys_of(&id);
    }
    (text, keys)
}

const PROFILE: &str = "[[electricity.task]]\nid = \"profile\"\nwhat = \"profile\"\nobject = \"1-0:99.1.0*255\"\n\
                       period = \"15min\"\nhistory = \"2d\"\nat_once = 8\n";

/// Each slot of each register once, with the value that the meter's curve has there.
#[track_caller]
pub(crate) fn check_profile(readings: &[(Lane, Reading)], meters: &[&Emulated], least: usize) {
    let mut slots: BTreeMap<(String, String, i64), usize> = BTreeMap::new();
    for (lane, reading) in readings.iter().filter(|(lane, _)| *lane == Lane::LoadProfile) {
        let id = reading.source.meter.to_string();
        let model = &meters.iter().find(|meter| meter.id() == id).unwrap().model;
        let obis = reading.register.obis.unwrap();
        let interval = reading.interval.unwrap();
        assert_eq!((interval.length_s, *lane), (900, Lane::LoadProfile));
        let expected = model.curve(dlms::Obis(obis.0)).at(interval.end_utc);
        assert_eq!(reading.value.to_string(), expected.to_string(), "{obis} {}", interval.end_utc);
        assert_eq!(reading.source.meter_time.unwrap().utc, Some(interval.end_utc));
        *slots.entry((id, obis.to_string(), interval.end_utc)).or_default() += 1;
    }
    assert!(slots.values().all(|count| *count == 1), "told twice: {slots:?}");
    for meter in meters {
        let ends: Vec<i64> = slots
            .keys()
            .filter(|(id, obis, _)| *id == meter.id() && obis == "1-0:1.8.0*255")
            .map(|key| key.2)
            .collect();
        assert!(ends.len() >= least, "{} of {least}", ends.len());
        assert!(ends.windows(2).all(|pair| pair[1] - pair[0] == 900), "a gap: {ends:?}");
    }
}

#[test]
fn load_profiles_are_read_and_a_kill_neither_loses_nor_doubles() {
    let meters: Vec<Emulated> = (1..=3).map(Emulated::ciphered).collect();
    let meters: Vec<&Emulated> = meters.iter().collect();
    let (text, keys) = configure(&meters, PROFILE);
    let mut unit = Unit::new(&text, &keys);
    // Slow enough that a kill comes in the middle.
    meters.iter().for_each(|meter| meter.faults(|faults| faults.delay = Duration::from_millis(5)));
    let mut before = 0;
    for _ in 0..6 {
        unit.start();
        let more = |status: &Value| status["electricity"]["all"]["settled"].as_u64() > Some(before);
        let status = unit.until(&["status"], |status| more(status) || is_complete(status));
        unit.kill();
        before = status["electricity"]["all"]["settled"].as_u64().unwrap();
    }
    unit.start();
    unit.until_complete("profile", 3);
    unit.kill();
    unit.start();
    unit.until_complete("profile", 3);
    unit.terminate();
    check_profile(&unit.readings(), &meters, 192);
}

/// The meter's line on the card of a task.
fn line<'a>(card: &'a Value, meter: &Emulated) -> &'a Value {
    let each = card["each"].as_array().unwrap();
    each.iter().find(|line| line["id"] == meter.id().as_str()).unwrap()
}

#[test]
fn meters_that_refuse_or_say_nothing_do_not_keep_others_waiting() {
    let [good, wrong, silent, gone] =
        [Emulated::plain(1), Emulated::ciphered(2), Emulated::ciphered(3), Emulated::plain(4)];
    silent.faults(|faults| faults.lose_answer = 1_000);
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (text, keys) = configure(&[&good, &wrong, &silent, &gone], PROFILE);
    let text = text.replace(&gone.address.to_string(), &nobody.to_string());
    // Only the key of one meter is another one.
    let (before, after) = keys.split_once(&wrong.id()).unwrap();
    let keys = format!("{before}{}{}", wrong.id(), after.replacen(&hex::encode(GLOBAL), &"07".repeat(16), 1));
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    let card = unit.until(&["task", "show", "profile"], |card| {
        card["each"].as_array().is_some_and(|each| each.len() == 4)
            && line(card, &good)["missing"] == 0
            && [&wrong, &silent, &gone].iter().all(|meter| line(card, meter)["detail"].is_string())
    });
    assert_eq!(line(&card, &good)["state"], "active");
    let detail = |meter| line(&card, meter)["detail"].as_str().unwrap().to_owned();
    assert!(detail(&wrong).starts_with("associate: "), "{card:#}");
    assert_eq!(detail(&silent), "associate: no answer in time");
    assert!(detail(&gone).starts_with(&format!("connect to {nobody}: ")), "{card:#}");
    let status = unit.ask(&["status"]);
    let collection = &status["electricity"];
    assert_eq!((&collection["meters"], &collection["refusing"]), (&Value::from(4), &Value::from(1)), "{status:#}");
    // Who refuses from the start was never read, and is none of those that are reachable.
    assert_eq!((&line(&card, &wrong)["state"], &collection["active"]), (&"new".into(), &Value::from(1)), "{status:#}");
    assert_eq!(collection["reachable"]["expected"], collection["reachable"]["settled"], "{status:#}");
    let refusal = collection["refusal"].as_str().unwrap();
    assert!(refusal.starts_with(&format!("{}: associate: ", wrong.id())), "{status:#}");
    let shown = unit.ask(&["meter", "show", &wrong.id()]);
    assert_eq!(shown["electricity"]["detail"], line(&card, &wrong)["detail"], "{shown:#}");
    unit.terminate();
    assert!(!unit.log().contains(&"07".repeat(16)));
    check_profile(&unit.readings(), &[&good], 192);
}

#[test]
fn who_was_told_to_be_unreachable_before_a_restart_and_a_kill_is_told_to_be_back_once() {
    let meter = Emulated::plain(9);
    let (text, keys) = configure(&[&meter], PROFILE);
    let mut unit = Unit::new(&text, &keys);
    // Slow enough that it falls silent in the middle.
    meter.faults(|faults| faults.delay = Duration::from_millis(20));
    unit.start();
    unit.until(&["status"], |status| status["electricity"]["all"]["settled"].as_u64() > Some(0));
    meter.faults(|faults| (faults.lose_answer, faults.delay) = (1_000, Duration::ZERO));
    let id = meter.id();
    // It was asked in this life, and is what it is called in all of them.
    let until_unreachable = |unit: &Unit| {
        unit.until(&["meter", "show", &id], |card| {
            let electricity = &card["electricity"];
            electricity["detail"].is_string() && electricity["state"] == "unreachable"
        })
    };
    until_unreachable(&unit);
    unit.terminate();
    // Two lives in which it is asked in vain, less often than it takes to be called so.
    for _ in 0..2 {
        unit.start();
        until_unreachable(&unit);
        unit.kill();
    }
    meter.faults(|faults| faults.lose_answer = 0);
    unit.start();
    unit.until_complete("profile", 1);
    unit.terminate();
    let told: Vec<String> = unit.events().into_iter().map(|(_, code, _)| code).collect();
    assert_eq!(told, ["electricity.unreachable", "electricity.back"], "{}", unit.log());
}

/// Two days of their profiles are read.
#[track_caller]
fn check_collected(meters: &[Emulated]) {
    let meters: Vec<&Emulated> = meters.iter().collect();
    let (text, keys) = configure(&meters, PROFILE);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until_complete("profile", meters.len());
    unit.terminate();
    check_profile(&unit.readings(), &meters, 192);
}

#[test]
fn profiles_of_meters_that_do_not_select_are_read_whole() {
    let meters = [Emulated::plain(1), Emulated::plain(2), Emulated::ciphered(3)];
    let refusals = [DataAccessResult::OtherReason, DataAccessResult::ObjectUndefined, DataAccessResult::TypeUnmatched];
    for (meter, reason) in meters.iter().zip(refusals) {
        meter.faults(|faults| faults.no_selection = Some(reason));
    }
    check_collected(&meters);
}

#[test]
fn meters_without_room_for_many_rows_or_with_typed_ranges_are_read_in_parts() {
    let meters = [Emulated::plain(1), Emulated::plain(2), Emulated::ciphered(3)];
    meters[0].faults(|faults| faults.typed_ranges = true);
    meters[1].faults(|faults| (faults.no_blocks, faults.mute_release) = (Some(700), true));
    meters[2].faults(|faults| (faults.no_blocks, faults.typed_ranges) = (Some(300), true));
    check_collected(&meters);
}

#[test]
fn meters_on_a_serial_line_and_behind_hdlc_over_tcp_are_read() {
    let meters = [Emulated::on_line(1, true), Emulated::on_line(2, false)];
    let meters: Vec<&Emulated> = meters.iter().collect();
    // It takes no shorter address, and long values go in general blocks.
    let wide = Port::hdlc(Address::wide(1, Some(19)).unwrap(), Parameters::default());
    let over_tcp = Emulated::of(Model::electricity(3).unwrap(), wide, true);
    let port = serial_line(&meters);
    let (text, keys) = configured(&meters, |meter| format!("physical = {}\n", 16 + meter.model.serial));
    let (other, more_keys) = configured(&[&over_tcp], |meter| {
        format!("physical = 19\nwide_address = true\ngeneral_blocks = true\ntcp = \"{}\"\n", meter.address)
    });
    let text = format!(
        "[[electricity.channel]]\nname = \"lan\"\nlink = \"hdlc\"\nport = {port:?}\nbaud = 115200\n\
         [[electricity.channel]]\nname = \"tcp\"\nlink = \"hdlc\"\n{text}{}{PROFILE}",
        other.replace("\"lan\"", "\"tcp\"")
    );
    let mut unit = Unit::new(&text, &(keys + &more_keys));
    unit.start();
    unit.until_complete("profile", 3);
    unit.terminate();
    check_profile(&unit.readings(), &[meters[0], meters[1], &over_tcp], 192);
}

/// A model with an hourly profile that is more than a year old.
fn hourly(serial: u32) -> Model {
    let begin = (unix_now() / 86_400 - 400) * 86_400;
    Model { period: 3_600, begin, ..Model::electricity(serial).unwrap() }
}

#[test]
fn a_year_of_hours_is_whole_over_both_change_overs_and_every_quirk() {
    let plain = |model| Emulated::of(model, Port::wrapper(1), false);
    let standard = plain(hourly(1));
    let inverted = plain(hourly(2));
    inverted.server.lock().unwrap().meter.world.clock.sign = DeviationSign::Inverted;
    let hour = unix_now() / 3_600 * 3_600;
    // Over a change-over if need be, and with an end in the middle of an hour.
    let outages = vec![hour - 40 * 86_400..hour - 20 * 86_400 - 1_000, hour - 7_200 - 100..hour - 3_600 - 700];
    let quirks = Quirks {
        null_clock: true,
        null_values: true,
        outages: outages.clone(),
        short_each: 7,
        long_each: 11,
        late_seconds: 1,
    };
    let quirky = plain(Model { quirks, ..hourly(3) });
    let meters = [&standard, &inverted, &quirky];
    let task = "[[electricity.task]]\nid = \"profile\"\nwhat = \"profile\"\nobject = \"1-0:99.1.0*255\"\n\
                period = \"1h\"\nhistory = \"366d\"\nback = \"366d\"\nat_once = 500\n";
    let (text, keys) = configure(&meters, task);
    let id = inverted.id();
    let text = text.replace(&format!("id = \"{id}\"\n"), &format!("id = \"{id}\"\ndeviation = \"inverted\"\n"));
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    let card = unit.until_complete("profile", 3);
    unit.terminate();
    let absent = line(&card, &quirky)["absent"].as_u64().unwrap();
    let readings = unit.readings();
    for meter in meters {
        let own = |reading: &&Reading| reading.source.meter.to_string() == meter.id();
        let import = |reading: &&Reading| reading.register.obis.unwrap().to_string() == "1-0:1.8.0*255";
        let own: Vec<&Reading> = readings.iter().map(|(_, reading)| reading).filter(own).collect();
        let mut ends: Vec<i64> = Vec::new();
        for reading in own.iter().filter(|reading| import(reading)) {
            let Some(interval) = reading.interval else {
                // The row at the end of an outage stands at the moment itself.
                let stamp = reading.source.meter_time.unwrap().utc.unwrap();
                assert!(outages.iter().any(|outage| outage.end.abs_diff(stamp) <= 1), "{stamp} {outages:?}");
                continue;
            };
            let expected = meter.model.curve(dlms::Obis(reading.register.obis.unwrap().0)).at(interval.end_utc);
            assert_eq!(reading.value.to_string(), expected.to_string(), "{}", interval.end_utc);
            ends.push(interval.end_utc);
        }
        ends.sort_unstable();
        let is_out = |end: &i64| meter.model.serial == 3 && outages.iter().any(|outage| outage.contains(end));
        let last = *ends.last().unwrap();
        let expected: Vec<i64> =
            (0..366 * 24).map(|n| last - (366 * 24 - 1 - n) * 3_600).filter(|end| !is_out(end)).collect();
        assert!(last >= hour - 3_600 && ends == expected, "{}: {} of {}", meter.id(), ends.len(), expected.len());
    }
    let hours_out: u64 = outages.iter().map(|outage| (outage.end / 3_600 - (outage.start - 1) / 3_600) as u64).sum();
    // The last hours may still come, as far as the unit knows.
    assert!(absent <= hours_out && absent + 2 >= hours_out, "{absent} of {hours_out}");
}

#[test]
fn event_logs_are_told_by_the_table_of_events() {
    let [usual, other] = [Emulated::ciphered(6), Emulated::plain(7)];
    let begin = unix_now() - 5 * 3_600;
    for meter in [&usual, &other] {
        let entries = vec![(begin - 86_400, 8), (begin, 1), (begin + 700, 2), (begin + 710, 40), (begin + 720, 77)];
        let entries = entries.into_iter().chain([(begin + 730, 48), (begin + 730, 200)]).collect();
        let log = EventLog { code: dlms::Obis::new(0, 0, 96, 11, 0, 255), entries };
        meter.server.lock().unwrap().meter.insert(dlms::Obis::new(0, 0, 99, 98, 0, 255), Box::new(log));
    }
    let tasks = "[[electricity.task]]\nid = \"log\"\nwhat = \"events\"\nobject = \"0-0:99.98.0*255\"\n\
                 period = \"1h\"\nhistory = \"12h\"\n";
    let (text, keys) = configure(&[&usual, &other], tasks);
    let mut unit = Unit::new(&format!("events = \"own.toml\"\n{text}"), &keys);
    let said = Command::new(env!("CARGO_BIN_EXE_dcu")).args(["config", "check"]).arg(unit.path("dcu.toml")).output();
    let said = said.unwrap();
    let said = [said.stdout, said.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("electricity.events: \"own.toml\" does not exist"));
    let own = "[[event]]\ncodes = [48]\nname = \"keys changed\"\ntype = \"3.12.32.24\"\nlane = \"p1\"\n";
    fs::write(unit.path("own.toml"), own).unwrap();
    unit.start();
    // The last hour may still get an entry, as far as the unit knows.
    unit.until(&["task", "show", "log"], |card| {
        let each = card["each"].as_array().map_or(&[][..], Vec::as_slice);
        each.len() == 2 && each.iter().all(|meter| meter["missing"].as_u64() <= Some(1) && meter["state"] == "active")
    });
    unit.terminate();
    let told = unit.events_of_meters();
    // The table of this unit has one code only; all of them are told, each twice, for there are two meters.
    assert_eq!(told.len(), 12, "{told:?}");
    for code in [1, 2, 40, 77, 48, 200] {
        let found: Vec<_> = told.iter().filter(|(_, event)| event.code == code).collect();
        let expected =
            if code == 48 { (Lane::Security, Some("3.12.32.24".parse().unwrap())) } else { (Lane::Information, None) };
        assert!(found.iter().all(|(lane, event)| (*lane, event.event_type) == expected), "{found:?}");
        let (_, event) = found[0];
        assert_eq!((found.len(), event.log.to_string().as_str(), event.is_pushed), (2, "0-0:99.98.0*255", false));
        assert!(event.time.unwrap().utc.unwrap() - begin <= 730);
    }
    assert!(unit.readings().is_empty(), "an event is no reading");
}

#[test]
fn registers_clocks_logs_days_and_months_have_their_lanes() {
    let meter = Emulated::ciphered(5);
    meter.server.lock().unwrap().meter.world.clock.misset(42_000, unix_now() * 1_000);
    let tasks = "[[electricity.task]]\nid = \"registers\"\nwhat = \"registers\"\nperiod = \"1h\"\nhistory = \"1h\"\n\
                 objects = [\"1-0:1.8.0*255\", \"4:1-0:1.6.0*255\", \"5:1-0:1.4.0*255\", \"1-0:99.99.0*255\"]\n\
                 [[electricity.task]]\nid = \"clock\"\nwhat = \"clock\"\nperiod = \"1h\"\nhistory = \"1h\"\n\
                 [[electricity.task]]\nid = \"log\"\nwhat = \"events\"\nobject = \"1-0:99.1.0*255\"\n\
                 period = \"1h\"\nhistory = \"6h\"\n\
                 [[electricity.task]]\nid = \"days\"\nwhat = \"profile\"\nobject = \"1-0:99.2.0*255\"\n\
                 period = \"1d\"\nhistory = \"10d\"\n\
                 [[electricity.task]]\nid = \"months\"\nwhat = \"profile\"\nobject = \"0-0:98.1.0*255\"\n\
                 period = \"month\"\nhistory = \"62d\"\n";
    let (text, keys) = configure(&[&meter], tasks);
    let text = format!("clock = \"CET-1CEST,M3.5.0,M10.5.0/3\"\n{text}");
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    for task in ["registers", "clock", "log", "days", "months"] {
        unit.until_complete(task, 1);
    }
    let card = unit.ask(&["task", "show", "registers"]);
    let ahead = line(&card, &meter)["clock_ahead_ms"].as_i64().unwrap();
    assert!((40_000..=44_000).contains(&ahead), "{ahead}");
    unit.terminate();
    let readings = unit.readings();
    let of = |lane: Lane, origin: Origin| {
        readings.iter().filter(move |(found, reading)| *found == lane && reading.source.origin == origin)
    };
    let units: Vec<_> =
        of(Lane::LoadProfile, Origin::Snapshot).map(|(_, reading)| reading.register.unit.to_string()).collect();
    // An hour may begin meanwhile: then all is read once more.
    assert!(units.chunks(3).all(|units| units == ["Wh", "W", "W"]), "the fourth is not there, which keeps no other");
    let clocks: Vec<_> = of(Lane::Information, Origin::Snapshot).collect();
    let [(_, clock), ..] = clocks.as_slice() else { panic!("no clock") };
    let told = clock.source.meter_time.unwrap().utc.unwrap() * 1_000 - clock.source.received.utc_ms;
    assert!((39_000..=44_000).contains(&told), "{told}");
    let log = of(Lane::Information, Origin::Profile).filter(|(_, reading)| reading.interval.is_none()).count();
    assert!(log >= 2 * 6 * 4 && log % 8 == 0, "two registers, six hours, four rows an hour: {log}");
    let days = of(Lane::LoadProfile, Origin::Profile).map(|(_, reading)| reading.interval.unwrap());
    let days: Vec<_> = days.map(|interval| interval.length_s).collect();
    assert!(days.len() >= 10 * 6 && days.len() % 6 == 0);
    assert!(days.iter().all(|length| [82_800, 86_400, 90_000].contains(length)), "{days:?}");
    let months = of(Lane::Billing, Origin::Billing).count();
    assert!(months >= 2 * 6 && months % 6 == 0, "{months}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_end_is_told_how_complete_each_day_is() {
    let Some(broker) = Mosquitto::start() else { return };
    let meter = Emulated::plain(9);
    let (text, keys) = configure(&[&meter], PROFILE);
    let mut unit = service::Unit::new(&broker, "");
    secret(&unit.path("keys.toml"), &keys);
    unit.configure("[store]\n", &format!("[electricity]\nkeys = \"keys.toml\"\n{text}[store]\n"));
    let subscriptions = vec!["dcu/v1/acme/dcu-1/health".into()];
    let mut spectator = Client::open(Settings { client_id: "spectator".into(), subscriptions, ..broker.head_end() });
    spectator.subscribed().await;
    unit.start();
    unit.until("everything is read", is_complete);
    // It is told soon after a start, and then seldom.
    unit.terminate();
    unit.start();
    let health = loop {
        let health = v1::Health::decode(spectator.taken().await.payload.as_ref()).unwrap();
        let days = health.collection.iter().flat_map(|it| &it.tasks).flat_map(|task| &task.days);
        if days.clone().count() > 1 && days.into_iter().all(|day| day.there == day.expected) {
            break health;
        }
    };
    assert_eq!((health.dcu.as_str(), health.ports.len(), health.lanes.len()), ("dcu-1", 1, Lane::ALL.len()));
    assert!(health.resident_bytes > 0 && health.at.is_some() && health.uplink.is_some());
    let collection = health.collection.unwrap();
    assert_eq!((collection.meters, collection.active, collection.unreachable), (1, 1, 0));
    let [task] = collection.tasks.as_slice() else { panic!("{collection:?}") };
    assert_eq!(task.id, "profile");
    // What is left of the first day, whole ones, and today, of which nothing may be there yet.
    assert!((2..=3).contains(&task.days.len()), "{task:?}");
    let yesterday = unix_now() / 86_400 - 1;
    let whole = task.days.iter().find(|day| day.day == yesterday).unwrap_or_else(|| panic!("{task:?}"));
    assert_eq!((whole.expected, whole.there, whole.reachable_expected, whole.reachable_there), (96, 96, 96, 96));
}

#[test]
fn a_unit_that_lost_its_counters_asks_for_those_of_the_meter() {
    let meter = Emulated::ciphered(6);
    let (text, keys) = configure(&[&meter], PROFILE);
    let unit_of = |counter: &str| Unit::new(&format!("{counter}{text}"), &keys);
    let mut unit = unit_of("");
    unit.start();
    unit.until_complete("profile", 1);
    unit.terminate();
    // Another unit in its place begins at 0, which the meter has had.
    let mut other = unit_of("");
    other.start();
    other.until(&["task", "show", "profile"], |card| {
        card["each"][0]["detail"].as_str().is_some_and(|detail| detail.starts_with("associate: "))
    });
    other.kill();
    let mut other = unit_of("counter = \"0-0:43.1.0*255\"\n");
    other.start();
    other.until_complete("profile", 1);
    other.terminate();
    check_profile(&other.readings(), &[&meter], 192);
    assert!(other.log().contains("raise the invocation counter"));
}

#[test]
fn clocks_are_shifted_or_set_or_left_to_people() {
    let ahead = |serial, ms| {
        let meter = Emulated::plain(serial);
        meter.server.lock().unwrap().meter.world.clock.misset(ms, unix_now() * 1_000);
        meter
    };
    // Behind, so that no clock goes back over the end of a slot, whenever this runs.
    let [shifted, set, off] = [ahead(1, -20_500), ahead(2, -300_000), ahead(3, -100_000_000)];
    let tasks = "[[electricity.task]]\nid = \"clock\"\nwhat = \"clock\"\nperiod = \"1h\"\nhistory = \"1h\"\n\
                 shift_above = \"5s\"\nset_above = \"60s\"\nalarm_above = \"1d\"\n";
    let (text, keys) = configure(&[&shifted, &set, &off], tasks);
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    let card = unit.until_complete("clock", 3);
    let offset = |meter| line(&card, meter)["clock_ahead_ms"].as_i64().unwrap();
    assert!(offset(&shifted).abs() < 5_000 && offset(&set).abs() < 5_000, "{card:#}");
    assert!(offset(&off) < -99_000_000, "{card:#}");
    unit.terminate();
    for (meter, code, found) in [
        (&shifted, "electricity.clock_shifted", "it was -2"),
        (&set, "electricity.clock_set", "it was -"),
        (&off, "electricity.clock_off", "it was -"),
    ] {
        let told = unit.events();
        let detail = told.iter().find(|(id, told, _)| *id == meter.id() && told == code).map(|(.., detail)| detail);
        assert!(detail.is_some_and(|detail| detail.starts_with(found)), "{told:?}");
    }
}

#[test]
fn a_clock_that_was_set_back_tells_no_slot_twice() {
    let meter = Emulated::plain(8);
    // For the hours before it was set, its rows stand beside those that it wrote again.
    let hour = unix_now() / 3_600 * 3_600;
    let profile = dlms::Obis::new(1, 0, 99, 1, 0, 255);
    let stamps: Vec<i64> = (1..=8).chain(5..=12).map(|n| hour - (14 - n) * 900).collect();
    let buffer = dlms::data::encode(|out| {
        out.array(stamps.len());
        let clock = &meter.server.lock().unwrap().meter.world.clock;
        for (value, stamp) in (0..).zip(&stamps) {
            let stamp = clock.date_time(*stamp).octets();
            out.structure(2).put(Data::OctetString(&stamp)).put(Data::DoubleLongUnsigned(value));
        }
    });
    let columns = dlms::data::encode(|out| {
        out.array(2);
        for (class_id, name) in [(8, dlms::Obis::new(0, 0, 1, 0, 0, 255)), (3, dlms::Obis::new(1, 0, 1, 8, 0, 255))] {
            CaptureObject::new(Attribute::new(class_id, name, 2)).write(out);
        }
    });
    let object = Stored::new(7, 1).with(2, buffer).with(3, columns).with(4, Data::DoubleLongUnsigned(900).octets());
    meter.server.lock().unwrap().meter.insert(profile, Box::new(object));
    let (text, keys) = configure(&[&meter], &PROFILE.replace("2d", "6h").replace("at_once = 8", "at_once = 96"));
    let mut unit = Unit::new(&text, &keys);
    unit.start();
    unit.until(&["task", "show", "profile"], |card| card["each"][0]["state"] == "active");
    unit.terminate();
    let readings = unit.readings();
    let mut ends: Vec<i64> = readings.iter().filter_map(|(_, it)| it.interval).map(|it| it.end_utc).collect();
    ends.sort_unstable();
    let expected: Vec<i64> = (1..=12).map(|n| hour - (14 - n) * 900).collect();
    assert_eq!(ends, expected, "each slot once");
    let again = readings.iter().filter(|(_, it)| it.interval.is_none()).count();
    assert_eq!(again, 4, "what was written again is told as what it is");
}
