//! TLS towards the broker: mutual, version 1.3 (1.2 only where the configuration asks for it), one pinned CA, one pinned name.
//!
//! The time that certificates are judged by never lies before a floor, so that a unit whose clock is back in 1970 still
//! connects. Every failure says which file or which side is at fault and what to do about it. No socket is opened here.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore,
    SignatureScheme,
};

/// Seconds since 1970 UTC, never before the floor.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The system's clock, or `floor` (seconds since 1970 UTC) where the system's clock lies before it.
pub fn clock_with_floor(floor: impl Fn() -> u64 + Send + Sync + 'static) -> Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "TLS judges certificates by the unit's clock; this is its only reader"
    )]
    Arc::new(move || {
        let system = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        system.map_or(0, |since| since.as_secs()).max(floor())
    })
}

/// What one side of a mutually authenticated connection needs.
#[derive(Clone)]
pub struct Tls {
    /// PEM: the certificates that may have issued the broker's.
    pub ca: PathBuf,
    /// PEM: this side's certificate, then its issuers up to what the broker trusts.
    pub certificate: PathBuf,
    /// PEM: the private key of the first certificate (PKCS #8, SEC 1 or PKCS #1).
    pub key: PathBuf,
    /// The name or address that the broker's certificate must carry; None: the host that is connected to.
    pub server_name: Option<String>,
    /// TLS 1.2 is taken too.
    pub allow_tls12: bool,
    pub clock: Clock,
}

impl Tls {
    /// Reads the files and builds the client's side for a broker at `host`. Cheap: done for every connection, so that
    /// renewed certificates need no restart.
    pub fn client_config(&self, host: &str) -> Result<Arc<ClientConfig>, Error> {
        let provider = Arc::new(ring::default_provider());
        let name = self.pinned_name(host)?;
        let verifier = PinnedName { verifier: self.verifier(&provider)?, name };
        let versions: &[&rustls::SupportedProtocolVersion] = match self.allow_tls12 {
            true => &[&rustls::version::TLS13, &rustls::version::TLS12],
            false => &[&rustls::version::TLS13],
        };
        let mut config = ClientConfig::builder_with_details(provider, Arc::new(FloorTime(self.clock.clone())))
            .with_protocol_versions(versions)
            .map_err(Error::Setup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain()?, self.private_key()?)
            .map_err(|source| self.key_error(source))?;
        config.resumption = Resumption::in_memory_sessions(4);
        Ok(Arc::new(config))
    }

    /// The name that the broker's certificate is held against.
    pub fn pinned_name(&self, host: &str) -> Result<ServerName<'static>, Error> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|_| Error::ServerName { name: name.to_owned() })
    }

    /// This side's own chain, the leaf first.
    pub fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        certificates(&self.certificate, "certificate")
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca, "CA")? {
            roots.add(certificate).map_err(|source| Error::Ca { path: self.ca.clone(), source })?;
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().map_err(Error::Verifier)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        let path = &self.key;
        let open = |source| Error::Read { what: "private key", path: path.clone(), source };
        let mode = fs::metadata(path).map_err(open)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(Error::KeyMode { path: path.clone(), mode: mode & 0o777 });
        }
        let pem = read(path, "private key")?;
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| Error::Pem { what: "private key", path: path.clone() })
    }

    fn key_error(&self, source: rustls::Error) -> Error {
        let (certificate, key) = (self.certificate.clone(), self.key.clone());
        match source {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Error::KeyMismatch { certificate, key },
            source => Error::Identity { certificate, key, source },
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("ca", &self.ca)
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .field("server_name", &self.server_name)
            .field("allow_tls12", &self.allow_tls12)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the files or the settings: nothing was connected yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read the {what} file {}", path.display())]
    Read { what: &'static str, path: PathBuf, source: io::Error },
    #[error("no {what} that can be used in {}: it must be PEM, whole and not encrypted", path.display())]
    Pem { what: &'static str, path: PathBuf },
    #[error("the {what} file {} is larger than {LARGEST_FILE} octets", path.display())]
    TooLarge { what: &'static str, path: PathBuf },
    #[error("everybody may read the private key {} (mode {mode:03o}): chmod 600 it", path.display())]
    KeyMode { path: PathBuf, mode: u32 },
    #[error("the private key {} does not belong to the certificate {}", key.display(), certificate.display())]
    KeyMismatch { certificate: PathBuf, key: PathBuf },
    #[error("use the certificate {} with the private key {}", certificate.display(), key.display())]
    Identity { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("use a certificate of {} as CA", path.display())]
    Ca { path: PathBuf, source: rustls::Error },
    #[error("`{name}` is neither a DNS name nor an address")]
    ServerName { name: String },
    #[error("set up the check of the broker's certificate")]
    Verifier(#[source] VerifierBuilderError),
    #[error("set up TLS")]
    Setup(#[source] rustls::Error),
}

/// Why the two sides did not come to terms, in the words of who must act.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the broker's certificate has expired by this unit's clock ({}): renew it, or set the clock", Utc(*now))]
    Expired { now: u64, source: rustls::Error },
    #[error(
        "the broker's certificate is not valid yet by this unit's clock ({}): set the clock, or wait for the synchronisation",
        Utc(*now)
    )]
    NotYetValid { now: u64, source: rustls::Error },
    #[error("the broker's certificate was not issued by a CA of {}: it is another broker, or the CA file is out of date", ca.display())]
    UnknownIssuer { ca: PathBuf },
    #[error("the broker's certificate is not for `{name}`: mend server_name, or the host of the broker's address")]
    WrongName { name: String, source: rustls::Error },
    #[error("the broker's certificate is no good")]
    BadCertificate { source: rustls::Error },
    #[error(
        "the broker refused this unit's certificate {} (it says {alert:?}): have it issued by the CA that the broker trusts, and see that it has not expired",
        certificate.display()
    )]
    Refused { certificate: PathBuf, alert: AlertDescription },
    #[error("no TLS version in common: the broker must offer 1.3, or the configuration must allow 1.2")]
    Version,
    #[error("the other side does not speak TLS: is this the port of the broker's TLS listener?")]
    NotTls { source: rustls::Error },
    #[error(
        "the connection was closed during the handshake: no TLS listener, or a broker that dislikes the certificate"
    )]
    Closed,
    #[error("TLS")]
    Other { source: rustls::Error },
}

