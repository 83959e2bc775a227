//! Medium access: one queue a node and medium, CSMA/CA ([`Contention`]), segments, acknowledgements that get lost, five
//! retries. Hidden nodes collide at the receiver.

use std::collections::VecDeque;

use super::channel::{disturbance, linear};
use super::contention::Contention;
use super::duty::Duty;
use super::figures::{Loss, Sent};
use super::hybrid::NEAR_TTL;
use super::job::Job;
use super::join::Join;
use super::message::{Frame, NodeNo};
use super::phy::{Medium, Micros, Modulation};
use super::world::{Event, World};

/// One node on one medium.
#[derive(Debug, Clone)]
pub(super) struct Mac {
    pub(super) is_there: bool,
    queue: VecDeque<Job>,
    state: State,
    contention: Contention,
    /// What it is receiving.
    receiving: Option<Receiving>,
    pub(super) duty: Duty,
    /// Backoffs of an earlier life come to nothing.
    waits_until: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Waiting,
    Sending,
}

#[derive(Debug, Clone, Copy)]
struct Receiving {
    air: usize,
    level: f64,
    interference: f64,
    /// Until then its header is under way.
    header: Micros,
}

/// One transmission that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Air {
    from: NodeNo,
    channel: usize,
    modulation: Modulation,
    frame: Frame,
    /// Octets of each segment.
    segment: u16,
}

/// What a neighbour answered when it was asked how it hears us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tones {
    modulation: Modulation,
    pub(super) lqi: u8,
    pub(super) until: Micros,
}

impl Mac {
    pub(super) fn new(is_there: bool) -> Self {
        Self {
            is_there,
            queue: VecDeque::new(),
            state: State::Idle,
            contention: Contention::default(),
            receiving: None,
            duty: Duty::default(),
            waits_until: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.contention.reset();
        *self = Self { contention: self.contention, ..Self::new(self.is_there) };
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }
}

impl World {
    pub(super) fn send(&mut self, node: NodeNo, channel: usize, frame: Frame) {
        self.enqueue(node, channel, Job::new(frame));
    }

    pub(super) fn enqueue(&mut self, node: NodeNo, channel: usize, job: Job) {
        let Some(mac) = self.node(node).macs.get_mut(channel).filter(|mac| mac.is_there) else { return };
        if mac.queue.len() >= QUEUE {
            self.figures.overflows += 1;
            return self.ended(node, channel, job, false);
        }
        mac.queue.push_back(job);
        if mac.state == State::Idle {
            self.contend(node, channel);
        }
    }

    fn contend(&mut self, node: NodeNo, channel: usize) {
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        let now = self.now;
        let Some(mac) = self.nodes.get_mut(node).and_then(|node| node.macs.get_mut(channel)) else { return };
        mac.state = State::Waiting;
        mac.waits_until = mac.contention.draw(medium, now, &mut self.random);
        let at = mac.waits_until;
        self.at(at, Event::Try { node, channel });
    }

    /// A backoff is over: send, or wait again.
    pub(super) fn attempt(&mut self, node: NodeNo, channel: usize) {
        let now = self.now;
        let Some(mac) = self.node(node).macs.get_mut(channel) else { return };
        if mac.state != State::Waiting || mac.waits_until != now {
            return;
        }
        let goes_on = mac.queue.front_mut().is_some_and(|job| std::mem::take(&mut job.goes_on));
        let is_busy = !goes_on && (mac.receiving.is_some() || mac.contention.is_busy(now));
        if !is_busy {
            let Some(frame) = mac.queue.front().map(|job| job.frame) else { return };
            let refreshed = self.refresh(node, channel, frame);
            let Some(mac) = self.node(node).macs.get_mut(channel) else { return };
            return match (refreshed, mac.queue.front_mut()) {
                (Some(frame), Some(job)) => {
                    job.frame = frame;
                    self.start(node, channel);
                }
                _ => self.finish(node, channel, true),
            };
        }
        if !mac.contention.defer() {
            self.figures.access_failures += 1;
            return self.finish(node, channel, false);
        }
        self.contend(node, channel);
    }

