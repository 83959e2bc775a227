//! What of a G3-PLC network must outlive the process: its keys, its counters, who has which address, who may join.
//!
//! One append file a network, readable for its owner alone. An entry is an octet that says what it is, then its fields,
//! big endian; a later entry about the same thing takes the place of an earlier one.

mod entry;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::{Buf, BufMut};
use plc::g3::bootstrap::{Admission, Member, Ring, Verdict};
use plc::g3::modem::Counters;
use plc::{Eui64, Key};

pub use entry::METER_LIMIT;
use entry::{
    COUNTERS, LISTED, MEMBER, OWN, PAN, RING, emit_member, own_entry, pan_entry, parse_eui64, parse_member, parse_ring,
    ring_entry,
};

use crate::journal::{Journal, JournalError};

/// The durable part of a network.
#[derive(Debug)]
pub struct Network {
    counters: Counters,
    ring: Ring,
    members: BTreeMap<Eui64, Member>,
    listed: BTreeMap<Eui64, Listed>,
    /// What of it the bootstrap server asks.
    verdicts: Arc<RwLock<BTreeMap<Eui64, Verdict>>>,
    /// The coordinator's own address, where it was made here.
    own: Option<Eui64>,
    /// The PAN id of the configuration, and the one that took its place.
    pan: Option<(u16, u16)>,
    journal: Journal,
    /// Octets at which the file is written anew.
    compact_at: u64,
}

/// A node that was told of, by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub psk: Key,
    /// The meter behind it, as the site names it.
    pub meter: String,
    /// It may not join, whatever key it has.
    pub is_denied: bool,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    pub added: usize,
    /// Nodes whose key or meter is another one now.
    pub changed: usize,
    pub same: usize,
}

impl Network {
    /// Goes on with what is in `directory`; a network that never was begins with `first`, which is durable then.
    ///
    /// # Errors
    /// The directory or its file cannot be made, read or written, or is damaged: a network whose keys and counters are
    /// not known for sure must not run.
    pub fn open(directory: &Path, first: Ring) -> Result<Self, JournalError> {
        let path = directory.join("network");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(JournalError::io("create", directory))?;
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(directory, private).map_err(JournalError::io("protect", directory))?;
        let (journal, recovered) = Journal::open(&path, KIND)?;
        let mut network = Self {
            counters: Counters::default(),
            ring: first,
            members: BTreeMap::new(),
            listed: BTreeMap::new(),
            verdicts: Arc::default(),
            own: None,
            pan: None,
            journal,
            compact_at: OCTETS,
        };
        let mut has_ring = false;
        for entry in &recovered.entries {
            has_ring |= entry.first() == Some(&RING);
            network.take(entry).ok_or_else(|| JournalError::Damaged { path: path.clone(), offset: 0 })?;
        }
        if !has_ring {
            network.journal.append(&ring_entry(&network.ring))?;
        }
        network.judge(network.listed.keys().copied().collect());
        if network.journal.octets() > OCTETS {
            network.compact()?;
        }
        network.protect()?;
        Ok(network)
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.members.values().copied()
    }

    /// Who was told of, and may join or may not.
    pub fn listed(&self) -> &BTreeMap<Eui64, Listed> {
        &self.listed
    }

    pub fn path(&self) -> PathBuf {
        self.journal.path().to_owned()
    }

    /// The list as the bootstrap server asks it. `unlisted` is the answer to all others.
    pub fn admission(&self, unlisted: Verdict) -> Box<dyn Admission> {
        Box::new(List { nodes: Arc::clone(&self.verdicts), unlisted })
    }

    /// Tells the bootstrap server's list of these nodes.
    fn judge(&self, nodes: Vec<Eui64>) {
        let verdict = |listed: &Listed| if listed.is_denied { Verdict::Decline } else { Verdict::Admit(listed.psk) };
        let listed = nodes.into_iter().filter_map(|eui64| Some((eui64, verdict(self.listed.get(&eui64)?))));
        self.verdicts.write().unwrap_or_else(PoisonError::into_inner).extend(listed);
    }

