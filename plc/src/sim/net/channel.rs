//! How well each node hears each other, now. Every number is signal to noise at the receiver, in dB.
//!
//! Attenuation is the cable's, the cabinets' and the phases', the same in both directions but for what a sender's
//! mains impedance takes. Noise is the receiver's: a floor, the hour of the day, and sources with a place, which all
//! meters near them hear together. Both differ over the band, so that the links are seen through an effective
//! signal to noise. Model: `../shared/facts/plc-routes.md`, 5 and 7; Sanz, Cortes et al. validated one like it.

use super::phy::{FLOOR_DBM, Medium, Micros};
use super::site::{Phase, Site};
use crate::sim::random::{Random, of_pair};

/// One medium between all nodes.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) medium: Medium,
    /// By sender, the receivers in rising order.
    links: Vec<Vec<Link>>,
    /// By receiver.
    noise: Vec<Bands>,
    floor: Vec<Bands>,
    /// By sender: what its surroundings take now, of those on the power line.
    access: Vec<f64>,
    sources: Vec<Source>,
}

/// What a receiver gets of a sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) to: usize,
    /// Above the reference floor.
    level: f64,
    ripple: Bands,
}

/// How the medium differs from the default one.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Added to every signal, in dB: the whole site attenuates so much less.
    pub offset: f64,
    /// Sources of noise for each hundred meters.
    pub sources: f64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { offset: 0.0, sources: 6.0 }
    }
}

type Bands = [f64; BANDS];

/// A thing that makes noise, and who hears it how much weaker.
#[derive(Debug, Clone)]
struct Source {
    habit: Habit,
    is_on: bool,
    level: Bands,
    heard: Vec<(usize, f64)>,
}

#[derive(Debug, Clone, Copy)]
enum Habit {
    /// Inverters of solar plants.
    Day,
    /// Chargers.
    Night,
    /// Switched supplies.
    Evening,
    Bursts,
}

impl Channel {
    pub(super) fn new(medium: Medium, site: &Site, conditions: &Conditions, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x6e6f_6973);
        let count = site.nodes.len();
        let floor: Vec<Bands> = (0..count)
            .map(|_| {
                // Noise of the mains; what a radio hears where nobody sends is its own, as towns are quieter at 868 MHz.
                if medium == Medium::Rf {
                    return [0.0; BANDS];
                }
                let level = 5.0 * random.normal();
                // Low frequencies are noisier.
                std::array::from_fn(|band| {
                    level + 3.0 * (1.0 - 2.0 * band as f64 / (BANDS - 1) as f64) + random.normal()
                })
            })
            .collect();
        let links = links(medium, site, seed, conditions.offset);
        let sources = match medium {
            Medium::Plc => sources(site, (count as f64 * conditions.sources / 100.0).ceil() as usize, &mut random),
            Medium::Rf => Vec::new(),
        };
        // What is plugged in beside a sender loads the mains, and no antenna.
        let access = if medium == Medium::Plc { vec![0.0; count] } else { Vec::new() };
        let mut channel = Self { medium, links, noise: floor.clone(), floor, access, sources };
        channel.step(0, 12.0, &mut random);
        channel
    }

    /// From now on a sender is heard by nobody, or all are.
    #[cfg(test)]
    pub(super) fn cut(&mut self, sender: Option<usize>) {
        let is_meant = |number: usize| sender.is_none_or(|sender| sender == number);
        self.links.iter_mut().enumerate().filter(|(number, _)| is_meant(*number)).for_each(|(_, links)| links.clear());
    }

    /// Who may hear a sender.
    pub(super) fn links(&self, from: usize) -> &[Link] {
        self.links.get(from).map_or(&[], Vec::as_slice)
    }

    pub(super) fn link(&self, from: usize, to: usize) -> Option<&Link> {
        let links = self.links(from);
        links.binary_search_by_key(&to, |link| link.to).ok().and_then(|at| links.get(at))
    }

    /// Over the whole band, for carrier sense and interference.
    pub(super) fn level(&self, from: usize, link: &Link) -> f64 {
        link.level - self.access.get(from).copied().unwrap_or(0.0)
    }

    /// What the receiver's noise is over the whole band.
    pub(super) fn noise(&self, at: usize) -> f64 {
        self.noise.get(at).map_or(0.0, |noise| noise.iter().sum::<f64>() / BANDS as f64)
    }

    /// The signal to noise of a flat channel that would lose as many frames.
    pub(super) fn effective(&self, from: usize, link: &Link, interference: f64) -> f64 {
        let level = self.level(from, link);
        let Some(noise) = self.noise.get(link.to) else { return f64::NEG_INFINITY };
        let bands = noise
            .iter()
            .zip(&link.ripple)
            .map(|(noise, ripple)| linear(level + ripple - disturbance(*noise, interference)));
        let mean = bands.map(|snr| (-snr / SPREAD).exp()).sum::<f64>() / BANDS as f64;
        decibel(-SPREAD * mean.max(1e-300).ln())
    }

    /// Lets the surroundings go on: `hour` is the time of the day, `elapsed` what has passed since the last step.
    pub(super) fn step(&mut self, elapsed: Micros, hour: f64, random: &mut Random) {
        let minutes = elapsed as f64 / 60e6;
        for access in &mut self.access {
            // Devices are plugged in and out; half an hour later it is another value.
            let kept = (-minutes / 30.0).exp();
            *access = *access * kept + 3.0 * (1.0 - kept * kept).sqrt() * random.normal();
        }
        for source in &mut self.sources {
            source.step(minutes, hour, random);
        }
        let evening = if self.medium == Medium::Plc { 6.0 * (-((hour - 20.0) / 3.0).powi(2)).exp() } else { 0.0 };
        let mut power: Vec<Bands> = self.floor.iter().map(|floor| floor.map(|level| linear(level + evening))).collect();
        for source in self.sources.iter().filter(|source| source.is_on) {
            for (node, weaker) in &source.heard {
                let Some(power) = power.get_mut(*node) else { continue };
                power.iter_mut().zip(&source.level).for_each(|(power, level)| *power += linear(level - weaker));
            }
        }
        self.noise = power.into_iter().map(|power| power.map(decibel)).collect();
    }
}

