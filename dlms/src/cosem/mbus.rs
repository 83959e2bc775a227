//! Class 72: a gas, water or heat meter behind this one.

use std::fmt;

use crate::spec::enumeration;
use crate::{Data, Reject};

enumeration! {
    /// Attribute 14 of class 72, version 1. IEC 62056-6-2:2021, 4.8.3.
    MbusKeyStatus {
        NoKey = 0 "no encryption key",
        Set = 1 "encryption key set",
        Transferred = 2 "encryption key transferred",
        SetAndTransferred = 3 "encryption key set and transferred",
        InUse = 4 "encryption key in use",
    }
}

/// Methods of class 72.
pub mod mbus_method {
    /// Its parameter is the primary address, 0 for any: unsigned, in older meters integer; as in `SLAVE_DEINSTALL`, 0.
    pub const SLAVE_INSTALL: i8 = 1;
    pub const SLAVE_DEINSTALL: i8 = 2;
    pub const CAPTURE: i8 = 3;
    pub const RESET_ALARM: i8 = 4;
    pub const SYNCHRONIZE_CLOCK: i8 = 5;
    pub const DATA_SEND: i8 = 6;
    /// What this meter deciphers with; none: it is not enciphered any more.
    pub const SET_ENCRYPTION_KEY: i8 = 7;
    /// What the meter behind this one is sent: `security::encipher_mbus_key` makes it.
    pub const TRANSFER_KEY: i8 = 8;
}

/// Who it is: attributes 6 to 9 of class 72.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MbusClient {
    /// Eight digits, as BCD or as a number: meters differ. Kept as BCD.
    pub identification_number: u32,
    pub manufacturer_id: u16,
    pub version: u8,
    pub device_type: u8,
}

/// One value as the profile of the channel has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MbusValue<'a> {
    pub value: Data<'a>,
    pub capture_time: Option<crate::DateTime>,
}

impl MbusClient {
    /// From the attributes in their order.
    pub fn new(attributes: [Data<'_>; 4]) -> Result<Self, Reject> {
        let [identification, manufacturer, version, device_type] = attributes;
        Ok(Self {
            identification_number: identification.number()?,
            manufacturer_id: manufacturer.number()?,
            version: version.number()?,
            device_type: device_type.number()?,
        })
    }

    /// The three letters of EN 62056-21.
    pub fn manufacturer(&self) -> [char; 3] {
        [10, 5, 0].map(|shift| char::from(((self.manufacturer_id >> shift) & 0x1f) as u8 + 64))
    }
}

impl<'a> MbusValue<'a> {
    /// From the value and the capture time of an extended register.
    pub fn new(value: Data<'a>, capture_time: Data<'_>) -> Result<Self, Reject> {
        let capture_time = match capture_time {
            Data::NullData => None,
            data => Some(data.date_time()?),
        };
        Ok(Self { value, capture_time })
    }
}

impl fmt::Display for MbusClient {
    /// `ELS-12345678-33-03`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.manufacturer().iter().try_for_each(|letter| write!(f, "{letter}"))?;
        write!(f, "-{:08x}-{:02x}-{:02x}", self.identification_number, self.version, self.device_type)
    }
}
