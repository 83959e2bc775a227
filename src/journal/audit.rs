//! The audit chain: who, what, decision, result, each entry under the hash of the one before it.
//!
//! Nobody can take an entry out or change one without changing every hash after it; the head goes into checkpoints.

use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};
use sha2::{Digest, Sha256};

use super::{Journal, JournalError};

/// One line of the audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// Milliseconds since 1970 UTC by the unit's clock.
    pub utc_ms: i64,
    /// Names and ids of keys, `user N` of the unit's own system, the unit itself.
    pub who: String,
    pub what: String,
    pub decision: String,
    pub result: String,
}

/// The open chain.
#[derive(Debug)]
pub struct Audit {
    journal: Journal,
    head: [u8; 32],
    entries: u64,
}

impl Audit {
    /// Opens the chain or makes it, and proves it.
    ///
    /// # Errors
    /// `Damaged` when a hash does not fit: the file is left as it is.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let (journal, recovered) = Journal::open(path, KIND)?;
        let (entries, head) = prove(path, &recovered.entries)?;
        Ok(Self { journal, head, entries: entries.len() as u64 })
    }

    /// Like [`Self::open`]; a damaged chain is set aside under the name that comes back, and a new one begins: its first
    /// checkpoint shows the head-end that the old one ended.
    ///
    /// # Errors
    /// The disk failed, or the file is a newer program's.
    pub fn open_or_set_aside(path: &Path, utc_ms: i64) -> Result<(Self, Option<PathBuf>), JournalError> {
        match Self::open(path) {
            Err(JournalError::Damaged { .. } | JournalError::Foreign { .. }) => {
                let mut aside = path.as_os_str().to_owned();
                aside.push(format!(".damaged-{utc_ms}"));
                let aside = PathBuf::from(aside);
                std::fs::rename(path, &aside).map_err(JournalError::io("set aside", path))?;
                Ok((Self::open(path)?, Some(aside)))
            }
            opened => opened.map(|audit| (audit, None)),
        }
    }

    /// Reads and proves a chain: entries and head.
    ///
    /// # Errors
    /// `Damaged` when a hash does not fit.
    pub fn read(path: &Path) -> Result<(Vec<AuditEntry>, [u8; 32]), JournalError> {
        prove(path, &Journal::read(path, KIND)?.entries)
    }

    /// Adds an entry; it is durable when this returns. The new head comes back.
    ///
    /// # Errors
    /// The disk failed: the entry is not in the chain.
    pub fn append(&mut self, entry: &AuditEntry) -> Result<[u8; 32], JournalError> {
        let octets = emit(entry);
        let head = audit_hash(&self.head, &octets);
        let mut stored = head.to_vec();
        stored.extend_from_slice(&octets);
        self.journal.append(&stored)?;
        self.head = head;
        self.entries += 1;
        Ok(head)
    }

    /// The hash of the last entry; 32 zero octets before the first.
    pub fn head(&self) -> [u8; 32] {
        self.head
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }
}

/// The hash of an entry: SHA-256 over the hash before it and the entry's octets.
pub fn audit_hash(previous: &[u8; 32], entry: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(previous).chain_update(entry).finalize().into()
}

fn prove(path: &Path, stored: &[Vec<u8>]) -> Result<(Vec<AuditEntry>, [u8; 32]), JournalError> {
    let mut head = [0; 32];
    let mut entries = Vec::with_capacity(stored.len());
    for (index, stored) in stored.iter().enumerate() {
        let proven = stored.split_at_checked(32).and_then(|(hash, octets)| {
            head = audit_hash(&head, octets);
            (hash == head).then(|| parse(&mut &*octets)).flatten()
        });
        match proven {
            Some(entry) => entries.push(entry),
            None => return Err(JournalError::Damaged { path: path.to_owned(), offset: index as u64 }),
        }
    }
    Ok((entries, head))
}

fn emit(entry: &AuditEntry) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i64_le(entry.utc_ms);
    for field in [&entry.who, &entry.what, &entry.decision, &entry.result] {
        // A field is a name or a sentence; what is longer is cut, not refused.
        let octets = field.as_bytes().get(..FIELD_LIMIT.min(field.len())).unwrap_or_default();
        out.put_u16_le(octets.len() as u16);
        out.put_slice(octets);
    }
    out
}

fn parse(buf: &mut &[u8]) -> Option<AuditEntry> {
    let utc_ms = buf.try_get_i64_le().ok()?;
    let mut field = || {
        let length = usize::from(buf.try_get_u16_le().ok()?);
        let text = String::from_utf8_lossy(buf.get(..length)?).into_owned();
        buf.advance(length);
        Some(text)
    };
    Some(AuditEntry { utc_ms, who: field()?, what: field()?, decision: field()?, result: field()? })
}

const KIND: [u8; 3] = *b"aud";
const FIELD_LIMIT: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: i64) -> AuditEntry {
        AuditEntry {
            utc_ms: n,
            who: format!("key {n}"),
            what: "disconnect KAM-1".into(),
            decision: "accepted".into(),
            result: "succeeded".into(),
        }
    }

    #[test]
    fn a_chain_goes_on_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let mut head = [0; 32];
        for n in 0..4 {
            let mut audit = Audit::open(&path).unwrap();
            assert_eq!(audit.head(), head);
            head = audit.append(&entry(n)).unwrap();
        }
        let (entries, read) = Audit::read(&path).unwrap();
        assert_eq!(entries, (0..4).map(entry).collect::<Vec<_>>());
        assert_eq!(read, head);
        assert_eq!(Audit::open(&path).unwrap().entries(), 4);
    }

    #[test]
    fn an_entry_taken_out_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let mut audit = Audit::open(&path).unwrap();
        for n in 0..4 {
            audit.append(&entry(n)).unwrap();
        }
        let mut stored = Journal::read(&path, KIND).unwrap().entries;
        stored.remove(1);
        let (mut journal, _) = Journal::open(&path, KIND).unwrap();
        journal.compact(stored.iter().map(Vec::as_slice)).unwrap();
        assert!(matches!(Audit::open(&path), Err(JournalError::Damaged { .. })));
    }

    #[test]
    fn a_field_of_any_length_comes_back_readable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let mut audit = Audit::open(&path).unwrap();
        audit.append(&AuditEntry { who: "ü".repeat(60_000), ..entry(1) }).unwrap();
        assert!(Audit::open(&path).is_ok());
        assert_eq!(Audit::read(&path).unwrap().0[0].what, "disconnect KAM-1");
    }

    #[test]
    fn a_damaged_chain_is_set_aside_and_a_new_one_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let (mut audit, aside) = Audit::open_or_set_aside(&path, 5).unwrap();
        assert_eq!(aside, None);
        for n in 0..3 {
            audit.append(&entry(n)).unwrap();
        }
        drop(audit);
        let mut octets = std::fs::read(&path).unwrap();
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        std::fs::write(&path, &octets).unwrap();
        let (audit, aside) = Audit::open_or_set_aside(&path, 5).unwrap();
        assert_eq!((audit.head(), audit.entries()), ([0; 32], 0));
        assert_eq!(std::fs::read(aside.unwrap()).unwrap(), octets);
    }
}
