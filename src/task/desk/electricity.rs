//! What the desk asks the collection of electricity meters.

use tokio::sync::oneshot;
use tokio::task::block_in_place;

use super::mesh::PATIENCE;
use super::{Desk, ask, ask_within};
use crate::control::{ChannelAsk, Handover, MeterCard, Refusal, RefusalKind, Reply};
use crate::task::control::Who;
use crate::task::{electricity, files};
use crate::wire::trust::Role;
use crate::wire::v1::MeterHandover;

impl Desk {
    pub(super) async fn life(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<MeterCard, Refusal>>) -> electricity::Question,
    ) -> Reply {
        let lived = self.collect(question).await.and_then(|lived| lived);
        lived.map_or_else(Into::into, |card| Reply::Meter(Box::new(card)))
    }

    /// An order to an M-Bus channel, which takes as long as its electricity meter.
    pub(super) fn channel(
        &self,
        meter: String,
        channel: u8,
        ask: ChannelAsk,
        who: Who,
        late: String,
    ) -> impl Future<Output = Reply> + Send + use<> {
        let door = self.electricity.clone();
        async move {
            if let (ChannelAsk::Connect { directly: true }, Who::User(_)) = (&ask, who) {
                let why = "a valve is opened directly by the head-end alone, signed twice";
                return Refusal::new(RefusalKind::NotPermitted, why).into();
            }
            let Some(door) = door else { return nobody().into() };
            let question = |reply| electricity::Question::Channel { meter, channel, ask, reply };
            let done = ask_within(PATIENCE, &door, question, late).await.and_then(|done| done);
            done.map_or_else(Into::into, Reply::Channel)
        }
    }

    /// Waits for what is under way with the meter, and until it is durable that it is read here no more.
    pub(super) fn hand_over(&self, meter: String, late: String) -> impl Future<Output = Reply> + Send + use<> {
        let (door, unit, key) = (self.electricity.clone(), self.config.unit.id.clone(), self.device_key.clone());
        async move {
            let Some(door) = door else { return nobody().into() };
            let question = |reply| electricity::Question::HandOver { meter, reply };
            let said = ask_within(PATIENCE, &door, question, late).await.and_then(|said| said);
            let signed = said.and_then(|said| {
                let unsigned = || Refusal::new(RefusalKind::Failed, "the state cannot be said");
                Handover::sign(&MeterHandover { dcu: unit, ..said }, &key).ok_or_else(unsigned)
            });
            signed.map_or_else(Into::into, Reply::Handover)
        }
    }

    /// Takes what another unit has signed, and waits until it is durable that the meter is read from there on.
    pub(super) fn take_over(&self, handover: &Handover) -> impl Future<Output = Reply> + Send + use<> {
        let door = self.electricity.clone();
        let opened = block_in_place(|| files::peers(&self.config)).and_then(|mut peers| {
            // What went from here may come back unused.
            let (own, unit) = (self.device_key.public(), self.config.unit.id.clone());
            drop(peers.add("this unit".to_owned(), &[Role::Device], Some(unit), own));
            handover.open(&peers)
        });
        async move {
            let Some(door) = door else { return nobody().into() };
            let handover = match opened {
                Ok(handover) => handover,
                Err(refusal) => return refusal.into(),
            };
            let question = |reply| electricity::Question::TakeOver { handover, reply };
            let silent = "the collection of electricity meters does not answer: is the disk full?".to_owned();
            let said = ask_within(PATIENCE, &door, question, silent).await;
            said.and_then(|said| said).map_or_else(Into::into, |card| Reply::Meter(Box::new(card)))
        }
    }

    pub(super) async fn task(&self, id: String) -> Reply {
        let text = id.clone();
        match self.collect(move |reply| electricity::Question::Task { id, reply }).await {
            Ok(Some(card)) => Reply::Task(Box::new(card)),
            Ok(None) => Refusal::new(RefusalKind::NotFound, format!("no task {text:?} is configured")).into(),
            Err(refusal) => refusal.into(),
        }
    }

    pub(super) async fn collect<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> electricity::Question,
    ) -> Result<T, Refusal> {
        match &self.electricity {
            Some(door) => ask(door, question, "the collection of electricity meters").await,
            None => Err(nobody()),
        }
    }
}

fn nobody() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "no electricity meter is configured")
}
