//! APDUs by the tables of IEC 62056-5-3: each row an example of one choice.

use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::DateTime;
use crate::data::tests::any_data;
use crate::data::{Items, encode};
use crate::spec::{ActionResult, Conformance, DataAccessResult, StateError};

const CLOCK: Attribute = Attribute::new(8, Obis::new(0, 0, 1, 0, 0, 255), 2);
const RELAY: Method = Method::new(70, Obis::new(0, 0, 96, 3, 10, 255), 1);
const ID: InvokeId = InvokeId::new(1);

#[track_caller]
fn check(octets: &[u8], expected: &Apdu<'_>) {
    assert_eq!(Apdu::parse(octets).as_ref(), Ok(expected));
    assert_eq!(expected.octets(), octets);
    for end in 0..octets.len() {
        assert_eq!(Apdu::parse(&octets[..end]), Err(Reject::Truncated), "{end} octets");
    }
    assert_eq!(Apdu::parse(&[octets, &[0]].concat()), Err(Reject::Trailing));
}

#[test]
fn get_has_its_choices() {
    let selected = Selected::all(CLOCK);
    let request = |apdu| Apdu::GetRequest(apdu);
    check(&hex!("c001c1 0008 0000010000ff 02 00"), &request(GetRequest::Normal { invoke_id: ID, selected }));
    check(&hex!("c002c1 00000007"), &request(GetRequest::Next { invoke_id: ID, block_number: 7 }));
    let list = vec![selected; 2];
    check(
        &hex!("c003c1 02 0008 0000010000ff 02 00 0008 0000010000ff 02 00"),
        &request(GetRequest::WithList { invoke_id: ID, list }),
    );
    let response = |apdu| Apdu::GetResponse(apdu);
    let one = Ok(Data::Unsigned(1));
    check(&hex!("c401c1 00 1101"), &response(GetResponse::Normal { invoke_id: ID, result: one }));
    let undefined = Err(DataAccessResult::ObjectUndefined);
    check(&hex!("c401c1 01 04"), &response(GetResponse::Normal { invoke_id: ID, result: undefined }));
    let block = |is_last, result| GetResponse::WithDataBlock { invoke_id: ID, is_last, block_number: 1, result };
    check(&hex!("c402c1 00 00000001 00 02 0102"), &response(block(false, Ok(&[1, 2]))));
    check(&hex!("c402c1 01 00000001 01 13"), &response(block(true, Err(DataAccessResult::DataBlockNumberInvalid))));
    let results = vec![one, Err(DataAccessResult::Other(77))];
    check(&hex!("c403c1 02 00 1101 01 4d"), &response(GetResponse::WithList { invoke_id: ID, results }));
}

#[test]
fn profiles_are_selected_by_range_and_by_entry() {
    let (from, to) = (hex!("07ea0101ff000000ff800000"), hex!("07ea0102ff000000ff800000"));
    let selected_values = encode(|out| CaptureObject::new(CLOCK).write(out));
    let range = RangeDescriptor {
        restricting_object: CaptureObject::new(CLOCK),
        from_value: Data::OctetString(&from),
        to_value: Data::OctetString(&to),
        selected_values: Items::encoded(1, &selected_values).unwrap(),
    };
    let attribute = Attribute::new(7, Obis::new(1, 0, 99, 1, 0, 255), 2);
    let get = |selection| {
        let selected = Selected { attribute, selection: Some(selection) };
        Apdu::GetRequest(GetRequest::Normal { invoke_id: ID, selected })
    };
    check(
        &hex!(
            "c001c1 0007 0100630100ff 02 01 01 0204 0204 120008 09060000010000ff 0f02 120000"
            "090c07ea0101ff000000ff800000 090c07ea0102ff000000ff800000"
            "0101 0204 120008 09060000010000ff 0f02 120000"
        ),
        &get(Selection::Range(range)),
    );
    check(
        &hex!("c001c1 0007 0100630100ff 02 01 02 0204 0600000001 0600000000 120001 120000"),
        &get(Selection::Entries(EntryDescriptor::rows(1, 0))),
    );
    let other = Selection::Other { selector: 3, parameters: Data::NullData };
    check(&hex!("c001c1 0007 0100630100ff 02 01 03 00"), &get(other));
    let wrong = hex!("c001c1 0007 0100630100ff 02 01 02 0201 00");
    assert_eq!(Apdu::parse(&wrong), Err(Reject::Mismatch("an entry descriptor")));
}