    /// The file holds keys: it is its owner's alone.
    fn protect(&self) -> Result<(), JournalError> {
        let path = self.journal.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(JournalError::io("protect", path))
    }

    /// How many nodes may still be listed: a network has no more addresses.
    pub fn room(&self) -> usize {
        NODES.saturating_sub(self.listed.len())
    }

    /// Makes a reservation of counters durable; blocks.
    ///
    /// # Errors
    /// It is not durable.
    pub fn keep_counters(&mut self, counters: Counters) -> Result<(), JournalError> {
        let mut entry = vec![COUNTERS];
        entry.put_u32(counters.frame_counter);
        entry.put_u16(counters.discover_sequence_number);
        entry.put_u8(counters.broadcast_sequence_number);
        self.append(&entry)?;
        self.counters = counters;
        Ok(())
    }

    /// Makes what is known of nodes durable, all of it at once; blocks.
    ///
    /// # Errors
    /// It is not durable.
    pub fn keep_members(&mut self, members: &[Member]) -> Result<(), JournalError> {
        // An entry has an end.
        for members in members.chunks(1000) {
            let mut entry = vec![MEMBER];
            members.iter().for_each(|member| emit_member(member, &mut entry));
            self.append(&entry)?;
            self.members.extend(members.iter().map(|member| (member.eui64, *member)));
        }
        Ok(())
    }

    /// Makes the network's keys durable; blocks.
    ///
    /// # Errors
    /// They are not.
    pub fn keep_ring(&mut self, ring: &Ring) -> Result<(), JournalError> {
        self.append(&ring_entry(ring))?;
        self.ring = *ring;
        Ok(())
    }

    /// The coordinator's own address: the one that was kept, else `made`, which is durable then; blocks.
    ///
    /// # Errors
    /// It is not durable.
    pub fn own_eui64(&mut self, made: Eui64) -> Result<Eui64, JournalError> {
        if let Some(own) = self.own {
            return Ok(own);
        }
        self.append(&own_entry(made))?;
        Ok(*self.own.insert(made))
    }

    /// The network's PAN id: the one that took the place of the configured one, where that is still the same.
    pub fn pan(&self, configured: u16) -> u16 {
        self.pan.filter(|(replaced, _)| *replaced == configured).map_or(configured, |(_, current)| current)
    }

    /// Makes durable that the network has another PAN id than the configured one; blocks.
    ///
    /// # Errors
    /// It is not durable.
    pub fn keep_pan(&mut self, configured: u16, current: u16) -> Result<(), JournalError> {
        self.append(&pan_entry((configured, current)))?;
        self.pan = Some((configured, current));
        Ok(())
    }

    /// Takes nodes onto the list, all of them or none; blocks. Who was denied stays so.
    ///
    /// # Errors
    /// They are not durable, and the list is as it was.
    pub fn import(&mut self, nodes: impl IntoIterator<Item = (Eui64, Key, String)>) -> Result<Imported, JournalError> {
        let mut imported = Imported::default();
        let mut news = BTreeMap::new();
        for (eui64, psk, meter) in nodes {
            let known = news.get(&eui64).or_else(|| self.listed.get(&eui64));
            let listed = Listed { psk, meter, is_denied: known.is_some_and(|known| known.is_denied) };
            match known {
                Some(known) if *known == listed => {
                    imported.same += 1;
                    continue;
                }
                Some(_) => imported.changed += 1,
                None => imported.added += 1,
            }
            news.insert(eui64, listed);
        }
        if news.is_empty() {
            return Ok(imported);
        }
        let mut entry = vec![LISTED];
        news.iter().for_each(|(eui64, listed)| listed.emit(*eui64, &mut entry));
        let mut all = self.listed.clone();
        all.extend(news.iter().map(|(eui64, listed)| (*eui64, listed.clone())));
        if entry.len() <= Journal::LIMIT {
            self.append(&entry)?;
            self.listed = all;
        } else {
            // More than an entry holds becomes durable with a whole new file, which takes the old one's place at once.
            let before = std::mem::replace(&mut self.listed, all);
            if let Err(error) = self.compact() {
                self.listed = before;
                return Err(error);
            }
        }
        self.judge(news.into_keys().collect());
        Ok(imported)
    }

