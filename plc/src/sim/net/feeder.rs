//! A network that somebody drew: buses, lines with their lengths, meters with their phases, and the transformer at the
//! root. Buses that only join two lines are cable; those where it branches or that have meters are cabinets.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::site::{Cabinet, Phase, Place, Site};

/// Buses have any numbers.
#[derive(Debug, Clone, Default)]
pub struct Feeder {
    /// The bus of its low-voltage side.
    pub transformer: u32,
    /// From bus, to bus, and metres of cable.
    pub lines: Vec<(u32, u32, f64)>,
    /// Where each meter is; they become the nodes 1, 2 and so on.
    pub meters: Vec<(u32, Phase)>,
}

/// What keeps a feeder from being a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeederFault {
    /// A low-voltage network is radial: there are two ways to this bus.
    Ring { bus: u32 },
    /// No line leads from the transformer to this meter's bus.
    Apart { bus: u32 },
    /// Neither negative, nor longer than 10 km, nor no number.
    Length { from: u32, to: u32 },
    /// No meters, or more than 4,000, or more than 40,000 lines.
    Size,
}

impl Feeder {
    /// The same as a site.
    pub fn site(&self) -> Result<Site, FeederFault> {
        if !(1..=MOST_METERS).contains(&self.meters.len()) || self.lines.len() > MOST_LINES {
            return Err(FeederFault::Size);
        }
        let mut ways: BTreeMap<u32, Vec<(u32, f64)>> = BTreeMap::new();
        for (from, to, metres) in self.lines.iter().copied() {
            if !(0.0..=MOST_METRES).contains(&metres) {
                return Err(FeederFault::Length { from, to });
            }
            ways.entry(from).or_default().push((to, metres));
            ways.entry(to).or_default().push((from, metres));
        }
        let mut meters_at: BTreeMap<u32, usize> = BTreeMap::new();
        self.meters.iter().for_each(|(bus, _)| *meters_at.entry(*bus).or_default() += 1);
        let mut cabinets = vec![Cabinet { parent: 0, metres: 0.0, feeder: 0 }];
        // The cabinet each bus belongs to, and the metres between them.
        let mut places = BTreeMap::from([(self.transformer, (0, 0.0))]);
        let mut open = VecDeque::from([(self.transformer, None, 0)]);
        while let Some((bus, before, feeder)) = open.pop_front() {
            let from = places.get(&bus).copied().unwrap_or_default();
            let mut is_way_back_open = before.is_some();
            for (to, metres) in ways.get(&bus).into_iter().flatten().copied() {
                if Some(to) == before && std::mem::take(&mut is_way_back_open) {
                    continue;
                }
                let feeder = if feeder == 0 { open.len() as u16 + 1 } else { feeder };
                let (mut cabinet, mut metres) = (from.0, from.1 + metres);
                let (lines, meters) = (ways.get(&to).map_or(0, Vec::len), meters_at.get(&to).copied().unwrap_or(0));
                if lines > 2 || meters > 1 || (lines > 1 && meters > 0) {
                    cabinets.push(Cabinet { parent: cabinet, metres, feeder });
                    (cabinet, metres) = (cabinets.len() - 1, 0.0);
                }
                if places.insert(to, (cabinet, metres)).is_some() {
                    return Err(FeederFault::Ring { bus: to });
                }
                open.push_back((to, Some(bus), feeder));
            }
        }
        let meters = self.meters.iter().map(|(bus, phase)| {
            let (cabinet, metres) = *places.get(bus).ok_or(FeederFault::Apart { bus: *bus })?;
            Ok(Place { cabinet, phase: *phase, metres })
        });
        let coordinator = Ok(Place { cabinet: 0, phase: Phase::Three, metres: 0.0 });
        Ok(Site { cabinets, nodes: std::iter::once(coordinator).chain(meters).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for FeederFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring { bus } => write!(f, "two ways lead to bus {bus}"),
            Self::Apart { bus } => write!(f, "no line leads to the meter at bus {bus}"),
            Self::Length { from, to } => write!(f, "the line from bus {from} to {to} is not between 0 and 10 km long"),
            Self::Size => write!(f, "1 to {MOST_METERS} meters and up to {MOST_LINES} lines are allowed"),
        }
    }
}

impl std::error::Error for FeederFault {}

const MOST_METERS: usize = 4_000;
const MOST_LINES: usize = 40_000;
const MOST_METRES: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn feeder(lines: &[(u32, u32, f64)], meters: &[u32]) -> Feeder {
        let meters = meters.iter().map(|bus| (*bus, Phase::B)).collect();
        Feeder { transformer: 7, lines: lines.to_vec(), meters }
    }

    #[test]
    fn joints_are_cable_and_branches_are_cabinets() {
        // 7 - 1 - 2 with houses 3 and 4 (two meters) behind it; 7 - 5 with a meter in passing, on to 6.
        let lines = [(1, 7, 10.0), (1, 2, 5.0), (2, 3, 4.0), (4, 2, 8.0), (7, 5, 20.0), (5, 6, 1.0)];
        let site = feeder(&lines, &[3, 4, 4, 5, 6]).site().unwrap();
        let cabinets: Vec<_> = site.cabinets.iter().map(|at| (at.parent, at.metres, at.feeder)).collect();
        assert_eq!(cabinets, [(0, 0.0, 0), (0, 20.0, 2), (0, 15.0, 1), (2, 8.0, 1)]);
        let nodes: Vec<_> = site.nodes.iter().map(|at| (at.cabinet, at.metres)).collect();
        assert_eq!(nodes, [(0, 0.0), (2, 4.0), (3, 0.0), (3, 0.0), (1, 0.0), (1, 1.0)]);
        assert_eq!(site.ways(0), [(0.0, 0), (20.0, 1), (15.0, 1), (23.0, 2)]);
        assert_eq!((site.nodes[0].phase, site.nodes[1].phase), (Phase::Three, Phase::B));
    }

    #[test]
    fn what_is_no_feeder_is_refused() {
        #[track_caller]
        fn check(lines: &[(u32, u32, f64)], meters: &[u32], expected: FeederFault) {
            assert_eq!(feeder(lines, meters).site().unwrap_err(), expected, "{expected}");
        }
        let line = (7, 1, 1.0);
        check(&[line, (1, 2, 1.0), (2, 7, 1.0)], &[1], FeederFault::Ring { bus: 2 });
        check(&[line, line], &[1], FeederFault::Ring { bus: 1 });
        check(&[line, (1, 1, 1.0)], &[1], FeederFault::Ring { bus: 1 });
        check(&[line, (2, 3, 1.0)], &[1, 3], FeederFault::Apart { bus: 3 });
        check(&[], &[1], FeederFault::Apart { bus: 1 });
        for metres in [-1.0, 10_001.0, f64::NAN, f64::INFINITY] {
            check(&[(7, 1, metres)], &[1], FeederFault::Length { from: 7, to: 1 });
        }
        check(&[line], &[], FeederFault::Size);
        check(&[line], &[1; MOST_METERS + 1], FeederFault::Size);
        check(&vec![line; MOST_LINES + 1], &[1], FeederFault::Size);
    }
}
