//! What systemd is told: ready, stopping, and that the service still makes progress.

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::store::Store;

pub(super) fn ready() {
    tell(NotifyState::Ready);
}

pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Feeds the watchdog, where the unit file asks for it, as long as the store's thread answers.
pub(super) async fn watchdog(store: Store, stop: CancellationToken) {
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) {
        return;
    }
    let period = std::time::Duration::from_micros(micros) / 3;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
        let (alive, answer) = tokio::sync::oneshot::channel();
        // An empty commit passes through the writer's queue: who answers it is alive, whatever the disk says.
        let asked = store.commit(Some(Box::new(move |_| {
            // Nobody waits any more: the watchdog has given up on this round.
            let _ = alive.send(());
        })));
        if asked.is_err() {
            error!("the store is closed");
            return;
        }
        match tokio::time::timeout(period * 2, answer).await {
            Ok(_) => tell(NotifyState::Watchdog),
            Err(_) => error!("the store does not answer: the watchdog is not fed"),
        }
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        warn!(err = %error, "tell systemd");
    }
}
