//! The drivers against emulated meters behind real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Instant;

use dlms::apdu::Attribute;
use dlms::client::{Authentication, Cause, Client, Settings};
use dlms::link::wrapper::Wrapper;
use dlms::security::Secret;
use dlms::sim::{Access, Model, Port, Server};
use dlms::{Data, Obis};

use super::direct::{Direct, DirectError, Place};
use super::{KernelRandom, SessionError};

mod told;

const CLOCK: Attribute = Attribute::new(8, Obis::new(0, 0, 1, 0, 0, 255), 2);
const IMPORT: Attribute = Attribute::new(3, Obis::new(1, 0, 1, 8, 0, 255), 2);
const LOAD_PROFILE: Attribute = Attribute::new(7, Obis::new(1, 0, 99, 1, 0, 255), 2);

/// A meter with a password that hangs up when `hang_up` answers were given; the address it listens on.
#[expect(clippy::disallowed_methods, reason = "a real socket needs the real clock")]
fn meter(hang_up: Option<usize>) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::Tcp(listener.local_addr().unwrap().to_string());
    let access = Access::management(1, Authentication::Lls(Secret::new(b"12345678")));
    let meter = Model::electricity(7).unwrap().build();
    let mut server = Server::new(meter, Port::wrapper(1), vec![access], 1_775_000_000, 7);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), mut answers) = (stream, 0) else { return };
            server.reconnect();
            let mut buf = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buf) {
                if hang_up.is_some_and(|most| answers >= most) {
                    break;
                }
                server.handle_bytes(&buf[..read], Instant::now());
                while let Some(octets) = server.poll_transmit() {
                    answers += 1;
                    let _ = stream.write_all(&octets);
                }
            }
        }
    });
    place
}

fn client(password: &[u8]) -> Client {
    let settings = Settings { authentication: Authentication::Lls(Secret::new(password)), ..Settings::default() };
    Client::new(settings, Box::new(Wrapper::new(1, 1)), Box::new(KernelRandom), 0..0, None)
}

#[test]
fn a_meter_is_read_over_tcp_and_let_go() {
    let place = meter(None);
    for _ in 0..2 {
        let (mut direct, agreed) = Direct::open(&place, client(b"12345678"), Box::new(|| None)).unwrap();
        assert_eq!(agreed.max_receive_pdu_size, 1024);
        assert!(Data::parse_all(&direct.get(CLOCK, None).unwrap()).unwrap().date_time().is_ok());
        // Ten thousand rows in blocks.
        let rows = direct.get(LOAD_PROFILE, None).unwrap();
        assert!(Data::parse_all(&rows).unwrap().array().unwrap().len() > 8_000);
        let missing = Attribute { logical_name: Obis::new(9, 9, 9, 9, 9, 9), ..IMPORT };
        assert!(
            matches!(direct.get(missing, None), Err(SessionError::Failed(it)) if matches!(it.cause, Cause::Access(_)))
        );
        assert!(direct.get(IMPORT, None).is_ok(), "the association is kept");
        direct.release().unwrap();
    }
}

#[test]
fn who_does_not_know_the_password_is_told_so() {
    let refused = Direct::open(&meter(None), client(b"wrong"), Box::new(|| None)).unwrap_err();
    let DirectError::Session { error: SessionError::Failed(failure), .. } = refused else { panic!("{refused}") };
    assert!(matches!(failure.cause, Cause::Refused(..)), "{failure}");
}

#[test]
fn a_meter_that_hangs_up_ends_what_was_asked() {
    let (mut direct, _) = Direct::open(&meter(Some(1)), client(b"12345678"), Box::new(|| None)).unwrap();
    assert!(matches!(direct.get(IMPORT, None), Err(SessionError::Port(_))));
    let again = direct.get(IMPORT, None);
    assert!(matches!(again, Err(SessionError::Failed(it)) if it.cause == Cause::NotAssociated));
}

#[test]
fn nobody_there_is_an_error_with_the_address() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Direct::open(&Place::Tcp(nobody.to_string()), client(b""), Box::new(|| None)).unwrap_err();
    assert_eq!(error.to_string(), format!("connect to {nobody}"));
}