impl Source {
    fn step(&mut self, minutes: f64, hour: f64, random: &mut Random) {
        let within =
            |from: f64, to: f64| if from <= to { (from..to).contains(&hour) } else { hour >= from || hour < to };
        let (share, length) = match self.habit {
            Habit::Day => (if within(8.0, 18.0) { 0.7 } else { 0.02 }, 60.0),
            Habit::Night => (if within(22.0, 6.0) { 0.5 } else { 0.05 }, 120.0),
            Habit::Evening => (if within(17.0, 23.0) { 0.6 } else { 0.1 }, 45.0),
            Habit::Bursts => (0.1, 10.0),
        };
        // It changes its mind once in `length` minutes.
        if minutes == 0.0 || random.chance(1.0 - (-minutes / length).exp()) {
            self.is_on = random.chance(share);
        }
    }
}

fn links(medium: Medium, site: &Site, seed: u64, offset: f64) -> Vec<Vec<Link>> {
    let purpose = if medium == Medium::Plc { 0 } else { 100 };
    let ways: Vec<Vec<(f64, u32)>> = (0..site.cabinets.len()).map(|cabinet| site.ways(cabinet)).collect();
    let mut impedance = Random::new(seed ^ 0x7a);
    // Of a radio both directions lose the same.
    let spread = if medium == Medium::Plc { 4.0 } else { 0.0 };
    let senders: Vec<f64> = site.nodes.iter().map(|_| spread * impedance.normal()).collect();
    let quietest = medium.sensitivity() - MARGIN;
    let link = |from: usize, to: usize| {
        let (a, b) = (site.nodes.get(from)?, site.nodes.get(to)?);
        let (metres, passed) = ways.get(a.cabinet)?.get(b.cabinet)?;
        let metres = metres + a.metres + b.metres;
        let fading = 6.0 * of_pair(seed, purpose + 1, from, to);
        let level = match medium {
            Medium::Plc => {
                let (feeder_a, feeder_b) = (site.cabinets.get(a.cabinet)?.feeder, site.cabinets.get(b.cabinet)?.feeder);
                let is_elsewhere = |node: usize| node != 0 && a.cabinet != b.cabinet;
                let houses = 5.0 * f64::from(u8::from(is_elsewhere(from)) + u8::from(is_elsewhere(to)));
                // All other feeders load the bar that is passed.
                let bar = if feeder_a != feeder_b && feeder_a != 0 && feeder_b != 0 { 3.0 } else { 0.0 };
                let taps = 3.0 * f64::from(*passed);
                TRANSMIT - 0.06 * metres - taps - houses - bar - coupling(a.phase, b.phase, seed, from, to) - fading
            }
            // 14 dBm; the straight way is shorter than the cable. ITU-R P.2109 has 14 dB in the middle for the way into an
            // ordinary house; who is behind the same cabinet is in the same one, on the power line, too.
            Medium::Rf => {
                let walls = if a.cabinet == b.cabinet { 0.0 } else { 24.0 };
                14.0 - FLOOR_DBM - 40.0 - walls - 35.0 * (0.6 * metres).max(2.0).log10() - fading
            }
        };
        let level = level + offset - senders.get(from)?;
        if level <= quietest {
            return None;
        }
        let depth = if medium == Medium::Plc { 4.0 } else { 0.0 };
        let ripple = std::array::from_fn(|band| depth * of_pair(seed, purpose + 2 + band as u64, from, to));
        Some(Link { to, level, ripple })
    };
    let all = || 0..site.nodes.len();
    all().map(|from| all().filter(|to| *to != from).filter_map(|to| link(from, to)).collect()).collect()
}

