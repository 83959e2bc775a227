//! What is done about a receiver that hears less than is expected of it, or does not answer: one step after the other,
//! each only after the one before it had its time, and none without a reason.
//!
//! Time comes in as an argument; what a step means is the driver's business.

use std::time::{Duration, Instant};

use super::traffic::Traffic;

/// How a receiver is supervised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supervision {
    /// How long an hour of the traffic's model is.
    pub hour: Duration,
    /// A silence is no reason for anything before this time.
    pub patience: Duration,
    /// A USB port may be switched off and on.
    pub may_reenumerate: bool,
}

impl Default for Supervision {
    fn default() -> Self {
        Self { hour: Duration::from_secs(3600), patience: Duration::from_secs(60), may_reenumerate: false }
    }
}

/// A step, the gentlest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Asked whether it is there and as it was set.
    Ping,
    /// Told to start anew.
    Reset,
    /// Its source closed and opened.
    Reopen,
    /// Its USB device taken from the bus and found again.
    Reenumerate,
}

impl Stage {
    /// The name in counters and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Reset => "reset",
            Self::Reopen => "reopen",
            Self::Reenumerate => "reenumerate",
        }
    }
}

#[derive(Debug)]
pub(super) struct Recovery {
    traffic: Traffic,
    patience: Duration,
    /// What can be done about this receiver, in order.
    stages: Vec<Stage>,
    /// Steps of the silence in hand.
    taken: u32,
    last: Instant,
    /// Connections in which it did not answer, since it answered last.
    mutes: u32,
    /// It has answered since the service started.
    has_answered: bool,
}

impl Recovery {
    /// `is_spoken_to`: it answers questions, and can be told to reset.
    pub(super) fn new(settings: Supervision, is_spoken_to: bool, now: Instant) -> Self {
        let mut stages = if is_spoken_to { vec![Stage::Ping, Stage::Reset] } else { Vec::new() };
        stages.push(Stage::Reopen);
        stages.extend(settings.may_reenumerate.then_some(Stage::Reenumerate));
        Self {
            traffic: Traffic::new(settings.hour, now),
            patience: settings.patience,
            stages,
            taken: 0,
            last: now,
            mutes: 0,
            has_answered: false,
        }
    }

    /// It listens.
    pub(super) fn ready(&mut self, now: Instant) {
        self.traffic.listen(true, now);
        self.mutes = 0;
        self.has_answered = true;
    }

    /// It does not listen, whyever.
    pub(super) fn lost(&mut self, now: Instant) {
        self.traffic.listen(false, now);
    }

    /// A telegram. True: it was suspected of having become deaf.
    pub(super) fn hear(&mut self, now: Instant) -> bool {
        self.traffic.hear(now);
        self.last = now;
        std::mem::take(&mut self.taken) > 0
    }

    /// It heard nothing though it should have.
    pub(super) fn is_deaf(&self) -> bool {
        self.taken > 0
    }

    /// What its traffic is like, which outlives the process.
    pub(super) fn traffic(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    /// Telegrams an hour.
    pub(super) fn expected(&self) -> Option<f64> {
        self.traffic.expected()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.taken == STEPS_MAX {
            return None;
        }
        let due = self.traffic.when_missing(self.enough())?;
        // What is missing is reckoned with fractions: a little later it is enough.
        Some(due.max(self.last + self.patience) + Duration::from_millis(1))
    }

    /// The next step, when it is time for one. Each waits twice as long as the one before it.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Stage> {
        let is_due = self.taken < STEPS_MAX
            && now.saturating_duration_since(self.last) >= self.patience
            && self.traffic.missing(now) >= self.enough();
        if !is_due {
            return None;
        }
        let stage = self.stage(self.taken);
        self.taken += 1;
        self.last = now;
        Some(stage)
    }

    /// It did not answer: what is to be done before and with the next attempt. One that never answered is not told to
    /// reset, it may be something else.
    pub(super) fn mute(&mut self) -> Stage {
        self.mutes = self.mutes.saturating_add(1);
        let is_time = self.mutes % REENUMERATE_EVERY == 0 && (self.mutes / REENUMERATE_EVERY).is_power_of_two();
        match self.mutes {
            1 if self.has_answered && self.stages.contains(&Stage::Reset) => Stage::Reset,
            _ if is_time && self.stages.contains(&Stage::Reenumerate) => Stage::Reenumerate,
            _ => Stage::Reopen,
        }
    }

    /// The first round has all stages, later ones do without the first.
    fn stage(&self, step: u32) -> Stage {
        let step = step as usize;
        let first = self.stages.get(step).copied();
        let later = self.stages.get(1..).filter(|later| !later.is_empty()).unwrap_or(&self.stages);
        let again = later.iter().copied().cycle().nth(step.saturating_sub(self.stages.len()));
        first.or(again).unwrap_or(Stage::Reopen)
    }

