//! The directory of one run: keys, certificates, the meters' keys and the configuration of an ordinary service.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fleet::{Meter, Protection};
use super::head_end::keys::{self, Kit, Plan};
use wmbus::sim::EmulatorKind;

/// Where everything of one run lies.
#[derive(Debug)]
pub struct Scene {
    dir: PathBuf,
    kit: Kit,
    /// Removed with everything in it when the scene is dropped.
    is_temporary: bool,
}

/// A receiver of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub name: String,
    pub kind: &'static EmulatorKind,
    pub source: Source,
}

/// Where the service finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Port(PathBuf),
    /// A program, which hears the air over a socket.
    Command {
        words: Vec<String>,
        socket: PathBuf,
    },
}

/// What the configuration says beside paths.
#[derive(Debug, Clone)]
pub struct Settings {
    pub receivers: Vec<Place>,
    /// The unit's identifier, as in its certificate and its topics.
    pub unit: String,
    /// Where the service finds the broker: the proxy.
    pub broker: std::net::SocketAddr,
    /// The name in the broker's certificate.
    pub server_name: String,
    /// The selection policy, in the words of the configuration.
    pub policy: String,
    pub commit_window: Duration,
    pub seal_age: Duration,
    /// Where the service keeps its state; None for a directory of the scene.
    pub state: Option<PathBuf>,
    /// The service's log level.
    pub log: String,
    /// What the configuration says beside all that, and a file of keys for it.
    pub more: Option<More>,
}

/// A section of the configuration that names [`More::FILE`].
#[derive(Debug, Clone)]
pub struct More {
    pub section: String,
    pub keys: String,
}

