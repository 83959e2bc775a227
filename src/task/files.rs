//! The files that a configuration names beside itself: what must be in them for the service to start, and what may
//! come later.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::Group;

use x509_parser::prelude::{FromDer, X509Certificate};

use super::mqtt::Transport;
use super::tls::Tls;
use super::{chain, electricity, settings};
use crate::config::{Acknowledge, Config, Control, Fault, Gravity, text_of};
use crate::control::{Refusal, RefusalKind};
use crate::journal::sync_parent;
use crate::reading::MeterId;
use crate::registry::{CredentialError, Credentials, KeyError, MeterKeys};
use crate::wire::signed::PrivateKey;
use crate::wire::trust::{Role, Trust};

/// What the service needs of the files, read before anything is made or opened.
#[derive(Debug)]
pub struct Files {
    pub(super) keys: MeterKeys,
    pub(super) credentials: Credentials,
    pub(super) trust: Trust,
    /// None: the unit has a key of its own.
    pub(super) device_key: Option<PrivateKey>,
}

impl Files {
    /// Reads them all.
    ///
    /// # Errors
    /// Every fault of [`Gravity::Wrong`].
    pub fn read(config: &Config) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        faults.extend(no_state_dir(&config.unit.state_dir).map(|text| wrong("unit.state_dir", text)));
        let keys = match config.meters.keys.as_deref().map(MeterKeys::load) {
            None => MeterKeys::default(),
            Some(Ok(keys)) => keys,
            Some(Err(error)) => {
                faults.extend(of_keys(&error).into_iter().map(|text| wrong("meters.keys", text)));
                MeterKeys::default()
            }
        };
        let credentials = match config.electricity.keys.as_deref().map(Credentials::load) {
            None => Credentials::default(),
            Some(Ok(credentials)) => credentials,
            Some(Err(error)) => {
                let texts = match error {
                    CredentialError::Faults { faults, .. } => faults,
                    error => vec![chain(&error)],
                };
                faults.extend(texts.into_iter().map(|text| wrong("electricity.keys", text)));
                Credentials::default()
            }
        };
        let peers = config.electricity.peers.as_deref().and_then(|path| trust_in(path).err());
        faults.extend(peers.map(|error| wrong("electricity.peers", chain(&error))));
        // Whether there is one where one is needed, the configuration says.
        let own_title = config.electricity.system_title.or(Some([0; 8]));
        for meter in &config.electricity.meters {
            let Some(channel) = config.electricity.channels.get(meter.channel) else { continue };
            // Whoever can be spoken with has all that it takes.
            if let Err(text) = electricity::client(
                meter,
                channel,
                credentials.of(meter.id).map(|credential| &**credential),
                own_title,
                None,
            ) {
                faults.push(wrong("electricity.keys", format!("{}: {text}", MeterId::SystemTitle(meter.id))));
            }
        }
        faults.extend(no_group(&config.control).map(|text| wrong("control.group", text)));
        let mut trust = Trust::default();
        let mut device_key = None;
        if let Some(uplink) = &config.uplink {
            if let Acknowledge::HeadEnd { trust: path } = &uplink.acknowledge {
                match trust_in(path) {
                    Ok(read) => trust = read,
                    Err(error) => faults.push(wrong("uplink.trust", chain(&error))),
                }
            }
            match uplink.signing_key.as_deref().map(key_in).transpose() {
                Ok(key) => device_key = key,
                Err(error) => faults.push(wrong("uplink.signing_key", chain(&error))),
            }
        }
        if faults.is_empty() { Ok(Self { keys, credentials, trust, device_key }) } else { Err(faults) }
    }

    /// What is wrong now and may be mended without another configuration: files that are read for every connection,
    /// which the service takes once they are right, and a disk that the kernel made read-only, for which it is worth
    /// starting again.
    pub fn absent(config: &Config) -> Vec<Fault> {
        let absent = |key: &str, text: String| Fault { gravity: Gravity::Absent, ..wrong(key, text) };
        let mut faults = Vec::new();
        faults.extend(read_only(&config.unit.state_dir).map(|text| absent("unit.state_dir", text)));
        let Some(uplink) = &config.uplink else { return faults };
        if let Acknowledge::HeadEnd { trust } = &uplink.acknowledge {
            let is_mute = |trust: &Trust| !trust.keys().iter().any(|key| key.roles.contains(&Role::Ingest));
            if read(trust).ok().and_then(|text| Trust::from_toml(&text).ok()).is_some_and(|trust| is_mute(&trust)) {
                let text =
                    format!("nobody in \"{}\" has the role ingest: no acknowledgement will count", trust.display());
                faults.push(absent("uplink.trust", text));
            }
        }
        if let Transport::Tls(tls) = settings::broker(uplink, "", || 0).transport {
            let unusable = tls.client_config(&uplink.broker.host).err().map(|error| chain(&error));
            let fault = unusable.or_else(|| outdated(&tls)).map(|text| absent("uplink.certificate", text));
            faults.extend(fault);
        }
        faults
    }
}

