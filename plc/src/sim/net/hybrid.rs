//! Two media between the same nodes (the hybrid profile): what one does not bring through is sent over the other.
//!
//! As in the MAC wrapper of Microchip's stack (`smartenergy_g3`, `mac_wrapper.c`; adpUseBackupMedia): a frame for one
//! receiver whose medium fails, for whatever reason, is given to the other one where that has heard the receiver lately,
//! which its POS table tells; who gets both copies drops the second; frames for all go over both. Messages between a
//! device that joins and its agent are sent without a backup (`lbp_dev.c`). Not modelled: that sound links of the other
//! medium are tried now and then (adpProbingInterval), sizes of POS tables, and powers that adapt. Whether the backup's
//! success changes the route is not published; here it does not.

use super::job::Job;
use super::message::{Frame, Message, NodeNo};
use super::phy::Micros;
use super::world::World;

impl World {
    /// To everybody, over every medium.
    pub(super) fn broadcast(&mut self, node: NodeNo, message: Message) {
        (0..self.channels.len()).for_each(|channel| self.send(node, channel, Frame { to: None, message }));
    }

    /// A node has heard another one, of whatever it sent.
    pub(super) fn note_near(&mut self, node: NodeNo, from: NodeNo, channel: usize) {
        let until = self.now + NEAR_TTL;
        self.node(node).near.insert((from, channel), until);
    }

    /// What became of a frame over one medium: where that has failed and there is another one, it is not over.
    pub(super) fn ended(&mut self, node: NodeNo, channel: usize, job: Job, is_sent: bool) {
        if job.backup_of.is_some() {
            self.figures.backups_in_vain += u64::from(!is_sent);
        }
        match self.backup(node, channel, &job).filter(|_| !is_sent) {
            Some(other) => {
                self.figures.backups += 1;
                self.enqueue(node, other, job.again(channel));
            }
            // Where both have failed, it is the first of which that is told.
            None => self.confirm(node, job.backup_of.unwrap_or(channel), job.frame, is_sent),
        }
    }

    /// The other medium to the receiver of a frame.
    fn backup(&self, node: NodeNo, channel: usize, job: &Job) -> Option<usize> {
        let to = job.frame.to.filter(|_| job.backup_of.is_none())?;
        if matches!(job.frame.message, Message::Bootstrap(_)) {
            return None;
        }
        let there = self.nodes.get(node)?;
        let is_heard = |other: usize| there.near.get(&(to, other)).is_some_and(|until| *until > self.now);
        (0..there.macs.len()).find(|other| *other != channel && is_heard(*other))
    }

    /// Percent of its airtime that the more talkative one of two neighbours has used up.
    pub(super) fn duty(&self, node: NodeNo, neighbour: NodeNo, channel: usize) -> u8 {
        let Some(medium) = self.channels.get(channel).map(|channel| channel.medium) else { return 0 };
        let usage = |node: NodeNo| {
            let mac = self.nodes.get(node).and_then(|node| node.macs.get(channel));
            mac.map_or(0, |mac| mac.duty.usage(medium, node, self.now))
        };
        usage(node).max(usage(neighbour))
    }
}

/// macPOSTableEntryTTL, of what is heard, and of the link quality that the other end tells.
pub(super) const NEAR_TTL: Micros = 255 * 60_000_000;
