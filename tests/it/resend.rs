//! `dcu head-end resend`: what was acknowledged long ago comes again, octet for octet.

use dcu::task::mqtt::Settings;
use dcu::wire;

use crate::support::client::Client;
use crate::support::head_end::{Watch, head_end};
use crate::support::mosquitto::Mosquitto;
use crate::support::service::Unit;

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_range_comes_again_octet_for_octet() {
    let Some(broker) = Mosquitto::start() else { return };
    let mut unit = Unit::new(&broker, "");
    unit.configure("seal_age = \"1s\"", "seal_age = \"1s\"\nseal_records = 20");
    let _watch = Watch::start(&broker, unit.dir.path(), "head-end", &[]);
    let subscriptions = vec!["dcu/v1/acme/dcu-1/batch/mbus".into()];
    let settings = Settings { client_id: "spectator".into(), subscriptions, ..broker.head_end() };
    let mut spectator = Client::open(settings);
    spectator.subscribed().await;
    unit.start();
    unit.hear_volumes(0..200);
    let mut published = Vec::new();
    for _ in 0..10 {
        published.push(spectator.taken().await.payload);
    }
    let status = unit.until("everything is acknowledged", |status| {
        let lanes = status["buffer"]["lanes"].as_array().cloned().unwrap_or_default();
        lanes.iter().any(|lane| lane["lane"] == "mbus" && lane["acknowledged"] == 200)
    });
    // Also after a restart, from the disk.
    unit.terminate();
    unit.start();

    let resend = |first: &str, last: &str| {
        let mut command = head_end(&broker, "resend");
        let epoch = status["buffer"]["epoch"].as_str().unwrap();
        command.args(["--utility", "acme", "--dcu", "dcu-1", "--lane", "mbus", "--epoch", epoch]);
        let output = command.args(["--first", first, "--last", last]).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    // The third to the seventh batch, the first and the last of them in part.
    assert_eq!(resend("50", "121"), (Some(0), "succeeded, 5 batches sent again\n".into()));
    for first in published.iter().take(7).skip(2) {
        let again = spectator.taken().await.payload;
        assert_eq!(again, first, "{:?}", wire::open_head(&again));
    }
    let (code, said) = resend("190", "230");
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("range_not_stored") && said.contains("201"), "{said}");
    assert_eq!(spectator.taken().await.payload, published[9]);
}
