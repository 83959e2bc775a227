//! What is told of a meter that cannot be reached, and that it is back: once each, through ends of the service.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plc::Eui64;
use tempfile::TempDir;

use crate::clock::{Now, ReadClock};
use crate::config::{Config, Electricity};
use crate::journal::Counters;
use crate::reading::{Event, EventKind, TimeQuality};
use crate::registry::{Credentials, Ways};
use crate::schedule::{End, MeterNo, MeterState, Order};
use crate::store::{Body, Options, Store};
use crate::task::electricity::collector::{Collector, Purpose};
use crate::task::electricity::demand::Demand;
use crate::task::electricity::exchange::Outcome;
use crate::task::electricity::known::Known;
use crate::task::plc::Dark;

const NODE: Eui64 = Eui64([2, 0, 0, 0, 0, 0, 0, 1]);
const METER: MeterNo = MeterNo(0);
/// Longer than anybody is left alone.
const LATER_S: i64 = 8 * 3_600;

/// A unit with one meter behind a node, whose outages are told where a test says so.
struct Unit {
    dir: TempDir,
    later_s: Arc<AtomicI64>,
    clock: ReadClock,
    dark: Dark,
}

/// One run of its service.
struct Life<'a> {
    unit: &'a Unit,
    collector: Collector,
    store: Store,
}

impl Unit {
    #[expect(clippy::disallowed_methods, reason = "any instant to count from")]
    fn new() -> Self {
        let (later_s, begin) = (Arc::new(AtomicI64::new(0)), Instant::now());
        let shared = Arc::clone(&later_s);
        let clock: ReadClock = Arc::new(move || {
            let later = shared.load(Ordering::Relaxed);
            let mono = begin + Duration::from_secs(later.unsigned_abs());
            let utc_ms = (1_775_000_000 + later) * 1_000;
            Now { mono, boot_id: [7; 16], boot_ms: 0, utc_ms, quality: TimeQuality::Synchronised }
        });
        Self { dir: tempfile::tempdir().unwrap(), later_s, clock, dark: Dark::default() }
    }

    fn set_out(&self, is_out: bool) {
        let out = if is_out { BTreeSet::from([NODE]) } else { BTreeSet::new() };
        self.dark.set_out(&Arc::from("feeder"), out);
    }

    fn life(&self) -> Life<'_> {
        let options = Options::new(self.dir.path().join("store"), "dcu-1");
        let (codec, clock) = (crate::wire::CODEC, &self.clock);
        let (store, _) = Store::open(options, codec, Arc::clone(clock), Box::new(|| 7), Box::new(|_| {})).unwrap();
        let counters = Counters::open(&self.dir.path().join("counters"), 256).unwrap();
        let credentials = Credentials::read("").unwrap();
        let ways = Arc::new(Mutex::new(Ways::default()));
        let networks = (&[][..], self.dark.clone());
        let mut collector =
            Collector::new(config(), &credentials, counters, networks, store.clone(), ways, Arc::clone(clock));
        collector.commission(clock());
        Life { unit: self, collector, store }
    }
}

impl Life<'_> {
    /// The meter is asked in its turn, and this becomes of it; the codes of what is told.
    fn asked(&mut self, end: End) -> Vec<String> {
        let order = self.order();
        let task = Purpose::Task(0);
        self.done(&order, task, end)
    }

    /// The same out of its turn.
    fn demanded(&mut self, end: End) -> Vec<String> {
        assert!(self.collector.schedule.ask(METER, 70));
        let order = self.order();
        self.done(&order, Purpose::Demand(Demand::Scales(Vec::new())), end)
    }

    fn order(&mut self) -> Order {
        self.unit.later_s.fetch_add(LATER_S, Ordering::Relaxed);
        self.collector.schedule.poll((self.unit.clock)()).unwrap()
    }

    fn done(&mut self, order: &Order, purpose: Purpose, end: End) -> Vec<String> {
        let id = tokio::spawn(async {}).id();
        self.collector.orders.insert(id, (order.ticket, order.meter, purpose));
        self.collector.done(id, Outcome { end, detail: Some("of the test".to_owned()), ..Outcome::default() });
        let records = self.collector.waiting.iter().flat_map(|batch| &batch.records);
        let codes = records.filter_map(|(_, body)| match body {
            Body::Event(Event { kind: EventKind::Unit { code, .. }, .. }) => Some(code),
            _ => None,
        });
        let told = codes.filter(|code| *code != "electricity.gap").cloned().collect();
        assert!(self.collector.hand_over());
        told
    }

    fn state(&self) -> MeterState {
        self.collector.schedule.state(METER).unwrap()
    }

    fn end(self) {
        self.store.close().unwrap();
    }
}

