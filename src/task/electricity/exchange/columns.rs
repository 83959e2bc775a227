//! What the rows of a profile mean: its columns and its period. They are asked for in each association, as a change gives
//! every row another meaning; where each exchange costs airtime, with the rows in one request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dlms::apdu::{Attribute, CaptureObject, Selected};
use dlms::cosem::{self, class};
use dlms::spec::{Conformance, DataAccessResult};
use dlms::{Data, Reject};

use super::{Job, Layout, Trouble};
use crate::reading::from_cosem::{Column, fingerprint};
use crate::task::electricity::{Session, SessionError};

/// An attribute, or why it is not told.
type Told = Result<Vec<u8>, DataAccessResult>;

impl Layout {
    /// By what rows are selected; None: the profile captures no clock.
    pub(super) fn clock(&self) -> Option<CaptureObject> {
        let is_clock = |column: &&Column| column.object.attribute.class_id == class::CLOCK;
        self.columns.iter().find(is_clock).map(|column| column.object)
    }
}

impl Job {
    /// The columns of the profile whose buffer this is and what their values are; and all rows that are wanted, encoded,
    /// where they came with them.
    pub(super) async fn layout(
        &self,
        session: &mut Session,
        buffer: Attribute,
        before: Option<Arc<Layout>>,
    ) -> Result<(Arc<Layout>, Option<Vec<u8>>), Trouble> {
        let of = |attribute| Attribute { attribute, ..buffer };
        let together = match before.as_deref() {
            Some(before) => self.with_rows(session, buffer, before).await?,
            None => None,
        };
        let ([objects, period], rows) = match together {
            Some((told, rows)) => (told, Some(rows)),
            None => {
                let told = self.several(&[of(3), of(4)], session).await?;
                (<[_; 2]>::try_from(told).map_err(|_| Reject::Mismatch("list"))?, None)
            }
        };
        let objects = objects.map_err(|why| Trouble::refused(format!("get {}: {why}", of(3))))?;
        let objects = cosem::capture_objects(Data::parse_all(&objects)?)?;
        // A meter that does not say its period leaves no clock out.
        let period = period.map_or(Ok(0), |period| Data::parse_all(&period)?.number())?;
        let fingerprint = fingerprint(&objects, period);
        if let Some(before) = before.filter(|before| before.fingerprint == fingerprint) {
            return Ok((before, rows));
        }
        let units = self.scaler_units(&objects, session).await?;
        let columns =
            objects.into_iter().zip(units).map(|(object, scaler_unit)| Column { object, scaler_unit }).collect();
        // Rows that came along were selected by what was the clock before.
        Ok((Arc::new(Layout { fingerprint, columns, period }), None))
    }

    /// Columns, period and rows with one request. None: the meter takes no such request, or has not shown yet what it takes
    /// for a range, or has no room for an answer that long.
    async fn with_rows(
        &self,
        session: &mut Session,
        buffer: Attribute,
        before: &Layout,
    ) -> Result<Option<([Told; 2], Vec<u8>)>, SessionError> {
        let conformance = session.client().association().conformance;
        let shown = &self.meter.shown;
        let is_able = conformance.has(Conformance::SELECTIVE_ACCESS)
            && conformance.common(Conformance::BLOCKS_OF_ANSWERS) != Conformance(0)
            && !shown.takes_no_lists.load(Ordering::Relaxed);
        let (Some(form), Some(clock), true) = (shown.ends.shown(), before.clock(), is_able && self.may_stay_open())
        else {
            return Ok(None);
        };
        let range = self.range(clock, &self.slots);
        let octets = range.octets();
        let rows = Selected { attribute: buffer, selection: Some(range.selection(form, &octets)) };
        let of = |attribute| Selected::all(Attribute { attribute, ..buffer });
        let told = self.list(&[of(3), of(4), rows], &shown.takes_no_rows_in_lists, session).await?;
        let Some([objects, period, rows]) = told.and_then(|told| <[Told; 3]>::try_from(told).ok()) else {
            return Ok(None);
        };
        // Why it does not tell the rows is found out where they alone are asked for.
        shown.takes_no_rows_in_lists.fetch_or(rows.is_err(), Ordering::Relaxed);
        Ok(rows.ok().map(|rows| ([objects, period], rows)))
    }
}
