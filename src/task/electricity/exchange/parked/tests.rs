#![allow(clippy::disallowed_methods, reason = "a runtime needs the real clock")]

use std::sync::atomic::{AtomicU64, Ordering};

use dlms::client::Authentication;
use dlms::cosem::class;
use dlms::security::{AuthenticationKey, Ciphering, EncryptionKey, SystemTitle};
use dlms::sim::{Access, Faults, Model, Port, Server};
use plc::Eui64;
use plc::poll::Priority;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::clock::{Now, ReadClock};
use crate::config::electricity::{self, Channel, Link, Manner, Meter};
use crate::journal::Counters;
use crate::reading::{Origin, Reading, TimeQuality};
use crate::registry::{Credential, Credentials};
use crate::schedule::{End, Grid};
use crate::task::electricity::exchange::{COUNTERS_AT_ONCE, Shown, Wanted};
use crate::task::plc::Question;

const UNIT: [u8; 8] = *b"DCU\0\0\0\0\x01";
const KEY: &str = "30313233343536373839616263646566";
const IMPORT: Obis = Obis([1, 0, 1, 8, 0, 255]);
const PROFILE: Obis = Obis([1, 0, 99, 1, 0, 255]);
const UNIX: i64 = 1_775_000_000;

/// What readings say, without when they came.
fn of(readings: Vec<Reading>) -> Vec<String> {
    let said =
        |Reading { register, value, interval, quality, .. }| format!("{register:?} {value:?} {interval:?} {quality:?}");
    readings.into_iter().map(said).collect()
}

/// A meter behind a node, what it was told, and a clock that the test moves.
struct Bench {
    server: Arc<Mutex<Server>>,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    later: Arc<AtomicU64>,
    begin: Instant,
    party: Arc<Party>,
    parked: Arc<Parked>,
    counters: Arc<Mutex<Counters>>,
    layout: Option<Arc<crate::task::electricity::exchange::Layout>>,
    received: Option<u32>,
    _directory: TempDir,
}

impl Bench {
    fn new(faults: Faults, keep_open: u64) -> Self {
        Self::with(faults, Manner { keep_open: Duration::from_secs(keep_open), ..manner() })
    }

    fn with(faults: Faults, manner: Manner) -> Self {
        let model = Model::electricity(4711).unwrap();
        let mut server = Server::new(model.build(), Port::wrapper(1), vec![access(&model)], UNIX, 1);
        server.faults = faults;
        let server = Arc::new(Mutex::new(server));
        let (heard, later, begin) = (Arc::default(), Arc::default(), Instant::now());
        let network = network(Arc::clone(&server), Arc::clone(&heard), (begin, Arc::clone(&later)));
        let directory = tempfile::tempdir().unwrap();
        let counters = Counters::open(&directory.path().join("counters"), 256).unwrap();
        let (counters, parked) = (Arc::new(Mutex::new(counters)), Arc::default());
        let party = Arc::new(party(model.system_title().0, manner, Some(network)));
        let (layout, received) = (None, None);
        Self { server, heard, later, begin, party, parked, counters, layout, received, _directory: directory }
    }

