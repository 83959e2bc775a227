//! The rotation of the key, as the server carries it out.

use super::campaign::SILENCE_TIME;
use super::{
    Action, Address, Duration, Event, Failure, Generation, Instant, Key, Media, Member, Phase, Purpose, Ring, Server,
    Task, Verdict,
};

impl Server {
    /// The ring of [`Event::KeepRing`] is durable.
    pub fn ring_kept(&mut self, now: Instant) {
        let Some(ring) = self.wanted.take() else { return };
        self.ring = ring;
        if matches!(ring.phase, Phase::Grace | Phase::Settled) {
            self.presumed.clear();
        }
        self.campaign.enter(ring.phase, self.silence(), now);
        self.actions.push_back(Action::Keys(ring));
        let missing = |member: &&Member| member.may_be_joined() && member.key_generation < ring.generation;
        let missing: Vec<_> = self.roster.iter().filter(missing).map(|member| member.eui64).collect();
        self.events.push_back(Event::Rekey { phase: ring.phase, missing: missing.len() });
        if ring.phase == Phase::Settled {
            // Nobody understands their key any more: they are out, and ask for admission when they notice.
            missing.into_iter().for_each(|eui64| self.leave(eui64));
        }
        self.fill(now);
    }

    /// Rotates the group master key. False while a rotation is under way: nothing is done.
    pub fn rekey(&mut self, gmk: Key) -> bool {
        if self.ring.phase != Phase::Settled || self.wanted.is_some() {
            return false;
        }
        self.want(self.ring.with(gmk));
        true
    }

    /// Gives the campaign its slots, or brings it to its next phase.
    pub(super) fn go_on(&mut self, now: Instant) {
        if self.wanted.is_some() {
            return;
        }
        let campaign = &self.campaign;
        let free = (self.limits.slots - 1).max(1).saturating_sub(self.slots.len());
        let is_idle = |member: &Member| !self.slots.contains_key(&member.eui64) && campaign.may_try(member.eui64, now);
        let (chosen, is_done) = {
            // The server in the modem activates the place that is not in use: behind the switch that is the old key's.
            let may = self.generation == Some(Generation::HostLbs) || self.ring.phase != Phase::Grace;
            let members = self.roster.iter().filter(|_| may);
            let open = members.filter_map(|member| Some((*member, campaign.task(&self.ring, member)?)));
            // Who was tried before comes behind all who were not.
            let idle = open.clone().filter(|(member, _)| is_idle(member));
            let (new, tried) = (idle.clone(), idle);
            let new = new.filter(|(member, _)| !campaign.was_tried(member.eui64));
            let tried = tried.filter(|(member, _)| campaign.was_tried(member.eui64));
            let chosen: Vec<_> = new.chain(tried).take(free).collect();
            let is_done = match self.ring.phase {
                Phase::Distribute => open.clone().next().is_none(),
                Phase::Activate => !open.clone().any(|(_, task)| task == Task::Activate),
                Phase::Grace | Phase::Settled => false,
            };
            (chosen, is_done)
        };
        if is_done || self.ring.phase != Phase::Settled && campaign.is_over(now) {
            return self.want(self.ring.next());
        }
        for (member, task) in chosen {
            if self.ring.phase == Phase::Settled && self.generation == Some(Generation::ModemLbs) {
                // It cannot be told again: it has to join again.
                self.kick(member.eui64, now);
                continue;
            }
            self.rekey_node(member, task, now);
        }
    }

    fn want(&mut self, ring: Ring) {
        self.wanted = Some(ring);
        self.events.push_back(Event::KeepRing(ring));
    }

    /// Distributes the new key to a member, or tells it to use it.
    pub(super) fn rekey_node(&mut self, member: Member, task: Task, now: Instant) {
        let Verdict::Admit(psk) = self.admission.verdict(member.eui64) else {
            // It was struck off the list: it does not get the new key.
            self.kick(member.eui64, now);
            return self.events.push_back(Event::JoinFailed { eui64: member.eui64, why: Failure::NotAdmitted });
        };
        let (generation, destination) = (self.ring.generation, Address::Short(member.short_addr));
        self.open(member, Purpose::Rekey(task), psk, generation, destination, Media::default(), now);
    }

    /// How long a node may say nothing after a rotation. Where it would be sent away, everybody is to be heard first.
    pub(super) fn silence(&self) -> Duration {
        if self.generation == Some(Generation::ModemLbs) { self.limits.patience.grace } else { SILENCE_TIME }
    }
}
