//! In which hours of the day more is lost than in others: switched supplies in the evening, chargers at night.

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Noise {
    /// The share of attempts that came to nothing, by the hour; None before enough of them.
    hours: [Hour; 24],
    now: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Hour {
    loss: f64,
    count: u32,
}

impl Noise {
    /// True where it is another one.
    pub(super) fn set_hour(&mut self, hour: u8) -> bool {
        let before = std::mem::replace(&mut self.now, usize::from(hour) % 24);
        before != self.now
    }

    pub(super) fn count(&mut self, is_answered: bool) {
        let Some(hour) = self.hours.get_mut(self.now) else { return };
        hour.count = hour.count.saturating_add(1);
        // A mean at first, then one that forgets.
        let weight = (1.0 / f64::from(hour.count)).max(FORGET);
        hour.loss += weight * (f64::from(u8::from(!is_answered)) - hour.loss);
    }

    /// Much is lost in this hour, and more than in the other hours.
    pub(super) fn is_noisy(&self) -> bool {
        let known = |hour: &&Hour| hour.count >= ENOUGH;
        let Some(now) = self.hours.get(self.now).filter(known) else { return false };
        let others = self.hours.iter().enumerate().filter(|(hour, _)| *hour != self.now).map(|(_, hour)| hour);
        let (sum, count) = others.filter(known).fold((0.0, 0.0), |(sum, count), hour| (sum + hour.loss, count + 1.0));
        count > 0.0 && now.loss > NOISY && now.loss > 2.0 * sum / count
    }
}

/// A hundred attempts decide.
const FORGET: f64 = 0.01;
const ENOUGH: u32 = 50;
/// A tenth that is lost is nothing special.
const NOISY: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_in_which_more_is_lost_than_in_others_is_noisy_until_it_is_not() {
        let mut noise = Noise::default();
        let mut pass = |hour, lost_of_ten: u32, tens: u32| {
            noise.set_hour(hour);
            (0..10 * tens).for_each(|n| noise.count(n % 10 >= lost_of_ten));
            noise.is_noisy()
        };
        assert!(!pass(19, 5, 4), "too few to know");
        assert!(!pass(19, 5, 10), "nothing to compare with");
        assert!(!pass(3, 1, 10));
        assert!(pass(19, 5, 1));
        assert!(!pass(3, 1, 1));
        assert!(!pass(19, 0, 60));
    }
}