    /// Lets a listed node join, or not any more; blocks. False: it is not listed.
    ///
    /// # Errors
    /// It is not durable.
    pub fn deny(&mut self, eui64: Eui64, is_denied: bool) -> Result<bool, JournalError> {
        let Some(listed) = self.listed.get(&eui64) else { return Ok(false) };
        let listed = Listed { is_denied, ..listed.clone() };
        let mut entry = vec![LISTED];
        listed.emit(eui64, &mut entry);
        self.append(&entry)?;
        self.listed.insert(eui64, listed);
        self.judge(vec![eui64]);
        Ok(true)
    }

    fn append(&mut self, entry: &[u8]) -> Result<(), JournalError> {
        if self.journal.octets() > self.compact_at {
            self.compact()?;
        }
        self.journal.append(entry)
    }

    fn compact(&mut self) -> Result<(), JournalError> {
        let mut counters = vec![COUNTERS];
        counters.put_u32(self.counters.frame_counter);
        counters.put_u16(self.counters.discover_sequence_number);
        counters.put_u8(self.counters.broadcast_sequence_number);
        let mut entries = vec![counters, ring_entry(&self.ring)];
        entries.extend(self.own.map(own_entry));
        entries.extend(self.pan.map(pan_entry));
        entries.extend(self.members.values().map(|member| {
            let mut entry = vec![MEMBER];
            emit_member(member, &mut entry);
            entry
        }));
        entries.extend(self.listed.iter().map(|(eui64, listed)| {
            let mut entry = vec![LISTED];
            listed.emit(*eui64, &mut entry);
            entry
        }));
        self.journal.compact(entries.iter().map(Vec::as_slice))?;
        // What is there may be more than that, and is not to be written anew with every change.
        self.compact_at = OCTETS.max(2 * self.journal.octets());
        self.protect()
    }

