//! Objects of an emulated meter.

mod clock;
mod event_log;
mod image;
mod mbus;
mod profile;
mod push;
mod register;
mod relay;
mod security;
mod stored;

use std::fmt;

pub use clock::ClockObject;
pub use event_log::EventLog;
pub use image::ImageTransfer;
pub use mbus::MbusChannel;
pub use profile::ProfileGeneric;
pub use push::PushSetup;
pub use register::Register;
pub use relay::DisconnectControl;
pub use security::SecuritySetup;
pub use stored::Stored;

use super::World;
use crate::apdu::Selection;
use crate::cosem::Class;
use crate::spec::{ActionResult, DataAccessResult};
use crate::{Data, Obis};

/// What a method returns, encoded.
pub type Returned = Result<Option<Vec<u8>>, ActionResult>;

/// Numbers of attributes, or of methods, and what may be done with them.
pub type Rights = Vec<(i8, u8)>;

/// One object. Attribute 1, its name, is asked of nobody.
pub trait Object: fmt::Debug + Send {
    fn class_id(&self) -> u16;

    fn version(&self) -> u8 {
        0
    }

    /// The value of an attribute, encoded.
    fn get(&self, attribute: i8, selection: Option<&Selection<'_>>, world: &World)
    -> Result<Vec<u8>, DataAccessResult>;

    fn set(&mut self, attribute: i8, value: Data<'_>, world: &mut World) -> DataAccessResult {
        let _ = (attribute, value, world);
        DataAccessResult::ReadWriteDenied
    }

    fn invoke(&mut self, method: i8, parameter: Option<Data<'_>>, world: &mut World) -> Returned {
        let _ = (method, parameter, world);
        Err(ActionResult::ReadWriteDenied)
    }

    /// Attributes that may be written.
    fn writable(&self) -> &[i8] {
        &[]
    }

    /// Attributes that there are, and what may be done with them.
    fn rights(&self) -> (Rights, Rights) {
        let Some(class) = Class::numbered(self.class_id()) else { return (Vec::new(), Vec::new()) };
        let mode = |number: i8| if self.writable().contains(&number) { 3 } else { 1 };
        let numbers = |count: usize| 1..=i8::try_from(count).unwrap_or(i8::MAX);
        let attributes = numbers(class.attributes.len()).map(|number| (number, mode(number))).collect();
        (attributes, numbers(class.methods.len()).map(|number| (number, 1)).collect())
    }
}

/// A value that is one.
pub(super) fn value(data: Data<'_>) -> Result<Vec<u8>, DataAccessResult> {
    Ok(data.octets())
}

/// A logical name as a value.
pub(super) fn name(obis: Obis) -> Vec<u8> {
    Data::OctetString(&obis.0).octets()
}

/// A moment as a value.
pub(super) fn moment(date_time: crate::DateTime) -> Vec<u8> {
    Data::OctetString(&date_time.octets()).octets()
}

/// An array of nothing.
pub(super) fn empty() -> Vec<u8> {
    Data::Array(crate::data::Items::EMPTY).octets()
}
