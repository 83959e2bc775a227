//! Class 8.

use super::{Object, Returned, moment, value};
use crate::apdu::Selection;
use crate::cosem::class;
use crate::sim::World;
use crate::spec::{ActionResult, DataAccessResult};
use crate::{Data, DateTime};

#[derive(Debug, Clone, Copy, Default)]
pub struct ClockObject {
    preset: Option<i64>,
}

impl Object for ClockObject {
    fn class_id(&self) -> u16 {
        class::CLOCK
    }

    fn get(&self, attribute: i8, _: Option<&Selection<'_>>, world: &World) -> Result<Vec<u8>, DataAccessResult> {
        let now = world.clock.date_time(world.unix());
        match attribute {
            2 => Ok(moment(now)),
            3 => value(Data::Long(-world.clock.zone.standard_minutes)),
            4 => value(Data::Unsigned(now.status.0)),
            5 | 6 => {
                let mut change = DateTime::UNSPECIFIED;
                change.date.month = if attribute == 5 { 3 } else { 10 };
                // The last Sunday.
                (change.date.day, change.date.day_of_week, change.time.hour) = (0xfe, 7, 2);
                Ok(moment(change))
            }
            7 => value(Data::Integer(60)),
            8 => value(Data::Boolean(world.clock.zone.has_summer_time)),
            9 => value(Data::Enum(1)),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn set(&mut self, attribute: i8, value: Data<'_>, world: &mut World) -> DataAccessResult {
        match attribute {
            2 => match value.date_time().ok().and_then(|time| world.clock.moment(&time)) {
                Some(unix) => {
                    world.clock.set(unix, world.true_ms);
                    DataAccessResult::Success
                }
                None => DataAccessResult::TypeUnmatched,
            },
            _ => DataAccessResult::ReadWriteDenied,
        }
    }

    fn invoke(&mut self, method: i8, parameter: Option<Data<'_>>, world: &mut World) -> Returned {
        let (now, true_ms) = (world.unix(), world.true_ms);
        let nearest = |step: i64| (now + step / 2).div_euclid(step) * step;
        match method {
            1 => world.clock.set(nearest(900), true_ms),
            2 => world.clock.set(nearest(900), true_ms),
            3 => world.clock.set(nearest(60), true_ms),
            4 => world.clock.set(self.preset.take().ok_or(ActionResult::TemporaryFailure)?, true_ms),
            5 => {
                let [preset, _, _] = parameter
                    .and_then(|parameter| parameter.fields("a preset time").ok())
                    .ok_or(ActionResult::TypeUnmatched)?;
                let moment = preset.date_time().ok().and_then(|time| world.clock.moment(&time));
                self.preset = Some(moment.ok_or(ActionResult::TypeUnmatched)?);
            }
            6 => {
                let shift: Option<i16> = parameter.and_then(|shift| shift.number().ok());
                // IEC 62056-6-2:2021, 5.5.1: -900 to 900 s.
                let shift = shift.filter(|shift| shift.abs() <= 900).ok_or(ActionResult::TypeUnmatched)?;
                world.clock.shift(shift.into(), true_ms);
            }
            _ => return Err(ActionResult::ReadWriteDenied),
        }
        Ok(None)
    }

    fn writable(&self) -> &[i8] {
        &[2]
    }
}
