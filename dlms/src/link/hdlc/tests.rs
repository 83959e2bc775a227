//! Frames of captures, and two stations over a line that loses and damages.

use std::time::Duration;

use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::link::{Link, LinkEvent, LinkFailure};

#[track_caller]
fn check(octets: &[u8], expected: &str) {
    let body = &octets[1..octets.len() - 1];
    let frame = Frame::parse(body).unwrap();
    assert_eq!(frame.to_string(), expected);
    let mut out = Vec::new();
    frame.emit(&mut out).unwrap();
    assert_eq!(out, octets);
    for end in 0..body.len() {
        assert!(Frame::parse(&body[..end]).is_err());
    }
}

#[test]
fn frames_are_read_and_written() {
    check(&hex!("7ea0070321930f017e"), "16 -> 1 snrm p 0 octets");
    check(&hex!("7ea0070321f11b417e"), "16 -> 1 rr r7 p 0 octets");
    check(&hex!("7ea00703215303c77e"), "16 -> 1 disc p 0 octets");
    check(&hex!("7ea0190321b45139e6e600c001c100080000010000ff0200601a7e"), "16 -> 1 information s2 r5 p 16 octets");
}

#[test]
fn addresses_have_one_two_or_four_octets() {
    for (octets, text) in [
        (&hex!("21")[..], "16"),
        (&hex!("0223"), "1/17"),
        (&hex!("00020023"), "1/17"),
        (&hex!("fefefeff"), "16383/16383"),
    ] {
        let address = Address::parse(&mut &octets[..]).unwrap();
        let mut out = Vec::new();
        address.emit(&mut out);
        assert_eq!((address.to_string().as_str(), out.as_slice()), (text, octets));
    }
    for octets in [&hex!("020405")[..], &hex!("0204060800")] {
        assert_eq!(Address::parse(&mut &octets[..]), Err(Reject::Length("hdlc address")));
    }
    let four = Address::four(1, 17).unwrap();
    for (asked, is_answer) in [
        (Address::two(1, 17), true),
        (Address::four(1, 17), true),
        (Address::one(1), true),
        (Address::four(1, 0x3fff), true),
        (Address::two(1, 18), false),
        (Address::two(2, 17), false),
    ] {
        assert_eq!(four.answers(&asked.unwrap()), is_answer);
    }
    assert_eq!(Address::one(128), None);
    assert_eq!(Address::server(1, Some(17)), Address::two(1, 17));
    assert_eq!(Address::server(1, Some(200)), Address::four(1, 200));
    assert_eq!(Address::server(1, Some(20_000)), None);
    assert_eq!(Address::wide(1, Some(17)), Address::four(1, 17));
    assert_eq!(Address::wide(1, None), Address::four(1, 0x3fff));
}

#[test]
fn damaged_frames_are_rejected_with_their_reason() {
    let whole = hex!("a0190321b45139e6e600c001c100080000010000ff0200601a");
    let altered = |place: usize, with: u8| {
        let mut octets = whole;
        octets[place] = with;
        octets
    };
    assert_eq!(Frame::parse(&altered(24, 0)), Err(Reject::BadFcs));
    assert_eq!(Frame::parse(&altered(0, 0xb0)), Err(Reject::Reserved("hdlc frame format")));
    assert_eq!(Frame::parse(&altered(1, 0x18)), Err(Reject::Length("hdlc frame")));
    let mut bad_hcs = altered(5, 0);
    let check = fcs::fcs(&bad_hcs[..23]).to_le_bytes();
    bad_hcs[23..].copy_from_slice(&check);
    assert_eq!(Frame::parse(&bad_hcs), Err(Reject::BadHcs));
}

