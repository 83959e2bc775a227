//! Protection with the published keys of the standard's examples, and with keys of our own.

use hex_literal::hex;
use proptest::prelude::*;

use super::hls::{Exchange, Hash};
use super::*;
use crate::{Apdu, Data};

fn ciphering(suite: Suite) -> Ciphering {
    let (title, length) = (SystemTitle(*b"DCU\0\0\0\0\x01"), suite.key_length());
    Ciphering {
        suite,
        own_title: title,
        peer_title: Some(title),
        global: EncryptionKey::new(&[1; 32][..length]).unwrap(),
        broadcast: Some(EncryptionKey::new(&[2; 32][..length]).unwrap()),
        dedicated: Some(EncryptionKey::new(&[3; 32][..length]).unwrap()),
        authentication: AuthenticationKey::new(&[4; 32][..length]).unwrap(),
    }
}

const GET: [u8; 13] = hex!("c001c100080000010000ff0200");

#[test]
fn every_form_and_policy_opens_again_and_a_changed_bit_does_not() {
    for suite in [Suite::Zero, Suite::One, Suite::Two] {
        let ciphering = ciphering(suite);
        for form in [Form::Global, Form::Dedicated, Form::GeneralGlobal, Form::GeneralDedicated] {
            for bits in [0x10, 0x20, 0x30, 0x70] {
                let control = SecurityControl(suite as u8 | bits);
                let sealed = ciphering.protect(&GET, form, control, 7).unwrap();
                assert!(is_ciphered(sealed[0]));
                let mut octets = sealed.clone();
                let opened = ciphering.open(&mut octets).unwrap();
                assert_eq!((octets.as_slice(), opened.invocation_counter, opened.control), (&GET[..], 7, control));
                assert_eq!(opened.is_dedicated, matches!(form, Form::Dedicated | Form::GeneralDedicated));
                if control.is_authenticated() {
                    let last = sealed.len() - 1;
                    for place in [last, last - 12] {
                        let mut octets = sealed.clone();
                        octets[place] ^= 1;
                        assert_eq!(ciphering.open(&mut octets), Err(Reject::BadTag));
                    }
                }
                for end in 0..sealed.len() {
                    assert_eq!(ciphering.open(&mut sealed[..end].to_vec()), Err(Reject::Truncated));
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let full = SecurityControl::full(Suite::Zero);
    let ours = ciphering(Suite::Zero);
    let sealed = ours.protect(&GET, Form::GeneralGlobal, full, 1).unwrap();
    let foreign = Ciphering { peer_title: Some(SystemTitle([9; 8])), ..ours.clone() };
    assert_eq!(foreign.open(&mut sealed.clone()), Err(Reject::ForeignAddress));
    let other = Ciphering { global: EncryptionKey::new(&[8; 16]).unwrap(), ..ours.clone() };
    assert_eq!(other.open(&mut sealed.clone()), Err(Reject::BadTag));
    let dedicated = ours.protect(&GET, Form::Dedicated, full, 1).unwrap();
    let without = Ciphering { dedicated: None, peer_title: None, ..ours.clone() };
    assert_eq!(without.open(&mut dedicated.clone()), Err(Reject::NoKey));
    assert_eq!(ciphering(Suite::One).open(&mut sealed.clone()), Err(Reject::Reserved("security suite")));
    assert_eq!(ours.open(&mut GET.to_vec()), Err(Reject::UnsupportedApdu(0xc0)));
    assert_eq!(ours.open(&mut [&sealed[..], &[0]].concat()), Err(Reject::Trailing));
    let compressed = ours.protect(&GET, Form::Global, SecurityControl(full.0 | 0x80), 1).unwrap();
    assert_eq!(ours.open(&mut compressed.clone()), Err(Reject::Reserved("compression")));
    assert!(!SecurityControl(0x10).covers(full) && full.covers(SecurityControl(0x10)));
}

#[test]
fn services_without_a_tag_of_their_own_go_general() {
    let push = Apdu::parse(&hex!("0f 00000001 00 00")).unwrap().octets();
    let ours = ciphering(Suite::Zero);
    let sealed = ours.protect(&push, Form::Global, SecurityControl::full(Suite::Zero), 1).unwrap();
    assert_eq!(sealed[0], 0xdb);
    assert_eq!(ours.open(&mut sealed.clone()).map(|opened| opened.system_title), Ok(ours.own_title));
}

#[test]
fn proofs_depend_on_challenge_secret_and_side() {
    let titles = (Some(SystemTitle([1; 8])), Some(SystemTitle([2; 8])));
    let client = Exchange { prover: titles.0, verifier: titles.1, received: b"from server", sent: b"from client" };
    let server = Exchange { prover: titles.1, verifier: titles.0, received: b"from client", sent: b"from server" };
    let (secret, other) = (Secret::new(b"secret"), Secret::new(b"Secret"));
    for (hash, length) in [(Hash::Md5, 16), (Hash::Sha1, 20), (Hash::Sha256, 32)] {
        assert_eq!(client.digest(hash, &secret).len(), length);
        assert_ne!(client.digest(hash, &secret), client.digest(hash, &other));
        assert_ne!(client.digest(hash, &secret), server.digest(hash, &secret));
    }
    // printf 'from serversecret' | md5sum
    assert_eq!(client.digest(Hash::Md5, &secret), hex!("52eacd49f5911ffbb0a65b986eca74d9"));
    let ciphering = ciphering(Suite::Two);
    let proof = client.gmac(&ciphering, 5).unwrap();
    assert_eq!((client.verify_gmac(&ciphering, &proof), proof.len()), (Ok(5), 17));
    assert_eq!(server.verify_gmac(&ciphering, &proof), Err(Reject::BadTag));
    assert_eq!(client.verify_gmac(&ciphering, &proof[..16]), Err(Reject::BadTag));
    for (suite, length) in [(Suite::One, 32), (Suite::Two, 48)] {
        let key = SigningKey::new(suite, &[7; 48][..length]).unwrap();
        let proof = client.sign(&key);
        assert_eq!(proof.len(), 2 * length);
        assert_eq!(client.verify(&key.verifying_key(), &proof), Ok(()));
        assert_eq!(server.verify(&key.verifying_key(), &proof), Err(Reject::BadSignature));
        assert_eq!(client.verify(&key.verifying_key(), &proof[1..]), Err(Reject::BadSignature));
    }
}

#[test]
fn signed_apdus_carry_their_originator() {
    let key = SigningKey::new(Suite::One, &[7; 32]).unwrap();
    let apdu = GeneralSigning {
        transaction_id: &[0, 0, 0, 0, 0, 0, 0, 1],
        originator_system_title: b"HES00001",
        recipient_system_title: b"METER001",
        date_time: &[],
        other_information: &[],
        content: &GET,
        signature: &[],
    };
    let mut out = Vec::new();
    apdu.emit_signed(&key, &mut out);
    let parsed = GeneralSigning::parse(&out).unwrap();
    assert_eq!((parsed.content, parsed.verify(&key.verifying_key())), (&GET[..], Ok(())));
    let altered = GeneralSigning { recipient_system_title: b"METER002", ..parsed };
    assert_eq!(altered.verify(&key.verifying_key()), Err(Reject::BadSignature));
    for end in 0..out.len() {
        assert_eq!(GeneralSigning::parse(&out[..end]), Err(Reject::Truncated));
    }
    let mut again = Vec::new();
    parsed.emit(&mut again);
    assert_eq!(again, out);
}

// RFC 3394, 4.1 and 4.6.
#[test]
fn keys_are_wrapped_as_in_the_rfc() {
    let kek = hex!("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let key = hex!("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
    for (length, wrapped) in [
        (16, &hex!("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5")[..]),
        (32, &hex!("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")),
    ] {
        let (kek, key) = (&kek[..length], &key[..length]);
        assert_eq!(wrap_key(kek, key).as_deref(), Ok(wrapped));
        assert_eq!(unwrap_key(kek, wrapped).unwrap().as_slice(), key);
        let mut altered = wrapped.to_vec();
        altered[0] ^= 1;
        assert_eq!(unwrap_key(kek, &altered), Err(Reject::BadTag));
        assert_eq!(unwrap_key(kek, &wrapped[..7]), Err(Reject::BadTag));
    }
    assert_eq!(wrap_key(&kek[..5], &key), Err(Reject::Length("key")));
}

#[test]
fn keys_have_their_lengths_and_are_never_printed() {
    assert!(EncryptionKey::new(&[0; 24]).is_err() && AuthenticationKey::new(&[0; 8]).is_err());
    assert_eq!(SigningKey::new(Suite::One, &[0; 32]).map(drop), Err(Reject::Reserved("key of the curve")));
    let printed = format!("{:?} {:?}", ciphering(Suite::Zero), Secret::new(b"password"));
    assert!(!printed.contains("112") && !printed.contains("0, 0, 0, 0, 1, 1") && !printed.contains("password"));
}

proptest! {
    #[test]
    fn any_octets_never_open(octets in proptest::collection::vec(any::<u8>(), 0..100), tag: u8) {
        let mut octets = [&[tag][..], &octets].concat();
        if let Ok(opened) = ciphering(Suite::Zero).open(&mut octets) {
            prop_assert!(!opened.control.is_authenticated());
            let _ = Data::parse_all(&octets);
        }
    }
}
