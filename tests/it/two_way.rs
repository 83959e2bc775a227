//! The service and emulated two-way meters, with an emulated module on a pseudo terminal in between: commands, binding,
//! a restart in the middle, a module that answers by itself, and Wize.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use dcu::simulate::receiver::{Aired, EmulatedReceiver, Options};
use hex_literal::hex;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wmbus::gateway::Valve;
use wmbus::receiver::Mode;
use wmbus::sim::{EmulatorKind, Outcome, TwoWayMeter};
use wmbus::wize::{self, Pong, Trailer};
use wmbus::{Address, Form, Key, Keys, Scratch, Telegram, link};

use crate::support::head_end::{head_end, order, states, uplink};
use crate::support::mosquitto::Mosquitto;
use crate::support::service::{LIMIT, secret};

const WATER: Address = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 0x07 };
const GAS: Address = Address { identification: 0x7001_2345, device_type: 0x03, ..WATER };
static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(hex!("000102030405060708090a0b0c0d0e0f")));
/// A meter listens a second after its frame. A loaded machine is not as exact as a radio module.
const WINDOW: (Duration, Duration) = (Duration::from_millis(800), Duration::from_millis(1_200));

/// A service without an uplink, and its module.
struct Field {
    dir: tempfile::TempDir,
    child: Option<Child>,
    module: EmulatedReceiver,
    air: mpsc::Receiver<Aired>,
}

impl Field {
    fn new(kind: &str, mode: Mode) -> Self {
        Self::with(kind, mode, "")
    }

