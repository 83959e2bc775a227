//! Orders to M-Bus channels, between the contract and the desk.

use crate::control::{ChannelAsk, ChannelCard, MbusKey, Request};
use crate::wire::columns::{from_meter, to_meter};
use crate::wire::v1::channel_order::What;
use crate::wire::v1::{ChannelOrder, ChannelState, MeterId};

/// None for what is malformed.
pub(super) fn request(order: ChannelOrder) -> Option<Request> {
    let ask = match order.what? {
        What::Show(_) => ChannelAsk::Show,
        What::Install(install) => {
            let behind = match install.behind {
                Some(meter) => Some(id(&meter)?),
                None => None,
            };
            ChannelAsk::Install { behind, address: u8::try_from(install.address).ok()? }
        }
        What::Deinstall(_) => ChannelAsk::Deinstall,
        What::Capture(_) => ChannelAsk::Capture,
        What::ResetAlarm(_) => ChannelAsk::ResetAlarm,
        What::SynchronizeClock(_) => ChannelAsk::SynchronizeClock,
        What::SetKey(set) => {
            let enciphered = (!set.enciphered_key.is_empty()).then(|| hex::encode(&set.enciphered_key));
            ChannelAsk::SetKey(MbusKey { behind: id(&set.behind?)?, key: hex::encode(&set.key), enciphered })
        }
        What::Disconnect(_) => ChannelAsk::Disconnect,
        What::Connect(connect) => ChannelAsk::Connect { directly: connect.directly },
    };
    Some(Request::Channel { meter: id(&order.meter?)?, channel: u8::try_from(order.channel).ok()?, ask })
}

pub(super) fn state(card: &ChannelCard) -> ChannelState {
    let valve = card.valve.as_ref();
    let behind = card.behind.as_deref().and_then(|id| id.parse().ok()).map(from_meter);
    ChannelState {
        behind,
        primary_address: card.primary_address.into(),
        key: card.key.clone().unwrap_or_default(),
        alarm: card.alarm.map(u32::from),
        control_state: valve.map(|valve| valve.state_number.into()),
        is_connected: valve.is_some_and(|valve| valve.is_connected),
        control_mode: valve.map_or(0, |valve| valve.control_mode.into()),
    }
}

fn id(meter: &MeterId) -> Option<String> {
    to_meter(meter).ok().map(|meter| meter.to_string())
}
