//! How a meter comes in: it scans, asks the best of those that answer to be its agent, and goes through the seven steps
//! of the bootstrap; it tries again later where that fails.

use super::message::{Bootstrap, Data, Frame, Hosted, Kind, Load, Message, NodeNo, Output, Parcel, Rank};
use super::options::Manner;
use super::phy::Micros;
use super::routing::HOPS;
use super::world::{Event, World};

/// As public sample firmware of a device does it: it rests, and for longer where it hears that others join; scans; takes
/// the agent with the cheapest way to the coordinator among those that it hears well; rests again; and joins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Join {
    Out,
    Resting {
        then: Then,
        /// How often the pause was doubled, and whether others were heard to join during this one.
        doubled: u32,
        overheard: bool,
    },
    Scanning {
        best: Option<Agent>,
    },
    Joining {
        agent: Agent,
        tries: u8,
        step: u8,
    },
    Joined,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Then {
    Scan,
    Join { agent: Agent, tries: u8 },
}

/// Who brings a device into the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agent {
    node: NodeNo,
    channel: usize,
    lqi: u8,
    /// From it to the coordinator, and from the device.
    cost: u16,
    total: u16,
}

impl World {
    pub(super) fn start_to_join(&mut self, node: NodeNo) {
        self.rest(node, Then::Scan, 0);
    }

    fn rest(&mut self, node: NodeNo, then: Then, doubled: u32) {
        self.node(node).join = Join::Resting { then, doubled, overheard: false };
        let pause = match (self.options.manner, then) {
            (Manner::Patient, Then::Scan) => BEFORE_SCAN,
            (Manner::Patient, Then::Join { .. }) => BEFORE_JOIN,
            (Manner::Eager, Then::Scan) => [(0, 0), (30_000_000, 480_000_000)],
            (Manner::Eager, Then::Join { .. }) => [(0, 0), (1, 1)],
        };
        let [low, high] = pause.map(|(least, most): (Micros, Micros)| (least << doubled.min(20)).min(most));
        let after = low + self.random.under(high - low);
        self.in_time(node, after);
    }

    /// What is under way of a join goes on after a while, unless something else happens before.
    fn in_time(&mut self, node: NodeNo, after: Micros) {
        let there = self.node(node);
        there.timer += 1;
        let timer = there.timer;
        self.at(self.now + after, Event::Join { node, timer });
    }

    pub(super) fn join_goes_on(&mut self, node: NodeNo, timer: u32) {
        let there = self.node(node);
        if !there.is_up || there.timer != timer {
            return;
        }
        match there.join {
            Join::Resting { then, doubled, overheard: true } => {
                self.figures.rests_again += 1;
                self.rest(node, then, doubled + 1);
            }
            Join::Resting { then: Then::Scan, .. } => {
                there.join = Join::Scanning { best: None };
                self.figures.scans += 1;
                self.broadcast(node, Message::BeaconRequest);
                self.in_time(node, SCAN);
            }
            Join::Resting { then: Then::Join { agent, tries }, .. } => {
                there.join = Join::Joining { agent, tries: tries + 1, step: 0 };
                match self.is_hosted {
                    true => self.outputs.push_back(Output::Hosted(Hosted::Asks { device: node })),
                    false => self.say_step(node, agent, 0, None),
                }
            }
            Join::Scanning { best } => {
                self.rest(node, best.map_or(Then::Scan, |agent| Then::Join { agent, tries: 0 }), 0);
            }
            Join::Joining { agent, tries, .. } => {
                self.figures.joins_unanswered += 1;
                self.join_failed(node, agent, tries);
            }
            Join::Out | Join::Joined => {}
        }
    }

    /// A device says a step of its bootstrap to its agent.
    fn say_step(&mut self, node: NodeNo, agent: Agent, step: u8, parcel: Option<Parcel>) {
        let message = Message::Bootstrap(Bootstrap { device: node, step, parcel });
        self.send(node, agent.channel, Frame { to: Some(agent.node), message });
        self.in_time(node, JOIN_WAIT);
    }

