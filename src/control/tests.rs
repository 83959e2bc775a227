//! The lines of the socket, and what a status means.

use super::*;
use crate::reading::TimeQuality;

/// A unit that is well.
pub(crate) fn well() -> Status {
    Status {
        program: "0.1.0".into(),
        utility: "example".into(),
        unit: "dcu-0815".into(),
        boot_id: "00112233445566778899aabbccddeeff".into(),
        uptime_s: 93_784,
        time: TimeStatus {
            now_ms: 1_760_000_000_000,
            quality: TimeQuality::Synchronised,
            anchored_ms: Some(1_759_906_300_000),
        },
        receivers: vec![ReceiverStatus {
            name: "roof".into(),
            kind: "im871a".into(),
            source: "/dev/ttyUSB0".into(),
            state: ReceiverState::Receiving,
            since_ms: 1_759_906_217_000,
            error: None,
            frames: 81_204,
            rejected: [("bad-crc".to_owned(), 17)].into(),
            octets: 4_872_240,
            sent: 0,
            send_missed: 0,
            send_late_us: None,
            last_frame_ms: Some(1_759_999_999_000),
            expected: Some(3_110),
            recoveries: [("ping".to_owned(), 1)].into(),
        }],
        meters: MeterCounts {
            silent: 0,
            known: 212,
            heard_1h: 208,
            heard_24h: 212,
            without_key: 0,
            not_stored: 0,
            telegrams: 81_187,
            readings: 5_088,
            repeated: 214,
            verdicts: [("decrypted".to_owned(), 81_187)].into(),
        },
        electricity: None,
        networks: Vec::new(),
        buffer: BufferStat {
            epoch: "0123456789abcdef".into(),
            lanes: vec![
                LaneStat {
                    lane: "p1".into(),
                    last: 2,
                    acknowledged: 2,
                    batches: 2,
                    octets: 312,
                    ..LaneStat::default()
                },
                LaneStat {
                    lane: "mbus".into(),
                    last: 5_088,
                    acknowledged: 5_040,
                    backlog: 48,
                    batches: 31,
                    octets: 48_200,
                    oldest_ms: Some(1_759_999_960_000),
                },
            ],
            backlog: 48,
            oldest_ms: Some(1_759_999_960_000),
            octets: 48_512,
            size_limit: 1 << 30,
            commits: 1_611,
            last_commit_ms: Some(1_759_999_996_000),
            uncommitted: 3,
            ..BufferStat::default()
        },
        uplink: UplinkStatus {
            is_configured: true,
            is_connected: true,
            broker: Some("mqtts://broker.example:8883".into()),
            since_ms: Some(1_759_906_220_000),
            acknowledge: Some("head-end".into()),
            published: 33,
            in_flight: 1,
            acknowledged: 32,
            last_publish_ms: Some(1_759_999_998_000),
            last_acknowledged_ms: Some(1_759_999_990_000),
            ..UplinkStatus::default()
        },
        alarms: Vec::new(),
        process: Process { pid: 412, rss_bytes: 14 << 20, peak_rss_bytes: 15 << 20, written_bytes: 1_100_000 },
    }
}

/// A water meter that is heard well.
pub(crate) fn card() -> MeterCard {
    let reading = |quantity: &str, obis: Option<&str>, value: &str, unit: &str, storage| ReadingLine {
        quantity: quantity.into(),
        obis: obis.map(str::to_owned),
        value: Some(value.into()),
        unit: unit.into(),
        function: "instantaneous".into(),
        storage,
        tariff: 0,
        subunit: 0,
        time: None,
        quality: "good".into(),
        modifier: String::new(),
    };
    MeterCard {
        line: MeterLine {
            id: "KAM-12345678-1b-16".into(),
            medium: "cold water".into(),
            group: None,
            security: Some("decrypted".into()),
            telegrams: Some(5_412),
            last_heard_ms: Some(1_759_999_988_000),
            rssi_dbm: Some(-67),
        },
        has_key: true,
        counter: None,
        verdicts: [("decrypted".to_owned(), 5_411), ("wrong_key".to_owned(), 1)].into(),
        unread: None,
        policy: "snapshot every 1h".into(),
        first_heard_ms: Some(1_759_906_230_000),
        status: Some(0),
        interval_s: Some(16.0),
        missed: 12,
        next_ms: Some(1_760_000_004_000),
        heard: vec![Heard {
            receiver: "roof".into(),
            telegrams: 5_412,
            repeated: 3,
            last_ms: 1_759_999_988_000,
            rssi_dbm: Some(-67),
            days: vec![HeardDay { ago: 0, telegrams: 5_412, rssi_dbm: Some([-80, -70, -67]) }],
        }],
        readings: vec![
            reading("volume", Some("8-0:1.0.0*255"), "123.456", "m3", 0),
            reading("volume", Some("8-0:1.0.0*1"), "117.020", "m3", 1),
            reading("flow_temperature", None, "14", "Cel", 0),
        ],
        behind: Some(BehindCard {
            electricity_meter: "4d4d4d0000bc614e".into(),
            channel: 1,
            last_ms: None,
            preferred_source: "behind".into(),
            used_source: "air".into(),
        }),
        electricity: None,
    }
}

