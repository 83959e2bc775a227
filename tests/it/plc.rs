//! The service and an emulated G3-PLC modem on a pseudo terminal: who is listed joins, who is not does not, a restart and
//! a kill change nothing, keys rotate.

mod outages;
mod routes;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dcu::journal::Audit;
use dcu::reading::MeterId;
use dcu::simulate::modem::EmulatedModem;
use dlms::apdu::{Apdu, Attribute, EventNotification};
use dlms::sim::{Model, Port, Server};
use plc::g3::modem::Generation;
use plc::sim::{Behind, Device, Flaw, Modem, Nature, identity};
use serde_json::Value;
use tempfile::TempDir;

use crate::electricity;
use crate::support::head_end::{head_end, order, states, uplink};
use crate::support::mosquitto::Mosquitto;
use crate::support::service::{LIMIT, secret};

const NODES: u32 = 20;

/// A unit without an uplink, and its modem.
struct Street {
    dir: TempDir,
    child: Option<Child>,
    modem: EmulatedModem,
}

impl Street {
    fn new(nature: Nature, devices: Vec<Device>) -> Self {
        Self::with(nature, devices, Behind::nothing(), "")
    }

    /// A unit that is told more than its network.
    fn with(nature: Nature, devices: Vec<Device>, behind: Behind, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("modem");
        let modem = EmulatedModem::open(Modem::new(nature, devices, behind, Instant::now()), Some(&link)).unwrap();
        let text = format!(
            "[unit]\nutility = \"acme\"\nid = \"dcu-1\"\nstate_dir = \"state\"\n[store]\ncommit_window = \"200ms\"\n\
             [time]\nsource = \"trusted\"\n[control]\nsocket = \"control.sock\"\n\
             [[plc]]\nname = \"feeder\"\nport = {link:?}\nband = \"cenelec-a\"\npan_id = \"781d\"\n{more}"
        );
        fs::write(dir.path().join("dcu.toml"), text).unwrap();
        Self { dir, child: None, modem }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
        command.args(["run", "--config"]).arg(self.path("dcu.toml")).stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.stderr(log).spawn().unwrap());
        self.until("the network is up", |street| street.ask(&["mesh", "status"]).0 == Some(0)).await;
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM: it finishes what it has begun.
    fn terminate(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
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

    /// The nodes of this presence.
    fn nodes(&self, presence: &str) -> Vec<Value> {
        self.ask(&["node", "list", "--presence", presence]).1
    }

    fn status(&self) -> Value {
        self.ask(&["mesh", "status"]).1.remove(0)
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < LIMIT, "not in time: {what}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn import(&self, numbers: std::ops::Range<u32>) -> Value {
        let lines = numbers.map(|number| {
            let (eui64, psk) = identity(number);
            format!("{eui64},{},meter {number}\n", hex::encode(psk.0))
        });
        secret(&self.path("nodes.csv"), &lines.collect::<String>());
        let file = self.path("nodes.csv");
        let (code, mut said) = self.ask(&["node", "import", file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{}", self.log());
        said.remove(0)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

fn devices(numbers: std::ops::Range<u32>) -> Vec<Device> {
    numbers.map(identity).map(|(eui64, psk)| Device::new(eui64, psk)).collect()
}

fn nature(generation: Generation) -> Nature {
    Nature { generation, join_window: Duration::from_secs(1), ..Nature::default() }
}

/// Who is in the network, and under what address.
fn addresses(nodes: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    nodes.iter().map(|node| (text(&node["eui64"]), text(&node["short_addr"]))).collect()
}

async fn a_network_lives(generation: Generation) {
    let mut devices = devices(0..NODES);
    let (eui64, _) = identity(NODES);
    devices.push(Device::new(eui64, plc::Key([0x5a; 16])).with(Flaw::WrongPsk));
    let mut street = Street::new(nature(generation), devices);
    street.start().await;
    street.until("all have asked", |street| street.nodes("unlisted").len() as u32 == NODES + 1).await;
    assert_eq!(
        street.import(0..NODES + 1),
        serde_json::json!({"said": "imported", "added": NODES + 1, "changed": 0, "same": 0})
    );
    street.until("all have joined", |street| street.nodes("alive").len() as u32 == NODES).await;
    let before = addresses(&street.nodes("alive"));
    assert_eq!(street.modem.modem().joined() as u32, NODES);

    street
        .until("the wrong key is told", |street| {
            let said = street.ask(&["node", "show", &eui64.to_string()]).1;
            assert!(["listed", "lost"].contains(&said[0]["presence"].as_str().unwrap()), "{said:?}");
            // The server in the modem says nothing of those who fail.
            said[0]["failure"].is_string() || generation == Generation::ModemLbs
        })
        .await;

    // A kill: the network goes on where it was, no counter is used again, nobody has to join anew.
    street.kill();
    street.start().await;
    street
        .until("all are in again", |street| {
            street.nodes("alive").len() + street.nodes("routed").len() >= NODES as usize
        })
        .await;
    let all = street.ask(&["node", "list"]).1;
    let is_in = |node: &Value| ["alive", "routed"].contains(&node["presence"].as_str().unwrap());
    assert_eq!(addresses(&all.into_iter().filter(is_in).collect::<Vec<_>>()), before);
    assert_eq!(street.modem.modem().statistics().counter_reuses, 0);
    assert!(street.modem.modem().devices().iter().take(NODES as usize).all(|device| device.joins() == 1));

    let (code, said) = street.ask(&["mesh", "rekey"]);
    assert_eq!((code, &said[0]["generation"]), (Some(0), &2.into()));
    assert_eq!(street.ask(&["mesh", "rekey"]).0, Some(1), "one rotation at a time");
    street
        .until("all have the new key", |street| {
            let status = street.status();
            status["rekey"] == "grace" && status["rekey_missing"] == 0
        })
        .await;
    let keys = street.ask(&["node", "list"]).1;
    assert_eq!(keys.iter().filter(|node| node["key_generation"] == 2).count() as u32, NODES);

    let (node, short_addr) = before[0].clone();
    assert_eq!(street.ask(&["route", "trace", &short_addr]).0, Some(0), "{}", street.log());
    assert_eq!(street.ask(&["route", "show"]).0, Some(0), "{}", street.log());
    for (eui64, _) in &before {
        assert_eq!(street.ask(&["route", "trace", eui64]).0, Some(0), "{}", street.log());
    }
    let picture = street.ask(&["topology"]).1.remove(0);
    let joined = picture["nodes"].as_array().unwrap().iter().filter(|node| node["presence"] == "routed");
    let parents: Vec<_> = joined.map(|node| &node["parent"]).collect();
    let is_node = |parent: &Value| before.iter().any(|(eui64, _)| parent == eui64);
    assert!(parents.iter().all(|parent| **parent == picture["coordinator"] || is_node(parent)), "{picture}");
    assert!(parents.iter().any(|parent| is_node(parent)), "{picture}");
    assert_eq!(street.ask(&["node", "deny", "meter 0"]).0, Some(0));
    street.until("it is out", |street| street.nodes("denied").len() == 1).await;
    assert_eq!(street.nodes("denied")[0]["eui64"], node.as_str());
    street.until("it knows", |street| street.modem.modem().joined() as u32 == NODES - 1).await;
    assert_eq!(street.ask(&["node", "admit", &node]).0, Some(0));
    street.until("it is back", |street| street.modem.modem().joined() as u32 == NODES).await;
    assert_eq!(street.ask(&["node", "kick", "ffff"]).0, Some(4));

    // A clean end: when they were heard is known.
    let heard = |street: &Street| -> BTreeMap<String, i64> {
        let nodes = street.ask(&["node", "list"]).1.into_iter();
        nodes
            .filter_map(|node| Some((node["eui64"].as_str()?.to_owned(), node["heard_ms"].as_i64()? / 1_000)))
            .collect()
    };
    let known = heard(&street);
    assert!(known.contains_key(&node), "it has just joined again: {known:?}");
    street.terminate();
    street.start().await;
    let again = heard(&street);
    assert!(known.iter().all(|(eui64, before)| again.get(eui64) >= Some(before)), "{known:?} {again:?}");
    assert!(!street.log().contains("5a5a5a"), "no key is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_with_the_bootstrap_server_on_the_host_lives() {
    a_network_lives(Generation::HostLbs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_with_the_bootstrap_server_in_the_modem_lives() {
    a_network_lives(Generation::ModemLbs).await;
}

/// One in twenty is away while the key rotates, until the old one is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_over_500_nodes_loses_nobody_who_is_there_and_those_who_were_not_come_back() {
    const ALL: u32 = 500;
    let away: Vec<usize> = (0..ALL as usize).step_by(20).collect();
    let nature = Nature { buffers: 32, ..nature(Generation::HostLbs) };
    let mut street = Street::with(nature, devices(0..ALL), Behind::nothing(), "rekey_patience = \"12s\"\n");
    street.start().await;
    street.import(0..ALL);
    let joined = |street: &Street| street.modem.modem().joined() as u32;
    street.until("all have joined", |street| joined(street) == ALL).await;
    let switch = |street: &Street, is_on: bool| {
        away.iter().for_each(|place| street.modem.modem().switch(*place, is_on, Instant::now()));
    };
    switch(&street, false);
    assert_eq!(street.ask(&["mesh", "rekey"]).0, Some(0), "{}", street.log());
    let rekey = |street: &Street, phase: &str| street.status()["rekey"] == phase;
    street.until("the new key is used", |street| rekey(street, "grace")).await;
    let has_new = |node: &&Value| node["key_generation"] == 2;
    assert_eq!(street.ask(&["node", "list"]).1.iter().filter(has_new).count(), ALL as usize - away.len());
    street.until("the old key is forgotten", |street| rekey(street, "settled")).await;
    switch(&street, true);
    street
        .until("all are there again under the new key", |street| {
            joined(street) == ALL && street.ask(&["node", "list"]).1.iter().filter(has_new).count() as u32 == ALL
        })
        .await;
    for (place, device) in street.modem.modem().devices().iter().enumerate() {
        assert_eq!(device.joins(), if place % 20 == 0 { 2 } else { 1 }, "node {place}");
    }
    assert_eq!(street.modem.modem().statistics().counter_reuses, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_moves_when_another_one_has_its_number() {
    let mut street = Street::new(nature(Generation::HostLbs), devices(0..NODES));
    street.start().await;
    street.import(0..NODES);
    street.until("all have joined", |street| street.nodes("alive").len() as u32 == NODES).await;
    let before = addresses(&street.nodes("alive"));
    let conflict = |street: &Street| (0..3).for_each(|_| street.modem.modem().hear_foreign(0x781d, Instant::now()));
    conflict(&street);
    street.until("it has another number", |street| street.status()["pan_id"] != "781d").await;
    let moved = street.status()["pan_id"].clone();
    street.until("all have joined again", |street| street.nodes("alive").len() as u32 == NODES).await;
    assert_eq!(addresses(&street.nodes("alive")), before, "they keep their addresses");
    assert!(street.status()["conflict_ms"].is_null(), "there is none any more");
    assert!(street.modem.modem().devices().iter().all(|device| device.joins() == 2));
    // It stays where it is, also after a kill.
    street.kill();
    street.start().await;
    assert_eq!(street.status()["pan_id"], moved);
    street
        .until("all are in", |street| street.nodes("alive").len() + street.nodes("routed").len() == NODES as usize)
        .await;
    assert!(street.modem.modem().devices().iter().all(|device| device.joins() == 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_cannot_be_read_for_sure_run_no_network() {
    let mut street = Street::new(nature(Generation::HostLbs), devices(0..1));
    street.start().await;
    street.kill();
    let path = street.path("state/plc-feeder/network");
    let mut octets = fs::read(&path).unwrap();
    octets[30] ^= 1;
    fs::write(&path, &octets).unwrap();
    let log = fs::OpenOptions::new().append(true).open(street.path("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
    command.args(["run", "--config"]).arg(street.path("dcu.toml")).stdin(Stdio::null()).stdout(Stdio::null());
    street.child = Some(command.stderr(log).spawn().unwrap());
    street
        .until("the alarm is told", |street| {
            street.ask(&["status"]).1.first().is_some_and(|status| status["alarms"][0]["code"] == "network-lost")
        })
        .await;
    let (code, said) = street.ask(&["mesh", "status"]);
    assert_eq!((code, &said[0]["state"]), (Some(7), &"failed".into()));
    assert!(said[0]["error"].as_str().unwrap().contains("damaged"), "{said:?}");
    assert_eq!(street.ask(&["node", "list"]).0, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meters_are_read_through_the_network() {
    let models: Vec<Model> = (1..=METERS).map(|serial| Model::electricity(serial).unwrap()).collect();
    let mut more = format!(
        "[electricity]\nkeys = \"keys.toml\"\nsystem_title = \"{}\"\nretries = 1\n\
         [[electricity.channel]]\nname = \"street\"\nlink = \"wrapper\"\nplc = \"feeder\"\ntimeout = \"5s\"\n\
         [[electricity.task]]\nid = \"profile\"\nwhat = \"profile\"\nobject = \"1-0:99.1.0*255\"\nperiod = \"15min\"\n\
         history = \"6h\"\n",
        hex::encode(electricity::UNIT)
    );
    let mut keys = String::new();
    let mut servers = BTreeMap::new();
    for (number, model) in (0..).zip(&models) {
        let id = MeterId::SystemTitle(model.system_title().0).to_string();
        let (eui64, _) = identity(number);
        more += &format!(
            "[[electricity.meter]]\nid = \"{id}\"\nchannel = \"street\"\nnode = \"{eui64}\"\n\
             auth = \"gmac\"\nsecurity = \"authenticated-encrypted\"\n"
        );
        keys += &electricity::keys_of(&id);
        servers.insert(eui64, electricity::server(model, Port::wrapper(1), true));
    }
    // Each node hands what comes for its meter on, and back what the meter says at once.
    let behind = Behind(Box::new(move |eui64, port, payload| {
        let server = servers.get_mut(&eui64).filter(|_| port == 4059)?;
        server.handle_bytes(payload, Instant::now());
        while server.poll_timeout().is_some_and(|due| due <= Instant::now()) {
            server.handle_timeout(Instant::now());
        }
        server.poll_transmit()
    }));
    let mut street = Street::with(nature(Generation::HostLbs), devices(0..METERS), behind, &more);
    secret(&street.path("keys.toml"), &keys);
    street.start().await;
    street.import(0..METERS);
    street
        .until("everything is read", |street| {
            let status = street.ask(&["status"]).1;
            status.first().is_some_and(electricity::is_complete)
        })
        .await;
    let status = street.ask(&["status"]).1.remove(0);
    assert!(status["electricity"]["all"]["settled"].as_u64().unwrap() >= u64::from(METERS) * 23, "{status}");
    // A node is known by the meter that is configured behind it.
    let id = MeterId::SystemTitle(models[0].system_title().0).to_string();
    let node = street.ask(&["node", "show", &id]).1.remove(0);
    let expected = (&Value::from(identity(0).0.to_string()), &Value::from(id));
    assert_eq!((&node["eui64"], &node["electricity_meter"]), expected, "{node}");
    // All of it was admitted by the poll scheduler, with nothing lost and little at once.
    let polling = &street.status()["polling"];
    assert!(polling["answered"].as_u64().unwrap() >= u64::from(METERS) * 5, "{polling}");
    assert_eq!((&polling["sent"], &polling["lost"], &polling["waiting"]), (&polling["answered"], &0.into(), &0.into()));
    assert!(!polling["branches"].as_array().unwrap().is_empty(), "{polling}");
}

const METERS: u32 = 5;

/// What the meter behind a node sends unasked, in its wrapper.
fn pushed(server: &Mutex<Server>, code: u8) -> Vec<u8> {
    let attribute = Attribute::new(1, dlms::Obis::new(0, 0, 96, 11, 0, 255), 2);
    let value = dlms::Data::Unsigned(code);
    let apdu = Apdu::EventNotification(EventNotification { time: None, attribute, value }).octets();
    let mut server = server.lock().unwrap();
    server.notify(1, apdu, Instant::now());
    server.poll_transmit().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meters_behind_nodes_push_is_believed_as_what_others_push() {
    let model = |number| Model::electricity(number).unwrap();
    let mut more = format!(
        "[electricity]\nkeys = \"keys.toml\"\nsystem_title = \"{}\"\n\
         [[electricity.channel]]\nname = \"street\"\nlink = \"wrapper\"\nplc = \"feeder\"\n\
         [[electricity.task]]\nid = \"clock\"\nwhat = \"clock\"\nperiod = \"1d\"\n",
        hex::encode(electricity::UNIT)
    );
    let (mut keys, mut servers) = (String::new(), BTreeMap::new());
    for number in 0..2 {
        let (eui64, _) = identity(number);
        let model = model(number);
        let id = MeterId::SystemTitle(model.system_title().0);
        // The first has keys; the second is believed by its node.
        let is_ciphered = number == 0;
        let auth =
            if is_ciphered { "auth = \"gmac\"\nsecurity = \"authenticated-encrypted\"\n" } else { "auth = \"lls\"\n" };
        more += &format!("[[electricity.meter]]\nid = \"{id}\"\nchannel = \"street\"\nnode = \"{eui64}\"\n{auth}");
        keys += &electricity::keys_of(&id.to_string());
        servers.insert(eui64, Arc::new(Mutex::new(electricity::server(&model, Port::wrapper(1), is_ciphered))));
    }
    let answering = servers.clone();
    let behind = Behind(Box::new(move |eui64, port, payload| {
        let mut server = answering.get(&eui64).filter(|_| port == 4059)?.lock().unwrap();
        server.handle_bytes(payload, Instant::now());
        server.poll_transmit()
    }));
    let mut street = Street::with(nature(Generation::HostLbs), devices(0..3), behind, &more);
    secret(&street.path("keys.toml"), &keys);
    street.start().await;
    street.import(0..3);
    // Their clocks are read at the end of a day: nobody speaks with them.
    street.until("all have joined", |street| street.nodes("alive").len() == 3).await;
    let status = |street: &Street| street.ask(&["status"]).1.first().cloned().unwrap_or_default();
    let push = |street: &Street| status(street)["electricity"]["push"].clone();
    assert_eq!(push(&street)["taken"], 0);
    let send = |street: &Street, place: usize, octets: &[u8]| {
        street.modem.modem().push(place, 4059, octets, Instant::now());
    };
    let [own, plain] = [0, 1].map(|number| &servers[&identity(number).0]);
    let first = pushed(own, 1);
    send(&street, 0, &first);
    street.until("an event is taken", |street| push(street)["taken"] == 1).await;
    send(&street, 0, &first);
    street.until("it is not new", |street| push(street)["refused"]["replayed"] == 1).await;
    send(&street, 1, &pushed(plain, 2));
    street.until("the meter without keys is known by its node", |street| push(street)["taken"] == 2).await;
    // The same from another node, and what is no push at all.
    send(&street, 2, &pushed(plain, 2));
    street.until("a stranger is none", |street| push(street)["refused"]["unknown_meter"] == 1).await;
    send(&street, 2, b"garbage");
    street.until("garbage is counted", |street| push(street)["refused"]["garbage"] == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_end_sees_the_networks() {
    let Some(broker) = Mosquitto::start() else { return };
    let more = uplink(&broker);
    let mut street = Street::with(nature(Generation::HostLbs), devices(0..NODES), Behind::nothing(), &more);
    street.start().await;
    let view = || {
        let mut command = head_end(&broker, "topology");
        command.args(["--utility", "acme", "--dcu", "dcu-1", "--json"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["networks"][0].clone()
    };
    let count = |view: &Value, presence: &str| {
        view["nodes"].as_array().unwrap().iter().filter(|node| node["presence"] == presence).count() as u32
    };
    street.until("strangers are seen", |_| count(&view(), "unlisted") == NODES).await;
    street.import(0..NODES);
    street.until("all are seen", |_| count(&view(), "alive") == NODES).await;
    let before = addresses(&street.nodes("alive"));
    let (node, short_addr) = before.last().unwrap();
    assert_eq!(street.ask(&["route", "trace", short_addr]).0, Some(0));
    assert_eq!(street.ask(&["node", "deny", &before[0].0]).0, Some(0));
    street
        .until("what was traced and who was denied is seen", |_| {
            let view = view();
            let traced = view["nodes"].as_array().unwrap().iter().find(|seen| seen["eui64"] == node.as_str()).unwrap();
            count(&view, "denied") == 1
                && traced["hops"].is_u64()
                && traced["parent"].is_u64()
                && traced["medium"] == "plc"
        })
        .await;
    let seen = view();
    assert_eq!((&seen["state"], &seen["pan_id"], &seen["name"]), (&"up".into(), &"781d".into(), &"feeder".into()));
    // Nobody answers any more: who is out is seen.
    (0..NODES).for_each(|number| street.modem.modem().switch(number as usize, false, Instant::now()));
    for (eui64, _) in &before[1..3] {
        assert_ne!(street.ask(&["route", "trace", eui64]).0, Some(0));
    }
    let out = |view: &Value| {
        let scope = view["outages"][0]["scope"].as_str()?.to_owned();
        let is_out = |node: &&Value| node["outage"] == scope.as_str();
        let nodes = view["nodes"].as_array()?.iter().filter(is_out).count();
        Some((scope, nodes as u32))
    };
    let all_out = || Some(("transformer".to_owned(), NODES - 1));
    street.until("all that are in are out", |_| out(&view()) == all_out()).await;
    // The view outlives the unit, and a new run of it says it anew.
    street.kill();
    assert_eq!(count(&view(), "alive"), NODES - 1);
    let joins = |view: &Value| view["nodes"].as_array().unwrap().iter().filter(|node| node["joins"] != 0).count();
    assert!(joins(&view()) > 0);
    street.start().await;
    street.until("it is a new run's", |_| joins(&view()) == 0).await;
    assert_eq!(out(&view()), all_out());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_end_orders_what_a_technician_may() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut street = Street::with(nature(Generation::HostLbs), devices(0..NODES), Behind::nothing(), &uplink(&broker));
    street.start().await;
    let lines = (0..NODES).map(identity).map(|(eui64, psk)| format!("{eui64},{}\n", hex::encode(psk.0)));
    let file = street.path("nodes.csv");
    secret(&file, &lines.collect::<String>());
    let done = ["accepted", "succeeded"];
    let (code, said) = order(&broker, &["import", file.to_str().unwrap()]);
    assert_eq!((code, states(&said)), (Some(0), done.to_vec()), "{}", street.log());
    assert_eq!(said[1]["result"], serde_json::json!({"added": NODES, "changed": 0, "same": 0}));
    street.until("all have joined", |street| street.nodes("alive").len() as u32 == NODES).await;
    let (node, _) = addresses(&street.nodes("alive")).remove(3);
    let (code, said) = order(&broker, &["trace", &node]);
    assert_eq!((code, states(&said)), (Some(0), done.to_vec()), "{}", street.log());
    assert!(!said[1]["result"]["forward"].as_array().unwrap().is_empty());
    assert_eq!(order(&broker, &["refresh", &node]).0, Some(0));

    // The same order again is answered and not carried out again, also by another run of the service.
    let id = ["--id", "000102030405060708090a0b0c0d0e0f"];
    let deny = [&id[..], &["deny", &node]].concat();
    assert_eq!(order(&broker, &deny).0, Some(0));
    street.until("it is out", |street| street.nodes("denied").len() == 1).await;
    assert_eq!(street.ask(&["node", "admit", &node]).0, Some(0));
    assert_eq!(states(&order(&broker, &deny).1), ["succeeded"]);
    street.kill();
    street.start().await;
    assert_eq!(states(&order(&broker, &deny).1), ["succeeded"]);
    assert!(street.nodes("denied").is_empty(), "it was admitted since");

    let (code, said) = order(&broker, &["kick", "ffff"]);
    assert_eq!((code, states(&said)), (Some(4), vec!["accepted", "failed"]));
    assert_eq!(said[1]["code"], "not_found");
    assert_eq!(order(&broker, &["--network", "none", "kick", &node]).1[1]["code"], "not_found");

    // A key that the unit does not know is not answered; one officer is not enough, an installer is none.
    let key = |name: &str| broker.kit.command_key(name).to_str().unwrap().to_owned();
    let stranger = broker.kit.device_key("dcu-1");
    let sign = ["--timeout", "2s", "--sign", stranger.to_str().unwrap(), "deny", &node];
    assert_eq!(order(&broker, &sign), (Some(5), vec![]));
    let (code, said) = order(&broker, &["--sign", &key("officer-1"), "rekey"]);
    assert_eq!((code, said[0]["code"].as_str()), (Some(6), Some("needs_two_signatures")));
    let (code, said) = order(&broker, &["--sign", &key("installer"), "rekey"]);
    assert_eq!((code, said[0]["code"].as_str()), (Some(6), Some("bad_role")));
    let (code, said) = order(&broker, &["rekey"]);
    assert_eq!((code, &said[1]["result"]["generation"]), (Some(0), &2.into()));
    street.until("all have the new key", |street| street.status()["rekey_missing"] == 0).await;

    // Damaged, the journal rejects what it cannot know, until two reset it.
    street.kill();
    let path = street.path("state/commands");
    let mut octets = fs::read(&path).unwrap();
    octets[40] ^= 1;
    fs::write(&path, &octets).unwrap();
    street.start().await;
    let (code, said) = order(&broker, &["deny", &node]);
    assert_eq!((code, said[0]["code"].as_str()), (Some(6), Some("journal_lost")));
    assert_eq!(street.ask(&["status"]).1[0]["alarms"][0]["code"], "commands-lost");
    let (code, said) = order(&broker, &["reset-journal"]);
    assert_eq!((code, states(&said)), (Some(0), vec!["succeeded"]), "{said:?}");
    assert!(
        fs::read_dir(street.path("state"))
            .unwrap()
            .any(|file| { file.unwrap().file_name().to_str().unwrap().starts_with("commands.damaged-") })
    );

    street.kill();
    let (entries, _) = Audit::read(&street.path("state/audit")).unwrap();
    let has = |who: &str, what: &str, outcome: &str| {
        entries.iter().any(|entry| {
            entry.who.starts_with(who)
                && entry.what.contains(what)
                && (entry.decision.contains(outcome) || entry.result.contains(outcome))
        })
    };
    assert!(has("user ", &format!("admit {node:?} of"), "succeeded"), "{entries:?}");
    assert!(has("installer ", &format!("deny {node:?} of"), "accepted"), "{entries:?}");
    assert!(has("officer-1 ", "rekey network", "needs_two_signatures"), "{entries:?}");
    assert!(has("dcu-1", "command 000102030405060708090a0b0c0d0e0f", "succeeded"), "{entries:?}");
    for octets in [fs::read(&path).unwrap(), street.log().into_bytes(), format!("{entries:?}").into_bytes()] {
        let text = String::from_utf8_lossy(&octets);
        assert!((0..NODES).all(|number| !text.contains(&hex::encode(identity(number).1.0))), "a key is printed");
    }
}
