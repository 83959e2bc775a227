//! How a conversation begins; and where a meter refuses our invocation counter, how that is set right.
//!
//! The public client tells which counter the meter has had, to anybody and unproven. So a counter is never lowered by it,
//! raised by so much at most, and not a second time before the meter has proven that it knows the key.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dlms::Data;
use dlms::apdu::Attribute;
use dlms::client::{Association, Client};
use dlms::cosem::class;
use tokio::task::block_in_place;
use tracing::warn;

use super::{Job, Party, Trouble};
use crate::config::electricity::{Authentication, Manner, Meter};
use crate::reading::{MeterId, Obis};
use crate::schedule::End;
use crate::task::chain;
use crate::task::electricity::client::client;
use crate::task::electricity::{Session, SessionError};

impl Job {
    /// An association, with a counter that the meter takes. `received` is the highest one that came before.
    pub(super) async fn associate(&self, received: Option<u32>) -> Result<(Session, Association), Trouble> {
        let Party { meter, channel, credential, own_title, shown, .. } = &*self.meter;
        let is_unconfirmed = &shown.is_unconfirmed;
        let new = || client(meter, channel, credential.as_deref(), *own_title, received).map_err(Trouble::denied);
        let refused = match self.open(new()?).await {
            Ok(opened) => {
                is_unconfirmed.store(false, Ordering::Relaxed);
                return Ok(opened);
            }
            Err(refused) => refused,
        };
        let (Some(object), SessionError::Failed(_)) = (meter.manner.counter, &refused) else {
            return Err(refused.into());
        };
        if !meter.manner.is_ciphered() || is_unconfirmed.load(Ordering::Relaxed) {
            return Err(refused.into());
        }
        // What the public client is refused is not refused to us: we were never let in.
        let last = self.public_counter(object).await.map_err(|trouble| match trouble.end {
            End::Refused => Trouble::denied(trouble.detail),
            _ => trouble,
        })?;
        if !self.raise(last) {
            return Err(refused.into());
        }
        warn!(meter = %MeterId::SystemTitle(meter.id), counter = last, "raise the invocation counter");
        is_unconfirmed.store(true, Ordering::Relaxed);
        let opened = self.open(new()?).await?;
        is_unconfirmed.store(false, Ordering::Relaxed);
        Ok(opened)
    }

    async fn open(&self, mut client: Client) -> Result<(Session, Association), SessionError> {
        if self.meter.shown.is_mute.load(Ordering::Relaxed) {
            client.set_release_timeout(FAREWELL);
        }
        let mut session = Session::new(client, self.meter.open(self.priority).await?, self.reserve());
        match session.associate().await {
            Ok(agreed) => Ok((session, agreed)),
            Err(error) => {
                // So that a line is free for the next one.
                drop(session.release().await);
                Err(error)
            }
        }
    }

    /// The highest counter that the meter has had of us, as it tells everybody.
    async fn public_counter(&self, object: Obis) -> Result<u32, Trouble> {
        let Party { meter, channel, .. } = &*self.meter;
        let manner = Manner {
            client: PUBLIC_CLIENT,
            authentication: Authentication::None,
            security: 0,
            is_signed: false,
            ..meter.manner.clone()
        };
        let public = client(&Meter { manner, ..meter.clone() }, channel, None, None, None).map_err(Trouble::refused)?;
        let (mut session, _) = self.open(public).await?;
        let value = session.get(Attribute::new(class::DATA, dlms::Obis(object.0), 2), None).await;
        drop(session.release().await);
        Ok(Data::parse_all(&value?)?.number()?)
    }

    /// Goes on above what the meter has had. False where that changes nothing, or goes too far.
    fn raise(&self, last: u32) -> bool {
        block_in_place(|| {
            let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
            let (name, wanted) = (&self.meter.meter.id, u64::from(last) + 1);
            let next = counters.peek(name);
            if !(next + 1..=next + FURTHEST).contains(&wanted) {
                return false;
            }
            let raised = counters.raise(name, wanted);
            if let Err(error) = &raised {
                warn!(err = %chain(error), "raise the invocation counter");
            }
            raised.is_ok()
        })
    }
}

/// How long a meter that did not answer RLRQ before is waited for.
const FAREWELL: Duration = Duration::from_secs(1);
/// IEC 62056-5-3: the public client.
const PUBLIC_CLIENT: u16 = 16;
/// Who answers in the meter's place could use up a 256th of all counters, once.
const FURTHEST: u64 = 1 << 24;
