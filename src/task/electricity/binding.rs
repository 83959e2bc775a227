//! Who was behind a replaced meter is installed behind the new one, channel by channel: tried again while that fails, through
//! restarts, and given up in the end with an event.

use std::time::{Duration, Instant};

use super::collector::Collector;
use super::demand::{Demand, WantedBy};
use super::known::event;
use crate::clock::Now;
use crate::control::ChannelAsk;
use crate::reading::MeterId;
use crate::schedule::{Kept, KeptBinding, MeterNo};
use crate::store::{Body, Lane};

/// A meter that is to be installed on a channel of `no`.
#[derive(Debug)]
pub(super) struct Binding {
    no: MeterNo,
    kept: KeptBinding,
    /// None: it is under way.
    due: Option<Instant>,
}

impl Binding {
    /// Those that were kept of a meter.
    pub(super) fn of(no: MeterNo, kept: &Kept, now: Now) -> impl Iterator<Item = Self> {
        kept.bindings.iter().map(move |kept| Self { no, kept: *kept, due: Some(now.mono) })
    }

    pub(super) fn is_of(&self, no: MeterNo) -> bool {
        self.no == no
    }
}

impl Collector {
    /// Notes whoever was behind the old meter: to be installed when the new one has told its first readings.
    pub(super) fn bind_later(&mut self, old: MeterNo, new: MeterNo, now: Now) {
        let Some(was) = self.meters.get(old.0 as usize) else { return };
        let title = was.party.meter.id;
        let bindings = was.channels.iter().filter_map(|(channel, meter)| {
            let kept = KeptBinding { channel: *channel, meter: meter.m_bus_octets()?, old: title, attempts: 0 };
            Some(Binding { no: new, kept, due: now.mono.checked_add(FIRST) })
        });
        self.bindings.extend(bindings);
    }

    /// Begins with whoever is not there already.
    pub(super) fn bind_now(&mut self, no: MeterNo, now: Now) {
        let there = self.meters.get(no.0 as usize).map(|known| known.channels.clone()).unwrap_or_default();
        let is_there = |kept: &KeptBinding| there.get(&kept.channel) == Some(&MeterId::from_m_bus_octets(kept.meter));
        self.bindings.retain(|binding| binding.no != no || !is_there(&binding.kept));
        let own = self.bindings.iter_mut().filter(|binding| binding.no == no && binding.due.is_some());
        own.for_each(|binding| binding.due = Some(now.mono));
    }

    /// Asks for those whose time has come.
    pub(super) fn bind_due(&mut self, now: Now) {
        let due = self.bindings.iter().enumerate().filter(|(_, it)| it.due.is_some_and(|due| due <= now.mono));
        for place in due.map(|(place, _)| place).collect::<Vec<_>>() {
            let Some(Binding { no, kept, .. }) = self.bindings.get(place) else { continue };
            let meter = MeterId::from_m_bus_octets(kept.meter).to_string();
            let ask = ChannelAsk::Install { behind: Some(meter), address: 0 };
            let wanted_by = WantedBy::Replacement(MeterId::SystemTitle(kept.old));
            let demand = Demand::Channel { channel: kept.channel, ask, wanted_by };
            // Where there is no room, it was not tried.
            let due = if self.demand(*no, demand).is_ok() { None } else { now.mono.checked_add(FIRST) };
            if let Some(binding) = self.bindings.get_mut(place) {
                binding.due = due;
            }
        }
    }

    /// What came of an attempt; an event, where it was the last.
    pub(super) fn bound(&mut self, no: MeterNo, channel: u8, failed: Option<&str>, now: Now) -> Option<(Lane, Body)> {
        let is_it = |it: &Binding| it.no == no && it.kept.channel == channel;
        let place = self.bindings.iter().position(is_it)?;
        let binding = self.bindings.get_mut(place)?;
        binding.kept.attempts = binding.kept.attempts.saturating_add(1);
        let attempts = binding.kept.attempts;
        if failed.is_some() && attempts < ATTEMPTS {
            binding.due = now.mono.checked_add(FIRST * 2_u32.pow(u32::from(attempts - 1)));
            return None;
        }
        let Binding { kept, .. } = self.bindings.remove(place);
        let (meter, old) = (MeterId::from_m_bus_octets(kept.meter), MeterId::SystemTitle(kept.old));
        let detail = format!("channel {channel}: {meter}, behind {old} before, after {attempts} attempts: {}", failed?);
        Some(event("electricity.channel_given_up", detail, self.id_of(no), now))
    }

    pub(super) fn kept_bindings(&self, no: MeterNo) -> Vec<KeptBinding> {
        self.bindings.iter().filter(|binding| binding.no == no).map(|binding| binding.kept).collect()
    }
}

/// From a failure to the next attempt: then twice as long each time, and two and a half hours in all.
const FIRST: Duration = Duration::from_secs(300);
const ATTEMPTS: u8 = 6;
