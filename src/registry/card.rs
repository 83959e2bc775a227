//! Known meters as the control socket tells of them.

use wmbus::spec::device_type_name;

use super::budget::Day;
use super::{LinkBudget, Meter, MeterKeys, Registry};
use crate::clock::Now;
use crate::control::{Heard, HeardDay, MeterCard, MeterCounts, MeterLine, ReadingLine};
use crate::reading::{Groups, MeterId, Security};

/// The device type in the words of EN 13757-7; None for what has none.
pub fn medium(id: &MeterId) -> Option<&'static str> {
    id.device_type().map(device_type_name)
}

impl Registry {
    /// All known meters in the order of their identities.
    pub fn list(&self, groups: &Groups) -> Vec<MeterLine> {
        let mut meters: Vec<&Meter> = self.meters.iter().collect();
        meters.sort_unstable_by_key(|meter| meter.id);
        meters.into_iter().map(|meter| meter.line(groups)).collect()
    }

    /// None for a meter that was never heard.
    pub fn card(
        &self,
        id: &MeterId,
        keys: &MeterKeys,
        groups: &Groups,
        counter: Option<u32>,
        now: Now,
    ) -> Option<MeterCard> {
        let meter = self.meter(id)?;
        let is_current = meter.last.boot_id == now.boot_id;
        let next = meter.rhythm.next_ms(now.boot_ms).filter(|_| is_current);
        let in_ms = next.and_then(|next| i64::try_from(next.saturating_sub(now.boot_ms)).ok());
        let today = now.boot_ms / DAY_MS;
        let days = |budget: &LinkBudget| {
            let day = |day: &Day| HeardDay {
                ago: u32::try_from(today).unwrap_or(u32::MAX).saturating_sub(day.day),
                telegrams: day.telegrams,
                rssi_dbm: day.rssi_dbm(),
            };
            budget.days().map(day).collect()
        };
        Some(MeterCard {
            line: meter.line(groups),
            has_key: keys.has(id),
            counter,
            verdicts: meter.counted(),
            unread: meter.reject.map(|reject| reject.to_string()),
            policy: groups.of(id).rule.to_string(),
            first_heard_ms: meter.first.map(|first| first.utc_ms),
            status: meter.status,
            interval_s: meter.rhythm.interval().map(|interval| interval.as_secs_f64()),
            missed: meter.rhythm.missed(),
            next_ms: in_ms.map(|ms| now.utc_ms + ms),
            heard: meter
                .links()
                .into_iter()
                .map(|hearing| Heard {
                    receiver: hearing.receiver.to_string(),
                    telegrams: hearing.telegrams,
                    repeated: hearing.repeated,
                    last_ms: hearing.last.utc_ms,
                    rssi_dbm: hearing.rssi_dbm,
                    days: days(&hearing.budget),
                })
                .collect(),
            readings: ReadingLine::of(&meter.readings),
            behind: None,
            electricity: None,
        })
    }

    pub fn counts(&self, now: Now) -> MeterCounts {
        let within = |ms: u64| {
            let is_recent = |meter: &&Meter| {
                meter.last.boot_id == now.boot_id && now.boot_ms.saturating_sub(meter.last.boot_ms) < ms
            };
            number(self.meters.iter().filter(is_recent).count())
        };
        let is_closed = |meter: &&Meter| matches!(meter.security, Some(Security::NoKey | Security::WrongKey));
        let verdicts = Security::ALL.iter().zip(self.verdicts).filter(|(_, count)| *count > 0);
        MeterCounts {
            known: number(self.len()),
            heard_1h: within(HOUR_MS),
            heard_24h: within(24 * HOUR_MS),
            silent: number(self.silent()),
            without_key: number(self.meters.iter().filter(is_closed).count()),
            not_stored: 0,
            telegrams: self.telegrams,
            readings: self.readings,
            repeated: self.repeated,
            verdicts: verdicts.map(|(security, count)| (security.name().to_owned(), count)).collect(),
        }
    }
}

impl Meter {
    fn line(&self, groups: &Groups) -> MeterLine {
        let group = groups.of(&self.id);
        MeterLine {
            id: self.id.to_string(),
            medium: medium(&self.id).unwrap_or_default().to_owned(),
            group: (*group != groups.default).then(|| group.name.to_string()),
            security: self.security.map(|security| security.name().to_owned()),
            telegrams: (self.telegrams > 0).then_some(self.telegrams),
            last_heard_ms: Some(self.last.utc_ms),
            rssi_dbm: self
                .hearings
                .iter()
                .filter(|h| h.last.boot_ms == self.last.boot_ms)
                .filter_map(|h| h.rssi_dbm)
                .max(),
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

const DAY_MS: u64 = 24 * HOUR_MS;
const HOUR_MS: u64 = 3_600_000;
