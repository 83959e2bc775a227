//! Conversations with meters behind nodes: a stream of DLMS wrapper messages on this side, UDP datagrams on the other. What
//! a node sends that belongs to no conversation is a push, for whoever listens.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use plc::Eui64;
use plc::poll::Priority;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, duplex, split};
use tokio::sync::mpsc;

/// This side of a conversation: what is written is a sequence of wrapper messages, and so is what is read. Its end is an
/// error that says why.
#[derive(Debug)]
pub(in crate::task) struct Tunnel {
    stream: DuplexStream,
    why: Why,
}

impl From<DuplexStream> for Tunnel {
    fn from(stream: DuplexStream) -> Self {
        Self { stream, why: Why::default() }
    }
}

/// Why a conversation ended, for who reads its end.
type Why = Arc<OnceLock<String>>;

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match (Pin::new(&mut self.stream).poll_read(cx, buf), self.why.get()) {
            (Poll::Ready(Ok(())), Some(why)) if buf.filled().len() == before && buf.remaining() > 0 => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why.clone())))
            }
            (read, _) => read,
        }
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// All conversations of a network; a node has one at a time.
#[derive(Debug)]
pub(super) struct Tunnels {
    inbound: BTreeMap<Eui64, Conversation>,
    listener: Option<Heard>,
    outgoing: mpsc::Sender<Packet>,
    packets: mpsc::Receiver<Packet>,
}

#[derive(Debug)]
struct Conversation {
    inbound: mpsc::Sender<Vec<u8>>,
    why: Why,
    /// The wrapper port on this side; None until something was sent.
    client: Option<u16>,
    /// Octets of the last answer: the next one is mostly as long, as it is the next block.
    answered: Option<u16>,
}

/// Takes datagrams of nodes that nobody asked for; it does not wait.
pub(in crate::task) struct Heard(pub(in crate::task) Take);

type Take = Box<dyn FnMut(Eui64, &[u8]) + Send>;

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heard(..)")
    }
}

/// A wrapper message to a node.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) eui64: Eui64,
    pub(super) priority: Priority,
    pub(super) payload: Vec<u8>,
}

impl Conversation {
    fn end(self, why: &str) {
        // The first reason counts, and this is dropped with it.
        let _ = self.why.set(why.to_owned());
    }
}

impl Default for Tunnels {
    fn default() -> Self {
        let (outgoing, packets) = mpsc::channel(PACKETS);
        Self { inbound: BTreeMap::new(), listener: None, outgoing, packets }
    }
}

impl Tunnels {
    /// Begins a conversation; an earlier one with the same node ends.
    pub(super) fn open(&mut self, eui64: Eui64, priority: Priority) -> Tunnel {
        let (near, far) = duplex(BUFFER);
        let (read, mut write) = split(far);
        let (inbound, mut datagrams) = mpsc::channel::<Vec<u8>>(PACKETS);
        let outgoing = self.outgoing.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = send_messages(read, eui64, priority, outgoing) => {}
                () = async {
                    while let Some(datagram) = datagrams.recv().await {
                        if write.write_all(&datagram).await.is_err() {
                            return;
                        }
                    }
                } => {}
            }
        });
        let why = Why::default();
        let conversation = Conversation { inbound, why: Arc::clone(&why), client: None, answered: None };
        if let Some(earlier) = self.inbound.insert(eui64, conversation) {
            earlier.end("another conversation with its node has begun");
        }
        Tunnel { stream: near, why }
    }

    /// Ends a conversation: who speaks sees the end of the stream, and why.
    pub(super) fn close(&mut self, eui64: Eui64, why: &str) {
        self.inbound.remove(&eui64).into_iter().for_each(|conversation| conversation.end(why));
    }

    pub(super) fn close_all(&mut self, why: &str) {
        std::mem::take(&mut self.inbound).into_values().for_each(|conversation| conversation.end(why));
    }

    /// Whether anybody waits for what the node says.
    pub(super) fn is_open(&self, eui64: Eui64) -> bool {
        self.inbound.get(&eui64).is_some_and(|conversation| !conversation.inbound.is_closed())
    }

    /// The next message that is to leave; never None.
    pub(super) async fn next(&mut self) -> Option<Packet> {
        self.packets.recv().await
    }

    pub(super) fn listen(&mut self, heard: Heard) {
        self.listener = Some(heard);
    }

    /// A message has left.
    pub(super) fn left(&mut self, eui64: Eui64, payload: &[u8]) {
        if let Some(conversation) = self.inbound.get_mut(&eui64) {
            conversation.client = port_at(payload, SOURCE);
        }
    }

    /// Whether what a node says goes to who speaks with it: by the wrapper port on this side.
    pub(super) fn is_answer(&self, eui64: Eui64, payload: &[u8]) -> bool {
        let client = self.inbound.get(&eui64).and_then(|conversation| conversation.client);
        client.is_some() && client == port_at(payload, DESTINATION)
    }

    /// How long the last answer in the conversation with a node was.
    pub(super) fn answered(&self, eui64: Eui64) -> Option<u16> {
        self.inbound.get(&eui64)?.answered
    }

    /// A datagram of a node, for whoever speaks with it; else for who listens.
    pub(super) fn receive(&mut self, eui64: Eui64, is_answer: bool, payload: Vec<u8>) {
        // Of what is a push within a conversation its association takes care.
        let mut conversation = self.inbound.get_mut(&eui64).filter(|_| is_answer);
        if let Some(conversation) = &mut conversation {
            conversation.answered = Some(u16::try_from(payload.len()).unwrap_or(u16::MAX));
        }
        let unasked = match conversation.map(|conversation| conversation.inbound.try_send(payload.clone())) {
            // Who does not read what was sent to it loses it, as with any datagram.
            Some(Ok(()) | Err(mpsc::error::TrySendError::Full(_))) => return,
            Some(Err(mpsc::error::TrySendError::Closed(payload))) => {
                self.inbound.remove(&eui64);
                payload
            }
            None => payload,
        };
        if let Some(Heard(heard)) = &mut self.listener {
            heard(eui64, &unasked);
        }
    }
}

