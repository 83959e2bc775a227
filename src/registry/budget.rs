//! The link budget of one meter at one receiver, day by day.

use std::collections::VecDeque;

/// What was heard on the last days, oldest first.
#[derive(Debug, Clone, Default)]
pub struct LinkBudget {
    days: VecDeque<Day>,
}

/// One day of 24 hours, by the clock of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Days since the boot.
    pub day: u32,
    pub telegrams: u32,
    /// Of them, those with a signal strength.
    measured: u32,
    sum_dbm: i32,
    weakest_dbm: i8,
    strongest_dbm: i8,
}

impl LinkBudget {
    pub(super) fn hear(&mut self, boot_ms: u64, rssi_dbm: Option<i16>) {
        let day = u32::try_from(boot_ms / DAY_MS).unwrap_or(u32::MAX);
        if self.days.back().is_none_or(|last| last.day != day) {
            if self.days.len() >= DAYS {
                self.days.pop_front();
            }
            self.days.push_back(Day { day, telegrams: 0, measured: 0, sum_dbm: 0, weakest_dbm: 0, strongest_dbm: 0 });
        }
        let Some(today) = self.days.back_mut() else { return };
        today.telegrams = today.telegrams.saturating_add(1);
        let Some(rssi) = rssi_dbm.map(|rssi| rssi.clamp(i8::MIN.into(), i8::MAX.into()) as i8) else { return };
        let is_first = today.measured == 0;
        today.measured = today.measured.saturating_add(1);
        today.sum_dbm = today.sum_dbm.saturating_add(rssi.into());
        today.weakest_dbm = if is_first { rssi } else { today.weakest_dbm.min(rssi) };
        today.strongest_dbm = if is_first { rssi } else { today.strongest_dbm.max(rssi) };
    }

    pub fn days(&self) -> impl Iterator<Item = &Day> {
        self.days.iter()
    }
}

impl Day {
    /// Weakest, mean and strongest signal; None where no telegram had one.
    pub fn rssi_dbm(&self) -> Option<[i8; 3]> {
        let measured = i32::try_from(self.measured).ok().filter(|count| *count > 0)?;
        // A mean lies between the two others.
        Some([self.weakest_dbm, (self.sum_dbm / measured) as i8, self.strongest_dbm])
    }
}

const DAY_MS: u64 = 24 * 3_600_000;
const DAYS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_kept_day_by_day() {
        let mut budget = LinkBudget::default();
        for day in 0..10 {
            budget.hear(day * DAY_MS + 5, Some(-60 - day as i16));
            budget.hear(day * DAY_MS + 9, Some(-80));
            budget.hear(day * DAY_MS + 9, None);
        }
        let days: Vec<_> = budget.days().map(|day| (day.day, day.telegrams, day.rssi_dbm())).collect();
        assert_eq!(days.len(), DAYS);
        assert_eq!(days[0], (3, 3, Some([-80, -71, -63])));
        assert_eq!(days[6], (9, 3, Some([-80, -74, -69])));
        let mut deaf = LinkBudget::default();
        deaf.hear(0, None);
        assert_eq!(deaf.days().next().unwrap().rssi_dbm(), None);
        deaf.hear(0, Some(-300));
        assert_eq!(deaf.days().next().unwrap().rssi_dbm(), Some([-128; 3]));
    }
}
