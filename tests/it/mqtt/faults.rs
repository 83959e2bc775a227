//! Certificates that are expired, early, of another CA, for another name, refused; files that are not there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dcu::simulate::head_end::keys::{Identity, Kit, Plan};
use dcu::task::mqtt::{Event, Reason, Settings};
use dcu::task::tls::{Error, Fault, Tls, clock_with_floor};

use super::Client;
use crate::support::mosquitto::{Mosquitto, Options, settings, tls};
use crate::support::today;

/// The first reason why no connection comes about.
async fn reason(settings: Settings) -> Reason {
    match Client::open(settings).next().await {
        Event::Disconnected { reason, .. } => reason,
        // With TLS 1.3 the broker's verdict on our certificate may come after the handshake, never after CONNACK.
        other => panic!("{other:?}"),
    }
}

async fn fault(settings: Settings) -> Fault {
    match reason(settings).await {
        Reason::Tls { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

fn kit(dir: &Path, name: &str, plan: &Plan, today: jiff::civil::Date) -> Kit {
    Kit::make(&dir.join(name), plan, today).unwrap().0
}

fn with_tls(broker: &Mosquitto, change: impl FnOnce(&mut Tls)) -> Settings {
    let mut tls = tls(&broker.kit, &broker.kit.unit("dcu-1"));
    change(&mut tls);
    settings("localhost", broker.port, tls, "dcu-1")
}

/// A broker whose certificate another CA issued; unit and broker still agree on who the unit is.
fn broker_of(other: &Kit) -> Option<Mosquitto> {
    Mosquitto::start_with(Options { identity: Some(other.broker()), ..Options::default() })
}

#[tokio::test]
async fn an_expired_broker_certificate_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let old = kit(dir.path(), "old", &Plan { days: 30, ..Plan::default() }, jiff::civil::date(2024, 1, 1));
    let Some(broker) = broker_of(&old) else { return };
    let fault = fault(with_tls(&broker, |tls| tls.ca = old.ca())).await;
    assert!(matches!(fault, Fault::Expired { .. }), "{fault:?}");
}

#[tokio::test]
async fn a_clock_in_1970_is_named_and_a_floor_mends_it() {
    let Some(broker) = Mosquitto::start() else { return };
    let fault = fault(with_tls(&broker, |tls| tls.clock = Arc::new(|| 3600))).await;
    assert!(matches!(fault, Fault::NotYetValid { now: 3600, .. }), "{fault:?}");
    assert!(fault.to_string().contains("1970-01-01T01:00:00Z"), "{fault}");
    let now = clock_with_floor(|| 0)();
    let floor = move || 3600_u64.max(now);
    Client::open(with_tls(&broker, |tls| tls.clock = Arc::new(floor))).connected().await;
}

#[tokio::test]
async fn a_broker_of_another_ca_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let other = kit(dir.path(), "other", &Plan::default(), today());
    let Some(broker) = broker_of(&other) else { return };
    let fault = fault(with_tls(&broker, |_| {})).await;
    assert!(matches!(&fault, Fault::UnknownIssuer { ca } if *ca == broker.kit.ca()), "{fault:?}");
}

#[tokio::test]
async fn a_broker_with_another_name_is_named() {
    let Some(broker) = Mosquitto::start() else { return };
    let settings = with_tls(&broker, |tls| tls.server_name = Some("broker.example".into()));
    let fault = fault(settings).await;
    assert!(matches!(&fault, Fault::WrongName { name, .. } if name == "broker.example"), "{fault:?}");
}

#[tokio::test]
async fn a_pinned_name_counts_whatever_address_is_connected_to() {
    let dir = tempfile::tempdir().unwrap();
    let named = kit(dir.path(), "named", &Plan { broker: vec!["broker.example".into()], ..Plan::default() }, today());
    let Some(broker) = broker_of(&named) else { return };
    let mut settings = with_tls(&broker, |tls| {
        tls.ca = named.ca();
        tls.server_name = Some("broker.example".into());
    });
    for host in ["127.0.0.1", "localhost"] {
        settings.host = host.into();
        Client::open(settings.clone()).connected().await;
    }
}

#[tokio::test]
async fn an_ipv6_address_is_reached() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        crate::support::skip("no IPv6 loopback");
        return;
    }
    let port = std::net::TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap().port();
    let options = Options { lines: vec![], ..Options::default() };
    let Some(broker) = Mosquitto::start_with(options) else { return };
    let broker_port = broker.port;
    let listener = tokio::net::TcpListener::bind(("::1", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::TcpStream::connect(("127.0.0.1", broker_port)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    });
    let settings = Settings { host: "::1".into(), port, ..with_tls(&broker, |_| {}) };
    Client::open(settings).connected().await;
}

