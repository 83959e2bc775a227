//! The rows of a profile: by range, or all of them where a meter does not select.

use dlms::Data;
use dlms::apdu::{Attribute, Selection};
use dlms::spec::Conformance;

use super::{ROWS_MAX, Trouble};
use crate::task::electricity::{Session, SessionError};

/// The buffer `profile`, encoded: what `selection` takes of it, or the whole one.
pub(super) async fn read(
    session: &mut Session,
    profile: Attribute,
    selection: Selection<'_>,
) -> Result<Vec<u8>, Trouble> {
    let why = if session.client().association().conformance.has(Conformance::SELECTIVE_ACCESS) {
        match session.get(profile, Some(selection)).await {
            Err(SessionError::Failed(why)) if why.cause.is_unselective() => why.to_string(),
            other => return Ok(other?),
        }
    } else {
        "the meter has no selective access for this client".to_owned()
    };
    // Who does not say how many rows there are is not asked for them all.
    let entries = session.get(Attribute { attribute: 7, ..profile }, None).await;
    let entries = entries.ok().and_then(|octets| Data::parse_all(&octets).ok()?.number::<usize>().ok());
    match entries {
        Some(0..=ROWS_MAX) => Ok(session.get(profile, None).await?),
        Some(entries) => Err(Trouble::refused(format!("{why}; the whole profile has {entries} rows"))),
        None => Err(Trouble::refused(why)),
    }
}
