use std::collections::BTreeMap;
use std::fs;

use super::*;

/// A store with sealed and unsealed records of two lanes, closed. How many records each lane has.
fn filled(bench: &Bench) -> [(Lane, u64); 2] {
    let (store, ..) = bench.open();
    for n in 0..30 {
        put(&store, Lane::MBus, n * 37..n * 37 + 37);
        if n % 5 == 0 {
            put(&store, Lane::LoadProfile, n..n + 5);
        }
    }
    store.close().unwrap();
    [(Lane::MBus, 30 * 37), (Lane::LoadProfile, 30)]
}

/// After whatever happened: the store opens, every record of the first epoch is there unaltered or its loss is told,
/// and the store goes on. Returns how it was opened, and how many records are lost.
#[track_caller]
fn check_nothing_is_lost_in_silence(bench: &Bench, first: Epoch, expected: &[(Lane, u64)]) -> (Opening, u64) {
    let (store, opening, _) = bench.open();
    seal(bench, &store);
    // Reading everything comes upon holes that opening did not look for; the writer then tells them.
    expected.iter().for_each(|(lane, _)| drop(all(&store, first, *lane)));
    put(&store, Lane::Outage, 0..1);
    put(&store, Lane::Outage, 1..2);
    let told = events(&store);
    let mut lost = 0;
    for (lane, last) in expected {
        let mut texts_found = BTreeMap::new();
        for batch in all(&store, first, *lane) {
            assert!(batch.is_whole());
            texts_found.extend((batch.first..).zip(texts(&batch)));
        }
        for sequence in 1..=*last {
            match texts_found.get(&sequence) {
                Some(found) => assert_eq!(*found, text(sequence - 1), "{lane} {sequence}"),
                None => {
                    assert!(is_told(&told, first, *lane, sequence), "{lane} {sequence} is lost in silence:\n{told}");
                    lost += 1;
                }
            }
        }
    }
    let statistics = store.statistics();
    let counted = expected.iter().map(|(lane, _)| statistics.lanes[*lane as usize].lost).sum::<u64>();
    assert_eq!(counted, lost);
    assert_eq!(statistics.blobs, 0);
    assert!(store.verify().unwrap().is_sound(), "{:?}", store.verify());
    store.close().unwrap();
    let (store, again, _) = bench.open();
    assert_eq!(again.start, Start::Continued, "one repair is enough");
    store.close().unwrap();
    (opening, lost)
}

fn is_told(told: &str, epoch: Epoch, lane: Lane, sequence: u64) -> bool {
    let head = format!("Gap {{ epoch: {}, lane: {}, first: ", epoch.0, lane as u8);
    told.split(&head).skip(1).any(|rest| {
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<u64>().ok());
        let (first, last) = (numbers.next().unwrap(), numbers.next().unwrap());
        (first..=last).contains(&sequence)
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to)
        } else {
            fs::copy(entry.path(), to).map(drop).unwrap()
        }
    }
}

/// Every file below a directory.
fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(contents(&path))
        } else {
            drop(found.insert(path.clone(), fs::read(path).unwrap()))
        }
    }
    found
}

/// Copies a filled store, damages the copy, checks it.
struct Ward {
    original: Bench,
    first: Epoch,
    expected: [(Lane, u64); 2],
}

impl Ward {
    fn new() -> Self {
        let original = Bench::new();
        let expected = filled(&original);
        Self { original, first: Epoch(101), expected }
    }

    #[track_caller]
    fn check(&self, damage: impl FnOnce(&Path)) -> (Opening, u64) {
        let bench = Bench::new();
        *bench.epochs.lock().unwrap() = 5;
        copy(&self.original.options.path, &bench.options.path);
        damage(&bench.options.path);
        let before = contents(&bench.options.path);
        let left = inspect(&bench.options.path, &PLAIN);
        let left = left.and_then(|left| left.rehearse(&bench.options.path, &PLAIN)).unwrap();
        assert!(contents(&bench.options.path) == before, "looking changes nothing");
        let (opening, lost) = check_nothing_is_lost_in_silence(&bench, self.first, &self.expected);
        let goes_on = opening.start == Start::Continued && lost == 0;
        assert_eq!(left.is_sound(), goes_on, "{opening:?}, {lost} lost, yet it was called {left:?}");
        (opening, lost)
    }
}

#[test]
fn an_undamaged_copy_goes_on() {
    let (opening, lost) = Ward::new().check(|_| {});
    assert_eq!((opening.start, lost), (Start::Continued, 0));
}

