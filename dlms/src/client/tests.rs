//! The client against the emulated meter, over both links, with everything that goes wrong.

use std::time::{Duration, Instant};

use hex_literal::hex;

use super::*;
use crate::apdu::{CaptureObject, EntryDescriptor, RangeDescriptor};
use crate::cosem::{Column, Rows, ScalerUnit, object_list};
use crate::data::Items;
use crate::gateway::GatewayAddress;
use crate::link::hdlc::{Address, Parameters, Primary, Timing};
use crate::link::wrapper::Wrapper;
use crate::security::hls::Hash;
use crate::security::{
    AuthenticationKey, Ciphering, EncryptionKey, Form, Secret, SecurityControl, SigningKey, Suite, SystemTitle,
};
use crate::sim::{Access, Model, Port, Server, SplitMix};
use crate::spec::DataAccessResult;
use crate::{Obis, start};

mod line;

pub(crate) const CLOCK: Attribute = Attribute::new(8, Obis::new(0, 0, 1, 0, 0, 255), 2);
pub(crate) const ENERGY: Attribute = Attribute::new(3, Obis::new(1, 0, 1, 8, 0, 255), 2);
pub(crate) const LOAD_PROFILE: Attribute = Attribute::new(7, Obis::new(1, 0, 99, 1, 0, 255), 2);
/// 2026-06-25T10:00:00Z.
pub(crate) const UNIX: i64 = 1_782_381_600;
const MANAGEMENT: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    Wrapper,
    Hdlc,
    HdlcWide,
}

pub(crate) const MEDIA: [Medium; 3] = [Medium::Wrapper, Medium::Hdlc, Medium::HdlcWide];

/// A client and a meter with a wire between them, and the clock that both see.
pub(crate) struct Pair {
    pub(crate) client: Client,
    pub(crate) server: Server,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
}

impl Pair {
    pub(crate) fn new(medium: Medium, settings: Settings, access: Access) -> Self {
        Self::with_model(medium, settings, access, &Model::electricity(1).unwrap())
    }

    pub(crate) fn with_model(medium: Medium, settings: Settings, access: Access, model: &Model) -> Self {
        let (client, parameters) = (
            access.client,
            match medium {
                Medium::HdlcWide => wide(),
                _ => Parameters::default(),
            },
        );
        let (own, meter) = (Address::one(client).unwrap(), Address::server(1, Some(17)).unwrap());
        let (link, port): (Box<dyn Link>, _) = match medium {
            Medium::Wrapper => (Box::new(Wrapper::new(client, 1)), Port::wrapper(1)),
            _ => (
                Box::new(Primary::new(own, meter, parameters, Timing::default(), 1 << 24)),
                Port::hdlc(meter, parameters),
            ),
        };
        let server = Server::new(model.build(), port, vec![access], UNIX, 1);
        let client = Client::new(settings, link, Box::new(SplitMix::new(2)), 100..10_000, None);
        Self { client, server, now: start(), events: Vec::new() }
    }

    /// Lets both go on until `is_done`, or until nothing more can come.
    pub(crate) fn until(&mut self, is_done: impl Fn(&[Event]) -> bool) {
        for _ in 0..200_000 {
            let mut is_quiet = true;
            while let Some(octets) = self.client.poll_transmit() {
                is_quiet = false;
                self.server.handle_bytes(&octets, self.now);
            }
            while let Some(octets) = self.server.poll_transmit() {
                is_quiet = false;
                self.client.handle_bytes(&octets, self.now);
            }
            self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
            if is_done(&self.events) {
                return;
            }
            if is_quiet {
                let timeouts = self.client.poll_timeout().into_iter().chain(self.server.poll_timeout());
                let Some(next) = timeouts.min() else { return };
                self.now = self.now.max(next);
                self.client.handle_timeout(self.now);
                self.server.handle_timeout(self.now);
            }
        }
        panic!("goes on for ever: {:?}", self.events.last());
    }

    pub(crate) fn associate(&mut self) -> Result<Association, Failure> {
        self.client.associate(self.now);
        self.until(|events| events.iter().any(|event| matches!(event, Event::Associated(_) | Event::Failed(_))));
        let events = std::mem::take(&mut self.events);
        for event in events {
            match event {
                Event::Associated(association) => return Ok(association),
                Event::Failed(failure) => return Err(failure),
                event => self.events.push(event),
            }
        }
        panic!("neither associated nor failed");
    }

    pub(crate) fn answer(&mut self, id: RequestId) -> Result<Answer, Failure> {
        let is_answer = |event: &Event| matches!(event, Event::Answered { id: found, .. } if *found == id);
        self.until(|events| events.iter().any(is_answer));
        let place = self.events.iter().position(is_answer).expect("an answer");
        let Event::Answered { result, .. } = self.events.remove(place) else { unreachable!("it was one") };
        result
    }

    pub(crate) fn get(&mut self, attribute: Attribute) -> Result<Answer, Failure> {
        let id = self.client.get(attribute, None, self.now);
        self.answer(id)
    }

