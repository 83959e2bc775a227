//! What the collector knows of a meter and a task beside the schedule.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use ::plc::poll::Priority as Urgency;
use dlms::apdu::Attribute;
use dlms::cosem::ScalerUnit;
use dlms::security::ReceivedCounter;
use tokio::sync::mpsc;

use super::exchange::{Layout, Party, Shown, behind_it, channel};
use crate::clock::Now;
use crate::config::Electricity;
use crate::config::electricity::{self, Channel, Place, What};
use crate::reading::from_cosem::Context;
use crate::reading::{Event, EventKind, MeterEvent, MeterId, Obis, Origin};
use crate::registry::{Credential, Credentials};
use crate::schedule::{Grid, Kept, MeterState, Priority, Reach, Work};
use crate::store::{Body, Lane};
use crate::task::plc;

/// One meter, as far as the schedule does not know it.
pub(super) struct Known {
    pub(super) party: Arc<Party>,
    pub(super) tasks: Box<[Member]>,
    /// Of the profiles that were read since the start; meters of one kind share them.
    pub(super) layouts: Vec<(Obis, Arc<Layout>)>,
    /// Scalers and units of registers that were read since the start.
    pub(super) units: HashMap<Attribute, Option<ScalerUnit>>,
    pub(super) received: Option<u32>,
    /// The highest invocation counter of what it sent unasked.
    pub(super) pushed: ReceivedCounter,
    /// When something was last told that comes again and again: each of it once an hour.
    pub(super) told_of: HashMap<&'static str, Instant>,
    /// Its logical device name, of a meter that has no system title in its answers; as it was said since the start.
    pub(super) name: Option<Vec<u8>>,
    /// Meters behind it, by channel, as they were found last.
    pub(super) channels: BTreeMap<u8, MeterId>,
    /// Who measures in its place.
    pub(super) successor: Option<[u8; 8]>,
    /// How often it was handed over before this unit read it.
    pub(super) turn: u32,
    pub(super) answered_ms: Option<i64>,
    /// Milliseconds ahead, and how uncertain that is.
    pub(super) offset: Option<(i64, i64)>,
    /// Why the last order did not come to its end.
    pub(super) detail: Option<String>,
    /// It answered the last order otherwise than it was asked.
    pub(super) is_refusing: bool,
    /// It is told that it cannot be reached, and not yet that it is back.
    pub(super) is_told: bool,
    /// It is asked for nothing.
    pub(super) is_retired: bool,
    /// Seconds since 1970 UTC that its clock was moved over.
    pub(super) moved: Option<(i64, i64)>,
}

/// A meter in a task.
pub(super) struct Member {
    /// As in the configuration, from 0.
    pub(super) task: usize,
    /// The fingerprint of what its rows meant, over restarts; 0 where nothing was read.
    pub(super) layout: u64,
    /// Slots that were given up, as far as it is told.
    pub(super) lost: u64,
}

impl Known {
    /// A meter of the configuration, in all tasks of its group.
    pub(super) fn new(
        meter: &electricity::Meter,
        config: &Electricity,
        channels: &[Arc<Channel>],
        credentials: &Credentials,
        networks: &[(String, mpsc::Sender<plc::Question>)],
    ) -> Option<Self> {
        let channel = Arc::clone(channels.get(meter.channel)?);
        let network = match &channel.place {
            Some(Place::Plc(name)) => networks.iter().find(|(network, _)| network == name),
            _ => None,
        };
        let party = Party {
            meter: meter.clone(),
            network: network.map(|(_, network)| network.clone()),
            channel,
            credential: credentials.of(meter.id).cloned(),
            own_title: config.system_title,
            shown: Shown::default(),
            events: Arc::clone(config.events_of(meter)),
        };
        let numbered = config.tasks.iter().enumerate();
        Some(Self {
            party: Arc::new(party),
            tasks: numbered
                .filter(|(_, task)| task.is_for(meter))
                .map(|(task, _)| Member { task, layout: 0, lost: 0 })
                .collect(),
            layouts: Vec::new(),
            units: HashMap::new(),
            received: None,
            pushed: ReceivedCounter(None),
            told_of: HashMap::new(),
            name: None,
            channels: BTreeMap::new(),
            successor: None,
            turn: 0,
            answered_ms: None,
            offset: None,
            detail: None,
            is_refusing: false,
            is_told: false,
            is_retired: false,
            moved: None,
        })
    }

    /// What was known of it before.
    pub(super) fn take(&mut self, kept: &Kept) {
        (self.received, self.pushed) = (kept.received, ReceivedCounter(kept.pushed));
        (self.answered_ms, self.moved) = (kept.answered_ms, kept.moved);
        (self.turn, self.successor, self.is_told) = (kept.turn, kept.successor, kept.is_told);
        self.channels =
            kept.channels.iter().map(|(channel, meter)| (*channel, MeterId::from_m_bus_octets(*meter))).collect();
    }

    /// Its keys are forgotten, and nobody speaks with it.
    pub(super) fn retire(&mut self) {
        self.speak_with(None);
        self.is_retired = true;
    }

