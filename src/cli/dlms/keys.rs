//! The keys file: TOML, with what a client must know of a meter. Its invocation counter is moved on, durably, before
//! counters are used. No value of it is ever repeated in an error.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use dlms::security::{AuthenticationKey, EncryptionKey, Secret, SigningKey, Suite, SystemTitle, VerifyingKey};
use toml_edit::{ImDocument, Value};

use crate::cli::{Exit, Failure, exit_of};
use crate::config::text_of;
use crate::journal::sync_parent;
use crate::task::lock;

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The client's.
    pub(super) system_title: Option<SystemTitle>,
    /// The meter's, where its AARE does not say it.
    pub(super) meter_system_title: Option<SystemTitle>,
    pub(super) password: Option<Secret>,
    pub(super) suite: Suite,
    pub(super) authentication_key: Option<AuthenticationKey>,
    pub(super) encryption_key: Option<EncryptionKey>,
    pub(super) signing_key: Option<SigningKey>,
    pub(super) meter_public_key: Option<VerifyingKey>,
    pub(super) counter: Option<Counter>,
    said: Option<u32>,
}

/// The invocation counter in the file: the next one that may be used.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    path: PathBuf,
    /// As the file says it.
    said: Option<u32>,
    /// The first that may be used, by the meter.
    floor: u32,
    /// What was reserved last.
    reserved: Option<Range<u32>>,
}

impl Keys {
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let said = crate::config::named(path);
        let text = text_of(path, LIMIT).map_err(|error| {
            Failure::new(exit_of(&error), anyhow::Error::new(error).context(format!("read keys {said}")))
        })?;
        let mut keys =
            Self::parse(&text).map_err(|fault| Failure::said(Exit::Configuration, format!("{said}: {fault}")))?;
        if crate::config::private(path).is_err() {
            eprintln!("dcu: others may read the keys in {said}: chmod 0600 {said}");
        }
        let path = path.canonicalize()?;
        keys.counter = Some(Counter { said: keys.said, ..Counter::new(path) });
        Ok(keys)
    }

    /// Reads the text of a keys file; a fault is told by its line, without what stands there.
    fn parse(text: &str) -> Result<Self, String> {
        let document = ImDocument::parse(text).map_err(|error| {
            format!("line {}: this is not TOML", error.span().map_or(1, |span| line(text, span.start)))
        })?;
        let mut keys = Self::default();
        let fields: Vec<Field<'_>> = document
            .iter()
            .map(|(name, item)| Field {
                name,
                value: item.as_value(),
                line: line(text, item.span().map_or(0, |at| at.start)),
            })
            .collect();
        if let Some(unknown) = fields.iter().find(|field| !NAMES.contains(&field.name)) {
            return Err(format!("line {}: a key that is not known; known are {}", unknown.line, NAMES.join(", ")));
        }
        let find = |name| fields.iter().find(|field| field.name == name);
        keys.system_title = find("system_title").map(Field::title).transpose()?;
        keys.meter_system_title = find("meter_system_title").map(Field::title).transpose()?;
        keys.password = find("password").map(Field::password).transpose()?;
        keys.said = find("invocation_counter").map(Field::counter).transpose()?;
        let encryption = find("encryption_key").map(|field| Ok::<_, String>((field, field.hex()?))).transpose()?;
        keys.suite = match find("security_suite") {
            Some(field) => field.suite()?,
            None if encryption.as_ref().is_some_and(|(_, octets)| octets.len() == 32) => Suite::Two,
            None if find("signing_key").is_some() => Suite::One,
            None => Suite::Zero,
        };
        let suite = keys.suite;
        if let Some((field, octets)) = encryption {
            if octets.len() != suite.key_length() {
                return Err(field.fault(&format!("must have {} hex digits", 2 * suite.key_length())));
            }
            keys.encryption_key = Some(EncryptionKey::new(&octets).map_err(|_| field.fault("is no key"))?);
        }
        if let Some(field) = find("authentication_key") {
            let octets = field.hex()?;
            if octets.len() != suite.key_length() {
                return Err(field.fault(&format!("must have {} hex digits", 2 * suite.key_length())));
            }
            keys.authentication_key = Some(AuthenticationKey::new(&octets).map_err(|_| field.fault("is no key"))?);
        }
        if let Some(field) = find("signing_key") {
            let key = SigningKey::new(suite, &field.hex()?);
            keys.signing_key = Some(key.map_err(|_| field.fault("is no private key of the suite's curve"))?);
        }
        if let Some(field) = find("meter_public_key") {
            let key = VerifyingKey::new(suite, &field.hex()?);
            keys.meter_public_key = Some(key.map_err(|_| field.fault("is no public key of the suite's curve"))?);
        }
        Ok(keys)
    }
}

impl Counter {
    fn new(path: PathBuf) -> Self {
        Self { path, said: None, floor: 0, reserved: None }
    }

    pub(super) fn is_said(&self) -> bool {
        self.said.is_some()
    }

