//! The file of meter keys: one line a meter or a kind of meter, `ID-OR-PATTERN KEY`.
//!
//! ```text
//! # comment
//! 12345678            000102030405060708090a0b0c0d0e0f
//! KAM-12345678-1b-16  000102030405060708090a0b0c0d0e0f   # more is stronger than less
//! KAM-*-1b            000102030405060708090a0b0c0d0e0f
//! *                   000102030405060708090a0b0c0d0e0f
//! 12345678            000102030405060708090a0b0c0d0e0f  id=2
//! wize=9              000102030405060708090a0b0c0d0e0f   # Kmac of the Wize network 9
//! ```
//!
//! The key is 32 hex digits (AES-128), or 16 (DES, security mode 2). A meter that names its keys by number may have a
//! line for each, `id=` 0 to 15; the one without is for all others. A meter takes the key of the pattern that says most about it; the
//! identification number weighs most. Kenc of a Wize device stands like any meter's key, `id=` being its number. The file must not be readable for others than its owner. All faults are told at
//! once, by line; a key is never repeated in them.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use foldhash::fast::RandomState;
use wmbus::{Address, Key, Keys};

use crate::config::{private, text_of};
use crate::reading::meter_id;
use crate::reading::{MeterId, MeterPattern, Shape};

/// Keys by pattern. `Debug` tells how many, not which.
#[derive(Clone, Default)]
pub struct MeterKeys {
    keys: HashMap<MeterPattern, Key, RandomState>,
    /// Keys that have a number.
    numbered: HashMap<(MeterPattern, u8), Key>,
    /// Kmac of Wize networks, by their number.
    networks: HashMap<u8, Key>,
    /// The shapes that occur, the one that says most first: as many look-ups as there are shapes.
    shapes: Vec<Shape>,
}

/// A key file that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("read meter keys {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("read meter keys: {0}")]
    Open(String),
    #[error("read meter keys {}: {}", path.display(), listed(faults))]
    Faults { path: PathBuf, faults: Vec<KeyFault> },
}

/// What is wrong in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFault {
    /// From 1.
    pub line: usize,
    pub text: String,
}

