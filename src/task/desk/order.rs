//! What two-way meters of Wireless M-Bus are told.

use std::time::Duration;

use super::Desk;
use crate::control::{Refusal, RefusalKind, Reply};
use crate::registry::Action;
use crate::task::meters;
use crate::task::meters::talk::{Answer, Ask};

impl Desk {
    pub(super) async fn order(&self, meter: &str, action: &str, expires_s: u64, command: Option<[u8; 16]>) -> Reply {
        let (Ok(id), Some(action)) = (meter.parse(), Action::named(action)) else {
            return Refusal::new(RefusalKind::Malformed, format!("no meter {meter:?}, or no command {action:?}"))
                .into();
        };
        // The meter must have been heard: how it is protected shows in what it sends.
        match self.meter(meter.to_owned()).await {
            Ok(card) if card.first_heard_ms.is_none() => {
                let why = format!("meter {meter} was never heard over the air");
                Refusal::new(RefusalKind::NotFound, why).into()
            }
            Ok(_) => {
                self.talk(Ask::Order { meter: id, action, expires: Duration::from_secs(expires_s), command }).await
            }
            Err(refusal) => refusal.into(),
        }
    }

    pub(super) async fn talk(&self, ask: Ask) -> Reply {
        match self.ask(|reply| meters::Question::Talk(ask, reply)).await.and_then(|answer| answer) {
            Ok(Answer::Orders(orders)) => Reply::Orders { orders },
            Ok(Answer::ToBind(meters)) => Reply::ToBind { meters },
            Err(refusal) => refusal.into(),
        }
    }
}
