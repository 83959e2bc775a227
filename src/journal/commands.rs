//! The command journal: what was ordered and how it stands, so that nothing is carried out twice. DESIGN 3.5.
//!
//! An entry is an octet that says what it is, then its fields, little endian; a later entry about the same command takes
//! the place of an earlier one. What was ordered is not in it: only how it stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use super::{Journal, JournalError};

/// Commands, each by its id.
#[derive(Debug)]
pub struct Commands {
    journal: Journal,
    kept: BTreeMap<[u8; 16], Kept>,
    limits: Limits,
    /// Octets at which the file is written anew.
    compact_at: u64,
}

/// A command that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Milliseconds since 1970 UTC: after that it would not be carried out anyway.
    pub not_after_ms: i64,
    /// How it stands, encoded.
    pub state: Vec<u8>,
}

/// What is not carried out although no entry is about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Commands whose time ended by then were forgotten: a clock that was set back does not make them new.
    pub forgotten_ms: i64,
    /// The journal begins here: commands whose time begins earlier may have been carried out.
    pub begin_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { forgotten_ms: i64::MIN, begin_ms: i64::MIN }
    }
}

impl Commands {
    /// Goes on with the file, or makes it.
    ///
    /// # Errors
    /// The disk failed, or the file is damaged: then nobody knows what was carried out. It is left as it is.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let (journal, recovered) = Journal::open(path, KIND)?;
        let mut commands = Self { journal, kept: BTreeMap::new(), limits: Limits::default(), compact_at: OCTETS };
        for entry in &recovered.entries {
            commands.take(entry).ok_or_else(|| JournalError::Damaged { path: path.to_owned(), offset: 0 })?;
        }
        Ok(commands)
    }

    /// Begins anew in the place of a journal that was lost; what is there is set aside under the name that comes back.
    ///
    /// # Errors
    /// The disk failed.
    pub fn begin_anew(path: &Path, now_ms: i64) -> Result<(Self, Option<PathBuf>), JournalError> {
        let mut aside = None;
        if path.exists() {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".damaged-{now_ms}"));
            let name = PathBuf::from(name);
            std::fs::rename(path, &name).map_err(JournalError::io("set aside", path))?;
            aside = Some(name);
        }
        let mut commands = Self::open(path)?;
        commands.limit(Limits { begin_ms: now_ms, ..commands.limits })?;
        Ok((commands, aside))
    }

    pub fn kept(&self) -> &BTreeMap<[u8; 16], Kept> {
        &self.kept
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Keeps how a command stands; it is durable when this returns.
    ///
    /// # Errors
    /// It is not.
    pub fn keep(&mut self, id: [u8; 16], kept: Kept) -> Result<(), JournalError> {
        self.append(&state_entry(&id, &kept))?;
        self.kept.insert(id, kept);
        Ok(())
    }

    /// Forgets all commands whose time ended by then.
    ///
    /// # Errors
    /// That they were forgotten is not durable; they are not then.
    pub fn forget(&mut self, until_ms: i64) -> Result<(), JournalError> {
        self.limit(Limits { forgotten_ms: self.limits.forgotten_ms.max(until_ms), ..self.limits })?;
        self.kept.retain(|_, kept| kept.not_after_ms > until_ms);
        Ok(())
    }

    fn limit(&mut self, limits: Limits) -> Result<(), JournalError> {
        self.append(&limits_entry(limits))?;
        self.limits = limits;
        Ok(())
    }

    fn append(&mut self, entry: &[u8]) -> Result<(), JournalError> {
        if self.journal.octets() > self.compact_at {
            let mut entries = vec![limits_entry(self.limits)];
            entries.extend(self.kept.iter().map(|(id, kept)| state_entry(id, kept)));
            self.journal.compact(entries.iter().map(Vec::as_slice))?;
            self.compact_at = OCTETS.max(2 * self.journal.octets());
        }
        self.journal.append(entry)
    }

    /// None: the entry is not one of ours.
    fn take(&mut self, entry: &[u8]) -> Option<()> {
        let (kind, mut buf) = entry.split_first()?;
        match *kind {
            STATE => {
                let (id, rest) = buf.split_first_chunk::<16>()?;
                buf = rest;
                let not_after_ms = buf.try_get_i64_le().ok()?;
                self.kept.insert(*id, Kept { not_after_ms, state: buf.to_vec() });
            }
            LIMITS => {
                let forgotten_ms = buf.try_get_i64_le().ok()?;
                self.limits = Limits { forgotten_ms, begin_ms: buf.try_get_i64_le().ok()? };
                self.kept.retain(|_, kept| kept.not_after_ms > forgotten_ms);
            }
            _ => return None,
        }
        Some(())
    }
}

fn state_entry(id: &[u8; 16], kept: &Kept) -> Vec<u8> {
    let mut entry = vec![STATE];
    entry.put_slice(id);
    entry.put_i64_le(kept.not_after_ms);
    entry.put_slice(&kept.state);
    entry
}

fn limits_entry(limits: Limits) -> Vec<u8> {
    let mut entry = vec![LIMITS];
    entry.put_i64_le(limits.forgotten_ms);
    entry.put_i64_le(limits.begin_ms);
    entry
}

const KIND: [u8; 3] = *b"cmd";
const STATE: u8 = 1;
const LIMITS: u8 = 2;
const OCTETS: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(not_after_ms: i64, state: u8) -> Kept {
        Kept { not_after_ms, state: vec![state; 300] }
    }

    #[test]
    fn the_last_state_of_each_command_survives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("commands");
        let mut commands = Commands::open(&path).unwrap();
        // Enough for several compactions.
        for round in 0..6_000u32 {
            let id = [(round % 200) as u8; 16];
            commands.keep(id, kept(i64::from(round % 200), (round / 200) as u8)).unwrap();
            if round == 3_000 {
                commands = Commands::open(&path).unwrap();
            }
        }
        commands.forget(49).unwrap();
        let before = (commands.kept().clone(), commands.limits());
        let commands = Commands::open(&path).unwrap();
        assert_eq!((commands.kept().clone(), commands.limits()), before);
        assert_eq!((commands.kept().len(), commands.limits().forgotten_ms), (150, 49));
        assert!(commands.kept().values().all(|kept| kept.state[0] == 29));
        assert!(std::fs::metadata(&path).unwrap().len() < 2 * OCTETS);
    }

    #[test]
    fn a_damaged_journal_is_an_error_until_it_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("commands");
        let mut commands = Commands::open(&path).unwrap();
        commands.keep([1; 16], kept(5, 1)).unwrap();
        commands.keep([2; 16], kept(5, 1)).unwrap();
        let mut octets = std::fs::read(&path).unwrap();
        octets[40] ^= 1;
        std::fs::write(&path, &octets).unwrap();
        assert!(matches!(Commands::open(&path), Err(JournalError::Damaged { .. })));
        let (commands, aside) = Commands::begin_anew(&path, 77).unwrap();
        assert_eq!((commands.kept().len(), commands.limits().begin_ms), (0, 77));
        assert_eq!(std::fs::read(aside.unwrap()).unwrap(), octets);
        assert_eq!(Commands::open(&path).unwrap().limits().begin_ms, 77);
    }
}
