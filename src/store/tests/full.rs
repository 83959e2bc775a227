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
    std::fs::remove_file(ballast).unwrap();
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
