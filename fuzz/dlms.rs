//! What the fuzzer does behind each door of `dlms` that is open to the outside, as in `bodies.rs`. Replayed by
//! `dlms/tests/fuzz.rs`.

use std::time::{Duration, Instant};

use dlms::acse::{Aare, Aarq, Release};
use dlms::apdu::Attribute;
use dlms::client::{Authentication, Event, Settings};
use dlms::cosem::{Column, Rows};
use dlms::data::Limits;
use dlms::link::hdlc::{Address, Deframer, Frame, Parameters, Primary, Timing};
use dlms::link::wrapper::Wrapper;
use dlms::link::{Link, wrapper};
use dlms::security::{AuthenticationKey, Ciphered, Ciphering, EncryptionKey, GeneralSigning, Suite, SystemTitle};
use dlms::sim::{Access, Model, Port, Server, SplitMix};
use dlms::{Apdu, Client, Data, Obis};

/// What is done behind one door.
pub(crate) type Body = fn(&[u8]);

/// The doors, by the names of their corpora.
pub(crate) static BODIES: &[(&str, Body)] = &[
    ("dlms_apdu", dlms_apdu),
    ("dlms_blocks", dlms_blocks),
    ("dlms_client", dlms_client),
    ("dlms_data", dlms_data),
    ("dlms_hdlc", dlms_hdlc),
    ("dlms_meter", dlms_meter),
    ("dlms_wrapper", dlms_wrapper),
];

/// An APDU of any kind: what is read is written, and read again as the same.
pub(crate) fn dlms_apdu(octets: &[u8]) {
    if let Ok(apdu) = Apdu::parse(octets) {
        let again = apdu.octets();
        assert_eq!(Apdu::parse(&again).map(|apdu| apdu.to_string()), Ok(apdu.to_string()));
    }
    let _ = (Aarq::parse(octets), Aare::parse(octets), Release::parse(octets));
    let _ = (Ciphered::parse(octets), GeneralSigning::parse(octets));
    let key = EncryptionKey::new(&[1; 16]).expect("a key of 16 octets");
    let ciphering = Ciphering {
        suite: Suite::Zero,
        own_title: SystemTitle([1; 8]),
        peer_title: None,
        dedicated: Some(key.clone()),
        broadcast: None,
        global: key,
        authentication: AuthenticationKey::new(&[2; 16]).expect("a key of 16 octets"),
    };
    let _ = ciphering.open(&mut octets.to_vec());
}

/// A value, and the rows that it may be.
pub(crate) fn dlms_data(octets: &[u8]) {
    // So that what a few octets ask for stays small.
    let limits = Limits { elements: 20_000, ..Limits::default() };
    let Ok(data) = Data::parse_within(&mut &*octets, limits) else { return };
    let again = data.octets();
    assert_eq!(Data::parse_within(&mut &again[..], limits).map(|data| data.octets()).as_deref(), Ok(again.as_slice()));
    if let Ok(mut rows) = Rows::new(data, &[Column::Clock, Column::Value, Column::Value], 900) {
        while let Some(row) = rows.next() {
            let _ = row;
        }
    }
}

/// A line, in portions of which the first octet says how long they are.
pub(crate) fn dlms_hdlc(octets: &[u8]) {
    let _ = Frame::parse(octets);
    let _ = Parameters::parse(octets);
    let Some((portion, octets)) = octets.split_first() else { return };
    let (mut deframer, mut now) = (Deframer::default(), anchor());
    for chunk in octets.chunks(usize::from(*portion).max(1)) {
        deframer.push(chunk, now, |frame| {
            if let Ok(frame) = frame {
                let mut out = Vec::new();
                frame.emit(&mut out).expect("what was read fits a frame");
                assert_eq!(Frame::parse(&out[1..out.len() - 1]), Ok(frame));
            }
        });
        now += Duration::from_millis(400);
    }
}

/// A stream of wrapped APDUs.
pub(crate) fn dlms_wrapper(octets: &[u8]) {
    let mut deframer = wrapper::Deframer::default();
    for chunk in octets.chunks(5) {
        deframer.push(chunk, |found| {
            assert!(found.is_err() || found.is_ok_and(|(header, apdu)| usize::from(header.length) == apdu.len()))
        });
    }
}

/// General blocks, as the meter's answer to a request.
pub(crate) fn dlms_blocks(octets: &[u8]) {
    let mut client = associated(Box::new(Wrapper::new(1, 1)));
    client.get(ENERGY, None, anchor());
    for chunk in octets.chunks(20) {
        let mut apdu = vec![0xe0];
        apdu.extend(chunk);
        let mut out = Vec::new();
        let _ = wrapper::emit(1, 1, &apdu, &mut out);
        client.handle_bytes(&out, anchor());
        while client.poll_transmit().is_some() || client.poll_event().is_some() {}
    }
}

/// What a meter may send; the first octet says over which link, and in what portions.
pub(crate) fn dlms_client(octets: &[u8]) {
    let Some((first, octets)) = octets.split_first() else { return };
    let link: Box<dyn Link> = if first & 1 == 0 {
        Box::new(Wrapper::new(1, 1))
    } else {
        let address = Address::one(1).expect("one octet");
        Box::new(Primary::new(address, address, Parameters::default(), Timing::default(), 1 << 16))
    };
    let mut client = associated(link);
    let mut now = anchor();
    for chunk in octets.chunks(usize::from(first >> 1).max(1)) {
        client.get(ENERGY, None, now);
        client.handle_bytes(chunk, now);
        while client.poll_transmit().is_some() || client.poll_event().is_some() {}
        now += Duration::from_secs(1);
        client.handle_timeout(now);
    }
}

/// What a client may send to an emulated meter.
pub(crate) fn dlms_meter(octets: &[u8]) {
    let Some((first, octets)) = octets.split_first() else { return };
    let port = match first & 1 {
        0 => Port::wrapper(1),
        _ => Port::hdlc(Address::one(1).expect("one octet"), Parameters::default()),
    };
    let model = Model { entries: 50, ..Model::electricity(1).expect("a model") };
    let access = Access { is_pre_established: true, ..Access::management(1, Authentication::None) };
    let mut server = Server::new(model.build(), port, vec![access], 1_782_381_600, 1);
    for chunk in octets.chunks(usize::from(first >> 1).max(1)) {
        server.handle_bytes(chunk, anchor());
        while server.poll_transmit().is_some() || server.poll_effect().is_some() {}
    }
}

const ENERGY: Attribute = Attribute::new(3, Obis::new(1, 0, 1, 8, 0, 255), 2);

/// A client whose association is there without being asked for.
fn associated(link: Box<dyn Link>) -> Client {
    let settings = Settings { is_pre_established: true, value_limit: 10_000, ..Settings::default() };
    let mut client = Client::new(settings, link, Box::new(SplitMix::new(1)), 1..1000, None);
    client.associate(anchor());
    while let Some(event) = client.poll_event() {
        assert!(matches!(event, Event::Associated(_)));
    }
    client
}

/// Any instant will do.
#[allow(clippy::disallowed_methods, reason = "where the fuzzer's own clock begins")]
fn anchor() -> Instant {
    use std::sync::OnceLock;
    static ANCHOR: OnceLock<Instant> = OnceLock::new();
    *ANCHOR.get_or_init(Instant::now)
}
