//! Telegrams of mode 5 from known meters in turn, as many meters as there are keys: what a telegram costs, from its
//! octets to its last record, look-up of the key included. Both rounds have as many telegrams, each in its own place of
//! memory.
//!
//!     cargo run --release --manifest-path benches/decode/Cargo.toml --bin known
//!
//! `known keys METERS` and `known lines METERS LINES` print the same keys and telegrams for `dcu telegram decode`.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use wmbus::record::{DataField, Draft, Value};
use wmbus::sim::{Message, Protection};
use wmbus::{Address, Form, Key, Scratch, Telegram};

const ROUNDS: u32 = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse::<u32>().ok()).expect("a number");
    match arguments.first().map(String::as_str) {
        Some("keys") => (0..number(1)).for_each(|n| println!("{} {}", meter(n), hex::encode(octets(n)))),
        Some("lines") => {
            let meters = number(1);
            (0..number(2)).for_each(|n| println!("{}", hex::encode(frame(n % meters, (n / meters) as u8))));
        }
        _ => compare(),
    }
}

fn compare() {
    let mut scratch = Scratch::default();
    let mut nanoseconds = [10u32, 10_000].map(|meters| {
        let keys: HashMap<Address, Key, foldhash::fast::RandomState> = (0..meters).map(|n| (meter(n), key(n))).collect();
        let frames: Vec<Vec<u8>> = (0..10_000).map(|n| frame(n % meters, (n / meters) as u8)).collect();
        (meters, keys, frames, f64::INFINITY)
    });
    for _ in 0..ROUNDS {
        for (_, keys, frames, least) in &mut nanoseconds {
            let start = Instant::now();
            for frame in frames.iter() {
                let telegram = &Telegram::decode_as(Form::Stripped, black_box(frame), keys, &mut scratch);
                let Ok(telegram) = telegram else { panic!("the telegram is ours") };
                telegram.records().for_each(|record| {
                    black_box(&record);
                });
            }
            *least = least.min(start.elapsed().as_secs_f64() * 1e9 / frames.len() as f64);
        }
    }
    let [(few, .., fast), (many, .., slow)] = &nanoseconds;
    println!(
        "a telegram of a known meter: {fast:.0} ns of {few}, {slow:.0} ns of {many}: {:+.1} %",
        (slow / fast - 1.0) * 100.0
    );
}

/// The digits of `n` are those of the identification.
fn meter(n: u32) -> Address {
    let identification = u32::from_str_radix(&n.to_string(), 16).expect("eight digits");
    Address { manufacturer: 0x1596, identification, version: 0x33, device_type: 0x07 }
}

fn octets(n: u32) -> [u8; 16] {
    let mut octets = [0x5a; 16];
    octets[..4].copy_from_slice(&n.to_le_bytes());
    octets
}

fn key(n: u32) -> Key {
    Key::new(octets(n))
}

fn frame(n: u32, access_number: u8) -> Vec<u8> {
    let records: Vec<_> = (0..8)
        .map(|storage| Draft::new(DataField::Integer32, &[0x13], Value::Integer(i64::from(n) + 5)).storage(storage))
        .collect();
    let protection = Protection::AesCbcIv(&key(n));
    Message::new(meter(n), access_number, &records)
        .protection(protection)
        .emit(Form::Stripped)
        .expect("it fits a frame")
}
