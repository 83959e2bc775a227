//! Class 7.

use super::{Object, Returned, value};
use crate::Data;
use crate::apdu::{EntryDescriptor, RangeDescriptor, Selection};
use crate::cosem::class;
use crate::data::encode;
use crate::sim::{Capture, ProfileModel, World};
use crate::spec::{ActionResult, DataAccessResult};

#[derive(Debug, Clone)]
pub struct ProfileGeneric {
    pub model: ProfileModel,
}

impl ProfileGeneric {
    fn all(&self, world: &World) -> Vec<crate::sim::profile::Slot> {
        self.model.slots(&world.clock, i64::MIN, i64::MAX, world.unix())
    }

    fn by_range(&self, range: &RangeDescriptor<'_>, world: &World) -> Result<Vec<u8>, DataAccessResult> {
        let is_clock =
            |(object, capture): &(_, Capture)| *object == range.restricting_object && *capture == Capture::Clock;
        if !self.model.columns.iter().any(is_clock) {
            return Err(DataAccessResult::ScopeOfAccessViolated);
        }
        let moment = |data: Data<'_>| data.date_time().ok().and_then(|time| world.clock.moment(&time));
        let from = moment(range.from_value).ok_or(DataAccessResult::TypeUnmatched)?;
        let to = moment(range.to_value).ok_or(DataAccessResult::TypeUnmatched)?;
        let columns = self.model.columns_named(range.selected_values).ok_or(DataAccessResult::ScopeOfAccessViolated)?;
        let slots = self.model.slots(&world.clock, from, to, world.unix());
        Ok(encode(|out| self.model.write(&world.clock, &slots, &columns, out)))
    }

    fn by_entry(&self, rows: &EntryDescriptor, world: &World) -> Result<Vec<u8>, DataAccessResult> {
        let slots = self.all(world);
        let range = |from: usize, to: usize, count: usize| {
            let to = if to == 0 { count } else { to.min(count) };
            from.max(1) - 1..to
        };
        let rows_wanted = range(rows.from_entry as usize, rows.to_entry as usize, slots.len());
        let slots = slots.get(rows_wanted).unwrap_or_default();
        let count = self.model.columns.len();
        let columns = range(rows.from_selected_value.into(), rows.to_selected_value.into(), count);
        let columns: Vec<_> = columns.collect();
        Ok(encode(|out| self.model.write(&world.clock, slots, &columns, out)))
    }
}

impl Object for ProfileGeneric {
    fn class_id(&self) -> u16 {
        class::PROFILE_GENERIC
    }

    fn version(&self) -> u8 {
        1
    }

    fn get(
        &self,
        attribute: i8,
        selection: Option<&Selection<'_>>,
        world: &World,
    ) -> Result<Vec<u8>, DataAccessResult> {
        match (attribute, selection) {
            (2, None) => self.by_entry(&EntryDescriptor::rows(1, 0), world),
            (2, Some(Selection::Range(range))) => self.by_range(range, world),
            (2, Some(Selection::Entries(rows))) => self.by_entry(rows, world),
            (2, Some(Selection::Other { .. })) => Err(DataAccessResult::OtherReason),
            (3, _) => Ok(encode(|out| {
                out.array(self.model.columns.len());
                self.model.columns.iter().for_each(|(object, _)| object.write(out));
            })),
            (4, _) => value(Data::DoubleLongUnsigned(self.model.period())),
            (5, _) => value(Data::Enum(1)),
            (6, _) => Ok(encode(|out| match self.model.columns.first() {
                Some((object, _)) => object.write(out),
                None => drop(out.put(Data::NullData)),
            })),
            (7, _) => value(Data::DoubleLongUnsigned(self.all(world).len() as u32)),
            (8, _) => value(Data::DoubleLongUnsigned(self.model.entries)),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn invoke(&mut self, method: i8, _: Option<Data<'_>>, world: &mut World) -> Returned {
        match method {
            1 => {
                self.model.begin = world.unix();
                Ok(None)
            }
            2 => Ok(None),
            _ => Err(ActionResult::ReadWriteDenied),
        }
    }
}
