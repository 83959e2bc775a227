//! How a meter comes in: it scans, asks the best of those that answer to be its agent, and goes through the seven steps
//! of the bootstrap; it tries again later where that fails.

use super::message::{Bootstrap, Data, Frame, Load, Message, NodeNo, Output, Rank};
use super::phy::Micros;
use super::route::link_cost;
use super::world::{Event, World};

#[derive(Debug, Clone, Copy)]
pub(super) enum Join {
    Out,
    Scanning {
        attempt: u32,
        /// How good the way to the coordinator is by the agent, and the medium to it.
        best: Option<(Rank, NodeNo, usize)>,
    },
    /// Tries again later.
    Failed {
        attempt: u32,
    },
    Joining {
        attempt: u32,
        agent: NodeNo,
        channel: usize,
        cost: u16,
        step: u8,
    },
    Joined,
}

impl World {
    pub(super) fn scan(&mut self, node: NodeNo) {
        let attempt = match self.node(node).join {
            Join::Failed { attempt } => attempt + 1,
            _ => 0,
        };
        self.node(node).join = Join::Scanning { attempt, best: None };
        self.figures.scans += 1;
        self.broadcast(node, Message::BeaconRequest);
        self.at(self.now + SCAN, Event::ScanEnd { node });
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
        let there = self.node(node);
        if cost == NO_ROUTE {
            return;
        }
        // Who did not answer before is asked only where all others are worse.
        let failures = there.failures.get(&from).copied().unwrap_or(0);
        let total =
            Rank { weak: 0, cost: cost.saturating_add(failures * FAILURE), hops: 0 }.with(lqi, link_cost(lqi, medium));
        if let Join::Scanning { best, .. } = &mut there.join {
            if best.is_none_or(|(known, ..)| total < known) {
                *best = Some((total, from, channel));
            }
        }
    }

    pub(super) fn scan_end(&mut self, node: NodeNo) {
        let Join::Scanning { attempt, best } = self.node(node).join else { return };
        let Some((Rank { cost, .. }, agent, channel)) = best else { return self.retry_join(node, attempt) };
        self.node(node).join = Join::Joining { attempt, agent, channel, cost, step: 0 };
        let message = Message::Bootstrap(Bootstrap { device: node, step: 0 });
        self.send(node, channel, Frame { to: Some(agent), message });
        self.await_step(node);
    }

    /// What became of a message of a bootstrap, at its sender.
    pub(super) fn bootstrap_sent(&mut self, node: NodeNo, said: Bootstrap, is_sent: bool) {
        if let (Join::Joining { attempt, agent, .. }, false, true) =
            (self.node(node).join, is_sent, said.device == node)
        {
            self.join_failed(node, attempt, agent);
        }
    }

    fn join_failed(&mut self, node: NodeNo, attempt: u32, agent: NodeNo) {
        self.figures.joins_failed += 1;
        *self.node(node).failures.entry(agent).or_insert(0) += 1;
        self.retry_join(node, attempt);
    }

    fn await_step(&mut self, node: NodeNo) {
        let there = self.node(node);
        there.timer += 1;
        let timer = there.timer;
        self.at(self.now + JOIN_WAIT, Event::JoinTimeout { node, timer });
    }

    pub(super) fn join_timeout(&mut self, node: NodeNo, timer: u32) {
        let there = self.node(node);
        if let (Join::Joining { attempt, agent, .. }, true) = (there.join, there.timer == timer) {
            self.join_failed(node, attempt, agent);
        }
    }

    /// Up to 30 s at first, twice as long each time.
    fn retry_join(&mut self, node: NodeNo, attempt: u32) {
        self.node(node).join = Join::Failed { attempt };
        let most = (BACKOFF << attempt.min(20)).min(self.options.backoff);
        let after = self.random.under(most) + SCAN;
        self.at(self.now + after, Event::Rescan { node });
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
        let now = self.now;
        let Join::Joining { attempt, agent, channel, cost, step } = self.node(node).join else { return };
        if from != agent || said.step != step + 1 {
            return;
        }
        if said.step == ACCEPTED {
            let there = self.node(node);
            there.join = Join::Joined;
            there.failures.clear();
            there.table.learn(0, (agent, channel), Rank { weak: 0, cost, hops: 1 }, 0, now);
            self.outputs.push_back(Output::Joined { node, at: now });
            return;
        }
        let step = said.step + 1;
        self.node(node).join = Join::Joining { attempt, agent, channel, cost, step };
        let message = Message::Bootstrap(Bootstrap { device: node, step });
        self.send(node, channel, Frame { to: Some(agent), message });
        self.await_step(node);
    }

    /// The coordinator answers, and agents pass its answers on.
    pub(super) fn carry_bootstrap(&mut self, node: NodeNo, agent: NodeNo, said: Bootstrap) {
        let device = said.device;
        if said.step % 2 == 1 {
            // From the coordinator, at the agent.
            return self.tell_device(node, said);
        }
        let now = self.now;
        self.slots.retain(|_, until| *until > now);
        if !self.slots.contains_key(&device) && (said.step != 0 || self.slots.len() >= self.options.slots) {
            return;
        }
        self.slots.insert(device, now + SLOT);
        let answer = Bootstrap { device, step: said.step + 1 };
        if answer.step == ACCEPTED {
            self.slots.remove(&device);
        }
        match agent {
            0 => self.tell_device(0, answer),
            agent => self.carry(0, Data::new(0, agent, Load::Bootstrap(answer))),
        }
    }

    fn tell_device(&mut self, agent: NodeNo, said: Bootstrap) {
        let Join::Joining { channel, .. } = self.node(said.device).join else { return };
        self.send(agent, channel, Frame { to: Some(said.device), message: Message::Bootstrap(said) });
    }
}

const ACCEPTED: u8 = 5;
/// The cost in the beacon of who knows no way to the coordinator.
const NO_ROUTE: u16 = 0x7fff;
const SCAN: Micros = 16_000_000;
const BEACON_WINDOW: Micros = 12_000_000;
/// adpMaxJoinWaitTime, as public sample firmware sets it.
const JOIN_WAIT: Micros = 90_000_000;
/// Added to the cost of an agent for each time that a join by it came to nothing.
const FAILURE: u16 = 6;
const BACKOFF: Micros = 30_000_000;
/// A bootstrap that does not go on gives its place away.
const SLOT: Micros = 90_000_000;
