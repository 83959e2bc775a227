//! The outage of the broker that was asked for: once, in the middle of the run.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    /// None was asked for, or it is over.
    Over,
    /// It lasts that long.
    ToCome(Duration),
    Until(Instant),
}

impl Outage {
    pub(super) fn new(lasts: Option<Duration>) -> Self {
        lasts.map_or(Self::Over, Self::ToCome)
    }

    /// Time goes by. Whether the line is down from now on; None where nothing changes.
    pub(super) fn pass(&mut self, is_half: bool, now: Instant) -> Option<bool> {
        match *self {
            Self::ToCome(lasts) if is_half => {
                *self = Self::Until(now + lasts);
                Some(true)
            }
            Self::Until(end) if now >= end => {
                *self = Self::Over;
                Some(false)
            }
            _ => None,
        }
    }

    pub(super) fn is_over(self) -> bool {
        self == Self::Over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn it_comes_once_in_the_middle() {
        let now = Instant::now();
        let mut outage = Outage::new(Some(Duration::from_secs(10)));
        assert_eq!(outage.pass(false, now), None);
        assert_eq!((outage.pass(true, now), outage.is_over()), (Some(true), false));
        assert_eq!(outage.pass(true, now + Duration::from_secs(9)), None);
        assert_eq!((outage.pass(true, now + Duration::from_secs(10)), outage.is_over()), (Some(false), true));
        assert_eq!(outage.pass(true, now + Duration::from_secs(11)), None);
        assert!(Outage::new(None).is_over());
    }
}