    pub(crate) fn value(&mut self, attribute: Attribute) -> String {
        let Ok(Answer::Value(octets)) = self.get(attribute) else { panic!("no value of {attribute}") };
        Data::parse_all(&octets).unwrap().to_string()
    }

    pub(crate) fn action(&mut self, method: Method, parameter: Option<Data<'_>>) -> Result<Answer, Failure> {
        let id = self.client.action(method, parameter, self.now);
        self.answer(id)
    }

    pub(crate) fn set(&mut self, attribute: Attribute, value: Data<'_>) -> Result<Answer, Failure> {
        let id = self.client.set(attribute, value, self.now);
        self.answer(id)
    }
}

fn wide() -> Parameters {
    Parameters { information_transmit: 512, information_receive: 512, window_transmit: 3, window_receive: 3 }
}

pub(crate) fn ciphering(suite: Suite, is_meter: bool) -> Ciphering {
    let (client, meter) = (SystemTitle(*b"DCU\0\0\0\0\x01"), SystemTitle([b'D', b'C', b'U', 1, 0, 0, 0, 1]));
    let (own_title, peer_title) = if is_meter { (meter, client) } else { (client, meter) };
    Ciphering {
        suite,
        own_title,
        peer_title: Some(peer_title),
        global: EncryptionKey::new(&[1; 32][..suite.key_length()]).unwrap(),
        broadcast: None,
        dedicated: None,
        authentication: AuthenticationKey::new(&[4; 32][..suite.key_length()]).unwrap(),
    }
}

/// Client and meter with this authentication, protected in this form or not.
fn sides(authentication: [Authentication; 2], suite: Suite, form: Option<Form>) -> (Settings, Access) {
    let [ours, theirs] = authentication;
    let settings = Settings {
        authentication: ours,
        ciphering: Some(ciphering(suite, false)),
        protection: form.map(|form| Protection { control: SecurityControl::full(suite), form }),
        ..Settings::default()
    };
    let access = Access {
        ciphering: Some(ciphering(suite, true)),
        is_protected: form.is_some(),
        ..Access::management(MANAGEMENT, theirs)
    };
    (settings, access)
}

pub(crate) fn protected() -> (Settings, Access) {
    sides([Authentication::Gmac, Authentication::Gmac], Suite::Zero, Some(Form::Global))
}

pub(crate) fn open() -> (Settings, Access) {
    (Settings::default(), Access::management(MANAGEMENT, Authentication::None))
}

fn ecdsa(suite: Suite) -> [Authentication; 2] {
    let key = |octet: u8| SigningKey::new(suite, &[octet; 48][..if suite == Suite::One { 32 } else { 48 }]).unwrap();
    let (client, meter) = (key(7), key(9));
    [
        Authentication::Ecdsa { own: client.clone(), meter: meter.verifying_key() },
        Authentication::Ecdsa { own: meter, meter: client.verifying_key() },
    ]
}

#[test]
fn signed_requests_get_signed_answers() {
    for (suite, form) in [(Suite::One, Some(Form::GeneralGlobal)), (Suite::Two, None)] {
        let [ours, theirs] = ecdsa(suite);
        let signing = |authentication: &Authentication| match authentication {
            Authentication::Ecdsa { own, meter } => Some(Signing { own: own.clone(), peer: meter.clone() }),
            _ => None,
        };
        let (our_keys, their_keys) = (signing(&ours), signing(&theirs));
        let (settings, access) = sides([ours, theirs], suite, form);
        let mut pair = Pair::new(
            Medium::Hdlc,
            Settings { signing: our_keys.clone(), max_receive_pdu_size: 400, ..settings },
            Access { signing: their_keys, ..access },
        );
        pair.associate().unwrap();
        assert!(pair.get(ENERGY).is_ok());
        let text = Attribute::new(1, Obis::new(0, 0, 96, 13, 0, 255), 2);
        assert_eq!(pair.set(text, Data::OctetString(&[7; 3000])), Ok(Answer::Done));
        assert_eq!(pair.value(text), "07".repeat(3000));
        // Whoever does not sign is not answered, and whoever answers without is not believed.
        pair.client.settings.signing = None;
        assert!(matches!(pair.get(ENERGY).unwrap_err().cause, Cause::Exception(_)));
        pair.client.settings.signing = our_keys.clone();
        pair.server.accesses[0].signing = None;
        assert!(pair.get(ENERGY).is_err());
        let other = SigningKey::new(suite, &[0x11; 48][..if suite == Suite::One { 32 } else { 48 }]).unwrap();
        pair.server.accesses[0].signing = our_keys.map(|keys| Signing { own: other, peer: keys.own.verifying_key() });
        assert_eq!(pair.get(ENERGY).unwrap_err().cause, Cause::Timeout);
        assert!(pair.events.contains(&Event::Rejected(Reject::BadSignature)));
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes())
}

