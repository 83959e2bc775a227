//! Which telegrams that opened become readings: not replays, not clones, not what is too weak for the meter's group.
//!
//! What is not admitted loses its readings and keeps its octets, for the raw ring. Each finding is an event of the
//! meter, once an hour; how often it happened is in the counters of verdicts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wmbus::vendor::has_default_key;

use super::guard::{Damaged, Guard, PREFIX, Seal, Standing};
use super::keys::MeterKeys;
use super::openings::{Openings, Tried};
use crate::clock::Now;
use crate::reading::from_wmbus::Converted;
use crate::reading::{EventKind, Group, Mark, MeterId, Security};

#[derive(Debug)]
pub struct Admission {
    guard: Guard,
    openings: Openings,
    limit: usize,
    /// When a finding was told last.
    told: HashMap<(MeterId, &'static str), Instant>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Finding {
    /// The same telegram was heard before: link data only.
    pub is_duplicate: bool,
    /// For lane P1.
    pub event: Option<EventKind>,
}

impl Admission {
    /// Knows nothing yet, and remembers at most `limit` meters.
    pub fn fresh(limit: usize) -> Self {
        Self { guard: Guard::new(limit), openings: Openings::new(limit), limit: limit.max(1), told: HashMap::new() }
    }

    /// Goes on with what [`Self::emit`] wrote.
    ///
    /// # Errors
    /// It is damaged: begin afresh, and say it.
    pub fn parse(limit: usize, saved: &[u8]) -> Result<Self, Damaged> {
        Ok(Self { guard: Guard::parse(limit, saved)?, ..Self::fresh(limit) })
    }

    /// Judges a telegram and takes the readings from one that is not admitted.
    pub fn judge(&mut self, converted: &mut Converted, group: &Group, keys: &MeterKeys, now: Now) -> Finding {
        let Converted { source, mark, digest, readings, .. } = &*converted;
        let (id, security) = (source.meter, source.security);
        let is_public = |address: &wmbus::Address| has_default_key(address) && !keys.has_own(address);
        if id.address().is_some_and(|address| is_public(&address)) {
            // A total alone is all that is in the shortest telegrams, which have no header either.
            let is_proof = source.access_number.is_some() || readings.iter().any(|it| it.register.storage > 0);
            let tried = Tried { security, is_proof, digest: *digest };
            let thought = self.openings.judge(id, tried, self.guard.is_closed(&id));
            self.guard.close(id, thought.is_closed, now);
            if thought.is_chance {
                converted.refuse(Security::NoKey);
                return Finding::default();
            }
        }
        let Some(strength) = security.strength() else {
            // Whoever sent it does not have the key: its status is not the meter's.
            if matches!(security, Security::WrongKey | Security::BadMac) {
                Arc::make_mut(&mut converted.source).status.clear();
            }
            return Finding::default();
        };
        let seal = Seal { mark: *mark, security, digest: *digest };
        let (standing, is_weaker) = self.guard.judge(id, seal, || keys.fingerprint(&id), now);
        let counter = mark.map_or(0, |mark| mark.counter);
        let least = group.minimum_security.strength();
        let (verdict, code, detail) = match standing {
            Standing::Duplicate => return Finding { is_duplicate: true, event: None },
            Standing::Replay => (
                Some(Security::Replayed),
                "meter.replayed",
                format!("counter {counter} after {}", self.guard.counter(&id).unwrap_or(0)),
            ),
            Standing::Clone => {
                (Some(Security::Cloned), "meter.cloned", format!("counter {counter} came with two contents"))
            }
            Standing::Fresh | Standing::Unprotected if least.is_some_and(|least| strength < least) => {
                let least = group.minimum_security.name();
                (Some(Security::TooWeak), "meter.too_weak", format!("{} where {least} is demanded", security.name()))
            }
            Standing::Fresh | Standing::Unprotected => {
                // What is in the clear beside what is not was marked where it was read.
                let has_left = least > Some(0) && converted.leave_out_clear();
                if is_weaker {
                    converted.downgrade();
                    (None, "meter.downgraded", format!("{} now, and better before", security.name()))
                } else if has_left {
                    let least = group.minimum_security.name();
                    (None, "meter.too_weak", format!("records in the clear where {least} is demanded"))
                } else {
                    return Finding::default();
                }
            }
        };
        if let Some(verdict) = verdict {
            converted.refuse(verdict);
        }
        let event = self.is_news(id, code, now.mono).then(|| EventKind::Unit { code: code.into(), detail });
        Finding { is_duplicate: false, event }
    }

