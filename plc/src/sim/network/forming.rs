//! How a simulated network gets behind a modem: with nobody in it, or with everybody.

use super::Network;
use crate::sim::Modem;

impl Modem {
    /// Behind this modem is a network in which nobody has joined.
    pub fn with_network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// Behind this modem is a network that was formed long ago, but its host does not know that: until [`Self::formed`]
    /// nodes join as quickly as they are let in. All else takes its airtime.
    pub fn with_formed(mut self, mut network: Network) -> Self {
        network.is_forming = true;
        self.network = Some(network);
        self
    }

    /// All have joined; who cannot be reached in the network leaves, and goes on trying.
    pub fn formed(&mut self) {
        let Some(network) = self.network.as_mut().filter(|network| network.is_forming) else { return };
        network.is_forming = false;
        for (place, device) in self.devices.iter_mut().enumerate() {
            match (network.world.is_joined(place + 1), device.short_addr) {
                (false, _) => device.leave(),
                (true, None) => network.world.leave(place + 1),
                (true, Some(_)) => {}
            }
        }
    }

    /// Whether nodes join through the airtime of a network.
    pub(in crate::sim) fn joins_through_network(&self) -> bool {
        self.network.as_ref().is_some_and(|network| !network.is_forming)
    }
}
