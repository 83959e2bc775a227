//! An object that is what was stored in it: data, tables, calendars, limits.

use std::collections::BTreeMap;

use super::{Object, Returned};
use crate::Data;
use crate::apdu::Selection;
use crate::cosem::class;
use crate::sim::{Effect, World};
use crate::spec::{ActionResult, DataAccessResult};

#[derive(Debug, Clone)]
pub struct Stored {
    class_id: u16,
    version: u8,
    attributes: BTreeMap<i8, Vec<u8>>,
    writable: Vec<i8>,
}

impl Stored {
    pub const fn new(class_id: u16, version: u8) -> Self {
        Self { class_id, version, attributes: BTreeMap::new(), writable: Vec::new() }
    }

    /// With this attribute, encoded.
    #[must_use]
    pub fn with(mut self, attribute: i8, octets: Vec<u8>) -> Self {
        self.attributes.insert(attribute, octets);
        self
    }

    /// With attributes that may be written.
    #[must_use]
    pub fn with_writable(mut self, attributes: &[i8]) -> Self {
        self.writable = attributes.to_vec();
        self
    }

    /// Class 1 with this value.
    pub fn data(octets: Vec<u8>) -> Self {
        Self::new(class::DATA, 0).with(2, octets)
    }
}

impl Object for Stored {
    fn class_id(&self) -> u16 {
        self.class_id
    }

    fn version(&self) -> u8 {
        self.version
    }

    fn get(&self, attribute: i8, _: Option<&Selection<'_>>, _: &World) -> Result<Vec<u8>, DataAccessResult> {
        self.attributes.get(&attribute).cloned().ok_or(DataAccessResult::ObjectUnavailable)
    }

    fn set(&mut self, attribute: i8, value: Data<'_>, _: &mut World) -> DataAccessResult {
        if !self.writable.contains(&attribute) {
            return DataAccessResult::ReadWriteDenied;
        }
        let is_same_type = |octets: &Vec<u8>| octets.first() == Some(&value.tag());
        if self.attributes.get(&attribute).is_some_and(|octets| !is_same_type(octets)) {
            return DataAccessResult::TypeUnmatched;
        }
        self.attributes.insert(attribute, value.octets());
        DataAccessResult::Success
    }

    fn invoke(&mut self, method: i8, parameter: Option<Data<'_>>, world: &mut World) -> Returned {
        match (self.class_id, method) {
            (class::SCRIPT_TABLE, 1) => {
                let selector = parameter.and_then(|selector| selector.number().ok());
                world.effects.push(Effect::Script(selector.ok_or(ActionResult::TypeUnmatched)?));
                Ok(None)
            }
            // The passive calendar becomes the active one.
            (class::ACTIVITY_CALENDAR, 1) => {
                for (active, passive) in [(2, 6), (3, 7), (4, 8), (5, 9)] {
                    if let Some(octets) = self.attributes.get(&passive).cloned() {
                        self.attributes.insert(active, octets);
                    }
                }
                Ok(None)
            }
            _ => Err(ActionResult::ReadWriteDenied),
        }
    }

    fn writable(&self) -> &[i8] {
        &self.writable
    }
}
