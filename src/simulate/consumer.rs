//! The reference head-end as a part of the run: connected to the broker itself, since outages are between the unit and it.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;

use super::account::Account;
use super::electricity;
use super::head_end::archive::{Archive, Content};
use super::head_end::{self, Arrival, Intake, Watcher};
use super::run::Error;
use super::scene::{Scene, UTILITY};
use crate::reading::MeterId;
use crate::store::Body;
use crate::task::mqtt;
use crate::task::tls::{self, Tls};
use crate::wire::signed::PrivateKey;

/// Opens it; what arrives comes out of the channel, and where it is to be kept also into files of the scene.
pub(super) fn open(
    is_kept: bool,
    seed: u64,
    scene: &Scene,
    broker: &str,
) -> Result<(Watcher, mpsc::Receiver<Arrival>), Error> {
    let kit = scene.kit();
    let identity = kit.head_end();
    let tls = Tls {
        ca: kit.ca(),
        certificate: identity.certificate,
        key: identity.key,
        server_name: None,
        allow_tls12: false,
        clock: tls::clock_with_floor(|| 0),
    };
    let (host, port) = broker.rsplit_once(':').expect("host and port were joined by a colon");
    let transport = mqtt::Transport::Tls(tls);
    let client = format!("dcu-simulate-{}", std::process::id());
    let mut settings = mqtt::Settings::new(host, port.parse().expect("it was a number"), transport, client);
    settings.clean_start = true;
    settings.session_expiry = Duration::from_secs(300);
    settings.retry = (Duration::from_millis(250), Duration::from_secs(2));
    let path = kit.ingest_key();
    let failed = |reason: String| Error::Key { path: path.clone(), reason };
    let pem = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    let ingest = PrivateKey::from_pem(&pem).map_err(|error| failed(error.to_string()))?;
    let mut intake = Intake::default();
    if is_kept {
        intake.records = Some(Archive::open(&scene.readings(), Content::Records)?);
        intake.batches = Some(Archive::open(&scene.batches(), Content::Batches)?);
    }
    let (to_arrivals, arrivals) = mpsc::channel(ARRIVALS);
    let on_arrival = move |arrival: &Arrival| {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the simulation ended");
        to_arrivals.blocking_send(arrival.clone()).map_err(gone)
    };
    let watcher = Watcher::open(
        head_end::Options {
            broker: settings,
            group: None,
            utility: Some(UTILITY.into()),
            ingest: Some(ingest),
            intake,
            seed,
        },
        Box::new(on_arrival),
    );
    Ok((watcher, arrivals))
}

/// Ends it. It hands over what it has before, so that what still arrives is taken meanwhile.
pub(super) async fn close(
    watcher: Watcher,
    arrivals: &mut mpsc::Receiver<Arrival>,
    mut take: impl FnMut(&Arrival),
) -> Result<(), Error> {
    let mut stopped = std::pin::pin!(watcher.stop());
    loop {
        tokio::select! {
            biased;
            Some(arrival) = arrivals.recv() => take(&arrival),
            stopped = &mut stopped => {
                stopped?;
                break;
            }
        }
    }
    while let Ok(arrival) = arrivals.try_recv() {
        take(&arrival);
    }
    Ok(())
}

/// Writes an arrival into the account, and what electricity meters said into theirs.
pub(super) fn arrive(account: &mut Account, electricity: Option<&mut electricity::Part<'_>>, arrival: &Arrival) {
    let stream = &arrival.stream;
    let mut electricity = electricity;
    for record in &arrival.records {
        let reading = match &record.body {
            Body::Reading(reading) => Some(reading),
            Body::Event(_) | Body::Raw(_) => None,
        };
        let (wired, aired) = match reading.map(|reading| reading.source.meter) {
            Some(MeterId::SystemTitle(_)) => (reading, None),
            _ => (None, reading),
        };
        let is_new = account.arrived(stream.epoch, stream.lane, record.sequence, aired);
        if let (Some(electricity), Some(reading), true) = (&mut electricity, wired, is_new) {
            electricity.arrive(reading);
        }
    }
}

const ARRIVALS: usize = 64;