#[test]
fn set_has_its_choices() {
    let (selected, value) = (Selected::all(CLOCK), Data::Unsigned(5));
    let block = Block { is_last: false, number: 1, raw: &[9, 9] };
    let request = |apdu| Apdu::SetRequest(apdu);
    check(
        &hex!("c101c1 0008 0000010000ff 02 00 1105"),
        &request(SetRequest::Normal { invoke_id: ID, selected, value }),
    );
    check(
        &hex!("c102c1 0008 0000010000ff 02 00 00 00000001 02 0909"),
        &request(SetRequest::WithFirstDatablock { invoke_id: ID, selected, block }),
    );
    check(&hex!("c103c1 00 00000001 02 0909"), &request(SetRequest::WithDatablock { invoke_id: ID, block }));
    let (list, values) = (vec![selected], vec![value]);
    check(
        &hex!("c104c1 01 0008 0000010000ff 02 00 01 1105"),
        &request(SetRequest::WithList { invoke_id: ID, list: list.clone(), values }),
    );
    check(
        &hex!("c105c1 01 0008 0000010000ff 02 00 00 00000001 02 0909"),
        &request(SetRequest::WithListAndFirstDatablock { invoke_id: ID, list, block }),
    );
    let response = |apdu| Apdu::SetResponse(apdu);
    let result = DataAccessResult::ReadWriteDenied;
    check(&hex!("c501c1 03"), &response(SetResponse::Normal { invoke_id: ID, result }));
    check(&hex!("c502c1 00000002"), &response(SetResponse::Datablock { invoke_id: ID, block_number: 2 }));
    let last = SetResponse::LastDatablock { invoke_id: ID, result, block_number: 2 };
    check(&hex!("c503c1 03 00000002"), &response(last));
    let results = vec![DataAccessResult::Success, result];
    let last = SetResponse::LastDatablockWithList { invoke_id: ID, results: results.clone(), block_number: 2 };
    check(&hex!("c504c1 02 00 03 00000002"), &response(last));
    check(&hex!("c505c1 02 00 03"), &response(SetResponse::WithList { invoke_id: ID, results }));
}

#[test]
fn action_has_its_choices() {
    let block = Block { is_last: true, number: 3, raw: &[7] };
    let request = |apdu| Apdu::ActionRequest(apdu);
    let parameter = Some(Data::Integer(0));
    check(
        &hex!("c301c1 0046 000060030aff 01 01 0f00"),
        &request(ActionRequest::Normal { invoke_id: ID, method: RELAY, parameter }),
    );
    check(
        &hex!("c301c1 0046 000060030aff 01 00"),
        &request(ActionRequest::Normal { invoke_id: ID, method: RELAY, parameter: None }),
    );
    check(&hex!("c302c1 00000003"), &request(ActionRequest::NextPblock { invoke_id: ID, block_number: 3 }));
    let (methods, parameters) = (vec![RELAY], vec![Data::Integer(0)]);
    check(
        &hex!("c303c1 01 0046 000060030aff 01 01 0f00"),
        &request(ActionRequest::WithList { invoke_id: ID, methods: methods.clone(), parameters }),
    );
    check(
        &hex!("c304c1 0046 000060030aff 01 01 00000003 01 07"),
        &request(ActionRequest::WithFirstPblock { invoke_id: ID, method: RELAY, block }),
    );
    check(
        &hex!("c305c1 01 0046 000060030aff 01 01 00000003 01 07"),
        &request(ActionRequest::WithListAndFirstPblock { invoke_id: ID, methods, block }),
    );
    check(&hex!("c306c1 01 00000003 01 07"), &request(ActionRequest::WithPblock { invoke_id: ID, block }));
    let response = |apdu| Apdu::ActionResponse(apdu);
    let answer = ActionReturn { result: ActionResult::Success, value: None };
    check(&hex!("c701c1 00 00"), &response(ActionResponse::Normal { invoke_id: ID, answer }));
    let with_value = ActionReturn { value: Some(Ok(Data::Boolean(true))), ..answer };
    check(&hex!("c701c1 00 01 00 0301"), &response(ActionResponse::Normal { invoke_id: ID, answer: with_value }));
    check(&hex!("c702c1 01 00000003 01 07"), &response(ActionResponse::WithPblock { invoke_id: ID, block }));
    let failed = ActionReturn { result: ActionResult::OtherReason, value: Some(Err(DataAccessResult::OtherReason)) };
    let answers = vec![answer, failed];
    check(&hex!("c703c1 02 00 00 fa 01 01 fa"), &response(ActionResponse::WithList { invoke_id: ID, answers }));
    check(&hex!("c704c1 00000003"), &response(ActionResponse::NextPblock { invoke_id: ID, block_number: 3 }));
}

#[test]
fn what_comes_unasked_is_read() {
    let moment = DateTime::from_local(0, None, crate::time::ClockStatus(0));
    check(
        &hex!("0f 40000000 0c 07b2010104000000008000 00 0201 1101"),
        &Apdu::DataNotification(DataNotification {
            long_invoke_id: 0x4000_0000,
            date_time: Some(moment),
            body: Data::Structure(Items::encoded(1, &[0x11, 1]).unwrap()),
        }),
    );
    check(
        &hex!("0f 00000001 00 00"),
        &Apdu::DataNotification(DataNotification { long_invoke_id: 1, date_time: None, body: Data::NullData }),
    );
    for octets in [
        &hex!("0f 00000001 09 0c 07b201010400000000800000 00")[..],
        &hex!("0f 00000001 19 07b201010400000000800000 00"),
    ] {
        let Ok(Apdu::DataNotification(push)) = Apdu::parse(octets) else { panic!("{octets:02x?}") };
        assert_eq!((push.date_time, push.body), (Some(moment), Data::NullData));
    }
    check(
        &hex!("c2 00 0008 0000010000ff 02 1101"),
        &Apdu::EventNotification(EventNotification { time: None, attribute: CLOCK, value: Data::Unsigned(1) }),
    );
    check(
        &hex!("c2 01 0c 07b201010400000000800000 0008 0000010000ff 02 1101"),
        &Apdu::EventNotification(EventNotification { time: Some(moment), attribute: CLOCK, value: Data::Unsigned(1) }),
    );
}

