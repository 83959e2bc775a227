//! The buffer of a profile: by range, or all of it where a meter does not select. Meters differ in what they take for a
//! range, and those without block transfer have no room for many rows; each shows it by refusing.

use std::sync::atomic::{AtomicU8, Ordering};

use dlms::apdu::{Attribute, CaptureObject, RangeDescriptor, Selection};
use dlms::data::Items;
use dlms::spec::Conformance;
use dlms::{Data, DateTime};

use super::Trouble;
use super::rows::ROWS_MAX;
use crate::task::electricity::{Session, SessionError};

/// The rows between two moments, by the clock that is captured.
pub(super) struct Range {
    pub(super) clock: CaptureObject,
    pub(super) from: DateTime,
    pub(super) to: DateTime,
}

/// What of a buffer was read, encoded.
pub(super) enum Part {
    Selected(Vec<u8>),
    /// All of it: the meter does not select.
    Whole(Vec<u8>),
    /// Nothing: the meter may have no room for so many rows.
    TooMany,
}

/// What a meter takes for the ends of a range, as far as it has shown.
#[derive(Debug, Default)]
pub(super) struct Ends(AtomicU8);

/// The ends of a range as the standard has them, and as some meters insist on.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Form {
    Octets = 1,
    DateTime = 2,
}

impl Range {
    /// The ends as octets, which a selection borrows.
    pub(super) fn octets(&self) -> [Vec<u8>; 2] {
        [self.from.octets(), self.to.octets()]
    }

    pub(super) fn selection<'a>(&self, form: Form, [from, to]: &'a [Vec<u8>; 2]) -> Selection<'a> {
        let (from_value, to_value) = match form {
            Form::Octets => (Data::OctetString(from), Data::OctetString(to)),
            Form::DateTime => (Data::DateTime(self.from), Data::DateTime(self.to)),
        };
        Selection::Range(RangeDescriptor {
            restricting_object: self.clock,
            from_value,
            to_value,
            selected_values: Items::EMPTY,
        })
    }
}

impl Ends {
    /// What the meter has taken; None: that is not known yet.
    pub(super) fn shown(&self) -> Option<Form> {
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN => None,
            it if it == Form::DateTime as u8 => Some(Form::DateTime),
            _ => Some(Form::Octets),
        }
    }

    fn learn(&self, shown: u8) {
        self.0.store(shown, Ordering::Relaxed);
    }
}

/// The rows of `range` from the buffer `profile`. `is_single`: there is no smaller range to ask for.
pub(super) async fn read(
    session: &mut Session,
    ends: &Ends,
    profile: Attribute,
    range: &Range,
    is_single: bool,
) -> Result<Part, Trouble> {
    let conformance = session.client().association().conformance;
    let mut why = "the meter has no selective access for this client".to_owned();
    if conformance.has(Conformance::SELECTIVE_ACCESS) {
        let octets = range.octets();
        let forms = ends.shown().map_or(vec![Form::Octets, Form::DateTime], |shown| vec![shown]);
        for form in forms {
            match session.get(profile, Some(range.selection(form, &octets))).await {
                // Who does not know the association any more refuses everything.
                Err(SessionError::Failed(refused)) if session.is_answered() && refused.cause.is_unselective() => {
                    why = refused.to_string()
                }
                answer => {
                    let rows = answer?;
                    ends.learn(form as u8);
                    return Ok(Part::Selected(rows));
                }
            }
        }
        if !is_single && conformance.common(Conformance::BLOCKS_OF_ANSWERS) == Conformance(0) {
            return Ok(Part::TooMany);
        }
    }
    // Who does not say how many rows there are is not asked for them all.
    let entries = session.get(Attribute { attribute: 7, ..profile }, None).await;
    let entries = entries.ok().and_then(|octets| Data::parse_all(&octets).ok()?.number::<usize>().ok());
    let whole = match entries {
        Some(0..=ROWS_MAX) => session.get(profile, None).await.map_err(Trouble::from),
        Some(entries) => Err(Trouble::refused(format!("{why}; the whole profile has {entries} rows"))),
        None => Err(Trouble::refused(why)),
    };
    // What did not help is not tried each time, and what does not go on is not held fast.
    ends.learn(if whole.is_ok() { Form::Octets as u8 } else { UNKNOWN });
    whole.map(Part::Whole)
}

const UNKNOWN: u8 = 0;
