use hex_literal::hex;
use proptest::prelude::*;

use super::*;

#[track_caller]
fn request(octets: &[u8], expected: Request) {
    assert_eq!(Request::parse(octets), Ok(expected.clone()));
    let mut emitted = Vec::new();
    expected.emit(&mut emitted);
    assert_eq!(hex::encode(emitted), hex::encode(octets));
}

#[track_caller]
fn message(octets: &[u8], expected: Message) {
    assert_eq!(Message::parse(octets), Ok(expected.clone()));
    let mut emitted = Vec::new();
    expected.emit(&mut emitted);
    assert_eq!(hex::encode(emitted), hex::encode(octets));
}

#[test]
fn requests_are_read_and_written() {
    // Rows made by us from the layouts of the commands.
    request(&hex!("0a00"), Request::Initialize { band: Band::CenelecA, is_coordinator: None });
    request(&hex!("0a0001"), Request::Initialize { band: Band::CenelecA, is_coordinator: Some(true) });
    request(&hex!("0aff"), Request::Initialize { band: Band::RfOnly, is_coordinator: None });
    request(&hex!("0d781d"), Request::NetworkStart { pan_id: 0x781d });
    request(&hex!("120000000f0000"), Request::Get { attribute: 0x0f, index: 0 });
    let prefix = hex!("1001010020c0000020c0007e7d");
    request(
        &hex!("110000000100000d1001010020c0000020c0007e7d"),
        Request::Set { attribute: 1, index: 0, value: prefix.to_vec().into() },
    );
    request(&hex!("1500120f"), Request::PathDiscovery { destination: 0x12, metric: 15 });
    request(
        &hex!("0b070100 0003 600001"),
        Request::Data { handle: 7, discover_route: true, quality_of_service: 0, nsdu: hex!("600001").to_vec().into() },
    );
    let eui64 = Eui64(hex!("001122ffff000001"));
    let pdu: Octets = hex!("b000001122ffff00000110020004").to_vec().into();
    request(
        &hex!("13 05 08 01 00 00 08 000e 001122ffff000001 b000001122ffff00000110020004"),
        Request::Lbp {
            handle: 5,
            max_hops: 8,
            discover_route: true,
            quality_of_service: 0,
            is_secured: false,
            pdu: Lbp { destination: Address::Extended(eui64), pdu: pdu.clone() },
        },
    );
    request(
        &hex!("13 05 08 01 00 00 02 000e 0102 b000001122ffff00000110020004"),
        Request::Lbp {
            handle: 5,
            max_hops: 8,
            discover_route: true,
            quality_of_service: 0,
            is_secured: false,
            pdu: Lbp { destination: Address::Short(0x0102), pdu },
        },
    );
    request(&hex!("42 001122ffff000001 0005"), Request::AssignShortAddress { eui64, short_addr: 5 });
    request(&hex!("3f 0005 001122ffff000001 01"), Request::Rekey { short_addr: 5, eui64, distribute: true });
    request(&hex!("10"), Request::Reset {});
    request(&hex!("0e 781d 0000"), Request::NetworkJoin { pan_id: 0x781d, lba: 0, medium: None });
}

