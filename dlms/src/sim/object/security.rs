//! Class 64.

use super::{Object, Returned, value};
use crate::Data;
use crate::apdu::Selection;
use crate::cosem::{KeyKind, class};
use crate::security::{Secret, Suite, SystemTitle, unwrap_key};
use crate::sim::{Effect, World};
use crate::spec::{ActionResult, DataAccessResult};

#[derive(Debug, Clone)]
pub struct SecuritySetup {
    pub policy: u8,
    pub suite: Suite,
    pub client_title: Option<SystemTitle>,
    pub server_title: SystemTitle,
    pub master: Secret,
}

impl SecuritySetup {
    fn key_transfer(&self, parameter: Data<'_>, world: &mut World) -> Returned {
        let keys = parameter.array().map_err(|_| ActionResult::TypeUnmatched)?;
        let mut all = Vec::new();
        for key in keys {
            let [kind, wrapped] = key.fields("a key").map_err(|_| ActionResult::TypeUnmatched)?;
            let kind = KeyKind::from(kind.number::<u8>().map_err(|_| ActionResult::TypeUnmatched)?);
            let wrapped = wrapped.octet_string().map_err(|_| ActionResult::TypeUnmatched)?;
            let key = unwrap_key(self.master.octets(), wrapped).map_err(|_| ActionResult::OtherReason)?;
            if key.len() != self.suite.key_length() {
                return Err(ActionResult::OtherReason);
            }
            all.push((kind, Secret::new(&key)));
        }
        world.effects.push(Effect::Keys(all));
        Ok(None)
    }
}

impl Object for SecuritySetup {
    fn class_id(&self) -> u16 {
        class::SECURITY_SETUP
    }

    fn version(&self) -> u8 {
        1
    }

    fn get(&self, attribute: i8, _: Option<&Selection<'_>>, _: &World) -> Result<Vec<u8>, DataAccessResult> {
        match attribute {
            2 => value(Data::Enum(self.policy)),
            3 => value(Data::Enum(self.suite as u8)),
            4 => value(Data::OctetString(self.client_title.as_ref().map_or(&[], |title| title.0.as_slice()))),
            5 => value(Data::OctetString(&self.server_title.0)),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn invoke(&mut self, method: i8, parameter: Option<Data<'_>>, world: &mut World) -> Returned {
        let parameter = parameter.unwrap_or(Data::NullData);
        match method {
            // Bits are only ever added.
            1 => match parameter.number::<u8>() {
                Ok(policy) if policy & self.policy == self.policy => {
                    self.policy = policy;
                    Ok(None)
                }
                _ => Err(ActionResult::OtherReason),
            },
            2 => self.key_transfer(parameter, world),
            _ => Err(ActionResult::ReadWriteDenied),
        }
    }
}