    /// The last counter of a meter that was accepted; None for one without.
    pub fn counter(&self, id: &MeterId) -> Option<u32> {
        self.guard.counter(id)
    }

    /// Whether a telegram that opens with this would be a replay or a copy; it is not judged by the question.
    pub fn is_past(&self, id: &MeterId, mark: Mark, keys: &MeterKeys) -> bool {
        self.guard.is_past(id, mark, || keys.fingerprint(id))
    }

    /// The strength that a telegram of this meter must have: what its group demands, and what it has shown before.
    pub fn least(&self, id: &MeterId, group: &Group) -> u8 {
        group.minimum_security.strength().max(self.guard.best(id).strength()).unwrap_or(0)
    }

    /// What a meter is worth where there is no room for all: 2 where the key file names it, or it has proven itself; less
    /// where it has a key with others, or a proof that anybody can give; 0 for whoever is invented.
    pub fn worth(&self, id: &MeterId, keys: &MeterKeys) -> u8 {
        if keys.names(id) {
            return 2;
        }
        let has_own = id.address().is_some_and(|address| keys.has_own(&address));
        self.guard.worth(id).max(u8::from(has_own))
    }

    /// What must survive a power cut since the last time, to be made durable with the next records: names and values.
    pub fn changes(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.guard.changes()
    }

    /// What begins the names of [`Self::changes`].
    pub const CHANGES: &[u8] = PREFIX;

    /// Takes one of [`Self::changes`] of an earlier run. False: it is none.
    pub fn restore(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.guard.restore(name, value)
    }

    /// What must survive a restart; None where nothing has changed since the last time.
    pub fn emit(&mut self) -> Option<Vec<u8>> {
        self.guard.is_changed().then(|| self.guard.emit())
    }

    fn is_news(&mut self, id: MeterId, code: &'static str, now: Instant) -> bool {
        if self.told.len() >= self.limit {
            self.told.retain(|_, told| now.saturating_duration_since(*told) < QUIET);
        }
        if self.told.get(&(id, code)).is_some_and(|told| now.saturating_duration_since(*told) < QUIET) {
            return false;
        }
        // Beyond the bound a finding is still counted, and not told.
        let has_room = self.told.len() < self.limit;
        if has_room {
            self.told.insert((id, code), now);
        }
        has_room
    }
}

/// A finding of one meter is told once in so long.
const QUIET: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::reading::{Manufacturer, Origin, Path, Received, Source, Standing, TimeQuality};

    #[expect(clippy::disallowed_methods, reason = "any instant will do, tests count from it")]
    fn start() -> Now {
        let quality = TimeQuality::Synchronised;
        Now { mono: Instant::now(), boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality }
    }

    fn telegram(security: Security, counter: Option<u32>, digest: u64) -> Converted {
        let meter = MeterId::MBus { manufacturer: Manufacturer(0x2c2d), identification: 1, version: 1, device_type: 7 };
        let received = Received { boot_id: [0; 16], boot_ms: 0, utc_ms: 0, quality: TimeQuality::Synchronised };
        let source = Source {
            meter,
            origin: Origin::Spontaneous,
            path: Path::Direct,
            standing: Standing::Sole,
            meter_time: None,
            received,
            status: vec![4],
            links: vec![],
            hops: None,
            security,
            access_number: None,
            evidence: None,
        };
        Converted {
            source: Arc::new(source),
            readings: vec![],
            verdict: wmbus::Verdict::Ok,
            reject: None,
            digest,
            mark: counter.map(|counter| Mark { counter, access_number: None }),
        }
    }

