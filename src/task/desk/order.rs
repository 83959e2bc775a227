//! What two-way meters of Wireless M-Bus are told.

use std::time::Duration;

use super::Desk;
use crate::control::{MeterCard, Refusal, RefusalKind, Reply};
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
            Ok(card) if card.electricity.is_some() => {
                Refusal::new(RefusalKind::NotFound, of_electricity(meter, &card)).into()
            }
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

/// Why a meter that is read over DLMS takes no command of a radio, and what there is for it.
fn of_electricity(meter: &str, card: &MeterCard) -> String {
    let channel = card.electricity.as_ref().map_or("", |electricity| electricity.channel.as_str());
    format!(
        "{meter} is an electricity meter of channel {channel:?}: there is no such order for it; `dcu meter show` has what \
         was read, `dcu dlms get` reads it now, and the head-end orders by `dcu head-end order`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::ElectricityCard;

    #[test]
    fn an_electricity_meter_is_said_to_be_one() {
        let electricity = ElectricityCard { channel: "street".into(), ..ElectricityCard::default() };
        let card = MeterCard { electricity: Some(electricity), ..MeterCard::default() };
        let said = of_electricity("44435501000f4240", &card);
        assert!(
            said.starts_with("44435501000f4240 is an electricity meter of channel \"street\": there is no such order")
        );
    }
}