/// A port in the header of a wrapper message.
fn port_at(payload: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*payload.get(at..)?.first_chunk()?))
}

/// Cuts the stream into wrapper messages until it ends, or is none.
async fn send_messages(
    mut read: ReadHalf<DuplexStream>,
    eui64: Eui64,
    priority: Priority,
    outgoing: mpsc::Sender<Packet>,
) {
    loop {
        let mut payload = vec![0; HEADER];
        if read.read_exact(&mut payload).await.is_err() {
            return;
        }
        let [.., high, low] = *payload.as_slice() else { return };
        let len = usize::from(u16::from_be_bytes([high, low]));
        payload.resize(HEADER + len, 0);
        let Some(body) = payload.get_mut(HEADER..) else { return };
        if read.read_exact(body).await.is_err() || outgoing.send(Packet { eui64, priority, payload }).await.is_err() {
            return;
        }
    }
}

/// Version, two ports and a length, IEC 62056-47.
const HEADER: usize = 8;
const SOURCE: usize = 2;
const DESTINATION: usize = 4;
const BUFFER: usize = 4096;
const PACKETS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_answer_in_a_conversation_is_expected_as_long_as_the_last_one() {
        let (mut tunnels, node) = (Tunnels::default(), Eui64([2; 8]));
        let mut tunnel = tunnels.open(node, Priority::Profile);
        assert_eq!(tunnels.answered(node), None);
        let request = [0, 1, 0, 9, 0, 1, 0, 0];
        tunnels.left(node, &request);
        let answer = |octets: u8| [&[0, 1, 0, 1, 0, 9, 0, octets][..], &vec![0; octets.into()]].concat();
        for octets in [200, 4] {
            let answer = answer(octets);
            tunnels.receive(node, tunnels.is_answer(node, &answer), answer.clone());
            assert_eq!(tunnels.answered(node), Some(u16::from(octets) + 8));
            tunnel.read_exact(&mut vec![0; answer.len()]).await.unwrap();
        }
        // What it says unasked is no answer.
        tunnels.receive(node, false, answer(100));
        assert_eq!(tunnels.answered(node), Some(12));
        drop(tunnels.open(node, Priority::Profile));
        assert_eq!(tunnels.answered(node), None, "another conversation begins");
    }

    #[tokio::test]
    async fn who_speaks_is_told_why_a_conversation_ended() {
        let (mut tunnels, node) = (Tunnels::default(), Eui64([2; 8]));
        let mut first = tunnels.open(node, Priority::Profile);
        let mut second = tunnels.open(node, Priority::Profile);
        tunnels.close(node, "no answer over the power line");
        for (tunnel, why) in [(&mut first, "another conversation"), (&mut second, "no answer over the power line")] {
            let error = tunnel.read(&mut [0; 8]).await.unwrap_err();
            assert!(error.to_string().starts_with(why), "{error}");
        }
    }
}
