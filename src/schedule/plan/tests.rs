//! A driver of a few lines against meters that answer, do not answer, and lose rows.

use super::*;
use crate::schedule::{Grid, Tally};

const QUARTER: i64 = 900;
/// 2026-01-15 00:00:00 UTC.
const BEGIN: i64 = 1_768_435_200;

#[expect(clippy::disallowed_methods, reason = "where the test's own clock begins")]
fn anchor() -> Instant {
    Instant::now()
}

/// The unit's clocks, `seconds` after the begin.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn at(self, seconds: i64) -> Now {
        let elapsed = u64::try_from(seconds).unwrap();
        Now {
            mono: self.0 + Duration::from_secs(elapsed),
            boot_id: [1; 16],
            boot_ms: elapsed * 1_000,
            utc_ms: (BEGIN + seconds) * 1_000,
            quality: TimeQuality::Synchronised,
        }
    }
}

fn profile() -> Task {
    Task {
        id: "profile".into(),
        grid: Grid::Every { seconds: 900 },
        reach: Reach::Back(96 * 60),
        priority: Priority::Profile,
        window: None,
        delay: 60,
        spread: 0,
        at_once: 96,
        is_sparse: false,
    }
}

fn billing() -> Task {
    Task { id: "billing".into(), grid: Grid::Every { seconds: 3_600 }, priority: Priority::Billing, ..profile() }
}

fn orders(schedule: &mut Schedule, now: Now) -> Vec<Order> {
    std::iter::from_fn(|| schedule.poll(now)).collect()
}

/// Ends every order as `answer` says: which slots come, and how it ends.
fn serve(schedule: &mut Schedule, now: Now, mut answer: impl FnMut(&Order) -> (Vec<Slot>, End)) -> usize {
    let orders = orders(schedule, now);
    for order in &orders {
        let (slots, end) = answer(order);
        if let Work::Read { task, .. } = &order.work {
            slots.into_iter().for_each(|slot| assert!(schedule.settle(order.meter, *task, slot), "{slot} was told"));
        }
        schedule.handle_done(order.ticket, end, now);
    }
    orders.len()
}

fn all(order: &Order) -> (Vec<Slot>, End) {
    match &order.work {
        Work::Read { slots, .. } => (slots.clone().collect(), End::Complete),
        Work::OnDemand(_) => (Vec::new(), End::Complete),
    }
}

#[test]
fn a_day_of_quarters_is_read_as_they_end() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[4], 3);
    let meters: Vec<MeterNo> = (0..10).map(|_| schedule.commission(0, vec![(0, None)], clock.at(0))).collect();
    let mut count = 0;
    for second in (0..86_400 + 120).step_by(30) {
        loop {
            let served = serve(&mut schedule, clock.at(second), all);
            assert!(served <= 4);
            count += served;
            if served == 0 {
                break;
            }
        }
    }
    assert_eq!(count, 10 * 96, "one exchange a quarter and meter");
    let day = schedule.completeness(0, BEGIN, BEGIN + 86_400);
    assert_eq!(day.all, Tally { expected: 960, settled: 960 });
    assert_eq!(day.reachable, day.all);
    assert!(meters.iter().all(|meter| schedule.state(*meter) == Some(MeterState::Active)));
}

#[test]
fn it_sleeps_until_a_row_may_be_there() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[4], 3);
    schedule.commission(0, vec![(0, None)], clock.at(100));
    assert_eq!(schedule.poll(clock.at(100)), None);
    assert_eq!(schedule.poll_timeout(clock.at(920)), Some(clock.at(960).mono));
    assert_eq!(schedule.poll(clock.at(959)), None);
    assert!(schedule.poll(clock.at(960)).is_some());
    // It is under way, and nothing else is due.
    assert_eq!(schedule.poll_timeout(clock.at(960)), None);
}