#[test]
fn every_authentication_associates_over_every_link() {
    for medium in MEDIA {
        let lls = || Authentication::Lls(secret("12345678"));
        let hash = |hash| Authentication::Hash(hash, secret("secret"));
        for (authentication, suite, form) in [
            ([Authentication::None, Authentication::None], Suite::Zero, None),
            ([lls(), lls()], Suite::Zero, None),
            ([hash(Hash::Md5), hash(Hash::Md5)], Suite::Zero, None),
            ([hash(Hash::Sha1), hash(Hash::Sha1)], Suite::Zero, None),
            ([hash(Hash::Sha256), hash(Hash::Sha256)], Suite::Zero, None),
            ([Authentication::Gmac, Authentication::Gmac], Suite::Zero, None),
            ([Authentication::Gmac, Authentication::Gmac], Suite::Zero, Some(Form::Global)),
            ([Authentication::Gmac, Authentication::Gmac], Suite::Zero, Some(Form::Dedicated)),
            ([Authentication::Gmac, Authentication::Gmac], Suite::One, Some(Form::GeneralGlobal)),
            ([Authentication::Gmac, Authentication::Gmac], Suite::Two, Some(Form::GeneralDedicated)),
            ([lls(), lls()], Suite::Zero, Some(Form::Global)),
            (ecdsa(Suite::One), Suite::One, Some(Form::GeneralGlobal)),
            (ecdsa(Suite::Two), Suite::Two, Some(Form::Global)),
        ] {
            let name = format!("{medium:?} {} {suite:?} {form:?}", authentication[0].mechanism());
            let (settings, access) = sides(authentication, suite, form);
            let mut pair = Pair::new(medium, settings, access);
            let association = pair.associate().unwrap_or_else(|failure| panic!("{name}: {failure}"));
            assert!(association.conformance.has(Conformance::GET), "{name}");
            assert_eq!(pair.value(CLOCK), "07ea061904 0c000000ff8880".replace(' ', ""), "{name}");
            pair.client.release(pair.now);
            pair.until(|events| events.contains(&Event::Closed));
            assert!(pair.client.is_idle() && !pair.client.is_associated(), "{name}");
            // And again: counters go on.
            pair.associate().unwrap_or_else(|failure| panic!("{name} again: {failure}"));
            assert!(pair.get(ENERGY).is_ok(), "{name}");
        }
    }
}

#[test]
fn wrong_secrets_are_refused_by_the_meter_and_by_the_client() {
    let check = |authentication: [Authentication; 2], form, expected: &str| {
        let (settings, access) = sides(authentication, Suite::Zero, form);
        let mut pair = Pair::new(Medium::Wrapper, settings, access);
        assert_eq!(pair.associate().unwrap_err().to_string(), expected);
    };
    let lls = |text| Authentication::Lls(secret(text));
    let refused = "associate: rejected, permanently: authentication failure";
    check([lls("a"), lls("b")], None, refused);
    let hash = |text| Authentication::Hash(Hash::Sha256, secret(text));
    let proof = "associate: the meter refuses the proof: read-write denied";
    check([hash("a"), hash("b")], None, proof);
    let mechanism = "associate: rejected, permanently: authentication mechanism not recognised";
    check([lls("a"), hash("a")], None, mechanism);
    let [ours, _] = ecdsa(Suite::One);
    let [_, theirs] = ecdsa(Suite::One);
    let Authentication::Ecdsa { own, .. } = &ours else { panic!() };
    let mistaken = Authentication::Ecdsa { own: own.clone(), meter: own.verifying_key() };
    check([mistaken, theirs], None, "associate: the meter's proof is wrong");
    let (mut settings, access) = protected();
    settings.ciphering.as_mut().unwrap().global = EncryptionKey::new(&[9; 16]).unwrap();
    let mut pair = Pair::new(Medium::Wrapper, settings, access);
    assert_eq!(pair.associate().unwrap_err().to_string(), refused);
    let (settings, access) = protected();
    let settings = Settings { protection: None, ..settings };
    let mut pair = Pair::new(Medium::Wrapper, settings, access);
    let context = "associate: rejected, permanently: application context not supported";
    assert_eq!(pair.associate().unwrap_err().to_string(), context);
}

