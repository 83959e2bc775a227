//! Where the meters of a case are: a town that is drawn, or a feeder that was published.

use plc::sim::Random;
use plc::sim::net::{Feeder, Phase, Shape, Site};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ground {
    /// So many meters.
    Town(usize),
    Published(&'static str, &'static str),
}

/// Made by `feeders.py`. The scheduler's pauses were chosen with all but `kerber_vorstadt_2_x4`, with which nothing was.
pub(crate) const PUBLISHED: [Ground; 5] = [
    Ground::Published("kerber_dorf", include_str!("feeders/kerber_dorfnetz.json")),
    Ground::Published("kerber_vorstadt_1", include_str!("feeders/kerber_vorstadtnetz_kabel_1.json")),
    Ground::Published("kerber_vorstadt_2_x4", include_str!("feeders/kerber_vorstadtnetz_kabel_2_x4.json")),
    Ground::Published("suburb_1", include_str!("feeders/suburb_1.json")),
    Ground::Published("ieee_european_lv", include_str!("feeders/ieee_european_lv.json")),
];

impl Ground {
    pub(crate) fn site(self, seed: u64) -> Site {
        match self {
            Self::Town(meters) => Site::draw(&Shape::town(meters), &mut Random::new(seed)),
            Self::Published(name, text) => feeder(text).site().unwrap_or_else(|fault| panic!("{name}: {fault}")),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Town(_) => "town",
            Self::Published(name, _) => name,
        }
    }

    /// Of a name in the environment: a number of meters, or a published feeder.
    pub(crate) fn of(name: &str) -> Option<Self> {
        name.parse().map(Self::Town).ok().or_else(|| PUBLISHED.into_iter().find(|ground| ground.name() == name))
    }
}

/// `{"transformer": BUS, "lines": [[BUS, BUS, METRES]], "meters": [[BUS, "A" | "B" | "C" | "ABC"]]}`
fn feeder(text: &str) -> Feeder {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let meters: Vec<(u32, String)> = field(&value, "meters");
    let phase = |name: String| Phase::named(&name).unwrap_or_else(|| panic!("phase {name}"));
    Feeder {
        transformer: field(&value, "transformer"),
        lines: field(&value, "lines"),
        meters: meters.into_iter().map(|(bus, name)| (bus, phase(name))).collect(),
    }
}

fn field<T: serde::de::DeserializeOwned>(value: &Value, name: &str) -> T {
    let field = value.get(name).cloned().unwrap_or_default();
    serde_json::from_value(field).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

#[test]
fn published_feeders_are_sites() {
    let sizes = PUBLISHED.map(|ground| {
        let site = ground.site(0);
        assert!(site.ways(0).iter().all(|(metres, _)| metres.is_finite()));
        (site.nodes.len() - 1, site.cabinets.len() - 1)
    });
    eprintln!("{sizes:?}");
    assert_eq!(sizes.map(|(meters, _)| meters), [57, 146, 576, 109, 55]);
}
