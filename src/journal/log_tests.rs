use super::*;

const KIND: [u8; 3] = *b"tst";

fn filled(path: &Path) -> Vec<Vec<u8>> {
    let (mut journal, _) = Journal::open(path, KIND).unwrap();
    let entries: Vec<Vec<u8>> = (0..4u8).map(|n| vec![n ^ 0x5a; 3 + 7 * usize::from(n)]).collect();
    entries.iter().for_each(|entry| journal.append(entry).unwrap());
    entries
}

#[test]
fn entries_come_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let entries = filled(&path);
    let (mut journal, recovered) = Journal::open(&path, KIND).unwrap();
    assert_eq!(recovered, Recovered { entries: entries.clone(), torn: 0 });
    journal.append(b"").unwrap();
    assert_eq!(Journal::read(&path, KIND).unwrap().entries.len(), 5);
}

#[test]
fn a_file_cut_anywhere_keeps_every_entry_before_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let entries = filled(&path);
    let octets = std::fs::read(&path).unwrap();
    for cut in HEADER..octets.len() {
        for zeros in [0, 1, 40] {
            let mut torn = octets[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            std::fs::write(&path, &torn).unwrap();
            let (mut journal, recovered) = Journal::open(&path, KIND).unwrap();
            let whole = recovered.entries.len();
            assert_eq!(recovered.entries, entries[..whole]);
            let ends: usize = HEADER + entries[..whole].iter().map(|e| e.len() + OVERHEAD).sum::<usize>();
            assert!(cut - ends < entries[whole].len() + OVERHEAD, "cut at {cut}");
            assert_eq!(recovered.torn, (cut + zeros - ends) as u64);
            journal.append(b"next").unwrap();
            assert_eq!(Journal::read(&path, KIND).unwrap().entries.last().unwrap(), b"next");
        }
    }
}

/// What a file system may leave of a file that was longer once: it is looked through in no more time than it takes to read.
#[test]
fn megabytes_of_zeros_are_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let entries = filled(&path);
    let mut octets = std::fs::read(&path).unwrap();
    let zeros = 4 << 20;
    octets.resize(octets.len() + zeros, 0);
    std::fs::write(&path, &octets).unwrap();
    assert_eq!(Journal::salvage(&path).unwrap(), (entries.clone(), zeros as u64));
    let (_, recovered) = Journal::open(&path, KIND).unwrap();
    assert_eq!(recovered, Recovered { entries, torn: zeros as u64 });
}

#[test]
fn a_flipped_bit_in_any_octet_is_damage_or_says_what_it_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let entries = filled(&path);
    let octets = std::fs::read(&path).unwrap();
    for at in 0..octets.len() {
        for bit in 0..8 {
            let mut damaged = octets.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(&path, &damaged).unwrap();
            match Journal::open(&path, KIND) {
                Err(JournalError::Damaged { .. } | JournalError::Newer { .. } | JournalError::Foreign { .. }) => {}
                other => panic!("octet {at} bit {bit}: {other:?}"),
            }
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "a damaged journal is left as it is");
            if at >= HEADER {
                let (salvaged, strange) = Journal::salvage(&path).unwrap();
                assert_eq!(salvaged.len(), entries.len() - 1);
                assert!(strange > 0);
            }
        }
    }
}

#[test]
fn entries_are_added_together_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut entries = filled(&path);
    let (mut journal, _) = Journal::open(&path, KIND).unwrap();
    journal.append_all([&b"one"[..], b"", b"two"]).unwrap();
    journal.append_all([]).unwrap();
    let long = vec![0; Journal::LIMIT + 1];
    assert!(matches!(journal.append_all([&b"three"[..], &long]), Err(JournalError::TooLong { .. })));
    journal.append(b"four").unwrap();
    entries.extend([&b"one"[..], b"", b"two", b"four"].map(<[u8]>::to_vec));
    assert_eq!(journal.octets(), std::fs::metadata(&path).unwrap().len());
    assert_eq!(Journal::open(&path, KIND).unwrap().1, Recovered { entries, torn: 0 });
}

#[test]
fn compaction_leaves_only_what_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let entries = filled(&path);
    let (mut journal, _) = Journal::open(&path, KIND).unwrap();
    let before = journal.octets();
    journal.compact(entries.iter().skip(2).map(Vec::as_slice)).unwrap();
    assert!(journal.octets() < before);
    journal.append(b"after").unwrap();
    assert_eq!(
        Journal::read(&path, KIND).unwrap().entries,
        [entries[2].as_slice(), &entries[3], b"after"].map(<[u8]>::to_vec)
    );
}

#[test]
fn a_journal_of_another_kind_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    filled(&path);
    assert!(matches!(Journal::open(&path, *b"abc"), Err(JournalError::Foreign { .. })));
}
