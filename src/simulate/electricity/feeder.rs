//! A low-voltage network as a file: `plc/tests/netsim/feeders.py` makes some of published ones.

use plc::sim::net::{Feeder, FeederFault, Phase, Site};
use serde::Deserialize;

/// JSON; other members are not looked at.
#[derive(Debug, Deserialize)]
pub struct FeederFile {
    /// The bus of its low-voltage side.
    transformer: u32,
    /// From bus, to bus, metres.
    lines: Vec<(u32, u32, f64)>,
    /// Bus, and A, B, C or ABC.
    meters: Vec<(u32, String)>,
}

#[derive(Debug, thiserror::Error)]
pub enum FeederError {
    #[error("the feeder has {has} meters, not {wanted}")]
    Few { has: usize, wanted: usize },
    #[error("meter {number}: {phase:?} is not A, B, C or ABC")]
    Phase { number: usize, phase: String },
    #[error(transparent)]
    Site(#[from] FeederFault),
}

impl FeederFile {
    /// The site of the first so many of its meters.
    pub fn site(self, wanted: usize) -> Result<Site, FeederError> {
        let Self { transformer, lines, meters } = self;
        if meters.len() < wanted {
            return Err(FeederError::Few { has: meters.len(), wanted });
        }
        let meter = |(number, (bus, phase)): (usize, (u32, String))| match Phase::named(&phase) {
            Some(phase) => Ok((bus, phase)),
            None => Err(FeederError::Phase { number: number + 1, phase }),
        };
        let meters = meters.into_iter().take(wanted).enumerate().map(meter).collect::<Result<_, _>>()?;
        Ok(Feeder { transformer, lines, meters }.site()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feeder_is_a_site_or_says_why_not() {
        let site = |text: &str, wanted| serde_json::from_str::<FeederFile>(text).unwrap().site(wanted);
        let text = r#"{"name": "two", "transformer": 1, "lines": [[1, 2, 30], [2, 3, 5.5]], "meters": [[2, "B"], [3, "ABC"]]}"#;
        assert_eq!((site(text, 2).unwrap().nodes.len(), site(text, 1).unwrap().nodes.len()), (3, 2));
        assert_eq!(site(text, 3).unwrap_err().to_string(), "the feeder has 2 meters, not 3");
        assert_eq!(
            site(&text.replace("\"B\"", "\"R\""), 1).unwrap_err().to_string(),
            "meter 1: \"R\" is not A, B, C or ABC"
        );
        assert_eq!(
            site(&text.replace("5.5", "-1"), 1).unwrap_err().to_string(),
            "the line from bus 2 to 3 is not between 0 and 10 km long"
        );
        assert!(serde_json::from_str::<FeederFile>(r#"{"transformer": 1, "lines": [], "meters": [[2]]}"#).is_err());
    }
}