#[test]
fn flipped_bits_anywhere_in_the_database_are_survived() {
    let ward = Ward::new();
    let mut seed = 0x1234_5678_9abc_def1_u64;
    println!("seed {seed:x}");
    let (mut quarantined, mut lost) = (0, 0);
    for round in 0..40 {
        let (opening, missing) = ward.check(|path| {
            let file = path.join("sled/db");
            let mut octets = fs::read(&file).unwrap();
            let used = octets.iter().rposition(|octet| *octet != 0).unwrap();
            for _ in 0..=round % 3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (seed >> 20) as usize % used;
                octets[at] ^= 1 << (seed >> 60 & 7);
            }
            fs::write(&file, octets).unwrap();
        });
        quarantined += usize::from(opening.start != Start::Continued);
        lost += missing;
    }
    println!("40 damaged databases: {quarantined} quarantined, {lost} of {} records lost", 40 * 1140);
    assert!(lost < 40 * 1140 / 50, "salvage finds nearly everything again");
}

#[test]
fn a_database_cut_short_anywhere_is_survived() {
    let ward = Ward::new();
    let length = fs::metadata(ward.original.path("sled/db")).unwrap().len();
    let used = fs::read(ward.original.path("sled/db")).unwrap().iter().rposition(|octet| *octet != 0).unwrap() as u64;
    for cut in [0, 1, 4096, used / 4, used / 2, used * 3 / 4, used - 5000, used - 300, used - 1, length - 1] {
        let (opening, lost) = ward.check(|path| {
            fs::OpenOptions::new().write(true).open(path.join("sled/db")).unwrap().set_len(cut).unwrap();
        });
        println!("cut at {cut} of {used}: {lost} lost, {:?}", opening.start);
        assert!(lost == 0 || opening.start != Start::Continued);
    }
}

#[test]
fn missing_files_are_survived() {
    let ward = Ward::new();
    for name in ["sled/db", "sled/conf", "sled", "sequence", "sequence.2", "sequence*", "format", "reserve"] {
        let (opening, lost) = ward.check(|path| {
            let names = if name == "sequence*" { vec!["sequence", "sequence.2"] } else { vec![name] };
            for path in names.into_iter().map(|name| path.join(name)) {
                if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
            }
        });
        println!("without {name}: {lost} lost, {:?}", opening.start);
        let nothing_left = matches!(name, "sled/db" | "sled");
        assert_eq!(lost, if nothing_left { 30 * 37 + 30 } else { 0 }, "without {name}");
        let is_new_epoch = matches!(name, "sled/db" | "sled" | "sequence*");
        assert_eq!(matches!(opening.start, Start::NewEpoch { .. }), is_new_epoch, "without {name}");
    }
}

#[test]
fn a_damaged_sequence_file_ends_the_epoch_and_loses_nothing() {
    let ward = Ward::new();
    let (opening, lost) = ward.check(|path| {
        fs::write(path.join("sequence"), [0x55; 4096]).unwrap();
        fs::write(path.join("sequence.2"), [0x55; 4096]).unwrap();
    });
    assert_eq!(lost, 0);
    let Start::NewEpoch { previous, quarantine: None, salvaged, .. } = opening.start else { panic!("{opening:?}") };
    assert_eq!((previous, salvaged), (Some(ward.first), 30 * 37 + 30 + 1), "and the event of the first start");
}

#[test]
fn a_store_that_lacks_what_was_promised_is_quarantined() {
    let bench = Bench::new();
    let (store, Opening { epoch, .. }, _) = bench.open();
    put(&store, Lane::MBus, 0..120);
    store.close().unwrap();
    let saved = bench.path("saved");
    copy(&bench.path("sled"), &saved);
    let (store, ..) = bench.open();
    put(&store, Lane::MBus, 120..300);
    store.close().unwrap();
    fs::remove_dir_all(bench.path("sled")).unwrap();
    fs::rename(saved, bench.path("sled")).unwrap();
    let (store, opening, _) = bench.open();
    let Start::NewEpoch { previous, quarantine: Some(quarantine), salvaged, reason } = opening.start else {
        panic!("{opening:?}")
    };
    assert_eq!((previous, salvaged), (Some(epoch), 121), "120 records and the event of the first start");
    assert!(reason.contains("300 was promised"), "{reason}");
    assert!(quarantine.join("db").exists());
    let told = events(&store);
    assert!(told.contains("EpochStarted") && told.contains(&reason), "{told}");
    assert!(is_told(&told, epoch, Lane::MBus, 121) && is_told(&told, epoch, Lane::MBus, 300), "{told}");
    assert!(!is_told(&told, epoch, Lane::MBus, 120));
    // What was not acknowledged of the old epoch is offered before the new one.
    put(&store, Lane::MBus, 0..50);
    let offered = store.unacknowledged(Lane::MBus, None, Limit { batches: 9, octets: 1 << 20 }).unwrap();
    let names: Vec<_> = offered.iter().map(|batch| (batch.epoch, batch.first, batch.last())).collect();
    assert_eq!(names, [(epoch, 1, 50), (epoch, 51, 100), (epoch, 101, 120), (opening.epoch, 1, 50)]);
    store.acknowledge(epoch, Lane::MBus, &[(1, 120)]).unwrap();
    let offered = store.unacknowledged(Lane::MBus, None, Limit { batches: 9, octets: 1 << 20 }).unwrap();
    assert_eq!(offered.len(), 1);
}

