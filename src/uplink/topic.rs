//! Topics under `dcu/v1/<utility>/<dcu>/`: built here, taken apart here.

use std::fmt;

use crate::store::Lane;

/// The topics of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    utility: String,
    dcu: String,
}

/// What a topic is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// Batches of one lane, unit to head-end.
    Batch(Lane),
    /// Retained, with a will.
    State,
    /// Retained.
    Health,
    Checkpoint,
    /// Retained: the mesh networks.
    Topology(Part),
    /// Acknowledgements, head-end to unit.
    Ack,
    /// Commands, head-end to unit.
    Command,
    /// Where the command with this id stands, unit to head-end.
    CommandState([u8; 16]),
}

/// A part of the topology; in the order in which they are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Chunk(u32),
    /// It says which chunks belong together.
    Index,
    Delta,
}

impl Topics {
    /// # Errors
    /// A name that is empty, longer than 64 octets, or has other characters than letters, digits, `-`, `_` and `.`.
    pub fn new(utility: &str, dcu: &str) -> Result<Self, TopicError> {
        for (what, name) in [("utility", utility), ("dcu", dcu)] {
            if !is_name(name) {
                return Err(TopicError { what, name: name.to_owned() });
            }
        }
        Ok(Self { utility: utility.to_owned(), dcu: dcu.to_owned() })
    }

    pub fn utility(&self) -> &str {
        &self.utility
    }

    pub fn dcu(&self) -> &str {
        &self.dcu
    }

    /// The topic's text.
    pub fn name(&self, topic: &Topic) -> String {
        format!("{ROOT}/{}/{}/{topic}", self.utility, self.dcu)
    }

    /// What the unit subscribes to, QoS 1.
    pub fn subscriptions(&self) -> [String; 2] {
        [self.name(&Topic::Ack), self.name(&Topic::Command)]
    }

    /// Takes any unit's topic apart.
    pub fn parse(text: &str) -> Option<(Self, Topic)> {
        let mut levels = text.strip_prefix(ROOT)?.strip_prefix('/')?.splitn(3, '/');
        let topics = Self::new(levels.next()?, levels.next()?).ok()?;
        Some((topics, Topic::parse(levels.next()?)?))
    }

    /// Filter for batches of all units of a utility, or of all utilities.
    pub fn all_batches(utility: Option<&str>) -> String {
        format!("{ROOT}/{}/+/batch/+", utility.unwrap_or("+"))
    }

    /// Filters for everything of this unit's topology.
    pub fn topology(&self) -> [String; 1] {
        // `#` stands for the level itself, too.
        [format!("{}/#", self.name(&Topic::Topology(Part::Index)))]
    }

    /// Filter for checkpoints of all units of a utility, or of all utilities.
    pub fn all_checkpoints(utility: Option<&str>) -> String {
        format!("{ROOT}/{}/+/checkpoint", utility.unwrap_or("+"))
    }
}

impl Topic {
    /// Does the broker keep the last message of it?
    pub const fn is_retained(&self) -> bool {
        matches!(self, Self::State | Self::Health | Self::Topology(_))
    }

    fn parse(text: &str) -> Option<Self> {
        match text.split_once('/') {
            Some(("batch", name)) => Lane::ALL.into_iter().find(|lane| lane.name() == name).map(Self::Batch),
            Some(("command", id)) => {
                let mut octets = [0; 16];
                hex::decode_to_slice(id, &mut octets).ok()?;
                Some(Self::CommandState(octets))
            }
            Some(("topology", "delta")) => Some(Self::Topology(Part::Delta)),
            Some(("topology", number)) => {
                let is_number = number.bytes().all(|digit| digit.is_ascii_digit());
                number.parse().ok().filter(|_| is_number).map(|number| Self::Topology(Part::Chunk(number)))
            }
            Some(_) => None,
            None => match text {
                "topology" => Some(Self::Topology(Part::Index)),
                "state" => Some(Self::State),
                "health" => Some(Self::Health),
                "checkpoint" => Some(Self::Checkpoint),
                "ack" => Some(Self::Ack),
                "command" => Some(Self::Command),
                _ => None,
            },
        }
    }
}

impl fmt::Display for Topic {
    /// The levels below the unit's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(lane) => write!(f, "batch/{lane}"),
            Self::State => f.write_str("state"),
            Self::Health => f.write_str("health"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Topology(Part::Index) => f.write_str("topology"),
            Self::Topology(Part::Chunk(number)) => write!(f, "topology/{number}"),
            Self::Topology(Part::Delta) => f.write_str("topology/delta"),
            Self::Ack => f.write_str("ack"),
            Self::Command => f.write_str("command"),
            Self::CommandState(id) => write!(f, "command/{}", hex::encode(id)),
        }
    }
}

/// A name that cannot be a level of a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} name {name:?}: 1 to 64 letters, digits, `-`, `_` or `.`")]
pub struct TopicError {
    pub what: &'static str,
    pub name: String,
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
}

const ROOT: &str = "dcu/v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_parsed_as_it_was_built() {
        let topics = Topics::new("acme", "dcu-0001").unwrap();
        let mut rows = Lane::ALL.map(Topic::Batch).to_vec();
        rows.extend([Topic::State, Topic::Health, Topic::Checkpoint, Topic::Ack, Topic::Command]);
        rows.push(Topic::CommandState([0xa5; 16]));
        rows.extend([Part::Index, Part::Delta, Part::Chunk(0), Part::Chunk(17)].map(Topic::Topology));
        for row in rows {
            assert_eq!(Topics::parse(&topics.name(&row)), Some((topics.clone(), row)));
        }
        assert_eq!(topics.name(&Topic::Batch(Lane::MBus)), "dcu/v1/acme/dcu-0001/batch/mbus");
    }

    #[test]
    fn names_that_would_change_the_topic_are_refused() {
        for name in ["", "a/b", "+", "#", "a b", "ä", "\0", "$SYS", &"x".repeat(65)] {
            assert!(Topics::new("acme", name).is_err(), "{name:?}");
            assert!(Topics::new(name, "dcu").is_err(), "{name:?}");
        }
    }

    #[test]
    fn foreign_topics_are_nobodys() {
        for text in [
            "",
            "dcu/v1",
            "dcu/v2/a/b/ack",
            "dcu/v1/a/b/batch/none",
            "dcu/v1/a/b/ack/x",
            "dcu/v1/a/b/command/12",
            "dcu/v1/a/b/topology/+1",
        ] {
            assert_eq!(Topics::parse(text), None, "{text:?}");
        }
    }
}
