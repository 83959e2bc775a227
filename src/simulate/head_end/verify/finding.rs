//! What can be wrong, by name.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::simulate::head_end::stream::Stream;

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    #[serde(serialize_with = "text")]
    pub file: Arc<str>,
    pub line: u64,
}

/// One thing that is wrong. Ranges include both ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Records that are nowhere, and that the unit did not give up.
    Missing { stream: String, first: u64, last: u64, why: String },
    /// Records whose content is not what the unit sealed, or contradicts itself.
    Altered { stream: String, first: u64, last: u64, why: String, place: Option<Place> },
    /// A batch that came after a later one.
    Overtaken { stream: String, first: u64, last: u64, place: Place },
    /// A message on another one's topic.
    Misplaced { place: Place, why: String },
    /// A checkpoint that the unit did not sign.
    Checkpoint { dcu: String, place: Place, why: String },
    /// A line that says nothing.
    Unreadable { place: Place, why: String },
}

impl Finding {
    pub(super) fn missing(stream: &Stream, first: u64, last: u64, why: impl Into<String>) -> Self {
        Self::Missing { stream: stream.to_string(), first, last, why: why.into() }
    }

    pub(super) fn altered(
        stream: &Stream,
        first: u64,
        last: u64,
        why: impl Into<String>,
        place: Option<Place>,
    ) -> Self {
        Self::Altered { stream: stream.to_string(), first, last, why: why.into(), place }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { stream, first, last, why } => {
                write!(f, "missing: {stream} records {first} to {last}: {why}")
            }
            Self::Altered { stream, first, last, why, place } => {
                write!(f, "altered: {stream} records {first} to {last}: {why}")?;
                place.as_ref().map_or(Ok(()), |place| write!(f, " ({place})"))
            }
            Self::Overtaken { stream, first, last, place } => {
                write!(f, "reordered: {stream} records {first} to {last} came after later ones ({place})")
            }
            Self::Misplaced { place, why } => write!(f, "misplaced: {why} ({place})"),
            Self::Checkpoint { dcu, place, why } => write!(f, "checkpoint: {dcu}: {why} ({place})"),
            Self::Unreadable { place, why } => write!(f, "unreadable: {why} ({place})"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.file, self.line)
    }
}

fn text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
