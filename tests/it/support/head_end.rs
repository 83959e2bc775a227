//! `dcu head-end` as an operator runs it: watchers as processes with their files, verifications, orders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dcu::simulate::head_end::order::{self, Order};
use dcu::task::mqtt::Settings;
use dcu::uplink::Topics;
use dcu::wire::signed::PrivateKey;
use dcu::wire::v1::command::Operation;
use dcu::wire::v1::{CommandState, MakeCheckpoint};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use super::mosquitto::Mosquitto;
use super::service::LIMIT;

/// A `dcu head-end watch` that appends to two files; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    child: Child,
    /// A line for each record.
    pub(crate) records: PathBuf,
    /// A line for each batch and checkpoint.
    pub(crate) batches: PathBuf,
    said: PathBuf,
}

impl Watch {
    /// Starts one with files of this name, and waits until the broker has taken its subscriptions.
    pub(crate) fn start(broker: &Mosquitto, dir: &Path, name: &str, more: &[&str]) -> Self {
        let file = |ending: &str| dir.join(format!("{name}{ending}"));
        let (records, batches, said) = (file(".jsonl"), file("-batches.jsonl"), file(".said"));
        let mut command = head_end(broker, "watch");
        command.args(more).arg("--append").arg(&records).arg("--batches").arg(&batches);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&said).unwrap());
        let watch = Self { child: command.spawn().unwrap(), records, batches, said };
        watch.until("subscribed", || watch.said().contains("dcu: subscribed"));
        watch
    }

    /// It hears and does nothing any more, and the broker does not know.
    pub(crate) fn freeze(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
    }

    /// SIGKILL, also for one that is frozen.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM: it finishes what it has begun.
    pub(crate) fn terminate(&mut self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        let end = self.child.wait().unwrap();
        assert!(end.success(), "the watcher ended with {end}: {}", self.said());
    }

    /// The whole lines of its file of records.
    pub(crate) fn lines(&self) -> Vec<Value> {
        lines(&self.records)
    }

    /// Waits until `is_so`.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < LIMIT, "the watcher is not in time: {what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The JSON lines of a file; a last one that was cut off is left out.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `dcu head-end VERB` with the broker's address and keys.
pub(crate) fn head_end(broker: &Mosquitto, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
    command.args(["head-end", verb, "--broker", &format!("mqtts://localhost:{}", broker.port), "--keys"]);
    command.arg(broker.kit.dir());
    command
}

/// What `dcu head-end verify` says of files.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
    report: Value,
}

impl Verified {
    /// Checks against the device keys of `broker`'s kit, for people and for programs.
    pub(crate) fn new(broker: &Mosquitto, files: &[&Path], more: &[&str]) -> Self {
        let verify = |json: &[&str]| -> Output {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
            command.args(["head-end", "verify", "--devices"]).arg(broker.kit.devices());
            command.args(more).args(json).args(files).output().unwrap()
        };
        let (people, program) = (verify(&[]), verify(&["--json"]));
        let code = people.status.code();
        assert_eq!(code, program.status.code());
        let text = String::from_utf8([people.stdout, people.stderr].concat()).unwrap();
        Self { code, text, report: serde_json::from_slice(&program.stdout).unwrap_or_default() }
    }

    /// By lane, the last record that arrived and the last that a signature proves.
    pub(crate) fn lanes(&self) -> BTreeMap<String, (u64, u64)> {
        let lanes = self.report["lanes"].as_array().cloned().unwrap_or_default();
        let number = |lane: &Value, key: &str| lane[key].as_u64().unwrap();
        let named = |lane: &Value| lane["lane"].as_str().unwrap().to_owned();
        lanes.iter().map(|lane| (named(lane), (number(lane, "last"), number(lane, "proven")))).collect()
    }
}

/// Lets `dcu-1` make a checkpoint now.
pub(crate) async fn order_checkpoint(broker: &Mosquitto) -> CommandState {
    let key = PrivateKey::from_pem(&fs::read_to_string(broker.kit.ingest_key()).unwrap()).unwrap();
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    let order = Order {
        topics: Topics::new("acme", "dcu-1").unwrap(),
        operation: Operation::Checkpoint(MakeCheckpoint {}),
        id,
        now_ms: jiff::Timestamp::now().as_millisecond(),
        valid_for: Order::VALID_FOR,
    };
    let settings = Settings { client_id: "orders".into(), ..broker.head_end() };
    order::give(&order, settings, &[&key], None, LIMIT, |_| {}).await.unwrap()
}

/// The unit's side of this broker.
pub(crate) fn uplink(broker: &Mosquitto) -> String {
    let own = broker.kit.unit("dcu-1");
    format!(
        "[uplink]\nbroker = \"mqtts://localhost:{}\"\nca = {:?}\ncertificate = {:?}\nkey = {:?}\ntrust = {:?}\n\
         signing_key = {:?}\ntopology_interval = \"1s\"\n",
        broker.port,
        broker.kit.ca(),
        own.certificate,
        own.key,
        broker.kit.trust(),
        broker.kit.device_key("dcu-1"),
    )
}

/// What `dcu head-end order WORDS` ends with, and the states that it printed.
pub(crate) fn order(broker: &Mosquitto, words: &[&str]) -> (Option<i32>, Vec<Value>) {
    let mut command = head_end(broker, "order");
    command.args(["--utility", "acme", "--dcu", "dcu-1", "--json"]).args(words);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

pub(crate) fn states(said: &[Value]) -> Vec<&str> {
    said.iter().map(|state| state["state"].as_str().unwrap()).collect()
}
