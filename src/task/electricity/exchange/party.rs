//! Who is spoken with: what the configuration says of a meter, and the way to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{mpsc, oneshot};

use ::plc::poll::Priority;
use dlms::security::SecurityControl;

use super::buffer::Ends;
use super::parked::Idle;
use crate::clock::Now;
use crate::config::electricity::{Channel, Meter, Place, ProfileStatus};
use crate::reading::from_cosem::{ClockRule, Context};
use crate::reading::{EventTable, Link, MeterId, Origin, Path, Security};
use crate::registry::Credential;
use crate::task::electricity::SessionError;
use crate::task::electricity::datagram::Datagrams;
use crate::task::plc;
use crate::task::receiver::{Open, Source};

/// A meter, and all that is needed to reach it.
#[derive(Debug)]
pub(in crate::task::electricity) struct Party {
    pub(in crate::task::electricity) meter: Meter,
    pub(in crate::task::electricity) channel: Arc<Channel>,
    pub(in crate::task::electricity) credential: Option<Arc<Credential>>,
    pub(in crate::task::electricity) own_title: Option<[u8; 8]>,
    pub(in crate::task::electricity) shown: Shown,
    /// What the codes in its logs mean.
    pub(in crate::task::electricity) events: Arc<EventTable>,
    /// The PLC network that its node is in, if that runs.
    pub(in crate::task::electricity) network: Option<mpsc::Sender<plc::Question>>,
}

/// What a meter has shown since it is spoken with by these keys.
#[derive(Debug, Default)]
pub(in crate::task::electricity) struct Shown {
    /// Its counter was raised by what nobody has proven, and the meter has not proven itself since.
    pub(super) is_unconfirmed: AtomicBool,
    /// It does not answer a release: that is not waited for again.
    pub(super) is_mute: AtomicBool,
    /// It says that it takes lists of attributes, and does not.
    pub(super) takes_no_lists: AtomicBool,
    /// Nor the rows of a profile beside its columns.
    pub(super) takes_no_rows_in_lists: AtomicBool,
    pub(super) ends: Ends,
    pub(super) idle: Idle,
}

impl Party {
    /// What readings that come now have in common.
    pub(in crate::task::electricity) fn context(&self, origin: Origin, now: Now) -> Context {
        let manner = &self.meter.manner;
        Context {
            meter: MeterId::SystemTitle(self.meter.id),
            path: Path::Direct,
            origin,
            received: now.received(),
            links: vec![Link { receiver: self.channel.name.as_str().into(), rssi_dbm: None, lqi: None }],
            security: match manner.security {
                0 => Security::Plain,
                control if control & SecurityControl::AUTHENTICATION != 0 => Security::Authenticated,
                _ => Security::Decrypted,
            },
            clock: self.rule(),
            has_idis_status: manner.profile_status == ProfileStatus::Idis,
        }
    }

    /// Where it is reached over TCP or UDP: its own address, or its channel's.
    pub(in crate::task::electricity) fn address(&self) -> Option<&str> {
        match self.meter.place(&self.channel) {
            Some(Place::Tcp(address) | Place::Udp(address)) => Some(address),
            _ => None,
        }
    }

    /// How its clock is read.
    pub(in crate::task::electricity) fn rule(&self) -> ClockRule {
        let manner = &self.meter.manner;
        ClockRule { sign: manner.deviation, zone: manner.clock.clone() }
    }

    /// A port to the meter, or a conversation with the node that it is behind.
    pub(super) async fn open(&self, priority: Priority) -> Result<Open, SessionError> {
        let source = match self.meter.place(&self.channel) {
            Some(Place::Tcp(address)) => Source::Tcp(address.clone()),
            Some(Place::Udp(address)) => return Ok(Datagrams::open(address).await?),
            Some(Place::Serial { path, baud }) => Source::Serial { path: path.clone(), baud: *baud },
            Some(Place::Plc(_)) => return self.tunnel(priority).await,
            // It does not pass the configuration, and is reached nowhere.
            None => Source::Tcp(String::new()),
        };
        Ok(source.open().await?)
    }

    async fn tunnel(&self, priority: Priority) -> Result<Open, SessionError> {
        let missing = || SessionError::Port(io::Error::other("its network does not run"));
        let (Some(network), Some(node)) = (&self.network, self.meter.node) else { return Err(missing()) };
        let (reply, tunnel) = oneshot::channel();
        network.send(plc::Question::Connect(node, priority, reply)).await.map_err(|_| missing())?;
        tunnel.await.map(Open::from).map_err(|_| missing())
    }
}