#[test]
fn a_log_without_entries_is_read_as_well_as_one_with_them() {
    let clock = Clock(anchor());
    let log = Task { is_sparse: true, ..billing() };
    let mut schedule = Schedule::new(vec![log], &[1], 3);
    let meter = schedule.commission(0, vec![(0, None)], clock.at(0));
    let mut asked = Vec::new();
    for second in (0..86_400).step_by(30) {
        let served = serve(&mut schedule, clock.at(second), |_| (Vec::new(), End::Complete));
        asked.extend((served > 0).then_some(second));
    }
    // When an hour ends, and once more when a meter whose clock is late has told of it too.
    assert_eq!(asked.get(..4), Some(&[3_660, 4_560, 7_260, 8_160][..]));
    let progress = schedule.progress(meter, 0).unwrap();
    assert_eq!((progress.absent(), progress.lost(), progress.watermark()), (23, 0, BEGIN / 3_600 + 24));
}

#[test]
fn rows_that_did_not_come_are_asked_for_again_until_the_meter_says_it_has_none() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[1], 3);
    let meter = schedule.commission(0, vec![(0, None)], clock.at(0));
    let first = BEGIN / QUARTER + 1;
    // Four quarters at once; it breaks off after one, then one of the others has no row.
    serve(&mut schedule, clock.at(3_700), |order| {
        assert_eq!(order.work, Work::Read { task: 0, slots: first..=first + 3 });
        (vec![first], End::Broken)
    });
    assert_eq!(schedule.poll(clock.at(3_710)), None, "not at once again");
    serve(&mut schedule, clock.at(3_800), |order| {
        assert_eq!(order.work, Work::Read { task: 0, slots: first + 1..=first + 3 });
        (vec![first + 2], End::Complete)
    });
    // The newest may come yet; the older one will not.
    assert_eq!(schedule.progress(meter, 0).map(|line| (line.absent(), line.watermark())), Some((1, first + 3)));
    serve(&mut schedule, clock.at(4_000), |order| {
        assert_eq!(order.work, Work::Read { task: 0, slots: first + 3..=first + 3 });
        (vec![first + 3], End::Complete)
    });
    assert_eq!(schedule.completeness(0, BEGIN, BEGIN + 3_600).all, Tally { expected: 4, settled: 4 });
}

#[test]
fn after_an_outage_the_newest_day_comes_first_and_every_gap_is_filled() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[1], 3);
    schedule.commission(0, vec![(0, None)], clock.at(0));
    let later = clock.at(3 * 86_400 + 60);
    let mut ends = Vec::new();
    while serve(&mut schedule, later, |order| {
        let (slots, end) = all(order);
        ends.push(slots.last().copied().unwrap() - BEGIN / QUARTER);
        (slots, end)
    }) > 0
    {}
    assert_eq!(ends, [288, 192, 96]);
}

#[test]
fn a_meter_that_does_not_answer_is_tried_more_and_more_seldom_and_at_once_when_it_is_heard() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[1], 3);
    let meter = schedule.commission(0, vec![(0, None)], clock.at(0));
    serve(&mut schedule, clock.at(960), all);
    let mut tries = Vec::new();
    let mut states = Vec::new();
    for second in (961..2 * 86_400).step_by(10) {
        if serve(&mut schedule, clock.at(second), |_| (Vec::new(), End::Unreachable)) > 0 {
            tries.push(second);
            states.push(schedule.state(meter).unwrap());
        }
    }
    assert_eq!(states[..4], [MeterState::Silent, MeterState::Silent, MeterState::Silent, MeterState::Unreachable]);
    assert!((8..=20).contains(&tries.len()), "{tries:?}");
    let gaps: Vec<i64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap <= 8 * 3_600), "{gaps:?}");
    let day = schedule.completeness(0, BEGIN, BEGIN + 86_400);
    assert_eq!((day.all, day.reachable), (Tally { expected: 96, settled: 1 }, Tally::default()));

    let now = clock.at(2 * 86_400);
    assert_eq!(schedule.poll(now), None);
    schedule.handle_alive(meter, now);
    assert_eq!(serve(&mut schedule, now, all), 1);
    assert_eq!(schedule.state(meter), Some(MeterState::Active));
}