    #[test]
    fn what_is_not_admitted_has_its_reason_and_is_told_once_an_hour() {
        use Security::*;
        let mut admission = Admission::fresh(10);
        let group = Group { minimum_security: Decrypted, ..Group::default() };
        let begin = start();
        let codes = [
            // Seconds, telegram, its security afterwards, the code of its event, whether it is a duplicate.
            (0, telegram(Authenticated, Some(10), 1), Authenticated, None, false),
            (1, telegram(Authenticated, Some(10), 1), Authenticated, None, true),
            (2, telegram(Authenticated, Some(10), 2), Cloned, Some("meter.cloned"), false),
            (3, telegram(Authenticated, Some(10), 3), Cloned, None, false),
            (100, telegram(Authenticated, Some(9), 4), Replayed, Some("meter.replayed"), false),
            (101, telegram(Plain, None, 5), TooWeak, Some("meter.too_weak"), false),
            (102, telegram(Decrypted, None, 6), Decrypted, Some("meter.downgraded"), false),
            (103, telegram(NoKey, None, 7), NoKey, None, false),
            (104, telegram(BadMac, Some(4_000), 8), BadMac, None, false),
            (105, telegram(Authenticated, Some(11), 9), Authenticated, None, false),
            (3_700, telegram(Authenticated, Some(9), 4), Replayed, Some("meter.replayed"), false),
        ];
        for (row, (seconds, mut telegram, security, code, is_duplicate)) in codes.into_iter().enumerate() {
            let passed = Duration::from_secs(seconds);
            let now = Now { mono: begin.mono + passed, boot_ms: seconds * 1000, ..begin };
            let finding = admission.judge(&mut telegram, &group, &MeterKeys::default(), now);
            assert_eq!(telegram.source.security, security, "row {row}");
            assert_eq!(finding.is_duplicate, is_duplicate, "row {row}");
            let found = finding.event.map(|event| match event {
                EventKind::Unit { code, .. } => code,
                other => panic!("{other:?}"),
            });
            assert_eq!(found.as_deref(), code, "row {row}");
            let is_refused = matches!(security, Cloned | Replayed | TooWeak);
            assert_eq!(telegram.verdict != wmbus::Verdict::Ok, is_refused, "row {row}");
            // What is not believed says nothing of the meter's state.
            let is_doubted = is_refused || security == BadMac || code == Some("meter.downgraded");
            assert_eq!(telegram.source.status.is_empty(), is_doubted, "row {row}");
        }
    }

    #[test]
    fn a_meter_is_worth_what_is_known_of_it() {
        let line = |pattern: &str, first: u8| format!("{pattern} {first:02x}112233445566778899aabbccddeeff\n");
        let keys = |text: String| MeterKeys::read(&text).unwrap();
        let id = telegram(Security::Plain, None, 0).source.meter;
        let (none, all, own) = (MeterKeys::default(), keys(line("*", 1)), keys(line("KAM", 1) + &line("*", 2)));
        let named = keys(line("00000001", 1));
        let worth = |admission: &Admission| [&none, &all, &own, &named].map(|keys| admission.worth(&id, keys));
        let mut admission = Admission::fresh(10);
        assert_eq!(worth(&admission), [0, 0, 1, 2]);
        // What opens under no key of ours, anybody can send.
        for (keys, security, expected) in [
            (&all, Security::WrongKey, [0, 0, 1, 2]),
            (&all, Security::Plain, [0, 0, 1, 2]),
            (&none, Security::Decrypted, [1, 1, 1, 2]),
        ] {
            admission.judge(&mut telegram(security, None, 1), &Group::default(), keys, start());
            assert_eq!(worth(&admission), expected, "{security:?}");
        }
        let mut admission = Admission::fresh(10);
        admission.judge(&mut telegram(Security::Authenticated, Some(1), 1), &Group::default(), &all, start());
        assert_eq!(worth(&admission), [2; 4]);
    }

    #[test]
    fn what_is_in_the_clear_is_left_out_where_more_is_demanded_and_told() {
        use crate::reading::{Function, Quality, Reading, Register, Unit, Value};

        let reading = |converted: &Converted, quality| {
            let register = Register {
                obis: None,
                quantity: "volume".into(),
                unit: Unit(13),
                function: Function::Instantaneous,
                storage: 0,
                tariff: 0,
                subunit: 0,
                modifier: Arc::default(),
            };
            let value = Value::Decimal { mantissa: 1, scaler: 0 };
            Reading { source: Arc::clone(&converted.source), register, value, interval: None, quality }
        };
        for (minimum_security, left, code) in
            [(Security::Plain, 2, None), (Security::Decrypted, 1, Some("meter.too_weak"))]
        {
            let mut admission = Admission::fresh(10);
            let mut telegram = telegram(Security::Decrypted, None, 1);
            telegram.readings = [Quality::GOOD, Quality::DOWNGRADED].map(|quality| reading(&telegram, quality)).into();
            let group = Group { minimum_security, ..Group::default() };
            let finding = admission.judge(&mut telegram, &group, &MeterKeys::default(), start());
            let found = finding.event.map(|event| match event {
                EventKind::Unit { code, .. } => code,
                other => panic!("{other:?}"),
            });
            assert_eq!((telegram.readings.len(), found.as_deref()), (left, code));
            assert_eq!(telegram.readings[0].quality, Quality::GOOD);
        }
    }

