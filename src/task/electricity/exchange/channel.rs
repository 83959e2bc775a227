//! Orders to an M-Bus channel: class 72, and the valve or breaker behind it, class 70.
//!
//! What was ordered is read back. A method whose answer did not come may have been carried out: that is said, and it is
//! not invoked again.

use dlms::Data;
use dlms::apdu::{Attribute, Method};
use dlms::client::{Cause, Failure};
use dlms::cosem::{ControlMode, ControlState, MbusKeyStatus, Reconnection, class, mbus_method};
use dlms::security::SecurityControl;
use dlms::spec::ActionResult;

use super::behind::{client_of, identity};
use super::trouble::kind;
use super::{Job, Outcome};
use crate::control::{ChannelAsk, ChannelCard, MbusKey, Refusal, RefusalKind, Valve};
use crate::reading::MeterId;
use crate::task::chain;
use crate::task::electricity::{Session, SessionError};

impl Job {
    /// Carries out what is wanted of a channel, and reads how it is then.
    pub(super) async fn channel(
        &self,
        channel: u8,
        ask: &ChannelAsk,
        session: &mut Session,
        outcome: &mut Outcome,
    ) -> Result<ChannelCard, Refusal> {
        let before = self.look(channel, session).await?;
        self.carry_out(ask, &before, session).await?;
        let after = if *ask == ChannelAsk::Show { before } else { self.look(channel, session).await? };
        outcome.channels.push((channel, after.behind.as_deref().and_then(|id| id.parse().ok())));
        is_as_wanted(ask, &after)?;
        Ok(after)
    }

    async fn carry_out(&self, ask: &ChannelAsk, card: &ChannelCard, session: &mut Session) -> Result<(), Refusal> {
        let method = |method| Method::new(class::MBUS_CLIENT, client_of(card.channel), method);
        let valve = |method| Method::new(class::DISCONNECT_CONTROL, valve_of(card.channel), method);
        if card.behind.is_none() && !matches!(ask, ChannelAsk::Show | ChannelAsk::Install { .. }) {
            return Err(refused(format!("nothing is installed on channel {}", card.channel)));
        }
        match ask {
            ChannelAsk::Show => Ok(()),
            ChannelAsk::Install { behind, address } => match (&card.behind, behind) {
                (Some(there), Some(wanted)) if there == wanted && card.primary_address != 0 => Ok(()),
                // Written down to be installed is who has no address yet.
                (Some(there), _) if card.primary_address != 0 => {
                    Err(refused(format!("{there} is installed on channel {}: deinstall it first", card.channel)))
                }
                (_, wanted) => {
                    if wanted.is_some() {
                        want(card.channel, wanted.as_deref(), session).await?;
                    }
                    let done = numbered(method(mbus_method::SLAVE_INSTALL), *address, session).await;
                    // Who was not found does not stay there as if it were.
                    if wanted.is_some() && done.as_ref().is_err_and(|refusal| refusal.kind != RefusalKind::TimedOut) {
                        drop(want(card.channel, card.behind.as_deref(), session).await);
                    }
                    done
                }
            },
            ChannelAsk::Deinstall => numbered(method(mbus_method::SLAVE_DEINSTALL), 0, session).await,
            ChannelAsk::Capture => numbered(method(mbus_method::CAPTURE), 0, session).await,
            ChannelAsk::ResetAlarm => numbered(method(mbus_method::RESET_ALARM), 0, session).await,
            ChannelAsk::SynchronizeClock => numbered(method(mbus_method::SYNCHRONIZE_CLOCK), 0, session).await,
            ChannelAsk::SetKey(key) => {
                if self.meter.meter.manner.security & SecurityControl::ENCRYPTION == 0 {
                    let why = "what is said to the electricity meter is not encrypted: `security` keeps the key back";
                    return Err(refused(why.to_owned()));
                }
                if card.behind.as_ref() != Some(&key.behind) {
                    let there = card.behind.as_deref().unwrap_or("nobody");
                    return Err(refused(format!("the key is of {}, on the channel is {there}", key.behind)));
                }
                let MbusKey { key, enciphered, .. } = key;
                let own = octets(key)?;
                if let Some(enciphered) = enciphered {
                    let sent = octets(enciphered)?;
                    invoke(method(mbus_method::TRANSFER_KEY), Data::OctetString(&sent), session).await?;
                }
                invoke(method(mbus_method::SET_ENCRYPTION_KEY), Data::OctetString(&own), session).await
            }
            ChannelAsk::Disconnect => match mode(card)? {
                mode if mode.has_remote_disconnection() => invoke(valve(1), Data::Integer(0), session).await,
                mode => Err(refused(format!("its control mode {} has no remote disconnection", mode.number()))),
            },
            ChannelAsk::Connect { directly } => {
                let mode = mode(card)?;
                match mode.reconnection() {
                    Reconnection::None => {
                        Err(refused(format!("its control mode {} has no remote reconnection", mode.number())))
                    }
                    // Where a flame may have gone out, somebody has to be there.
                    Reconnection::Connected if is_gas(card) && !directly => Err(refused(format!(
                        "its control mode {} would open a gas valve from afar: the head-end orders that, signed twice",
                        mode.number()
                    ))),
                    Reconnection::Armed | Reconnection::Connected => invoke(valve(2), Data::Integer(0), session).await,
                }
            }
        }
    }

