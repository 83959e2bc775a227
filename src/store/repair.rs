//! The writer's other half: opens the database again after an error, replaces it when it is damaged, tells of holes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::Batch;
use super::database::{Database, DatabaseError, Room};
use super::keeper::Keeper;
use super::load::{Look, look};
use super::open::{Opened, Opener};
use super::promise::{FoundPromise, SequenceFile};
use super::reserve::with_room;
use super::salvage::{DAMAGED, Memory};
use super::view::Hole;
use super::writer::Writer;
use super::{Report, StoreError};
use crate::clock::Now;
use crate::reading::EventKind;

enum Again {
    Later(StoreError),
    Damaged(String),
}

impl Writer {
    /// Opens a database again that has handled much. sled holds every page that was not touched often enough to be
    /// judged, whatever its cache may hold (spacejam/sled#986): opened again, it holds none, and its log is short.
    pub(super) fn renew(&mut self, now: &Now) {
        if self.trouble.is_some() || self.db.as_ref().is_none_or(|db| db.handled() < RENEW_AFTER) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        // Readers wait for the moment it takes.
        let mut view = shared.write();
        view.db = None;
        self.db = None;
        let again = self.open_again();
        self.reserve.look();
        match again {
            Ok(db) => {
                let db = Arc::new(db);
                view.db = Some(Arc::clone(&db));
                self.db = Some(db);
            }
            Err(again) => {
                drop(view);
                self.give_up_on(again, now);
            }
        }
    }

    /// The database did not come back as it was.
    fn give_up_on(&mut self, again: Again, now: &Now) -> bool {
        match again {
            Again::Later(error) => {
                self.fail(&error, now);
                false
            }
            Again::Damaged(reason) => self.replace(reason, now),
        }
    }

    /// Opens the database again: after an error sled takes nothing more. True when commits may be tried.
    pub(super) fn repair(&mut self, now: &Now) -> bool {
        self.shared.write().db = None;
        self.db = None;
        if self.trouble.as_ref().is_some_and(|trouble| trouble.full) {
            self.reserve.give_up();
        }
        let again = self.open_again();
        self.reserve.look();
        match again {
            Ok(db) => {
                self.use_database(db);
                if self.in_flight.is_none() {
                    self.recover();
                }
                true
            }
            Err(again) => self.give_up_on(again, now),
        }
    }

    fn open_again(&self) -> Result<Database, Again> {
        let options = &self.keeper.options;
        let path = options.path.join("sled");
        let db = match with_room(&options.path, || Database::open_again(&path, options.open_limit)) {
            Ok(db) => db,
            Err(DatabaseError::Failed(error)) => return Err(Again::Later(error)),
            Err(DatabaseError::InUse) => return Err(Again::Later(StoreError::OutOfOrder)),
            Err(DatabaseError::Damaged(reason)) => return Err(Again::Damaged(reason)),
        };
        // Not what was promised last: what is in flight may be there or not, it is applied again in either case.
        let promise = match SequenceFile::peek(&options.path.join("sequence")).map_err(Again::Later)? {
            FoundPromise::Promise(promise) => Some(promise),
            _ => None,
        };
        let reason = match look(&db, promise.as_deref(), &self.keeper.codec) {
            Ok(Look::Sound(_)) => {
                db.approve(options.system);
                return Ok(db);
            }
            Ok(Look::Empty) => "it is empty".to_owned(),
            Ok(Look::Damaged(reason)) => reason,
            Err(error) if error.is_full() => return Err(Again::Later(error)),
            Err(error) => error.text(),
        };
        db.reject().map_err(Again::Later)?;
        Err(Again::Damaged(reason))
    }

    /// The database is damaged while running: what memory holds goes into the new one.
    fn replace(&mut self, reason: String, now: &Now) -> bool {
        let memory = self.memory();
        let promise = self.keeper.promise();
        let path = self.keeper.options.path.clone();
        let opened = SequenceFile::open(&path.join("sequence")).and_then(|(sequence, _)| {
            let options = self.keeper.options.clone();
            let mut opener =
                Opener { options: &options, codec: self.keeper.codec, now: *now, random: &mut *self.random };
            opener.replace(sequence, Some(&promise), &memory, reason)
        });
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.fail(&error, now);
                return false;
            }
        };
        let Opened { keeper, db, sequence, opening } = opened;
        (self.keeper, self.db, self.sequence) = (keeper, Some(db), sequence);
        self.marks.lost();
        self.show_all();
        (self.on_report)(Report::Replaced(opening));
        // It came over under its old names.
        self.succeed(now);
        self.commit_now = true;
        self.since.get_or_insert(now.mono);
        true
    }

    /// What is in memory and may not be in the database.
    fn memory(&self) -> Memory {
        let mut records = BTreeMap::new();
        for record in self.keeper.lanes.iter().flat_map(|open| &open.unsealed) {
            records.insert((self.keeper.epoch, record.lane, record.sequence), record.clone());
        }
        let changes = self.in_flight.iter().flat_map(|in_flight| &in_flight.plan.changes);
        let batches = changes
            .filter(|change| change.room == Room::Batches)
            .filter_map(|change| Batch::parse(change.value.as_deref()?))
            .collect();
        let mut states: Vec<_> = self.keeper.states.values().cloned().collect();
        let view = self.shared.read();
        for state in &mut states {
            if let Some(shown) = view.lane(state.epoch, state.lane) {
                state.acknowledged = shown.acknowledged.clone();
            }
        }
        Memory { batches, records, states }
    }

    /// A reader came upon a hole: told once, then settled.
    pub(super) fn note_hole(&mut self, hole: Hole, now: &Now) {
        let Hole { epoch, lane, first, last, hash } = hole;
        let mut view = self.shared.write();
        let Some(ordinal) = view.ordinal(epoch) else { return };
        let Some(shown) = view.lanes.get(&(ordinal, lane)) else { return };
        if first < shown.kept || last > shown.sealed || shown.acknowledged.contains(first, last) {
            return;
        }
        let is_there = |sequence| !matches!(view.batch(epoch, lane, sequence), Ok(None));
        if is_there(first) || is_there(last) {
            // It left, or came, between the reading and now.
            return;
        }
        if let Some(shown) = view.lanes.get_mut(&(ordinal, lane)) {
            shown.acknowledged.insert(first, last);
        }
        view.acknowledged = true;
        drop(view);
        if let Some(state) = self.keeper.states.get_mut(&(ordinal, lane)) {
            state.lost += last - first + 1;
            state.gaps += 1;
        }
        let reason = DAMAGED.to_owned();
        let report = Report::Evicted { epoch, lane, first, last, reason: reason.clone() };
        let kind = EventKind::Gap { epoch: epoch.0, lane: lane as u8, first, last, reason, hash };
        self.waiting.push(Keeper::event(kind, now));
        self.since.get_or_insert(now.mono);
        self.commit_now = true;
        (self.on_report)(report);
    }

    fn use_database(&mut self, db: Database) {
        let db = Arc::new(db);
        self.shared.write().db = Some(Arc::clone(&db));
        self.db = Some(db);
    }
}

/// Octets of batches that were written or read since it was opened.
pub(super) const RENEW_AFTER: u64 = 2 << 20;