#[test]
fn objects_are_read_written_and_invoked_over_every_link() {
    for medium in MEDIA {
        for (settings, access) in [open(), protected()] {
            let mut pair = Pair::new(medium, settings, access);
            pair.associate().unwrap();
            let scaler_unit = Attribute { attribute: 3, ..ENERGY };
            let Ok(Answer::Value(octets)) = pair.get(scaler_unit) else { panic!() };
            let scaler_unit = ScalerUnit::try_from(Data::parse_all(&octets).unwrap()).unwrap();
            assert_eq!(scaler_unit.to_string(), "1e0 Wh");
            let text = Attribute::new(1, Obis::new(0, 0, 96, 13, 0, 255), 2);
            assert_eq!(pair.set(text, Data::OctetString(b"hello")), Ok(Answer::Done));
            assert_eq!(pair.value(text), hex::encode("hello"));
            let failure = pair.set(text, Data::Unsigned(1)).unwrap_err();
            assert_eq!(failure.to_string(), "set 0-0:96.13.0*255 class 1 attribute 2: type unmatched");
            let failure = pair.get(Attribute::new(3, Obis::new(1, 0, 99, 99, 0, 255), 2)).unwrap_err();
            assert_eq!(failure.to_string(), "get 1-0:99.99.0*255 class 3 attribute 2: object undefined");
            let relay = Method::new(70, Obis::new(0, 0, 96, 3, 10, 255), 1);
            assert_eq!(pair.action(relay, Some(Data::Integer(0))), Ok(Answer::Returned(None)));
            assert_eq!(pair.value(Attribute::new(70, relay.logical_name, 2)), "false");
            let failure = pair.action(Method { method: 9, ..relay }, None).unwrap_err();
            assert_eq!(failure.to_string(), "action 0-0:96.3.10*255 class 70 method 9: read-write denied");
            let list = [Selected::all(CLOCK), Selected::all(Attribute { class_id: 4, ..ENERGY })];
            let id = pair.client.get_list(&list, pair.now);
            let Ok(Answer::Values(values)) = pair.answer(id) else { panic!() };
            assert!(values[0].is_ok());
            assert_eq!(values[1], Err(DataAccessResult::ObjectClassInconsistent));
            let id = pair.client.set_list(&[(text, Data::OctetString(b"x")), (CLOCK, Data::NullData)], pair.now);
            let results = vec![DataAccessResult::Success, DataAccessResult::TypeUnmatched];
            assert_eq!(pair.answer(id), Ok(Answer::Results(results)));
            let id = pair.client.action_list(&[(Method { method: 2, ..relay }, Data::Integer(0))], pair.now);
            let Ok(Answer::ReturnedList(results)) = pair.answer(id) else { panic!() };
            assert_eq!(results, [(crate::spec::ActionResult::Success, None)]);
        }
    }
}

/// Conformances with blocks of services, with general blocks, and with both.
fn conformances() -> [Conformance; 3] {
    let blocks = Conformance::BLOCK_TRANSFER_WITH_GET
        .with(Conformance::BLOCK_TRANSFER_WITH_SET)
        .with(Conformance::BLOCK_TRANSFER_WITH_ACTION);
    let general = Conformance(Conformance::USUAL.0 & !blocks.0).with(Conformance::GENERAL_BLOCK_TRANSFER);
    [Conformance::USUAL, general, Conformance::USUAL.with(Conformance::GENERAL_BLOCK_TRANSFER)]
}

#[test]
fn long_values_go_both_ways_in_blocks() {
    for medium in MEDIA {
        for conformance in conformances() {
            for (settings, access) in [open(), protected()] {
                let settings = Settings { conformance, max_receive_pdu_size: 300, ..settings };
                let access = Access { max_receive_pdu_size: 200, ..access };
                let mut pair = Pair::new(medium, settings, access);
                pair.associate().unwrap();
                let Ok(Answer::Value(octets)) = pair.get(Attribute::new(15, Obis::new(0, 0, 40, 0, 0, 255), 2)) else {
                    panic!("{medium:?} {conformance:?}")
                };
                let objects = object_list(Data::parse_all(&octets).unwrap()).unwrap();
                assert!(octets.len() > 1500 && objects.iter().any(|object| object.class_id == 70));
                let text = Attribute::new(1, Obis::new(0, 0, 96, 13, 0, 255), 2);
                let long: Vec<_> = (0..2000_u32).map(|place| place as u8).collect();
                assert_eq!(pair.set(text, Data::OctetString(&long)), Ok(Answer::Done), "{medium:?} {conformance:?}");
                assert_eq!(pair.value(text), hex::encode(&long));
                let selected: Vec<_> = (0..30).map(|_| Selected::all(CLOCK)).collect();
                if conformance.has(Conformance::GENERAL_BLOCK_TRANSFER) {
                    let id = pair.client.get_list(&selected, pair.now);
                    let answer = pair.answer(id);
                    let Ok(Answer::Values(values)) = answer else { panic!("{medium:?} {conformance:x?} {answer:?}") };
                    assert_eq!(values.len(), 30);
                }
                let image = Obis::new(0, 0, 44, 0, 0, 255);
                let parameter = crate::data::encode(|out| {
                    out.structure(2).put(Data::OctetString(&[5; 900])).put(Data::DoubleLongUnsigned(100));
                });
                let parameter = Data::parse_all(&parameter).unwrap();
                assert_eq!(pair.action(Method::new(18, image, 1), Some(parameter)), Ok(Answer::Returned(None)));
            }
        }
    }
}

