//! What nodes may have in common: the phase, the branch that they are behind, the transformer.

use std::fmt;

/// Where a node is, as the mesh sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Sixths of a turn from the coordinator's phase; None where no path has told it.
    pub phase: Option<u8>,
    /// The first hop of the route to it.
    pub branch: Option<u16>,
}

/// The nodes of an outage, by what they have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One phase of one branch.
    PhaseOfBranch {
        phase: u8,
        branch: u16,
    },
    Branch(u16),
    Phase(u8),
    Transformer,
}

impl Place {
    /// This, and what it does not say from another one.
    pub(super) fn or(self, other: Self) -> Self {
        Self { phase: self.phase.or(other.phase), branch: self.branch.or(other.branch) }
    }

    /// All that it is part of.
    pub(super) fn scopes(self) -> impl Iterator<Item = Scope> {
        let both = self.phase.zip(self.branch).map(|(phase, branch)| Scope::PhaseOfBranch { phase, branch });
        let all = [both, self.branch.map(Scope::Branch), self.phase.map(Scope::Phase), Some(Scope::Transformer)];
        all.into_iter().flatten()
    }
}

impl Scope {
    /// Of a node of which no more is known than that it is in this.
    pub(super) fn place(self) -> Place {
        let (phase, branch) = match self {
            Self::PhaseOfBranch { phase, branch } => (Some(phase), Some(branch)),
            Self::Branch(branch) => (None, Some(branch)),
            Self::Phase(phase) => (Some(phase), None),
            Self::Transformer => (None, None),
        };
        Place { phase, branch }
    }

    pub fn covers(self, place: Place) -> bool {
        match self {
            Self::PhaseOfBranch { phase, branch } => place.phase == Some(phase) && place.branch == Some(branch),
            Self::Branch(branch) => place.branch == Some(branch),
            Self::Phase(phase) => place.phase == Some(phase),
            Self::Transformer => true,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PhaseOfBranch { phase, branch } => {
                write!(f, "phase at {} degrees of the branch behind {branch:04x}", 60 * u16::from(*phase))
            }
            Self::Branch(branch) => write!(f, "branch behind {branch:04x}"),
            Self::Phase(phase) => write!(f, "phase at {} degrees", 60 * u16::from(*phase)),
            Self::Transformer => f.write_str("transformer"),
        }
    }
}