    /// A channel as it is.
    async fn look(&self, channel: u8, session: &mut Session) -> Result<ChannelCard, Refusal> {
        let client = |attribute| Attribute::new(class::MBUS_CLIENT, client_of(channel), attribute);
        let valve = |attribute| Attribute::new(class::DISCONNECT_CONTROL, valve_of(channel), attribute);
        let behind = identity(channel, session).await.map_err(|trouble| match Refusal::from(trouble) {
            Refusal { kind: RefusalKind::NotFound, message } => {
                absent_there(format!("the meter has no M-Bus channel {channel}: {message}"))
            }
            refusal => refusal,
        })?;
        let primary_address: u8 = number(client(5), session).await?.unwrap_or(0);
        let alarm = number(client(12), session).await?;
        let key = number::<u8>(client(14), session).await?.map(|key| MbusKeyStatus::from(key).to_string());
        let state = number::<u8>(valve(3), session).await?;
        let control_mode = number::<u8>(valve(4), session).await?;
        let output = match session.get(valve(2), None).await {
            Ok(value) => Data::parse_all(&value).ok().and_then(|value| value.boolean().ok()),
            Err(error) => absent(error)?,
        };
        let valve = state.zip(control_mode).map(|(state, control_mode)| Valve {
            state: ControlState::from(state).to_string(),
            state_number: state,
            is_connected: output.unwrap_or(false),
            control_mode,
        });
        let behind = behind.map(|meter| meter.to_string());
        let meter = MeterId::SystemTitle(self.meter.meter.id).to_string();
        Ok(ChannelCard { meter, channel, behind, primary_address, key, alarm, valve })
    }
}

/// Says who is to be installed, or nobody: attributes 6 to 9.
async fn want(channel: u8, wanted: Option<&str>, session: &mut Session) -> Result<(), Refusal> {
    let numbers = match wanted.map(str::parse) {
        None => (0, 0, 0, 0),
        Some(Ok(MeterId::MBus { manufacturer, identification, version, device_type })) => {
            (identification, manufacturer.0, version, device_type)
        }
        Some(_) => {
            let why = format!("{:?} is no identity of an M-Bus meter", wanted.unwrap_or_default());
            return Err(Refusal::new(RefusalKind::Malformed, why));
        }
    };
    let (identification, manufacturer, version, device_type) = numbers;
    let numbers = [
        Data::DoubleLongUnsigned(identification),
        Data::LongUnsigned(manufacturer),
        Data::Unsigned(version),
        Data::Unsigned(device_type),
    ];
    for (attribute, number) in (6..).zip(numbers) {
        let attribute = Attribute::new(class::MBUS_CLIENT, client_of(channel), attribute);
        session.set(attribute, number).await.map_err(undone)?;
    }
    Ok(())
}

/// A method whose parameter is unsigned in newer meters, and integer in older ones.
async fn numbered(method: Method, parameter: u8, session: &mut Session) -> Result<(), Refusal> {
    match session.action(method, Some(Data::Unsigned(parameter))).await {
        Err(SessionError::Failed(Failure { cause: Cause::Action(ActionResult::TypeUnmatched), .. })) => {
            invoke(method, Data::Integer(i8::try_from(parameter).unwrap_or(i8::MAX)), session).await
        }
        done => done.map(drop).map_err(undone),
    }
}

