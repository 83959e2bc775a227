//! Units by their code in IEC 62056-6-2, table 4.

use std::fmt;

/// A unit code. Codes we have no name for keep their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(pub u8);

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(code, _)| *code == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "unit{}", self.0),
        }
    }
}

/// Codes the project uses, with the spelling of the command line and of JSON.
const NAMES: &[(u8, &str)] = &[(13, "m3"), (255, "")];