    fn join_failed(&mut self, node: NodeNo, agent: Agent, tries: u8) {
        let there = self.node(node);
        there.failures += 1;
        let failures = there.failures;
        match self.options.manner {
            Manner::Patient if tries < TRIES => self.rest(node, Then::Join { agent, tries }, 0),
            Manner::Patient => self.rest(node, Then::Scan, 0),
            Manner::Eager => self.rest(node, Then::Scan, failures),
        }
    }

    /// A device that wants to join hears what is said to anybody.
    pub(super) fn overhear(&mut self, node: NodeNo, message: &Message) {
        let is_of_others = !matches!(message.kind(), Kind::BeaconRequest | Kind::Data);
        let is_patient = self.options.manner == Manner::Patient;
        if let Join::Resting { overheard, .. } = &mut self.node(node).join {
            *overheard |= is_of_others && is_patient;
        }
    }

    pub(super) fn hear_beacon_request(&mut self, node: NodeNo) {
        // One beacon answers all that ask while it waits for its turn.
        if self.is_joined(node) && !std::mem::replace(&mut self.node(node).owes_beacon, true) {
            let after = self.random.under(BEACON_WINDOW);
            self.at(self.now + after, Event::Beacon { node });
        }
    }

    pub(super) fn send_beacon(&mut self, node: NodeNo) {
        self.node(node).owes_beacon = false;
        let now = self.now;
        if let Join::Joined = self.node(node).join {
            let route = self.node(node).table.to(0, now).map(|route| route.rank.cost);
            let cost = if node == 0 { Some(0) } else { route };
            self.broadcast(node, Message::Beacon { cost: cost.unwrap_or(NO_ROUTE) });
        }
    }

    pub(super) fn hear_beacon(&mut self, node: NodeNo, from: NodeNo, channel: usize, lqi: u8, cost: u16) {
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        if cost == NO_ROUTE || lqi < LEAST_LQI {
            return;
        }
        let total = cost.saturating_add(self.options.metric.cost(lqi, medium));
        if let Join::Scanning { best } = &mut self.node(node).join {
            if best.is_none_or(|best| (cost, best.lqi) < (best.cost, lqi)) {
                *best = Some(Agent { node: from, channel, lqi, cost, total });
            }
        }
    }

    /// What became of a message of a bootstrap, at its sender.
    pub(super) fn bootstrap_sent(&mut self, node: NodeNo, said: Bootstrap, is_sent: bool) {
        if let (0, Some(Parcel { tag, .. })) = (node, said.parcel) {
            self.outputs.push_back(Output::Confirmed { tag, is_sent, at: self.now });
        }
        if let (Join::Joining { agent, tries, .. }, false, true) = (self.node(node).join, is_sent, said.device == node)
        {
            self.figures.joins_unsent += 1;
            self.join_failed(node, agent, tries);
        }
    }

    /// One hop of a bootstrap: the device's agent hears the device, or the device its agent.
    pub(super) fn hear_bootstrap(&mut self, node: NodeNo, from: NodeNo, said: Bootstrap) {
        if said.device != node {
            // The agent passes on what its device says.
            if self.is_joined(node) {
                self.carry(node, Data::new(node, 0, Load::Bootstrap(said)));
            }
            return;
        }
        let Join::Joining { agent, tries, step } = self.node(node).join else { return };
        if from != agent.node {
            return;
        }
        if let Some(Parcel { tag, .. }) = said.parcel {
            return self.outputs.push_back(Output::Hosted(Hosted::Hears { device: node, tag }));
        }
        if said.step != step + 1 {
            return;
        }
        if said.step == ACCEPTED {
            return self.admit(node);
        }
        let step = said.step + 1;
        self.node(node).join = Join::Joining { agent, tries, step };
        self.say_step(node, agent, step, None);
    }

    /// Somebody else speaks for a device that joins; nothing where it does not.
    pub fn say(&mut self, device: NodeNo, parcel: Parcel) {
        if let Join::Joining { agent, .. } = self.node(device).join {
            self.say_step(device, agent, 0, Some(parcel));
        }
    }

    /// And for the coordinator, to a device behind an agent, 0 for itself.
    pub fn tell(&mut self, device: NodeNo, agent: NodeNo, parcel: Parcel) {
        self.answer_device(agent, Bootstrap { device, step: 1, parcel: Some(parcel) });
    }

