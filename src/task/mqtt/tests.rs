use super::*;

fn publication(topic: &str, size: usize) -> Publication {
    Publication { topic: topic.into(), payload: vec![0; size].into(), retain: false, content_type: None }
}

#[test]
fn what_the_broker_would_not_take_is_never_handed_to_the_library() {
    #[track_caller]
    fn check(publication: Publication, maximum: Option<u32>, expected: Option<PubAckReason>) {
        assert_eq!(unsendable(&publication, maximum), expected);
    }
    check(publication("dcu/v1/a/b/batch/p0", 8192), None, None);
    check(publication("dcu/v1/a/b/batch/p0", 8192), Some(8192), Some(PubAckReason::PacketTooLarge));
    check(publication("dcu/v1/a/b/batch/p0", 8192), Some(8192 + 64), None);
    check(publication("dcu/v1/+/b", 1), None, Some(PubAckReason::TopicNameInvalid));
    check(publication("dcu/v1/#", 1), None, Some(PubAckReason::TopicNameInvalid));
    check(publication("", 1), None, Some(PubAckReason::TopicNameInvalid));
    check(publication("a\0b", 1), None, Some(PubAckReason::TopicNameInvalid));
}

#[tokio::test]
async fn plaintext_leaves_the_machine_under_no_circumstances() {
    let stop = CancellationToken::new();
    let settings = Settings::new("192.0.2.1", 1883, Transport::PlaintextLoopback, "unit");
    let (_door, mut events, _task) = open(settings, 1, stop.clone());
    match events.recv().await {
        Some(Event::Disconnected { reason: Reason::Plaintext { host }, .. }) => assert_eq!(host, "192.0.2.1"),
        other => panic!("{other:?}"),
    }
    for host in ["localhost", "127.0.0.1", "127.8.0.1", "::1"] {
        assert!(is_loopback(host), "{host}");
    }
    for host in ["127.0.0.1.example.org", "localhost.example.org", "10.0.0.1", "0.0.0.0"] {
        assert!(!is_loopback(host), "{host}");
    }
    stop.cancel();
}
