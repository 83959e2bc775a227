//! A real mosquitto with mutual TLS on a free port of the loopback address; configuration and certificates are thrown away.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dcu::simulate::head_end::keys::{Identity, Kit, Plan};
use dcu::task::mqtt::{Settings, Transport};
use dcu::task::tls::{Tls, clock_with_floor};
use tempfile::TempDir;

/// What is special about a broker.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) units: Vec<String>,
    /// Instead of the kit's certificate for the broker.
    pub(crate) identity: Option<Identity>,
    /// Whose clients it takes; None: the kit's CA.
    pub(crate) client_ca: Option<PathBuf>,
    /// The access list; None: the kit's.
    pub(crate) acl: Option<String>,
    /// Sessions and retained messages survive a restart.
    pub(crate) is_persistent: bool,
    /// More lines of configuration.
    pub(crate) lines: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let units = vec!["dcu-1".into()];
        Self { units, identity: None, client_ca: None, acl: None, is_persistent: false, lines: Vec::new() }
    }
}

/// A running broker; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Mosquitto {
    pub(crate) kit: Kit,
    pub(crate) port: u16,
    child: Child,
    dir: TempDir,
}

impl Mosquitto {
    /// None, and a word about it, where mosquitto is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(Options::default())
    }

    pub(crate) fn start_with(options: Options) -> Option<Self> {
        let program = program("mosquitto")?;
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan { units: options.units.clone(), ..Plan::default() };
        let (kit, _) = Kit::make(&dir.path().join("keys"), &plan, super::today()).unwrap();
        // Another test may take the port between the look and the broker's start.
        for _ in 0..10 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            fs::write(dir.path().join("mosquitto.conf"), configuration(&kit, dir.path(), port, &options)).unwrap();
            let mut child = spawn(&program, dir.path());
            if is_up(&mut child, port) {
                return Some(Self { kit, port, child, dir });
            }
        }
        panic!("mosquitto does not start: {}", fs::read_to_string(dir.path().join("log")).unwrap_or_default());
    }

    /// Ends the broker as systemd does; a persistent one writes its sessions.
    pub(crate) fn terminate(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        let program = program("mosquitto").expect("it was there before");
        self.child = spawn(&program, self.dir.path());
        assert!(is_up(&mut self.child, self.port), "mosquitto does not come back");
    }

    /// What the broker wrote about itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Settings of the unit `id` of the kit.
    pub(crate) fn unit(&self, id: &str) -> Settings {
        settings("localhost", self.port, tls(&self.kit, &self.kit.unit(id)), id)
    }

    /// Settings of the kit's head-end.
    pub(crate) fn head_end(&self) -> Settings {
        settings("localhost", self.port, tls(&self.kit, &self.kit.head_end()), "head-end")
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let begin = log.len() - log.len().min(20_000);
            eprintln!("the broker's last words:\n{}", log.get(begin..).unwrap_or(&log));
        }
    }
}

/// Short delays, so that a test does not wait for the back-off of the field.
pub(crate) fn settings(host: &str, port: u16, tls: Tls, client_id: &str) -> Settings {
    let retry = (Duration::from_millis(20), Duration::from_millis(200));
    Settings { retry, ..Settings::new(host, port, Transport::Tls(tls), client_id) }
}

pub(crate) fn tls(kit: &Kit, identity: &Identity) -> Tls {
    let Identity { certificate, key } = identity.clone();
    Tls { ca: kit.ca(), certificate, key, server_name: None, allow_tls12: false, clock: clock_with_floor(|| 0) }
}

/// Where a program is; None, and a word about it, where it is not installed.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        super::skip(&format!("{name} is not installed"));
    }
    found
}

fn configuration(kit: &Kit, dir: &Path, port: u16, options: &Options) -> String {
    let broker = options.identity.clone().unwrap_or_else(|| kit.broker());
    let acl = dir.join("keys/mosquitto.acl");
    if let Some(text) = &options.acl {
        fs::write(&acl, text).unwrap();
    }
    let mut text = format!(
        "listener {port} localhost\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
         use_identity_as_username true\nacl_file {}\nuser root\nmax_queued_messages 100000\nlog_dest stderr\nlog_type all\n",
        options.client_ca.clone().unwrap_or_else(|| kit.ca()).display(),
        broker.certificate.display(),
        broker.key.display(),
        acl.display(),
    );
    if options.is_persistent {
        let _ = writeln!(text, "persistence true\npersistence_location {}/", dir.display());
    }
    for line in &options.lines {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn spawn(program: &Path, dir: &Path) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = Command::new(program);
    command.arg("-c").arg(dir.join("mosquitto.conf")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap()
}

fn is_up(child: &mut Child, port: u16) -> bool {
    let limit = Instant::now() + Duration::from_secs(10);
    while Instant::now() < limit {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
