//! The share of each hour that a radio may send.

use super::message::NodeNo;
use super::phy::{Medium, Micros};

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Duty {
    /// Airtime that may still be used.
    credit: i64,
    credited: Micros,
}

impl Duty {
    /// A hundredth, the coordinator a tenth; the power line knows no limit.
    pub(super) fn may_send(&mut self, medium: Medium, node: NodeNo, length: Micros, now: Micros) -> bool {
        if medium == Medium::Plc {
            return true;
        }
        let share = if node == 0 { 10 } else { 100 };
        let most = HOUR / share;
        let earned = i64::try_from((now - self.credited) / share.unsigned_abs()).unwrap_or(i64::MAX);
        self.credit = if self.credited == 0 { most } else { self.credit.saturating_add(earned).min(most) };
        self.credited = now.max(1);
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let may = self.credit >= length;
        if may {
            self.credit -= length;
        }
        may
    }
}

const HOUR: i64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_radio_keeps_to_its_share_of_the_hour() {
        let second = 1_000_000;
        let sends = |node| {
            let mut duty = Duty::default();
            (0..400).filter(|number| duty.may_send(Medium::Rf, node, second, number * second)).count()
        };
        // 36 s of credit and 4 s that are earned meanwhile; the coordinator has ten times as much.
        assert_eq!((sends(1), sends(0)), (39, 399));
        let mut duty = Duty::default();
        assert!((0..400).all(|number| duty.may_send(Medium::Plc, 1, second, number * second)));
    }
}