    fn start(&mut self, node: NodeNo, channel: usize) {
        let now = self.now;
        let Self { nodes, channels, air, figures, .. } = self;
        let (Some(sender), Some(there)) = (nodes.get_mut(node), channels.get(channel)) else { return };
        let medium = there.medium;
        let Some(mac) = sender.macs.get_mut(channel) else { return };
        let Some(job) = mac.queue.front_mut() else { return };
        let frame = job.frame;
        let known = frame.to.and_then(|to| sender.tones.get(&(to, channel))).filter(|tones| tones.until > now);
        // The last attempts are as safe as they can be.
        let modulation = known.filter(|_| job.attempts < SAFE_FROM).map_or(Modulation::Robo, |tones| tones.modulation);
        job.cut(frame.message.octets(medium), modulation, medium.segment(modulation));
        let (segment, is_repeated) = (job.segment, job.attempts > 0);
        let one = medium.airtime(modulation, segment);
        let answered = if frame.to.is_some() { medium.acknowledgement() } else { 0 };
        // The receiver tells what it hears where that is not known; of a radio there are no tones.
        let is_asked = frame.to.is_some() && known.is_none() && medium == Medium::Plc;
        let tones = if is_asked { medium.airtime(Modulation::Robo, 20) } else { 0 };
        let length = one + answered;
        // What follows without contention is announced too.
        let goes_on = if job.left > 1 { medium.silence() + medium.detection() } else { 0 };
        if !mac.duty.may_send(medium, node, one, now) {
            figures.duty_refusals += 1;
            return self.finish(node, channel, false);
        }
        mac.state = State::Sending;
        mac.receiving = None;
        let end = now + length;
        let reserved = end + tones + goes_on;
        let number = air.iter().position(Option::is_none).unwrap_or_else(|| {
            air.push(None);
            air.len() - 1
        });
        let others: Vec<NodeNo> =
            air.iter().flatten().filter(|other| other.channel == channel).map(|other| other.from).collect();
        let mut is_heard_at_station = node == 0;
        for link in there.links(node) {
            let Some(receiver) = nodes.get_mut(link.to).filter(|receiver| receiver.is_up) else { continue };
            let Some(mac) = receiver.macs.get_mut(channel).filter(|mac| mac.is_there) else { continue };
            let (level, noise) = (there.level(node, link), there.noise(link.to));
            let is_stronger = mac.receiving.is_some_and(|receiving| level > receiving.level + CAPTURE);
            let is_audible = medium.is_heard(level - noise);
            is_heard_at_station |= is_audible && link.to == 0;
            if let Some(receiving) = &mut mac.receiving {
                receiving.interference += linear(level);
                let is_drowned = !medium.is_heard(receiving.level - disturbance(noise, receiving.interference));
                if is_drowned && !is_stronger && now < receiving.header {
                    mac.contention.lost_track(medium, now, now);
                }
            }
            if !is_audible || mac.state == State::Sending || (mac.receiving.is_some() && !is_stronger) {
                continue;
            }
            let heard = others.iter().filter_map(|other| {
                let link = there.link(*other, link.to)?;
                Some(linear(there.level(*other, link)))
            });
            let interference = heard.sum();
            mac.receiving = Some(Receiving { air: number, level, interference, header: now + medium.header() });
            match medium.is_heard(level - disturbance(noise, interference)) {
                true => mac.contention.understood(now + medium.detection(), reserved, now),
                false => mac.contention.lost_track(medium, now + medium.detection(), now),
            }
        }
        figures.sent(Sent {
            kind: frame.message.kind(),
            frame: one,
            acknowledgement: answered,
            tones,
            is_repeated,
            is_heard: is_heard_at_station,
        });
        if let Some(place) = air.get_mut(number) {
            *place = Some(Air { from: node, channel, modulation, frame, segment });
        }
        self.at(end, Event::End { air: number });
    }

