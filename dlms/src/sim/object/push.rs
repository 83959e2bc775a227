//! Class 40.

use super::{Object, Returned, empty, value};
use crate::Data;
use crate::apdu::{CaptureObject, Selection};
use crate::cosem::{PushDestination, class};
use crate::data::encode;
use crate::sim::{Effect, World};
use crate::spec::{ActionResult, DataAccessResult};

#[derive(Debug, Clone)]
pub struct PushSetup {
    pub objects: Vec<CaptureObject>,
    pub destination: PushDestination,
}

impl Object for PushSetup {
    fn class_id(&self) -> u16 {
        class::PUSH_SETUP
    }

    fn get(&self, attribute: i8, _: Option<&Selection<'_>>, _: &World) -> Result<Vec<u8>, DataAccessResult> {
        match attribute {
            2 => Ok(encode(|out| {
                out.array(self.objects.len());
                self.objects.iter().for_each(|object| object.write(out));
            })),
            3 => Ok(encode(|out| self.destination.write(out))),
            4 => Ok(empty()),
            5 => value(Data::LongUnsigned(0)),
            6 => value(Data::Unsigned(3)),
            7 => value(Data::LongUnsigned(60)),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn set(&mut self, attribute: i8, value: Data<'_>, _: &mut World) -> DataAccessResult {
        match attribute {
            2 => match crate::cosem::capture_objects(value) {
                Ok(objects) => self.objects = objects,
                Err(_) => return DataAccessResult::TypeUnmatched,
            },
            3 => match PushDestination::try_from(value) {
                Ok(destination) => self.destination = destination,
                Err(_) => return DataAccessResult::TypeUnmatched,
            },
            _ => return DataAccessResult::ReadWriteDenied,
        }
        DataAccessResult::Success
    }

    fn invoke(&mut self, method: i8, _: Option<Data<'_>>, world: &mut World) -> Returned {
        match method {
            1 => {
                world.effects.push(Effect::Push(self.objects.clone()));
                Ok(None)
            }
            _ => Err(ActionResult::ReadWriteDenied),
        }
    }

    fn writable(&self) -> &[i8] {
        &[2, 3]
    }
}