fn rows_of(octets: &[u8]) -> usize {
    let columns = [Column::Clock, Column::Value, Column::Value, Column::Value];
    let mut rows = Rows::new(Data::parse_all(octets).unwrap(), &columns, 900).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next() {
        assert!(row.unwrap().clock.is_some());
        count += 1;
    }
    count
}

#[test]
fn profiles_are_read_by_range_and_by_entry() {
    for medium in MEDIA {
        let (settings, access) = protected();
        let mut pair = Pair::new(medium, settings, access);
        pair.associate().unwrap();
        let clock = &pair.server.meter.world.clock;
        let (from, to) = (clock.date_time(UNIX - 86_400).octets(), clock.date_time(UNIX).octets());
        let range = RangeDescriptor {
            restricting_object: CaptureObject::new(CLOCK),
            from_value: Data::OctetString(&from),
            to_value: Data::OctetString(&to),
            selected_values: Items::EMPTY,
        };
        let id = pair.client.get(LOAD_PROFILE, Some(Selection::Range(range)), pair.now);
        let Ok(Answer::Value(octets)) = pair.answer(id) else { panic!() };
        assert_eq!(rows_of(&octets), 97);
        let entries = Selection::Entries(EntryDescriptor::rows(3, 52));
        let id = pair.client.get(LOAD_PROFILE, Some(entries), pair.now);
        let Ok(Answer::Value(octets)) = pair.answer(id) else { panic!() };
        assert_eq!(rows_of(&octets), 50);
        let other = RangeDescriptor { restricting_object: CaptureObject::new(ENERGY), ..range };
        let id = pair.client.get(LOAD_PROFILE, Some(Selection::Range(other)), pair.now);
        let failure = pair.answer(id).unwrap_err();
        assert_eq!(failure.cause, Cause::Access(DataAccessResult::ScopeOfAccessViolated));
        let in_use = pair.value(Attribute { attribute: 7, ..LOAD_PROFILE });
        assert_eq!(in_use, "10000");
        let Ok(Answer::Value(octets)) = pair.get(LOAD_PROFILE) else { panic!() };
        assert_eq!(rows_of(&octets), 10_000);
    }
}

#[test]
fn the_public_client_reads_the_counter_and_nothing_of_worth() {
    let mut pair = Pair::new(Medium::Wrapper, Settings::default(), Access::public());
    pair.associate().unwrap();
    assert_eq!(pair.value(Attribute::new(1, Obis::new(0, 0, 43, 1, 0, 255), 2)), "0");
    assert_eq!(pair.get(ENERGY).unwrap_err().cause, Cause::Access(DataAccessResult::ReadWriteDenied));
    assert!(pair.action(Method::new(70, Obis::new(0, 0, 96, 3, 10, 255), 1), None).is_err());
}

#[test]
fn an_association_may_be_there_without_being_asked_for() {
    let (settings, access) =
        sides([Authentication::None, Authentication::None], Suite::Zero, Some(Form::GeneralGlobal));
    let settings = Settings { is_pre_established: true, ..settings };
    let mut pair = Pair::new(Medium::Wrapper, settings, Access { is_pre_established: true, ..access });
    pair.associate().unwrap();
    assert!(pair.get(ENERGY).is_ok());
    pair.client.release(pair.now);
    pair.until(|events| events.contains(&Event::Closed));
}

#[test]
fn a_meter_behind_a_gateway_has_its_address_before_each_apdu() {
    let gateway = GatewayAddress { network_id: 0, physical_address: vec![0x12, 0x34] };
    let (settings, access) = protected();
    let mut pair = Pair::new(Medium::Hdlc, Settings { gateway: Some(gateway.clone()), ..settings }, access);
    pair.server.gateway = Some(gateway);
    pair.associate().unwrap();
    assert!(pair.get(ENERGY).is_ok());
    pair.server.gateway = Some(GatewayAddress { network_id: 0, physical_address: vec![9] });
    assert_eq!(pair.get(ENERGY).unwrap_err().cause, Cause::Timeout);
}

#[test]
fn counters_are_never_used_twice_and_end_where_the_reservation_ends() {
    let (settings, access) = protected();
    let mut pair = Pair::new(Medium::Wrapper, settings, access);
    pair.client.sent = SentCounter::new(5..10);
    pair.associate().unwrap();
    // AARQ, proof, action: three of five.
    assert_eq!(pair.client.counters_left(), 2);
    assert!(pair.get(ENERGY).is_ok() && pair.get(ENERGY).is_ok());
    assert_eq!(pair.get(ENERGY).unwrap_err().cause, Cause::CountersExhausted);
    assert!(pair.client.is_associated());
    pair.client.reserve(10..12).unwrap();
    assert!(pair.get(ENERGY).is_ok());
    assert!(pair.client.reserve(3..20).is_err());
    let high = pair.client.received_counter();
    assert!(high.is_some_and(|high| high > 2));
}

