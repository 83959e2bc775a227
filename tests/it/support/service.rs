//! The real service as a child process, fed over TCP like by a receiver behind a serial server.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::mosquitto::Mosquitto;

/// What the waits of these tests may take on a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// A unit: its directory, its configuration, and the receiver's side of the test.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) dir: TempDir,
    receiver: TcpListener,
    connection: Option<TcpStream>,
    child: Option<Child>,
    environment: Vec<(String, String)>,
}

impl Unit {
    /// A unit called `dcu-1` of the kit, that believes the kit's head-end.
    pub(crate) fn new(broker: &Mosquitto, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let receiver = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = receiver.local_addr().unwrap();
        let unit = Self { dir, receiver, connection: None, child: None, environment: Vec::new() };
        fs::write(unit.path("dcu.toml"), unit.configuration(broker, address, more)).unwrap();
        unit
    }

    fn configuration(&self, broker: &Mosquitto, receiver: SocketAddr, more: &str) -> String {
        let kit = &broker.kit;
        let own = kit.unit("dcu-1");
        let mut text = format!(
            "[unit]\nutility = \"acme\"\nid = \"dcu-1\"\nstate_dir = \"state\"\n\
             [[wmbus]]\nname = \"roof\"\nkind = \"hex\"\ntcp = \"{receiver}\"\n\
             [meters]\npolicy = \"all\"\n\
             [store]\ncommit_window = \"200ms\"\nseal_age = \"1s\"\n\
             [time]\nsource = \"trusted\"\n\
             [control]\nsocket = \"control.sock\"\n"
        );
        let _ = write!(
            text,
            "[uplink]\nbroker = \"mqtts://localhost:{}\"\nca = {:?}\ncertificate = {:?}\nkey = {:?}\ntrust = {:?}\n\
             signing_key = {:?}\nbackoff_first = \"100ms\"\nbackoff_last = \"500ms\"\n{more}",
            broker.port,
            kit.ca(),
            own.certificate,
            own.key,
            kit.trust(),
            kit.device_key("dcu-1"),
        );
        text
    }

    /// Puts other lines into the place of a line of the configuration, before the start.
    pub(crate) fn configure(&self, line: &str, lines: &str) {
        let text = fs::read_to_string(self.path("dcu.toml")).unwrap();
        assert!(text.contains(line), "no {line:?} in {text}");
        fs::write(self.path("dcu.toml"), text.replace(line, lines)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Sets a variable of the service's environment, from its next start on.
    pub(crate) fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the service and waits until it answers and listens to its receiver.
    pub(crate) fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcu"));
        command.args(["run", "--config"]).arg(self.path("dcu.toml")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log).envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.child = Some(command.spawn().unwrap());
        self.connection = Some(self.accept());
        self.until("the service answers", |status| status.is_object());
    }

    /// Waits until the service has connected to its receiver.
    #[track_caller]
    fn accept(&mut self) -> TcpStream {
        self.receiver.set_nonblocking(true).unwrap();
        let begin = Instant::now();
        loop {
            if let Ok((connection, _)) = self.receiver.accept() {
                connection.set_nonblocking(false).unwrap();
                return connection;
            }
            let end = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(end.is_none() && begin.elapsed() < LIMIT, "the service does not connect ({end:?}): {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a power failure does to a process.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.connection = None;
    }

    /// Ends it as systemd does.
    pub(crate) fn terminate(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let end = child.wait().unwrap();
        assert!(end.success(), "the service ended with {end}: {}", self.log());
        self.connection = None;
    }

    /// Sends lines of hex, as a receiver would.
    pub(crate) fn hear(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) {
        let text: String = frames.into_iter().map(|frame| hex::encode(frame) + "\n").collect();
        self.connection.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// `dcu WORDS`, and what it printed.
    pub(crate) fn ask(&self, words: &[&str]) -> (Option<i32>, Value) {
        let output = Command::new(env!("CARGO_BIN_EXE_dcu"))
            .args(words)
            .args(["--json", "--socket"])
            .arg(self.path("control.sock"))
            .output()
            .unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// Hears water meters whose volumes are `litres`, each by another telegram.
    pub(crate) fn hear_volumes(&mut self, litres: std::ops::Range<u32>) {
        self.hear(litres.map(|litres| water(0x1000_0000 + litres % 7, litres as u8, litres)));
    }

    /// Asks for the status until it is as wanted.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let (_, status) = self.ask(&["status"]);
            if is_wanted(&status) {
                return status;
            }
            assert!(begin.elapsed() < LIMIT, "not in time: {what}\n{status:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
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

/// A telegram of an unprotected water meter: its volume in litres. EN 13757-4 format without CRCs.
pub(crate) fn water(identification: u32, access_number: u8, litres: u32) -> Vec<u8> {
    let mut frame = vec![0, 0x44, 0x2d, 0x2c];
    frame.extend(identification.to_le_bytes());
    frame.extend([0x1b, 0x07, 0x7a, access_number, 0, 0, 0, 0x04, 0x13]);
    frame.extend(litres.to_le_bytes());
    let length = u8::try_from(frame.len() - 1).unwrap();
    frame[0] = length;
    frame
}

/// Writes a secret as the service wants to find it.
pub(crate) fn secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