impl MeterKeys {
    /// Reads a file that only its owner may read.
    ///
    /// # Errors
    /// Says what keeps the file from being read, or every line that is wrong.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Read { path: path.to_owned(), source };
        private(path).map_err(KeyError::Open)?;
        let text = text_of(path, LIMIT).map_err(failed)?;
        Self::read(&text).map_err(|faults| KeyError::Faults { path: path.to_owned(), faults })
    }

    /// Reads the lines of a key file.
    ///
    /// # Errors
    /// Every line that is wrong, a second key for one pattern among them.
    pub fn read(text: &str) -> Result<Self, Vec<KeyFault>> {
        let mut this = Self::default();
        let mut lines: HashMap<(MeterPattern, Option<u8>), usize> = HashMap::new();
        let mut faults = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            match entry(text) {
                Ok(None) => {}
                Ok(Some(Line::Network(network, key))) => {
                    if this.networks.insert(network, key).is_some() {
                        faults.push(KeyFault { line, text: format!("wize={network} has a key already") });
                    }
                }
                Ok(Some(Line::Meter(Entry { pattern, key, id }))) => {
                    if let Some(first) = lines.get(&(pattern, id)) {
                        let text = format!("{pattern} has a key already in line {first}");
                        faults.push(KeyFault { line, text });
                        continue;
                    }
                    lines.insert((pattern, id), line);
                    match id {
                        Some(id) => this.numbered.insert((pattern, id), key),
                        None => this.keys.insert(pattern, key),
                    };
                }
                Err(text) => faults.push(KeyFault { line, text }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let shapes: BTreeSet<Shape> = lines.keys().map(|(pattern, _)| pattern.shape()).collect();
        this.shapes = shapes.into_iter().rev().collect();
        Ok(this)
    }

    pub fn len(&self) -> usize {
        self.keys.len() + self.numbered.len() + self.networks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is a key for the meter.
    pub fn has(&self, id: &MeterId) -> bool {
        self.of(id).is_some()
    }

    /// Whether there is one that is not for whatever meter.
    pub fn has_own(&self, address: &Address) -> bool {
        self.key(address).is_some() && !self.is_for_all(address)
    }

    /// Whether a line is for this meter and for no other number.
    pub fn names(&self, id: &MeterId) -> bool {
        let exact = MeterPattern::exactly(id);
        let patterns = self.shapes.iter().filter_map(|shape| exact.map(|exact| exact.masked(*shape)));
        let has_numbered = |pattern| (0..=LAST_ID).any(|id| self.numbered.contains_key(&(pattern, id)));
        patterns
            .filter(|pattern| pattern.identification.is_some())
            .any(|pattern| self.keys.contains_key(&pattern) || (!self.numbered.is_empty() && has_numbered(pattern)))
    }

    /// Tells the meter's key from others without telling it; 0 without a key.
    pub fn fingerprint(&self, id: &MeterId) -> u32 {
        self.of(id).map_or(0, Key::fingerprint)
    }

    fn of(&self, id: &MeterId) -> Option<&Key> {
        let exact = MeterPattern::exactly(id)?;
        self.shapes.iter().find_map(|shape| self.keys.get(&exact.masked(*shape)))
    }
}

impl Keys for MeterKeys {
    fn key(&self, address: &Address) -> Option<&Key> {
        self.of(&meter_id(address))
    }

    /// Its key is that of the line `*`.
    fn is_for_all(&self, address: &Address) -> bool {
        let all = self.keys.get(&MeterPattern::default());
        all.is_some_and(|all| self.key(address).is_some_and(|key| std::ptr::eq(key, all)))
    }

    fn numbered_key(&self, address: &Address, key_id: u8) -> Option<&Key> {
        let exact = MeterPattern::exactly(&meter_id(address)).filter(|_| !self.numbered.is_empty());
        let numbered = exact
            .and_then(|exact| self.shapes.iter().find_map(|shape| self.numbered.get(&(exact.masked(*shape), key_id))));
        numbered.or_else(|| self.key(address))
    }

    fn network_key(&self, network: u8) -> Option<&Key> {
        self.networks.get(&network)
    }
}

impl fmt::Debug for MeterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeterKeys").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// Reads 32 hex digits, or 16.
///
/// # Errors
/// Says what the text is instead, without repeating it.
pub fn parse_key(text: &str) -> Result<Key, String> {
    if !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Err("the key has other characters than hex digits".into());
    }
    let mut short = [0; 8];
    if hex::decode_to_slice(text, &mut short).is_ok() {
        return Ok(Key::short(short));
    }
    let mut octets = [0; 16];
    hex::decode_to_slice(text, &mut octets)
        .map_err(|_| format!("the key has {} hex digits, it must have 32, or 16 (DES, Diehl)", text.len()))?;
    Ok(Key::new(octets))
}

/// What a line says.
enum Line {
    Meter(Entry),
    /// Kmac of a Wize network.
    Network(u8, Key),
}

struct Entry {
    pattern: MeterPattern,
    key: Key,
    id: Option<u8>,
}

/// One line; None where there is nothing in it.
fn entry(line: &str) -> Result<Option<Line>, String> {
    let line = line.split_once('#').map_or(line, |(before, _)| before);
    let mut words = line.split_whitespace();
    let Some(pattern) = words.next() else { return Ok(None) };
    let key = words.next().ok_or("a line is ID KEY, and there is one word only")?;
    let id = words.next().map(key_id).transpose()?;
    if words.next().is_some() {
        return Err("a line is ID KEY [id=N], and there are more words".into());
    }
    if let Some(network) = pattern.strip_prefix("wize=") {
        let network = network.parse().map_err(|_| "a Wize network is a number from 0 to 255")?;
        return if id.is_none() {
            Ok(Some(Line::Network(network, parse_key(key)?)))
        } else {
            Err("the key of a Wize network has no id".into())
        };
    }
    // What stands in the wrong place may be a key: it is not repeated.
    let pattern = pattern.parse::<MeterPattern>().map_err(|error| error.to_string())?;
    Ok(Some(Line::Meter(Entry { pattern, key: parse_key(key)?, id })))
}

fn key_id(word: &str) -> Result<u8, String> {
    let id = word.strip_prefix("id=").and_then(|number| number.parse().ok()).filter(|id| *id <= LAST_ID);
    id.ok_or_else(|| "behind the key there may be id=N only, N from 0 to 15".into())
}

fn listed(faults: &[KeyFault]) -> String {
    let shown: Vec<String> = faults.iter().take(MANY).map(ToString::to_string).collect();
    let more = faults.len().saturating_sub(MANY);
    if more == 0 { shown.join("; ") } else { format!("{}; and {more} more faults", shown.join("; ")) }
}

/// The last of the numbers that a key may have.
const LAST_ID: u8 = 15;
/// Octets; some hundred thousand meters.
pub(super) const LIMIT: u64 = 16 << 20;
/// Faults that one message lists.
const MANY: usize = 20;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff";

    #[track_caller]
    fn check(text: &str, expected: &[(usize, &str)]) {
        let faults = MeterKeys::read(text).err().unwrap_or_default();
        let faults: Vec<_> = faults.iter().map(|fault| (fault.line, fault.text.as_str())).collect();
        assert_eq!(faults, expected);
    }

    fn address(text: &str) -> Address {
        let MeterId::MBus { manufacturer, identification, version, device_type } = text.parse().unwrap() else {
            unreachable!()
        };
        Address { manufacturer: manufacturer.0, identification, version, device_type }
    }

    #[test]
    fn the_pattern_that_says_most_gives_the_key() {
        let line = |pattern: &str, first: u8| format!("{pattern} {first:02x}112233445566778899aabbccddeeff\n");
        let text = line("*", 1)
            + &line("KAM", 2)
            + &line("KAM-*-1b", 3)
            + &line("12345678", 4)
            + &line("KAM-12345678-1b-16", 5);
        let keys = MeterKeys::read(&text).unwrap();
        let first = |id: &str| {
            let key = keys.key(&address(id)).unwrap().clone();
            (1..=5).find(|n| key == parse_key(line("", *n).trim()).unwrap()).unwrap()
        };
        assert_eq!(first("KAM-12345678-1b-16"), 5);
        assert_eq!(first("ELS-12345678-1b-16"), 4);
        assert_eq!(first("KAM-12345679-1b-16"), 3);
        assert_eq!(first("KAM-12345679-1c-16"), 2);
        assert_eq!(first("ELS-12345679-1c-16"), 1);
        for id in ["KAM-12345678-1b-16", "ELS-12345678-1b-16", "KAM-12345679-1c-16"] {
            assert!(!keys.is_for_all(&address(id)), "{id}");
        }
        assert!(keys.is_for_all(&address("ELS-12345679-1c-16")));
        assert!(!MeterKeys::default().is_for_all(&address("ELS-12345679-1c-16")));
    }

    #[test]
    fn a_line_with_a_number_names_a_meter() {
        let keys = MeterKeys::read(&format!("* {KEY}\nKAM {KEY}\nELS-*-01 {KEY} id=1\n12345678 {KEY}\n")).unwrap();
        let numbered = MeterKeys::read(&format!("ELS-12345678 {KEY} id=15\n")).unwrap();
        for (id, is_named, is_numbered) in [
            ("KAM-12345678-1b-16", true, false),
            ("ELS-12345678-01-07", true, true),
            ("KAM-12345679-1b-16", false, false),
            ("ELS-12345679-01-07", false, false),
        ] {
            let id: MeterId = id.parse().unwrap();
            assert_eq!((keys.names(&id), numbered.names(&id)), (is_named, is_numbered), "{id}");
        }
    }

    #[test]
    fn a_meter_without_a_line_has_no_key() {
        let keys = MeterKeys::read(&format!("12345678 {KEY}")).unwrap();
        assert!(keys.key(&address("KAM-12345679-1b-16")).is_none());
        assert!(!keys.has(&MeterId::SystemTitle([0; 8])));
    }

    #[test]
    fn a_key_may_have_a_number_and_be_a_short_one() {
        let other = KEY.replace('f', "0");
        let text = format!("12345678 {KEY}\n12345678 {other} id=2\n* 0011223344556677\n");
        let keys = MeterKeys::read(&text).unwrap();
        let meter = address("KAM-12345678-1b-16");
        let [plain, numbered] = [KEY, &other].map(|key| parse_key(key).unwrap());
        assert_eq!((keys.key(&meter), keys.numbered_key(&meter, 2)), (Some(&plain), Some(&numbered)));
        assert_eq!(keys.numbered_key(&meter, 1), Some(&plain), "the one without a number is for all others");
        let short = Key::short([0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]);
        assert_eq!(keys.numbered_key(&address("KAM-00000001-1b-16"), 2), Some(&short));
        check(
            &format!("* {KEY} id=16\n00000002 {KEY} id=1\n00000002 {KEY} id=1\n"),
            &[
                (1, "behind the key there may be id=N only, N from 0 to 15"),
                (3, "*-00000002-*-* has a key already in line 2"),
            ],
        );
    }

    #[test]
    fn a_wize_network_has_a_key_of_its_own() {
        let keys = MeterKeys::read(&format!("wize=9 {KEY}\n12345678 {KEY} id=1\n")).unwrap();
        assert_eq!((keys.network_key(9), keys.network_key(8)), (Some(&parse_key(KEY).unwrap()), None));
        assert!(keys.key(&address("KAM-12345678-01-03")).is_none());
        assert!(keys.names(&"KAM-12345678-01-03".parse().unwrap()));
        check(
            &format!("wize=9 {KEY}\nwize=9 {KEY}\nwize=256 {KEY}\nwize=1 {KEY} id=1\nwize=2 00\n"),
            &[
                (2, "wize=9 has a key already"),
                (3, "a Wize network is a number from 0 to 255"),
                (4, "the key of a Wize network has no id"),
                (5, "the key has 2 hex digits, it must have 32, or 16 (DES, Diehl)"),
            ],
        );
    }

    #[test]
    fn comments_and_empty_lines_are_nothing() {
        check(&format!("# all meters\n\n  \r\n\t12345678\t{KEY}  # roof\r\n"), &[]);
    }

    #[test]
    fn every_fault_is_told_by_its_line_and_no_key_is_repeated() {
        let text = format!(
            "{KEY} 12345678\n12345678 {KEY}\n12345678 {KEY}\n1 2 3\n\nKAM {}\n*\n* {KEY}00\n* ÿ{KEY}\n",
            &KEY[1..]
        );
        check(
            &text,
            &[
                (1, "a meter is named like 12345678, KAM-12345678-1b-16, KAM-*-1b or *"),
                (3, "*-12345678-*-* has a key already in line 2"),
                (4, "behind the key there may be id=N only, N from 0 to 15"),
                (6, "the key has 31 hex digits, it must have 32, or 16 (DES, Diehl)"),
                (7, "a line is ID KEY, and there is one word only"),
                (8, "the key has 34 hex digits, it must have 32, or 16 (DES, Diehl)"),
                (9, "the key has other characters than hex digits"),
            ],
        );
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        fs::write(&path, &text).unwrap();
        let error = MeterKeys::load(&path).unwrap_err();
        for said in [error.to_string(), format!("{error:?}"), format!("{:?}", MeterKeys::read(&text))] {
            assert!(!said.contains(&KEY[1..20]), "{said}");
        }
        let keys = MeterKeys::read(&format!("12345678 {KEY}")).unwrap();
        assert!(!format!("{keys:?}").contains(&KEY[1..5]));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("12345678 {KEY}")).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let error = MeterKeys::load(file.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 0600"), "{error}");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(MeterKeys::load(file.path()).unwrap().len(), 1);
        assert!(MeterKeys::load(Path::new("/nowhere/keys")).is_err());
    }
}