    #[test]
    fn what_opens_with_a_makers_key_by_chance_is_not_believed() {
        use Security::*;
        let keys = |text: &str| MeterKeys::read(text).unwrap();
        let own = format!("HYD-00000001-01-07 {}\n", "07".repeat(16));
        let all = format!("* {}\n", "07".repeat(16));
        /// What opened, whether by more than a total, and as what it counts.
        type Heard = (Security, bool, Security);
        const SHORT: Heard = (Decrypted, false, Decrypted);
        const LONG: Heard = (Decrypted, true, Decrypted);
        const DOUBTED: Heard = (Decrypted, false, NoKey);
        const LONG_DOUBTED: Heard = (Decrypted, true, NoKey);
        const CLOSED: Heard = (NoKey, false, NoKey);
        const WRONG: Heard = (WrongKey, false, WrongKey);
        let rows: [(u16, &str, &[Heard]); 8] = [
            (0x2324, "", &[SHORT, SHORT, CLOSED, DOUBTED, DOUBTED, DOUBTED, DOUBTED, DOUBTED, (Plain, false, Plain)]),
            // It is the maker's after all.
            (0x2324, "", &[CLOSED, DOUBTED, LONG_DOUBTED, LONG, SHORT]),
            (0x2324, "", &[CLOSED, LONG_DOUBTED, CLOSED, LONG_DOUBTED, LONG]),
            // One that was damaged, or forged, does not close a meter that has proven itself; three do.
            (0x2324, "", &[LONG, CLOSED, SHORT, CLOSED, LONG, CLOSED, CLOSED, SHORT, CLOSED, DOUBTED]),
            (0x2324, &all, &[WRONG, DOUBTED]),
            (0x2324, &own, &[WRONG, SHORT]),
            (0x2c2d, "", &[CLOSED, SHORT]),
            (0x2324, "", &[SHORT, LONG]),
        ];
        for (row, (manufacturer, text, telegrams)) in rows.into_iter().enumerate() {
            let mut admission = Admission::fresh(10);
            let id = MeterId::MBus {
                manufacturer: Manufacturer(manufacturer),
                identification: 1,
                version: 1,
                device_type: 7,
            };
            for (digest, (security, is_long, expected)) in (1..).zip(telegrams) {
                // A copy of each telegram says nothing new.
                for _ in 0..2 {
                    let mut telegram = telegram(*security, None, digest);
                    let source = Arc::make_mut(&mut telegram.source);
                    (source.meter, source.access_number) = (id, is_long.then_some(1));
                    admission.judge(&mut telegram, &Group::default(), &keys(text), start());
                    assert_eq!(telegram.source.security, *expected, "row {row}, telegram {digest}");
                }
            }
            let Some(octets) = admission.emit() else { continue };
            let is_closed = admission.guard.is_closed(&id);
            assert_eq!(Admission::parse(10, &octets).unwrap().guard.is_closed(&id), is_closed, "row {row}");
        }
        // Who sends nothing but short ones is believed again in the end.
        let mut admission = Admission::fresh(10);
        let mut believed = 0;
        for digest in 0..100 {
            let mut telegram = telegram(if digest == 0 { NoKey } else { Decrypted }, None, digest);
            Arc::make_mut(&mut telegram.source).meter =
                MeterId::MBus { manufacturer: Manufacturer(0x2324), identification: 1, version: 1, device_type: 7 };
            admission.judge(&mut telegram, &Group::default(), &MeterKeys::default(), start());
            believed += u32::from(telegram.source.security == Decrypted);
        }
        assert_eq!(believed, 36);
    }
}
