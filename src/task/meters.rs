//! The task of the meters: frames become telegrams, telegrams readings, and what the policy selects goes to the store.
//!
//! When the store's queue is full it stops taking frames, and so in the end the ports; questions are still answered.

pub(super) mod airtime;
mod late;
pub(super) mod talk;
mod ways;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::block_in_place;
use tokio::time::{Instant, interval_at, sleep, sleep_until};
use tracing::{debug, warn};
use wmbus::{Address, Form, Scratch, Telegram};

use super::receiver::Heard;
use super::waiting::Waiting;
use crate::clock::{Now, ReadClock};
use crate::control::{MeterCard, MeterCounts, MeterLine, ReadingLine, TelegramLine};
use crate::journal::replace_file;
use crate::reading::from_wmbus::{self, Converted};
use crate::reading::{
    Event, EventKind, Gather, Gathered, Groups, Link, MeterId, RawGate, RawTelegram, RawVerdict, Security, Selected,
    Selector, meter_id,
};
use crate::registry::{Admission, Kept, Late, MeterKeys, Novelty, Part, Place, Registry, Ways, Whole, medium};
use crate::store::{Body, Lane, Store};

/// What the desk may ask.
#[derive(Debug)]
pub(super) enum Question {
    Counts(oneshot::Sender<MeterCounts>),
    List(oneshot::Sender<Vec<MeterLine>>),
    /// All that is known of all meters.
    Cards(oneshot::Sender<Vec<MeterCard>>),
    /// By the full identity; None for a meter that was never heard.
    Card {
        id: String,
        reply: oneshot::Sender<Option<MeterCard>>,
    },
    /// What is to be said to meters.
    Talk(talk::Ask, talk::Reply),
}

/// Everything the task owns.
pub(super) struct Meters {
    pub(super) clock: ReadClock,
    pub(super) keys: Arc<MeterKeys>,
    pub(super) groups: Arc<Groups>,
    pub(super) registry: Registry,
    pub(super) admission: Admission,
    pub(super) files: Files,
    pub(super) silent_after: Duration,
    /// What is decoded later, and by what.
    pub(super) late: Late,
    pub(super) selector: Selector,
    pub(super) gate: RawGate,
    pub(super) store: Store,
    pub(super) telegrams: broadcast::Sender<Arc<TelegramLine>>,
    pub(super) scratch: Scratch,
    /// Frames that other receivers may have heard too.
    pub(super) gather: Gather,
    /// Selected and not yet taken by the store; frames are not taken meanwhile.
    pub(super) waiting: Waiting,
    pub(super) talk: talk::Talk,
    /// Which meters are behind electricity meters as well.
    pub(super) ways: Arc<Mutex<Ways>>,
}

/// Where is kept what must survive a restart.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// Who is known, and since when not heard.
    pub(super) meters: PathBuf,
    /// Message counters.
    pub(super) counters: PathBuf,
}

impl Meters {
    /// Runs until all receivers have ended; then what is held for a boundary is released.
    pub(super) async fn run(mut self, mut heard: mpsc::Receiver<Heard>, mut questions: mpsc::Receiver<Question>) {
        self.decode_due();
        let mut save = interval_at(Instant::now() + SAVE, SAVE);
        loop {
            let is_blocked = !self.hand_over();
            let deadlines =
                [self.selector.poll_timeout(), self.late.poll_timeout(), self.talk.poll_timeout((self.clock)())];
            let deadline = deadlines.into_iter().flatten().min();
            tokio::select! {
                // Questions are few and short.
                biased;
                Some(question) = questions.recv() => self.answer(question),
                () = sleep(STORE_BUSY), if is_blocked => {}
                _ = save.tick() => {
                    self.look_for_silence();
                    self.save();
                }
                () = sleep_until(deadline.map_or_else(super::far, Into::into)), if !is_blocked => {
                    let now = (self.clock)();
                    self.selector.handle_timeout(now);
                    self.late.handle_timeout(now.mono);
                    self.write_late(now);
                    block_in_place(|| self.talk.handle_timeout(now));
                    self.tell_of_talk(now);
                    self.give_up_fragments(now);
                    self.select();
                }
                () = sleep_until(self.gather.poll_timeout().map_or_else(super::far, Into::into)), if !is_blocked => {
                    self.release((self.clock)().mono, false);
                }
                frame = heard.recv(), if !is_blocked => match frame {
                    Some(frame) => self.gather(frame),
                    None => break,
                },
            }
        }
        self.release((self.clock)().mono, true);
        block_in_place(|| self.late.write());
        self.save();
        self.selector.finish((self.clock)());
        self.select();
        while !self.hand_over() {
            sleep(STORE_BUSY).await;
        }
    }

    /// Hands to the store what waits, with the counters that have risen. False: its queue is full.
    fn hand_over(&mut self) -> bool {
        if self.waiting.len() > 0 {
            self.waiting.mark(self.admission.changes());
        }
        self.waiting.hand_over(&self.store, (self.clock)())
    }

