//! Class 72.

use super::{Object, Returned, empty, value};
use crate::Data;
use crate::apdu::Selection;
use crate::cosem::{MbusClient, class};
use crate::sim::{Effect, World};
use crate::spec::{ActionResult, DataAccessResult};

/// A channel, with or without a meter on it.
#[derive(Debug, Clone)]
pub struct MbusChannel {
    pub channel: u8,
    pub client: Option<MbusClient>,
    /// What will be found when the channel is installed without saying what.
    pub waiting: Option<MbusClient>,
    has_key: bool,
}

impl MbusChannel {
    pub const fn new(channel: u8, client: Option<MbusClient>) -> Self {
        Self { channel, client, waiting: None, has_key: false }
    }
}

impl Object for MbusChannel {
    fn class_id(&self) -> u16 {
        class::MBUS_CLIENT
    }

    fn version(&self) -> u8 {
        1
    }

    fn get(&self, attribute: i8, _: Option<&Selection<'_>>, _: &World) -> Result<Vec<u8>, DataAccessResult> {
        let client = self.client;
        match attribute {
            2 => Ok(super::name(crate::Obis::new(0, 0, 24, 6, 0, 255))),
            3 => Ok(empty()),
            4 => value(Data::DoubleLongUnsigned(3600)),
            5 => value(Data::Unsigned(client.map_or(0, |_| self.channel))),
            6 => value(Data::DoubleLongUnsigned(client.map_or(0, |client| client.identification_number))),
            7 => value(Data::LongUnsigned(client.map_or(0, |client| client.manufacturer_id))),
            8 => value(Data::Unsigned(client.map_or(0, |client| client.version))),
            9 => value(Data::Unsigned(client.map_or(0, |client| client.device_type))),
            10..=12 => value(Data::Unsigned(0)),
            13 => value(Data::LongUnsigned(0)),
            14 => value(Data::Enum(if self.has_key { 4 } else { 0 })),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn invoke(&mut self, method: i8, parameter: Option<Data<'_>>, world: &mut World) -> Returned {
        match method {
            1 if self.client.is_some() => return Err(ActionResult::OtherReason),
            1 => self.client = Some(self.waiting.ok_or(ActionResult::ObjectUnavailable)?),
            2 => {
                self.client = None;
                self.has_key = false;
            }
            3..=5 => {}
            6 => world.effects.push(Effect::MbusData(self.channel, parameter.map_or(Vec::new(), |data| data.octets()))),
            7 | 8 => {
                let key = parameter.and_then(|key| key.octet_string().ok()).ok_or(ActionResult::TypeUnmatched)?;
                self.has_key = !key.is_empty();
            }
            _ => return Err(ActionResult::ReadWriteDenied),
        }
        Ok(None)
    }
}
