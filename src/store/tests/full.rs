use std::process::Command;

use super::*;

/// A small file system of its own; needs root.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(mebibytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "dcu-test"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            _ => {
                println!("skipped: a small file system cannot be mounted here");
                None
            }
        }
    }
}

/// What the kernel says is free.
fn free_octets(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let said = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(there).output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (blocks, size) = said.trim().split_once(' ')?;
    Some(blocks.parse::<u64>().ok()? * size.parse::<u64>().ok()?)
}

impl SmallDisk {
    /// A store on it that knows how much is free.
    fn bench(&self) -> Bench {
        let mut bench = Bench::at(&self.0.path().join("store"));
        bench.options.system.free_octets = free_octets;
        bench
    }

    /// Somebody else takes all that is left.
    fn take_the_rest(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        let mut file = std::fs::File::options().create(true).append(true).open(&path).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
        path
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path().join(directory)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }
}

/// Somebody gives back what they took. A child that another test has just forked holds the file for a moment, and so
/// all that is in it, however it is removed: it is emptied first.
fn give_back(path: &Path) {
    std::fs::File::options().write(true).truncate(true).open(path).unwrap();
    std::fs::remove_file(path).unwrap();
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

/// Appends records until a commit does not succeed within the time. How many were reported durable.
fn fill(bench: &Bench, store: &Store, reports: &Receiver<Report>, lane: Lane, from: u64) -> (u64, String) {
    let (mut number, mut durable) = (from, from);
    loop {
        let records: Vec<_> = (number..number + 200).map(|n| (lane, raw(text(n).repeat(8)))).collect();
        if store.try_append(records, None).is_ok() {
            number += 200;
        }
        let (done, result) = channel();
        store.commit(Some(Box::new(move |r| drop(done.send(r))))).unwrap();
        match result.recv_timeout(Duration::from_secs(5)) {
            Ok(committed) => durable += committed.unwrap().count as u64,
            Err(_) => {
                let trouble = reports.try_iter().find_map(|report| match report {
                    Report::Trouble { reason, full: true } => Some(reason),
                    _ => None,
                });
                if let Some(reason) = trouble {
                    return (durable, reason);
                }
                bench.pass(Duration::from_secs(20));
            }
        }
    }
}

/// Commits until it succeeds again; time passes meanwhile.
fn commit_again(bench: &Bench, store: &Store) -> bool {
    for _ in 0..10 {
        bench.pass(Duration::from_secs(20));
        let (done, result) = channel();
        store.commit(Some(Box::new(move |r| drop(done.send(r))))).unwrap();
        if result.recv_timeout(Duration::from_secs(3)).is_ok() {
            return true;
        }
    }
    false
}

fn found(store: &Store, epoch: Epoch, lane: Lane) -> Vec<Vec<u8>> {
    let batches = all(store, epoch, lane);
    check_chain(&batches);
    batches.iter().flat_map(texts).collect()
}

#[test]
fn a_full_disk_loses_nothing_that_was_reported_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 6 << 20]).unwrap();
    let bench = Bench::at(&disk.0.path().join("store"));
    let (store, Opening { epoch, .. }, reports) = bench.open();
    let (durable, reason) = fill(&bench, &store, &reports, Lane::MBus, 0);
    println!("full after {durable} records: {reason}");
    assert!(durable > 1000);
    let refused = (0..100).any(|n| {
        let records = (0..200).map(|_| (Lane::MBus, raw(text(n)))).collect();
        matches!(store.try_append(records, None), Err((StoreError::Busy, ..)))
    });
    assert!(refused, "a store that cannot commit takes no more than its queue");
    give_back(&ballast);
    assert!(commit_again(&bench, &store), "it goes on when there is room");
    assert!(reports.try_iter().any(|report| report == Report::Recovered));
    seal(&bench, &store);
    let texts = found(&store, epoch, Lane::MBus);
    assert!(texts.len() as u64 > durable);
    for (n, found) in (0..durable).zip(&texts) {
        assert_eq!(*found, text(n).repeat(8));
    }
    assert_eq!(store.statistics().lanes[Lane::MBus as usize].lost, 0);
    store.close().unwrap();
    assert_eq!(bench.open().1.start, Start::Continued);
}

#[test]
fn on_a_full_disk_acknowledged_batches_make_room() {
    let Some(disk) = SmallDisk::mount(12) else { return };
    let bench = Bench::at(&disk.0.path().join("store"));
    let (store, Opening { epoch, .. }, reports) = bench.open();
    let mut number = 0;
    for round in 0..6 {
        // Far more than fits, acknowledged as it comes.
        for _ in 0..12 {
            let (done, result) = channel();
            let records: Vec<_> = (number..number + 200).map(|n| (Lane::MBus, raw(text(n).repeat(8)))).collect();
            number += 200;
            store.append(records, None).unwrap();
            store.commit(Some(Box::new(move |r| drop(done.send(r))))).unwrap();
            let mut waits = 0;
            while result.try_recv().is_err() {
                std::thread::sleep(Duration::from_millis(5));
                waits += 1;
                if waits % 20 == 0 {
                    bench.pass(Duration::from_secs(20));
                }
                assert!(waits < 6000, "stands still in round {round} at {number}: {:?}", store.statistics());
            }
            let sealed = store.statistics().lanes[Lane::MBus as usize].last;
            store.acknowledge(epoch, Lane::MBus, &[(1, sealed)]).unwrap();
        }
    }
    let statistics = store.statistics();
    let figures = &statistics.lanes[Lane::MBus as usize];
    println!("{} reports, {} octets in the file", reports.try_iter().count(), statistics.file_octets);
    assert_eq!((figures.last, figures.lost), (number, 0));
    assert!(store.verify().unwrap().is_sound());
    store.close().unwrap();
    assert_eq!(bench.open().1.start, Start::Continued);
}