    pub(super) fn end(&mut self, number: usize) {
        let Some(Air { from, channel, modulation, frame, segment }) = self.air.get_mut(number).and_then(Option::take)
        else {
            return;
        };
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        let mut heard = Vec::new();
        let (mut overheard, mut near) = (Vec::new(), Vec::new());
        let mut is_sniffed = from == 0;
        {
            let Self { nodes, channels, random, sniffer, .. } = self;
            let Some(there) = channels.get(channel) else { return };
            for link in there.links(from) {
                let Some(node) = nodes.get_mut(link.to) else { continue };
                let is_out = !matches!(node.join, Join::Joined);
                let Some(mac) = node.macs.get_mut(channel) else { continue };
                let Some(receiving) = mac.receiving.filter(|receiving| receiving.air == number) else { continue };
                mac.receiving = None;
                let snr = there.effective(from, link, receiving.interference);
                let is_read = snr >= medium.threshold(modulation);
                if is_out && is_read {
                    overheard.push(link.to);
                }
                if is_read && (link.to == 0 || channels.len() > 1) {
                    near.push(link.to);
                }
                if link.to == 0 {
                    is_sniffed = sniffer.chance(medium.success(modulation, segment, snr));
                }
                if frame.to.is_none_or(|to| to == link.to) {
                    let alone = if frame.to.is_some() { there.effective(from, link, 0.0) } else { snr };
                    let arrives = random.unit() < there.medium.success(modulation, segment, snr);
                    heard.push((link.to, snr, alone, arrives));
                }
            }
        }
        self.figures.sniffed(frame.message.kind(), is_sniffed);
        overheard.into_iter().for_each(|node| self.overhear(node, &frame.message));
        near.into_iter().for_each(|node| self.note_near(node, from, channel));
        let is_alive = self.nodes.get(from).is_some_and(|node| node.is_up);
        let is_ours = |mac: &&mut Mac| mac.state == State::Sending && is_alive;
        if frame.to.is_none() {
            if let Some(mac) = self.node(from).macs.get_mut(channel).filter(is_ours) {
                mac.contention.succeeded(medium);
                self.finish(from, channel, true);
            }
            for (node, snr, _, arrives) in heard {
                if arrives {
                    self.hear(node, from, channel, medium.lqi(snr), frame.message);
                }
            }
            return;
        }
        if self.node(from).macs.get_mut(channel).filter(is_ours).is_none() {
            return;
        }
        match heard.first() {
            Some((node, snr, alone, _)) => {
                self.acknowledge(from, *node, channel, modulation, segment, (*snr, *alone), frame);
            }
            None => {
                self.lose(channel, modulation, segment, frame, Loss::Deaf);
                self.retry(from, channel);
            }
        }
    }