#[test]
fn messages_are_read_and_written() {
    message(&hex!("00000a"), Message::Status { status: SerialStatus::SUCCESS, command: 10 });
    message(&hex!("2200"), Message::NetworkStartConfirm { status: AdpStatus::SUCCESS });
    message(
        &hex!("28000000000f00000108"),
        Message::GetConfirm { status: AdpStatus::SUCCESS, attribute: 0x0f, index: 0, value: vec![8].into() },
    );
    message(
        &hex!("20 781e 02 0001 08 001122ffff000001 80 05 00"),
        Message::NetworkStatus {
            pan_id: 0x781e,
            source: Address::Short(1),
            destination: Address::Extended(Eui64(hex!("001122ffff000001"))),
            status: MacStatus::ALTERNATE_PAN_ID,
            security_level: 5,
            key_index: 0,
            medium: None,
        },
    );
    message(
        &hex!("2a ffff 000a 1000001122ffff000001 55 00"),
        Message::LbpIndication {
            source: 0xffff,
            pdu: hex!("1000001122ffff000001").to_vec().into(),
            lqi: 0x55,
            is_secured: false,
        },
    );
    let hop = |short_addr| Hop {
        short_addr,
        metric_not_supported: 0,
        link_cost: 9,
        phase_differential: 1,
        medium_rx: 0,
        medium_tx: 1,
    };
    message(
        &hex!("2c 00 0012 0000 0f 02 01 0001 00 09 01 0001 0012 00 09 01 0001 0000 00 09 01 0001"),
        Message::PathDiscoveryConfirm {
            status: AdpStatus::SUCCESS,
            path: Some(Path {
                destination: 0x12,
                originator: 0,
                metric: 15,
                forward: vec![hop(1), hop(0x12)],
                reverse: vec![hop(0)],
            }),
        },
    );
    message(&hex!("2c a6"), Message::PathDiscoveryConfirm { status: AdpStatus::TIMEOUT, path: None });
    message(
        &hex!("30 781d 50 0001 0000 01"),
        Message::Discovery { pan_id: 0x781d, lqi: 0x50, lba: 1, rc_coord: 0, medium: Some(1) },
    );
}

#[test]
fn a_refused_get_ends_before_its_value_and_a_false_length_is_no_length() {
    let refused = Message::parse(&hex!("2ef9 0000010a 0007"));
    let expected = |status, value| Ok(Message::MacGetConfirm { status, attribute: 0x10a, index: 7, value });
    assert_eq!(refused, expected(MacStatus::INVALID_INDEX, Value::default()));
    let octets: Vec<u8> = (0..19).collect();
    let mut neighbour = hex!("2e00 0000010a 0007 12").to_vec();
    neighbour.extend(&octets);
    assert_eq!(Message::parse(&neighbour), expected(MacStatus::SUCCESS, Value { announced: 18, octets }));
    assert_eq!(Message::parse(&hex!("2e00 0000010a 0007 02 00")), Err(Reject::Truncated));
}

#[test]
fn keys_and_contents_are_not_printed() {
    let set = Request::MacSet { attribute: 0x71, index: 0, value: vec![0xaf; 16].into() };
    assert_eq!(format!("{set:?}"), "MacSet { attribute: 113, index: 0, value: Value(16 octets) }");
    let data = Message::DataIndication { lqi: 1, nsdu: vec![0xaf; 16].into() };
    assert_eq!(format!("{data:?}"), "DataIndication { lqi: 1, nsdu: Octets(16) }");
}

#[test]
fn unknown_commands_and_missing_octets_are_rejected() {
    assert_eq!(Request::parse(&[]), Err(Reject::Truncated));
    assert_eq!(Request::parse(&[99]), Err(Reject::UnknownCommand(99)));
    assert_eq!(Request::parse(&hex!("0a04")), Err(Reject::Reserved("band")));
    let whole = hex!("2c 00 0012 0000 0f 01 00 0001 00 09 01 00 01");
    for length in (0..whole.len()).filter(|length| *length != 2) {
        assert_eq!(Message::parse(&whole[..length]), Err(Reject::Truncated), "{length}");
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_again(octets in proptest::collection::vec(any::<u8>(), 0..80), command in 0u8..80) {
        let mut octets = octets;
        octets.insert(0, command);
        if let Ok(request) = Request::parse(&octets) {
            let mut emitted = Vec::new();
            request.emit(&mut emitted);
            prop_assert_eq!(Request::parse(&emitted), Ok(request));
        }
        if let Ok(message) = Message::parse(&octets) {
            let mut emitted = Vec::new();
            message.emit(&mut emitted);
            prop_assert_eq!(Message::parse(&emitted), Ok(message));
        }
    }
}