    fn gather(&mut self, heard: Heard) {
        if self.talk.concerns(&heard) {
            let now = (self.clock)();
            block_in_place(|| self.talk.hear(&heard, &self.keys, &self.groups, &self.admission, now));
            self.tell_of_talk(now);
        }
        let Heard { receiver, frame, form, rssi_dbm, at } = heard;
        self.gather.offer(frame, form, Link { receiver, rssi_dbm, lqi: None }, at);
        self.release(at.mono, false);
    }

    fn release(&mut self, now: std::time::Instant, is_last: bool) {
        while let Some(gathered) = self.gather.poll(now, is_last) {
            self.heard(&gathered, Part::Whole);
        }
    }

    /// `part`: a message of several frames comes once more than they.
    fn heard(&mut self, heard: &Gathered, part: Part) {
        let received = heard.at.received();
        let links = heard.links.clone();
        let port = heard.links.first().map_or("", |link| &*link.receiver);
        let scratch = &mut self.scratch;
        let decoded = Telegram::decode_with(heard.form, &heard.frame, &*self.keys, self.late.formats(), scratch);
        let telegram = match decoded {
            Ok(telegram) => telegram,
            Err(reject) => {
                debug!(port, reject = %reject, len = heard.frame.len(), "drop frame");
                self.registry.rejected(reject);
                let raw = RawTelegram {
                    meter: None,
                    received,
                    links,
                    reason: if reject == wmbus::Reject::BadCrc { Security::BadCrc } else { Security::Unsupported },
                    octets: heard.frame.clone(),
                    wize: None,
                };
                let is_kept = self.keep_raw(raw, heard.at);
                self.tell(heard, None, Some(reject.to_string()), is_kept);
                return;
            }
        };
        let group = self.groups.of(&meter_id(&telegram.address));
        let mut converted = from_wmbus::convert(&telegram, received, links, group);
        let finding = self.admission.judge(&mut converted, group, &self.keys, heard.at);
        let is_wize = telegram.wize.is_some();
        let is_raw = converted.verdict != wmbus::Verdict::Ok || is_wize;
        let raw = is_raw.then(|| from_wmbus::raw(&telegram, &converted));
        if is_wize && telegram.is_to_meter() {
            debug!(port, meter = %converted.source.meter, "another gateway speaks to a device");
            self.tell(heard, Some(&converted), Some("sent by another gateway".to_owned()), false);
            return;
        }
        let reject = telegram.reject.map(|reject| reject.to_string());
        let is_known = |counter| self.admission.counter(&converted.source.meter).is_some_and(|last| counter < last);
        // A counter from before would be a replay by the time the frame is decoded.
        let place = match telegram.security.counter.is_some_and(is_known) {
            true => Place::None,
            false => {
                let source = &converted.source;
                let kept = || Kept { received, links: source.links.clone(), frame: telegram.stripped() };
                let worth = |sender: &Address| self.admission.worth(&meter_id(sender), &self.keys);
                self.late.handle_telegram(&telegram, kept, worth, heard.at.mono)
            }
        };
        let raw = raw.filter(|_| place != Place::Fragment);
        let part = if place == Place::Fragment { Part::Fragment } else { part };
        self.decode_due();
        if let Some(kind) = finding.event {
            self.tell_of(converted.source.meter, kind, heard.at);
        }
        if let Some(kind) = self.registry.heard_after_silence(&converted.source.meter) {
            self.tell_of(converted.source.meter, kind, heard.at);
        }
        if finding.is_duplicate && part != Part::Message {
            self.registry.heard_again(&converted.source, heard.at);
        }
        if finding.is_duplicate || self.registry.heard(&converted, part, heard.at) == Novelty::Repeated {
            debug!(port, meter = %converted.source.meter, "heard again");
            self.tell(heard, Some(&converted), reject, false);
            return;
        }
        let is_raw_kept = raw.is_some_and(|raw| self.keep_raw(raw, heard.at));
        self.stand(&mut converted, received.utc_ms, heard.at);
        let line = (self.telegrams.receiver_count() > 0).then(|| converted.clone());
        let Converted { source, readings, .. } = converted;
        if !readings.is_empty() || !source.status.is_empty() {
            self.selector.offer(&source, readings, heard.at);
        }
        let is_kept = self.select() || is_raw_kept;
        if line.is_some() {
            self.tell(heard, line.as_ref(), reject, is_kept);
        }
        self.give_up_fragments(heard.at);
        while let Some(Whole { frame, is_doubtful, needs_proof }) = self.late.poll_message() {
            if is_doubtful {
                let has_opened = self.is_genuine(&frame, needs_proof);
                self.late.settle(has_opened, heard.at.mono);
                if !has_opened {
                    continue;
                }
            }
            let message = Gathered { frame, form: Some(Form::Stripped), links: heard.links.clone(), at: heard.at };
            self.heard(&message, Part::Message);
        }
    }