#[test]
fn who_was_unreachable_for_days_before_a_start_is_tried_some_times_and_then_as_seldom_as_before() {
    let gaps = |state, away_s: Option<i64>, is_back: bool| {
        let clock = Clock(anchor());
        let mut schedule = Schedule::new(vec![profile()], &[1], 3);
        let meter = schedule.commission(0, vec![(0, None)], clock.at(0));
        let answered_ms = away_s.map(|away_s| clock.at(960).utc_ms - 1_000 * away_s);
        schedule.restore(meter, state, answered_ms, clock.at(960));
        if is_back {
            assert_eq!(serve(&mut schedule, clock.at(960), all), 1);
        }
        let asked = |second: &i64| serve(&mut schedule, clock.at(*second), |_| (Vec::new(), End::Unreachable)) > 0;
        let tries: Vec<i64> = (1_860..86_400).step_by(10).filter(asked).collect();
        tries.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    let hours = |gaps: &[i64]| gaps.iter().skip(3).map(|gap| gap / 3_600).collect::<Vec<_>>();
    let (anew, days) = (gaps(MeterState::Active, None, false), gaps(MeterState::Unreachable, Some(3 * 86_400), false));
    assert_eq!(anew[..3], days[..3], "a start may have mended what was wrong");
    assert!(days[..3].iter().all(|gap| *gap < 180), "{days:?}");
    assert!(hours(&days).iter().all(|gap| (6..=7).contains(gap)) && (2..=3).contains(&hours(&days).len()), "{days:?}");
    assert_eq!(hours(&anew)[..3], [0, 0, 1], "{anew:?}");
    // Who was silent for an hour goes on with the next pause but one; who never answered, or does, begins anew.
    assert_eq!(hours(&gaps(MeterState::Unreachable, Some(3_600), false))[..2], hours(&anew)[2..4]);
    assert_eq!(gaps(MeterState::Unreachable, None, false), anew);
    assert_eq!(gaps(MeterState::Silent, Some(3 * 86_400), false), anew);
    assert_eq!(gaps(MeterState::Unreachable, Some(3 * 86_400), true), anew);
    // A clock that is not set yet.
    assert_eq!(gaps(MeterState::Unreachable, Some(-86_400), false), anew);
}

#[test]
fn when_one_is_back_those_of_its_channel_that_went_with_it_are_tried_soon() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[4, 4], 3);
    let meters: Vec<_> = (0..4).map(|no| schedule.commission(no / 3, vec![(0, None)], clock.at(0))).collect();
    // The third one falls silent ten hours before the others, the fourth is on another channel.
    for second in (960..2 * 86_400).step_by(10) {
        let away = |order: &Order| second > if order.meter == meters[2] { 7_200 } else { 43_200 };
        serve(&mut schedule, clock.at(second), |order| match away(order) {
            true => (Vec::new(), End::Unreachable),
            false => all(order),
        });
    }
    assert!(meters.iter().all(|meter| schedule.state(*meter) == Some(MeterState::Unreachable)));
    let back = 2 * 86_400;
    schedule.handle_alive(meters[0], clock.at(back));
    for second in (back..back + 120).step_by(10) {
        serve(&mut schedule, clock.at(second), all);
    }
    let states: Vec<_> = meters.iter().map(|meter| schedule.state(*meter).unwrap()).collect();
    assert_eq!(states, [MeterState::Active, MeterState::Active, MeterState::Unreachable, MeterState::Unreachable]);
}

#[test]
fn billing_goes_before_profiles_and_what_is_asked_before_both() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile(), billing()], &[1], 3);
    let meters: Vec<MeterNo> =
        (0..3).map(|_| schedule.commission(0, vec![(0, None), (1, None)], clock.at(0))).collect();
    assert!(schedule.ask(meters[2], 77));
    let now = clock.at(3_700);
    let mut seen = Vec::new();
    while serve(&mut schedule, now, |order| {
        seen.push((order.meter, order.work.clone()));
        all(order)
    }) > 0
    {}
    assert_eq!(seen[0], (meters[2], Work::OnDemand(77)));
    let tasks: Vec<Option<usize>> =
        seen.iter().map(|(_, work)| if let Work::Read { task, .. } = work { Some(*task) } else { None }).collect();
    assert_eq!(tasks, [None, Some(1), Some(1), Some(1), Some(0), Some(0), Some(0)]);
}

