use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

/// The child: commits until it is killed, and writes what was reported durable, a line a commit.
#[test]
fn child_that_is_killed() {
    let Some(path) = std::env::var_os("DCU_STORE_KILL_CHILD") else { return };
    let mut bench = Bench::at(Path::new(&path));
    bench.options.commit_window = Duration::from_millis(1);
    *bench.epochs.lock().unwrap() = u64::from(std::process::id());
    let (store, opening, _) = bench.open();
    let begin = all(&store, opening.epoch, Lane::MBus).last().map_or(0, Batch::last) + opening.unsealed;
    let mut number = begin;
    loop {
        let count = 1 + number % 61;
        let commit = put(&store, Lane::MBus, number..number + count);
        number += count;
        let mut out = std::io::stdout().lock();
        writeln!(out, "DURABLE {} {} {}", opening.epoch, commit.lanes[0].first, commit.lanes[0].last).unwrap();
        out.flush().unwrap();
        if number % 7 == 0 {
            store.acknowledge(opening.epoch, Lane::MBus, &[(1, number / 2)]).unwrap();
        }
    }
}

#[test]
fn whatever_was_reported_before_a_kill_is_there_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (mut durable, mut epoch) = (0, Epoch(0));
    for round in 0..12 {
        // The program that runs, also where another build has taken its name meanwhile.
        let mut child = Command::new("/proc/self/exe")
            .args(["store::tests::kill::child_that_is_killed", "--exact", "--nocapture", "--test-threads=1"])
            .env("DCU_STORE_KILL_CHILD", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut commits, wanted) = (0, 3 + round * 7);
        for line in lines.map_while(Result::ok) {
            let words: Vec<_> = line.split_whitespace().collect();
            if let ["DURABLE", of, first, last] = words[..] {
                let of = Epoch(u64::from_str_radix(of, 16).unwrap());
                assert!(epoch == Epoch(0) || epoch == of, "the same epoch goes on");
                assert!(first.parse::<u64>().unwrap() > durable);
                (epoch, durable, commits) = (of, last.parse().unwrap(), commits + 1);
            }
            if commits == wanted {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let bench = Bench::at(&path);
        let (store, opening, _) = bench.open();
        assert_eq!((opening.epoch, opening.start), (epoch, Start::Continued));
        seal(&bench, &store);
        let batches = all(&store, epoch, Lane::MBus);
        check_chain(&batches);
        let texts: Vec<_> = batches.iter().flat_map(texts).collect();
        assert!(texts.len() as u64 >= durable, "{} of {durable}", texts.len());
        assert!(texts.iter().zip(0..).all(|(found, n)| *found == text(n)));
        store.close().unwrap();
    }
    println!("12 kills, {durable} records reported durable, none lost");
}