    /// Goes on above the last one that the meter has had. Who speaks in the meter's place could use up all there are.
    pub(super) fn raise(&mut self, last: u32) -> Result<(), String> {
        if self.said.is_some_and(|said| last > said.saturating_add(FURTHEST)) {
            return Err(format!(
                "the meter says that its last invocation counter was {last}, which is too far from that of the keys file: \
                 set invocation_counter there, if it is so"
            ));
        }
        self.floor = last.saturating_add(1);
        Ok(())
    }

    /// Reserves counters that nobody used before: they are used once the file says so durably.
    pub(super) fn reserve(&mut self) -> Result<Range<u32>, Failure> {
        let (mut reserved, floor) = (0..0, self.floor);
        let written = self.rewrite(|next| {
            let next = next.max(floor);
            reserved = next..next.saturating_add(BLOCK);
            (reserved.end > next).then_some(reserved.end)
        });
        written.map_err(|error| {
            let context = "reserve invocation counters in the keys file, which has to be writable";
            Failure::new(Exit::Failed, anyhow::Error::new(error).context(context))
        })?;
        if reserved.is_empty() {
            let text = format!(
                "{}: invocation_counter is {}, the last one, so all are used up: give the meter new keys, write them into \
                 the file and set invocation_counter to 1",
                self.path.display(),
                reserved.start
            );
            return Err(Failure::said(Exit::Configuration, text));
        }
        self.reserved = Some(reserved.clone());
        Ok(reserved)
    }

    /// Gives back what was not used, unless another one reserved more meanwhile.
    pub(super) fn give_back(&mut self, left: u32) -> io::Result<()> {
        let Some(reserved) = self.reserved.take().filter(|_| left > 0) else { return Ok(()) };
        self.rewrite(|next| {
            let first = reserved.end - left.min(reserved.end - reserved.start);
            (next == reserved.end).then_some(first)
        })
    }

    /// Puts another counter in the place of the one in the file, and changes nothing else of it.
    fn rewrite(&self, change: impl FnOnce(u32) -> Option<u32>) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let _lock = lock::directory(directory)?;
        let text = text_of(&self.path, LIMIT)?;
        let document = ImDocument::parse(text.as_str())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no TOML any more"))?;
        let item = document.get("invocation_counter");
        let next = match item {
            None => FIRST,
            Some(item) => item
                .as_integer()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its invocation_counter is no counter"))?,
        };
        let Some(number) = change(next) else { return Ok(()) };
        let text = match item.and_then(toml_edit::Item::span) {
            Some(span) => {
                let (before, after) = (text.get(..span.start), text.get(span.end..));
                format!("{}{number}{}", before.unwrap_or_default(), after.unwrap_or_default())
            }
            // Before all else: behind a table it would belong to it.
            None => format!("invocation_counter = {number}\n{text}"),
        };
        replace(&self.path, text.as_bytes())
    }
}

/// One line of the file.
#[derive(Debug)]
struct Field<'a> {
    name: &'a str,
    value: Option<&'a Value>,
    line: usize,
}

impl Field<'_> {
    fn fault(&self, what: &str) -> String {
        format!("line {}: {} {what}", self.line, self.name)
    }

    fn text(&self) -> Result<&str, String> {
        self.value.and_then(Value::as_str).ok_or_else(|| self.fault("must be a string"))
    }

    fn hex(&self) -> Result<Vec<u8>, String> {
        let digits = self.text()?.split([' ', ':', '-']).collect::<String>();
        hex::decode(digits).map_err(|_| self.fault("must be hex digits"))
    }

    fn title(&self) -> Result<SystemTitle, String> {
        let text = self.text()?;
        if let Ok(octets) = text.as_bytes().try_into() {
            return Ok(SystemTitle(octets));
        }
        let wrong = |_| self.fault("must be 16 hex digits, or 8 letters");
        self.hex().map_err(wrong)?.as_slice().try_into().map_err(|_| self.fault("must be 16 hex digits, or 8 letters"))
    }

    /// Text as it is; octets in hex behind `0x`.
    fn password(&self) -> Result<Secret, String> {
        let text = self.text()?;
        match text.strip_prefix("0x") {
            None => Ok(Secret::new(text.as_bytes())),
            Some(digits) => {
                let octets = hex::decode(digits);
                octets.map(|octets| Secret::new(&octets)).map_err(|_| self.fault("must be hex digits behind 0x"))
            }
        }
    }

    fn counter(&self) -> Result<u32, String> {
        let number = self.value.and_then(Value::as_integer).and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| self.fault("must be a number from 0 to 4294967295"))
    }

    fn suite(&self) -> Result<Suite, String> {
        let number = self.value.and_then(Value::as_integer).and_then(|number| u8::try_from(number).ok());
        number.and_then(|number| Suite::try_from(number).ok()).ok_or_else(|| self.fault("must be 0, 1 or 2"))
    }
}

/// Puts `octets` in the place of a file, in one step, for the same owner and the same readers.
fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let old = std::fs::metadata(path)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // What a run that was cut off left behind.
    let _ = std::fs::remove_file(&beside);
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(octets)?;
        if (file.metadata()?.uid(), file.metadata()?.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(old.permissions().mode() & 0o777))?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        sync_parent(path)
    };
    written().inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|octet| *octet == b'\n').count() + 1
}

