//! Meters behind electricity meters, and whether the same meter is heard over the air: which of its two ways counts now.
//!
//! A way is silent when nothing came of it for two of its intervals; then the other one stands in. It stood in as well for
//! times before the preferred way spoke again. What electricity meters say of their channels is who is here, so that the
//! number of meters is bounded by theirs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::control::BehindCard;
use crate::reading::{Groups, MeterId, Standing, Way};

#[derive(Debug, Default)]
pub struct Ways {
    groups: Arc<Groups>,
    /// By their identities.
    meters: BTreeMap<MeterId, Both>,
}

#[derive(Debug)]
struct Both {
    /// As the electricity meter names it.
    id: MeterId,
    behind: MeterId,
    channel: u8,
    /// How often something comes from behind.
    interval_ms: i64,
    /// Over the air, and behind.
    spells: [Option<Spell>; 2],
}

/// How long one way has spoken without a silence. Milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy)]
struct Spell {
    since_ms: i64,
    last_ms: i64,
    interval_ms: i64,
}

impl Ways {
    pub fn new(groups: Arc<Groups>) -> Self {
        Self { groups, meters: BTreeMap::new() }
    }

    /// Who is behind an electricity meter now, by channel: those and no others. `last_ms`: when it answered last, which is
    /// taken for when they were last read through it, until they are; `interval` of each.
    pub fn place<'a>(
        &mut self,
        behind: MeterId,
        channels: impl IntoIterator<Item = (u8, &'a MeterId, Duration)>,
        last_ms: Option<i64>,
    ) {
        let mut before = std::mem::take(&mut self.meters);
        for (channel, id, interval) in channels {
            let was = before.remove(id);
            let spells = was.as_ref().map_or([None, None], |was| was.spells);
            let interval_ms = millis(interval);
            let mut both = Both { id: *id, behind, channel, interval_ms, spells };
            let is_moved = was.is_none_or(|was| was.behind != behind);
            if let Some(last_ms) = last_ms.filter(|_| is_moved) {
                both.spell(Way::Behind).replace(Spell { since_ms: last_ms, last_ms, interval_ms });
            }
            self.meters.insert(*id, both);
        }
        before.retain(|_, both| both.behind != behind);
        self.meters.append(&mut before);
    }

    /// Whether a meter is behind an electricity meter.
    pub fn has(&self, id: &MeterId) -> bool {
        self.meters.contains_key(id)
    }

    /// Something valid of a meter came one way, and tells of `of_ms`; what it counts. `interval`: how often there is
    /// something that way; None: as often as was said when it was placed.
    pub fn came(&mut self, id: &MeterId, way: Way, of_ms: i64, interval: Option<Duration>, now_ms: i64) -> Standing {
        let preferred = self.groups.of(id).preferred_source;
        let Some(both) = self.meters.get_mut(id) else { return Standing::Sole };
        let interval_ms = interval.map_or(both.interval_ms, millis);
        let own = both.spell(way);
        let before = own.filter(|spell| !spell.is_silent(now_ms));
        let since_ms = before.map_or(now_ms, |spell| spell.since_ms);
        *own = Some(Spell { since_ms, last_ms: now_ms, interval_ms });
        match both.spell(way.other()) {
            None => Standing::Sole,
            Some(_) if way == preferred => Standing::Preferred,
            Some(other) if other.is_silent(now_ms) || of_ms < other.since_ms.saturating_sub(other.interval_ms) => {
                Standing::StandIn
            }
            Some(_) => Standing::Secondary,
        }
    }

    /// None for a meter that is behind nobody.
    pub fn card(&self, id: &MeterId, now_ms: i64) -> Option<BehindCard> {
        let both = self.meters.get(id)?;
        let preferred = self.groups.of(id).preferred_source;
        let [air, behind] = both.spells;
        let speaks = |spell: Option<Spell>| spell.is_some_and(|spell| !spell.is_silent(now_ms));
        let used = match (preferred, speaks(air), speaks(behind)) {
            (Way::Air, false, true) => Way::Behind,
            (Way::Behind, true, false) => Way::Air,
            _ => preferred,
        };
        Some(BehindCard {
            electricity_meter: both.behind.to_string(),
            channel: both.channel,
            last_ms: behind.map(|spell| spell.last_ms),
            preferred_source: preferred.name().to_owned(),
            used_source: used.name().to_owned(),
        })
    }

    /// All meters that are behind electricity meters.
    pub fn ids(&self) -> impl Iterator<Item = &MeterId> {
        self.meters.values().map(|both| &both.id)
    }
}

impl Both {
    fn spell(&mut self, way: Way) -> &mut Option<Spell> {
        let [air, behind] = &mut self.spells;
        match way {
            Way::Air => air,
            Way::Behind => behind,
        }
    }
}

impl Spell {
    fn is_silent(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.last_ms) > self.interval_ms.saturating_mul(2)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::Group;

    const GAS: &str = "ELS-70012345-33-03";
    const METER: &str = "4d4d4d0000bc614e";
    const HOUR: i64 = 3_600_000;

    fn id(text: &str) -> MeterId {
        text.parse().unwrap()
    }

