//! An independent client reads the emulated meter over TCP, in a process of its own.
//!
//! It needs Python with the package gurux-dlms: `DCU_PYTHON` names the interpreter, else `python3` is tried.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: what is not there fails it")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test with a real connection")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dlms::Obis;
use dlms::client::Authentication;
use dlms::link::hdlc::{Address, Parameters};
use dlms::security::hls::Hash;
use dlms::security::{AuthenticationKey, Ciphering, EncryptionKey, Secret, Suite};
use dlms::sim::{Access, Model, Port, Server};

/// 2026-06-25T10:00:00Z.
const UNIX: i64 = 1_782_381_600;

fn python() -> Option<String> {
    let python = std::env::var("DCU_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import gurux_dlms"]).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success()).then_some(python)
}

fn access(authentication: &str, model: &Model) -> Access {
    let secret = Secret::new(b"12345678");
    let authentication_of = match authentication {
        "none" => Authentication::None,
        "lls" => Authentication::Lls(secret),
        "md5" => Authentication::Hash(Hash::Md5, secret),
        "sha1" => Authentication::Hash(Hash::Sha1, secret),
        "sha256" => Authentication::Hash(Hash::Sha256, secret),
        _ => Authentication::Gmac,
    };
    let ciphering = Ciphering {
        suite: Suite::Zero,
        own_title: model.system_title(),
        peer_title: None,
        global: EncryptionKey::new(&[1; 16]).unwrap(),
        broadcast: None,
        dedicated: None,
        authentication: AuthenticationKey::new(&[4; 16]).unwrap(),
    };
    Access {
        ciphering: Some(ciphering),
        is_protected: authentication == "gmac",
        ..Access::management(1, authentication_of)
    }
}

/// Serves one connection until the client is gone.
fn serve(listener: &TcpListener, mut server: Server) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut buffer = [0; 65_536];
    loop {
        let Ok(length @ 1..) = stream.read(&mut buffer) else { return };
        server.handle_bytes(&buffer[..length], Instant::now());
        while let Some(octets) = server.poll_transmit() {
            if stream.write_all(&octets).is_err() {
                return;
            }
        }
    }
}

#[test]
fn an_independent_client_reads_the_emulated_meter() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with gurux-dlms (pip install gurux-dlms, DCU_PYTHON names the interpreter)");
        return;
    };
    let model = Model::electricity(4711).unwrap();
    let energy = model.curve(Obis::new(1, 0, 1, 8, 0, 255));
    for link in ["wrapper", "hdlc"] {
        for authentication in ["none", "lls", "md5", "sha1", "sha256", "gmac", "gmac-plain"] {
            let port = match link {
                "hdlc" => Port::hdlc(Address::server(1, Some(17)).unwrap(), Parameters::default()),
                _ => Port::wrapper(1),
            };
            let server = Server::new(model.build(), port, vec![access(authentication, &model)], UNIX, 1);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().port().to_string();
            let child = Command::new(&python)
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/client.py"))
                .args([&address, link, authentication])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            serve(&listener, server);
            let output = child.wait_with_output().unwrap();
            let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let said: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("= ")).collect();
            let first = UNIX - 900 * 9_999;
            let expected = format!(
                "associated\nname DCU{:013}\nclock 06/25/26 10:00:00\nenergy {} 1.0 30\ntext True\nrelay False 0\n\
                 columns 4\nin use 10000\nentries 200 {} {}\nrange 25 {}\nobjects 26\nclosed",
                4711,
                energy.at(UNIX),
                energy.at(first),
                energy.at(first + 900 * 199),
                energy.at(UNIX),
            );
            assert_eq!(said.join("\n"), expected, "{link} {authentication}: {wrong}");
        }
    }
}
