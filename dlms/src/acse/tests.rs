//! Associations: octets composed for these tests after the tables of IEC 62056-5-3.

use hex_literal::hex;
use proptest::prelude::*;

use super::*;

#[test]
fn requests_have_title_mechanism_and_challenge() {
    let public = hex!("601d a109 0607 60857405080101 be10 040e 01000000065f1f0400401e5dffff");
    let aarq = Aarq::parse(&public).unwrap();
    assert_eq!((aarq.context, aarq.mechanism), (ApplicationContext::LogicalName, Mechanism::Lowest));
    let mut out = Vec::new();
    aarq.emit(&mut out);
    assert_eq!(out, public);
    let hls = Aarq {
        context: ApplicationContext::LogicalNameCiphered,
        calling_ap_title: Some(b"DCU00001"),
        calling_ae_qualifier: Some(&[1; 200]),
        calling_ae_invocation_id: Some(7),
        mechanism: Mechanism::HlsGmac,
        calling_authentication_value: Some(&[9; 64]),
        user_information: &[5; 30],
    };
    let mut out = Vec::new();
    hls.emit(&mut out);
    assert_eq!(Aarq::parse(&out), Ok(hls));
    for end in 0..out.len() {
        assert!(Aarq::parse(&out[..end]).is_err(), "{end} octets");
    }
}

#[test]
fn answers_say_whether_and_why() {
    let hls = Aare {
        context: ApplicationContext::LogicalNameCiphered,
        result: AssociationResult::Accepted,
        diagnostic: Diagnostic::User(UserDiagnostic::AuthenticationRequired),
        responding_ap_title: Some(b"METER001"),
        mechanism: Mechanism::HlsGmac,
        responding_authentication_value: Some(&[8; 16]),
        user_information: Some(&[5; 30]),
    };
    let mut out = Vec::new();
    hls.emit(&mut out);
    assert_eq!(Aare::parse(&out), Ok(hls));
    for end in 0..out.len() {
        assert!(Aare::parse(&out[..end]).is_err(), "{end} octets");
    }
    let refused = hex!("611f a109 0607 60857405080101 a203 020101 a305 a203 020102 be06 0404 0e010601");
    let aare = Aare::parse(&refused).unwrap();
    assert_eq!((aare.result, aare.diagnostic), (AssociationResult::RejectedPermanent, Diagnostic::Provider(2)));
    let mut out = Vec::new();
    aare.emit(&mut out);
    assert_eq!(out, refused);
}

#[test]
fn a_version_that_is_the_default_is_taken() {
    let octets = hex!("6114 80020780 a109 0607 60857405080101 a203 020100").as_ref().to_vec();
    let octets = [&[0x61, octets.len() as u8 - 2][..], &octets[2..]].concat();
    assert_eq!(Aare::parse(&octets).map(|aare| aare.result), Ok(AssociationResult::Accepted));
}

// gurux-dlms 1.0.203 as a server.
#[test]
fn a_challenge_whose_outer_length_lacks_its_header_is_taken() {
    let octets = hex!("611e a109 0607 60857405080101 a203 020100 aa04 8004 01020304 be04 0402 0000");
    let octets = [&[0x61, octets.len() as u8 - 2][..], &octets[2..]].concat();
    let aare = Aare::parse(&octets).unwrap();
    assert_eq!(aare.responding_authentication_value, Some(&[1, 2, 3, 4][..]));
    assert_eq!(aare.user_information, Some(&[0, 0][..]));
}

#[test]
fn releases_are_short() {
    for (octets, kind, reason) in [
        (&hex!("6203 800100")[..], ReleaseKind::Request, Some(0)),
        (&hex!("6200"), ReleaseKind::Request, None),
        (&hex!("6303 800100"), ReleaseKind::Response, Some(0)),
        (&hex!("630b 800100 be06 0404 01020304"), ReleaseKind::Response, Some(0)),
    ] {
        let release = Release::parse(octets).unwrap();
        assert_eq!((release.kind, release.reason), (kind, reason));
        let mut out = Vec::new();
        release.emit(&mut out);
        assert_eq!(out, octets);
    }
    assert_eq!(Release::parse(&hex!("6303 800100 00")), Err(Reject::Trailing));
    assert_eq!(Release::parse(&hex!("6103 800100")), Err(Reject::UnsupportedApdu(0x61)));
}

proptest! {
    #[test]
    fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..120)) {
        for tag in [tag::AARQ, tag::AARE, tag::RLRQ, tag::RLRE] {
            let octets = [&[tag, octets.len() as u8][..], &octets].concat();
            let _ = (Aarq::parse(&octets), Aare::parse(&octets), Release::parse(&octets));
        }
    }

    #[test]
    fn mechanisms_and_contexts_keep_their_numbers(number: u8) {
        prop_assert_eq!(u8::from(Mechanism::from(number)), number);
        prop_assert_eq!(u8::from(ApplicationContext::from(number)), number);
    }
}