    /// So many seconds pass.
    fn pass(&self, seconds: u64) {
        self.later.fetch_add(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> Instant {
        self.begin + Duration::from_secs(self.later.load(Ordering::Relaxed))
    }

    async fn read(&mut self, wanted: Wanted) -> Outcome {
        let (begin, later) = (self.begin, Arc::clone(&self.later));
        let clock: ReadClock = Arc::new(move || {
            let later = later.load(Ordering::Relaxed);
            let (mono, utc_ms) = (begin + Duration::from_secs(later), (UNIX + later as i64) * 1_000);
            Now { mono, boot_id: [0; 16], boot_ms: 1_000 * later, utc_ms, quality: TimeQuality::Synchronised }
        });
        let grid = Grid::Every { seconds: 900 };
        let slot = grid.last_ended(UNIX);
        let job = Job {
            meter: Arc::clone(&self.party),
            wanted,
            grid,
            slots: slot - 3..=slot,
            slot_seconds: 900,
            is_named: true,
            looks_behind: false,
            moved: None,
            origin: Origin::Profile,
            priority: Priority::Profile,
            received: self.received,
            layout: self.layout.clone(),
            counters: Arc::clone(&self.counters),
            parked: Arc::clone(&self.parked),
            clock,
        };
        let outcome = job.run().await;
        self.received = self.received.max(outcome.received);
        self.layout = outcome.layout.clone().or(self.layout.take());
        outcome
    }

    /// Reads a register, and tells by which requests.
    async fn register(&mut self) -> (End, String) {
        let outcome = self.read(Wanted::Registers(vec![(class::REGISTER, IMPORT)])).await;
        assert!(outcome.end != End::Complete || outcome.rows.len() == 1, "{outcome:?}");
        (outcome.end, self.said())
    }

    /// What the meter was told since: A to associate, P the proof, G a question, R to release.
    fn said(&self) -> String {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        let letter = |octets: &Vec<u8>| match octets[8] {
            0x60 => 'A',
            0x62 => 'R',
            200 => 'G',
            203 => 'P',
            tag => panic!("{tag}"),
        };
        heard.iter().map(letter).collect()
    }

    fn kept(&self) -> usize {
        self.parked.open().len()
    }
}

fn manner() -> Manner {
    Manner { authentication: electricity::Authentication::Gmac, security: 0x30, ..Manner::default() }
}

fn credential(id: [u8; 8]) -> Option<Arc<Credential>> {
    let text = format!("[{}]\nencryption_key = \"{KEY}\"\nauthentication_key = \"{KEY}\"\n", hex::encode(id));
    Credentials::read(&text).unwrap().of(id).cloned()
}

fn party(id: [u8; 8], manner: Manner, network: Option<mpsc::Sender<Question>>) -> Party {
    let place = Some(Place::Plc("feeder".to_owned()));
    let (name, timeout) = ("street".to_owned(), Duration::from_secs(5));
    let channel = Channel { name, link: Link::Wrapper, place, at_once: 1, timeout, frame_size: 128 };
    let node = Some(Eui64([2, 0, 0, 0, 0, 0, 0, 1]));
    Party {
        meter: Meter { id, channel: 0, place: None, node, group: None, is_handed_over: false, manner },
        channel: Arc::new(channel),
        credential: credential(id),
        own_title: Some(UNIT),
        shown: Shown::default(),
        events: Arc::default(),
        network,
    }
}

fn access(model: &Model) -> Access {
    let key = hex::decode(KEY).unwrap();
    let ciphering = Ciphering {
        suite: model.suite,
        own_title: model.system_title(),
        peer_title: Some(SystemTitle(UNIT)),
        global: EncryptionKey::new(&key).unwrap(),
        broadcast: None,
        dedicated: None,
        authentication: AuthenticationKey::new(&key).unwrap(),
    };
    Access { ciphering: Some(ciphering), is_protected: true, ..Access::management(1, Authentication::Gmac) }
}

/// Conversations with the meter; what it does not answer ends one, as in a mesh.
fn network(
    server: Arc<Mutex<Server>>,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    (begin, later): (Instant, Arc<AtomicU64>),
) -> mpsc::Sender<Question> {
    let (network, mut questions) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            let Question::Connect(_, _, reply) = question else { panic!("{question:?}") };
            let (near, mut far) = tokio::io::duplex(4_096);
            reply.send(near.into()).unwrap();
            let mut buf = [0; 4_096];
            while let Ok(read @ 1..) = far.read(&mut buf).await {
                heard.lock().unwrap().push(buf[..read].to_vec());
                let answer = {
                    let mut server = server.lock().unwrap();
                    server.handle_bytes(&buf[..read], begin + Duration::from_secs(later.load(Ordering::Relaxed)));
                    server.poll_transmit()
                };
                let Some(answer) = answer else { break };
                far.write_all(&answer).await.unwrap();
            }
        }
    });
    network
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_next_order_goes_on_where_the_last_one_left_off() {
    let mut bench = Bench::new(Faults::default(), 120);
    assert_eq!(bench.register().await, (End::Complete, "APGG".to_owned()));
    for _ in 0..3 {
        bench.pass(110);
        assert_eq!(bench.register().await, (End::Complete, "GG".to_owned()));
    }
    // What is idle for longer is not tried.
    bench.pass(120);
    assert_eq!(bench.register().await, (End::Complete, "APGG".to_owned()));
    assert_eq!(bench.kept(), 1);
    bench.parked.sweep(bench.now() + Duration::from_secs(120));
    assert_eq!(bench.kept(), 0, "its keys are forgotten with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_association_is_ended_where_it_must_not_stay_open() {
    let mut bench = Bench::new(Faults::default(), 0);
    assert_eq!(bench.register().await, (End::Complete, "APGGR".to_owned()), "it is not wanted");
    let mut bench = Bench::new(Faults::default(), 120);
    let missing = Wanted::Registers(vec![(class::REGISTER, Obis([9; 6]))]);
    assert_eq!(bench.read(missing.clone()).await.end, End::Refused);
    assert_eq!((bench.said(), bench.kept()), ("APGGR".to_owned(), 0), "something went wrong");
    assert_eq!(bench.register().await.1, "APGG");
    assert_eq!(bench.read(missing).await.end, End::Refused);
    assert_eq!((bench.said(), bench.kept()), ("GGR".to_owned(), 0), "also later on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_meter_that_ended_it_meanwhile_is_asked_anew_and_its_next_ones_are_kept_half_as_long() {
    for ignores_strangers in [false, true] {
        let inactivity = Some(Duration::from_secs(60));
        let mut bench = Bench::new(Faults { inactivity, ignores_strangers, ..Faults::default() }, 3_600);
        assert_eq!(bench.register().await, (End::Complete, "APGG".to_owned()));
        bench.pass(80);
        // One question is lost by it, and nothing of what was wanted.
        assert_eq!(bench.register().await, (End::Complete, "GAPGG".to_owned()), "{ignores_strangers}");
        bench.pass(80);
        assert_eq!(bench.register().await, (End::Complete, "APGG".to_owned()), "it is not tried any more");
        bench.pass(39);
        assert_eq!(bench.register().await, (End::Complete, "GG".to_owned()));
        // Found open again and again, it is kept longer.
        for _ in 0..7 {
            bench.pass(39);
            assert_eq!(bench.register().await, (End::Complete, "GG".to_owned()));
        }
        bench.pass(50);
        assert_eq!(bench.register().await, (End::Complete, "GG".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_meter_that_was_restarted_or_is_away_loses_no_order_and_repeats_none() {
    let mut bench = Bench::new(Faults::default(), 3_600);
    assert_eq!(bench.register().await.1, "APGG");
    bench.server.lock().unwrap().reconnect();
    assert_eq!(bench.register().await, (End::Complete, "GAPGG".to_owned()));
    // In the middle of an order: what is asked is not begun anew.
    bench.server.lock().unwrap().faults.hang_after = Some(5);
    let (end, said) = bench.register().await;
    assert_eq!((end, said.as_str(), bench.kept()), (End::Unreachable, "GG", 0));
    bench.server.lock().unwrap().faults = Faults { lose_request: 1_000, ..Faults::default() };
    assert_eq!(bench.register().await, (End::Unreachable, "A".to_owned()));
    bench.server.lock().unwrap().faults = Faults::default();
    assert_eq!(bench.register().await, (End::Complete, "APGG".to_owned()));
    // Away while the association is kept: one question more, then it is as if there had been none.
    bench.server.lock().unwrap().faults.lose_request = 1_000;
    assert_eq!(bench.register().await, (End::Unreachable, "GA".to_owned()));
    assert_eq!(bench.register().await, (End::Unreachable, "A".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_invocation_counter_is_used_twice_and_none_goes_back() {
    let mut bench = Bench::new(Faults::default(), 120);
    let mut counters = Vec::new();
    for round in 0..60 {
        // Now and then it is opened anew, with a reservation above the one that was left.
        bench.pass(if round % 7 == 6 { 121 } else { 5 });
        let outcome = bench.read(Wanted::Registers(vec![(class::REGISTER, IMPORT)])).await;
        assert_eq!(outcome.end, End::Complete, "{round}: {outcome:?}");
        // Tag, length, security control, counter.
        let heard = std::mem::take(&mut *bench.heard.lock().unwrap());
        let ciphered = heard.iter().filter(|octets| [200, 203].contains(&octets[8]));
        counters.extend(ciphered.map(|octets| u32::from_be_bytes(*octets[11..].first_chunk().unwrap())));
    }
    assert!(counters.windows(2).all(|pair| pair[0] < pair[1]), "{counters:?}");
    assert!(counters.len() as u64 > 2 * COUNTERS_AT_ONCE, "one reservation is not enough for it");
    let next = bench.counters.lock().unwrap().peek(&bench.party.meter.id);
    assert!(u64::from(*counters.last().unwrap()) < next, "what is used was reserved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_spoken_with_by_other_keys_is_not_asked_in_the_old_association() {
    let mut bench = Bench::new(Faults::default(), 120);
    assert_eq!(bench.register().await.1, "APGG");
    let Party { meter, network, .. } = &*bench.party;
    bench.party = Arc::new(party(meter.id, meter.manner.clone(), network.clone()));
    bench.parked.sweep(bench.now());
    assert_eq!(bench.kept(), 0, "nobody has the old keys any more");
    assert_eq!(bench.register().await, (End::Complete, "APGG".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn columns_are_asked_for_once_in_an_association_and_after_half_a_day() {
    let mut values = None;
    let mut rows = async |bench: &mut Bench| {
        let outcome = bench.read(Wanted::Profile(PROFILE)).await;
        assert_eq!((outcome.end, outcome.rows.len()), (End::Complete, 4), "{outcome:?}");
        let read: Vec<_> = outcome.rows.into_iter().map(|(slot, readings)| (slot, of(readings))).collect();
        assert_eq!(*values.get_or_insert_with(|| read.clone()), read);
        bench.said().len()
    };
    let mut bench = Bench::new(Faults::default(), 100_000);
    let first = rows(&mut bench).await;
    assert_eq!(rows(&mut bench).await, 1, "the rows alone; at first {first}");
    bench.pass(13 * 3_600);
    assert_eq!(rows(&mut bench).await, 1, "columns and rows together");
    bench.server.lock().unwrap().reconnect();
    assert_eq!(rows(&mut bench).await, 1 + 2 + 1, "a meter that was restarted may have others");
    // A list that is refused may mean that the association is not open any more: it is opened anew, and asked once more.
    let mut bench = Bench::new(Faults { no_lists: true, ..Faults::default() }, 100_000);
    rows(&mut bench).await;
    bench.pass(13 * 3_600);
    assert_eq!(rows(&mut bench).await, 3);
    bench.party.shown.takes_no_lists.store(false, Ordering::Relaxed);
    bench.pass(13 * 3_600);
    assert_eq!(rows(&mut bench).await, 1 + 2 + 2 + 3, "columns and rows together, columns alone, each by itself");
    bench.party.shown.takes_no_lists.store(false, Ordering::Relaxed);
    bench.pass(13 * 3_600);
    // Associations of this meter are not kept so long any more.
    assert_eq!(rows(&mut bench).await, 2 + 1 + 3, "rows are not asked for in lists again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_meter_that_takes_no_lists_is_asked_for_one_after_the_other_and_no_list_again() {
    let mut bench = Bench::new(Faults { no_lists: true, ..Faults::default() }, 120);
    assert_eq!(bench.register().await, (End::Complete, "APGGGG".to_owned()));
    assert_eq!(bench.register().await, (End::Complete, "GGG".to_owned()));
    // Of several registers some are not there; their places are told, and so are the others.
    let mut both = Vec::new();
    for faults in [Faults::default(), Faults { no_lists: true, ..Faults::default() }] {
        let mut bench = Bench::new(faults, 120);
        let wanted = [IMPORT, Obis([9; 6]), Obis([1, 0, 2, 8, 0, 255])].map(|obis| (class::REGISTER, obis));
        let outcome = bench.read(Wanted::Registers(wanted.to_vec())).await;
        assert_eq!(outcome.end, End::Complete);
        assert!(outcome.detail.as_ref().is_some_and(|why| why.contains("9-9:9.9.9*9")), "{outcome:?}");
        assert_eq!(outcome.rows[0].1.len(), 2);
        both.push((outcome.detail, outcome.units, outcome.rows));
    }
    assert_eq!(both[0], both[1]);
}

#[test]
fn what_a_meter_has_shown_shortens_its_time_and_is_forgotten_again() {
    let (idle, most) = (Idle::default(), Duration::from_secs(3_600));
    assert_eq!(idle.limit(most), most);
    idle.opened(None);
    assert_eq!(idle.limit(most), most);
    idle.opened(Some(Duration::from_secs(300)));
    assert_eq!(idle.limit(most).as_secs(), 150);
    idle.opened(Some(Duration::ZERO));
    assert_eq!(idle.limit(most), LEAST);
    (0..OFTEN).for_each(|_| idle.found());
    assert_eq!(idle.limit(most), 2 * LEAST);
    (0..100_000).for_each(|_| idle.found());
    assert_eq!(idle.limit(most), most);
}

#[test]
fn so_many_are_kept_and_the_oldest_makes_room() {
    let (parked, begin) = (Parked::default(), Instant::now());
    let parties: Vec<_> = (0..MOST as u64 + 5).map(|no| Arc::new(party(no.to_be_bytes(), manner(), None))).collect();
    let client = |party: &Party| {
        let Party { meter, channel, credential, own_title, .. } = party;
        crate::task::electricity::client(meter, channel, credential.as_deref(), *own_title, None).unwrap()
    };
    let hour = Duration::from_secs(3_600);
    for (second, party) in (0..).zip(&parties) {
        parked.park(party, client(party), hour, begin + Duration::from_secs(second));
        parked.park(party, client(party), hour, begin + Duration::from_secs(second));
        assert!(parked.open().len() <= MOST);
    }
    let now = begin + Duration::from_secs(2_000);
    assert_eq!(parked.open().len(), MOST);
    assert!(parties[..5].iter().all(|party| parked.take(party, now).is_none()));
    assert!(parked.take(&parties[5], now).is_some_and(|(_, idle)| idle == Duration::from_secs(1_995)));
    assert!(parked.take(&parties[5], now).is_none(), "of a meter one, once");
}
