//! Meters that are heard and behind electricity meters as well: what their telegrams count, and how they are shown.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::Meters;
use crate::clock::Now;
use crate::control::{MeterCard, MeterLine};
use crate::reading::from_wmbus::Converted;
use crate::reading::{Groups, MeterId, Rule, Standing, Way};
use crate::registry::{Ways, medium};

impl Meters {
    /// Says what the readings count, of a meter that is behind an electricity meter as well.
    pub(super) fn stand(&self, converted: &mut Converted, of_ms: i64, now: Now) {
        let id = converted.source.meter;
        let mut ways = self.ways();
        if converted.readings.is_empty() || !ways.has(&id) {
            return;
        }
        let kept = match self.groups.of(&id).rule {
            Rule::Snapshot(period) => Duration::from_secs(period.seconds().into()),
            _ => HOUR,
        };
        let sent = self.registry.meter(&id).and_then(|meter| meter.rhythm.interval()).unwrap_or_default();
        let standing = ways.came(&id, Way::Air, of_ms, Some(kept.max(sent)), now.utc_ms);
        if standing != Standing::Sole {
            converted.stand(standing);
        }
    }

    /// Those that were heard, and those that are only read behind an electricity meter.
    pub(super) fn list(&self) -> Vec<MeterLine> {
        let mut lines = self.registry.list(&self.groups);
        let ways = self.ways();
        let unheard: Vec<_> = ways.ids().filter(|id| self.registry.meter(id).is_none()).copied().collect();
        drop(ways);
        lines.extend(unheard.iter().filter_map(|id| Some(self.card(&id.to_string())?.line)));
        lines
    }

    pub(super) fn card(&self, id: &str) -> Option<MeterCard> {
        let (id, now) = (id.parse().ok()?, (self.clock)());
        let card = self.registry.card(&id, &self.keys, &self.groups, self.admission.counter(&id), now);
        let behind = self.ways().card(&id, now.utc_ms);
        let unheard = behind.as_ref().map(|behind| unheard(&id, behind.last_ms, &self.groups));
        Some(MeterCard { behind, ..card.or(unheard)? })
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A meter that is read behind an electricity meter, and was never heard itself.
fn unheard(id: &MeterId, last_heard_ms: Option<i64>, groups: &Groups) -> MeterCard {
    let group = groups.of(id);
    let medium = medium(id).unwrap_or_default().to_owned();
    let line = MeterLine {
        id: id.to_string(),
        medium,
        group: (*group != groups.default).then(|| group.name.to_string()),
        security: Some("behind".to_owned()),
        telegrams: Some(0),
        last_heard_ms,
        ..MeterLine::default()
    };
    MeterCard { line, policy: group.rule.to_string(), ..MeterCard::default() }
}

/// So often at least a meter is expected that is not kept by the clock.
const HOUR: Duration = Duration::from_secs(3_600);
