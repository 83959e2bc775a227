//! Reads that somebody waits for, of which each is one exchange within an association that is open: how long they took,
//! by how many hops the answer came.

use plc::sim::net::Micros;

use crate::drive::Done;

#[derive(Debug, Default)]
pub(crate) struct OnDemand {
    answered: Vec<Done>,
    /// When those were asked that were not answered when all was over, and when that was.
    open: Vec<(Micros, Micros)>,
}

impl OnDemand {
    pub(crate) fn answered(&mut self, done: Done) {
        self.answered.push(done);
    }

    /// When those were asked who have not answered: those times were none, and are told apart.
    pub(crate) fn ended(&mut self, open: impl Iterator<Item = Micros>, now: Micros) {
        self.open.extend(open.map(|asked| (asked, now)));
    }

    /// Of those that were asked up to then.
    pub(crate) fn asked_by(&self, until: Micros) -> Self {
        let answered = self.answered.iter().filter(|done| done.asked <= until);
        let open = self.open.iter().filter(|(asked, _)| *asked <= until);
        Self { answered: answered.copied().collect(), open: open.copied().collect() }
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.answered.extend(other.answered);
        self.open.extend(other.open);
    }

    /// Seconds within which half and 95 % of those were answered whose answer came by so many hops.
    pub(crate) fn within(&self, hops: impl Fn(u8) -> bool) -> (f64, f64, usize) {
        let meant = self.answered.iter().filter(|done| hops(done.hops));
        let mut times: Vec<Micros> = meant.map(|done| done.at - done.asked).collect();
        times.sort_unstable();
        let at = |share: f64| match times.len() {
            0 => f64::NAN,
            count => crate::nth(&times, count as f64 * share) / 1e6,
        };
        (at(0.5), at(0.95), times.len())
    }

    pub(crate) fn of_all(&self) -> (f64, f64) {
        let (half, most, _) = self.within(|_| true);
        (half, most)
    }
}

impl std::fmt::Display for OnDemand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let near = |hops: u8| hops <= 3;
        let parts = [
            ("of all", self.within(|_| true)),
            ("by up to 3 hops", self.within(near)),
            ("by more", self.within(|hops| !near(hops))),
        ];
        for (name, (half, most, count)) in parts {
            write!(f, "{name} {half:.1} {most:.1} ({count}), ")?;
        }
        let longest = self.open.iter().map(|(asked, now)| now - asked).max().map_or(0.0, |waited| waited as f64 / 1e6);
        write!(f, "not answered yet {}, for {longest:.0} s at most", self.open.len())
    }
}

#[test]
fn times_are_told_by_hops_and_what_is_open_is_no_time() {
    let mut all = OnDemand::default();
    let second = 1_000_000;
    for (hops, took) in [(1, 1), (2, 2), (3, 3), (4, 40), (5, 50)] {
        let asked = took * second;
        all.answered(Done { node: 1, priority: plc::poll::Priority::OnDemand, asked, at: asked + took * second, hops });
    }
    all.ended([3 * second].into_iter(), 63 * second);
    assert_eq!(all.within(|hops| hops <= 3), (2.0, 3.0, 3));
    assert_eq!(all.of_all(), (3.0, 50.0));
    let told =
        "of all 3.0 50.0 (5), by up to 3 hops 2.0 3.0 (3), by more 40.0 50.0 (2), not answered yet 1, for 60 s at most";
    assert_eq!(all.to_string(), told);
    assert_eq!(all.asked_by(40 * second).of_all(), (2.0, 40.0));
}
