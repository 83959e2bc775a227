//! A real socket and real clients.

use tokio::io::Lines;

use super::*;
use crate::control::{BufferStat, Range};

/// What the unit's clock says.
const UNIT_MS: i64 = 1_760_000_000_000;

struct Rig {
    control: config::Control,
    streams: Streams,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

/// A server whose main loop knows its buffer and nothing else.
fn rig(clients: u32) -> Rig {
    let directory = tempfile::tempdir().unwrap();
    let control = config::Control { socket: directory.path().join("run/control.sock"), group: None, clients };
    let server = Server::bind(&control).unwrap();
    let (queries, mut asked) = mpsc::channel::<Query>(4);
    let streams = Streams::new(4, 4);
    let stop = CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let mono = std::time::Instant::now();
    let clock: ReadClock = Arc::new(move || crate::clock::Now {
        mono,
        boot_id: [0; 16],
        boot_ms: 0,
        utc_ms: UNIT_MS,
        quality: crate::reading::TimeQuality::Synchronised,
    });
    let serving = tokio::spawn(server.serve(queries, streams.clone(), clock, stop.clone()));
    tokio::spawn(async move {
        while let Some(query) = asked.recv().await {
            if query.request == Request::BufferStat {
                query.reply.send(Reply::BufferStat(BufferStat::default())).ok();
            }
        }
    });
    Rig { control, streams, stop, serving, _directory: directory }
}

struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Rig {
    async fn client(&self) -> Client {
        let (read, write) = UnixStream::connect(&self.control.socket).await.unwrap().into_split();
        Client { lines: BufReader::new(read).lines(), write }
    }
}

impl Client {
    async fn say(&mut self, line: &str) {
        self.write.write_all(line.as_bytes()).await.unwrap();
    }

    async fn ask(&mut self, request: Request) {
        self.say(&format!("{}\n", serde_json::to_string(&Ask::new(request)).unwrap())).await;
    }

    /// None when the service hung up.
    async fn answer(&mut self) -> Option<Answer> {
        let line = timeout(Duration::from_secs(20), self.lines.next_line()).await.expect("an answer in time").unwrap();
        line.map(|line| serde_json::from_str::<Answer>(&line).unwrap())
    }

    async fn reply(&mut self) -> Option<Reply> {
        self.answer().await.map(|answer| answer.reply)
    }

    async fn refusal(&mut self) -> RefusalKind {
        match self.reply().await {
            Some(Reply::Refused(refusal)) => refusal.kind,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn requests_reach_the_main_loop_one_after_the_other() {
    let rig = rig(4);
    let mut client = rig.client().await;
    for _ in 0..3 {
        client.ask(Request::BufferStat).await;
        // With the unit's time, from which ages are counted.
        assert_eq!(client.answer().await, Some(Answer::at(UNIT_MS, Reply::BufferStat(BufferStat::default()))));
    }
    client.ask(Request::Status).await;
    assert_eq!(client.refusal().await, RefusalKind::Busy);
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_goes_with_the_service() {
    let rig = rig(4);
    assert_eq!(std::fs::metadata(&rig.control.socket).unwrap().mode() & 0o777, 0o660);
    let mut client = rig.client().await;
    client.ask(Request::BufferStat).await;
    client.reply().await;
    rig.stop.cancel();
    rig.serving.await.unwrap();
    assert_eq!(client.reply().await, None);
    assert!(!rig.control.socket.exists());
}

#[tokio::test]
async fn what_is_not_in_the_vocabulary_is_refused() {
    for line in
        ["\n", "hello\n", "{\"version\":1,\"request\":\"frobnicate\"}\n", "{\"version\":2,\"request\":\"status\"}\n"]
    {
        let rig = rig(4);
        let mut client = rig.client().await;
        client.say(line).await;
        assert_eq!(client.refusal().await, RefusalKind::Malformed, "{line}");
        assert_eq!(client.reply().await, None);
    }
    let rig = rig(4);
    let mut client = rig.client().await;
    client.say(&"x".repeat(REQUEST_LIMIT)).await;
    assert_eq!(client.refusal().await, RefusalKind::Malformed);
}

#[tokio::test]
async fn clients_are_bounded_and_a_place_is_freed() {
    let rig = rig(1);
    let mut first = rig.client().await;
    first.ask(Request::Follow { stream: Stream::Commits }).await;
    first.reply().await;
    let mut second = rig.client().await;
    assert_eq!(second.refusal().await, RefusalKind::Busy);
    drop(first);
    loop {
        let mut third = rig.client().await;
        third.write.write_all(b"{\"version\":1,\"request\":\"buffer-stat\"}\n").await.ok();
        if let Some(Reply::BufferStat(_)) = third.reply().await {
            break;
        }
    }
}

fn commit(last: u64) -> Arc<CommitLine> {
    let ranges = vec![Range { lane: "mbus".into(), first: 1, last }];
    Arc::new(CommitLine { epoch: "0".repeat(16), at_ms: 0, ranges })
}

#[tokio::test]
async fn a_stream_begins_with_its_confirmation_and_tells_what_was_missed() {
    let rig = rig(4);
    let mut client = rig.client().await;
    client.ask(Request::Follow { stream: Stream::Commits }).await;
    assert_eq!(client.reply().await, Some(Reply::Following { stream: Stream::Commits }));
    rig.streams.commits.send(commit(3)).unwrap();
    assert_eq!(client.reply().await, Some(Reply::Commit((*commit(3)).clone())));
    // Without a point to yield the server cannot take any before all are sent.
    for last in 4..14 {
        rig.streams.commits.send(commit(last)).unwrap();
    }
    assert_eq!(client.reply().await, Some(Reply::Missed { count: 6 }));
    assert_eq!(client.reply().await, Some(Reply::Commit((*commit(10)).clone())));
}

#[tokio::test]
async fn a_dead_services_socket_is_replaced_and_a_living_ones_is_not() {
    let rig = rig(4);
    assert!(matches!(Server::bind(&rig.control), Err(ControlError::InUse(_))));

    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let control = config::Control { socket: socket.clone(), group: None, clients: 4 };
    drop(Server::bind(&control).unwrap());

    std::fs::write(&socket, "precious").unwrap();
    assert!(matches!(Server::bind(&control), Err(ControlError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
}

#[tokio::test]
async fn an_unknown_group_is_a_fault() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let control = config::Control { socket, group: Some("no-such-group".into()), clients: 4 };
    assert!(matches!(Server::bind(&control), Err(ControlError::NoGroup(_))));
}

#[test]
fn strangers_may_not_ask() {
    let (own, stranger) = (Uid::from_raw(842), Uid::from_raw(4_000_000));
    let (group, other) = (Gid::from_raw(842), Gid::from_raw(4_000_000));
    let access = Access { own, group: Some(group) };
    assert!(access.permits(Uid::from_raw(0), other));
    assert!(access.permits(own, other));
    assert!(access.permits(stranger, group));
    assert!(!access.permits(stranger, other));
    assert!(!Access { own, group: None }.permits(stranger, group));
    // Somebody who has the group beside the one logged in with: any user of this machine with such a group will do.
    let members = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let member = members.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let gid = fields.next()?.parse().ok()?;
        let user = User::from_name(fields.next()?.split(',').next()?).ok()??;
        (!user.uid.is_root()).then_some((user.uid, Gid::from_raw(gid)))
    });
    match member {
        Some((uid, gid)) => assert!(Access { own, group: Some(gid) }.permits(uid, other)),
        None => eprintln!("skipped: no user of this machine is in a second group"),
    }
}
