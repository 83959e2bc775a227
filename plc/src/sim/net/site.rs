//! Where the meters are: a transformer, feeders, cabinets along them, and meters with their phases behind the cabinets.

use crate::sim::random::Random;

/// A low-voltage network. Node 0 is the coordinator at the transformer; meters are numbered from 1.
#[derive(Debug, Clone)]
pub struct Site {
    /// Number 0 is the transformer.
    pub cabinets: Vec<Cabinet>,
    /// Node 0 among them.
    pub nodes: Vec<Place>,
}

#[derive(Debug, Clone, Copy)]
pub struct Cabinet {
    /// A smaller number.
    pub parent: usize,
    pub metres: f64,
    /// From 1; 0 is the transformer.
    pub feeder: u16,
}

#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub cabinet: usize,
    pub phase: Phase,
    /// Metres from the cabinet.
    pub metres: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    A,
    B,
    C,
    Three,
}

impl Phase {
    /// `A`, `B`, `C`, or `ABC` for all three.
    pub fn named(name: &str) -> Option<Self> {
        let all = [("A", Self::A), ("B", Self::B), ("C", Self::C), ("ABC", Self::Three)];
        all.into_iter().find(|(known, _)| *known == name).map(|(_, phase)| phase)
    }
}

/// What a site is like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub meters: usize,
    pub feeders: u16,
    /// Meters behind one cabinet, on the average.
    pub cluster: usize,
    /// Metres between two cabinets, at least and at most.
    pub span: (f64, f64),
    /// The chance that a cabinet begins a branch.
    pub branching: f64,
    /// The share of meters that are connected to all phases.
    pub three_phase: f64,
}

impl Shape {
    /// A town: short spans, more meters behind each cabinet the more there are.
    pub fn town(meters: usize) -> Self {
        let feeders = u16::try_from(meters / 80).unwrap_or(10).clamp(4, 10);
        Self { meters, feeders, cluster: 3 + meters / 300, span: (25.0, 70.0), branching: 0.3, three_phase: 0.3 }
    }
}

impl Site {
    pub fn draw(shape: &Shape, random: &mut Random) -> Self {
        let mut cabinets = vec![Cabinet { parent: 0, metres: 0.0, feeder: 0 }];
        let mut nodes = vec![Place { cabinet: 0, phase: Phase::Three, metres: 0.0 }];
        let feeders = usize::from(shape.feeders.max(1));
        // The cabinets of each feeder, in the order in which they were built.
        let mut of_feeder: Vec<Vec<usize>> = vec![vec![0]; feeders];
        while nodes.len() <= shape.meters {
            let feeder = random.under(feeders as u64) as usize;
            let Some(before) = of_feeder.get_mut(feeder) else { continue };
            let at = match random.chance(shape.branching) {
                true => random.under(before.len() as u64) as usize,
                false => before.len() - 1,
            };
            let parent = before.get(at).copied().unwrap_or(0);
            let (least, most) = shape.span;
            let metres = least + (most - least) * random.unit();
            before.push(cabinets.len());
            let cluster = 1 + random.under(2 * shape.cluster.max(1) as u64) as usize;
            for _ in 0..cluster.min(shape.meters + 1 - nodes.len()) {
                let phase = match random.chance(shape.three_phase) {
                    true => Phase::Three,
                    false => {
                        [Phase::A, Phase::B, Phase::C].into_iter().nth(random.under(3) as usize).unwrap_or(Phase::A)
                    }
                };
                nodes.push(Place { cabinet: cabinets.len(), phase, metres: 3.0 + 20.0 * random.unit() });
            }
            cabinets.push(Cabinet { parent, metres, feeder: u16::try_from(feeder + 1).unwrap_or(u16::MAX) });
        }
        Self { cabinets, nodes }
    }

    /// The way between cabinets, from one to all: metres of cable, and cabinets that are passed.
    pub fn ways(&self, from: usize) -> Vec<(f64, u32)> {
        let mut neighbours: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.cabinets.len()];
        for (number, cabinet) in self.cabinets.iter().enumerate().skip(1) {
            for (a, b) in [(number, cabinet.parent), (cabinet.parent, number)] {
                if let Some(list) = neighbours.get_mut(a) {
                    list.push((b, cabinet.metres));
                }
            }
        }
        let mut ways = vec![(f64::INFINITY, 0); self.cabinets.len()];
        let mut open = vec![(from, 0.0, 0)];
        while let Some((at, metres, passed)) = open.pop() {
            match ways.get_mut(at) {
                Some(way) if way.0.is_infinite() => *way = (metres, passed),
                _ => continue,
            }
            let next = neighbours.get(at).into_iter().flatten();
            open.extend(next.map(|(to, length)| (*to, metres + length, passed + 1)));
        }
        ways
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cabinet_is_reached_and_every_meter_is_there() {
        for meters in [1, 100, 2_000] {
            let site = Site::draw(&Shape::town(meters), &mut Random::new(1));
            assert_eq!(site.nodes.len(), meters + 1);
            assert!(site.nodes.iter().all(|node| node.cabinet < site.cabinets.len()));
            assert!(site.ways(0).iter().all(|(metres, _)| metres.is_finite()));
        }
    }

    #[test]
    fn the_way_back_is_as_long() {
        let site = Site::draw(&Shape::town(300), &mut Random::new(2));
        let last = site.cabinets.len() - 1;
        assert!((site.ways(0)[last].0 - site.ways(last)[0].0).abs() < 1e-9);
        assert_eq!(site.ways(0)[last].1, site.ways(last)[0].1);
    }
}
