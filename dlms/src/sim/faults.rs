//! What goes wrong with an emulated meter. Rates are in thousandths.

use std::time::Duration;

use crate::spec::DataAccessResult;

#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// A request is not heard.
    pub lose_request: u16,
    /// An answer gets lost.
    pub lose_answer: u16,
    /// One octet of what is sent is changed.
    pub damage: u16,
    /// Garbage goes before what is sent.
    pub garbage: u16,
    /// An answer is sent twice.
    pub duplicate: u16,
    /// The answer to so many requests comes, and then none any more, until the next association.
    pub hang_after: Option<u32>,
    /// From a request to its answer.
    pub delay: Duration,
    /// Octets behind the value of a GET.
    pub trailing: Vec<u8>,
    /// A block transfer that never ends.
    pub endless_blocks: bool,
    /// Blocks although they were not negotiated.
    pub unasked_blocks: bool,
    /// A selection of rows is refused so.
    pub no_selection: Option<DataAccessResult>,
    /// The invocation counter starts anew in every association.
    pub counter_restarts: bool,
    /// Each answer has the counter of the one before.
    pub counter_stands: bool,
    /// The answer has the invoke id of another request.
    pub wrong_invoke_id: bool,
    /// AARE says the version, although it is the default.
    pub says_version: bool,
    /// The ends of a range have to be date-times, not octets.
    pub typed_ranges: bool,
    /// Nothing is sent in blocks, and an answer of more octets is refused.
    pub no_blocks: Option<usize>,
    /// No RLRE is sent.
    pub mute_release: bool,
    /// RLRE is an octet short.
    pub short_release: bool,
    /// Answers are in the clear, whatever was agreed.
    pub unprotected: bool,
    /// An association in which nothing is asked for so long is ended, and nobody is told.
    pub inactivity: Option<Duration>,
    /// Lists of attributes are refused, whatever was agreed.
    pub no_lists: bool,
    /// Who is in no association is not even refused.
    pub ignores_strangers: bool,
}