    /// A message whose fragments may be of two is one: its MAC proves that, or nobody here could and it needs none.
    fn is_genuine(&mut self, frame: &[u8], needs_proof: bool) -> bool {
        let message = Telegram::decode_as(Form::Stripped, frame, &*self.keys, &mut self.scratch);
        message.is_ok_and(|it| it.security.authenticated || !needs_proof && it.verdict == wmbus::Verdict::NoKey)
    }

    /// Makes durable what is known of the meters, and their counters.
    fn save(&mut self) {
        if self.registry.is_empty() {
            return;
        }
        let write = |path: &Path, octets: &[u8]| {
            if let Err(error) = block_in_place(|| replace_file(path, octets)) {
                warn!(err = %error, path = %path.display(), "save what is known of the meters");
            }
        };
        write(&self.files.meters, &self.registry.emit());
        if let Some(octets) = self.admission.emit() {
            write(&self.files.counters, &octets);
        }
    }

    fn look_for_silence(&mut self) {
        let now = (self.clock)();
        for (meter, kind) in self.registry.look_for_silence(self.silent_after, now) {
            self.tell_of(meter, kind, now);
        }
    }

    /// What meters were told, and what came of it.
    fn tell_of_talk(&mut self, now: Now) {
        while let Some((meter, kind)) = self.talk.poll_event() {
            let event = Event { received: now.received(), meter: Some(meter), kind };
            self.waiting.push(vec![(Lane::Security, Body::Event(event))]);
        }
    }

    /// An event of a meter, for lane P1.
    fn tell_of(&mut self, meter: MeterId, kind: EventKind, now: Now) {
        warn!(meter = %meter, event = ?kind, "meter not as expected");
        let event = Event { received: now.received(), meter: Some(meter), kind };
        self.waiting.push(vec![(Lane::Security, Body::Event(event))]);
    }

    /// Lets an undecodable telegram into the raw ring, if it may. What a Wize network's key proved is as good as readings.
    fn keep_raw(&mut self, raw: RawTelegram, now: Now) -> bool {
        if raw.wize.as_ref().is_some_and(|wize| wize.is_authenticated) {
            self.waiting.push(vec![(Lane::MBus, Body::Raw(raw))]);
            return true;
        }
        let is_kept = self.gate.offer(&raw, now.mono) == RawVerdict::Keep;
        if is_kept {
            self.waiting.push(vec![(Lane::Raw, Body::Raw(raw))]);
        }
        is_kept
    }

    /// Queues what the policy selected. False: nothing.
    fn select(&mut self) -> bool {
        let before = self.waiting.len();
        while let Some(selected) = self.selector.poll_event() {
            self.waiting.push(match selected {
                Selected::Readings(readings) => {
                    readings.into_iter().map(|reading| (Lane::MBus, Body::Reading(reading))).collect()
                }
                Selected::Event(lane, event) => vec![(lane, Body::Event(event))],
            });
        }
        self.waiting.len() > before
    }

    /// Feeds `dcu telegram tail`.
    fn tell(&self, heard: &Gathered, converted: Option<&Converted>, reject: Option<String>, kept: bool) {
        if self.telegrams.receiver_count() == 0 {
            return;
        }
        let Some(best) = heard.links.first() else { return };
        let line = TelegramLine {
            at_ms: heard.at.utc_ms,
            receiver: best.receiver.to_string(),
            rssi_dbm: best.rssi_dbm,
            id: converted.map(|converted| converted.source.meter.to_string()),
            medium: converted.and_then(|converted| medium(&converted.source.meter)).map(str::to_owned),
            security: converted.map_or("unsupported", |converted| converted.source.security.name()).to_owned(),
            reject,
            kept,
            octets: u32::try_from(heard.frame.len()).unwrap_or(u32::MAX),
            readings: converted.map(|converted| ReadingLine::of(&converted.readings)).unwrap_or_default(),
        };
        // Nobody reads any more: the stream has ended, which is no fault.
        let _ = self.telegrams.send(Arc::new(line));
    }

    fn answer(&mut self, question: Question) {
        let now = (self.clock)();
        // A desk that stopped waiting wants no answer.
        match question {
            Question::Counts(reply) => {
                let counts = MeterCounts { not_stored: self.waiting.lost(), ..self.registry.counts(now) };
                drop(reply.send(counts));
            }
            Question::List(reply) => drop(reply.send(self.list())),
            Question::Card { id, reply } => drop(reply.send(self.card(&id))),
            Question::Talk(ask, reply) => {
                drop(reply.send(block_in_place(|| self.talk.answer(ask, &self.keys, now))));
                self.tell_of_talk(now);
            }
            Question::Cards(reply) => {
                let lines = self.list();
                drop(reply.send(lines.iter().filter_map(|line| self.card(&line.id)).collect()));
            }
        }
    }
}

/// A power cut may lose what is known of meters of so long; their counters are durable with their readings.
const SAVE: Duration = Duration::from_secs(600);
/// How long to wait for a place in the store's queue.
const STORE_BUSY: Duration = Duration::from_millis(10);