#[test]
fn a_meter_that_starts_its_counter_anew_is_reported_or_refused() {
    for counter_restarts in [true, false] {
        let (settings, access) = protected();
        let mut pair = Pair::new(Medium::Wrapper, Settings { counter_restarts, ..settings }, access);
        pair.server.faults.counter_restarts = true;
        pair.associate().unwrap();
        let highest = pair.client.received_counter().unwrap();
        pair.client.release(pair.now);
        pair.until(|events| events.contains(&Event::Closed));
        let again = pair.associate();
        if counter_restarts {
            assert!(again.is_ok() && pair.get(ENERGY).is_ok());
            assert!(pair.events.contains(&Event::CounterRestarted { highest, received: 0 }));
        } else {
            assert_eq!(again.unwrap_err().cause, Cause::Rejected(Reject::Replayed));
        }
    }
}

#[test]
fn answers_with_an_old_counter_or_none_are_not_believed() {
    let (settings, access) = protected();
    let mut pair = Pair::new(Medium::Wrapper, settings, access);
    pair.associate().unwrap();
    pair.server.faults.counter_stands = true;
    assert!(pair.get(ENERGY).is_ok());
    assert_eq!(pair.get(ENERGY).unwrap_err().cause, Cause::Timeout);
    assert!(pair.events.contains(&Event::Rejected(Reject::Replayed)));
    pair.server.faults = crate::sim::Faults { unprotected: true, ..Default::default() };
    assert_eq!(pair.get(ENERGY).unwrap_err().cause, Cause::Rejected(Reject::NotProtected));
    pair.server.faults = Default::default();
    // The meter's counter goes on where it stood.
    assert_eq!(pair.get(ENERGY).unwrap_err().cause, Cause::Timeout);
    assert!(pair.get(ENERGY).is_ok());
}

#[test]
fn quirks_of_meters_in_the_field_are_lived_with() {
    let faults = |change: fn(&mut crate::sim::Faults)| {
        let (settings, access) = open();
        let mut pair = Pair::new(Medium::Wrapper, Settings { value_limit: 100_000, ..settings }, access);
        change(&mut pair.server.faults);
        pair.associate().unwrap();
        pair
    };
    assert!(faults(|faults| faults.says_version = true).get(ENERGY).is_ok());
    assert!(faults(|faults| faults.unasked_blocks = true).get(ENERGY).is_ok());
    let mut short = faults(|faults| faults.short_release = true);
    short.client.release(short.now);
    short.until(|events| events.contains(&Event::Closed));
    assert!(short.client.is_release_answered());
    let mut mute = faults(|faults| faults.mute_release = true);
    mute.client.set_release_timeout(Duration::from_secs(1));
    let begin = mute.now;
    mute.client.release(mute.now);
    mute.until(|events| events.contains(&Event::Closed));
    assert!(!mute.client.is_release_answered() && mute.now - begin < Settings::default().timeout);
    let mut trailing = faults(|faults| faults.trailing = hex!("090f 00").to_vec());
    assert_eq!(trailing.get(ENERGY).unwrap_err().cause, Cause::Rejected(Reject::Trailing));
    trailing.server.faults.trailing.clear();
    assert!(trailing.get(ENERGY).is_ok(), "the association is kept");
    let mut endless = faults(|faults| faults.endless_blocks = true);
    assert_eq!(endless.get(ENERGY).unwrap_err().cause, Cause::Rejected(Reject::TooLong("block transfer")));
    let mut other = faults(|faults| faults.wrong_invoke_id = true);
    assert_eq!(other.get(ENERGY).unwrap_err().cause, Cause::Timeout);
    let mut hang = faults(|faults| faults.hang_after = Some(2));
    assert!(hang.get(ENERGY).is_ok());
    assert_eq!(hang.get(ENERGY).unwrap_err().cause, Cause::Timeout);
    hang.client.release(hang.now);
    hang.until(|events| events.contains(&Event::Closed));
    assert!(hang.associate().is_ok(), "a new association is answered again");
}

#[test]
fn a_line_that_loses_and_damages_is_repaired_or_named() {
    for medium in MEDIA {
        for seed in 0..4 {
            let (settings, access) = protected();
            let settings = Settings { repeats: 20, timeout: Duration::from_secs(60), ..settings };
            let mut pair = Pair::new(medium, settings, access);
            pair.associate().unwrap();
            pair.server.faults.lose_answer = 100;
            pair.server.faults.damage = if medium == Medium::Wrapper { 0 } else { 50 };
            pair.server.faults.garbage = 50;
            pair.server.faults.duplicate = if medium == Medium::Wrapper { 50 } else { 0 };
            let mut good = 0;
            for _ in 0..40 + seed {
                good += usize::from(pair.get(ENERGY).is_ok());
                if !pair.client.is_associated() {
                    break;
                }
            }
            assert!(good >= 10, "{medium:?}: {good}");
        }
    }
}