#[test]
fn errors_say_what_is_wrong() {
    let exception = |service_error| {
        Apdu::ExceptionResponse(ExceptionResponse { state_error: StateError::ServiceUnknown, service_error })
    };
    check(&hex!("d8 02 02"), &exception(ServiceError::ServiceNotSupported));
    check(&hex!("d8 02 06 00000100"), &exception(ServiceError::InvocationCounter(256)));
    let Apdu::ExceptionResponse(counter) = exception(ServiceError::InvocationCounter(256)) else { panic!() };
    assert_eq!(counter.to_string(), "exception: service unknown, invocation counter below 256");
    let error = ConfirmedServiceError { service: 1.into(), kind: 6.into(), value: 1 };
    check(&hex!("0e 01 06 01"), &Apdu::ConfirmedServiceError(error));
    assert_eq!(error.to_string(), "confirmed service error: initiate, initiate 1");
    assert_eq!(Apdu::parse(&hex!("5f")), Err(Reject::UnsupportedApdu(0x5f)));
    assert_eq!(Apdu::parse(&hex!("c009c1")), Err(Reject::Reserved("get request")));
}

#[test]
fn blocks_of_any_apdu_have_a_window() {
    let control = BlockControl { is_last: false, is_streaming: true, window: 1 };
    let (block_number, block_number_ack) = (1, 0);
    let block_data = &hex!("c401c100090c07ea0b");
    let block = GeneralBlockTransfer { control, block_number, block_number_ack, block_data };
    check(&hex!("e0 41 0001 0000 09 c401c100090c07ea0b"), &Apdu::GeneralBlockTransfer(block));
}

#[test]
fn both_sides_say_what_they_have() {
    let octets = hex!("01011000112233445566778899aabbccddeeff0000065f1f0400007e1f04b0");
    let request = InitiateRequest {
        dedicated_key: Some(&hex!("00112233445566778899aabbccddeeff")),
        is_response_allowed: true,
        quality_of_service: None,
        conformance: Conformance(0x7e1f),
        max_receive_pdu_size: 1200,
    };
    let mut out = Vec::new();
    request.emit(&mut out);
    assert_eq!((InitiateRequest::parse(&octets), out.as_slice()), (Ok(request), &octets[..]));
    let octets = hex!("0800065f1f0400001e1d04c80007");
    let response =
        InitiateResponse { quality_of_service: None, conformance: Conformance(0x1e1d), max_receive_pdu_size: 1224 };
    let mut out = Vec::new();
    response.emit(&mut out);
    assert_eq!((InitiateResponse::parse(&octets), out.as_slice()), (Ok(response), &octets[..]));
    for end in 0..octets.len() {
        assert!(InitiateResponse::parse(&octets[..end]).is_err());
    }
    assert!(response.conformance.has(Conformance::GET) && !response.conformance.has(Conformance::GENERAL_PROTECTION));
}

proptest! {
    #[test]
    fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        for tag in [14, 15, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc7, 0xd8, 0xe0] {
            for choice in 0..7 {
                let octets = [&[tag, choice][..], &octets].concat();
                if let Ok(apdu) = Apdu::parse(&octets) {
                    let again = apdu.octets();
                    prop_assert_eq!(Apdu::parse(&again).unwrap().octets(), again);
                }
            }
        }
    }

    #[test]
    fn values_of_any_shape_pass_through_each_service(octets in any_data(), number: u8) {
        let (value, invoke_id) = (Data::parse_all(&octets).unwrap(), InvokeId::new(number));
        let answer = ActionReturn { result: number.into(), value: Some(Ok(value)) };
        for apdu in [
            Apdu::GetResponse(GetResponse::WithList { invoke_id, results: vec![Ok(value), Err(number.into())] }),
            Apdu::SetRequest(SetRequest::Normal { invoke_id, selected: Selected::all(CLOCK), value }),
            Apdu::ActionRequest(ActionRequest::Normal { invoke_id, method: RELAY, parameter: Some(value) }),
            Apdu::ActionResponse(ActionResponse::Normal { invoke_id, answer }),
            Apdu::DataNotification(DataNotification { long_invoke_id: 5, date_time: None, body: value }),
        ] {
            let octets = apdu.octets();
            prop_assert_eq!(Apdu::parse(&octets).unwrap().octets(), octets);
        }
    }
}