    /// So many missing telegrams are reason enough for the next step.
    fn enough(&self) -> f64 {
        MISSING * f64::from(1_u32 << self.taken.min(STEPS_MAX))
    }
}

/// If meters sent at random, so many would be missing by chance once in 160,000 times.
const MISSING: f64 = 12.0;
/// After so many steps of one silence nothing more is tried.
const STEPS_MAX: u32 = 12;
/// Every so many attempts without an answer the device is taken from the bus; then twice as many.
const REENUMERATE_EVERY: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    struct Bench {
        recovery: Recovery,
        now: Instant,
    }

    impl Bench {
        /// One that heard a telegram every ten seconds for some hours.
        #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
        fn new(is_spoken_to: bool, may_reenumerate: bool) -> Self {
            let now = Instant::now();
            let settings = Supervision { may_reenumerate, ..Supervision::default() };
            let mut bench = Self { recovery: Recovery::new(settings, is_spoken_to, now), now };
            bench.recovery.ready(now);
            for _ in 0..1_000 {
                bench.now += Duration::from_secs(10);
                bench.recovery.hear(bench.now);
            }
            bench
        }

        /// Steps of so long a silence, each with its time in seconds.
        fn silence(&mut self, lasts: Duration) -> Vec<(u64, &'static str)> {
            let begin = self.now;
            let mut steps = Vec::new();
            while let Some(due) = self.recovery.poll_timeout().filter(|due| *due <= begin + lasts) {
                assert!(due > self.now || steps.len() < 2, "it does not spin");
                self.now = self.now.max(due);
                if let Some(stage) = self.recovery.handle_timeout(self.now) {
                    steps.push(((self.now - begin).as_secs(), stage.name()));
                } else {
                    self.now += Duration::from_millis(1);
                }
            }
            self.now = begin + lasts;
            steps
        }
    }

    #[test]
    fn steps_come_one_after_the_other_and_ever_more_slowly() {
        let mut bench = Bench::new(true, true);
        let steps = bench.silence(HOUR);
        let names: Vec<_> = steps.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, ["ping", "reset", "reopen", "reenumerate", "reset"]);
        assert_eq!(steps[0].0, 120);
        assert!(steps.windows(2).all(|pair| pair[1].0 >= 2 * pair[0].0 - 1), "{steps:?}");
    }

    #[test]
    fn a_telegram_ends_the_suspicion_and_the_next_silence_begins_gently() {
        let mut bench = Bench::new(true, false);
        assert_eq!(bench.silence(Duration::from_secs(150)).len(), 1);
        assert!(bench.recovery.is_deaf());
        assert!(bench.recovery.hear(bench.now));
        assert!(!bench.recovery.is_deaf() && !bench.recovery.hear(bench.now));
        assert_eq!(bench.silence(Duration::from_secs(150))[0].1, "ping");
    }

    #[test]
    fn what_cannot_be_asked_is_only_opened_anew() {
        let steps = Bench::new(false, false).silence(HOUR);
        assert!(steps.len() > 2 && steps.iter().all(|(_, name)| *name == "reopen"), "{steps:?}");
    }

    #[test]
    fn a_silence_of_weeks_costs_a_few_steps() {
        let steps = Bench::new(true, true).silence(HOUR * 24 * 21);
        assert!(steps.len() <= STEPS_MAX as usize, "{steps:?}");
        assert_eq!(steps.iter().filter(|(_, name)| *name == "ping").count(), 1);
    }

    #[test]
    fn a_receiver_that_never_heard_much_is_left_alone() {
        let mut bench = Bench::new(true, true);
        bench.recovery = Recovery::new(Supervision::default(), true, bench.now);
        bench.recovery.ready(bench.now);
        assert_eq!(bench.silence(HOUR * 24), []);
        // One telegram an hour, and then a night without.
        for _ in 0..24 {
            bench.now += HOUR;
            bench.recovery.hear(bench.now);
        }
        assert_eq!(bench.silence(HOUR * 8), []);
    }

    #[test]
    fn one_that_does_not_answer_is_reset_then_opened_anew_and_seldom_taken_from_the_bus() {
        let mut bench = Bench::new(true, true);
        let stages: Vec<_> = (0..12).map(|_| bench.recovery.mute()).collect();
        assert_eq!(stages[0], Stage::Reset);
        let places: Vec<_> = (0..12).filter(|n| stages[*n] == Stage::Reenumerate).collect();
        assert_eq!(places, [2, 5, 11]);
        assert!((0..12).all(|n| n == 0 || places.contains(&n) || stages[n] == Stage::Reopen));
        // One that nobody ever heard of is not touched.
        let mut stranger = Recovery::new(Supervision::default(), true, bench.now);
        assert!((0..12).all(|_| stranger.mute() == Stage::Reopen));
    }
}
