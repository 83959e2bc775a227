//! The head-end's work as commands that run in a terminal: a runtime, signals, an end.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::order::{self, Order, OrderError};
use super::topology::{self, View};
use super::watcher::{Options, WatchError, Watcher};
use super::{Arrival, Counts};
use crate::task::mqtt::Settings;
use crate::uplink::Topics;
use crate::wire::signed::PrivateKey;
use crate::wire::trust::Trust;
use crate::wire::v1::CommandState;

/// When a watcher ends by itself; SIGINT and SIGTERM end it in any case.
#[derive(Debug, Clone, Copy, Default)]
pub struct Until {
    pub after: Option<Duration>,
    /// So many records came for the first time.
    pub records: Option<u64>,
}

/// What a watcher tells on its way.
#[derive(Debug)]
pub enum Told<'a> {
    /// A batch that is durable; it is acknowledged when the hearer returns without an error.
    Arrival(&'a Arrival),
    /// The broker answered the subscriptions.
    Subscribed,
    /// Something is wrong, or was.
    Trouble(&'a str),
}

#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    #[error("start the runtime")]
    Start(#[source] io::Error),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error(transparent)]
    Order(#[from] OrderError),
}

/// Watches until the end; `told` runs on the caller's thread.
pub fn watch(
    options: Options,
    until: Until,
    mut told: impl FnMut(Told<'_>) -> io::Result<()>,
) -> Result<Counts, PlayError> {
    let runtime = runtime()?;
    let (to_caller, from_watcher) = sync_channel(1);
    let arrivals = to_caller.clone();
    let on_arrival = Box::new(move |arrival: &Arrival| {
        let gone = || io::Error::other("nobody listens any more");
        let (reply, answer) = sync_channel(1);
        arrivals.send(Said::Arrival(arrival.clone(), reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    });
    let task = runtime.spawn(async move {
        let mut watcher = Watcher::open(options, on_arrival);
        supervise(&mut watcher, until, to_caller).await;
        watcher.stop().await
    });
    hear(&from_watcher, &mut told);
    // From here an arrival finds nobody, and stays unacknowledged.
    drop(from_watcher);
    let intake = runtime.block_on(task).map_err(|_| WatchError::Broken)??;
    Ok(intake.counts)
}

/// Gives one order and waits for the unit's answer.
pub fn give(
    order: &Order,
    broker: Settings,
    keys: &[&PrivateKey],
    devices: Option<&Trust>,
    limit: Duration,
    told: impl FnMut(&CommandState),
) -> Result<CommandState, PlayError> {
    Ok(runtime()?.block_on(order::give(order, broker, keys, devices, limit, told))?)
}

/// Hears a unit's mesh networks until `seen` has seen enough.
pub fn hear_topology(
    topics: &Topics,
    broker: Settings,
    limit: Duration,
    seen: impl FnMut(&View) -> bool,
) -> Result<(), PlayError> {
    Ok(runtime()?.block_on(topology::hear(topics, broker, limit, seen))?)
}

enum Said {
    Arrival(Arrival, SyncSender<io::Result<()>>),
    Subscribed,
    Trouble(String),
}

fn hear(from_watcher: &Receiver<Said>, told: &mut impl FnMut(Told<'_>) -> io::Result<()>) {
    while let Ok(said) = from_watcher.recv() {
        let is_heard = match said {
            Said::Arrival(arrival, reply) => {
                let heard = told(Told::Arrival(&arrival));
                let is_heard = heard.is_ok();
                let _ = reply.send(heard);
                is_heard
            }
            Said::Subscribed => told(Told::Subscribed).is_ok(),
            Said::Trouble(text) => told(Told::Trouble(&text)).is_ok(),
        };
        if !is_heard {
            return;
        }
    }
}

/// Returns when it is time to end.
async fn supervise(watcher: &mut Watcher, until: Until, to_caller: SyncSender<Said>) {
    let mut news = watcher.news();
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let limit = async {
        match until.after {
            Some(after) => sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(limit);
    let (mut was_subscribed, mut trouble) = (false, None);
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            () = &mut limit => return,
            changed = news.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = news.borrow_and_update().clone();
                if now.is_subscribed && !was_subscribed {
                    // A caller that is busy with an arrival knows it.
                    let _ = to_caller.try_send(Said::Subscribed);
                }
                was_subscribed = now.is_subscribed;
                if let Some(text) = now.trouble.filter(|text| trouble.as_ref() != Some(text)) {
                    let _ = to_caller.try_send(Said::Trouble(text.clone()));
                    trouble = Some(text);
                }
                if until.records.is_some_and(|records| now.counts.records >= records) {
                    return;
                }
            }
        }
    }
}

fn runtime() -> Result<Runtime, PlayError> {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(PlayError::Start)
}