    /// None: the entry is not one of ours.
    fn take(&mut self, entry: &[u8]) -> Option<()> {
        let (kind, mut buf) = entry.split_first()?;
        let buf = &mut buf;
        match *kind {
            COUNTERS => {
                self.counters = Counters {
                    frame_counter: buf.try_get_u32().ok()?,
                    discover_sequence_number: buf.try_get_u16().ok()?,
                    broadcast_sequence_number: buf.try_get_u8().ok()?,
                };
            }
            RING => self.ring = parse_ring(buf)?,
            MEMBER => {
                while !buf.is_empty() {
                    let member = parse_member(buf)?;
                    self.members.insert(member.eui64, member);
                }
            }
            OWN => self.own = Some(parse_eui64(buf)?),
            PAN => self.pan = Some((buf.try_get_u16().ok()?, buf.try_get_u16().ok()?)),
            LISTED => {
                while !buf.is_empty() {
                    let (eui64, listed) = Listed::parse(buf)?;
                    self.listed.insert(eui64, listed);
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// Who may join, as the bootstrap server asks it.
#[derive(Debug)]
struct List {
    nodes: Arc<RwLock<BTreeMap<Eui64, Verdict>>>,
    unlisted: Verdict,
}

impl Admission for List {
    fn verdict(&self, eui64: Eui64) -> Verdict {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.get(&eui64).unwrap_or(&self.unlisted).clone()
    }
}

const KIND: [u8; 3] = *b"g3n";
/// Short addresses of G3.
pub const NODES: usize = 0x7fff;
/// Octets at which the file is written anew: several times what 2,000 nodes take.
const OCTETS: u64 = 2 << 20;

#[cfg(test)]
mod tests {
    use plc::g3::bootstrap::Phase;

    use super::*;

    fn eui64(number: u64) -> Eui64 {
        Eui64(number.to_be_bytes())
    }

    #[test]
    fn everything_survives_a_restart_and_a_compaction() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("feeder");
        let first = Ring::new(Key([7; 16]));
        let mut network = Network::open(&directory, first).unwrap();
        let counters = Counters { frame_counter: 20_000, discover_sequence_number: 32, broadcast_sequence_number: 31 };
        network.keep_counters(counters).unwrap();
        let member = Member {
            eui64: eui64(5),
            short_addr: 9,
            is_joined: true,
            is_assigned: false,
            key_generation: 1,
            active_generation: 1,
        };
        network.keep_members(&[member]).unwrap();
        assert_eq!(network.own_eui64(eui64(77)).unwrap(), eui64(77));
        assert_eq!(network.pan(0x781d), 0x781d);
        network.keep_pan(0x781d, 0x2800).unwrap();
        let nodes = || (0..600).map(|number| (eui64(number), Key([number as u8; 16]), format!("meter {number}")));
        assert_eq!(network.import(nodes()).unwrap(), Imported { added: 600, ..Imported::default() });
        assert_eq!(network.import(nodes().take(3)).unwrap(), Imported { same: 3, ..Imported::default() });
        let other = [(eui64(1), Key([9; 16]), String::new())];
        assert_eq!(network.import(other).unwrap(), Imported { changed: 1, ..Imported::default() });
        assert!(network.deny(eui64(2), true).unwrap());
        assert!(!network.deny(eui64(5000), true).unwrap());
        let ring = Ring { generation: 2, phase: Phase::Grace, ..first };
        network.keep_ring(&ring).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        for is_compacted in [false, true] {
            drop(network);
            network = Network::open(&directory, Ring::new(Key([0; 16]))).unwrap();
            assert_eq!((network.counters(), *network.ring()), (counters, ring), "compacted: {is_compacted}");
            assert_eq!(network.members().collect::<Vec<_>>(), [member]);
            assert_eq!(network.own_eui64(eui64(78)).unwrap(), eui64(77));
            // A number that somebody has chosen since is taken.
            assert_eq!((network.pan(0x781d), network.pan(0x1000)), (0x2800, 0x1000));
            assert_eq!((network.listed().len(), network.listed()[&eui64(7)].meter.as_str()), (600, "meter 7"));
            let admission = network.admission(Verdict::Hold);
            assert_eq!(admission.verdict(eui64(1)), Verdict::Admit(Key([9; 16])));
            assert_eq!(admission.verdict(eui64(2)), Verdict::Decline);
            assert_eq!(admission.verdict(eui64(5000)), Verdict::Hold);
            network.compact().unwrap();
        }
    }

    #[test]
    fn an_import_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let mut network = Network::open(directory.path(), Ring::new(Key([7; 16]))).unwrap();
        let nodes = |from, key| {
            (from..from + 3000)
                .map(move |number| (eui64(number), Key([key; 16]), format!("a meter with number {number}")))
        };
        network.import(nodes(0, 1)).unwrap();
        // The disk does not take what is more than an entry: a directory is where the new file would be.
        let beside = directory.path().join("network.new");
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("full"), []).unwrap();
        assert!(network.import(nodes(2000, 2)).is_err());
        let check = |network: &Network, count, key| {
            assert_eq!(network.listed().len(), count);
            assert_eq!(network.listed()[&eui64(2500)].psk, Key([key; 16]));
            assert_eq!(network.admission(Verdict::Hold).verdict(eui64(2500)), Verdict::Admit(Key([key; 16])));
        };
        check(&network, 3000, 1);
        check(&Network::open(directory.path(), Ring::new(Key([7; 16]))).unwrap(), 3000, 1);
        fs::remove_dir_all(&beside).unwrap();
        assert_eq!(network.import(nodes(2000, 2)).unwrap(), Imported { added: 2000, changed: 1000, same: 0 });
        check(&network, 5000, 2);
        check(&Network::open(directory.path(), Ring::new(Key([7; 16]))).unwrap(), 5000, 2);
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        drop(Network::open(directory.path(), Ring::new(Key([7; 16]))).unwrap());
        let path = directory.path().join("network");
        let mut octets = fs::read(&path).unwrap();
        octets[30] ^= 1;
        fs::write(&path, &octets).unwrap();
        let error = Network::open(directory.path(), Ring::new(Key([7; 16]))).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
        assert!(!format!("{error:?}").contains("7, 7, 7"));
    }
}
