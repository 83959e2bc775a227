//! Conversations with meters behind nodes: a stream of DLMS wrapper messages on this side, UDP datagrams on the other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plc::Eui64;
use plc::g3::coordinator::Coordinator;
use plc::g3::modem::{Delivery, Priority, Ticket};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, duplex, split};
use tokio::sync::mpsc;
use tracing::debug;

/// This side of a conversation: what is written is a sequence of wrapper messages, and so is what is read.
pub(in crate::task) type Tunnel = DuplexStream;

/// All conversations of a network; a node has one at a time.
#[derive(Debug)]
pub(super) struct Tunnels {
    inbound: BTreeMap<Eui64, mpsc::Sender<Vec<u8>>>,
    outgoing: mpsc::Sender<Packet>,
    packets: mpsc::Receiver<Packet>,
    on_their_way: BTreeMap<Ticket, Eui64>,
}

/// A wrapper message to a node.
#[derive(Debug)]
pub(super) struct Packet {
    eui64: Eui64,
    payload: Vec<u8>,
}

impl Default for Tunnels {
    fn default() -> Self {
        let (outgoing, packets) = mpsc::channel(PACKETS);
        Self { inbound: BTreeMap::new(), outgoing, packets, on_their_way: BTreeMap::new() }
    }
}

impl Tunnels {
    /// Begins a conversation; an earlier one with the same node ends.
    pub(super) fn open(&mut self, eui64: Eui64) -> Tunnel {
        let (near, far) = duplex(BUFFER);
        let (read, mut write) = split(far);
        let (inbound, mut datagrams) = mpsc::channel::<Vec<u8>>(PACKETS);
        let outgoing = self.outgoing.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = send_messages(read, eui64, outgoing) => {}
                () = async {
                    while let Some(datagram) = datagrams.recv().await {
                        if write.write_all(&datagram).await.is_err() {
                            return;
                        }
                    }
                } => {}
            }
        });
        self.inbound.insert(eui64, inbound);
        near
    }

    /// The next message that is to leave; never None.
    pub(super) async fn next(&mut self) -> Option<Packet> {
        self.packets.recv().await
    }

    /// Hands a message to the coordinator. One that cannot leave is lost: who asked waits for an answer, and asks again.
    pub(super) fn send(&mut self, packet: Packet, coordinator: &mut Coordinator, now: Instant) {
        let member = coordinator.server().member(packet.eui64).filter(|member| member.may_be_joined());
        let Some(short_addr) = member.map(|member| member.short_addr) else {
            debug!(node = %packet.eui64, "not in the network: message dropped");
            self.inbound.remove(&packet.eui64);
            return;
        };
        let ports = (PORT, PORT);
        let deadline = now + DEADLINE;
        match coordinator.send_datagram(short_addr, ports, &packet.payload, Priority::Normal, deadline, now) {
            Ok(ticket) => drop(self.on_their_way.insert(ticket, packet.eui64)),
            Err(error) => debug!(node = %packet.eui64, ?error, "message dropped"),
        }
    }

    /// What became of a message: whose it was.
    pub(super) fn sent(&mut self, ticket: Ticket, delivery: Delivery) -> Option<Eui64> {
        let eui64 = self.on_their_way.remove(&ticket)?;
        if delivery != Delivery::Confirmed {
            debug!(node = %eui64, ?delivery, "message not delivered");
        }
        Some(eui64)
    }

    /// A datagram of a node, for whoever speaks with it.
    pub(super) fn receive(&mut self, eui64: Eui64, port: u16, payload: Vec<u8>) {
        let Some(inbound) = self.inbound.get(&eui64).filter(|_| port == PORT) else { return };
        // Who does not read what was sent to it loses it, as with any datagram.
        if let Err(mpsc::error::TrySendError::Closed(_)) = inbound.try_send(payload) {
            self.inbound.remove(&eui64);
        }
    }
}

/// Cuts the stream into wrapper messages until it ends, or is none.
async fn send_messages(mut read: ReadHalf<DuplexStream>, eui64: Eui64, outgoing: mpsc::Sender<Packet>) {
    loop {
        let mut payload = vec![0; HEADER];
        if read.read_exact(&mut payload).await.is_err() {
            return;
        }
        let [.., high, low] = *payload.as_slice() else { return };
        let len = usize::from(u16::from_be_bytes([high, low]));
        payload.resize(HEADER + len, 0);
        let Some(body) = payload.get_mut(HEADER..) else { return };
        if read.read_exact(body).await.is_err() || outgoing.send(Packet { eui64, payload }).await.is_err() {
            return;
        }
    }
}

/// UDP port of DLMS/COSEM.
const PORT: u16 = 4059;
/// Version, two ports and a length, IEC 62056-47.
const HEADER: usize = 8;
const BUFFER: usize = 4096;
const PACKETS: usize = 64;
/// A message that could not leave for so long is not waited for any more.
const DEADLINE: Duration = Duration::from_secs(60);
