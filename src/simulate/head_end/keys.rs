//! Certificates and keys for trying things out: a small CA, a broker, units, a head-end, and a configuration for mosquitto.
//!
//! A real installation gets its certificates from a CA of its own. Nothing is ever overwritten unless that is asked for.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::{Span, ToSpan};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use crate::wire::signed::{KeyError, PrivateKey, PublicKey};
use crate::wire::trust::{self, Role};

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// DNS names and addresses that the broker is reached by; the first names it.
    pub broker: Vec<String>,
    /// Identifiers of units, as in topics.
    pub units: Vec<String>,
    /// How long certificates are valid.
    pub days: u32,
    /// Take the place of what is there.
    pub force: bool,
}

impl Default for Plan {
    fn default() -> Self {
        let broker = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        Self { broker, units: vec!["dcu-1".into()], days: 730, force: false }
    }
}

/// A directory that holds what [`Kit::make`] made.
#[derive(Debug, Clone)]
pub struct Kit {
    dir: PathBuf,
}

/// A certificate and its key, PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// One file and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub path: PathBuf,
    pub purpose: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("already there, and left alone: {}", list(.0))]
    Exists(Vec<PathBuf>),
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("`{0}` cannot name a unit: letters, digits, - _ . are allowed, and no name of the kit's own files")]
    Name(String),
    #[error("the broker needs a name")]
    NoBroker,
    #[error("make a certificate or a key")]
    Certificate(#[from] rcgen::Error),
    #[error("read a key that was just made")]
    Key(#[from] KeyError),
    #[error("{days} days from {from} are out of the calendar")]
    Calendar { from: Date, days: u32 },
}

impl Kit {
    /// The kit that was made in `dir`; whether it is there shows when its files are read.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Makes everything and writes it to `dir`. Keys get mode 0600.
    pub fn make(dir: &Path, plan: &Plan, today: Date) -> Result<(Self, Vec<Made>), Error> {
        let kit = Self::at(dir);
        let files = kit.files(plan, today)?;
        let existing: Vec<_> = files.iter().map(|file| kit.dir.join(&file.name)).filter(|path| path.exists()).collect();
        if !existing.is_empty() && !plan.force {
            return Err(Error::Exists(existing));
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        fs::create_dir_all(dir).map_err(failed(dir))?;
        for path in &existing {
            fs::remove_file(path).map_err(failed(path))?;
        }
        let mut made = Vec::new();
        for File { name, purpose, text, is_secret } in files {
            let path = kit.dir.join(name);
            let mode = if is_secret { 0o600 } else { 0o644 };
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(failed(&path))?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&path))?;
            made.push(Made { path, purpose });
        }
        Ok((kit, made))
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub fn broker(&self) -> Identity {
        self.identity("broker")
    }

    pub fn head_end(&self) -> Identity {
        self.identity(HEAD_END)
    }

    /// What the unit shows the broker.
    pub fn unit(&self, id: &str) -> Identity {
        self.identity(id)
    }

    /// What the unit signs its checkpoints with.
    pub fn device_key(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.device.key"))
    }

    /// What the head-end signs its acknowledgements with.
    pub fn ingest_key(&self) -> PathBuf {
        self.dir.join("ingest.key")
    }

    /// What somebody signs commands with, by the name of the role: `installer`, `officer-1`, `switcher-1` and so on.
    pub fn command_key(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }

    /// Whom the units believe: the public halves of the ingest key and of those that sign commands.
    pub fn trust(&self) -> PathBuf {
        self.dir.join("trust.toml")
    }

    /// The public halves of all device keys, for the head-end.
    pub fn devices(&self) -> PathBuf {
        self.dir.join("devices.toml")
    }

    pub fn mosquitto_conf(&self) -> PathBuf {
        self.dir.join("mosquitto.conf")
    }

    fn identity(&self, name: &str) -> Identity {
        let file = |ending| self.dir.join(format!("{name}.{ending}"));
        Identity { certificate: file("pem"), key: file("key") }
    }

    fn files(&self, plan: &Plan, today: Date) -> Result<Vec<File>, Error> {
        if let Some(name) = plan.units.iter().find(|name| !is_unit_name(name)) {
            return Err(Error::Name(name.clone()));
        }
        let broker_name = plan.broker.first().ok_or(Error::NoBroker)?;
        let authority = Authority::new(today, plan.days)?;
        let mut files = vec![
            File::public(
                "ca.pem",
                "the CA's certificate: broker, units and head-end trust it",
                authority.certificate.pem(),
            ),
            File::secret("ca.key", "the CA's key: only for making more certificates", authority.key.serialize_pem()),
        ];
        let (pem, key) = authority.issue(broker_name, &plan.broker, ExtendedKeyUsagePurpose::ServerAuth)?;
        files.push(File::public(
            "broker.pem",
            format!("the broker's certificate, for {}", plan.broker.join(", ")),
            pem,
        ));
        files.push(File::secret("broker.key", "the broker's key", key));
        let (pem, key) = authority.issue(HEAD_END, &[], ExtendedKeyUsagePurpose::ClientAuth)?;
        files.push(File::public("head-end.pem", "the head-end's certificate: who it is to the broker", pem));
        files.push(File::secret("head-end.key", "its key", key));
        let ingest = KeyPair::generate()?;
        files.push(File::secret("ingest.key", "signs the head-end's acknowledgements (ES256)", ingest.serialize_pem()));
        let roles = [Role::Ingest, Role::Reader];
        let mut trust = trust::to_toml(HEAD_END, &roles, None, &public(&ingest)?);
        for (name, roles, purpose) in COMMANDERS {
            let key = KeyPair::generate()?;
            files.push(File::secret(format!("{name}.key"), purpose, key.serialize_pem()));
            trust.push_str(&trust::to_toml(name, roles, None, &public(&key)?));
        }
        let purpose = "uplink.trust of every unit: whose acknowledgements and commands count";
        files.push(File::public("trust.toml", purpose, trust));
        let mut devices = String::new();
        for unit in &plan.units {
            let (pem, key) = authority.issue(unit, &[], ExtendedKeyUsagePurpose::ClientAuth)?;
            files.push(File::public(format!("{unit}.pem"), format!("uplink.certificate of unit {unit}"), pem));
            files.push(File::secret(format!("{unit}.key"), "uplink.key: the key of that certificate", key));
            let device = KeyPair::generate()?;
            let purpose = "uplink.signing_key: signs its checkpoints (ES256)";
            files.push(File::secret(format!("{unit}.device.key"), purpose, device.serialize_pem()));
            devices.push_str(&trust::to_toml(unit, &[Role::Device], Some(unit), &public(&device)?));
        }
        let purpose = "public halves of the device keys: `dcu head-end verify --devices` checks checkpoints with it";
        files.push(File::public("devices.toml", purpose, devices));
        let purpose = "access list: the head-end everything, each unit its own topics";
        files.push(File::public("mosquitto.acl", purpose, ACL.to_owned()));
        let dir = fs::canonicalize(&self.dir).unwrap_or_else(|_| self.dir.clone());
        files.push(File::public("mosquitto.conf", "for a broker: mosquitto -c mosquitto.conf", mosquitto_conf(&dir)));
        Ok(files)
    }
}

struct File {
    name: String,
    purpose: String,
    text: String,
    is_secret: bool,
}

impl File {
    fn public(name: impl Into<String>, purpose: impl Into<String>, text: String) -> Self {
        Self { name: name.into(), purpose: purpose.into(), text, is_secret: false }
    }

    fn secret(name: impl Into<String>, purpose: impl Into<String>, text: String) -> Self {
        Self { name: name.into(), purpose: purpose.into(), text, is_secret: true }
    }
}

struct Authority {
    certificate: Certificate,
    key: KeyPair,
    validity: (Date, Date),
}

impl Authority {
    fn new(today: Date, days: u32) -> Result<Self, Error> {
        let calendar = |_| Error::Calendar { from: today, days };
        // A day earlier, for clocks that are not quite right.
        let begin = today.checked_sub(1.day()).map_err(calendar)?;
        let end = Span::new().try_days(days).and_then(|span| today.checked_add(span)).map_err(calendar)?;
        let key = KeyPair::generate()?;
        let mut params = params("DCU trial CA", &[], (begin, end))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { certificate: params.self_signed(&key)?, key, validity: (begin, end) })
    }

    /// A certificate and its key, both PEM.
    fn issue(&self, name: &str, names: &[String], usage: ExtendedKeyUsagePurpose) -> Result<(String, String), Error> {
        let key = KeyPair::generate()?;
        let mut params = params(name, names, self.validity)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.certificate, &self.key)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn params(name: &str, names: &[String], (begin, end): (Date, Date)) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    let day =
        |date: Date| rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
    params.not_before = day(begin);
    params.not_after = day(end);
    Ok(params)
}

