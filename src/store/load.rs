//! Reads a database that has opened, and decides whether it is the one that was promised.
//!
//! Looked at: the list of epochs, every lane's state against its last batch, every group (they hold only what is not
//! sealed), the sequences of the current epoch without a gap, and the promise of the sequence file. The batches
//! in between are looked at when they are read, and by `verify`.

use std::collections::BTreeMap;

use super::batch::Batch;
use super::database::{Database, Room};
use super::group::Group;
use super::lane::{LaneState, index};
use super::promise::Promise;
use super::value::{EPOCHS_KEY, batch_key, group_key, parse_epochs, state_key};
use super::{Codec, Epoch, Lane, Record, StoreError};

/// What a sound database holds.
#[derive(Debug)]
pub(super) struct Loaded {
    pub epochs: Vec<(u32, Epoch)>,
    pub states: BTreeMap<(u32, Lane), LaneState>,
    pub groups: BTreeMap<(u64, u16), Vec<(Lane, u64)>>,
    /// In the order of `Lane::ALL`.
    pub unsealed: Vec<Vec<Record>>,
    pub last_commit: u64,
}

/// What a look at it came to.
#[derive(Debug)]
pub(super) enum Look {
    Sound(Box<Loaded>),
    /// Nothing was ever committed to it.
    Empty,
    /// It is not what was promised; why.
    Damaged(String),
}

/// Looks at a database. An `Err` is damage too, unless it is for want of space.
pub(super) fn look(db: &Database, promise: Option<&Promise>, codec: &Codec) -> Result<Look, StoreError> {
    let Some(value) = db.get(Room::States, &EPOCHS_KEY)? else {
        return Ok(match promise {
            None if is_empty(db)? => Look::Empty,
            None => Look::Damaged("the list of epochs is missing".into()),
            Some(_) => Look::Damaged("it is empty, and records were promised".into()),
        });
    };
    let Some(epochs) = parse_epochs(&value).filter(|epochs| !epochs.is_empty()) else {
        return Ok(Look::Damaged("the list of epochs is damaged".into()));
    };
    let mut states = BTreeMap::new();
    for (ordinal, epoch) in &epochs {
        for lane in Lane::ALL {
            match load_state(db, *ordinal, *epoch, lane)? {
                Ok(state) => drop(states.insert((*ordinal, lane), state)),
                Err(reason) => return Ok(Look::Damaged(reason)),
            }
        }
    }
    let (ordinal, epoch) = epochs.last().copied().unwrap_or((0, Epoch(0)));
    let sealed: Vec<u64> =
        Lane::ALL.iter().map(|lane| states.get(&(ordinal, *lane)).map_or(0, |state| state.sealed)).collect();
    let open = match load_groups(db, ordinal, epoch, &sealed, codec)? {
        Ok(open) => open,
        Err(reason) => return Ok(Look::Damaged(reason)),
    };
    let loaded = Loaded { epochs, states, groups: open.groups, unsealed: open.unsealed, last_commit: open.last_commit };
    Ok(match promise.and_then(|promise| loaded.breaks(promise)) {
        Some(reason) => Look::Damaged(reason),
        None => Look::Sound(Box::new(loaded)),
    })
}

impl Loaded {
    /// What of the promise is not kept, if anything.
    fn breaks(&self, promise: &Promise) -> Option<String> {
        let (ordinal, epoch) = self.epochs.last().copied()?;
        if epoch != promise.epoch {
            // A new epoch began and the power went before the sequence file followed.
            let known = self.epochs.iter().any(|(_, epoch)| *epoch == promise.epoch);
            return (!known).then(|| format!("epoch {} was promised, it holds {epoch}", promise.epoch));
        }
        Lane::ALL.into_iter().find_map(|lane| {
            let promised = promise.lane(lane);
            let state = self.states.get(&(ordinal, lane))?;
            let last = self.unsealed.get(index(lane)).and_then(|records| records.last());
            let last = last.map_or(state.sealed, |record| record.sequence);
            let lost = last < promised.last || state.sealed < promised.sealed;
            lost.then(|| format!("lane {lane}: sequence {} was promised, it ends at {last}", promised.last))
        })
    }
}

struct Open {
    groups: BTreeMap<(u64, u16), Vec<(Lane, u64)>>,
    unsealed: Vec<Vec<Record>>,
    last_commit: u64,
}

/// A lane's state, held against the last batch of the lane.
fn load_state(db: &Database, ordinal: u32, epoch: Epoch, lane: Lane) -> Result<Result<LaneState, String>, StoreError> {
    let state = match db.get(Room::States, &state_key(ordinal, lane))? {
        Some(value) => match LaneState::parse(&value).filter(|state| state.epoch == epoch && state.lane == lane) {
            Some(state) => state,
            None => return Ok(Err(format!("the state of lane {lane} is damaged"))),
        },
        None => return Ok(Err(format!("the state of lane {lane} is missing"))),
    };
    let last = db.last(Room::Batches, &batch_key(lane, ordinal, 0), &batch_key(lane, ordinal, u64::MAX))?;
    let fits = match &last {
        None => state.batches == 0,
        Some((_, value)) => Batch::parse(value)
            .is_some_and(|batch| batch.epoch == epoch && batch.last() == state.sealed && batch.hash == state.head_hash),
    };
    Ok(if fits { Ok(state) } else { Err(format!("lane {lane} does not end with the batch {}", state.sealed)) })
}

/// The records that no batch holds yet: they must follow the sealed ones without a gap.
fn load_groups(
    db: &Database,
    ordinal: u32,
    epoch: Epoch,
    sealed: &[u64],
    codec: &Codec,
) -> Result<Result<Open, String>, StoreError> {
    let mut open = Open { groups: BTreeMap::new(), unsealed: vec![Vec::new(); Lane::ALL.len()], last_commit: 0 };
    let mut damage = None;
    let mut lasts = sealed.to_vec();
    db.scan(Room::Groups, &group_key(ordinal, 0, 0), &group_key(ordinal, u64::MAX, u16::MAX), |_, value| {
        damage = open.take(value, epoch, &mut lasts, codec).err();
        damage.is_none()
    })?;
    Ok(damage.map_or(Ok(open), Err))
}

impl Open {
    fn take(&mut self, value: &[u8], epoch: Epoch, lasts: &mut [u64], codec: &Codec) -> Result<(), String> {
        let group = Group::parse(value).filter(|group| group.epoch == epoch).ok_or("a group is damaged")?;
        for section in &group.sections {
            let (Some(last), Some(unsealed)) =
                (lasts.get_mut(index(section.lane)), self.unsealed.get_mut(index(section.lane)))
            else {
                continue;
            };
            if section.last() <= *last {
                continue;
            }
            if section.first > *last + 1 {
                return Err(format!("lane {}: records {}..{} are missing", section.lane, *last + 1, section.first));
            }
            let records = section.records(codec).map_err(|error| format!("lane {}: {error}", section.lane))?;
            unsealed.extend(records.into_iter().filter(|record| record.sequence > *last));
            *last = section.last();
        }
        let lasts = group.sections.iter().map(|section| (section.lane, section.last())).collect();
        self.groups.insert((group.commit, group.part), lasts);
        self.last_commit = self.last_commit.max(group.commit);
        Ok(())
    }
}

fn is_empty(db: &Database) -> Result<bool, StoreError> {
    let mut empty = true;
    for room in [Room::Groups, Room::Batches, Room::States] {
        db.scan(room, &[], &[0xff; 16], |_, _| {
            empty = false;
            false
        })?;
    }
    Ok(empty)
}