    /// `more`: of the configuration.
    fn with(kind: &str, mode: Mode, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("stick");
        let emulator = EmulatorKind::named(kind).unwrap();
        let options = Options { kind: emulator, link: Some(link.clone()), sent: mode, ..Options::default() };
        let mut module = EmulatedReceiver::open(options).unwrap();
        let air = module.air().unwrap();
        let field = Self { dir, child: None, module, air };
        let configuration = format!(
            "[unit]\nutility = \"acme\"\nid = \"dcu-1\"\nstate_dir = \"state\"\naddress = \"DCU-00000001-01-31\"\n\
             [[wmbus]]\nname = \"roof\"\nkind = {kind:?}\nport = {link:?}\nmode = {:?}\n\
             [meters]\nkeys = \"keys\"\npolicy = \"all\"\n\
             [store]\ncommit_window = \"200ms\"\n\
             [time]\nsource = \"trusted\"\n\
             [control]\nsocket = \"control.sock\"\n{more}",
            mode.name()
        );
        fs::write(field.path("dcu.toml"), configuration).unwrap();
        let key = "000102030405060708090a0b0c0d0e0f";
        secret(
            &field.path("keys"),
            &format!("12345678 {key}\n70012345 {key}\nwize=9 101112131415161718191a1b1c1d1e1f\n"),
        );
        field
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
        command.args(["run", "--config"]).arg(self.path("dcu.toml")).stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.stderr(log).spawn().unwrap());
        timeout(LIMIT, self.module.listening()).await.expect("the module is set up");
        self.until("the service answers", |field| field.ask(&["status"]).0.is_some_and(|code| code != 3)).await;
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// `dcu WORDS --json`, and what it printed, a line each.
    fn ask(&self, words: &[&str]) -> (Option<i32>, Vec<Value>) {
        let command = Command::new(env!("CARGO_BIN_EXE_dcu"))
            .args(words)
            .args(["--json", "--socket"])
            .arg(self.path("control.sock"))
            .output()
            .unwrap();
        let text = String::from_utf8(command.stdout).unwrap();
        (command.status.code(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < LIMIT, "not in time: {what}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// What a meter says, and what it is told in its window; until nobody says anything for longer than that.
    async fn talk(&mut self, meter: &mut TwoWayMeter) {
        loop {
            while let Some(frame) = meter.poll_air() {
                meter.sent(Instant::now());
                assert_eq!(self.module.send(frame, -70).await, Outcome::Intact, "{}", self.log());
            }
            match timeout(2 * WINDOW.1, self.air.recv()).await {
                Ok(Some(aired)) => meter.hear(&aired.frame, aired.at),
                _ => return,
            }
        }
    }

    /// Lets the meter speak until the state of the newest order is one of these.
    async fn carry_out(&mut self, meter: &mut TwoWayMeter, states: &[&str]) -> Value {
        let begin = Instant::now();
        loop {
            meter.announce(Instant::now());
            self.talk(meter).await;
            let order = self.ask(&["meter", "commands"]).1.pop().unwrap();
            if states.contains(&order["state"].as_str().unwrap()) {
                return order;
            }
            assert!(begin.elapsed() < LIMIT, "{order} {:?}\n{}", meter.witness(), self.log());
        }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valve_obeys_the_command_line_through_a_module_and_a_restart() {
    let mut field = Field::new("im871a", Mode::C2);
    let mut water = TwoWayMeter::new(WATER, Some(KEY.clone()), true, WINDOW);
    let mut gas = TwoWayMeter::new(GAS, Some(KEY.clone()), false, WINDOW);
    field.start().await;
    assert_eq!(field.ask(&["meter", "command", "12345678", "close-valve"]).0, Some(4), "it was never heard");
    water.announce(Instant::now());
    field.talk(&mut water).await;
    gas.announce(Instant::now());
    field.talk(&mut gas).await;

    let (code, order) = field.ask(&["meter", "command", "12345678", "close-valve"]);
    assert_eq!((code, &order[0]["state"]), (Some(0), &"queued".into()));
    let order = field.carry_out(&mut water, &["succeeded"]).await;
    assert_eq!(order["meter"], "KAM-12345678-1b-07");
    assert_eq!((water.witness().valve, water.witness().executed), (Some(Valve::Closed), 1));
    let status = field.ask(&["status"]).1.remove(0);
    let receiver = &status["receivers"][0];
    assert!(receiver["sent"].as_u64() >= Some(3), "{receiver}");
    eprintln!(
        "C2 from the host, over a pty: {} frames, worst {} us late at the port; the last {} us off the middle at the meter",
        receiver["sent"],
        receiver["send_late_us"],
        water.witness().deviation_us.unwrap()
    );

    // Gas never flows at a command's bidding alone.
    assert_eq!(field.ask(&["meter", "command", "70012345", "open-valve"]).0, Some(6));
    assert_eq!(field.ask(&["meter", "command", "70012345", "enable-opening"]).0, Some(0));
    field.carry_out(&mut gas, &["succeeded"]).await;
    assert_eq!(gas.witness().valve, Some(Valve::ManualOpening));

    // Killed with a command in the air: nobody knows whether the meter has it, so it is asked.
    field.ask(&["meter", "command", "12345678", "open-valve"]);
    water.announce(Instant::now());
    let frame = water.poll_air().unwrap();
    field.module.send(frame, -70).await;
    let lost = timeout(LIMIT, field.air.recv()).await.expect("it is sent").unwrap();
    assert_eq!(lost.frame[1] & 0xcf, 0x43, "SND-UD");
    field.kill();
    field.start().await;
    assert_eq!(field.ask(&["meter", "commands"]).1.pop().unwrap()["state"], "sent");
    let executed = water.witness().executed;
    field.carry_out(&mut water, &["succeeded"]).await;
    assert_eq!((water.witness().valve, water.witness().executed - executed), (Some(Valve::Open), 1));

    field.ask(&["meter", "command", "12345678", "set-clock"]);
    field.carry_out(&mut water, &["confirmed"]).await;
    assert!(water.witness().clock.is_some());
    assert_eq!(water.witness().refused + gas.witness().refused, 0);
}

/// Puts the service away and back again, with an order in the air that no meter has heard.
async fn lose_one_in_the_air(field: &mut Field, meter: &mut TwoWayMeter) {
    meter.announce(Instant::now());
    let frame = meter.poll_air().unwrap();
    field.module.send(frame, -70).await;
    timeout(LIMIT, field.air.recv()).await.expect("it is sent").unwrap();
    field.kill();
    field.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_end_commands_meters_that_listen_now_and_then() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut field = Field::with("im871a", Mode::C2, &uplink(&broker));
    let mut water = TwoWayMeter::new(WATER, Some(KEY.clone()), true, WINDOW);
    let mut gas = TwoWayMeter::new(GAS, Some(KEY.clone()), false, WINDOW);
    field.start().await;
    const METER: &str = "KAM-12345678-1b-07";
    let close = ["--id", "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", "--timeout", "2s", "meter", METER, "close-valve"];
    let (code, said) = order(&broker, &["meter", METER, "close-valve"]);
    assert_eq!((code, said[1]["code"].as_str()), (Some(4), Some("not_found")), "it was never heard\n{}", field.log());
    for meter in [&mut water, &mut gas] {
        meter.announce(Instant::now());
        field.talk(meter).await;
    }

    // It waits for the meter, longer than this head-end; through restarts; and is asked about under its id.
    let (code, said) = order(&broker, &close);
    assert_eq!((code, states(&said)), (Some(5), vec!["accepted", "queued"]), "{}", field.log());
    assert_eq!(order(&broker, &close), (Some(5), vec![said[1].clone()]), "the same again is no other one");
    assert_eq!(field.ask(&["meter", "commands"]).1.len(), 1);
    lose_one_in_the_air(&mut field, &mut water).await;
    let (code, said) = order(&broker, &close);
    assert_eq!((code, states(&said)), (Some(5), vec!["sent"]), "{}", field.log());
    field.carry_out(&mut water, &["succeeded"]).await;
    let (code, said) = order(&broker, &close);
    assert_eq!((code, states(&said)), (Some(0), vec!["succeeded"]));
    assert_eq!(said[0]["result"], serde_json::json!({ "order": 1 }));
    assert_eq!((water.witness().valve, water.witness().executed), (Some(Valve::Closed), 1));

    // The head-end that waits hears every state. The unit must have heard the meter since it was killed.
    gas.announce(Instant::now());
    field.talk(&mut gas).await;
    let waiting = tokio::task::spawn_blocking({
        let mut command = head_end(&broker, "order");
        command.args([
            "--utility",
            "acme",
            "--dcu",
            "dcu-1",
            "--json",
            "meter",
            "KAM-70012345-1b-03",
            "enable-opening",
        ]);
        move || command.output().unwrap()
    });
    field.until("it is queued", |field| field.ask(&["meter", "commands"]).1.len() == 2).await;
    field.carry_out(&mut gas, &["succeeded"]).await;
    let output = waiting.await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((output.status.code(), states(&said).last()), (Some(0), Some(&"succeeded")), "{said:?}");
    assert!(["accepted", "queued", "sent", "delivered"].iter().all(|state| states(&said).contains(state)), "{said:?}");
    assert_eq!(gas.witness().valve, Some(Valve::ManualOpening));

    // Gas never flows at a command's bidding alone; valves are the switcher's.
    let (code, said) = order(&broker, &["meter", "KAM-70012345-1b-03", "open-valve"]);
    assert_eq!((code, said[1]["code"].as_str()), (Some(6), Some("not_permitted")));
    assert!(said[1]["detail"].as_str().unwrap().contains("not opened from afar"), "{said:?}");
    let installer = broker.kit.command_key("installer");
    let (code, said) = order(&broker, &["--sign", installer.to_str().unwrap(), "meter", METER, "open-valve"]);
    assert_eq!((code, said[0]["code"].as_str()), (Some(6), Some("bad_role")));

    // What somebody takes back here, and what nobody heard in time, is told.
    let clock = ["--id", "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf", "--timeout", "2s", "meter", METER, "set-clock"];
    assert_eq!(states(&order(&broker, &clock).1), ["accepted", "queued"]);
    let number = field.ask(&["meter", "commands"]).1.pop().unwrap()["order"].to_string();
    assert_eq!(field.ask(&["meter", "cancel", &number]).0, Some(0));
    let (code, said) = order(&broker, &clock);
    assert_eq!((code, said[0]["code"].as_str()), (Some(1), Some("cancelled")));
    // An id stands for one order for ever: how that stands is no answer to another one.
    let mut other = clock;
    other[6] = "request-data";
    assert_eq!(other[..6], clock[..6]);
    let (code, said) = order(&broker, &other);
    assert_eq!((code, said.len()), (Some(2), 0), "{said:?}");
    let (code, said) = order(&broker, &["--expires", "3s", "meter", METER, "request-data"]);
    assert_eq!((code, said[2]["code"].as_str()), (Some(1), Some("not_heard")), "{said:?}");
    assert_eq!(water.witness().refused + gas.witness().refused, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_is_bound_when_somebody_wants_it() {
    let mut field = Field::new("im871a", Mode::C2);
    let mut meter = TwoWayMeter::new(WATER, Some(KEY.clone()), true, WINDOW);
    field.start().await;
    meter.ask_to_be_bound(Instant::now());
    field.talk(&mut meter).await;
    assert!(!meter.witness().is_bound);
    assert_eq!(field.ask(&["meter", "install", "KAM-12345678-1b-07"]).0, Some(0));
    // It is wanted still after a restart.
    field.kill();
    field.start().await;
    assert_eq!(field.ask(&["meter", "install"]).1, [serde_json::json!(["KAM-12345678-1b-07"])]);
    let begin = Instant::now();
    while !meter.witness().is_bound {
        meter.ask_to_be_bound(Instant::now());
        field.talk(&mut meter).await;
        assert!(begin.elapsed() < LIMIT, "{:?}\n{}", meter.witness(), field.log());
    }
    meter.demand_access(Instant::now());
    field.talk(&mut meter).await;
    let (_, removed) = field.ask(&["meter", "install", "KAM-12345678-1b-07", "--remove"]);
    assert_eq!(removed, [serde_json::json!([])]);
}

/// Whoever recorded what a meter said, and sends it again, makes the unit send nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_opens_no_window() {
    let mut field = Field::new("im871a", Mode::C2);
    let mut meter = TwoWayMeter::new(WATER, Some(KEY.clone()), true, WINDOW);
    field.start().await;
    let mut recorded = Vec::new();
    for _ in 0..4 {
        meter.announce(Instant::now());
        recorded.extend(meter.poll_air());
    }
    for frame in &recorded {
        field.module.send(frame.clone(), -70).await;
    }
    field.until("the last is heard", |field| field.ask(&["meter", "show", "12345678"]).1[0]["telegrams"] == 4).await;
    assert_eq!(field.ask(&["meter", "command", "12345678", "close-valve"]).0, Some(0));
    assert_eq!(field.ask(&["meter", "install", "KAM-12345678-1b-07"]).0, Some(0));
    for frame in &recorded {
        field.module.send(frame.clone(), -70).await;
        assert!(timeout(2 * WINDOW.1, field.air.recv()).await.is_err(), "{}", field.log());
    }
    assert_eq!(field.ask(&["meter", "commands"]).1[0]["state"], "queued");

    // One answer to one request, however often it comes.
    meter.ask_to_be_bound(Instant::now());
    let request = meter.poll_air().unwrap();
    for _ in 0..5 {
        field.module.send(request.clone(), -70).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let answer = timeout(LIMIT, field.air.recv()).await.expect("it is sent").unwrap();
    assert_eq!(answer.frame[1], 0x06, "CNF-IR");
    assert!(timeout(2 * WINDOW.1, field.air.recv()).await.is_err(), "{}", field.log());
    field.carry_out(&mut meter, &["succeeded"]).await;
    assert_eq!(meter.witness().executed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_cannot_send_says_why() {
    for (kind, mode, why) in [
        ("iu891a", Mode::C2, "roof (iu891a in mode c2): how its SEND_MESSAGE wants a frame is not published"),
        ("cul", Mode::C1T1, "its firmware sends in modes S and T alone"),
        ("rc1180", Mode::C2, "it puts a C-field and an address of its own memory"),
        ("im871a", Mode::T2, "listen sooner than a host can answer"),
        ("im871a", Mode::C1T1, "meters do not listen in this mode"),
    ] {
        let mut field = Field::new(kind, mode);
        field.start().await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
        command.args(["meter", "install", "KAM-12345678-1b-07", "--socket"]).arg(field.path("control.sock"));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(6) && said.contains(why), "{kind} {mode}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_host_is_fast_enough_the_module_answers() {
    let mut field = Field::new("amb8465", Mode::T2);
    // The module's own turnaround is not emulated: it answers at once.
    let mut meter = TwoWayMeter::new(WATER, Some(KEY.clone()), true, (Duration::ZERO, WINDOW.1));
    field.start().await;
    meter.announce(Instant::now());
    field.talk(&mut meter).await;
    assert_eq!(field.ask(&["meter", "command", "12345678", "close-valve"]).0, Some(0));
    field.carry_out(&mut meter, &["succeeded"]).await;
    assert_eq!((meter.witness().valve, meter.witness().executed), (Some(Valve::Closed), 1));
    field.ask(&["meter", "command", "12345678", "set-clock"]);
    let order = field.carry_out(&mut meter, &["failed"]).await;
    assert!(order["detail"].as_str().unwrap().contains("a time would be old"), "{order}");
}

/// Kmac of network 9.
struct Network;

static KMAC: LazyLock<Key> = LazyLock::new(|| Key::new(hex!("101112131415161718191a1b1c1d1e1f")));

impl Keys for Network {
    fn key(&self, _: &Address) -> Option<&Key> {
        None
    }

    fn network_key(&self, network: u8) -> Option<&Key> {
        Some(&*KMAC).filter(|_| network == 9)
    }
}

fn wize(c_field: u8, counter: u16, payload: &[u8], kmac: &Key) -> Vec<u8> {
    let kenc = (c_field == wize::DATA).then_some((1, &*KEY));
    let (network, application, epoch) = (9, 2, 1);
    let draft = wize::Draft { c_field, address: GAS, network, counter, application, payload, kenc, epoch };
    link::frame(Form::Stripped, &draft.emit(kmac).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn wize_devices_are_answered_in_their_window_and_forwarded_sealed() {
    let mut field = Field::new("im170a", Mode::N2b);
    // Without Kenc in the file nobody here can open it.
    secret(&field.path("keys"), "wize=9 101112131415161718191a1b1c1d1e1f\n");
    field.start().await;
    let lane = |field: &Field, name: &str| {
        let status = field.ask(&["status"]).1.remove(0);
        let lanes = status["buffer"]["lanes"].as_array().cloned().unwrap_or_default();
        lanes.iter().find(|lane| lane["lane"] == name).and_then(|lane| lane["last"].as_u64()).unwrap_or(0)
    };
    // From a second after the ping on it listens for two.
    let mut ping = Vec::new();
    wize::Ping { channel: 110, modulation: 1, rx_delay: 1, rx_length: 20 }.emit(&mut ping);
    let sent = Instant::now();
    assert_eq!(field.module.send(wize(wize::INSTPING, 1, &ping, &KMAC), -72).await, Outcome::Intact);
    let pong = timeout(LIMIT, field.air.recv()).await.unwrap_or_else(|_| panic!("no pong\n{}", field.log())).unwrap();
    assert!(pong.at - sent >= Duration::from_secs(1) && pong.at - sent < Duration::from_secs(21));
    let mut scratch = Scratch::default();
    let telegram = Telegram::decode_as(Form::Stripped, &pong.frame, &Network, &mut scratch).unwrap();
    assert!(telegram.security.authenticated && telegram.is_to_meter());
    let answer = Pong::parse(&mut &*telegram.application).unwrap();
    assert_eq!(answer, Pong { concentrator: hex!("010000000131"), modem: 0, rssi_upstream: 151 });
    let Trailer::Pong { epoch, .. } = telegram.wize.unwrap().trailer else { panic!("{telegram}") };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((u64::from(epoch) + 1_356_998_400).abs_diff(now) < 60);

    assert_eq!(field.module.send(wize(wize::DATA, 2, b"index", &KMAC), -72).await, Outcome::Intact);
    field.until("ping and data are stored", |field| lane(field, "mbus") == 2).await;
    // Whoever forges is not answered, and has only the raw ring.
    let other = Key::new([1; 16]);
    field.module.send(wize(wize::INSTPING, 3, &ping, &other), -72).await;
    field.until("the forged frame is among the raw ones", |field| lane(field, "raw") == 1).await;
    assert!(timeout(Duration::from_millis(1_500), field.air.recv()).await.is_err());
    assert_eq!(lane(&field, "mbus"), 2);
}