async fn invoke(method: Method, parameter: Data<'_>, session: &mut Session) -> Result<(), Refusal> {
    session.action(method, Some(parameter)).await.map(drop).map_err(undone)
}

/// Of what changes something.
fn undone(error: SessionError) -> Refusal {
    let kind = kind(&error);
    let may = if kind == RefusalKind::TimedOut { ": it may have been done" } else { "" };
    Refusal::new(kind, format!("{}{may}", chain(&error)))
}

/// None where the object has no such attribute, or there is no such object.
async fn number<T: TryFrom<i128>>(attribute: Attribute, session: &mut Session) -> Result<Option<T>, Refusal> {
    match session.get(attribute, None).await {
        Ok(value) => Ok(Data::parse_all(&value).ok().and_then(|value| value.number().ok())),
        Err(error) => absent(error),
    }
}

fn absent<T>(error: SessionError) -> Result<Option<T>, Refusal> {
    match error {
        SessionError::Failed(Failure { cause: Cause::Access(_), .. }) => Ok(None),
        error => Err(Refusal::new(kind(&error), chain(&error))),
    }
}

/// What was ordered shows in what is read.
fn is_as_wanted(ask: &ChannelAsk, card: &ChannelCard) -> Result<(), Refusal> {
    let state = card.valve.as_ref().map_or("", |valve| valve.state.as_str());
    let is = |wanted: &[ControlState]| wanted.iter().any(|wanted| wanted.to_string() == state);
    let why = match ask {
        ChannelAsk::Install { behind: Some(wanted), .. } if card.behind.as_ref() != Some(wanted) => {
            format!("{} is installed", card.behind.as_deref().unwrap_or("nobody"))
        }
        ChannelAsk::Install { .. } if card.behind.is_none() => "nobody is installed".to_owned(),
        ChannelAsk::Deinstall if card.behind.is_some() => "it is still installed".to_owned(),
        ChannelAsk::Disconnect if !is(&[ControlState::Disconnected]) => format!("it says {state}"),
        ChannelAsk::Connect { .. } if !is(&[ControlState::Connected, ControlState::ReadyForReconnection]) => {
            format!("it says {state}")
        }
        ChannelAsk::Disconnect | ChannelAsk::Connect { .. } => {
            let is_connected = card.valve.as_ref().is_some_and(|valve| valve.is_connected);
            match is_connected == is(&[ControlState::Connected]) {
                true => return Ok(()),
                false => format!("it says {state}, and the valve has not moved"),
            }
        }
        _ => return Ok(()),
    };
    Err(Refusal::new(RefusalKind::Failed, format!("the electricity meter took the order, but {why}")))
}

fn mode(card: &ChannelCard) -> Result<ControlMode, Refusal> {
    let valve = card.valve.as_ref().ok_or_else(|| absent_there(format!("channel {} has no valve", card.channel)))?;
    ControlMode::new(valve.control_mode).map_err(|reject| refused(reject.to_string()))
}

fn is_gas(card: &ChannelCard) -> bool {
    let id = card.behind.as_deref().and_then(|id| id.parse().ok());
    matches!(id, Some(MeterId::MBus { device_type: GAS, .. }))
}

fn octets(digits: &str) -> Result<[u8; 16], Refusal> {
    let mut octets = [0; 16];
    hex::decode_to_slice(digits, &mut octets)
        .map(|()| octets)
        .map_err(|_| Refusal::new(RefusalKind::Malformed, "a key has 32 hexadecimal digits"))
}

fn absent_there(why: String) -> Refusal {
    Refusal::new(RefusalKind::NotFound, why)
}

fn refused(why: String) -> Refusal {
    Refusal::new(RefusalKind::NotPermitted, why)
}

/// IEC 62056-6-1: 0-n:24.4.0, valve or breaker of a channel.
const fn valve_of(channel: u8) -> dlms::Obis {
    dlms::Obis::new(0, channel, 24, 4, 0, 255)
}

/// EN 13757-7.
const GAS: u8 = 3;