/// What is lost from one phase to another.
fn coupling(a: Phase, b: Phase, seed: u64, from: usize, to: usize) -> f64 {
    if a == b || a == Phase::Three || b == Phase::Three {
        return 0.0;
    }
    11.5 + 2.0 * of_pair(seed, 50, from, to).clamp(-1.75, 1.75)
}

fn sources(site: &Site, count: usize, random: &mut Random) -> Vec<Source> {
    let mut sources = Vec::new();
    for _ in 0..count {
        let cabinet = random.under(site.cabinets.len() as u64) as usize;
        let habits = [Habit::Day, Habit::Night, Habit::Evening, Habit::Bursts];
        let habit = habits.into_iter().nth(random.under(4) as usize).unwrap_or(Habit::Bursts);
        let loudness = 8.0 + 12.0 * random.unit();
        let level = std::array::from_fn(|_| loudness + 5.0 * random.normal());
        let ways = site.ways(cabinet);
        let heard = site.nodes.iter().enumerate().filter_map(|(number, node)| {
            let (metres, passed) = ways.get(node.cabinet)?;
            let weaker = 0.06 * (metres + node.metres) + 3.0 * f64::from(*passed);
            (weaker < 25.0).then_some((number, weaker))
        });
        sources.push(Source { habit, is_on: false, level, heard: heard.collect() });
    }
    sources
}

pub(super) fn linear(decibel: f64) -> f64 {
    10_f64.powf(decibel / 10.0)
}

/// Noise and interference together, in dB.
pub(super) fn disturbance(noise: f64, interference: f64) -> f64 {
    if interference > 0.0 { decibel(linear(noise) + interference) } else { noise }
}

fn decibel(linear: f64) -> f64 {
    10.0 * linear.max(1e-30).log10()
}

/// Parts of the band that are told apart.
const BANDS: usize = 6;
/// What a sender is above a quiet receiver's floor where nothing is between them.
const TRANSMIT: f64 = 37.0;
/// Of the effective signal to noise: differential phase shift keying with a code of rate 1/2.
const SPREAD: f64 = 2.0;
/// Links that are never heard, not even when all changes for the better, are left out.
const MARGIN: f64 = 12.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::net::site::Shape;

    fn channel(meters: usize) -> (Site, Channel) {
        let site = Site::draw(&Shape::town(meters), &mut Random::new(3));
        let channel = Channel::new(Medium::Plc, &site, &Conditions::default(), 3);
        (site, channel)
    }

    #[test]
    fn links_are_not_the_same_in_both_directions() {
        let (site, channel) = channel(200);
        let mut differences = Vec::new();
        for from in 0..site.nodes.len() {
            for link in channel.links(from) {
                let Some(back) = channel.link(link.to, from) else { continue };
                differences.push(channel.effective(from, link, 0.0) - channel.effective(link.to, back, 0.0));
            }
        }
        let square = differences.iter().map(|x| x * x).sum::<f64>() / differences.len() as f64;
        assert!((3.0..15.0).contains(&square.sqrt()), "{}", square.sqrt());
    }

    #[test]
    fn noise_comes_and_goes_at_a_place() {
        let (site, mut channel) = channel(200);
        let mut random = Random::new(1);
        let noise = |channel: &Channel| (0..site.nodes.len()).map(|node| channel.noise(node)).collect::<Vec<_>>();
        let morning = noise(&channel);
        channel.step(3_600_000_000 * 8, 20.0, &mut random);
        let evening = noise(&channel);
        let louder = morning.iter().zip(&evening).filter(|(before, after)| after > before).count();
        assert!(louder > site.nodes.len() / 2, "{louder}");
    }

    #[test]
    fn radios_hear_each_other_alike() {
        let site = Site::draw(&Shape::town(100), &mut Random::new(3));
        let mut channel = Channel::new(Medium::Rf, &site, &Conditions::default(), 3);
        channel.step(3_600_000_000, 20.0, &mut Random::new(1));
        let pairs = (0..site.nodes.len()).flat_map(|from| channel.links(from).iter().map(move |link| (from, link)));
        let both = pairs.filter_map(|(from, link)| Some((from, link, channel.link(link.to, from)?)));
        let snr = |from, link| channel.effective(from, link, 0.0);
        let levels: Vec<(f64, f64)> = both.map(|(from, link, back)| (snr(from, link), snr(link.to, back))).collect();
        assert!(
            levels.len() > 500 && levels.iter().all(|(there, back)| (there - back).abs() < 1e-6),
            "{}",
            levels.len()
        );
    }

    #[test]
    fn interference_makes_it_worse() {
        let (_, channel) = channel(50);
        let link = channel.links(0)[0];
        assert!(channel.effective(0, &link, linear(30.0)) < channel.effective(0, &link, 0.0));
    }
}