#[test]
fn with_whom_an_association_is_open_is_asked_for_all_that_is_due_each_task_once() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![Task { at_once: 2, ..profile() }, billing()], &[1], 3);
    let meters: Vec<MeterNo> =
        (0..2).map(|_| schedule.commission(0, vec![(0, None), (1, None)], clock.at(0))).collect();
    let now = clock.at(3_700);
    let mut seen = Vec::new();
    while let Some(order) = schedule.poll(now) {
        let (slots, end) = all(&order);
        let Work::Read { task, .. } = order.work else { panic!("{order:?}") };
        seen.push((order.meter.0, task));
        slots.into_iter().for_each(|slot| assert!(schedule.settle(order.meter, task, slot)));
        schedule.handle_done(order.ticket, end, now);
        schedule.stay(order.meter);
        // What somebody waits for goes before.
        if seen.len() == 1 {
            assert!(schedule.ask(meters[1], 77));
            let asked = schedule.poll(now).unwrap();
            assert_eq!((asked.meter, &asked.work), (meters[1], &Work::OnDemand(77)));
            schedule.handle_done(asked.ticket, End::Complete, now);
        }
    }
    // Four quarters are due of each, two at once: those that are left come when all were asked.
    assert_eq!(seen, [(0, 1), (0, 0), (1, 1), (1, 0), (0, 0), (1, 0)]);
    schedule.retire(meters[0], MeterState::Removed);
    schedule.stay(meters[0]);
    assert!(schedule.poll(clock.at(3_701)).is_none());
}

#[test]
fn the_one_who_waits_longest_goes_first_and_no_meter_is_asked_twice_at_a_time() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile(), billing()], &[8], 3);
    (0..4).for_each(|_| {
        schedule.commission(0, vec![(0, None), (1, None)], clock.at(0));
    });
    let now = clock.at(3_700);
    let orders = orders(&mut schedule, now);
    let meters: BTreeSet<MeterNo> = orders.iter().map(|order| order.meter).collect();
    assert_eq!((orders.len(), meters.len()), (4, 4));
}

#[test]
fn only_the_latest_slot_of_a_state_is_read_and_the_others_are_lost() {
    let clock = Clock(anchor());
    let clocks = Task { reach: Reach::Latest, grid: Grid::Every { seconds: 3_600 }, ..profile() };
    let mut schedule = Schedule::new(vec![clocks], &[1], 3);
    let meter = schedule.commission(0, vec![(0, None)], clock.at(0));
    assert_eq!(serve(&mut schedule, clock.at(5 * 3_600 + 60), all), 1);
    assert_eq!(schedule.progress(meter, 0).map(Progress::lost), Some(4));
}

#[test]
fn a_task_keeps_to_its_window() {
    let clock = Clock(anchor());
    let time = |hour| jiff::civil::Time::constant(hour, 0, 0, 0);
    let window = crate::schedule::Window { from: time(1), to: time(5), zone: jiff::tz::TimeZone::UTC };
    let mut schedule = Schedule::new(vec![Task { window: Some(window), ..profile() }], &[1], 3);
    let meter = schedule.commission(0, vec![(0, None)], clock.at(0));
    for second in (0..86_400).step_by(60) {
        let is_open = (3_600..5 * 3_600).contains(&second);
        assert!(serve(&mut schedule, clock.at(second), all) == 0 || is_open, "{second}");
    }
    assert_eq!(schedule.progress(meter, 0).map(Progress::watermark), Some(BEGIN / QUARTER + 20));
}

#[test]
fn without_the_time_only_requests_go_out() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[1], 3);
    let meter = schedule.commission(0, vec![(0, None)], clock.at(0));
    let blind = Now { quality: TimeQuality::Unsynchronised, ..clock.at(3_700) };
    assert_eq!((schedule.poll(blind), schedule.poll_timeout(blind)), (None, None));
    schedule.ask(meter, 1);
    assert_eq!(schedule.poll(blind).map(|order| order.work), Some(Work::OnDemand(1)));
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[1], 3);
    schedule.commission(0, vec![(0, None)], clock.at(10 * 86_400));
    let before = clock.at(10 * 86_400 + 3_700);
    serve(&mut schedule, before, |_| (Vec::new(), End::Unreachable));
    // Ten days back; then the day goes on and the rows that were awaited come.
    let mut served = 0;
    for second in (0..11 * 86_400).step_by(600) {
        served += serve(&mut schedule, clock.at(second), all);
    }
    assert!(served >= 90, "{served}");
}

