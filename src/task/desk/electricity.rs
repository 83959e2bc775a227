//! What the desk asks the collection of electricity meters.

use tokio::sync::oneshot;

use super::{Desk, ask};
use crate::control::{MeterCard, Refusal, RefusalKind, Reply};
use crate::task::electricity;

impl Desk {
    pub(super) async fn life(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<MeterCard, Refusal>>) -> electricity::Question,
    ) -> Reply {
        let lived = self.collect(question).await.and_then(|lived| lived);
        lived.map_or_else(Into::into, |card| Reply::Meter(Box::new(card)))
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
            None => Err(Refusal::new(RefusalKind::NotFound, "no electricity meter is configured")),
        }
    }
}
