//! The service's receiver task against the emulated receiver, over a real pseudo terminal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wmbus::receiver::{Identity, Kind, Reject};
use wmbus::sim::Split;

use super::*;
use crate::clock::Now;
use crate::reading::TimeQuality;
use crate::task::receiver::{self as task, Heard, Settings, Source, Stage, Status, Supervision};

/// The service's side, as far as it has to do with a receiver.
struct Service {
    heard: mpsc::Receiver<Heard>,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Service {
    fn start(path: PathBuf, capacity: usize) -> Self {
        Self::of_kind("im871a", path, capacity)
    }

    fn of_kind(kind: &str, path: PathBuf, capacity: usize) -> Self {
        let kind = Kind::named(kind).expect("it is in the list");
        let settings = Settings {
            name: "roof".into(),
            kind,
            mode: kind.default_mode(),
            source: Source::Serial { path, baud: kind.baud },
            supervision: Supervision::default(),
            learned: None,
        };
        Self::run(settings, capacity)
    }

    fn run(settings: Settings, capacity: usize) -> Self {
        let (heard, hears) = mpsc::channel(capacity);
        let (status, shown) = watch::channel(Status::new(clock()));
        let stop = CancellationToken::new();
        let task =
            tokio::spawn(task::run(settings, 1, Arc::new(clock), heard, mpsc::channel(1).1, status, stop.clone()));
        Self { heard: hears, status: shown, stop, task }
    }

    async fn hear(&mut self) -> Heard {
        timeout(LIMIT, self.heard.recv()).await.expect("in time").expect("it still runs")
    }

    async fn status(&mut self, is_awaited: impl FnMut(&Status) -> bool) -> Status {
        timeout(LIMIT, self.status.wait_for(is_awaited)).await.expect("in time").expect("it still runs").clone()
    }

    async fn receiving(&mut self) -> Status {
        self.status(|status| status.state == task::State::Receiving).await
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(LIMIT, self.task).await.expect("in time").expect("without a panic");
    }
}

#[expect(clippy::disallowed_methods, reason = "the real clock: these tests wait for a real terminal")]
fn clock() -> Now {
    Now { mono: Instant::now(), boot_id: [7; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Unsynchronised }
}

fn frame(number: u32) -> Vec<u8> {
    // Start octets in the payload, and every length up to the longest.
    let mut frame = vec![0xa5; 16 + number as usize % 241];
    frame[0] = (frame.len() - 1) as u8;
    frame[1] = 0x44;
    frame[12..16].copy_from_slice(&number.to_be_bytes());
    frame
}

#[tokio::test]
async fn a_frame_on_the_air_is_heard_with_its_signal_strength() {
    let stick = EmulatedReceiver::open(Options::default()).unwrap();
    assert_eq!(stick.send(frame(1), -60).await, Outcome::Deaf, "nobody has the port open");
    let mut service = Service::start(stick.path(), 4);
    let status = service.receiving().await;
    let mode = Some(Mode::C1T1);
    assert_eq!(status.identity, Identity { uid: Some(0x0012_3456), firmware: Some(0x14), mode, kind: None });
    stick.listening().await;
    assert_eq!(stick.state(), State::Open(Some(Mode::C1T1)));
    assert_eq!(stick.send(frame(2), -60).await, Outcome::Intact);
    let heard = service.hear().await;
    assert_eq!((heard.frame, heard.rssi_dbm, heard.receiver.as_ref()), (frame(2), Some(-60), "roof"));
    service.stop().await;
}

#[tokio::test]
async fn every_kind_of_receiver_is_set_up_and_heard_over_its_port() {
    for kind in wmbus::sim::RECEIVERS {
        let mode = Kind::named(kind.receiver).unwrap().default_mode();
        let sent = if mode == Mode::C1T1 { Mode::T1 } else { mode };
        let stick = EmulatedReceiver::open(Options { kind, sent, ..Options::default() }).unwrap();
        let mut service = Service::of_kind(kind.receiver, stick.path(), 4);
        service.receiving().await;
        stick.listening().await;
        for number in 0..20 {
            // A manufacturer and a CI field, where nothing else tells a frame from noise.
            let mut frame = frame(number);
            frame[2..12].copy_from_slice(&[0x2d, 0x2c, 0x78, 0x56, 0x34, 0x12, 0x1b, 0x16, 0x7a, 0xff]);
            frame[10] = 0x7a;
            assert_eq!(stick.send(frame.clone(), -60).await, Outcome::Intact, "{}", kind.name);
            assert_eq!(service.hear().await.frame, frame, "{}", kind.name);
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn a_port_at_another_speed_hears_nothing() {
    let stick = EmulatedReceiver::open(Options::default()).unwrap();
    let source = Source::Serial { path: stick.path(), baud: 9_600 };
    let kind = Kind::named("im871a").unwrap();
    let supervision = Supervision::default();
    let settings = Settings { name: "roof".into(), kind, mode: Mode::C1T1, source, supervision, learned: None };
    let mut service = Service::run(settings, 1);
    let status = service.status(|status| status.error.is_some()).await;
    let error = "receiver is of no use: a receiver of kind \"im871a\" answers there, at 57600 baud";
    assert_eq!(status.error.as_deref(), Some(error));
    service.stop().await;
}

#[tokio::test]
async fn a_receiver_of_another_kind_is_named() {
    let kind = EmulatorKind::named("amb8465").unwrap();
    let stick = EmulatedReceiver::open(Options { kind, ..Options::default() }).unwrap();
    let mut service = Service::of_kind("cul", stick.path(), 1);
    let status = service.status(|status| status.error.is_some()).await;
    let error = "receiver is of no use: a receiver of kind \"amb8465\" answers there, at 9600 baud";
    assert_eq!(status.error.as_deref(), Some(error));
    // It is tried again, stays what it was, and is never anything but absent in between.
    let mut told = 0;
    let again = |status: &Status| {
        assert_eq!(status.state, task::State::Absent);
        told += 1;
        told > 8
    };
    let status = service.status(again).await;
    assert_eq!(status.error.as_deref(), Some(error));
    service.stop().await;
}

#[tokio::test]
async fn a_receiver_of_any_kind_is_found_out_and_heard_also_after_it_was_exchanged() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("stick");
    let mut service = Service::of_kind("auto", link.clone(), 4);
    for (number, name) in ["cul", "iu891a"].into_iter().enumerate() {
        let kind = EmulatorKind::named(name).unwrap();
        let stick = EmulatedReceiver::open(Options { kind, link: Some(link.clone()), ..Options::default() }).unwrap();
        let status = service.receiving().await;
        assert_eq!((status.identity.kind, status.identity.mode), (Some(name), Some(Mode::C1T1)));
        stick.listening().await;
        let frame = frame(number as u32);
        assert_eq!(stick.send(frame.clone(), -60).await, Outcome::Intact);
        assert_eq!(service.hear().await.frame, frame);
        stick.unplug().await;
        service.status(|status| status.state == task::State::Absent).await;
    }
    service.stop().await;
}

#[tokio::test]
async fn every_frame_that_reached_the_port_intact_is_heard() {
    let faults = Faults {
        corrupt_ppm: 30_000,
        truncate_ppm: 10_000,
        noise_ppm: 50_000,
        split: Split::Random,
        ..Faults::default()
    };
    let stick = EmulatedReceiver::open(Options { faults, ..Options::default() }).unwrap();
    let mut service = Service::start(stick.path(), 8);
    service.receiving().await;
    let sending = tokio::spawn(async move {
        let mut intact = Vec::new();
        for number in 0..3_000 {
            if stick.send(frame(number), -60).await == Outcome::Intact {
                intact.push(number);
            }
        }
        (stick, intact)
    });
    let mut heard = Vec::new();
    while !sending.is_finished() {
        if let Ok(Some(next)) = timeout(Duration::from_millis(100), service.heard.recv()).await {
            heard.push(next.frame);
        }
    }
    let (_stick, intact) = sending.await.unwrap();
    while heard.len() < intact.len() {
        heard.push(service.hear().await.frame);
    }
    assert!(intact.len() > 2_800 && intact.len() < 3_000, "{} intact", intact.len());
    assert_eq!(heard, intact.into_iter().map(frame).collect::<Vec<_>>());
    assert!(service.status.borrow().counters.rejected(Reject::BadCrc) > 0);
    service.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_pulled_out_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("stick");
    let stick = EmulatedReceiver::open(Options { link: Some(link.clone()), ..Options::default() }).unwrap();
    let mut service = Service::start(link.clone(), 4);
    for number in 0..3 {
        service.receiving().await;
        assert_eq!(stick.send(frame(number), -70).await, Outcome::Intact);
        assert_eq!(service.hear().await.frame, frame(number));
        stick.unplug().await;
        assert!(link.symlink_metadata().is_err(), "the link is gone with the stick");
        let status = service.status(|status| status.state == task::State::Absent).await;
        assert!(status.error.is_some(), "{status:?}");
        assert_eq!(stick.send(frame(99), -70).await, Outcome::Deaf);
        stick.plug_in().await.unwrap();
    }
    assert_eq!(service.receiving().await.counters.telegrams, 3);
    service.stop().await;
}

#[tokio::test]
async fn the_terminal_outlives_the_service_and_keeps_what_it_took() {
    let stick = EmulatedReceiver::open(Options::default()).unwrap();
    let mut service = Service::start(stick.path(), 1);
    service.receiving().await;
    // The first one is heard, some more wait behind it, and the service dies without having read the rest.
    let mut intact = 0;
    while let Ok(outcome) = timeout(Duration::from_millis(200), stick.send(frame(intact), -60)).await {
        assert_eq!(outcome, Outcome::Intact);
        intact += 1;
    }
    assert!(intact > 20, "{intact} frames fit into the port");
    let mut heard = vec![service.hear().await.frame];
    service.task.abort();
    let _ = (&mut service.task).await;
    while let Some(next) = service.heard.recv().await {
        heard.push(next.frame);
    }
    let mut successor = Service::start(stick.path(), 1);
    while let Ok(Some(next)) = timeout(Duration::from_secs(1), successor.heard.recv()).await {
        heard.push(next.frame);
    }
    successor.receiving().await;
    // What the first one had read and not handed on died with it; all else is there, and in order.
    let numbers: Vec<u32> = heard.iter().map(|frame| u32::from_be_bytes(frame[12..16].try_into().unwrap())).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(numbers.len() > 10 && numbers.contains(&(intact - 1)), "{numbers:?}");
    assert_eq!(stick.send(frame(5_000), -60).await, Outcome::Intact);
    assert_eq!(successor.hear().await.frame, frame(5_000));
    successor.stop().await;
}

#[tokio::test]
async fn a_mute_receiver_is_reported() {
    let faults = Faults { mute: true, ..Faults::default() };
    let stick = EmulatedReceiver::open(Options { faults, ..Options::default() }).unwrap();
    let mut service = Service::start(stick.path(), 1);
    let status = service.status(|status| status.error.is_some()).await;
    assert_eq!(status.error.as_deref(), Some("receiver is of no use: no answer to GET_DEVICEINFO"));
    service.stop().await;
}

/// A receiver with so short an hour that a moment of silence is long, after some telegrams.
async fn busy(stick: &EmulatedReceiver, patience: Duration) -> Service {
    let kind = Kind::named("im871a").unwrap();
    let supervision = Supervision { hour: Duration::from_secs(2), patience, ..Supervision::default() };
    let source = Source::Serial { path: stick.path(), baud: kind.baud };
    let mode = Mode::C1T1;
    let mut service = Service::run(Settings { name: "roof".into(), kind, mode, source, supervision, learned: None }, 4);
    service.receiving().await;
    stick.listening().await;
    let mut number = 0;
    while service.status.borrow().expected.is_none_or(|expected| expected < 40) {
        assert_eq!(stick.send(frame(number), -60).await, Outcome::Intact);
        assert_eq!(service.hear().await.frame, frame(number));
        number += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    service
}

fn took(status: &Status, stage: Stage) -> bool {
    status.recoveries.contains_key(&stage)
}

#[tokio::test]
async fn a_receiver_that_answers_and_hears_nothing_is_asked_then_reset_then_opened_anew() {
    let stick = EmulatedReceiver::open(Options::default()).unwrap();
    let mut service = busy(&stick, Duration::from_millis(200)).await;
    let status = service.status(|status| status.is_deaf).await;
    assert_eq!(status.recoveries.keys().collect::<Vec<_>>(), [&Stage::Ping]);
    let status = service.status(|status| took(status, Stage::Reset)).await;
    assert!(!took(&status, Stage::Reopen), "{status:?}");
    let status = service.status(|status| took(status, Stage::Reopen)).await;
    assert!(status.is_deaf && !status.is_well());
    assert_eq!(status.recoveries[&Stage::Ping], 1);
    service.receiving().await;
    stick.listening().await;
    assert_eq!(stick.send(frame(7), -60).await, Outcome::Intact);
    assert_eq!(service.hear().await.frame, frame(7));
    service.status(Status::is_well).await;
    service.stop().await;
}

#[tokio::test]
async fn a_receiver_that_hangs_is_noticed_by_what_is_missing_and_is_back_with_its_supply() {
    let directory = tempfile::tempdir().unwrap();
    let link = Some(directory.path().join("stick"));
    let stick = EmulatedReceiver::open(Options { link, ..Options::default() }).unwrap();
    // Longer than it takes to find out that nobody answers.
    let mut service = busy(&stick, Duration::from_secs(4)).await;
    stick.hang().await;
    let status = service.status(|status| status.state == task::State::Absent).await;
    assert_eq!(status.error.as_deref(), Some("receiver is of no use: no answer to GET_CONFIG"));
    assert!(took(&status, Stage::Ping) && status.is_deaf, "{status:?}");
    let status = service.status(|status| took(status, Stage::Reset) && took(status, Stage::Reopen)).await;
    assert_eq!(status.recoveries[&Stage::Reset], 1, "it was reset, and not again and again");
    stick.unplug().await;
    stick.plug_in().await.unwrap();
    service.receiving().await;
    stick.listening().await;
    assert_eq!(stick.send(frame(8), -60).await, Outcome::Intact);
    assert_eq!(service.hear().await.frame, frame(8));
    service.status(Status::is_well).await;
    service.stop().await;
}

#[tokio::test]
async fn a_port_belongs_to_one_service_at_a_time() {
    let stick = EmulatedReceiver::open(Options::default()).unwrap();
    let mut first = Service::start(stick.path(), 1);
    first.receiving().await;
    let mut second = Service::start(stick.path(), 1);
    let status = second.status(|status| status.error.is_some()).await;
    assert_eq!(status.state, task::State::Absent);
    assert_eq!(stick.send(frame(1), -60).await, Outcome::Intact);
    assert_eq!(first.hear().await.frame, frame(1));
    first.stop().await;
    second.receiving().await;
    second.stop().await;
}

#[tokio::test]
async fn lines_of_a_file_are_heard_by_whoever_listens() {
    let lines: String = (0..200).map(|number| format!("{}\n", hex::encode(frame(number)))).collect();
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("stick");
    let plan = play::Plan {
        options: Options { link: Some(link.clone()), ..Options::default() },
        frames: Some(Box::new(std::io::Cursor::new(format!("garbage\n{}", lines.trim_end())))),
        pace: Duration::from_micros(100),
        loss_ppm: 100_000,
    };
    let (told, mut tells) = mpsc::unbounded_channel();
    let playing = tokio::spawn(async move {
        let mut tally = play::Tally::default();
        play::go_on(plan, &mut tally, &mut |event| told.send(event).expect("somebody listens")).await
    });
    assert_eq!(tells.recv().await, Some(play::Told::Port(link.clone())));
    let mut service = Service::start(link, 200);
    let mut ended = None;
    while ended.is_none() {
        let event = timeout(LIMIT, tells.recv()).await.expect("in time").expect("it still plays");
        if let play::Told::Ended(tally) = event {
            ended = Some(tally);
        }
    }
    let tally = ended.unwrap();
    assert_eq!((tally.sent, tally.damaged, tally.intact + tally.unheard), (200, 0, 200));
    assert!((5..60).contains(&tally.unheard), "{tally:?}");
    let mut last = 0;
    for _ in 0..tally.intact {
        let number = u32::from_be_bytes(service.hear().await.frame[12..16].try_into().unwrap());
        assert!(number == 0 || number > last);
        last = number;
    }
    playing.abort();
    service.stop().await;
}

#[tokio::test]
async fn a_link_does_not_take_the_place_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "text").unwrap();
    let error = EmulatedReceiver::open(Options { link: Some(path.clone()), ..Options::default() }).unwrap_err();
    assert!(matches!(error, Error::Link { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
}

const LIMIT: Duration = Duration::from_secs(20);
