//! Class 72.

use super::{Object, Returned, empty, value};
use crate::Data;
use crate::apdu::Selection;
use crate::cosem::{MbusClient, MbusKeyStatus, class, mbus_method};
use crate::security::encipher_mbus_key;
use crate::sim::{Effect, World};
use crate::spec::{ActionResult, DataAccessResult};

/// A channel, with or without a meter on it.
#[derive(Clone)]
pub struct MbusChannel {
    pub channel: u8,
    pub client: Option<MbusClient>,
    /// Who is there and on no channel: found by `slave_install`.
    pub waiting: Option<MbusClient>,
    /// Of the meter behind this one.
    pub default_key: [u8; 16],
    pub alarm: u8,
    /// Times that the meter behind this one was read by `capture`.
    pub captured: u32,
    /// The parameter of installation is an integer, as it was before it became unsigned.
    pub is_old: bool,
    primary_address: u8,
    /// Who alone may be installed: attributes 6 to 9, written before.
    wanted: MbusClient,
    /// What this meter deciphers with.
    key: Option<[u8; 16]>,
    /// What was sent to the meter behind this one, and what that made of it.
    transferred: Option<[u8; 16]>,
    is_in_use: bool,
}

const NOBODY: MbusClient = MbusClient { identification_number: 0, manufacturer_id: 0, version: 0, device_type: 0 };

impl MbusChannel {
    pub const fn new(channel: u8, client: Option<MbusClient>) -> Self {
        Self {
            channel,
            client,
            waiting: None,
            default_key: [0x44; 16],
            alarm: 0,
            captured: 0,
            is_old: false,
            primary_address: channel,
            wanted: NOBODY,
            key: None,
            transferred: None,
            is_in_use: false,
        }
    }

    fn key_status(&self) -> MbusKeyStatus {
        match (self.key, self.transferred) {
            _ if self.is_in_use => MbusKeyStatus::InUse,
            (None, None) => MbusKeyStatus::NoKey,
            (Some(_), None) => MbusKeyStatus::Set,
            (None, Some(_)) => MbusKeyStatus::Transferred,
            (Some(_), Some(_)) => MbusKeyStatus::SetAndTransferred,
        }
    }

    fn address(&self, parameter: Option<Data<'_>>) -> Result<u8, ActionResult> {
        match parameter {
            None => Ok(0),
            Some(Data::Integer(address)) if self.is_old => u8::try_from(address).map_err(|_| ActionResult::OtherReason),
            Some(Data::Unsigned(address)) if !self.is_old => Ok(address),
            _ => Err(ActionResult::TypeUnmatched),
        }
    }

    fn install(&mut self, address: u8) -> Result<(), ActionResult> {
        if self.client.is_some() || address > LAST_ADDRESS {
            return Err(ActionResult::OtherReason);
        }
        let found = self.waiting.filter(|found| self.wanted == NOBODY || *found == self.wanted);
        self.client = Some(found.ok_or(ActionResult::ObjectUnavailable)?);
        self.waiting = None;
        self.primary_address = if address == 0 { self.channel } else { address };
        Ok(())
    }

    /// The meter stays where it is, with the key that it has.
    fn deinstall(&mut self) {
        self.waiting = self.client.take();
        self.wanted = NOBODY;
        (self.key, self.is_in_use) = (None, false);
    }

    /// What is enciphered by a key that this meter has not cannot be read.
    fn capture(&mut self) -> Result<(), ActionResult> {
        if self
            .transferred
            .is_some_and(|sent| self.key.is_none_or(|key| encipher_mbus_key(&self.default_key, &key) != sent))
        {
            return Err(ActionResult::TemporaryFailure);
        }
        self.is_in_use = self.transferred.is_some();
        self.captured += 1;
        Ok(())
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
        let client = self.client.unwrap_or(self.wanted);
        match attribute {
            2 => Ok(super::name(crate::Obis::new(0, 0, 24, 6, 0, 255))),
            3 => Ok(empty()),
            4 => value(Data::DoubleLongUnsigned(3600)),
            5 => value(Data::Unsigned(self.client.map_or(0, |_| self.primary_address))),
            6 => value(Data::DoubleLongUnsigned(client.identification_number)),
            7 => value(Data::LongUnsigned(client.manufacturer_id)),
            8 => value(Data::Unsigned(client.version)),
            9 => value(Data::Unsigned(client.device_type)),
            10 | 11 => value(Data::Unsigned(0)),
            12 => value(Data::Unsigned(self.alarm)),
            13 => value(Data::LongUnsigned(0)),
            14 => value(Data::Enum(self.key_status().into())),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn set(&mut self, attribute: i8, value: Data<'_>, _: &mut World) -> DataAccessResult {
        let wanted = &mut self.wanted;
        let written = match attribute {
            6..=9 if self.client.is_some() => return DataAccessResult::ReadWriteDenied,
            6 => value.number().map(|number| wanted.identification_number = number),
            7 => value.number().map(|number| wanted.manufacturer_id = number),
            8 => value.number().map(|number| wanted.version = number),
            9 => value.number().map(|number| wanted.device_type = number),
            _ => return DataAccessResult::ReadWriteDenied,
        };
        written.map_or(DataAccessResult::TypeUnmatched, |()| DataAccessResult::Success)
    }

    fn invoke(&mut self, method: i8, parameter: Option<Data<'_>>, world: &mut World) -> Returned {
        use mbus_method::*;
        if method == SLAVE_INSTALL {
            return self.address(parameter).and_then(|address| self.install(address)).map(|()| None);
        }
        if self.client.is_none() {
            return Err(ActionResult::OtherReason);
        }
        let key = |empty: bool| {
            let octets = parameter.and_then(|key| key.octet_string().ok()).ok_or(ActionResult::TypeUnmatched)?;
            match <[u8; 16]>::try_from(octets) {
                Ok(key) => Ok(Some(key)),
                Err(_) if empty && octets.is_empty() => Ok(None),
                Err(_) => Err(ActionResult::TypeUnmatched),
            }
        };
        match method {
            SLAVE_DEINSTALL => self.address(parameter).map(|_| self.deinstall())?,
            CAPTURE => self.capture()?,
            RESET_ALARM => self.alarm = 0,
            SYNCHRONIZE_CLOCK => {}
            DATA_SEND => {
                let data = parameter.ok_or(ActionResult::TypeUnmatched)?;
                world.effects.push(Effect::MbusData(self.channel, data.octets()));
            }
            SET_ENCRYPTION_KEY => (self.key, self.is_in_use) = (key(true)?, false),
            TRANSFER_KEY => (self.transferred, self.is_in_use) = (key(false)?, false),
            _ => return Err(ActionResult::ReadWriteDenied),
        }
        Ok(None)
    }

    fn writable(&self) -> &[i8] {
        &[6, 7, 8, 9]
    }
}

impl std::fmt::Debug for MbusChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MbusChannel")
            .field("channel", &self.channel)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// EN 13757-2: primary addresses of meters are 1 to 250.
const LAST_ADDRESS: u8 = 250;
