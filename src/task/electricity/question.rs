//! What others ask of the collector, and its answers.

use tokio::sync::oneshot;

use super::collector::Collector;
use super::lines::Tasks;
use crate::control::{ChannelAsk, ChannelCard, Collection, MeterCard, MeterLine, Refusal, TaskCard, TaskLine};
use crate::wire::v1;

/// What the desk may ask.
#[derive(Debug)]
pub(in crate::task) enum Question {
    Collection(oneshot::Sender<Collection>),
    /// What the head-end is told.
    Health(oneshot::Sender<v1::CollectionHealth>),
    Tasks(oneshot::Sender<Vec<TaskLine>>),
    /// As the list of meters has them.
    Meters(oneshot::Sender<Vec<MeterLine>>),
    Meter {
        id: String,
        reply: oneshot::Sender<Option<MeterCard>>,
    },
    Replace {
        old: String,
        new: String,
        reply: oneshot::Sender<Result<MeterCard, Refusal>>,
    },
    Remove {
        meter: String,
        reply: oneshot::Sender<Result<MeterCard, Refusal>>,
    },
    Restore {
        meter: String,
        reply: oneshot::Sender<Result<MeterCard, Refusal>>,
    },
    HandOver {
        meter: String,
        reply: oneshot::Sender<Result<v1::MeterHandover, Refusal>>,
    },
    TakeOver {
        handover: v1::MeterHandover,
        reply: oneshot::Sender<Result<MeterCard, Refusal>>,
    },
    Channel {
        meter: String,
        channel: u8,
        ask: ChannelAsk,
        reply: oneshot::Sender<Result<ChannelCard, Refusal>>,
    },
    /// None for a task that is not configured.
    Task {
        id: String,
        reply: oneshot::Sender<Option<TaskCard>>,
    },
}

impl Collector {
    pub(super) fn answer(&mut self, question: Question) {
        // A desk that stopped waiting wants no answer.
        match question {
            Question::Collection(reply) => drop(reply.send(Tasks(self).collection())),
            Question::Health(reply) => drop(reply.send(Tasks(self).health())),
            Question::Tasks(reply) => drop(reply.send(Tasks(self).lines())),
            Question::Meters(reply) => drop(reply.send(self.meter_lines())),
            Question::Meter { id, reply } => drop(reply.send(self.meter_card(&id))),
            Question::Replace { old, new, reply } => drop(reply.send(self.replace(&old, &new))),
            Question::Remove { meter, reply } => drop(reply.send(self.remove(&meter))),
            Question::Restore { meter, reply } => drop(reply.send(self.restore(&meter))),
            Question::HandOver { meter, reply } => self.hand_over_to_another(&meter, reply),
            Question::TakeOver { handover, reply } => self.take_over_from_another(&handover, reply),
            Question::Channel { meter, channel, ask, reply } => self.channel(&meter, channel, ask, reply),
            Question::Task { id, reply } => drop(reply.send(Tasks(self).card(&id))),
        }
    }
}
