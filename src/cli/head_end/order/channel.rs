//! `dcu head-end order channel`: what `dcu meter channel` does, signed.

use dlms::cosem::ControlState;
use serde_json::{Value, json};

pub(super) use crate::cli::meter::channel::What;
use crate::cli::text::printable;
use crate::cli::{Exit, Failure};
use crate::control::{ChannelAsk, MbusKey};
use crate::wire::columns::{from_meter, to_meter};
use crate::wire::v1::channel_order::{self as v1, What as Operation};
use crate::wire::v1::{ChannelOrder, ChannelState, MeterId};

/// In the words of the contract.
pub(super) fn order(meter: &str, channel: u32, directly: bool, what: What) -> Result<ChannelOrder, Failure> {
    let octets = |digits: &str| hex::decode(digits).unwrap_or_default();
    let what = match what.ask()? {
        ChannelAsk::Show => Operation::Show(v1::ShowChannel {}),
        ChannelAsk::Install { behind, address } => {
            let behind = behind.as_deref().map(id).transpose()?;
            Operation::Install(v1::InstallMeter { behind, address: address.into() })
        }
        ChannelAsk::Deinstall => Operation::Deinstall(v1::DeinstallMeter {}),
        ChannelAsk::Capture => Operation::Capture(v1::CaptureMeter {}),
        ChannelAsk::ResetAlarm => Operation::ResetAlarm(v1::ResetAlarm {}),
        ChannelAsk::SynchronizeClock => Operation::SynchronizeClock(v1::SynchronizeClock {}),
        ChannelAsk::SetKey(MbusKey { behind, key, enciphered }) => Operation::SetKey(v1::SetMBusKey {
            behind: Some(id(&behind)?),
            key: octets(&key),
            enciphered_key: octets(&enciphered.unwrap_or_default()),
        }),
        ChannelAsk::Disconnect => Operation::Disconnect(v1::Disconnect {}),
        ChannelAsk::Connect { .. } => Operation::Connect(v1::Connect { directly }),
    };
    Ok(ChannelOrder { meter: Some(id(meter)?), channel, what: Some(what) })
}

/// A meter by its full identity.
pub(super) fn id(text: &str) -> Result<MeterId, Failure> {
    let said = |error| Failure::said(Exit::Usage, format!("{text:?}: {error}"));
    text.parse().map(from_meter).map_err(|error: crate::reading::NotMeterId| said(error))
}

pub(super) fn print(said: &ChannelState) -> String {
    let state =
        |state| u8::try_from(state).map_or_else(|_| String::new(), |state| ControlState::from(state).to_string());
    let words = [Some(said.key.clone()), said.control_state.map(state)].into_iter().flatten();
    let words = words.filter(|word| !word.is_empty()).map(|word| format!(", {}", printable(&word)));
    behind(said).unwrap_or_else(|| "nobody".to_owned()) + &words.collect::<String>()
}

pub(super) fn json(said: &ChannelState) -> Value {
    json!({
        "behind": behind(said), "primary_address": said.primary_address, "key": said.key, "alarm": said.alarm,
        "control_state": said.control_state, "is_connected": said.is_connected, "control_mode": said.control_mode,
    })
}

fn behind(said: &ChannelState) -> Option<String> {
    to_meter(said.behind.as_ref()?).ok().map(|meter| meter.to_string())
}
