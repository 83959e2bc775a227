//! The files that a configuration names beside itself: what must be in them for the service to start, and what may
//! come later.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::mqtt::Transport;
use super::{chain, settings};
use crate::config::{Acknowledge, Config, Fault, Gravity};
use crate::journal::sync_parent;
use crate::registry::{KeyError, MeterKeys};
use crate::wire::signed::PrivateKey;
use crate::wire::trust::Trust;

/// What the service needs of the files, read before anything is made or opened.
#[derive(Debug)]
pub struct Files {
    pub(super) keys: MeterKeys,
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
        let mut trust = Trust::default();
        let mut device_key = None;
        if let Some(uplink) = &config.uplink {
            if let Acknowledge::HeadEnd { trust: path } = &uplink.acknowledge {
                let read = read(path).and_then(|text| {
                    Trust::from_toml(&text).map_err(|source| FileError::Trust { path: path.clone(), source })
                });
                match read {
                    Ok(read) => trust = read,
                    Err(error) => faults.push(wrong("uplink.trust", chain(&error))),
                }
            }
            match uplink.signing_key.as_deref().map(key_in).transpose() {
                Ok(key) => device_key = key,
                Err(error) => faults.push(wrong("uplink.signing_key", chain(&error))),
            }
        }
        if faults.is_empty() { Ok(Self { keys, trust, device_key }) } else { Err(faults) }
    }

    /// What is wrong with files that are read for every connection: the service starts, and takes them once they are
    /// mended.
    pub fn absent(config: &Config) -> Vec<Fault> {
        let Some(uplink) = &config.uplink else { return Vec::new() };
        let Transport::Tls(tls) = settings::broker(uplink, "", || 0).transport else { return Vec::new() };
        let error = tls.client_config(&uplink.broker.host).err();
        error.map(|error| Fault { gravity: Gravity::Absent, ..wrong("uplink", chain(&error)) }).into_iter().collect()
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

fn of_keys(error: &KeyError) -> Vec<String> {
    match error {
        KeyError::Faults { path, faults } => {
            faults.iter().map(|fault| format!("{}:{}: {}", path.display(), fault.line, fault.text)).collect()
        }
        error => vec![chain(error)],
    }
}

/// What keeps a directory from being made and written to, as far as that can be seen without doing it.
fn no_state_dir(path: &Path) -> Option<String> {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let said = there.display();
    if !there.is_dir() {
        return Some(format!("\"{said}\" is not a directory"));
    }
    let is_kernels = statfs(there).is_ok_and(|fs| [PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&fs.filesystem_type()));
    let is_read_only = statvfs(there).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY));
    (is_kernels || is_read_only).then(|| format!("\"{said}\" is on a file system that cannot be written to"))
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
    std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
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