impl Fault {
    /// Says what `source` means for a connection that was set up by `tls` towards `host`.
    pub fn new(source: rustls::Error, tls: &Tls, host: &str) -> Self {
        use CertificateError as C;
        use rustls::Error as E;
        let now = (tls.clock)();
        match source {
            E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => Self::Expired { now, source },
            E::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => Self::NotYetValid { now, source },
            // A CA of the same name and another key shows as a bad signature.
            E::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => Self::UnknownIssuer { ca: tls.ca.clone() },
            E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
                Self::WrongName { name: tls.server_name.clone().unwrap_or_else(|| host.to_owned()), source }
            }
            E::InvalidCertificate(_) => Self::BadCertificate { source },
            E::AlertReceived(AlertDescription::ProtocolVersion) | E::PeerIncompatible(_) => Self::Version,
            E::AlertReceived(alert) if is_about_our_certificate(alert) => {
                Self::Refused { certificate: tls.certificate.clone(), alert }
            }
            E::InvalidMessage(_) => Self::NotTls { source },
            source => Self::Other { source },
        }
    }

    /// Looks for a TLS failure inside an I/O error; gives the error back where there is none.
    pub fn from_io(error: io::Error, tls: &Tls, host: &str) -> Result<Self, io::Error> {
        let inside = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
        match inside {
            Some(source) => Ok(Self::new(source, tls, host)),
            None => Err(error),
        }
    }
}

fn is_about_our_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::DecryptError
            | A::CertificateRequired
    )
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = || Error::Pem { what, path: path.to_owned() };
    let pem = read(path, what)?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| unreadable())?;
    match all.is_empty() {
        true => Err(unreadable()),
        false => Ok(all),
    }
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { what, path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > LARGEST_FILE {
        return Err(Error::TooLarge { what, path: path.to_owned() });
    }
    fs::read(path).map_err(failed)
}

/// Checks like WebPKI does, but always against the pinned name, whatever host was connected to.
#[derive(Debug)]
struct PinnedName {
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for PinnedName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

struct FloorTime(Clock);

impl TimeProvider for FloorTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs((self.0)())))
    }
}

impl fmt::Debug for FloorTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FloorTime")
    }
}

/// Seconds since 1970 as a person reads them.
struct Utc(u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
            Some(time) => write!(f, "{time}"),
            None => write!(f, "{} s since 1970", self.0),
        }
    }
}

/// A chain of certificates is a few kilobytes.
const LARGEST_FILE: u64 = 256 * 1024;
