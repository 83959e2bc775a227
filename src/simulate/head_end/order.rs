//! Orders of a head-end, signed, and answered by the unit with a signature.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::task::chain;
use crate::task::mqtt::{self, Event, PubAckReason, Publication, Reason, Settings};
use crate::uplink::order::ordered;
use crate::uplink::{Topic, Topics};
use crate::wire::signed::{self, PrivateKey};
use crate::wire::trust::Trust;
use crate::wire::v1::command::Operation;
use crate::wire::v1::{Command, CommandState, command_state::State};

/// An order to one unit.
#[derive(Debug, Clone)]
pub struct Order {
    pub topics: Topics,
    pub operation: Operation,
    /// 16 random octets, never used before.
    pub id: [u8; 16],
    /// Now, milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// So long it may be carried out; the unit takes nothing of more than a day, with some minutes for its clock.
    pub valid_for: Duration,
}

impl Order {
    /// Of an order that is carried out at once or not at all.
    pub const VALID_FOR: Duration = Duration::from_secs(3600);
}

#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("connect to the broker")]
    Broker(#[source] Reason),
    #[error("the broker does not pass the order on: {0:?}")]
    Refused(PubAckReason),
    #[error("no answer of the unit in time{}", trouble.as_deref().map(|text| format!("; {text}")).unwrap_or_default())]
    Silent { trouble: Option<String> },
    #[error("this id was used for another order, which is not carried out again: leave --id out for a new one")]
    AnotherOrder,
    #[error("the MQTT driver ended")]
    Ended,
}

/// Publishes the order and waits for its last state; `told` hears of each. `devices` verifies the answer; without it the
/// answer is believed.
pub async fn give(
    order: &Order,
    mut broker: Settings,
    keys: &[&PrivateKey],
    devices: Option<&Trust>,
    limit: Duration,
    mut told: impl FnMut(&CommandState),
) -> Result<CommandState, OrderError> {
    let command = Command {
        id: order.id.to_vec(),
        dcu: order.topics.dcu().to_owned(),
        not_before_ms: order.now_ms - TOLERANCE_MS,
        not_after_ms: order.now_ms.saturating_add(i64::try_from(order.valid_for.as_millis()).unwrap_or(i64::MAX)),
        operation: Some(order.operation.clone()),
    };
    let payload = signed::sign(&command, keys);
    let answers = order.topics.name(&Topic::CommandState(order.id));
    broker.subscriptions = vec![answers.clone()];
    broker.clean_start = true;
    broker.session_expiry = Duration::ZERO;
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let (door, mut events, _driver) = mqtt::open(broker, 0, stop);
    let deadline = after(limit);
    let (mut connection, mut trouble) = (0, None);
    loop {
        let event = match timeout_at(deadline, events.recv()).await {
            Ok(Some(event)) => event,
            Ok(None) => return Err(OrderError::Ended),
            Err(_) => return Err(OrderError::Silent { trouble }),
        };
        match event {
            Event::Connected(connected) => connection = connected.connection,
            // The same id is not carried out twice, so after a new connection it may go out again.
            Event::Subscribed => {
                let topic = order.topics.name(&Topic::Command);
                let payload = payload.clone().into();
                let publication = Publication { topic, payload, retain: false, content_type: None };
                door.publish(connection, 1, publication).map_err(|_| OrderError::Ended)?;
            }
            Event::PubAck { reason, .. } if reason.code() >= 0x80 => return Err(OrderError::Refused(reason)),
            Event::PubAck { reason: PubAckReason::NoMatchingSubscribers, .. } => {
                trouble = Some("the unit was never connected to this broker".into());
            }
            Event::Message(message) => {
                let answer = match devices {
                    Some(devices) => signed::open::<CommandState>(&message.payload, devices)
                        .map(|verified| verified.message)
                        .map_err(|error| format!("an answer that is not the unit's: {error}")),
                    None => signed::claim(&message.payload).ok_or_else(|| "an unreadable answer".to_owned()),
                };
                if let Some(token) = message.token {
                    let _ = door.acknowledge(token);
                }
                match answer {
                    Ok(state) if state.id == order.id && !wants(&state, &order.operation) => {
                        return Err(OrderError::AnotherOrder);
                    }
                    Ok(state) if state.id == order.id => {
                        told(&state);
                        if is_last(&state) {
                            return Ok(state);
                        }
                    }
                    Ok(_) => {}
                    Err(text) => trouble = Some(text),
                }
            }
            Event::Disconnected { reason, .. } => match reason {
                Reason::Setup(_) | Reason::Plaintext { .. } => return Err(OrderError::Broker(reason)),
                reason => trouble = Some(chain(&reason)),
            },
            Event::SubscriptionRefused { filter, reason } => trouble = Some(format!("{filter}: {reason}")),
            Event::PubAck { .. } | Event::Sent { .. } => {}
        }
    }
}

/// A unit that does not say what was ordered is believed.
fn wants(state: &CommandState, operation: &Operation) -> bool {
    state.ordered == 0 || state.ordered == ordered(operation)
}

fn is_last(state: &CommandState) -> bool {
    matches!(state.state(), State::Rejected | State::Succeeded | State::Failed | State::Indeterminate)
}

fn after(limit: Duration) -> Instant {
    Instant::now() + limit
}

/// For a unit whose clock is a little slow.
const TOLERANCE_MS: i64 = 5 * 60 * 1000;
