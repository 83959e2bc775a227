//! What the store promises, through its doors, on real files.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a test says what time it is, and its figures")]

mod damage;
mod full;
mod kill;
mod normal;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut};

use super::*;
use crate::clock::Now;
use crate::reading::{RawTelegram, ReadingTypes, Received, Security, TimeQuality};

/// A codec as plain as can be: a record is its text.
const PLAIN: Codec = Codec { encode_group: plain_encode, decode_group: plain_decode, seal: plain_seal };

fn plain_encode(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        let octets = match &record.body {
            Body::Raw(raw) => raw.octets.clone(),
            other => format!("{other:?}").into_bytes(),
        };
        out.put_u32_le(octets.len() as u32);
        out.put_slice(&octets);
    }
    out
}

fn plain_decode(mut octets: &[u8]) -> Result<Vec<Record>, CodecError> {
    let mut records = Vec::new();
    while !octets.is_empty() {
        let length = octets.try_get_u32_le().map_err(|error| CodecError(error.to_string()))? as usize;
        let body = octets.get(..length).ok_or_else(|| CodecError("short".into()))?.to_vec();
        octets.advance(length);
        records.push(Record { lane: Lane::Raw, sequence: 0, body: raw(body) });
    }
    Ok(records)
}

fn plain_seal(head: &BatchHead, records: &[Record], _: &ReadingTypes) -> Vec<u8> {
    assert_eq!(head.count as usize, records.len());
    assert!(records.iter().zip(head.first..).all(|(record, n)| record.sequence == n && record.lane == head.lane));
    let mut out = head.previous_hash.to_vec();
    out.put_u64_le(head.epoch.0);
    out.put_slice(&plain_encode(records));
    out
}

/// What a sealed batch says: the texts of its records.
fn texts(batch: &Batch) -> Vec<Vec<u8>> {
    let records = plain_decode(&batch.octets[40..]).unwrap();
    assert_eq!(records.len(), batch.count as usize);
    assert_eq!(batch.octets[..32], batch.previous_hash);
    records.into_iter().map(|record| plain_encode(&[record])[4..].to_vec()).collect()
}

fn raw(octets: Vec<u8>) -> Body {
    let received = Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Synchronised };
    Body::Raw(RawTelegram { meter: None, received, links: Vec::new(), reason: Security::NoKey, octets, wize: None })
}

/// The content of the n-th record of a test: it can be told from all others.
fn text(n: u64) -> Vec<u8> {
    format!("record {n} {}", "x".repeat((n % 23) as usize)).into_bytes()
}

/// A directory with a store, and its clock.
struct Bench {
    _dir: Option<tempfile::TempDir>,
    options: Options,
    now: Arc<Mutex<Now>>,
    epochs: Mutex<u64>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        Self { _dir: Some(dir), ..Self::at(&path) }
    }

    fn at(path: &Path) -> Self {
        let (boot_ms, utc_ms, quality) = (1000, 1_700_000_000_000, TimeQuality::Synchronised);
        let now = Now { mono: Instant::now(), boot_id: [7; 16], boot_ms, utc_ms, quality };
        let options = Options { seal_records: 50, ..Options::new(path, "dcu-1") };
        Self { _dir: None, options, now: Arc::new(Mutex::new(now)), epochs: Mutex::new(0) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.options.path.join(name)
    }

    fn pass(&self, time: Duration) {
        let mut now = self.now.lock().unwrap();
        now.mono += time;
        now.boot_ms += time.as_millis() as u64;
        now.utc_ms += time.as_millis() as i64;
    }

    fn try_open(&self) -> Result<(Store, Opening, Receiver<Report>), OpenError> {
        let (reports, received) = channel();
        let now = Arc::clone(&self.now);
        *self.epochs.lock().unwrap() += 1;
        let mut epoch = *self.epochs.lock().unwrap() * 100;
        let (store, opening) = Store::open(
            self.options.clone(),
            PLAIN,
            Arc::new(move || *now.lock().unwrap()),
            Box::new(move || {
                epoch += 1;
                epoch
            }),
            Box::new(move |report| drop(reports.send(report))),
        )?;
        Ok((store, opening, received))
    }

    /// A child that another test has just forked holds all locks of this process until it is another program.
    fn open(&self) -> (Store, Opening, Receiver<Report>) {
        for _ in 0..500 {
            match self.try_open() {
                Err(OpenError::InUse { .. }) => *self.epochs.lock().unwrap() -= 1,
                opened => return opened.unwrap(),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.try_open().unwrap()
    }
}

/// Commits records with these numbers and waits until they are durable.
fn put(store: &Store, lane: Lane, numbers: impl IntoIterator<Item = u64>) -> Commit {
    let (done, result) = channel();
    let records = numbers.into_iter().map(|n| (lane, raw(text(n)))).collect();
    store.append(records, None).unwrap();
    store.commit(Some(Box::new(move |result| done.send(result).unwrap()))).unwrap();
    result.recv_timeout(Duration::from_secs(60)).expect("the writer answers").unwrap()
}

/// Seals everything by age.
fn seal(bench: &Bench, store: &Store) {
    bench.pass(Duration::from_secs(61));
    put(store, Lane::Raw, []);
}

fn all(store: &Store, epoch: Epoch, lane: Lane) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    loop {
        let after = batches.last().map_or(0, Batch::last);
        let more = store.batches_after(epoch, lane, after, Limit { batches: 7, octets: 20_000 }).unwrap();
        if more.is_empty() {
            return batches;
        }
        batches.extend(more);
    }
}

/// The batches follow each other, by sequence and hash, from the first.
#[track_caller]
fn check_chain(batches: &[Batch]) {
    let (mut next, mut head) = (1, [0; 32]);
    for batch in batches {
        assert_eq!((batch.first, batch.previous_hash), (next, head), "{batch:?}");
        assert!(batch.is_whole());
        (next, head) = (batch.last() + 1, batch.hash);
    }
}

/// Every event of the store itself, from P1 of all epochs.
fn events(store: &Store) -> String {
    let all_epochs = store.epochs().into_iter();
    let texts = all_epochs.flat_map(|epoch| all(store, epoch, Lane::Security)).flat_map(|batch| texts(&batch));
    texts.map(|text| String::from_utf8(text).unwrap() + "\n").collect()
}
