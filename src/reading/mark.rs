//! The position of a telegram among all of its meter's.

/// A position that must rise: the message counter, or the session number of the extended link layer with the access
/// number, as that session number counts minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub counter: u32,
    /// Where several telegrams have one number.
    pub access_number: Option<u8>,
}

impl Mark {
    pub fn is_after(self, other: Self) -> bool {
        match (self.access_number, other.access_number) {
            // Within one session number the access number goes round.
            (Some(new), Some(old)) if self.counter == other.counter => (1..128).contains(&new.wrapping_sub(old)),
            _ => self.counter > other.counter,
        }
    }
}
