use super::super::trust::{TrustError, to_toml};
use super::*;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_random(&[seed; 32]).unwrap()
}

fn ack(dcu: &str) -> v1::Ack {
    v1::Ack { dcu: dcu.into(), epoch: 7, lane: 7, ranges: vec![] }
}

fn trust(rows: &[(u8, &[Role], Option<&str>)]) -> Trust {
    let mut trust = Trust::default();
    for (seed, roles, dcu) in rows {
        trust.add(format!("key {seed}"), roles, dcu.map(Into::into), key(*seed).public()).unwrap();
    }
    trust
}

#[track_caller]
fn check(octets: &[u8], trust: &Trust, expected: Result<usize, SignedError>) {
    assert_eq!(open::<v1::Ack>(octets, trust).map(|verified| verified.signers.len()), expected);
}

#[test]
fn an_envelope_is_taken_only_from_a_trusted_key_with_a_fitting_role() {
    let by_one = sign(&ack("a"), &[&key(1)]);
    let by_both = sign(&ack("a"), &[&key(1), &key(2)]);
    let ingest: &[Role] = &[Role::Ingest];
    check(&by_one, &trust(&[(1, ingest, None)]), Ok(1));
    check(&by_one, &trust(&[(1, ingest, Some("a"))]), Ok(1));
    check(&by_one, &trust(&[(1, ingest, Some("b"))]), Err(SignedError::AnotherUnit));
    check(&by_one, &trust(&[(1, &[Role::Reader], None)]), Err(SignedError::Role));
    check(&by_one, &trust(&[(2, ingest, None)]), Err(SignedError::UnknownKey));
    check(&by_one, &Trust::default(), Err(SignedError::UnknownKey));
    check(&by_both, &trust(&[(2, ingest, None)]), Ok(1));
    check(&by_both, &trust(&[(1, ingest, None), (2, ingest, None)]), Ok(2));
    check(&by_both, &trust(&[(1, &[Role::Reader], None), (2, ingest, None)]), Ok(2));
    check(&sign(&ack("a"), &[]), &trust(&[(1, ingest, None)]), Err(SignedError::SignatureCount));
    check(
        &sign(&ack("a"), &[&key(1), &key(1)]),
        &trust(&[(1, ingest, None)]),
        Err(SignedError::SignedTwice(key(1).id())),
    );
    check(b"\xff", &trust(&[(1, ingest, None)]), Err(SignedError::Malformed));
    check(&vec![0; MAX_ENVELOPE + 1], &trust(&[(1, ingest, None)]), Err(SignedError::TooLarge));
}

#[test]
fn any_flipped_bit_spoils_an_envelope() {
    let octets = sign(&ack("a"), &[&key(1)]);
    let trust = trust(&[(1, &[Role::Ingest], None)]);
    for bit in 0..octets.len() * 8 {
        let mut flipped = octets.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(verified) = open::<v1::Ack>(&flipped, &trust) {
            panic!("bit {bit} was flipped and {verified:?} came out");
        }
    }
}

#[test]
fn a_signature_for_one_kind_is_worth_nothing_on_another() {
    let mut everything = Trust::default();
    let roles = [Role::Ingest, Role::Reader, Role::Device];
    everything.add("all".into(), &roles, Some("a".into()), key(1).public()).unwrap();
    // The first two fields of both messages have the same shape.
    let octets = sign(&v1::Ack { dcu: "a".into(), ..ack("a") }, &[&key(1)]);
    assert!(open::<v1::Ack>(&octets, &everything).is_ok());
    let wrong = open::<v1::Checkpoint>(&octets, &everything);
    assert_eq!(wrong.map(|_| ()), Err(SignedError::BadSignature(key(1).id())));
}

#[test]
fn signatures_are_deterministic() {
    assert_eq!(sign(&ack("a"), &[&key(1)]), sign(&ack("a"), &[&key(1)]));
}

#[test]
fn keys_survive_pem_and_are_never_shown() {
    let private = key(3);
    let again = PrivateKey::from_pem(&private.to_pem()).unwrap();
    assert_eq!((again.id(), again.public()), (private.id(), private.public()));
    assert_eq!(PublicKey::from_pem(&private.public().to_pem()).unwrap(), private.public());
    assert_eq!(format!("{private:?}"), format!("PrivateKey({})", private.id()));
    assert_eq!(PrivateKey::from_pem("secret").unwrap_err(), KeyError::Private);
    let from_rcgen = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let ours = PrivateKey::from_pem(&from_rcgen.serialize_pem()).unwrap();
    assert_eq!(ours.public().to_pem().replace('\r', ""), from_rcgen.public_key_pem().replace('\r', ""));
}

#[test]
fn a_trust_file_is_read_as_it_was_written() {
    let one = to_toml("head \"end\" 1", &[Role::Ingest, Role::CryptoOfficer], None, &key(1).public());
    let two = to_toml("unit", &[Role::Device], Some("dcu-1"), &key(2).public());
    let trust = Trust::from_toml(&format!("{one}\n{two}")).unwrap();
    let [first, second] = trust.keys() else { panic!("{trust:?}") };
    assert_eq!(
        (first.name.as_str(), first.roles.as_slice()),
        ("head \"end\" 1", &[Role::Ingest, Role::CryptoOfficer][..])
    );
    assert_eq!((second.id, second.dcu.as_deref()), (key(2).id(), Some("dcu-1")));

    let check = |text: String, expected: TrustError| assert_eq!(Trust::from_toml(&text), Err(expected));
    check(format!("{one}{one}"), TrustError::Twice { name: "head \"end\" 1".into() });
    check(to_toml("u", &[Role::Device], None, &key(1).public()), TrustError::NoUnit { name: "u".into() });
    check(to_toml("u", &[], None, &key(1).public()), TrustError::NoRole { name: "u".into() });
    check(
        "[[key]]\nname='x'\nroles=['reader']\npublic='y'".into(),
        TrustError::Key { name: "x".into(), source: KeyError::Public },
    );
    assert!(matches!(Trust::from_toml("[[key]]\nnam='x'"), Err(TrustError::Toml(_))));
}