#[test]
fn a_store_opens_on_a_full_disk_with_all_it_has_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let bench = disk.bench();
    let (store, Opening { epoch, .. }, _) = bench.open();
    put(&store, Lane::MBus, 0..1000);
    // The writer fills the reserve after its first commit at the latest.
    store.close().unwrap();
    assert!(disk.names("store").contains(&"reserve-opening".to_owned()));
    let ballast = disk.take_the_rest("ballast");
    for round in 0..3 {
        let (store, opening, _) = bench.open();
        assert_eq!((opening.epoch, opening.start), (epoch, Start::Continued), "round {round}");
        let offered = store.unacknowledged(Lane::MBus, None, Limit { batches: 99, octets: 1 << 20 }).unwrap();
        assert_eq!(offered.iter().flat_map(texts).collect::<Vec<_>>(), (0..1000).map(text).collect::<Vec<_>>());
        store.close().unwrap();
        // What was given up for it is gone as well.
        disk.take_the_rest(&format!("ballast-{round}"));
    }
    give_back(&ballast);
    let (store, opening, _) = bench.open();
    assert_eq!((opening.epoch, opening.start), (epoch, Start::Continued));
    put(&store, Lane::MBus, 1000..1050);
    assert!(store.statistics().full_since_ms.is_none() && store.statistics().free_octets > Some(1 << 20));
    assert_eq!(found(&store, epoch, Lane::MBus).len(), 1050);
}

#[test]
fn a_store_that_finds_no_room_to_open_is_left_as_it_was() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let bench = disk.bench();
    let (store, Opening { epoch, .. }, _) = bench.open();
    put(&store, Lane::MBus, 0..1000);
    store.close().unwrap();
    for name in ["reserve", "reserve-opening"] {
        std::fs::remove_file(bench.path(name)).unwrap();
    }
    // What a program that did not mend it left of its snapshot.
    std::fs::write(bench.path("sled/snap.00000000000FFFFF.generating"), b"").unwrap();
    let ballast = disk.take_the_rest("ballast");
    for _ in 0..2 {
        let error = bench.try_open().unwrap_err();
        assert!(matches!(error, OpenError::Full { free: Some(0..=8192), source: Some(_), .. }), "{error:?}");
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert!(!disk.names("store/sled").iter().any(|name| name.ends_with(".generating")));
    }
    give_back(&ballast);
    let (store, opening, _) = bench.open();
    assert_eq!((opening.epoch, opening.start), (epoch, Start::Continued));
    assert_eq!(found(&store, epoch, Lane::MBus).len(), 1000);
}

#[test]
fn no_store_is_begun_on_a_full_disk() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    for knows in [true, false] {
        let mut bench = disk.bench();
        if !knows {
            bench.options.system.free_octets = |_| None;
        }
        let ballast = disk.take_the_rest("ballast");
        let error = bench.try_open().unwrap_err();
        assert!(matches!(error, OpenError::Full { .. }), "{error:?}");
        // As a child does that was just forked.
        let _held = std::fs::File::open(&ballast).unwrap();
        give_back(&ballast);
        let (store, opening, _) = bench.open();
        assert_eq!(opening.start, Start::New);
        store.close().unwrap();
        std::fs::remove_dir_all(&bench.options.path).unwrap();
    }
}

#[test]
fn a_backlog_stays_when_others_fill_the_disk() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let bench = disk.bench();
    let (store, Opening { epoch, .. }, reports) = bench.open();
    put(&store, Lane::MBus, 0..1000);
    disk.take_the_rest("ballast");
    let mut more = 0;
    // Urgent records and readings, for as long as the disk stays full.
    for _ in 0..150 {
        let records =
            (0..20).map(|n| ([Lane::Security, Lane::MBus][n as usize % 2], raw(text(n).repeat(20)))).collect();
        match store.try_append(records, None) {
            Ok(()) => more += 20,
            Err((error, ..)) => assert!(matches!(error, StoreError::Busy), "{error}"),
        }
        bench.pass(Duration::from_secs(6));
        std::thread::sleep(Duration::from_millis(5));
        disk.take_the_rest("ballast");
    }
    let figures = store.statistics();
    println!("{more} more records, {} of them wait", figures.queued);
    assert!(figures.queued > 0 && figures.full_since_ms.is_some() && store.is_full());
    give_back(&disk.0.path().join("ballast"));
    assert!(commit_again(&bench, &store), "it goes on when there is room");
    assert_eq!(store.statistics().lanes.iter().map(|lane| lane.lost).sum::<u64>(), 0);
    assert!(!reports.try_iter().any(|report| matches!(report, Report::Evicted { .. })));
    let kept: Vec<_> = found(&store, epoch, Lane::MBus).into_iter().take(1000).collect();
    assert_eq!(kept, (0..1000).map(text).collect::<Vec<_>>());
    let urgent = found(&store, epoch, Lane::Security).len() as u64;
    assert_eq!(urgent, more / 2 + 1, "and what had been taken is there, with the event of the first start");
}