/// A file that the service needs and cannot use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}", path.display())]
    Key { path: PathBuf, source: crate::wire::signed::KeyError },
    #[error("{}", path.display())]
    Trust { path: PathBuf, source: crate::wire::trust::TrustError },
    #[error("draw a random key: {0}")]
    Random(String),
}

fn wrong(key: &str, text: String) -> Fault {
    Fault { gravity: Gravity::Wrong, line: None, key: key.to_owned(), text }
}

/// What the unit's clock says about the unit's certificate.
fn outdated(tls: &Tls) -> Option<String> {
    let chain = tls.chain().ok()?;
    let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
    let now = i64::try_from((tls.clock)()).ok()?;
    let validity = leaf.validity();
    let what = match now {
        now if now > validity.not_after.timestamp() => "has expired",
        now if now < validity.not_before.timestamp() => "is not valid yet by this unit's clock",
        _ => return None,
    };
    Some(format!("the certificate in \"{}\" {what}", tls.certificate.display()))
}

fn of_keys(error: &KeyError) -> Vec<String> {
    match error {
        KeyError::Faults { path, faults } => {
            faults.iter().map(|fault| format!("{}:{}: {}", path.display(), fault.line, fault.text)).collect()
        }
        error => vec![chain(error)],
    }
}

/// What keeps a directory from ever being made and written to, as far as that can be seen without doing it.
fn no_state_dir(path: &Path) -> Option<String> {
    let there = what_exists(path);
    if !there.is_dir() {
        return Some(format!("\"{}\" is not a directory", there.display()));
    }
    let is_kernels = statfs(there).is_ok_and(|fs| [PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&fs.filesystem_type()));
    is_kernels.then(|| format!("\"{}\" is on a file system that cannot be written to", there.display()))
}

/// The default group need not exist where the service was not installed.
fn no_group(control: &Control) -> Option<String> {
    let name = control.group.as_ref().filter(|name| Some(*name) != Control::default().group.as_ref())?;
    let is_there = Group::from_name(name).is_ok_and(|group| group.is_some());
    (!is_there).then(|| format!("there is no group {name:?} on this machine"))
}

fn read_only(path: &Path) -> Option<String> {
    let there = what_exists(path);
    let is_read_only = statvfs(there).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY));
    is_read_only.then(|| format!("\"{}\" is on a file system that is mounted read-only", there.display()))
}

