//! What is counted in a run: the ledger of the airtime, and what went wrong.

use std::fmt;

use super::message::Kind;
use super::phy::Micros;

#[derive(Debug, Clone, Default)]
pub struct Figures {
    by_kind: [Count; Kind::ALL.len()],
    /// Route requests that were begun, and those that found nobody.
    pub searches: u64,
    pub searches_in_vain: u64,
    /// Copies of requests that nodes kept to themselves, because neighbours had passed them on.
    pub suppressed: u64,
    /// Frames for one receiver that nobody acknowledged.
    pub unacknowledged: u64,
    /// The medium was never free.
    pub access_failures: u64,
    pub overflows: u64,
    /// A radio had used up its share of the hour.
    pub duty_refusals: u64,
    /// Frames that were given to the other medium, as one had failed, and those that both did not bring through.
    pub backups: u64,
    pub backups_in_vain: u64,
    pub scans: u64,
    /// Pauses before scans and joins that were begun again, as others were heard to join.
    pub rests_again: u64,
    /// Joins that came to nothing: the agent did not get a message, or nothing came back in time.
    pub joins_unsent: u64,
    pub joins_unanswered: u64,
    /// Devices that had to wait for a place among the bootstraps that are under way.
    pub no_place: u64,
}

/// Frames of one kind, and where their airtime went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    /// Transmissions, retries too, of all nodes.
    pub sent: u64,
    pub airtime: Micros,
    /// Those that take the medium in the substation, and those of them that a sniffer there decodes: it hears above its
    /// noise, of frames that collide the one that is much louder, and beside its coordinator nobody else while that
    /// sends. Acknowledgements are no packets: they are a control header alone.
    pub heard: u64,
    pub heard_airtime: Micros,
    pub sniffed: u64,
    /// Of the airtime: second and later attempts, silences and acknowledgements, answers of tone maps, and frames
    /// for one receiver that it did not get, because of noise, because others sent at the same time, or because it
    /// was listening to another one or sent itself.
    pub repeated: Micros,
    pub acknowledgements: Micros,
    pub tones: Micros,
    pub noise: Micros,
    pub collided: Micros,
    pub deaf: Micros,
}

/// What became of a segment for one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Noise,
    Collision,
    Deaf,
}

/// The parts of one transmission.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) kind: Kind,
    pub(super) frame: Micros,
    pub(super) acknowledgement: Micros,
    pub(super) tones: Micros,
    pub(super) is_repeated: bool,
    pub(super) is_heard: bool,
}

impl Figures {
    pub(super) fn sent(&mut self, sent: Sent) {
        let length = sent.frame + sent.acknowledgement + sent.tones;
        if let Some(count) = self.by_kind.get_mut(sent.kind as usize) {
            count.sent += 1;
            count.airtime += length;
            count.heard += u64::from(sent.is_heard);
            count.heard_airtime += if sent.is_heard { length } else { 0 };
            count.repeated += if sent.is_repeated { length } else { 0 };
            count.acknowledgements += sent.acknowledgement;
            count.tones += sent.tones;
        }
    }

    pub(super) fn sniffed(&mut self, kind: Kind, is_sniffed: bool) {
        if let Some(count) = self.by_kind.get_mut(kind as usize) {
            count.sniffed += u64::from(is_sniffed);
        }
    }

    pub(super) fn lost(&mut self, kind: Kind, loss: Loss, length: Micros) {
        let Some(count) = self.by_kind.get_mut(kind as usize) else { return };
        *match loss {
            Loss::Noise => &mut count.noise,
            Loss::Collision => &mut count.collided,
            Loss::Deaf => &mut count.deaf,
        } += length;
    }

    pub fn of(&self, kind: Kind) -> Count {
        self.by_kind.get(kind as usize).copied().unwrap_or_default()
    }

    /// The share of one kind in the packets that the sniffer decodes.
    pub fn share_of_packets(&self, kind: Kind) -> f64 {
        let all: u64 = self.by_kind.iter().map(|count| count.sniffed).sum();
        self.of(kind).sniffed as f64 / all.max(1) as f64
    }

    /// Airtime at the sniffer of everything that carries no data.
    pub fn control_airtime(&self) -> Micros {
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Data).map(|kind| self.of(kind).heard_airtime).sum()
    }

    pub fn airtime(&self) -> Micros {
        self.by_kind.iter().map(|count| count.heard_airtime).sum()
    }
}

/// The ledger: seconds of airtime of all nodes and at the substation, and where they went, in percent.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "kind            frames sniffed     all s   heard s  again   ack tones | lost: noise collided deaf %"
        )?;
        for kind in Kind::ALL {
            let count = self.of(kind);
            let share = |part: Micros| 100.0 * part as f64 / count.airtime.max(1) as f64;
            let seconds = |time: Micros| time as f64 / 1e6;
            write!(f, "{:14} {:7} {:7}", format!("{kind:?}"), count.sent, count.sniffed)?;
            write!(f, " {:9.0} {:9.0}", seconds(count.airtime), seconds(count.heard_airtime))?;
            write!(f, " {:6.1} {:5.1}", share(count.repeated), share(count.acknowledgements))?;
            write!(f, " {:5.1} |      {:6.1}", share(count.tones), share(count.noise))?;
            writeln!(f, " {:8.1} {:4.1}", share(count.collided), share(count.deaf))?;
        }
        write!(
            f,
            "searches {} ({} in vain), copies kept back {}",
            self.searches, self.searches_in_vain, self.suppressed
        )?;
        write!(f, ", unacknowledged {}, no access {}", self.unacknowledged, self.access_failures)?;
        write!(f, ", scans {}, rests begun again {}", self.scans, self.rests_again)?;
        write!(f, ", joins not sent {}, not answered {}", self.joins_unsent, self.joins_unanswered)?;
        write!(f, ", waited for a place {}", self.no_place)?;
        if self.backups + self.duty_refusals > 0 {
            write!(f, ", over the other medium {} ({} in vain)", self.backups, self.backups_in_vain)?;
            write!(f, ", no airtime of a radio left {}", self.duty_refusals)?;
        }
        Ok(())
    }
}
