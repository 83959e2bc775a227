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
        let may = self.left(node, now) >= i64::try_from(length).unwrap_or(i64::MAX);
        if may {
            self.spend(medium, node, length, now);
        }
        may
    }

    /// What is sent whether there is airtime left or not: acknowledgements.
    pub(super) fn spend(&mut self, medium: Medium, node: NodeNo, length: Micros, now: Micros) {
        if medium == Medium::Rf {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            (self.credit, self.credited) = (self.left(node, now).saturating_sub(length), now.max(1));
        }
    }

    /// macDutyCycleUsageRF: percent of what may be sent that was.
    pub(super) fn usage(&self, medium: Medium, node: NodeNo, now: Micros) -> u8 {
        if medium == Medium::Plc {
            return 0;
        }
        let most = HOUR / share(node);
        (100 * (most - self.left(node, now)) / most).clamp(0, 100) as u8
    }

    fn left(&self, node: NodeNo, now: Micros) -> i64 {
        let most = HOUR / share(node);
        let earned = i64::try_from(now.saturating_sub(self.credited)).unwrap_or(i64::MAX) / share(node);
        if self.credited == 0 { most } else { self.credit.saturating_add(earned).min(most) }
    }
}

const fn share(node: NodeNo) -> i64 {
    if node == 0 { 10 } else { 100 }
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
        let used = [0, 9, 18, 36].map(|seconds| {
            duty.spend(Medium::Rf, 1, seconds * second, 0);
            duty.usage(Medium::Rf, 1, 1)
        });
        assert_eq!((used, duty.usage(Medium::Rf, 1, 3_600 * second)), ([0, 25, 75, 100], 75));
        let mut duty = Duty::default();
        assert!((0..400).all(|number| duty.may_send(Medium::Plc, 1, second, number * second)));
    }
}