/// The same meter, a moment later, on the air.
pub(crate) fn telegram() -> TelegramLine {
    let card = card();
    TelegramLine {
        at_ms: 1_759_999_988_000,
        receiver: "roof".into(),
        rssi_dbm: Some(-67),
        id: Some(card.line.id),
        medium: Some(card.line.medium),
        security: card.line.security.unwrap(),
        reject: None,
        kept: true,
        octets: 61,
        readings: card.readings,
    }
}

#[test]
fn every_line_reads_back() {
    let status = well();
    let replies = [
        Reply::Uplink(status.uplink.clone()),
        Reply::BufferStat(status.buffer.clone()),
        Reply::Status(Box::new(status)),
        Reply::Meters { meters: vec![card().line] },
        Reply::Meter(Box::new(card())),
        Reply::Telegram(Box::new(telegram())),
        Reply::Following { stream: Stream::Commits },
        Reply::Missed { count: u64::MAX },
        Reply::Refused(Refusal::new(RefusalKind::NotFound, "no such meter")),
    ];
    for reply in replies {
        for answer in [Answer::new(reply.clone()), Answer::at(77, reply)] {
            let line = serde_json::to_string(&answer).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer, "{line}");
        }
    }
}

#[test]
fn requests_have_these_words() {
    for (request, expected) in [
        (Request::Status, r#"{"version":1,"request":"status"}"#),
        (Request::Meter { id: "a".into() }, r#"{"version":1,"request":"meter","id":"a"}"#),
        (Request::Follow { stream: Stream::Commits }, r#"{"version":1,"request":"follow","stream":"commits"}"#),
        (Request::BufferStat, r#"{"version":1,"request":"buffer-stat"}"#),
    ] {
        assert_eq!(serde_json::to_string(&Ask::new(request.clone())).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Ask>(expected).unwrap(), Ask::new(request));
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut Status), expected: Verdict, reason: &str) {
    let mut status = well();
    change(&mut status);
    let (verdict, reasons) = status.verdict();
    assert_eq!(verdict, expected, "{reasons:?}");
    assert_eq!(reasons.first().map_or("", String::as_str), reason);
}

#[test]
fn the_verdict_names_the_worst_first() {
    check(|_| {}, Verdict::Ok, "");
    check(|s| s.uplink.is_connected = false, Verdict::Degraded, "not connected to the broker");
    check(|s| s.uplink.is_configured = false, Verdict::Degraded, "no uplink is configured");
    check(|s| s.time.quality = TimeQuality::Unsynchronised, Verdict::Degraded, "the clock is not synchronised");
    check(|s| s.time.quality = TimeQuality::Holdover, Verdict::Ok, "");
    check(|s| s.meters.without_key = 4, Verdict::Degraded, "4 meters cannot be decrypted");
    check(|s| s.buffer.octets = s.buffer.size_limit, Verdict::Degraded, "the buffer is 100 % full");
    check(
        |s| s.buffer.error = Some("disk full".into()),
        Verdict::Fault,
        "the buffer does not take readings: disk full",
    );
    check(|s| s.receivers[0].state = ReceiverState::Silent, Verdict::Degraded, "receiver roof hears nothing");
    check(|s| s.receivers[0].state = ReceiverState::Absent, Verdict::Fault, "no receiver works");
    let lost = |s: &mut Status| {
        let mesh = MeshStatus {
            network: "feeder".into(),
            state: MeshState::Up,
            lost: vec!["its outages".into()],
            ..MeshStatus::default()
        };
        s.networks.push(mesh);
    };
    check(lost, Verdict::Degraded, "lost of network feeder: its outages");
    check(
        |s| {
            s.uplink.is_connected = false;
            s.buffer.evicted = 9;
        },
        Verdict::Fault,
        "9 records were evicted before they were acknowledged",
    );
}
