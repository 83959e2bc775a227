//! Class 7 as a log: rows of a moment and a code, written when something happens.

use super::{Object, Returned, value};
use crate::apdu::{Attribute, CaptureObject, Selection};
use crate::cosem::class;
use crate::data::encode;
use crate::sim::World;
use crate::sim::meter::CLOCK;
use crate::spec::{ActionResult, DataAccessResult};
use crate::{Data, Obis};

#[derive(Debug, Clone)]
pub struct EventLog {
    /// The object that has the last code: 0-0:96.11.x.
    pub code: Obis,
    /// Moments, seconds since 1970 UTC, and codes; the oldest first.
    pub entries: Vec<(i64, u8)>,
}

impl EventLog {
    fn columns(&self) -> [CaptureObject; 2] {
        [(class::CLOCK, CLOCK), (class::DATA, self.code)]
            .map(|(class_id, name)| CaptureObject::new(Attribute::new(class_id, name, 2)))
    }

    fn rows(&self, world: &World, is_wanted: impl Fn(usize, i64) -> bool) -> Vec<u8> {
        let numbered = self.entries.iter().enumerate();
        let rows: Vec<_> = numbered.filter(|(place, (at, _))| is_wanted(*place, *at)).map(|(_, row)| row).collect();
        encode(|out| {
            out.array(rows.len());
            for (at, code) in rows {
                let stamp = world.clock.date_time(*at).octets();
                out.structure(2).put(Data::OctetString(&stamp)).put(Data::Unsigned(*code));
            }
        })
    }
}

impl Object for EventLog {
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
            (2, None) => Ok(self.rows(world, |_, _| true)),
            (2, Some(Selection::Range(range))) if range.restricting_object == self.columns()[0] => {
                let moment = |data: Data<'_>| data.date_time().ok().and_then(|time| world.clock.moment(&time));
                let from = moment(range.from_value).ok_or(DataAccessResult::TypeUnmatched)?;
                let to = moment(range.to_value).ok_or(DataAccessResult::TypeUnmatched)?;
                Ok(self.rows(world, |_, at| (from..=to).contains(&at)))
            }
            (2, Some(Selection::Entries(rows))) => {
                let (from, to) = (rows.from_entry as usize, rows.to_entry as usize);
                Ok(self.rows(world, |place, _| place + 1 >= from && (to == 0 || place < to)))
            }
            (2, Some(_)) => Err(DataAccessResult::ScopeOfAccessViolated),
            (3, _) => Ok(encode(|out| {
                out.array(2);
                self.columns().iter().for_each(|column| column.write(out));
            })),
            (4, _) => value(Data::DoubleLongUnsigned(0)),
            (5, _) => value(Data::Enum(1)),
            (6, _) => Ok(encode(|out| self.columns()[0].write(out))),
            (7, _) => value(Data::DoubleLongUnsigned(self.entries.len() as u32)),
            (8, _) => value(Data::DoubleLongUnsigned(1_000)),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn invoke(&mut self, method: i8, _: Option<Data<'_>>, world: &mut World) -> Returned {
        match method {
            1 => {
                // IDIS: that the log was cleared is what stands in it then.
                self.entries = vec![(world.unix(), 255)];
                Ok(None)
            }
            _ => Err(ActionResult::ReadWriteDenied),
        }
    }
}