#[test]
fn parameters_are_agreed_on_downwards() {
    let said = hex!("8180140502008006020080070400000001080400000001");
    assert_eq!(Parameters::parse(&said), Ok(Parameters::default()));
    assert_eq!(Parameters::parse(&[]), Ok(Parameters::default()));
    let wide =
        Parameters { information_transmit: 1000, information_receive: 500, window_transmit: 7, window_receive: 3 };
    let mut out = Vec::new();
    wide.emit(&mut out);
    assert_eq!(Parameters::parse(&out), Ok(wide));
    let narrow =
        Parameters { information_transmit: 400, information_receive: 200, window_transmit: 2, window_receive: 5 };
    let agreed = wide.agreed(&narrow);
    assert_eq!((agreed.information_transmit, agreed.information_receive), (200, 400));
    assert_eq!((agreed.window_transmit, agreed.window_receive), (5, 2));
    let greedy = hex!("8180 0a 05 04 ffffffff 07 02 0000");
    let parsed = Parameters::parse(&greedy).unwrap();
    assert_eq!((parsed.information_transmit, parsed.window_transmit), (Parameters::INFORMATION_MAX, 1));
    for octets in [&hex!("8280 00")[..], &hex!("8180 03 0502 00"), &hex!("8180 02 0500"), &hex!("8180 00 00")] {
        assert!(Parameters::parse(octets).is_err(), "{octets:02x?}");
    }
}

#[test]
fn frames_are_found_behind_noise_and_with_one_flag_between_them() {
    let (disc, rr) = (hex!("7ea00703215303c77e"), hex!("7ea0070321f11b417e"));
    let found = |octets: &[u8]| {
        let (mut deframer, mut frames) = (Deframer::default(), 0);
        deframer.push(octets, crate::start(), |frame| frames += usize::from(frame.is_ok()));
        frames
    };
    assert_eq!(found(&[&disc[..], &rr].concat()), 2);
    assert_eq!(found(&[&disc[..8], &rr].concat()), 2);
    assert_eq!(found(&[&hex!("00ff7e7e7e")[..], &disc, &hex!("7e55"), &rr].concat()), 2);
    assert_eq!(found(&[&hex!("7ea009")[..], &disc, &rr].concat()), 2);
    assert_eq!(found(&[&disc[..4], &rr].concat()), 1);
}

#[test]
fn half_a_frame_does_not_swallow_what_comes_later() {
    let (mut deframer, now, mut frames) = (Deframer::default(), crate::start(), 0);
    let disc = hex!("7ea00703215303c77e");
    deframer.push(&hex!("7ea7ff01"), now, |_| {});
    deframer.push(&disc, now + Duration::from_secs(2), |frame| frames += usize::from(frame.is_ok()));
    assert_eq!(frames, 1);
}

fn parameters(information: u16, window: u8) -> Parameters {
    Parameters {
        information_transmit: information,
        information_receive: information,
        window_transmit: window,
        window_receive: window,
    }
}

/// Opens, sends `request` as often as asked, answers each with `answer`; every so many frames one is lost. Counts frames.
fn converse(agreed: Parameters, request: &[u8], answer: &[u8], lose_each: usize) -> usize {
    let (client, server) = (Address::one(16).unwrap(), Address::server(1, Some(17)).unwrap());
    let timing = Timing { repeats: 5, ..Timing::default() };
    let mut primary = Primary::new(client, server, agreed, timing, 1 << 20);
    let mut secondary = Secondary::new(client, server, agreed, 1 << 20);
    let (mut now, mut frames, mut answers) = (crate::start(), 0, 0);
    primary.open(now);
    while answers < 5 {
        let mut is_quiet = true;
        while let Some(octets) = primary.poll_transmit() {
            (frames, is_quiet) = (frames + 1, false);
            if lose_each == 0 || frames % lose_each != 0 {
                secondary.handle_bytes(&octets, now);
            }
        }
        while let Some(event) = secondary.poll_event() {
            if let LinkEvent::Apdu(apdu) = event {
                assert_eq!(apdu, request);
                secondary.send(answer, now);
            }
        }
        while let Some(octets) = secondary.poll_transmit() {
            (frames, is_quiet) = (frames + 1, false);
            if lose_each == 0 || frames % lose_each != 0 {
                primary.handle_bytes(&octets, now);
            }
        }
        while let Some(event) = primary.poll_event() {
            match event {
                LinkEvent::Opened => primary.send(request, now),
                LinkEvent::Apdu(apdu) => {
                    assert_eq!(apdu, answer);
                    answers += 1;
                    primary.send(request, now);
                }
                LinkEvent::Progress | LinkEvent::Rejected(Reject::OutOfSequence) => {}
                event => panic!("{event:?} after {frames} frames"),
            }
        }
        if is_quiet {
            now = primary.poll_timeout().unwrap();
            primary.handle_timeout(now);
        }
        assert!(frames < 10_000, "window {}, each {lose_each} lost, {answers} answers", agreed.window_transmit);
    }
    frames
}

