//! Where meters send what they send unasked: wrappers over TCP and UDP, and over the meshes in which meters are. Nothing is
//! believed here; what is whole goes to the collector, and what is not is counted.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dlms::Reject;
use dlms::link::wrapper::{Deframer, Header};
use dlms::push::Notifications;
use plc::Eui64;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::places::{Place, Places};
use crate::config::electricity::Push;
use crate::control::Pushes;
use crate::task::plc::Heard;

/// One address that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listener {
    Tcp(String),
    Udp(String),
}

/// A notification as it came.
#[derive(Debug)]
pub(super) struct Pushed {
    pub(super) peer: Peer,
    pub(super) apdu: Vec<u8>,
}

/// Who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Address(IpAddr),
    /// A node of a PLC network.
    Node(Eui64),
}

/// What was taken, and what was not, by reason; shared by those who listen.
#[derive(Debug, Clone, Default)]
pub(super) struct PushCounts(Arc<Mutex<Pushes>>);

impl PushCounts {
    pub(super) fn taken(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).taken += 1;
    }

    pub(super) fn refused(&self, reason: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.refused.entry(reason.to_owned()).or_default() += 1;
    }

    pub(super) fn pushes(&self) -> Pushes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Listener {
    pub(super) fn of(push: &Push) -> Vec<Self> {
        let tcp = push.tcp.iter().cloned().map(Self::Tcp);
        tcp.chain(push.udp.iter().cloned().map(Self::Udp)).collect()
    }

    /// Listens until `stop`; an address that cannot be had is tried again.
    pub(super) async fn run(self, out: mpsc::Sender<Pushed>, counts: PushCounts, stop: CancellationToken) {
        let mut is_told = false;
        loop {
            let ended = tokio::select! {
                ended = self.listen(&out, &counts, &stop) => ended,
                () = stop.cancelled() => return,
            };
            let Err(error) = ended else { return };
            if !std::mem::replace(&mut is_told, true) {
                warn!(port = ?self, err = %error, "cannot listen for meters, tried again");
            }
            tokio::select! {
                () = sleep(AGAIN) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn listen(
        &self,
        out: &mpsc::Sender<Pushed>,
        counts: &PushCounts,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                info!(port = ?self, "listen for meters");
                let places = Places::default();
                loop {
                    let (stream, peer) = match listener.accept().await {
                        Ok(accepted) => accepted,
                        Err(error) => {
                            debug!(err = %error, "accept");
                            sleep(PAUSE).await;
                            continue;
                        }
                    };
                    let taken = places.take(peer.ip(), Instant::now());
                    if taken.as_ref().is_none_or(|(_, is_anothers)| *is_anothers) {
                        counts.refused("connections");
                    }
                    let Some((place, _)) = taken else { continue };
                    let (out, counts, stop) = (out.clone(), counts.clone(), stop.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = connection(stream, peer.ip(), &place, out, counts) => {}
                            () = place.lost() => {}
                            () = stop.cancelled() => {}
                        }
                    });
                }
            }
            Self::Udp(address) => {
                let socket = UdpSocket::bind(address).await?;
                info!(port = ?self, "listen for meters");
                datagrams(&socket, Datagrams::new(out.clone(), counts.clone())).await
            }
        }
    }
}

/// One connection: whoever sends too fast waits.
async fn connection(mut stream: TcpStream, peer: IpAddr, place: &Place, out: mpsc::Sender<Pushed>, counts: PushCounts) {
    let (mut deframer, mut notifications) = (Deframer::default(), Notifications::new(LONGEST));
    let mut buf = vec![0; READ];
    let mut until = Instant::now() + IDLE;
    while let Ok(Ok(read @ 1..)) = timeout_at(until, stream.read(&mut buf)).await {
        let mut whole = Vec::new();
        let mut is_sound = true;
        deframer.push(buf.get(..read).unwrap_or_default(), |found| {
            match found.and_then(|(_, apdu)| notifications.take(apdu)) {
                Ok(apdu) => whole.extend(apdu),
                Err(reject) => {
                    counts.refused(reason(reject));
                    is_sound &= reject != Reject::Noise;
                }
            }
        });
        for apdu in whole {
            let now = Instant::now();
            until = now + IDLE;
            place.spoke(now);
            if out.send(Pushed { peer: Peer::Address(peer), apdu }).await.is_err() {
                return;
            }
        }
        // Who speaks something else keeps no place that a meter might want.
        if !is_sound {
            return;
        }
    }
}

async fn datagrams(socket: &UdpSocket, mut taking: Datagrams<SocketAddr>) -> io::Result<()> {
    let mut buf = vec![0; DATAGRAM];
    loop {
        let (length, peer) = match socket.recv_from(&mut buf).await {
            Ok(received) => received,
            // What the kernel heard of an earlier datagram.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
        taking.take(peer, Peer::Address(peer.ip()), buf.get(..length).unwrap_or_default());
    }
}

/// What nodes of a PLC network send unasked.
pub(super) fn of_nodes(out: mpsc::Sender<Pushed>, counts: PushCounts) -> Heard {
    let mut taking = Datagrams::new(out, counts);
    Heard(Box::new(move |eui64, datagram| taking.take(eui64, Peer::Node(eui64), datagram)))
}

/// Datagrams: what there is no room for is lost, and counted.
struct Datagrams<K> {
    out: mpsc::Sender<Pushed>,
    counts: PushCounts,
    /// Those who sent blocks lately, the last one last.
    senders: VecDeque<(K, Notifications)>,
}

impl<K: Copy + PartialEq> Datagrams<K> {
    fn new(out: mpsc::Sender<Pushed>, counts: PushCounts) -> Self {
        Self { out, counts, senders: VecDeque::new() }
    }

    fn take(&mut self, sender: K, peer: Peer, mut datagram: &[u8]) {
        let framed = Header::parse(&mut datagram).and_then(|header| match datagram.len() {
            length if length == usize::from(header.length) => Ok(datagram),
            length if length < usize::from(header.length) => Err(Reject::Truncated),
            _ => Err(Reject::Trailing),
        });
        match framed.and_then(|apdu| self.blocks_of(sender).take(apdu)) {
            Ok(None) => {}
            Ok(Some(apdu)) => {
                if self.out.try_send(Pushed { peer, apdu }).is_err() {
                    self.counts.refused("flood");
                }
            }
            Err(reject) => self.counts.refused(reason(reject)),
        }
    }

    fn blocks_of(&mut self, sender: K) -> &mut Notifications {
        let known = self.senders.iter().position(|(other, _)| *other == sender);
        let known = known.and_then(|place| self.senders.remove(place));
        if self.senders.len() >= SENDERS {
            self.senders.pop_front();
        }
        self.senders.push_back(known.unwrap_or_else(|| (sender, Notifications::new(LONGEST))));
        let last = self.senders.back_mut().map(|(_, notifications)| notifications);
        last.expect("one was put there")
    }
}

/// The word of the status for what was not taken.
const fn reason(reject: Reject) -> &'static str {
    match reject {
        Reject::TooLong(_) => "too_long",
        _ => "garbage",
    }
}

/// Octets of one notification: a day of quarters with a dozen columns is 8 KiB.
const LONGEST: usize = 16 << 10;
const DATAGRAM: usize = 65_536;
const READ: usize = 4_096;
/// Senders of datagrams whose blocks are kept.
const SENDERS: usize = 32;
/// A connection on which nothing whole comes for so long is closed: the meter opens another.
const IDLE: Duration = Duration::from_secs(120);
const AGAIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
