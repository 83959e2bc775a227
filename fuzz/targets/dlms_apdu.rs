#![no_main]

#[path = "../dlms.rs"]
#[allow(dead_code, reason = "each target calls one body")]
mod bodies;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bodies::dlms_apdu(octets));
