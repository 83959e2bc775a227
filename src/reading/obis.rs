//! OBIS codes, IEC 62056-6-1.

use std::fmt;

/// Value groups A to F.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obis(pub [u8; 6]);

impl fmt::Display for Obis {
    /// `8-0:1.0.0*255`
    fn fmt(&self, fmt: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([a, b, c, d, e, f]) = self;
        write!(fmt, "{a}-{b}:{c}.{d}.{e}*{f}")
    }
}
