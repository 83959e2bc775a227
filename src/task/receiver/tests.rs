//! Sources of lines: a child process, a TCP server and datagrams. The serial port is tested against the emulated receiver.

use std::io::ErrorKind;
use std::path::Path;

use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;
use wmbus::receiver::Reject;

use super::*;
use crate::reading::TimeQuality;

const LINE: &str = "0a442d2c785634121b16a0";

/// A running receiver.
struct Running {
    heard: mpsc::Receiver<Heard>,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(source: Source, capacity: usize) -> Self {
        let settings = Settings {
            name: "roof".into(),
            kind: Kind::named("hex").expect("it is in the list"),
            mode: Mode::default(),
            source,
            supervision: Supervision::default(),
            learned: None,
        };
        let (heard, hears) = mpsc::channel(capacity);
        let (status, shown) = watch::channel(Status::new(clock()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(settings, 1, Arc::new(clock), heard, mpsc::channel(1).1, status, stop.clone()));
        Self { heard: hears, status: shown, stop, task }
    }

    async fn hear(&mut self) -> Heard {
        timeout(LIMIT, self.heard.recv()).await.expect("in time").expect("it still runs")
    }

    async fn status(&mut self, is_awaited: impl FnMut(&Status) -> bool) -> Status {
        timeout(LIMIT, self.status.wait_for(is_awaited)).await.expect("in time").expect("it still runs").clone()
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(LIMIT, self.task).await.expect("in time").expect("without a panic");
    }
}

#[expect(clippy::disallowed_methods, reason = "the real clock: these tests wait for real processes and sockets")]
fn clock() -> Now {
    Now { mono: Instant::now(), boot_id: [7; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Unsynchronised }
}

fn command(script: &str) -> Source {
    Source::Command(vec!["sh".into(), "-c".into(), script.into()])
}

#[tokio::test]
async fn a_process_that_ends_is_started_again() {
    let mut running = Running::start(command(&format!("echo {LINE}; echo garbage")), 4);
    for _ in 0..3 {
        let heard = running.hear().await;
        assert_eq!(hex::encode(&heard.frame), LINE);
        assert_eq!((heard.receiver.as_ref(), heard.rssi_dbm), ("roof", None));
    }
    let status = running.status(|status| status.counters.rejected(Reject::BadHex) >= 2).await;
    assert!(status.counters.telegrams >= 3, "{status:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_process_ends_with_the_receiver_and_takes_its_children_along() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("child");
    let mut running =
        Running::start(command(&format!("sleep 1000 & echo $! > {}; echo {LINE}; wait", file.display())), 4);
    running.hear().await;
    let child: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert!(is_running(child));
    running.stop().await;
    let gone = async {
        while is_running(child) {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, gone).await.expect("it was killed");
}

/// A zombie does not run: nobody may be left to collect a grandchild.
fn is_running(process: i32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}

#[tokio::test]
async fn a_server_that_closes_is_connected_to_again_and_what_was_counted_stays() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut running = Running::start(Source::Tcp(server.local_addr().unwrap().to_string()), 4);
    for count in 1..=2 {
        let (mut stream, _) = timeout(LIMIT, server.accept()).await.expect("in time").unwrap();
        running.status(|status| status.state == State::Receiving).await;
        stream.write_all(format!("{LINE}\n").as_bytes()).await.unwrap();
        assert_eq!(hex::encode(running.hear().await.frame), LINE);
        drop(stream);
        let status = running.status(|status| status.state == State::Absent).await;
        assert_eq!((status.counters.telegrams, status.error.as_deref()), (count, Some("the source ended")));
    }
    running.stop().await;
}

#[tokio::test]
async fn lines_of_datagrams_are_heard_and_a_datagram_ends_its_line() {
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut running = Running::start(Source::Udp(address.clone()), 4);
    running.status(|status| status.state == State::Receiving).await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // More than one reading takes at once, and an empty one.
    let many = format!("{LINE}\n").repeat(400);
    for datagram in [LINE, "", "no hex", &format!("{LINE}\n{LINE}"), &many] {
        sender.send_to(datagram.as_bytes(), &address).await.unwrap();
    }
    for _ in 0..403 {
        assert_eq!(hex::encode(running.hear().await.frame), LINE);
    }
    let status = running.status(|status| status.counters.telegrams == 403).await;
    assert_eq!(status.counters.rejected(Reject::BadHex), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_full_channel_holds_the_source_back_and_loses_nothing() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut running = Running::start(Source::Tcp(server.local_addr().unwrap().to_string()), 1);
    let (stream, _) = timeout(LIMIT, server.accept()).await.expect("in time").unwrap();
    let frame = |number: u32| format!("0d442d2c785634121b16{number:08x}\n");
    // More than the sockets' buffers hold, so that the writer is stopped too.
    const FRAMES: u32 = 300_000;
    let text: String = (0..FRAMES).map(frame).collect();
    let mut sent = 0;
    while sent < text.len() {
        match stream.try_write(&text.as_bytes()[sent..]) {
            Ok(length) => sent += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if timeout(Duration::from_millis(200), stream.writable()).await.is_err() {
                    break;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent < text.len(), "nobody took anything, and all of it was written");
    let (_, mut writer) = stream.into_split();
    let rest = text.as_bytes()[sent..].to_vec();
    let writing = tokio::spawn(async move { writer.write_all(&rest).await.map(|()| writer) });
    for number in 0..FRAMES {
        assert_eq!(hex::encode(running.hear().await.frame), frame(number).trim());
    }
    writing.await.unwrap().unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_port_that_is_not_there_is_waited_for() {
    let path = Path::new("/dev/ttyNowhere");
    let mut running = Running::start(Source::Serial { path: path.into(), baud: 57_600 }, 1);
    let status = running.status(|status| status.error.is_some()).await;
    assert_eq!(status.state, State::Absent);
    let error = status.error.unwrap();
    assert!(error.starts_with("open /dev/ttyNowhere: "), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn the_task_ends_when_nobody_takes_what_is_heard() {
    let running = Running::start(command(&format!("echo {LINE}; exec sleep 1000")), 1);
    drop(running.heard);
    timeout(LIMIT, running.task).await.expect("in time").expect("without a panic");
}

const LIMIT: Duration = Duration::from_secs(20);