#[test]
fn who_was_replaced_is_asked_no_more() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[2], 3);
    let old = schedule.commission(0, vec![(0, None)], clock.at(0));
    let new = schedule.commission(0, vec![(0, None)], clock.at(0));
    assert!(schedule.ask(old, 1));
    let order = schedule.poll(clock.at(960)).unwrap();
    schedule.retire(old, MeterState::Replaced);
    schedule.handle_done(order.ticket, End::Complete, clock.at(961));
    assert_eq!(schedule.state(old), Some(MeterState::Replaced));
    assert!(!schedule.ask(old, 2));
    assert_eq!(orders(&mut schedule, clock.at(970)).iter().map(|order| order.meter).collect::<Vec<_>>(), [new]);
    assert_eq!(schedule.completeness(0, BEGIN, BEGIN + 900).all.expected, 1);
}

#[test]
fn a_meter_whose_clock_is_late_loses_nothing_and_is_not_pressed() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[1], 3);
    let meter = schedule.commission(0, vec![(0, None)], clock.at(0));
    // For its first six hours it has no row, then those of two hours ago, and never that of one quarter.
    let (late, hole) = (7_200, BEGIN / QUARTER + 30);
    let mut count = 0;
    for second in (0..86_400).step_by(60) {
        count += serve(&mut schedule, clock.at(second), |order| {
            let Work::Read { slots, .. } = &order.work else { panic!("{order:?}") };
            let is_there = |slot: &Slot| second >= 21_600 && slot * QUARTER <= BEGIN + second - late && *slot != hole;
            (slots.clone().filter(is_there).collect(), End::Complete)
        });
    }
    let line = schedule.progress(meter, 0).unwrap();
    assert_eq!((line.absent(), line.lost()), (1, 0));
    let expected = (86_400 - late) / QUARTER;
    assert!(line.watermark() - BEGIN / QUARTER >= expected - 1, "{line:?}");
    assert!(count < 5 * 96, "{count}");
}

#[test]
fn who_lets_nobody_ask_was_never_read_and_is_none_of_those_that_are_reachable() {
    let clock = Clock(anchor());
    let mut schedule = Schedule::new(vec![profile()], &[4], 1);
    let [first, second] = [(); 2].map(|()| schedule.commission(0, vec![(0, None)], clock.at(0)));
    let reachable = |schedule: &Schedule| schedule.completeness(0, BEGIN, BEGIN + 7_200).reachable.expected;
    assert_eq!(serve(&mut schedule, clock.at(1_000), |_| (vec![], End::Denied)), 2);
    assert_eq!((schedule.state(first), reachable(&schedule)), (Some(MeterState::New), 0));
    let denies_the_first = |order: &Order| if order.meter == first { (vec![], End::Denied) } else { all(order) };
    assert_eq!(serve(&mut schedule, clock.at(3_700), denies_the_first), 2);
    assert_eq!((schedule.state(second), reachable(&schedule)), (Some(MeterState::Active), 8));
    // Who was read before is there, although it refuses now; and who comes back refusing has come back.
    assert_eq!(serve(&mut schedule, clock.at(7_300), |_| (vec![], End::Denied)), 2);
    assert_eq!((schedule.state(second), reachable(&schedule)), (Some(MeterState::Active), 8));
    assert_eq!(serve(&mut schedule, clock.at(10_900), |_| (vec![], End::Unreachable)), 2);
    assert_eq!(schedule.state(second), Some(MeterState::Silent));
    assert_eq!(serve(&mut schedule, clock.at(14_500), |_| (vec![], End::Denied)), 2);
    let states = (schedule.state(first), schedule.state(second));
    assert_eq!(states, (Some(MeterState::New), Some(MeterState::Active)));
}
