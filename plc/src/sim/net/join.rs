//! How a meter comes in: it scans, asks the best of those that answer to be its agent, and goes through the seven steps
//! of the bootstrap; it tries again later where that fails. As two makers' sample firmware does it: Microchip's
//! (`smartenergy_g3_apps`, g3_device_udp, `app_g3_management.c`, and `smartenergy_g3`, `lbp_dev.c`) and
//! STMicroelectronics' (`g3_app_boot_clt.c`, `g3_app_boot_constants.h`).

use super::message::{Bootstrap, Data, Frame, Hosted, Load, Message, NodeNo, Output, Parcel, Rank};
use super::options::Manner;
use super::phy::{Medium, Micros};
use super::routing::HOPS;
use super::world::{Event, World};

/// It rests; scans; takes the agent with the cheapest way to the coordinator among those that it hears well; rests again;
/// and joins.
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
    pub(super) node: NodeNo,
    pub(super) channel: usize,
    lqi: u8,
    /// From it to the coordinator.
    cost: u16,
}

/// What a maker's firmware waits for, and how long.
struct Habits {
    /// Pauses before a scan, before a first join and before another one by the same agent: from and to, at first and at
    /// most.
    before_scan: [(Micros, Micros); 2],
    before_join: [(Micros, Micros); 2],
    before_another: [(Micros, Micros); 2],
    scan: Micros,
    /// Below that an agent is not taken, by the power line and by radio.
    least_lqi: [u8; 2],
    /// Joins by the same agent before another scan.
    tries: u8,
}

impl World {
    pub(super) fn start_to_join(&mut self, node: NodeNo) {
        self.rest(node, Then::Scan, 0);
    }

    fn rest(&mut self, node: NodeNo, then: Then, doubled: u32) {
        self.node(node).join = Join::Resting { then, doubled, overheard: false };
        let habits = self.options.manner.habits();
        let pause = match then {
            Then::Scan => habits.before_scan,
            Then::Join { tries: 0, .. } => habits.before_join,
            Then::Join { .. } => habits.before_another,
        };
        let [low, high] = pause.map(|(least, most): (Micros, Micros)| (least << doubled.min(20)).min(most));
        let after = low + self.random.under((high - low).max(1));
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
                self.in_time(node, self.options.manner.habits().scan);
            }
            Join::Resting { then: Then::Join { agent, tries }, .. } => {
                there.join = Join::Joining { agent, tries: tries + 1, step: 0 };
                // For the whole of it: the timer of `lbp_dev.c` is set with the first message alone.
                self.in_time(node, JOIN_WAIT);
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
    }

    fn join_failed(&mut self, node: NodeNo, agent: Agent, tries: u8) {
        let is_over = tries >= self.options.manner.habits().tries;
        self.rest(node, if is_over { Then::Scan } else { Then::Join { agent, tries } }, 0);
    }

    /// A device that wants to join hears what is said to anybody, but has no key: beacons, and what other devices and their
    /// agents say to each other, it can read. What agents pass on, and requests for routes, are encrypted (LOADng and
    /// data go with adpSecurityLevel 5), and to it are as any other frame. It asks whether frames of bootstraps, and of
    /// LOADng, were for others; the part of the firmware that tells so (`drv_g3_macrt_comm.h`) has no key of anybody, as
    /// frames are decrypted above it.
    pub(super) fn overhear(&mut self, node: NodeNo, message: &Message) {
        let is_of_others = matches!(message, Message::Beacon { .. } | Message::Bootstrap(_));
        let is_patient = self.options.manner == Manner::Patient;
        if let Join::Resting { overheard, .. } = &mut self.node(node).join {
            *overheard |= is_of_others && is_patient;
        }
    }

    pub(super) fn hear_beacon_request(&mut self, node: NodeNo, channel: usize) {
        // One beacon answers all that ask while it waits for its turn, over the medium by which they do: each MAC layer
        // answers for itself.
        let is_joined = self.is_joined(node);
        let Some(owes) = self.node(node).owes_beacon.get_mut(channel).filter(|_| is_joined) else { return };
        if !std::mem::replace(owes, true) {
            let after = self.random.under(BEACON_WINDOW);
            self.at(self.now + after, Event::Beacon { node, channel });
        }
    }

    pub(super) fn send_beacon(&mut self, node: NodeNo, channel: usize) {
        self.node(node).owes_beacon.iter_mut().skip(channel).take(1).for_each(|owes| *owes = false);
        let now = self.now;
        if let Join::Joined = self.node(node).join {
            let route = self.node(node).table.to(0, now).map(|route| route.rank.cost);
            let cost = if node == 0 { Some(0) } else { route };
            let message = Message::Beacon { cost: cost.unwrap_or(NO_ROUTE) };
            self.send(node, channel, Frame { to: None, message });
        }
    }

    pub(super) fn hear_beacon(&mut self, node: NodeNo, from: NodeNo, channel: usize, lqi: u8, cost: u16) {
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        let [least, least_rf] = self.options.manner.habits().least_lqi;
        if cost == NO_ROUTE || lqi < if medium == Medium::Plc { least } else { least_rf } {
            return;
        }
        if let Join::Scanning { best } = &mut self.node(node).join {
            if best.is_none_or(|best| (cost, best.lqi) < (best.cost, lqi)) {
                *best = Some(Agent { node: from, channel, lqi, cost });
            }
        }
    }

    /// What became of a message of a bootstrap, at its sender.
    pub(super) fn bootstrap_sent(&mut self, node: NodeNo, said: Bootstrap, is_sent: bool) {
        match (node, said.parcel) {
            (0, Some(Parcel { tag, .. })) => {
                self.outputs.push_back(Output::Confirmed { tag, is_sent, at: self.now });
            }
            (0, None) if is_sent => self.bootstrap_left(said.device),
            (0, None) => self.bootstrap_lost(said.device),
            _ => {}
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
        if said.step + 1 == step {
            // What it has answered already is asked again: the answer goes again, too.
            return self.say_step(node, agent, step, None);
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
        // adpDefaultCoordRouteEnabled: what goes to the coordinator goes by the agent; but what that costs is not known
        // (RC_COORD is 7FFF) before a reply or a request of the coordinator came, so that nobody takes it for an agent.
        let rank = Rank { weak: 0, cost: NO_ROUTE, hops: 1 };
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
}

impl Manner {
    fn habits(self) -> &'static Habits {
        match self {
            Self::Patient => &PATIENT,
            Self::Eager => &EAGER,
        }
    }
}

pub(super) const ACCEPTED: u8 = 5;
/// The cost in the beacon of who knows no way to the coordinator.
const NO_ROUTE: u16 = 0x7fff;
const BEACON_WINDOW: Micros = 12_000_000;
/// adpMaxJoinWaitTime.
const JOIN_WAIT: Micros = 90_000_000;

const PATIENT: Habits = Habits {
    before_scan: [(1_000_000, 20_000_000), (5_000_000, 100_000_000)],
    before_join: [(100_000, 2_000_000), (2_500_000, 10_000_000)],
    before_another: [(100_000, 2_000_000), (2_500_000, 10_000_000)],
    scan: 15_000_000,
    least_lqi: [53, 95],
    tries: 3,
};

/// Where an agent does not get it in, the other maker's takes the next one of its list, which it had from the same scan.
const EAGER: Habits = Habits {
    before_scan: [(2_000_000, 2_000_000), (2_000_000, 2_000_000)],
    before_join: [(0, 0), (0, 0)],
    before_another: [(0, 0), (30_000_000, 30_000_000)],
    scan: 16_000_000,
    least_lqi: [52, 95],
    tries: 10,
};
