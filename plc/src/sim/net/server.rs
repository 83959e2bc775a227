//! The coordinator's side of bootstraps, as our server carries them on (`g3::bootstrap`): so many at the same time, who asked
//! first is served first, what is not answered is said again. Its answers go by the devices' agents.

use super::join::{ACCEPTED, Join};
use super::message::{Bootstrap, Data, Frame, Hosted, Load, Message, NodeNo, Output, Parcel};
use super::phy::Micros;
use super::world::{Event, World};
use crate::g3::bootstrap::{DUPLICATE_TIME, WAITING_TIME};

/// A bootstrap that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversation {
    agent: NodeNo,
    /// What was said last, and how often.
    step: u8,
    tries: u32,
    since: Micros,
    until: Micros,
}

impl World {
    /// A message of a bootstrap is where it was to go: at the coordinator, or at the device's agent.
    pub(super) fn carry_bootstrap(&mut self, node: NodeNo, agent: NodeNo, said: Bootstrap) {
        let device = said.device;
        if said.step % 2 == 1 {
            return self.tell_device(node, said);
        }
        if let Some(Parcel { tag, .. }) = said.parcel {
            return self.outputs.push_back(Output::Hosted(Hosted::Says { device, agent, tag }));
        }
        let known = self.conversations.get(&device).copied();
        match (said.step, known) {
            (0, Some(known)) if known.since + micros(DUPLICATE_TIME) > self.now => {}
            (0, _) => {
                self.conversations.remove(&device);
                self.wait_for_place(device, agent);
            }
            (step, Some(known)) if step == known.step + 1 => self.serve(device, agent, step + 1),
            _ => {}
        }
        self.give_places();
    }

    /// What was said last has left, at least to the next node: from now on an answer is waited for.
    pub(super) fn bootstrap_left(&mut self, device: NodeNo) {
        let until = self.now + micros(self.options.server.message_time);
        if let Some(known) = self.conversations.get_mut(&device) {
            known.until = until;
            self.at(until, Event::Bootstrap { device });
        }
    }

    /// It could not be said.
    pub(super) fn bootstrap_lost(&mut self, device: NodeNo) {
        self.conversations.remove(&device);
        self.give_places();
    }

    /// An answer is waited for no longer: what was said is said again, or the place is somebody else's.
    pub(super) fn bootstrap_due(&mut self, device: NodeNo) {
        let Some(known) = self.conversations.get_mut(&device).filter(|known| known.until <= self.now) else { return };
        if known.tries >= self.options.server.tries {
            return self.bootstrap_lost(device);
        }
        known.tries += 1;
        let (agent, step) = (known.agent, known.step);
        self.bootstrap_left(device);
        self.answer_device(agent, Bootstrap { device, step, parcel: None });
    }

    /// The coordinator says a step to a device; the last one gives its place away.
    fn serve(&mut self, device: NodeNo, agent: NodeNo, step: u8) {
        let since = self.conversations.get(&device).map_or(self.now, |known| known.since);
        let until = self.now;
        match step {
            ACCEPTED => drop(self.conversations.remove(&device)),
            _ => drop(self.conversations.insert(device, Conversation { agent, step, tries: 1, since, until })),
        }
        self.bootstrap_left(device);
        self.answer_device(agent, Bootstrap { device, step, parcel: None });
    }

    fn wait_for_place(&mut self, device: NodeNo, agent: NodeNo) {
        self.figures.no_place += u64::from(self.conversations.len() >= self.options.server.joins);
        let until = self.now + micros(WAITING_TIME);
        match self.waiting.iter_mut().find(|(waiting, ..)| *waiting == device) {
            Some(known) => known.1 = agent,
            None => self.waiting.push_back((device, agent, until)),
        }
    }

    fn give_places(&mut self) {
        let now = self.now;
        while self.conversations.len() < self.options.server.joins {
            let Some((device, agent, until)) = self.waiting.pop_front() else { return };
            if until > now {
                self.serve(device, agent, 1);
            }
        }
    }

    /// The coordinator says something to a device, by its agent, 0 for itself.
    pub(super) fn answer_device(&mut self, agent: NodeNo, answer: Bootstrap) {
        match agent {
            0 => self.tell_device(0, answer),
            agent => self.carry(0, Data::new(0, agent, Load::Bootstrap(answer))),
        }
    }

    fn tell_device(&mut self, agent: NodeNo, said: Bootstrap) {
        let Some(channel) = self.channel_to(said.device) else { return self.bootstrap_sent(agent, said, false) };
        self.send(agent, channel, Frame { to: Some(said.device), message: Message::Bootstrap(said) });
    }

    /// Over which medium a device joins.
    fn channel_to(&mut self, device: NodeNo) -> Option<usize> {
        match self.node(device).join {
            Join::Joining { agent, .. } => Some(agent.channel),
            _ => None,
        }
    }
}

fn micros(time: std::time::Duration) -> Micros {
    Micros::try_from(time.as_micros()).unwrap_or(Micros::MAX)
}