#[test]
fn a_silent_meter_fails_everything_and_can_be_asked_again() {
    for medium in MEDIA {
        let (settings, access) = open();
        let mut pair = Pair::new(medium, settings, access);
        pair.server.faults.lose_answer = 1000;
        assert!(matches!(pair.associate().unwrap_err().cause, Cause::Timeout | Cause::Link(_)));
        pair.until(|events| events.contains(&Event::Closed));
        pair.events.clear();
        pair.server.faults.lose_answer = 0;
        pair.associate().unwrap();
        pair.server.faults.lose_answer = 1000;
        let ids = [pair.client.get(ENERGY, None, pair.now), pair.client.get(CLOCK, None, pair.now)];
        for id in ids {
            assert!(matches!(pair.answer(id).unwrap_err().cause, Cause::Timeout | Cause::Link(_)));
        }
    }
    let (settings, access) = open();
    let mut pair = Pair::new(Medium::Wrapper, settings, access);
    assert_eq!(pair.get(ENERGY).unwrap_err().to_string(), "get 1-0:1.8.0*255 class 3 attribute 2: not associated");
}

#[test]
fn a_lost_connection_fails_what_was_asked_and_nothing_is_left_for_the_next() {
    for medium in MEDIA {
        let (settings, access) = protected();
        let mut pair = Pair::new(medium, settings, access);
        pair.associate().unwrap();
        let id = pair.client.get(ENERGY, None, pair.now);
        pair.client.transport_lost();
        let failure = pair.answer(id).unwrap_err();
        assert_eq!(failure.to_string(), "get 1-0:1.8.0*255 class 3 attribute 2: link: connection lost");
        pair.until(|events| events.contains(&Event::Closed));
        pair.events.clear();
        pair.server.reconnect();
        pair.associate().unwrap();
        assert!(pair.get(ENERGY).is_ok());
    }
}

#[test]
fn many_requests_that_cannot_be_sent_fail_one_by_one() {
    let (settings, access) = protected();
    let mut pair = Pair::new(Medium::Wrapper, settings, access);
    pair.associate().unwrap();
    pair.client.sent = SentCounter::new(5..5);
    let last = (0..50_000).map(|_| pair.client.get(ENERGY, None, pair.now)).last().unwrap();
    assert_eq!(pair.answer(last).unwrap_err().cause, Cause::CountersExhausted);
    assert_eq!(pair.events.len(), 49_999);
}

#[test]
fn any_octets_from_the_meter_never_panic() {
    let mut random = SplitMix::new(7);
    for medium in MEDIA {
        let (settings, access) = protected();
        let mut pair = Pair::new(medium, settings, access);
        for round in 0..300_u32 {
            if !pair.client.is_associated() {
                let _ = pair.associate();
            }
            pair.client.get(ENERGY, None, pair.now);
            let mut octets = vec![0; round as usize % 60 + 1];
            random.fill(&mut octets);
            let framed = match medium {
                Medium::Wrapper => {
                    let mut out = Vec::new();
                    octets[0] = [0x61, 0xc4, 0xcc, 0xdb, 0xe0, 0xd8, 0x63, 0x0f][round as usize % 8];
                    crate::link::wrapper::emit(1, MANAGEMENT, &octets, &mut out).unwrap();
                    out
                }
                _ => [&[0x7e, 0xa0, octets.len() as u8 + 2][..], &octets, &[0x7e]].concat(),
            };
            pair.client.handle_bytes(&framed, pair.now);
            pair.events.clear();
        }
    }
}

#[test]
fn a_refusal_without_a_reason_gives_the_services_own() {
    use crate::acse::{Aare, ApplicationContext, AssociationResult, Diagnostic, Mechanism, UserDiagnostic};
    for (reason, expected) in [
        (UserDiagnostic::NoReasonGiven, "associate: confirmed service error: initiate, initiate 3"),
        (UserDiagnostic::AuthenticationFailure, "associate: rejected, permanently: authentication failure"),
    ] {
        let now = crate::start();
        let link = Box::new(crate::link::wrapper::Wrapper::new(16, 1));
        let mut client = Client::new(Settings::default(), link, Box::new(crate::sim::SplitMix::new(1)), 0..0, None);
        client.associate(now);
        let aare = Aare {
            context: ApplicationContext::LogicalName,
            result: AssociationResult::RejectedPermanent,
            diagnostic: Diagnostic::User(reason),
            responding_ap_title: None,
            mechanism: Mechanism::Lowest,
            responding_authentication_value: None,
            user_information: Some(&[0x0e, 1, 6, 3]),
        };
        let (mut apdu, mut octets) = (Vec::new(), Vec::new());
        aare.emit(&mut apdu);
        crate::link::wrapper::emit(1, 16, &apdu, &mut octets).unwrap();
        client.handle_bytes(&octets, now);
        let Some(Event::Failed(failure)) = client.poll_event() else { panic!("{client:?}") };
        assert_eq!(failure.to_string(), expected);
    }
}