fn config() -> Electricity {
    let text = "[[electricity.channel]]\nname = \"lan\"\nlink = \"wrapper\"\n\
                [[electricity.meter]]\nid = \"4B464D0000000001\"\nchannel = \"lan\"\ntcp = \"127.0.0.1:4059\"\n\
                [[electricity.task]]\nid = \"profile\"\nwhat = \"profile\"\nobject = \"1-0:99.1.0*255\"\n\
                period = \"15min\"\n[electricity]\nretries = 1\n";
    let mut electricity = Config::parse(text, Path::new("/")).0.electricity;
    assert_eq!((electricity.meters.len(), electricity.tasks.len(), electricity.retries), (1, 1, 1));
    electricity.meters[0].node = Some(NODE);
    electricity
}

const UNREACHABLE: &str = "electricity.unreachable";
const BACK: &str = "electricity.back";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_was_told_to_be_unreachable_is_told_to_be_back_once_whatever_ends_between() {
    let unit = Unit::new();
    let nothing: &[&str] = &[];
    let mut life = unit.life();
    assert_eq!(life.asked(End::Complete), nothing);
    assert_eq!((life.asked(End::Unreachable), life.asked(End::Unreachable)), (vec![], vec![UNREACHABLE.to_owned()]));
    assert_eq!(life.asked(End::Unreachable), nothing);
    life.end();
    // It stays so, and is not told again, however often it is asked in vain.
    for _ in 0..2 {
        let mut life = unit.life();
        assert_eq!(life.state(), MeterState::Unreachable);
        for _ in 0..4 {
            assert_eq!((life.asked(End::Unreachable).as_slice(), life.state()), (&[][..], MeterState::Unreachable));
        }
        life.end();
    }
    let mut life = unit.life();
    assert_eq!(life.asked(End::Unreachable), nothing);
    assert_eq!(life.asked(End::Complete), [BACK]);
    assert_eq!(life.asked(End::Complete), nothing);
    life.end();
    let mut life = unit.life();
    assert_eq!(life.asked(End::Complete), nothing, "it was told");
    life.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_answers_out_of_its_turn_before_an_end_is_told_to_be_back_after_it() {
    let unit = Unit::new();
    let mut life = unit.life();
    life.asked(End::Complete);
    life.asked(End::Unreachable);
    assert_eq!(life.asked(End::Unreachable), [UNREACHABLE]);
    assert!(life.demanded(End::Complete).is_empty());
    assert_eq!(life.state(), MeterState::Active);
    life.end();
    let mut life = unit.life();
    // It falls silent before it is asked: it was told already.
    for _ in 0..3 {
        assert!(life.asked(End::Unreachable).is_empty());
    }
    life.end();
    let mut life = unit.life();
    assert_eq!(life.asked(End::Complete), [BACK]);
    life.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_was_told_by_an_outage_alone_is_not_told_to_be_back_by_itself() {
    let unit = Unit::new();
    let mut life = unit.life();
    life.asked(End::Complete);
    unit.set_out(true);
    for _ in 0..3 {
        assert!(life.asked(End::Unreachable).is_empty());
    }
    assert_eq!(life.state(), MeterState::Unreachable);
    life.end();
    let mut life = unit.life();
    assert!(life.asked(End::Unreachable).is_empty());
    unit.set_out(false);
    assert!(life.asked(End::Complete).is_empty(), "the end of the outage was told");
    // An outage that is given up leaves each to be told by itself, in this life or the next.
    unit.set_out(true);
    for _ in 0..3 {
        assert!(life.asked(End::Unreachable).is_empty());
    }
    life.end();
    unit.set_out(false);
    let mut life = unit.life();
    assert_eq!(life.asked(End::Unreachable), [UNREACHABLE]);
    // Who was told before an outage names it is told to be back.
    unit.set_out(true);
    assert!(life.asked(End::Unreachable).is_empty());
    life.end();
    let mut life = unit.life();
    unit.set_out(false);
    assert_eq!(life.asked(End::Complete), [BACK]);
    life.end();
}

#[test]
fn only_an_answer_ends_what_was_told() {
    let electricity = config();
    let channels: Vec<_> = electricity.channels.iter().cloned().map(Arc::new).collect();
    let credentials = Credentials::read("").unwrap();
    let mut known = Known::new(&electricity.meters[0], &electricity, &channels, &credentials, &[]).unwrap();
    let told = [
        MeterState::New,
        MeterState::Unreachable,
        MeterState::New,
        MeterState::Silent,
        MeterState::Unreachable,
        MeterState::Active,
        MeterState::Active,
    ]
    .map(|state| known.change_of_state(state));
    assert_eq!(told, [None, Some(UNREACHABLE), None, None, None, Some(BACK), None]);
}