#[tokio::test]
async fn a_broker_that_refuses_our_certificate_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    let other = kit(dir.path(), "other", &Plan::default(), today());
    let Some(broker) = Mosquitto::start() else { return };
    let Identity { certificate, key } = other.unit("dcu-1");
    let settings = with_tls(&broker, |tls| (tls.certificate, tls.key) = (certificate.clone(), key));
    let fault = fault(settings).await;
    assert!(matches!(&fault, Fault::Refused { certificate: named, .. } if *named == certificate), "{fault:?}");
}

#[tokio::test]
async fn our_own_expired_certificate_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    let old = kit(dir.path(), "old", &Plan { days: 30, ..Plan::default() }, jiff::civil::date(2024, 1, 1));
    let options = Options { client_ca: Some(old.ca()), ..Options::default() };
    let Some(broker) = Mosquitto::start_with(options) else { return };
    let Identity { certificate, key } = old.unit("dcu-1");
    let fault = fault(with_tls(&broker, |tls| (tls.certificate, tls.key) = (certificate, key))).await;
    assert!(matches!(fault, Fault::Refused { .. }), "{fault:?}");
}

#[tokio::test]
async fn a_port_without_tls_is_understood() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.6\r\n").await;
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let kit = kit(dir.path(), "kit", &Plan::default(), today());
    let fault = fault(settings("localhost", port, tls(&kit, &kit.unit("dcu-1")), "dcu-1")).await;
    assert!(matches!(fault, Fault::NotTls { .. }), "{fault:?}");
}

#[tokio::test]
async fn a_broker_that_only_speaks_tls_1_2_needs_the_setting() {
    let dir = tempfile::tempdir().unwrap();
    let kit = kit(dir.path(), "kit", &Plan::default(), today());
    let port = rustls_server(&kit).await;
    let mut tls = tls(&kit, &kit.unit("dcu-1"));
    let fault = fault(settings("localhost", port, tls.clone(), "dcu-1")).await;
    assert!(matches!(fault, Fault::Version), "{fault:?}");
    tls.allow_tls12 = true;
    let reason = reason(settings("localhost", port, tls, "dcu-1")).await;
    assert!(matches!(reason, Reason::Closed), "{reason:?}");
}

/// A TLS 1.2 server that shakes hands and hangs up.
async fn rustls_server(kit: &Kit) -> u16 {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let Identity { certificate, key } = kit.broker();
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<_, _>>().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let kit = kit(dir.path(), "kit", &Plan::default(), today());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let there = reason(settings("localhost", port, tls(&kit, &kit.unit("dcu-1")), "dcu-1")).await;
    assert!(matches!(there, Reason::Unreachable { .. }), "{there:?}");
    let name = reason(settings("no-such-broker.invalid", 8883, tls(&kit, &kit.unit("dcu-1")), "dcu-1")).await;
    assert!(matches!(name, Reason::Unreachable { .. }), "{name:?}");
}

#[tokio::test]
async fn files_that_do_not_fit_are_named_before_anything_is_connected() {
    let dir = tempfile::tempdir().unwrap();
    let kit = kit(dir.path(), "kit", &Plan::default(), today());
    let garbage = dir.path().join("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n").unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let open_key = dir.path().join("open.key");
    std::fs::copy(kit.unit("dcu-1").key, &open_key).unwrap();
    std::fs::set_permissions(&open_key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();

    let check = |change: &dyn Fn(&mut Tls), is_expected: &dyn Fn(&Error) -> bool| {
        let mut tls = tls(&kit, &kit.unit("dcu-1"));
        change(&mut tls);
        let error = tls.client_config("127.0.0.1").expect_err("it was taken");
        assert!(is_expected(&error), "{error:?}");
    };
    let missing = PathBuf::from("/nonexistent/file.pem");
    check(&|tls| tls.ca = missing.clone(), &|e| matches!(e, Error::Read { what: "CA", .. }));
    check(&|tls| tls.certificate = missing.clone(), &|e| matches!(e, Error::Read { what: "certificate", .. }));
    check(&|tls| tls.key = missing.clone(), &|e| matches!(e, Error::Read { what: "private key", .. }));
    check(&|tls| tls.ca = garbage.clone(), &|e| matches!(e, Error::Pem { what: "CA", .. }));
    check(&|tls| tls.ca = empty.clone(), &|e| matches!(e, Error::Pem { what: "CA", .. }));
    check(&|tls| tls.key = kit.ca(), &|e| {
        matches!(e, Error::Pem { what: "private key", .. }) || matches!(e, Error::KeyMode { .. })
    });
    check(&|tls| tls.key = open_key.clone(), &|e| matches!(e, Error::KeyMode { mode: 0o644, .. }));
    check(&|tls| tls.key = kit.head_end().key, &|e| matches!(e, Error::KeyMismatch { .. }));
    check(&|tls| tls.server_name = Some("not a name".into()), &|e| matches!(e, Error::ServerName { .. }));
}
