//! The path of a known meter: a telegram is decoded without an allocation, its records are read without one.
#![allow(unsafe_code, reason = "an allocator that counts is unsafe to write, and nothing else here is")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;

use wmbus::record::{DataField, Draft, Value};
use wmbus::sim::{Message, Protection};
use wmbus::{Address, Form, Key, Scratch, Telegram, Verdict};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, octets: *mut u8, layout: Layout) {
        unsafe { System.dealloc(octets, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_known_meter_s_telegram_is_decoded_without_an_allocation() {
    let records = [
        Draft::new(DataField::Bcd8, &[0x13], Value::Integer(123_456)),
        Draft::new(DataField::Integer32, &[0x93, 0x3c], Value::Integer(-3)).storage(77).tariff(2),
        Draft::new(DataField::Integer16, &[0xfd, 0x17], Value::Binary(&[0, 4])),
    ];
    let key = Key::new([7; 16]);
    // A manufacturer of no layouts, one that has layouts for the tail, and one for its own records.
    for letters in ["ELS", "GWF", "QDS", "KAM"] {
        let manufacturer = Address::manufacturer_code(letters).unwrap();
        let meter = Address { manufacturer, identification: 0x1234_5678, version: 1, device_type: 7 };
        let keys = HashMap::from([(meter, key.clone())]);
        let mut scratch = Scratch::default();
        for protection in [
            Protection::None,
            Protection::AesCbcIv(&key),
            Protection::AesCbcNoIv { key: &key, counter: 9 },
            Protection::EllAesCtr { key: &key, session_number: 5 },
        ] {
            for form in [Form::FormatA, Form::FormatB, Form::Stripped] {
                let frame = Message::new(meter, 1, &records).protection(protection.clone()).emit(form).unwrap();
                // The first telegram makes the buffers and the key's rounds.
                for expected in [None, Some(0)] {
                    let before = ALLOCATIONS.get();
                    let telegram = Telegram::decode_as(form, &frame, &keys, &mut scratch).unwrap();
                    let read = telegram.records().flatten().count();
                    let allocations = ALLOCATIONS.get() - before;
                    assert_eq!((telegram.verdict, read), (Verdict::Ok, records.len()), "{telegram}");
                    assert!(expected.is_none_or(|expected| allocations == expected), "{allocations}: {telegram}");
                }
            }
        }
    }
}