    /// A device that was about to join is in.
    pub fn admit(&mut self, node: NodeNo) {
        let now = self.now;
        let there = self.node(node);
        let Join::Joining { agent, .. } = there.join else { return };
        there.join = Join::Joined;
        there.failures = 0;
        let rank = Rank { weak: 0, cost: agent.total, hops: 1 };
        there.table.learn(0, (agent.node, agent.channel), rank, (0, true), now);
        self.outputs.push_back(Output::Joined { node, at: now });
        if self.options.announces {
            self.search_for(node, 0, HOPS, None);
        }
    }

    /// A device that was about to join may not.
    pub fn decline(&mut self, node: NodeNo) {
        if let Join::Joining { agent, tries, .. } = self.node(node).join {
            self.join_failed(node, agent, tries);
        }
    }

    /// The coordinator answers, and agents pass its answers on.
    pub(super) fn carry_bootstrap(&mut self, node: NodeNo, agent: NodeNo, said: Bootstrap) {
        let device = said.device;
        if said.step % 2 == 1 {
            // From the coordinator, at the agent.
            return self.tell_device(node, said);
        }
        if let Some(Parcel { tag, .. }) = said.parcel {
            return self.outputs.push_back(Output::Hosted(Hosted::Says { device, agent, tag }));
        }
        let now = self.now;
        self.slots.retain(|_, until| *until > now);
        let is_known = self.slots.contains_key(&device);
        if said.step == 0 && !is_known && self.slots.len() >= self.options.slots {
            // As our bootstrap server does: who asks while all places are taken waits for one.
            self.figures.no_place += 1;
            self.wait_for_place(device, agent);
        } else if said.step == 0 || is_known {
            self.serve(device, agent, said.step + 1);
        }
        self.give_places();
    }

    /// The coordinator says a step to a device; the last one gives its place away.
    fn serve(&mut self, device: NodeNo, agent: NodeNo, step: u8) {
        let now = self.now;
        match step {
            ACCEPTED => self.slots.remove(&device),
            _ => self.slots.insert(device, now + SLOT),
        };
        self.answer_device(agent, Bootstrap { device, step, parcel: None });
    }

    fn wait_for_place(&mut self, device: NodeNo, agent: NodeNo) {
        let until = self.now + JOIN_WAIT;
        self.waiting.retain(|(waiting, ..)| *waiting != device);
        self.waiting.push_back((device, agent, until));
    }

    fn give_places(&mut self) {
        let now = self.now;
        while self.slots.len() < self.options.slots {
            let Some((device, agent, until)) = self.waiting.pop_front() else { return };
            if until > now {
                self.serve(device, agent, 1);
            }
        }
    }

    fn answer_device(&mut self, agent: NodeNo, answer: Bootstrap) {
        match agent {
            0 => self.tell_device(0, answer),
            agent => self.carry(0, Data::new(0, agent, Load::Bootstrap(answer))),
        }
    }

    fn tell_device(&mut self, agent: NodeNo, said: Bootstrap) {
        let Join::Joining { agent: Agent { channel, .. }, .. } = self.node(said.device).join else {
            return self.bootstrap_sent(agent, said, false);
        };
        self.send(agent, channel, Frame { to: Some(said.device), message: Message::Bootstrap(said) });
    }
}

const ACCEPTED: u8 = 5;
/// The cost in the beacon of who knows no way to the coordinator.
const NO_ROUTE: u16 = 0x7fff;
/// Pauses before a scan and before a join: from and to, at first and at most.
const BEFORE_SCAN: [(Micros, Micros); 2] = [(1_000_000, 20_000_000), (5_000_000, 100_000_000)];
const BEFORE_JOIN: [(Micros, Micros); 2] = [(100_000, 2_000_000), (2_500_000, 10_000_000)];
const SCAN: Micros = 15_000_000;
const LEAST_LQI: u8 = 53;
/// Joins by the same agent before another scan.
const TRIES: u8 = 3;
const BEACON_WINDOW: Micros = 12_000_000;
/// adpMaxJoinWaitTime.
const JOIN_WAIT: Micros = 90_000_000;
/// A bootstrap that does not go on gives its place away.
const SLOT: Micros = 90_000_000;
