//! Our enumerations and the contract's.

use super::Reject;
use crate::reading::{Function, Manufacturer, MeterId, Origin, Received, Security, Standing, TimeQuality};
use crate::wire::v1;

/// Both directions of an enumeration whose variants have the same names.
macro_rules! same_names {
    ($into:ident, $from:ident, $ours:ty, $theirs:ty, $field:literal, $($variant:ident)*) => {
        pub(super) fn $into(value: $ours) -> i32 {
            match value {
                $(<$ours>::$variant => <$theirs>::$variant.into(),)*
            }
        }

        pub(super) fn $from(number: i32) -> Result<$ours, Reject> {
            match <$theirs>::try_from(number) {
                $(Ok(<$theirs>::$variant) => Ok(<$ours>::$variant),)*
                Err(_) => Err(Reject::Field($field)),
            }
        }
    };
}

same_names!(from_function, to_function, Function, v1::Function, "function",
    Instantaneous Maximum Minimum Error);
same_names!(from_origin, to_origin, Origin, v1::Origin, "origin",
    Profile Spontaneous OnDemand Snapshot Billing);
same_names!(from_security, to_security, Security, v1::Security, "security",
    Plain Decrypted Authenticated NoKey WrongKey BadMac Truncated BadCrc Unsupported Replayed Cloned TooWeak);
same_names!(from_standing, to_standing, Standing, v1::Standing, "standing",
    Sole Preferred StandIn Secondary);
same_names!(from_time_quality, to_time_quality, TimeQuality, v1::TimeQuality, "time_quality",
    Unsynchronised Holdover Synchronised);

/// A meter in the words of the contract.
pub fn from_meter(meter: MeterId) -> v1::MeterId {
    let id = match meter {
        MeterId::MBus { manufacturer, identification, version, device_type } => {
            v1::meter_id::Id::Mbus(v1::MBusAddress {
                manufacturer: manufacturer.0.into(),
                identification,
                version: version.into(),
                device_type: device_type.into(),
            })
        }
        MeterId::SystemTitle(title) => v1::meter_id::Id::SystemTitle(title.to_vec()),
    };
    v1::MeterId { id: Some(id) }
}

/// A meter that the contract names.
///
/// # Errors
/// It names none.
pub fn to_meter(meter: &v1::MeterId) -> Result<MeterId, Reject> {
    match meter.id.as_ref().ok_or(Reject::Field("meter"))? {
        v1::meter_id::Id::Mbus(address) => to_mbus(
            &v1::meters::Model {
                manufacturer: address.manufacturer,
                version: address.version,
                device_type: address.device_type,
            },
            address.identification,
        ),
        v1::meter_id::Id::SystemTitle(title) => octets(title, "system_title").map(MeterId::SystemTitle),
    }
}

pub(super) fn to_mbus(model: &v1::meters::Model, identification: u32) -> Result<MeterId, Reject> {
    Ok(MeterId::MBus {
        manufacturer: Manufacturer(narrow(model.manufacturer, "manufacturer")?),
        identification,
        version: narrow(model.version, "version")?,
        device_type: narrow(model.device_type, "device_type")?,
    })
}

pub(super) fn from_received(received: Received) -> v1::Received {
    v1::Received {
        boot_id: received.boot_id.to_vec(),
        boot_ms: received.boot_ms,
        utc_ms: received.utc_ms,
        quality: from_time_quality(received.quality),
    }
}

pub(super) fn to_received(received: Option<&v1::Received>) -> Result<Received, Reject> {
    let received = received.ok_or(Reject::Field("received"))?;
    Ok(Received {
        boot_id: octets(&received.boot_id, "boot_id")?,
        boot_ms: received.boot_ms,
        utc_ms: received.utc_ms,
        quality: to_time_quality(received.quality)?,
    })
}

/// Octets of a fixed number.
pub(super) fn octets<const N: usize>(octets: &[u8], field: &'static str) -> Result<[u8; N], Reject> {
    octets.try_into().map_err(|_| Reject::Field(field))
}

/// A number that must fit a smaller type.
pub(super) fn narrow<T, U: TryFrom<T>>(number: T, field: &'static str) -> Result<U, Reject> {
    U::try_from(number).map_err(|_| Reject::Field(field))
}
