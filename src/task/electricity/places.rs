//! Who may keep a connection to what listens for meters: there is room for some, and whoever keeps it without saying
//! anything gives way to who has something to say.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The places of one address that is listened on.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<Vec<Held>>>);

/// One of them, until it is dropped or lost to somebody else.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    lost: CancellationToken,
    number: u64,
}

#[derive(Debug)]
struct Held {
    number: u64,
    peer: IpAddr,
    /// When it last said something whole.
    spoke: Instant,
    lost: CancellationToken,
}

impl Places {
    /// A place for a connection of `peer`, and whether another one was given up for it; None where all are in use.
    ///
    /// Of the address that keeps most, the one that has been silent longest gives way: at once to another address that
    /// keeps fewer, else when it has been silent for [`QUIET`].
    pub(super) fn take(&self, peer: IpAddr, now: Instant) -> Option<(Place, bool)> {
        let mut all = self.all();
        let is_full = all.len() >= CONNECTIONS;
        if is_full {
            let kept_by = |peer: IpAddr| all.iter().filter(|held| held.peer == peer).count();
            let rank = |held: &Held| (std::cmp::Reverse(kept_by(held.peer)), held.spoke, held.number);
            let (at, first) = all.iter().enumerate().min_by_key(|(_, held)| rank(held))?;
            if kept_by(peer) + 1 >= kept_by(first.peer) && now.saturating_duration_since(first.spoke) < QUIET {
                return None;
            }
            all.swap_remove(at).lost.cancel();
        }
        let number = all.iter().map(|held| held.number).max().map_or(0, |last| last + 1);
        let lost = CancellationToken::new();
        all.push(Held { number, peer, spoke: now, lost: lost.clone() });
        Some((Place { places: self.clone(), lost, number }, is_full))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Something whole has come.
    pub(super) fn spoke(&self, now: Instant) {
        if let Some(held) = self.places.all().iter_mut().find(|held| held.number == self.number) {
            held.spoke = now;
        }
    }

    /// Waits until somebody else has it.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Who lost it has none: its number may be somebody else's by now.
        if !self.lost.is_cancelled() {
            self.places.all().retain(|held| held.number != self.number);
        }
    }
}

/// Connections at once; each keeps an APDU and a frame at most, which is 80 KiB.
const CONNECTIONS: usize = 32;
/// Who has something to say says it sooner.
const QUIET: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn who_keeps_most_and_says_nothing_gives_way() {
        let (places, begin) = (Places::default(), Instant::now());
        let mut greedy: Vec<_> = (0..CONNECTIONS - 1).map(|_| places.take(peer(1), begin).unwrap().0).collect();
        let meter = places.take(peer(2), begin).unwrap().0;
        // One more of the same address waits for one that has been silent.
        assert!(places.take(peer(1), begin).is_none());
        // Another address does not.
        let (other, is_taken) = places.take(peer(3), begin).unwrap();
        assert!(is_taken && greedy.iter().filter(|place| place.lost.is_cancelled()).count() == 1);
        greedy.retain(|place| !place.lost.is_cancelled());
        // Who speaks keeps its place before who does not.
        let later = begin + QUIET;
        greedy.iter().skip(1).for_each(|place| place.spoke(later));
        let (newest, _) = places.take(peer(1), later).unwrap();
        assert!(greedy.first().unwrap().lost.is_cancelled() && !meter.lost.is_cancelled());
        // What ends by itself makes room.
        drop((other, greedy, newest));
        let (_, is_taken) = places.take(peer(1), later).unwrap();
        assert!(!is_taken && places.all().iter().filter(|held| held.peer == peer(2)).count() == 1);
    }

    #[test]
    fn as_many_addresses_as_places_keep_theirs_while_they_speak() {
        let (places, begin) = (Places::default(), Instant::now());
        let all: Vec<_> = (0..CONNECTIONS as u8).map(|last| places.take(peer(last), begin).unwrap().0).collect();
        assert!(places.take(peer(200), begin).is_none());
        let later = begin + QUIET;
        all.iter().skip(1).for_each(|place| place.spoke(later));
        assert!(places.take(peer(200), later).is_some_and(|(_, is_taken)| is_taken));
        assert!(all.iter().position(|place| place.lost.is_cancelled()) == Some(0));
    }
}
