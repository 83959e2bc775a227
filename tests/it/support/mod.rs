//! What tests share.

pub(crate) mod client;
pub(crate) mod head_end;
pub(crate) mod mosquitto;
pub(crate) mod random;
pub(crate) mod service;

/// Says why a test does nothing; under `CI=true` that is a failure.
#[track_caller]
pub(crate) fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "must not be skipped in CI: {why}");
    eprintln!("skipped: {why}");
}

/// Today, for the validity of certificates.
pub(crate) fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}
