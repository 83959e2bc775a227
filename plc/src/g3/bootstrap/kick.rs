//! Sending a node away.

use super::{Action, Address, Duration, Eui64, Generation, Instant, Member, Server, Task, lbp};

impl Server {
    /// Sends a node away. It keeps its address; whether it may come back is a matter of admission. False where it is not
    /// in the network.
    pub fn kick(&mut self, eui64: Eui64, now: Instant) -> bool {
        if !self.roster.get(eui64).is_some_and(Member::may_be_joined) {
            return false;
        }
        self.send_away(eui64, now);
        // A conversation of the server in the modem goes on: nothing else may begin before it is over.
        if self.generation != Some(Generation::ModemLbs) {
            self.slots.remove(&eui64);
        }
        self.leave(eui64);
        true
    }

    /// A node sends under a key that nobody here has. One that was to leave is told so again; one that has the new key is
    /// told again to use it. The frame is not authentic: nothing is done that harms a node in whose name it was sent.
    pub fn not_understood(&mut self, short_addr: u16, now: Instant) {
        let Some(member) = self.roster.at(short_addr).copied() else { return };
        let is_busy = self.slots.contains_key(&member.eui64) || self.kicked.contains_key(&member.eui64);
        let can_tell = self.generation == Some(Generation::HostLbs) && self.slots.len() < self.limits.slots;
        if is_busy {
        } else if !member.may_be_joined() {
            self.send_away(member.eui64, now);
        } else if can_tell && self.wanted.is_none() && member.key_generation == self.ring.generation {
            self.rekey_node(member, Task::Activate, now);
        }
    }

    /// Tells those again who were told some time ago, and have not asked for admission since.
    pub(super) fn kick_again(&mut self, now: Instant) {
        let due: Vec<_> = self.kicked.iter().filter(|(_, (at, _))| *at <= now).map(|(eui64, _)| *eui64).collect();
        for eui64 in due {
            self.say_kick(eui64);
            match self.kicked.get_mut(&eui64) {
                Some((at, times @ 2..)) => {
                    *times -= 1;
                    *at = now + PAUSE * 2u32.saturating_pow(TIMES - *times);
                }
                _ => drop(self.kicked.remove(&eui64)),
            }
        }
    }

    pub(super) fn send_away(&mut self, eui64: Eui64, now: Instant) {
        self.say_kick(eui64);
        self.kicked.insert(eui64, (now + PAUSE, TIMES));
    }

    fn say_kick(&mut self, eui64: Eui64) {
        let Some(short_addr) = self.roster.get(eui64).map(|member| member.short_addr) else { return };
        match self.generation {
            Some(Generation::HostLbs) => {
                let message = lbp::Message::new(lbp::Code::KickToLbd, eui64, lbp::Data::Nothing);
                self.emit(eui64, Address::Short(short_addr), message.to_vec());
            }
            Some(Generation::ModemLbs) => self.actions.push_back(Action::Kick { eui64, short_addr }),
            // Told when there is a modem again.
            None => {}
        }
    }
}

const PAUSE: Duration = Duration::from_secs(10);
/// A frame that is lost is lost rarely so often.
const TIMES: u32 = 4;