#[test]
fn segments_and_windows_carry_apdus_of_any_length() {
    assert_eq!(converse(parameters(128, 1), &[1; 20], &[2; 20], 0), 2 + 10);
    for window in 1..=7 {
        for length in [0, 1, 124, 125, 126, 1000, 5000] {
            converse(parameters(128, window), &vec![3; length + 1], &vec![4; length + 1], 0);
            converse(parameters(Parameters::INFORMATION_MAX, window), &vec![3; length + 1], &vec![4; length + 1], 0);
        }
    }
    assert!(
        converse(parameters(128, 7), &[3; 20], &[4; 5000], 0) < converse(parameters(128, 1), &[3; 20], &[4; 5000], 0)
    );
}

#[test]
fn lost_frames_are_sent_again() {
    for lose_each in 3..20 {
        for window in [1, 3, 7] {
            converse(parameters(128, window), &[3; 700], &[4; 1500], lose_each);
        }
    }
}

#[test]
fn a_silent_or_disconnected_meter_ends_the_link() {
    let (client, server) = (Address::one(16).unwrap(), Address::one(1).unwrap());
    let mut primary = Primary::new(client, server, Parameters::default(), Timing::default(), 1000);
    let mut now = crate::start();
    primary.open(now);
    let mut sent = 0;
    let failure = loop {
        sent += std::iter::from_fn(|| primary.poll_transmit()).count();
        if let Some(event) = primary.poll_event() {
            break event;
        }
        now = primary.poll_timeout().unwrap();
        primary.handle_timeout(now);
    };
    assert_eq!((sent, failure), (3, LinkEvent::Failed(LinkFailure::NoAnswer)));
    let mut secondary = Secondary::new(client, server, Parameters::default(), 1000);
    let mut primary = Primary::new(client, server, Parameters::default(), Timing::default(), 1000);
    primary.open(now);
    secondary.handle_bytes(&primary.poll_transmit().unwrap(), now);
    primary.handle_bytes(&secondary.poll_transmit().unwrap(), now);
    assert_eq!(primary.poll_event(), Some(LinkEvent::Opened));
    secondary.close(now);
    primary.send(&[1], now);
    secondary.handle_bytes(&primary.poll_transmit().unwrap(), now);
    primary.handle_bytes(&secondary.poll_transmit().unwrap(), now);
    assert_eq!(primary.poll_event(), Some(LinkEvent::Failed(LinkFailure::Disconnected)));
}

#[test]
fn an_apdu_longer_than_the_limit_is_not_kept() {
    let (client, server) = (Address::one(16).unwrap(), Address::one(1).unwrap());
    let mut secondary = Secondary::new(client, server, Parameters::default(), 200);
    let mut primary = Primary::new(client, server, Parameters::default(), Timing::default(), 200);
    let now = crate::start();
    primary.open(now);
    secondary.handle_bytes(&primary.poll_transmit().unwrap(), now);
    primary.handle_bytes(&secondary.poll_transmit().unwrap(), now);
    secondary.send(&[5; 300], now);
    let mut rejects = Vec::new();
    for _ in 0..6 {
        while let Some(octets) = secondary.poll_transmit() {
            primary.handle_bytes(&octets, now);
        }
        while let Some(octets) = primary.poll_transmit() {
            secondary.handle_bytes(&octets, now);
        }
        rejects.extend(std::iter::from_fn(|| primary.poll_event()));
    }
    assert!(rejects.contains(&LinkEvent::Rejected(Reject::TooLong("segmented information"))));
}

proptest! {
    #[test]
    fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
        let (client, server, now) = (Address::one(16).unwrap(), Address::one(1).unwrap(), crate::start());
        let mut primary = Primary::new(client, server, Parameters::default(), Timing::default(), 1000);
        primary.open(now);
        let flagged = [&[0x7e, 0xa0, 0x08][..], &octets, &[0x7e]].concat();
        for octets in [&octets, &flagged] {
            let _ = Frame::parse(octets);
            let (a, b) = octets.split_at(cut.min(octets.len()));
            primary.handle_bytes(a, now);
            primary.handle_bytes(b, now);
        }
    }

    #[test]
    fn control_fields_are_kept(octet: u8) {
        if let Ok(control) = Control::try_from(octet) {
            prop_assert_eq!(u8::from(control), octet);
        }
    }
}
