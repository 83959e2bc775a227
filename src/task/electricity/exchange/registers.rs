//! What registers say now.

use dlms::apdu::{Attribute, CaptureObject};
use dlms::client::{Cause, Failure};
use dlms::cosem::{ScalerUnit, class};
use dlms::{Data, Reject};

use super::behind::channel;
use super::{Job, Outcome, Trouble};
use crate::reading::{Interval, Obis};
use crate::schedule::End;
use crate::task::electricity::{Session, SessionError};

impl Job {
    /// Scaler and unit of each object's attribute; None where it has none, or does not tell.
    pub(super) async fn scaler_units(
        &self,
        objects: &[CaptureObject],
        session: &mut Session,
    ) -> Result<Vec<Option<ScalerUnit>>, Trouble> {
        let wanted: Vec<_> = objects.iter().filter_map(unit_of).collect();
        let mut told = self.several(&wanted, session).await?.into_iter();
        let unit = |object| match unit_of(object).and_then(|_| told.next()) {
            Some(Ok(value)) => Ok(Some(ScalerUnit::try_from(Data::parse_all(&value)?)?)),
            Some(Err(_)) | None => Ok(None),
        };
        objects.iter().map(unit).collect()
    }

    /// What registers say now.
    pub(super) async fn registers(
        &self,
        objects: &[(u16, Obis)],
        session: &mut Session,
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        let now = match self.clock_of(session).await {
            Err(trouble) if !session.is_answered() => return Err(trouble),
            now => now.ok(),
        };
        let slot = *self.slots.end();
        let interval = Some(Interval { end_utc: self.grid.end(slot), length_s: 0 });
        let (mut readings, mut refused, mut units) = (Vec::new(), Vec::new(), Vec::new());
        let wanted: Vec<_> = objects.iter().map(|(class_id, obis)| value_of(*class_id, *obis)).collect();
        let all: Vec<_> =
            wanted.iter().flat_map(|object| [Some(object.attribute), unit_of(object)]).flatten().collect();
        let mut told = self.several(&all, session).await?.into_iter();
        for ((class_id, obis), object) in objects.iter().zip(wanted) {
            let (value, unit) = (told.next(), unit_of(&object).and_then(|_| told.next()));
            let value = match value.ok_or(Reject::Mismatch("list"))? {
                Ok(value) => value,
                Err(why) => {
                    refused.push(format!("{obis}: {why}"));
                    continue;
                }
            };
            let context = match self.context_of(*obis, session, outcome).await {
                Ok(context) => context,
                // That one channel is empty keeps no other register.
                Err(trouble) if trouble.end == End::Refused => {
                    refused.push(format!("{obis}: {}", trouble.detail));
                    continue;
                }
                Err(trouble) => return Err(trouble),
            };
            let scaler_unit = match unit {
                Some(Ok(unit)) => Some(ScalerUnit::try_from(Data::parse_all(&unit)?)?),
                Some(Err(_)) | None => None,
            };
            // A meter behind this one was read some time ago: its register says when.
            let time = match (channel(*obis), *class_id) {
                (Some(_), class::EXTENDED_REGISTER) => self.capture_time(&object, session).await?,
                (Some(_), _) => None,
                (None, _) => now,
            };
            units.push((object.attribute, scaler_unit));
            let value = [(object, scaler_unit, Data::parse_all(&value)?)];
            readings.extend(context.registers(&value, time.as_ref(), interval));
        }
        outcome.units = units;
        let has_none = readings.is_empty();
        if !has_none {
            outcome.rows.push((slot, readings));
        }
        match refused.as_slice() {
            [] => Ok(()),
            refused if has_none => Err(Trouble::refused(refused.join(", "))),
            refused => {
                outcome.detail = Some(refused.join(", "));
                Ok(())
            }
        }
    }

    /// When the value of an extended register came in; None where it does not tell.
    async fn capture_time(
        &self,
        object: &CaptureObject,
        session: &mut Session,
    ) -> Result<Option<dlms::DateTime>, Trouble> {
        match session.get(Attribute { attribute: 5, ..object.attribute }, None).await {
            Ok(value) => Ok(Data::parse_all(&value)?.date_time().ok()),
            Err(SessionError::Failed(Failure { cause: Cause::Access(_), .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What of an object is read: of a switch its state, of all else the value.
fn value_of(class_id: u16, obis: Obis) -> CaptureObject {
    let number = if class_id == class::DISCONNECT_CONTROL { 3 } else { 2 };
    CaptureObject::new(Attribute::new(class_id, dlms::Obis(obis.0), number))
}

/// Where scaler and unit of an object's attribute are, if it has any.
fn unit_of(object: &CaptureObject) -> Option<Attribute> {
    let Attribute { class_id, logical_name, attribute } = object.attribute;
    let number = match (class_id, attribute) {
        (class::REGISTER | class::EXTENDED_REGISTER, 2) => 3,
        (class::DEMAND_REGISTER, 2 | 3) => 4,
        _ => return None,
    };
    Some(Attribute::new(class_id, logical_name, number))
}
