//! Registers, extended and demand registers that follow a curve.

use super::{Object, Returned, moment, value};
use crate::Data;
use crate::apdu::Selection;
use crate::cosem::{ScalerUnit, class};
use crate::data::encode;
use crate::sim::{Curve, World};
use crate::spec::{ActionResult, DataAccessResult};

#[derive(Debug, Clone)]
pub struct Register {
    class_id: u16,
    curve: Curve,
    scaler_unit: ScalerUnit,
}

impl Register {
    /// Of class 3, 4 or 5.
    pub const fn new(class_id: u16, curve: Curve, scaler_unit: ScalerUnit) -> Self {
        Self { class_id, curve, scaler_unit }
    }
}

impl Object for Register {
    fn class_id(&self) -> u16 {
        self.class_id
    }

    fn get(&self, attribute: i8, _: Option<&Selection<'_>>, world: &World) -> Result<Vec<u8>, DataAccessResult> {
        let (now, is_demand) = (world.unix(), self.class_id == class::DEMAND_REGISTER);
        let quarter = now.div_euclid(900) * 900;
        let attribute = match (is_demand, attribute) {
            // What a demand register has twice, and what it has later.
            (true, 2) => return value(Data::Long64Unsigned(self.curve.at(now) - self.curve.at(quarter))),
            (true, 3) => return value(Data::Long64Unsigned(self.curve.at(quarter) - self.curve.at(quarter - 900))),
            (true, 7) => return Ok(moment(world.clock.date_time(quarter))),
            (true, 8) => return value(Data::DoubleLongUnsigned(900)),
            (true, 9) => return value(Data::LongUnsigned(1)),
            (true, attribute) => attribute - 1,
            (false, attribute) => attribute,
        };
        match attribute {
            2 => value(Data::Long64Unsigned(self.curve.at(now))),
            3 => Ok(encode(|out| self.scaler_unit.write(out))),
            4 if self.class_id != class::REGISTER => value(Data::Unsigned(0)),
            5 if self.class_id != class::REGISTER => Ok(moment(world.clock.date_time(quarter))),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn invoke(&mut self, method: i8, _: Option<Data<'_>>, world: &mut World) -> Returned {
        match method {
            1 => {
                self.curve.start = self.curve.start.wrapping_sub(self.curve.at(world.unix()));
                Ok(None)
            }
            _ => Err(ActionResult::ReadWriteDenied),
        }
    }
}
