//! The service reads emulated electricity meters: nothing is lost, nothing told twice, whatever meters and unit do.

use std::collections::BTreeMap;
use std::fs;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dcu::reading::{MeterId, Reading, TimeQuality};
use dcu::store::{Body, Lane, Limit, Options, Store};
use dcu::wire;
use dlms::client::Authentication;
use dlms::security::{AuthenticationKey, Ciphering, EncryptionKey, Secret, SystemTitle};
use dlms::sim::{Access, Faults, Model, Port, Server};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::service::{LIMIT, secret};

/// An emulated meter behind a socket of its own.
struct Emulated {
    model: Model,
    address: SocketAddr,
    is_ciphered: bool,
    server: Arc<Mutex<Server>>,
}

const UNIT: [u8; 8] = *b"DCU\0\0\0\0\x01";
const GLOBAL: [u8; 16] = *b"0123456789abcdef";
const AUTHENTICATION: [u8; 16] = *b"fedcba9876543210";

fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

impl Emulated {
    /// Over the wrapper, with HLS by GMAC and ciphering.
    fn ciphered(serial: u32) -> Self {
        Self::of(Model::electricity(serial).unwrap(), Port::wrapper(1), true)
    }

    /// Over the wrapper, with a password.
    fn plain(serial: u32) -> Self {
        Self::of(Model::electricity(serial).unwrap(), Port::wrapper(1), false)
    }

    fn of(model: Model, port: Port, is_ciphered: bool) -> Self {
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
        let server = Server::new(model.build(), port, vec![access], unix_now(), u64::from(model.serial));
        let server = Arc::new(Mutex::new(server));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&server);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &shared);
            }
        });
        Self { model, address, is_ciphered, server }
    }

    fn id(&self) -> String {
        MeterId::SystemTitle(self.model.system_title().0).to_string()
    }

    fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.server.lock().unwrap().faults);
    }
}

/// One connection to a meter, until the other side ends it.
fn serve(mut stream: impl std::io::Read + std::io::Write, server: &Mutex<Server>) {
    server.lock().unwrap().reconnect();
    let mut buf = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buf) {
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

fn is_complete(status: &Value) -> bool {
    let all = &status["electricity"]["all"];
    all["expected"].as_u64() > Some(0) && all["expected"] == all["settled"]
}

/// A unit that reads such meters, and forwards nothing.
struct Unit {
    dir: TempDir,
    child: Option<Child>,
}

impl Unit {
    fn new(electricity: &str, keys: &str) -> Self {
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

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
        command.args(["run", "--config"]).arg(self.path("dcu.toml")).stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.stderr(log).spawn().unwrap());
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn terminate(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn ask(&self, words: &[&str]) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_dcu"))
            .args(words)
            .args(["--json", "--socket"])
            .arg(self.path("control.sock"))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    #[track_caller]
    fn until(&self, words: &[&str], is_wanted: impl Fn(&Value) -> bool) -> Value {
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
    fn until_complete(&self, task: &str, meters: usize) -> Value {
        self.until(&["task", "show", task], |card| {
            let each = card["each"].as_array().map_or(&[][..], Vec::as_slice);
            each.len() == meters && each.iter().all(|meter| meter["missing"] == 0 && meter["state"] == "active")
        })
    }

    /// All readings that are durable, after the end of the service.
    fn readings(&self) -> Vec<(Lane, Reading)> {
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
        let options = Options::new(self.path("state/store"), "dcu-1");
        let (store, _) = Store::open(options, wire::CODEC, Arc::new(clock), Box::new(|| 7), Box::new(|_| {})).unwrap();
        // An hour passes for the store, so that everything is sealed.
        ahead.store(3_600, Ordering::Relaxed);
        let (done, committed) = std::sync::mpsc::channel();
        store.commit(Some(Box::new(move |result| done.send(result.is_ok()).unwrap()))).unwrap();
        assert!(committed.recv_timeout(LIMIT).unwrap());
        let mut readings = Vec::new();
        for lane in [Lane::LoadProfile, Lane::Billing, Lane::Information] {
            let mut after = 0;
            loop {
                let batches =
                    store.batches_after(store.epoch(), lane, after, Limit { batches: 100, octets: 1 << 20 }).unwrap();
                let Some(last) = batches.last() else { break };
                after = last.last();
                for batch in &batches {
                    let (_, records) = wire::open_batch(&batch.octets).unwrap();
                    readings.extend(records.into_iter().filter_map(|record| match record.body {
                        Body::Reading(reading) => Some((lane, reading)),
                        _ => None,
                    }));
                }
            }
        }
        store.close().unwrap();
        readings
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

/// The configuration of these meters, and their keys.
fn configure(meters: &[&Emulated], tasks: &str) -> (String, String) {
    let mut text = "[[electricity.channel]]\nname = \"lan\"\nlink = \"wrapper\"\ntimeout = \"2s\"\n".to_owned();
    let mut keys = String::new();
    for meter in meters {
        let (id, address) = (meter.id(), meter.address);
        text += &format!("[[electricity.meter]]\nid = \"{id}\"\nchannel = \"lan\"\ntcp = \"{address}\"\n");
        text += match meter.is_ciphered {
            true => "auth = \"gmac\"\nsecurity = \"authenticated-encrypted\"\n",
            false => "auth = \"lls\"\n",
        };
        keys += &format!(
            "[{id}]\npassword = \"12345678\"\nencryption_key = \"{}\"\nauthentication_key = \"{}\"\n",
            hex::encode(GLOBAL),
            hex::encode(AUTHENTICATION)
        );
    }
    (text + tasks, keys)
}

const PROFILE: &str = "[[electricity.task]]\nid = \"profile\"\nwhat = \"profile\"\nobject = \"1-0:99.1.0*255\"\n\
                       period = \"15min\"\nhistory = \"2d\"\nat_once = 8\n";

/// Each slot of each register once, with the value that the meter's curve has there.
#[track_caller]
fn check_profile(readings: &[(Lane, Reading)], meters: &[&Emulated], least: usize) {
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
    unit.terminate();
    assert!(!unit.log().contains(&"07".repeat(16)));
    check_profile(&unit.readings(), &[&good], 192);
}
