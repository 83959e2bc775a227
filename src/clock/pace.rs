//! A clock that goes faster than the kernel's: in a simulation a day passes in half a minute.

use std::fmt;
use std::str::FromStr;

/// From `real_ms` on, when it said `start_ms`, the clock goes `speed` times as fast. Milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub real_ms: i64,
    pub start_ms: i64,
    pub speed: u32,
    /// Deadlines of mesh networks pass as quickly.
    pub has_mesh: bool,
}

/// What is no pace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not REAL_MS,START_MS,SPEED, with mesh behind it or not")]
pub struct NotPace(String);

impl Pace {
    /// What the clock says when the kernel's says `real_ms`.
    pub fn at(&self, real_ms: i64) -> i64 {
        let passed = real_ms.saturating_sub(self.real_ms).saturating_mul(i64::from(self.speed));
        self.start_ms.saturating_add(passed)
    }
}

impl FromStr for Pace {
    type Err = NotPace;

    fn from_str(text: &str) -> Result<Self, NotPace> {
        let (numbers, has_mesh) = text.strip_suffix(MESH).map_or((text, false), |numbers| (numbers, true));
        let parsed: Vec<i64> = numbers.split(',').map_while(|number| number.parse().ok()).collect();
        match *parsed.as_slice() {
            [real_ms, start_ms, speed] if numbers.matches(',').count() == 2 => match u32::try_from(speed) {
                Ok(speed @ 1..) => Ok(Self { real_ms, start_ms, speed, has_mesh }),
                _ => Err(NotPace(text.to_owned())),
            },
            _ => Err(NotPace(text.to_owned())),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mesh = if self.has_mesh { MESH } else { "" };
        write!(f, "{},{},{}{mesh}", self.real_ms, self.start_ms, self.speed)
    }
}

const MESH: &str = ",mesh";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_passes_in_half_a_minute() {
        let pace: Pace = "1000,86400000,2880".parse().unwrap();
        assert_eq!((pace.at(1_000), pace.at(31_000)), (86_400_000, 2 * 86_400_000));
        assert_eq!(pace.to_string().parse(), Ok(pace));
        let mesh: Pace = "1000,86400000,2880,mesh".parse().unwrap();
        assert_eq!((mesh.to_string().parse(), mesh.has_mesh, pace.has_mesh), (Ok(mesh), true, false));
        for text in ["", "1,2", "1,2,mesh", "1,2,3,mesh,mesh", "1,2,3,4", "1,2,0", "a,2,3", "1,2,-1"] {
            assert!(text.parse::<Pace>().is_err(), "{text}");
        }
    }
}