fn public(key: &KeyPair) -> Result<PublicKey, KeyError> {
    PrivateKey::from_pem(&key.serialize_pem()).map(|key| key.public())
}

/// It becomes a file name and a level of topics.
fn is_unit_name(name: &str) -> bool {
    let is_taken = ["ca", "broker", HEAD_END, "ingest", "trust", "devices"].contains(&name)
        || COMMANDERS.iter().any(|(commander, ..)| *commander == name);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && !is_taken && name.chars().all(is_plain)
}

fn mosquitto_conf(dir: &Path) -> String {
    let path = |name| dir.join(name).display().to_string();
    format!(
        "# Mutual TLS: who has a certificate of the CA may connect, and is known by the certificate's common name.\n\
         listener 8883\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nuse_identity_as_username true\n\
         acl_file {}\n# Room for a consumer that is away: mosquitto drops what does not fit, after it has said that it has it.\n\
         max_queued_messages 100000\n# Only when root starts it: the key files are root's.\nuser root\n",
        path("ca.pem"),
        path("broker.pem"),
        path("broker.key"),
        path("mosquitto.acl"),
    )
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

const HEAD_END: &str = "head-end";

/// Who signs commands. What concerns a whole network takes both officers.
const COMMANDERS: [(&str, &[Role], &str); 5] = [
    ("installer", &[Role::Installer, Role::Operator], "signs commands about nodes and routes (ES256)"),
    ("officer-1", &[Role::CryptoOfficer], "signs commands about keys (ES256), together with the next"),
    ("officer-2", &[Role::CryptoOfficer], "signs commands about keys (ES256), together with the one before"),
    ("switcher", &[Role::Switcher], "signs commands to valves (ES256), where it may be dangerous with the next"),
    ("switcher-2", &[Role::Switcher], "signs commands to valves (ES256), together with the one before"),
];

const ACL: &str = "user head-end\ntopic readwrite dcu/v1/#\n\n# %u: the certificate's common name, the unit's identifier\npattern readwrite dcu/v1/+/%u/#\n";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jiff::civil::date;

    use super::*;

    fn make(dir: &Path, plan: &Plan) -> Result<(Kit, Vec<Made>), Error> {
        Kit::make(dir, plan, date(2025, 6, 1))
    }

    #[test]
    fn every_key_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (_, made) = make(dir.path(), &Plan::default()).unwrap();
        let keys: Vec<_> = made.iter().filter(|made| made.path.extension().is_some_and(|e| e == "key")).collect();
        assert_eq!(keys.len(), 11);
        for key in keys {
            assert_eq!(fs::metadata(&key.path).unwrap().permissions().mode() & 0o777, 0o600, "{key:?}");
        }
        assert!(made.iter().all(|made| !made.purpose.is_empty()));
    }

    #[test]
    fn nothing_is_overwritten_unless_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let (kit, made) = make(dir.path(), &Plan::default()).unwrap();
        let before = fs::read(kit.ingest_key()).unwrap();
        let Err(Error::Exists(existing)) = make(dir.path(), &Plan::default()) else { panic!("it was overwritten") };
        assert_eq!(existing.len(), made.len());
        assert_eq!(fs::read(kit.ingest_key()).unwrap(), before);
        make(dir.path(), &Plan { force: true, ..Plan::default() }).unwrap();
        assert_ne!(fs::read(kit.ingest_key()).unwrap(), before);
    }

    #[test]
    fn a_unit_cannot_be_named_like_a_path_or_a_file_of_the_kit() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["", "../dcu", "a/b", "ca", "head-end", "officer-1", ".dcu", "a+b", "dcu#"] {
            let plan = Plan { units: vec![name.into()], ..Plan::default() };
            assert!(matches!(make(dir.path(), &plan), Err(Error::Name(_))), "{name}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