    /// Draws whether a segment arrives and whether its acknowledgement does.
    #[expect(clippy::too_many_arguments, reason = "one transmission, taken apart")]
    fn acknowledge(
        &mut self,
        from: NodeNo,
        to: NodeNo,
        channel: usize,
        modulation: Modulation,
        segment: u16,
        (snr, alone): (f64, f64),
        frame: Frame,
    ) {
        let now = self.now;
        let Self { nodes, channels, random, .. } = self;
        let Some(there) = channels.get(channel) else { return };
        let medium = there.medium;
        let back = there.link(to, from).map_or(f64::NEG_INFINITY, |link| there.effective(to, link, 0.0));
        let data = there.medium.success(modulation, segment, snr);
        let acknowledgement = there.medium.success(Modulation::Robo, 20, back);
        let Some(sender) = nodes.get_mut(from) else { return };
        let Some(mac) = sender.macs.get_mut(channel) else { return };
        let Some(job) = mac.queue.front_mut() else { return };
        let drawn = random.unit();
        let is_new = !job.has_arrived && drawn < data;
        let is_lost = !job.has_arrived && !is_new;
        job.has_arrived |= is_new;
        let is_acknowledged = job.has_arrived && random.chance(acknowledgement);
        let is_whole = is_new && job.left == 1;
        // What came over the other medium already is known by what is in it.
        let is_news = is_whole && !(job.backup_of.is_some() && job.was_heard);
        job.was_heard |= is_whole;
        let is_answered = job.has_arrived;
        if is_acknowledged {
            mac.contention.succeeded(medium);
            (job.left, job.attempts, job.has_arrived) = (job.left - 1, 0, false);
            let (lqi, until) = (medium.lqi(snr), now + if medium == Medium::Plc { TONES_TTL } else { NEAR_TTL });
            // A safe attempt got through: the next one may be a faster one again.
            sender.tones.insert((to, channel), Tones { modulation: Modulation::for_snr(snr - MARGIN), lqi, until });
        } else {
            sender.tones.remove(&(to, channel));
        }
        let is_over = is_acknowledged && job.left == 0;
        if is_lost {
            let would_arrive = drawn < there.medium.success(modulation, segment, alone);
            self.lose(channel, modulation, segment, frame, if would_arrive { Loss::Collision } else { Loss::Noise });
        }
        if let Some(mac) = self.node(to).macs.get_mut(channel).filter(|_| is_answered) {
            mac.duty.spend(medium, to, medium.acknowledgement() - medium.silence(), now);
        }
        if is_news {
            self.hear(to, from, channel, medium.lqi(snr), frame.message);
        }
        match (is_over, is_acknowledged) {
            (true, _) => self.finish(from, channel, true),
            (false, true) => self.go_on(from, channel),
            (false, false) => self.retry(from, channel),
        }
    }

    fn lose(&mut self, channel: usize, modulation: Modulation, segment: u16, frame: Frame, loss: Loss) {
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        let length = medium.airtime(modulation, segment) + medium.acknowledgement();
        self.figures.lost(frame.message.kind(), loss, length);
    }

    /// The next segment follows the acknowledgement of the one before.
    fn go_on(&mut self, node: NodeNo, channel: usize) {
        let Some(at) = self.channels.get(channel).map(|channel| self.now + channel.medium.silence()) else { return };
        let Some(mac) = self.node(node).macs.get_mut(channel) else { return };
        (mac.state, mac.waits_until) = (State::Waiting, at);
        mac.queue.iter_mut().take(1).for_each(|job| job.goes_on = true);
        self.at(at, Event::Try { node, channel });
    }

    fn retry(&mut self, node: NodeNo, channel: usize) {
        let now = self.now;
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return };
        let Some(mac) = self.node(node).macs.get_mut(channel) else { return };
        mac.contention.failed();
        // Whether it was noise or others nobody knows, nor how long those go on.
        mac.contention.lost_track(medium, now, now);
        let Some(job) = mac.queue.front_mut() else { return };
        job.attempts += 1;
        if job.attempts > RETRIES {
            self.figures.unacknowledged += 1;
            return self.finish(node, channel, false);
        }
        self.contend(node, channel);
    }

    /// The first job is over; the next one begins.
    fn finish(&mut self, node: NodeNo, channel: usize, is_sent: bool) {
        let Some(mac) = self.node(node).macs.get_mut(channel) else { return };
        mac.state = State::Idle;
        mac.contention.given_up();
        let Some(job) = mac.queue.pop_front() else { return };
        if mac.queued() > 0 {
            self.contend(node, channel);
        }
        self.ended(node, channel, job, is_sent);
    }
}

/// A receiver turns to a frame that begins later where it is so much louder, in dB.
const CAPTURE: f64 = 6.0;
const QUEUE: usize = 24;
const RETRIES: u8 = 5;
/// From this attempt on the most robust modulation is used.
const SAFE_FROM: u8 = 2;
/// Below what was heard, for what changes.
const MARGIN: f64 = 1.0;
const TONES_TTL: Micros = 120_000_000;