const NAMES: &[&str] = &[
    "system_title",
    "password",
    "authentication_key",
    "encryption_key",
    "invocation_counter",
    "security_suite",
    "signing_key",
    "meter_public_key",
    "meter_system_title",
];
/// Octets of a keys file.
const LIMIT: u64 = 64 << 10;
/// Counters that are reserved at once.
const BLOCK: u32 = 256;
/// Counters that an unproven word of the meter may skip.
const FURTHEST: u32 = 1 << 24;
/// The counter of a file that says none.
const FIRST: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f";

    #[track_caller]
    fn wrong(text: &str, expected: &str) {
        assert_eq!(Keys::parse(text).err().as_deref(), Some(expected));
    }

    #[test]
    fn a_keys_file_is_read() {
        let text = format!(
            "# of the transformer\nsystem_title = \"4443550000000001\"\npassword = \"12345678\"\n\
             authentication_key = \"{KEY}\"\nencryption_key = \"00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F\"\n\
             invocation_counter = 7\n"
        );
        let keys = Keys::parse(&text).unwrap();
        assert_eq!(keys.system_title, Some(SystemTitle(*b"DCU\0\0\0\0\x01")));
        assert_eq!(keys.password, Some(Secret::new(b"12345678")));
        assert_eq!(keys.authentication_key, AuthenticationKey::new(&hex::decode(KEY).unwrap()).ok());
        assert!(keys.encryption_key.is_some() && keys.suite == Suite::Zero);
        assert_eq!(Keys::parse("system_title = \"GRX12345\"").unwrap().system_title, Some(SystemTitle(*b"GRX12345")));
        assert_eq!(Keys::parse("password = \"0x0102\"").unwrap().password, Some(Secret::new(&[1, 2])));
        let two = format!("encryption_key = \"{KEY}{KEY}\"\n");
        assert_eq!(Keys::parse(&two).unwrap().suite, Suite::Two);
        assert_eq!(Keys::parse("").unwrap().suite, Suite::Zero);
    }

    #[test]
    fn a_fault_is_told_by_its_line_and_no_secret_is_repeated() {
        wrong("\nencryption_key = \"00\"", "line 2: encryption_key must have 32 hex digits");
        wrong("authentication_key = 12345678", "line 1: authentication_key must be a string");
        wrong("password = 12345678", "line 1: password must be a string");
        wrong("system_title = \"4443\"", "line 1: system_title must be 16 hex digits, or 8 letters");
        wrong("invocation_counter = -1", "line 1: invocation_counter must be a number from 0 to 4294967295");
        wrong("security_suite = 3", "line 1: security_suite must be 0, 1 or 2");
        wrong(&format!("a = 1\nb = {KEY}x\n"), "line 2: this is not TOML");
        wrong(
            "meter_public_key = \"00\"\nsecurity_suite = 1",
            "line 1: meter_public_key is no public key of the suite's curve",
        );
        let unknown = Keys::parse("passwort = \"geheim\"").unwrap_err();
        assert!(unknown.starts_with("line 1: a key that is not known") && !unknown.contains("geheim"), "{unknown}");
        let keys = Keys::parse(&format!("password = \"geheim\"\nencryption_key = \"{KEY}\"")).unwrap();
        let said = format!("{keys:?}");
        assert!(!said.contains("geheim") && !said.contains(&KEY[4..]), "{said}");
    }

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("meter.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_counter_is_in_the_file_before_it_is_used_and_the_rest_of_the_file_stays() {
        let (_directory, path) = written("password = \"a\" # of the fitter\ninvocation_counter = 41 # next\n");
        let mut first = Counter::new(path.clone());
        assert_eq!(first.reserve().unwrap(), 41..297);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "password = \"a\" # of the fitter\ninvocation_counter = 297 # next\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        // Somebody else meanwhile: nothing is given back below what he has.
        let mut second = first.clone();
        assert_eq!(second.reserve().unwrap(), 297..553);
        first.give_back(250).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("= 553 "));
        second.give_back(250).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("= 303 "));
    }

    #[test]
    fn a_file_without_a_counter_gets_one_and_the_last_counter_is_the_end() {
        let (_directory, path) = written("[table]\n");
        let mut counter = Counter::new(path.clone());
        assert_eq!(counter.reserve().unwrap(), 1..257);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "invocation_counter = 257\n[table]\n");
        std::fs::write(&path, "invocation_counter = 4294967295\n").unwrap();
        let Failure { exit, error } = counter.reserve().unwrap_err();
        let said = error.unwrap().to_string();
        assert!(exit == Exit::Configuration && said.contains("4294967295, the last one") && said.contains("new keys"));
        std::fs::write(&path, "invocation_counter = \"geheim\"\n").unwrap();
        assert!(!format!("{:#}", counter.reserve().unwrap_err().error.unwrap()).contains("geheim"));
    }
}