impl More {
    /// The file of keys, in the scene's directory.
    pub const FILE: &str = "electricity.keys";
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not empty: choose another directory, or one that is not there yet", .0.display())]
    Occupied(PathBuf),
    #[error("{} is too long for a socket in it: choose a directory with a shorter path", .0.display())]
    TooLong(PathBuf),
    #[error("make certificates")]
    Keys(#[from] keys::Error),
    #[error("{} is missing; `dcu head-end keys` makes it", .0.display())]
    NoKeys(PathBuf),
}

impl Scene {
    /// Makes `dir`, or a temporary directory, and in it certificates and keys, or takes those of `keys`.
    pub fn set(dir: Option<PathBuf>, keys: Option<&Path>, unit: &str, today: jiff::civil::Date) -> Result<Self, Error> {
        let is_temporary = dir.is_none();
        let dir = match dir {
            Some(dir) => dir,
            None => temporary(),
        };
        let failed = |source| Error::Write { path: dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
        let dir = fs::canonicalize(&dir).map_err(failed)?;
        // What somebody has there is not touched.
        if fs::read_dir(&dir).map_err(failed)?.next().is_some() {
            return Err(Error::Occupied(dir));
        }
        // From here on the directory goes away with the scene, also when something below fails.
        let mut scene = Self { kit: Kit::at(dir.join("keys")), dir, is_temporary };
        if scene.socket().as_os_str().len() > SOCKET_PATH {
            return Err(Error::TooLong(scene.dir.clone()));
        }
        match keys {
            None => {
                Kit::make(&scene.dir.join("keys"), &Plan { units: vec![unit.to_owned()], ..Plan::default() }, today)
                    .map(drop)?
            }
            Some(keys) => {
                let keys = fs::canonicalize(keys).map_err(|_| Error::NoKeys(keys.to_owned()))?;
                scene.kit = Kit::at(keys);
                let unit = scene.kit.unit(unit);
                let needed = [scene.kit.ca(), unit.certificate, unit.key, scene.kit.ingest_key(), scene.kit.trust()];
                if let Some(missing) = needed.into_iter().find(|path| !path.is_file()) {
                    return Err(Error::NoKeys(missing));
                }
            }
        }
        Ok(scene)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub const fn kit(&self) -> &Kit {
        &self.kit
    }

    /// Leaves the directory where it is.
    pub const fn keep(&mut self) {
        self.is_temporary = false;
    }

    pub fn config(&self) -> PathBuf {
        self.dir.join("dcu.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("service.log")
    }

    /// A symbolic link to an emulated receiver's terminal; several have numbers.
    pub fn port(&self, number: Option<usize>) -> PathBuf {
        self.dir.join(number.map_or_else(|| "receiver".into(), |number| format!("receiver-{}", number + 1)))
    }

    /// A socket over which an emulated program hears the air.
    pub fn air(&self, number: usize) -> PathBuf {
        self.dir.join(format!("air-{}", number + 1))
    }

    /// What the head-end received, one reading a line.
    pub fn readings(&self) -> PathBuf {
        self.dir.join("readings.jsonl")
    }

    /// The batches and checkpoints as they were published, one a line.
    pub fn batches(&self) -> PathBuf {
        self.dir.join("batches.jsonl")
    }

    /// Writes the keys of those meters that have one, and the configuration.
    pub fn write(&self, meters: &[Meter], settings: &Settings) -> Result<(), Error> {
        let keys: String = meters
            .iter()
            .filter(|meter| meter.protection != Protection::None)
            .map(|meter| format!("{} {}\n", meter.id(), meter.key_hex))
            .collect();
        write(&self.dir.join("meters.keys"), 0o600, &keys)?;
        if let Some(more) = &settings.more {
            write(&self.dir.join(More::FILE), 0o600, &more.keys)?;
        }
        write(&self.config(), 0o644, &self.configuration(settings))
    }

    fn configuration(&self, settings: &Settings) -> String {
        let path = |path: PathBuf| quoted(&path.to_string_lossy());
        let unit = self.kit.unit(&settings.unit);
        let signing_key = self.kit.device_key(&settings.unit);
        let signing_key =
            if signing_key.is_file() { format!("signing_key = {}\n", path(signing_key)) } else { String::new() };
        format!(
            "# Written by `dcu simulate`.\n\
             [unit]\n\
             utility = \"{UTILITY}\"\n\
             id = {id}\n\
             state_dir = {state}\n\n\
             {receivers}\
             [meters]\n\
             keys = {meters}\n\
             policy = {policy}\n\n\
             [store]\n\
             commit_window = {commit_window}\n\
             seal_age = {seal_age}\n\n\
             [uplink]\n\
             broker = {broker}\n\
             server_name = {server_name}\n\
             ca = {ca}\n\
             certificate = {certificate}\n\
             key = {key}\n\
             trust = {trust}\n\
             {signing_key}\
             republish_first = \"10s\"\n\
             backoff_first = \"250ms\"\n\
             backoff_last = \"2s\"\n\n\
             [time]\n\
             source = \"trusted\"\n\n\
             [control]\n\
             socket = {socket}\n\
             group = \"\"\n\n\
             [log]\n\
             level = {log}\n\n\
             {more}",
            id = quoted(&settings.unit),
            state = path(settings.state.clone().unwrap_or_else(|| self.dir.join("state"))),
            receivers = settings.receivers.iter().map(Place::table).collect::<String>(),
            meters = path(self.dir.join("meters.keys")),
            policy = quoted(&settings.policy),
            commit_window = milliseconds(settings.commit_window),
            seal_age = milliseconds(settings.seal_age),
            broker = quoted(&format!("mqtts://{}", settings.broker)),
            server_name = quoted(&settings.server_name),
            ca = path(self.kit.ca()),
            certificate = path(unit.certificate),
            key = path(unit.key),
            trust = path(self.kit.trust()),
            socket = path(self.socket()),
            log = quoted(&settings.log),
            more = settings.more.as_ref().map_or("", |more| more.section.as_str()),
        )
    }
}

impl Place {
    /// Its table in the configuration. What can be told what to hear is told to hear C1 and T1.
    fn table(&self) -> String {
        let source = match &self.source {
            Source::Port(path) => format!("port = {}\n", quoted(&path.to_string_lossy())),
            Source::Command { words, .. } => {
                let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
                format!("command = [{}]\n", words.join(", "))
            }
        };
        let (name, kind) = (quoted(&self.name), self.kind.receiver);
        format!("[[wmbus]]\nname = {name}\nkind = \"{kind}\"\n{source}mode = \"c1+t1\"\n\n")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.is_temporary {
            // What cannot be removed is left for the system to clean.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A path of its own, on a disk where there is one: octets written to a file system in memory would count for nothing.
fn temporary() -> PathBuf {
    let base = if Path::new(DISK).is_dir() { PathBuf::from(DISK) } else { std::env::temp_dir() };
    base.join(format!("dcu-simulate-{}", std::process::id()))
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn milliseconds(duration: Duration) -> String {
    quoted(&format!("{}ms", duration.as_millis()))
}

/// The utility in the topics.
pub const UTILITY: &str = "simulation";
const DISK: &str = "/var/tmp";
/// Of `sockaddr_un`, without the end mark.
const SOCKET_PATH: usize = 107;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{Config, Gravity};
    use crate::reading::Rule;
    use crate::simulate::fleet::Fleet;

    fn settings() -> Settings {
        let place = |name: &str, source| Place { name: name.into(), kind: EmulatorKind::named(name).unwrap(), source };
        let words = vec!["/usr/bin/dcu".into(), "\"".into()];
        Settings {
            receivers: vec![
                place("im871a", Source::Port("/dev/null".into())),
                place("rtl_wmbus", Source::Command { words, socket: "air".into() }),
            ],
            unit: "dcu-1".into(),
            broker: ([127, 0, 0, 1], 4321).into(),
            server_name: "localhost".into(),
            policy: "all".into(),
            commit_window: Duration::from_millis(500),
            seal_age: Duration::from_secs(2),
            state: None,
            log: "info".into(),
            more: None,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do; time does not pass in these tests")]
    fn now() -> std::time::Instant {
        std::time::Instant::now()
    }

    fn today() -> jiff::civil::Date {
        jiff::Zoned::now().date()
    }

    #[test]
    fn the_written_configuration_is_legal_and_the_services_own() {
        let dir = tempfile::tempdir().unwrap();
        let scene = Scene::set(Some(dir.path().join("a \"b\" scene")), None, "dcu-1", today()).unwrap();
        let fleet = Fleet::new(5, None, 1, now());
        scene.write(fleet.meters(), &settings()).unwrap();
        let (config, absent) = Config::load(&scene.config()).unwrap();
        assert!(absent.iter().all(|fault| fault.gravity == Gravity::Absent), "{absent:?}");
        assert_eq!(config.wmbus.len(), 2);
        assert_eq!(config.unit.state_dir, scene.dir().join("state"));
        assert_eq!(config.meters.groups.default.rule, Rule::All);
        assert_eq!(config.store.seal_age, Duration::from_secs(2));
        assert_eq!(config.uplink.unwrap().broker.port, 4321);
        assert_eq!(config.control.socket, scene.socket());
        let keys = config.meters.keys.unwrap();
        assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
        // One of five speaks plainly.
        assert_eq!(fs::read_to_string(keys).unwrap().lines().count(), 4);
    }

    #[test]
    fn a_temporary_scene_goes_away_and_a_kept_one_stays() {
        let mut scene = Scene::set(None, None, "dcu-1", today()).unwrap();
        let dir = scene.dir().to_owned();
        assert!(dir.join("keys/ca.pem").is_file());
        scene.keep();
        drop(scene);
        assert!(dir.is_dir());
        // What another run left there is not touched.
        fs::write(dir.join("dcu.toml"), "").unwrap();
        assert!(matches!(Scene::set(Some(dir.clone()), None, "dcu-1", today()), Err(Error::Occupied(_))));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn keys_of_a_real_broker_must_all_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let set = |name: &str| Scene::set(Some(dir.path().join(name)), Some(&keys), "dcu-1", today());
        assert!(matches!(set("a"), Err(Error::NoKeys(_))));
        Kit::make(&keys, &Plan::default(), today()).unwrap();
        assert!(set("b").is_ok());
        fs::remove_file(keys.join("ingest.key")).unwrap();
        assert!(matches!(set("c"), Err(Error::NoKeys(path)) if path.ends_with("ingest.key")));
    }
}
