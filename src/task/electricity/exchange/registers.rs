//! What registers say now.

use dlms::Data;
use dlms::apdu::{Attribute, CaptureObject};
use dlms::client::{Cause, Failure};
use dlms::cosem::{ScalerUnit, class};

use super::behind::channel;
use super::{Job, Outcome, Trouble};
use crate::reading::{Interval, Obis};
use crate::schedule::End;
use crate::task::electricity::{Session, SessionError};

impl Job {
    /// Scaler and unit of an attribute's object; None where it has none, or does not tell.
    pub(super) async fn scaler_unit(
        &self,
        object: &CaptureObject,
        session: &mut Session,
    ) -> Result<Option<ScalerUnit>, Trouble> {
        let Attribute { class_id, logical_name, attribute } = object.attribute;
        let number = match (class_id, attribute) {
            (class::REGISTER | class::EXTENDED_REGISTER, 2) => 3,
            (class::DEMAND_REGISTER, 2 | 3) => 4,
            _ => return Ok(None),
        };
        match session.get(Attribute::new(class_id, logical_name, number), None).await {
            Ok(value) => Ok(Some(ScalerUnit::try_from(Data::parse_all(&value)?)?)),
            Err(SessionError::Failed(Failure { cause: Cause::Access(_), .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
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
        for (class_id, obis) in objects {
            // Of a switch its state; of all else the value.
            let number = if *class_id == class::DISCONNECT_CONTROL { 3 } else { 2 };
            let object = CaptureObject::new(Attribute::new(*class_id, dlms::Obis(obis.0), number));
            let value = match session.get(object.attribute, None).await {
                Ok(value) => value,
                Err(SessionError::Failed(Failure { cause: Cause::Access(why), .. })) => {
                    refused.push(format!("{obis}: {why}"));
                    continue;
                }
                Err(error) => return Err(error.into()),
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
            let scaler_unit = self.scaler_unit(&object, session).await?;
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
