//! The same frame heard by several receivers: held until all of them had time to tell, and handed on once, with all of
//! its links.
//!
//! Only octets are compared, so it needs no key. What comes later than the window, as a repeater's, and what has
//! another form is left to the registry, which knows the telegram again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Link;
use crate::clock::Now;

/// A frame and everybody who heard it, the best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathered {
    /// L field first.
    pub frame: Vec<u8>,
    /// What the receivers leave of the CRCs, where it is known.
    pub form: Option<wmbus::Form>,
    pub links: Vec<Link>,
    /// When it was heard first.
    pub at: Now,
}

#[derive(Debug)]
pub struct Gather {
    window: Duration,
    /// In the order in which they were heard first.
    held: VecDeque<Gathered>,
}

impl Gather {
    /// With one receiver there is nothing to wait for, and the window is zero.
    pub fn new(window: Duration) -> Self {
        Self { window, held: VecDeque::new() }
    }

    /// Takes a frame that one receiver heard. A receiver that hears it twice hears two.
    pub fn offer(&mut self, frame: Vec<u8>, form: Option<wmbus::Form>, link: Link, at: Now) {
        let is_same = |held: &&mut Gathered| {
            held.frame == frame
                && (held.form == form || held.form.is_none() || form.is_none())
                && held.links.iter().all(|known| known.receiver != link.receiver)
        };
        match self.held.iter_mut().find(is_same) {
            Some(held) => {
                held.form = held.form.or(form);
                let place = held.links.partition_point(|known| known.rssi_dbm >= link.rssi_dbm);
                held.links.insert(place, link);
            }
            None => self.held.push_back(Gathered { frame, form, links: vec![link], at }),
        }
    }

    /// The next frame whose time is over; with `is_last`, whose ever.
    pub fn poll(&mut self, now: Instant, is_last: bool) -> Option<Gathered> {
        let due = self.poll_timeout()?;
        let is_full = self.held.len() > HELD_MAX;
        if due <= now || is_full || is_last { self.held.pop_front() } else { None }
    }

    /// When `poll` will have something.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held.front().map(|held| held.at.mono + self.window)
    }
}

/// More are not held back, however short the time.
const HELD_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::TimeQuality;

    const WINDOW: Duration = Duration::from_millis(500);

    /// A gatherer and a clock that the test moves.
    struct Bench {
        gather: Gather,
        now: Now,
    }

    impl Bench {
        #[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
        fn new(window: Duration) -> Self {
            let quality = TimeQuality::Unsynchronised;
            let now = Now { mono: Instant::now(), boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality };
            Self { gather: Gather::new(window), now }
        }

        fn pass(&mut self, ms: u64) {
            self.now.mono += Duration::from_millis(ms);
            self.now.boot_ms += ms;
        }

        fn hear(&mut self, frame: &[u8], receiver: &str, rssi_dbm: Option<i16>) {
            let link = Link { receiver: receiver.into(), rssi_dbm, lqi: None };
            self.gather.offer(frame.to_vec(), Some(wmbus::Form::Stripped), link, self.now);
        }

        /// Frames that are handed on now, each with who heard it.
        fn take(&mut self) -> Vec<String> {
            std::iter::from_fn(|| self.gather.poll(self.now.mono, false))
                .map(|gathered| {
                    let links: Vec<_> = gathered.links.iter().map(|link| link.receiver.to_string()).collect();
                    format!("{:02x?} {} at {}", gathered.frame, links.join(" "), gathered.at.boot_ms)
                })
                .collect()
        }
    }

    #[test]
    fn with_one_receiver_nothing_waits() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.hear(&[1], "a", None);
        assert_eq!(bench.take(), ["[01] a at 0"]);
    }

    #[test]
    fn a_frame_is_handed_on_once_with_the_best_link_first() {
        let mut bench = Bench::new(WINDOW);
        bench.hear(&[1], "a", Some(-90));
        bench.pass(100);
        bench.hear(&[2], "a", Some(-90));
        bench.hear(&[1], "b", Some(-60));
        bench.hear(&[1], "c", None);
        bench.hear(&[1], "d", Some(-70));
        assert_eq!(bench.take(), [""; 0]);
        bench.pass(400);
        assert_eq!(bench.take(), ["[01] b d a c at 0"]);
        bench.pass(100);
        assert_eq!(bench.take(), ["[02] a at 100"]);
        assert_eq!(bench.gather.poll_timeout(), None);
    }

    #[test]
    fn who_does_not_know_the_form_hears_the_same() {
        use wmbus::Form;
        let join = |forms: [Option<Form>; 2]| {
            let mut bench = Bench::new(WINDOW);
            for (receiver, form) in ["a", "b"].into_iter().zip(forms) {
                let link = Link { receiver: receiver.into(), rssi_dbm: None, lqi: None };
                bench.gather.offer(vec![1], form, link, bench.now);
            }
            std::iter::from_fn(|| bench.gather.poll(bench.now.mono, true)).map(|held| held.form).collect::<Vec<_>>()
        };
        let (line, port) = (None, Some(Form::Stripped));
        assert_eq!(join([line, port]), [port]);
        assert_eq!(join([port, line]), [port]);
        assert_eq!(join([port, Some(Form::FormatA)]), [port, Some(Form::FormatA)]);
    }

    #[test]
    fn what_one_receiver_hears_twice_is_two() {
        let mut bench = Bench::new(WINDOW);
        bench.hear(&[1], "a", None);
        bench.hear(&[1], "a", None);
        bench.hear(&[1], "b", None);
        bench.hear(&[1], "b", None);
        bench.pass(500);
        assert_eq!(bench.take(), ["[01] a b at 0", "[01] a b at 0"]);
    }

    #[test]
    fn what_is_held_is_bounded_and_all_of_it_leaves_at_the_end() {
        let mut bench = Bench::new(WINDOW);
        for number in 0..2_000_u32 {
            bench.hear(&number.to_be_bytes(), "a", None);
            while bench.gather.poll(bench.now.mono, false).is_some() {}
            assert!(bench.gather.held.len() <= HELD_MAX);
        }
        let left = std::iter::from_fn(|| bench.gather.poll(bench.now.mono, true)).count();
        assert_eq!(left, HELD_MAX);
    }
}
