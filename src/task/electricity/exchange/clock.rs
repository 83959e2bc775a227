//! A meter's clock: how far it is off, and what is done about it. All of it is told in lane P1.

use dlms::Data;
use dlms::apdu::{Attribute, CaptureObject, Method};
use dlms::cosem::class;

use super::{Job, Outcome, Trouble};
use crate::reading::{Interval, TimeQuality};
use crate::schedule::{Correction, Discipline, Offset};
use crate::task::electricity::Session;

/// What was done about a clock, or has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::task::electricity) struct Corrected {
    /// `electricity.clock_set` and so on.
    pub(in crate::task::electricity) code: &'static str,
    pub(in crate::task::electricity) detail: String,
    /// Seconds since 1970 UTC that the clock went over, where it was moved.
    pub(in crate::task::electricity) span: Option<(i64, i64)>,
}

impl Job {
    /// How far the meter's clock is off; and sets it right, where it may.
    pub(super) async fn time(
        &self,
        discipline: Discipline,
        session: &mut Session,
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        let (time, unix, offset) = self.offset(session).await?;
        outcome.offset = Some((offset.ahead_ms, offset.uncertain_ms));
        let object = CaptureObject::new(CLOCK);
        let interval = Some(Interval { end_utc: self.grid.end(*self.slots.end()), length_s: 0 });
        let value = [(object, None, Data::DateTime(time))];
        let readings = self.context().registers(&value, Some(&time), interval);
        outcome.rows.push((*self.slots.end(), readings));
        // A clock that is not right itself corrects no other.
        if (self.clock)().quality != TimeQuality::Synchronised {
            return Ok(());
        }
        let found = format!("it was {} ms ahead, uncertain by {} ms", offset.ahead_ms, offset.uncertain_ms);
        let code = match discipline.decide(offset, unix, self.slot_seconds) {
            Correction::Leave => return Ok(()),
            Correction::Alarm => {
                let detail = format!("{found}: too far to be corrected");
                outcome.corrected = Some(Corrected { code: "electricity.clock_off", detail, span: None });
                return Ok(());
            }
            Correction::Wait(why) => {
                outcome.detail = Some(format!("clock not corrected: {found}: {why}"));
                return Ok(());
            }
            Correction::Shift(seconds) => {
                session.action(SHIFT, Some(Data::Long(seconds))).await?;
                "electricity.clock_shifted"
            }
            Correction::Set => {
                // It arrives as much later as the answer to a question does.
                let unix = ((self.clock)().utc_ms + offset.uncertain_ms + 500).div_euclid(1_000);
                let octets = self.rule().written(unix).octets();
                session.set(CLOCK, Data::OctetString(&octets)).await?;
                "electricity.clock_set"
            }
        };
        let (_, unix_after, after) = self.offset(session).await?;
        outcome.offset = Some((after.ahead_ms, after.uncertain_ms));
        let span = Some((unix.min(unix_after), unix.max(unix_after)));
        let detail = format!("{found}; now it is {} ms ahead", after.ahead_ms);
        outcome.corrected = Some(Corrected { code, detail, span });
        Ok(())
    }

    /// What the clock says, in the meter's own words and in seconds since 1970 UTC, and how far that is off.
    async fn offset(&self, session: &mut Session) -> Result<(dlms::DateTime, i64, Offset), Trouble> {
        let asked = (self.clock)();
        let time = self.clock_of(session).await?;
        let answered = (self.clock)();
        let uncertain_ms = (answered.mono - asked.mono).as_millis() as i64 / 2;
        let Some(unix) = self.rule().utc(&time) else {
            return Err(Trouble::refused("its time cannot be dated: `clock` may tell the zone".to_owned()));
        };
        // Of a whole second, its middle; and the meter looked at its clock in the middle of the exchange.
        let within_ms = if time.time.hundredths == 0xff { 500 } else { i64::from(time.time.hundredths) * 10 };
        let ahead_ms = unix * 1_000 + within_ms - (answered.utc_ms - uncertain_ms);
        Ok((time, unix, Offset { ahead_ms, uncertain_ms }))
    }

    pub(super) async fn clock_of(&self, session: &mut Session) -> Result<dlms::DateTime, Trouble> {
        let time = session.get(CLOCK, None).await?;
        Ok(Data::parse_all(&time)?.date_time()?)
    }
}

const CLOCK: Attribute = Attribute::new(class::CLOCK, dlms::Obis::new(0, 0, 1, 0, 0, 255), 2);
/// `shift_time`, by seconds.
const SHIFT: Method = Method::new(class::CLOCK, dlms::Obis::new(0, 0, 1, 0, 0, 255), 6);