fn what_exists(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

/// Units whose word for how far a meter was read is taken. Read when it is needed, so that one more costs no restart.
pub(super) fn peers(config: &Config) -> Result<Trust, Refusal> {
    let trusted = config.uplink.iter().filter_map(|uplink| match &uplink.acknowledge {
        Acknowledge::HeadEnd { trust } => Some(trust),
        Acknowledge::Broker => None,
    });
    let mut peers = Trust::default();
    for path in config.electricity.peers.iter().chain(trusted) {
        let read = trust_in(path).map_err(|error| Refusal::new(RefusalKind::Failed, chain(&error)))?;
        for key in read.keys() {
            // The same key in both files is the same unit's.
            drop(peers.add(key.name.clone(), &key.roles, key.dcu.clone(), key.key));
        }
    }
    Ok(peers)
}

fn trust_in(path: &Path) -> Result<Trust, FileError> {
    Trust::from_toml(&read(path)?).map_err(|source| FileError::Trust { path: path.to_owned(), source })
}

fn key_in(path: &Path) -> Result<PrivateKey, FileError> {
    PrivateKey::from_pem(&read(path)?).map_err(|source| FileError::Key { path: path.to_owned(), source })
}

/// The key of the unit's own, made at the first start.
pub(super) fn own_device_key(state_dir: &Path) -> Result<PrivateKey, FileError> {
    let path = state_dir.join("device-key.pem");
    if path.exists() {
        return key_in(&path);
    }
    let key = draw()?;
    // The public half lies beside it, for the head-end's trust file.
    let public = path.with_file_name("device-key.pub.pem");
    write(&public, key.public().to_pem().as_bytes(), 0o644)?;
    write(&path, key.to_pem().as_bytes(), 0o600)?;
    Ok(key)
}

fn draw() -> Result<PrivateKey, FileError> {
    loop {
        let mut octets = [0; 32];
        getrandom::fill(&mut octets).map_err(|error| FileError::Random(error.to_string()))?;
        if let Some(key) = PrivateKey::from_random(&octets) {
            return Ok(key);
        }
    }
}

fn read(path: &Path) -> Result<String, FileError> {
    text_of(path, LARGEST).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// Durable before it has its name; readable as `mode` says from its first moment on.
fn write(path: &Path, octets: &[u8], mode: u32) -> Result<(), FileError> {
    let new = path.with_extension("new");
    let written = || {
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(octets)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        sync_parent(path)
    };
    written().map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Octets of a key, or of whom the unit trusts.
const LARGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_device_key_of_its_own_is_made_once_and_is_nobody_elses_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let key = own_device_key(dir.path()).unwrap();
        assert_eq!(own_device_key(dir.path()).unwrap().id(), key.id());
        let mode = std::fs::metadata(dir.path().join("device-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let public = std::fs::read_to_string(dir.path().join("device-key.pub.pem")).unwrap();
        assert_eq!(crate::wire::signed::PublicKey::from_pem(&public).unwrap(), key.public());
    }

    #[test]
    fn a_state_directory_must_be_one_that_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for (path, expected) in [
            (dir.path().to_owned(), None),
            (dir.path().join("a/b/c"), None),
            (file.join("state"), Some(format!("\"{}\" is not a directory", file.display()))),
            ("/proc/nope/x".into(), Some("\"/proc\" is on a file system that cannot be written to".to_owned())),
        ] {
            assert_eq!(no_state_dir(&path), expected, "{}", path.display());
        }
    }

    #[test]
    fn a_disk_that_is_read_only_is_worth_another_start() {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let is_read_only =
            |mount: &&str| mount.split(' ').nth(3).is_some_and(|flags| flags.split(',').any(|f| f == "ro"));
        let path = |mount: &str| mount.split(' ').nth(1).map(std::path::PathBuf::from);
        let mut disks = mounts.lines().filter(is_read_only).filter_map(path);
        let Some(path) = disks.find(|path| path.is_dir() && no_state_dir(path).is_none()) else {
            return eprintln!("skipped: no disk is mounted read-only");
        };
        let unit = crate::config::Unit { state_dir: path.join("dcu"), ..Default::default() };
        let config = Config { unit, ..Config::default() };
        assert!(Files::read(&config).is_ok());
        let told = Files::absent(&config);
        assert!(told[0].text.ends_with("mounted read-only"), "{told:?}");
    }

    #[test]
    fn certificates_that_are_no_good_now_and_an_empty_trust_are_told_and_keep_nothing_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str| dir.path().join(name);
        for (years, expected) in [
            (1970..1971, Some("has expired")),
            (9000..9001, Some("is not valid yet by this unit's clock")),
            (1970..9001, None),
        ] {
            let mut params = rcgen::CertificateParams::new(vec!["dcu-1".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(years.start, 1, 2);
            params.not_after = rcgen::date_time_ymd(years.end, 1, 2);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            fs::write(of("ca.pem"), certificate.pem()).unwrap();
            let _ = fs::remove_file(of("key.pem"));
            write(&of("key.pem"), key.serialize_pem().as_bytes(), 0o600).unwrap();
            fs::write(of("trust.toml"), "").unwrap();
            let tls = crate::config::Tls {
                ca: of("ca.pem"),
                certificate: of("ca.pem"),
                key: of("key.pem"),
                server_name: "localhost".into(),
                accepts_1_2: false,
            };
            let broker = crate::config::Broker { host: "localhost".into(), port: 8883 };
            let trust = Acknowledge::HeadEnd { trust: of("trust.toml") };
            let uplink = Some(crate::config::Uplink::new(broker, Some(tls), trust));
            let unit = crate::config::Unit { state_dir: of("state"), ..Default::default() };
            let config = Config { unit, uplink, ..Config::default() };
            let told: Vec<String> = Files::absent(&config).into_iter().map(|fault| fault.text).collect();
            assert!(told[0].ends_with("has the role ingest: no acknowledgement will count"), "{told:?}");
            assert_eq!(
                told.get(1).map(|text| text.contains(expected.unwrap_or("?"))),
                expected.map(|_| true),
                "{told:?}"
            );
            assert!(Files::read(&config).is_ok());
        }
    }

    #[test]
    fn every_faulty_file_is_told_at_once_and_no_key_is_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("meters.keys");
        write(&keys, b"12345678 00112233445566778899aabbccddee\n# good\n8765432x aabb\n", 0o600).unwrap();
        let trust = dir.path().join("trust.toml");
        fs::write(&trust, "not toml").unwrap();
        let signing_key = dir.path().join("key.pem");
        fs::write(&signing_key, "none").unwrap();
        let mut config = Config::default();
        config.meters.keys = Some(keys);
        let broker = crate::config::Broker { host: "localhost".into(), port: 1883 };
        let mut uplink = crate::config::Uplink::new(broker, None, Acknowledge::HeadEnd { trust });
        uplink.signing_key = Some(signing_key);
        config.unit.state_dir = dir.path().join("state");
        config.uplink = Some(uplink);
        let faults = Files::read(&config).unwrap_err();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["meters.keys", "meters.keys", "uplink.trust", "uplink.signing_key"]);
        assert!(faults[0].text.contains("meters.keys:1: ") && faults[1].text.contains("meters.keys:3: "), "{faults:?}");
        assert!(faults.iter().all(|fault| !fault.text.contains("001122")), "{faults:?}");
        assert!(!config.unit.state_dir.exists());
    }
}