#[test]
fn a_newer_format_is_left_untouched() {
    let bench = Bench::new();
    filled(&bench);
    fs::write(bench.path("format"), "dcu-store 2\n").unwrap();
    let before = fs::read(bench.path("sled/db")).unwrap();
    let error = bench.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(matches!(inspect(&bench.options.path, &PLAIN), Err(OpenError::Newer { .. })));
    assert_eq!(fs::read(bench.path("sled/db")).unwrap(), before);
}

#[test]
fn only_the_last_quarantines_are_kept() {
    let bench = Bench::new();
    filled(&bench);
    for round in 1..=4 {
        fs::write(bench.path("sled/db"), vec![round; 5000]).unwrap();
        let (store, opening, _) = bench.open();
        assert!(matches!(opening.start, Start::NewEpoch { .. }));
        put(&store, Lane::MBus, 0..10);
        store.close().unwrap();
    }
    let kept: Vec<_> = (1..=5).filter(|n| bench.path(&format!("quarantine-{n}")).exists()).collect();
    assert_eq!(kept, [3, 4]);
}

#[test]
fn an_interrupted_replacement_is_finished_or_begun_again() {
    let ward = Ward::new();
    let (opening, lost) = ward.check(|path| {
        fs::create_dir(path.join("salvage")).unwrap();
        fs::write(path.join("salvage/db"), b"half").unwrap();
    });
    assert_eq!((opening.start, lost), (Start::Continued, 0));
    let (opening, lost) = ward.check(|path| fs::rename(path.join("sled"), path.join("salvage")).unwrap());
    assert_eq!((opening.start, lost), (Start::Continued, 0));
}

#[test]
fn a_database_with_a_piece_cut_out_or_many_flipped_bits_is_survived() {
    let ward = Ward::new();
    let octets = fs::read(ward.original.path("sled/db")).unwrap();
    let used = octets.iter().rposition(|octet| *octet != 0).unwrap();
    for tenth in 1..10 {
        let at = used * tenth / 10;
        let cut_out = |octets: &mut Vec<u8>| drop(octets.drain(at..at + 4096));
        let flip = |octets: &mut Vec<u8>| (0..20).for_each(|n| octets[at + n * 797 % 9001] ^= 1 << (n % 8));
        for damage in [&cut_out as &dyn Fn(&mut Vec<u8>), &flip] {
            ward.check(|path| {
                let mut octets = octets.clone();
                damage(&mut octets);
                fs::write(path.join("sled/db"), octets).unwrap();
            });
        }
    }
}

#[test]
fn a_store_is_not_called_sound_where_nobody_knows_what_was_promised() {
    let ward = Ward::new();
    let inspected = || {
        let path = &ward.original.options.path;
        inspect(path, &PLAIN).unwrap().rehearse(path, &PLAIN).unwrap()
    };
    let sequences = ["sequence", "sequence.2"].map(|name| ward.original.path(name));
    assert!(inspected().is_sound(), "{:?}", inspected());
    for path in &sequences {
        let mut octets = fs::read(path).unwrap();
        octets[20..23].iter_mut().for_each(|octet| *octet ^= 0x10);
        fs::write(path, octets).unwrap();
    }
    assert!(inspected().findings[0].contains("the sequence file is damaged"), "{:?}", inspected());
    // An older state of the database that is whole in itself: nothing else tells that something is gone.
    let database = ward.original.path("sled/db");
    let length = fs::metadata(&database).unwrap().len();
    sequences.iter().for_each(|path| fs::remove_file(path).unwrap());
    fs::OpenOptions::new().write(true).open(database).unwrap().set_len(length / 2).unwrap();
    assert!(inspected().findings[0].contains("the sequence file is missing"), "{:?}", inspected());
}