    /// Speaks with it by these keys.
    pub(super) fn speak_with(&mut self, credential: Option<Arc<Credential>>) {
        let Party { meter, channel, own_title, network, events, .. } = &*self.party;
        let party = Party {
            meter: meter.clone(),
            channel: channel.clone(),
            credential,
            own_title: *own_title,
            shown: Shown::default(),
            events: Arc::clone(events),
            network: network.clone(),
        };
        self.party = Arc::new(party);
    }

    pub(super) fn id(&self) -> MeterId {
        MeterId::SystemTitle(self.party.meter.id)
    }

    /// Whose readings of an object are that it sent unasked: its own, or those of whom it was last known to have behind it.
    pub(super) fn whose(&self, object: Obis, own: &Context) -> Context {
        let behind = channel(object).and_then(|channel| self.channels.get(&channel));
        behind.map_or_else(|| own.clone(), |meter| behind_it(own.clone(), *meter))
    }

    /// The shortest slots of its profiles: no clock goes back over their ends.
    pub(super) fn slot_seconds(&self, all: &[electricity::Task]) -> u32 {
        let tasks = self.tasks.iter().filter_map(|member| all.get(member.task));
        let seconds = tasks.filter_map(|task| match (&task.what, &task.grid) {
            (What::Profile(_), Grid::Every { seconds }) => Some(*seconds),
            _ => None,
        });
        seconds.min().unwrap_or(QUARTER)
    }

    pub(super) fn layout(&self, object: &Obis) -> Option<&Arc<Layout>> {
        self.layouts.iter().find(|(of, _)| of == object).map(|(_, layout)| layout)
    }

    pub(super) fn member_mut(&mut self, task: usize) -> Option<&mut Member> {
        self.tasks.iter_mut().find(|member| member.task == task)
    }

    /// Notes for its network whether it can be reached; true: it cannot, and the outage is told that its node is part of.
    pub(super) fn is_dark(&self, state: MeterState, dark: &plc::Dark) -> bool {
        let Some(node) = self.party.meter.node else { return false };
        let is_unreachable = state == MeterState::Unreachable;
        dark.set_reachable(node, !is_unreachable);
        is_unreachable && dark.has(node)
    }

    /// What is to be told of a meter that can or cannot be reached any more.
    pub(super) fn change_of_state(&mut self, state: MeterState) -> Option<&'static str> {
        let (is_told, code) = match state {
            MeterState::Unreachable => (true, "electricity.unreachable"),
            MeterState::Active => (false, "electricity.back"),
            _ => return None,
        };
        (std::mem::replace(&mut self.is_told, is_told) != is_told).then_some(code)
    }
}

/// Something that happened with a meter, for lane P1.
pub(super) fn event(code: &str, detail: String, meter: MeterId, now: Now) -> (Lane, Body) {
    let kind = EventKind::Unit { code: code.to_owned(), detail };
    (Lane::Security, Body::Event(Event { received: now.received(), meter: Some(meter), kind }))
}

/// What a meter's log says, or the meter unasked.
pub(super) fn of_meter(lane: Lane, event: MeterEvent, meter: MeterId, now: Now) -> (Lane, Body) {
    (lane, Body::Event(Event { received: now.received(), meter: Some(meter), kind: EventKind::Meter(event) }))
}

/// A task as the schedule wants it.
pub(super) fn task(said: &electricity::Task) -> crate::schedule::Task {
    let is_kept = matches!(said.what, What::Profile(_) | What::Events(_));
    crate::schedule::Task {
        id: said.id.as_str().into(),
        grid: said.grid.clone(),
        reach: if is_kept { Reach::Back(said.back.max(said.history)) } else { Reach::Latest },
        priority: said.priority,
        window: said.window.clone(),
        delay: said.delay.as_secs() as u32,
        spread: said.spread.as_secs() as u32,
        at_once: said.at_once,
        is_sparse: matches!(said.what, What::Events(_)),
    }
}

/// Before whom an order goes in a mesh.
pub(super) fn urgency(work: &Work, tasks: &[electricity::Task]) -> Urgency {
    let Work::Read { task, .. } = work else { return Urgency::OnDemand };
    match tasks.get(*task).map(|said| said.priority) {
        Some(Priority::Events) => Urgency::Event,
        Some(Priority::Billing) => Urgency::Billing,
        Some(Priority::Firmware) => Urgency::Firmware,
        Some(Priority::Profile) | None => Urgency::Profile,
    }
}

pub(super) const fn lane(said: &electricity::Task) -> Lane {
    match (&said.what, said.priority) {
        (What::Clock(_), _) | (_, Priority::Events) => Lane::Information,
        (_, Priority::Billing) => Lane::Billing,
        (_, Priority::Profile | Priority::Firmware) => Lane::LoadProfile,
    }
}

pub(super) const fn origin(said: &electricity::Task) -> Origin {
    match (&said.what, said.priority) {
        (What::Registers(_) | What::Clock(_), _) => Origin::Snapshot,
        (_, Priority::Billing) => Origin::Billing,
        _ => Origin::Profile,
    }
}

/// Seconds: what profiles mostly have.
const QUARTER: u32 = 900;