    fn ways(preferred_source: Way) -> Ways {
        let groups = Groups { named: vec![], default: Group { preferred_source, ..Group::default() } };
        Ways::new(groups.into())
    }

    const fn hours(number: u64) -> Duration {
        Duration::from_secs(number * 3_600)
    }

    /// One meter, placed at 0 and never read: what each of these counts (way, hour it came, hour it tells of).
    #[track_caller]
    fn check(preferred: Way, came: &[(Way, i64, i64)], expected: &[Standing]) {
        let mut ways = ways(preferred);
        ways.place(id(METER), [(1, &id(GAS), hours(1))], None);
        let said = came.iter().map(|(way, now, of)| ways.came(&id(GAS), *way, of * HOUR, None, now * HOUR));
        assert_eq!(said.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_way_that_is_not_preferred_is_secondary_while_the_other_speaks() {
        use Standing::*;
        use Way::*;
        let came = [(Air, 10, 10), (Behind, 11, 11), (Air, 11, 11), (Air, 13, 13), (Air, 14, 14), (Behind, 15, 13)];
        check(Behind, &came, &[Sole, Preferred, Secondary, Secondary, StandIn, Preferred]);
        check(Air, &came, &[Sole, Secondary, Preferred, Preferred, Preferred, Secondary]);
    }

    #[test]
    fn what_is_filled_in_of_a_silence_of_the_preferred_way_stands_in() {
        use Standing::*;
        use Way::*;
        // The air was silent from 11 to 20; at 21 the profile of the time since 9 comes.
        let came = [(Behind, 9, 9), (Air, 10, 10), (Air, 20, 20), (Behind, 21, 18), (Behind, 21, 19), (Behind, 21, 21)];
        check(Air, &came, &[Sole, Preferred, Preferred, StandIn, Secondary, Secondary]);
    }

    #[test]
    fn after_a_restart_it_is_known_what_was_behind() {
        let mut ways = ways(Way::Behind);
        ways.place(id(METER), [(1, &id(GAS), hours(1))], Some(9 * HOUR));
        assert_eq!(ways.came(&id(GAS), Way::Air, 10 * HOUR, None, 10 * HOUR), Standing::Secondary);
        let card = ways.card(&id(GAS), 10 * HOUR).unwrap();
        assert_eq!((card.electricity_meter.as_str(), card.channel, card.last_ms), (METER, 1, Some(9 * HOUR)));
        assert_eq!((card.preferred_source.as_str(), card.used_source.as_str()), ("behind", "behind"));
        assert_eq!(ways.came(&id(GAS), Way::Air, 12 * HOUR, None, 12 * HOUR), Standing::StandIn);
        assert_eq!(ways.card(&id(GAS), 12 * HOUR).unwrap().used_source, "air");
    }

    #[test]
    fn who_is_behind_is_what_the_electricity_meters_say() {
        let mut ways = ways(Way::Behind);
        let (water, other) = (id("ELS-70012346-33-07"), id("4d4d4d0000bc614f"));
        ways.place(id(METER), [(1, &id(GAS), hours(1)), (2, &water, hours(1))], Some(HOUR));
        assert_eq!(ways.came(&id(GAS), Way::Air, HOUR, None, HOUR), Standing::Secondary);
        // The gas meter is behind another one now, and what is known of it goes with it.
        ways.place(other, [(3, &id(GAS), hours(1))], Some(2 * HOUR));
        ways.place(id(METER), [(2, &water, hours(1))], Some(2 * HOUR));
        let card = ways.card(&id(GAS), 2 * HOUR).unwrap();
        assert_eq!((card.electricity_meter, card.channel), (other.to_string(), 3));
        assert_eq!(ways.came(&id(GAS), Way::Behind, 2 * HOUR, None, 2 * HOUR), Standing::Preferred);
        ways.place(other, [], None);
        assert!(!ways.has(&id(GAS)) && ways.card(&id(GAS), 2 * HOUR).is_none());
        assert_eq!(ways.ids().collect::<Vec<_>>(), [&water]);
    }

    proptest! {
        /// Whatever comes when: the preferred way is never secondary, the other one never preferred, and it is secondary
        /// only while the preferred one has spoken within two of its intervals.
        #[test]
        fn no_time_is_without_something_to_be_used(
            prefers_air: bool, came in prop::collection::vec((any::<bool>(), 0..5_i64, 1..4_u64), 1..60)
        ) {
            let preferred = if prefers_air { Way::Air } else { Way::Behind };
            let mut ways = ways(preferred);
            ways.place(id(METER), [(1, &id(GAS), hours(1))], None);
            let (mut now, mut last) = (0, None);
            for (is_preferred, step, interval) in came {
                now += step * HOUR;
                let way = if is_preferred { preferred } else { preferred.other() };
                let standing = ways.came(&id(GAS), way, now, Some(hours(interval)), now);
                if is_preferred {
                    prop_assert!(matches!(standing, Standing::Sole | Standing::Preferred));
                    last = Some((now, interval as i64));
                } else {
                    let speaks = last.is_some_and(|(last, interval)| now - last <= 2 * interval * HOUR);
                    prop_assert_eq!(standing == Standing::Secondary, speaks);
                    prop_assert_eq!(standing == Standing::Sole, last.is_none());
                }
            }
        }
    }
}