#[test]
fn an_association_over_datagrams_begins_whatever_is_lost_late_or_doubled() {
    for ciphering in [Form::Global, Form::Dedicated] {
        let (settings, access) = protected();
        let protection = settings.protection.map(|it| Protection { form: ciphering, ..it });
        let mut pair = Pair::new(Medium::Wrapper, Settings { repeats: 30, protection, ..settings }, access);
        (pair.server.faults.lose_answer, pair.server.faults.lose_request) = (300, 300);
        pair.server.faults.duplicate = 300;
        for run in 0..30 {
            pair.associate().unwrap();
            for _ in 0..10 {
                let energy = pair.get(ENERGY);
                assert!(energy.is_ok(), "{run}: {energy:?}");
            }
            pair.client.release(pair.now);
            pair.until(|events| events.contains(&Event::Closed));
            pair.events.clear();
        }
    }
}

#[test]
fn of_several_associations_that_were_asked_for_the_last_one_is_proven() {
    let (settings, access) = protected();
    let mut pair = Pair::new(Medium::Wrapper, Settings { repeats: 2, ..settings }, access);
    pair.client.associate(pair.now);
    let first = pair.client.poll_transmit().unwrap();
    pair.now = pair.client.poll_timeout().unwrap();
    pair.client.handle_timeout(pair.now);
    let second = pair.client.poll_transmit().unwrap();
    assert_ne!(first, second, "a counter is used once");
    // Both come late, and the meter knows the second alone.
    let answers: Vec<_> = [first, second]
        .iter()
        .map(|aarq| {
            pair.server.handle_bytes(aarq, pair.now);
            pair.server.poll_transmit().unwrap()
        })
        .collect();
    for answer in [&answers[0], &answers[1], &answers[1]] {
        pair.client.handle_bytes(answer, pair.now);
    }
    let proofs: Vec<_> = std::iter::from_fn(|| pair.client.poll_transmit()).collect();
    assert_eq!(proofs.len(), 2);
    pair.server.handle_bytes(&proofs[1], pair.now);
    pair.until(|events| events.iter().any(|event| matches!(event, Event::Associated(_))));
}

#[test]
fn a_late_answer_is_not_that_of_the_next_request() {
    let (settings, access) = open();
    let mut pair = Pair::new(Medium::Wrapper, Settings { repeats: 2, ..settings }, access);
    pair.associate().unwrap();
    let first = pair.client.get(ENERGY, None, pair.now);
    let request = pair.client.poll_transmit().unwrap();
    pair.now = pair.client.poll_timeout().unwrap();
    pair.client.handle_timeout(pair.now);
    assert_eq!(pair.client.poll_transmit().as_ref(), Some(&request), "asked again as it was");
    pair.server.handle_bytes(&request, pair.now);
    let answer = pair.server.poll_transmit().unwrap();
    pair.client.handle_bytes(&answer, pair.now);
    assert!(pair.answer(first).is_ok());
    let second = pair.client.get(CLOCK, None, pair.now);
    let request = pair.client.poll_transmit().unwrap();
    pair.client.handle_bytes(&answer, pair.now);
    assert!(matches!(pair.client.poll_event(), Some(Event::Rejected(Reject::OutOfSequence))));
    pair.server.handle_bytes(&request, pair.now);
    let Ok(Answer::Value(value)) = pair.answer(second) else { panic!("no answer") };
    assert!(Data::parse_all(&value).unwrap().date_time().is_ok());
}

#[test]
fn blocks_that_are_lost_are_asked_for_again() {
    for general in [false, true] {
        let (settings, access) = open();
        let conformance = match general {
            true => Conformance(settings.conformance.0 | Conformance::GENERAL_BLOCK_TRANSFER.0),
            false => Conformance(settings.conformance.0 & !Conformance::GENERAL_BLOCK_TRANSFER.0),
        };
        let model = Model { begin: UNIX - 900 * 50, ..Model::electricity(1).unwrap() };
        let settings = Settings { repeats: 20, max_receive_pdu_size: 200, conformance, ..settings };
        let mut pair = Pair::with_model(Medium::Wrapper, settings, access, &model);
        pair.associate().unwrap();
        let whole = pair.get(LOAD_PROFILE).unwrap();
        pair.server.faults.lose_answer = 50;
        pair.server.faults.lose_request = 50;
        pair.server.faults.duplicate = 50;
        for _ in 0..10 {
            assert!(pair.get(LOAD_PROFILE).is_ok_and(|found| found == whole), "general: {general}");
        }
    }
}

#[test]
fn a_value_is_written_once_whatever_is_lost() {
    let (settings, access) = open();
    let mut pair = Pair::new(Medium::Wrapper, Settings { repeats: 3, ..settings }, access);
    pair.associate().unwrap();
    let id = pair.client.set(CLOCK, Data::Unsigned(1), pair.now);
    assert!(pair.client.poll_transmit().is_some());
    pair.now = pair.client.poll_timeout().unwrap();
    pair.client.handle_timeout(pair.now);
    assert_eq!(pair.client.poll_transmit(), None);
    assert_eq!(pair.answer(id).unwrap_err().cause, Cause::Timeout);
}
