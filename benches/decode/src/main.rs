//! Telegrams decoded a second, beside m-bus-parser 0.5.3, on the lines of the open corpus that both decode.
//!
//! One core, one run, rounds of both in turn. Both start from the octets of a frame without link layer CRCs, decrypt
//! where the line has a key (mode 5 is all that m-bus-parser decrypts), and materialise every record: value, quantity,
//! unit, power of ten, and what orthogonal VIFEs say. A line counts where both end with the same number of records.
//!
//!     cargo run --release --manifest-path benches/decode/Cargo.toml [CORPUS.jsonl]

use std::hint::black_box;
use std::time::{Duration, Instant};

use m_bus_parser::WirelessFrame;
use m_bus_parser::decryption::{DecryptionError, KeyContext, KeyProvider};
use m_bus_parser::user_data::{DataRecords, UserDataBlock, parse_data_records};
use wmbus::{Form, Key, Scratch, Telegram, Verdict};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/wmbus/telegrams.jsonl");
const ROUNDS: u32 = 400;
const ROUND: Duration = Duration::from_millis(3);

struct Line {
    octets: Vec<u8>,
    key: Option<[u8; 16]>,
    our_key: Option<Key>,
}

struct Theirs([u8; 16]);

impl KeyProvider for Theirs {
    fn get_key(&self, _: &KeyContext) -> Result<&[u8], DecryptionError> {
        Ok(&self.0)
    }
}

fn main() {
    let path = std::env::args().nth(1).unwrap_or_else(|| CORPUS.to_owned());
    let Ok(text) = std::fs::read_to_string(&path) else {
        return println!("skipped: no shared data");
    };
    let lines: Vec<Line> = text.lines().map(line).collect();
    let mut scratch = Scratch::default();
    let mut buffer = [0; 256];
    let both: Vec<&Line> = lines
        .iter()
        .filter(|line| {
            let ours = ours(line, Form::Stripped, &mut scratch);
            ours.is_some_and(|n| n > 0) && ours == theirs(line, &mut buffer)
        })
        .collect();
    let clear: Vec<&Line> = both.iter().filter(|line| line.key.is_none()).copied().collect();
    let sealed: Vec<&Line> = both.iter().filter(|line| line.key.is_some()).copied().collect();
    println!("{} lines in the corpus", lines.len());
    compare("lines both decode", &both, &mut scratch, &mut buffer);
    compare("  of them without a key", &clear, &mut scratch, &mut buffer);
    compare("  of them decrypted, mode 5", &sealed, &mut scratch, &mut buffer);

    let all: Vec<&Line> = lines.iter().filter(|line| ours(line, Form::Stripped, &mut scratch).is_some()).collect();
    let rate = best(
        || {
            all.iter().for_each(|line| {
                black_box(ours(line, Form::Stripped, &mut scratch));
            })
        },
        all.len(),
    );
    println!("all that we decode, modes 5, 7 and ELL included: n {}, {rate:.0}/s", all.len());
}

fn line(text: &str) -> Line {
    let row: serde_json::Value = serde_json::from_str(text).expect("the corpus is JSON lines");
    let octets = |name: &str| hex::decode(row[name].as_str().unwrap_or_default()).expect("the corpus has hex");
    let key: Option<[u8; 16]> = octets("key").try_into().ok();
    Line { octets: octets("telegram_hex"), key, our_key: key.map(Key::new) }
}

/// Records of a line; None where it does not decode.
fn ours(line: &Line, form: Form, scratch: &mut Scratch) -> Option<usize> {
    let telegram = &Telegram::decode_as(form, black_box(&line.octets), &line.our_key, scratch);
    let Ok(telegram) = telegram else { return None };
    if telegram.verdict != Verdict::Ok {
        return None;
    }
    let mut records = 0;
    let mut iterator = telegram.records();
    // By reference in both: moving a record costs as much as reading it.
    while let Some(record) = &iterator.next() {
        let Ok(record) = record else { return None };
        record.vib.modifiers.iter().for_each(|modifier| {
            black_box(modifier);
        });
        black_box(record);
        records += 1;
    }
    black_box(telegram);
    Some(records)
}

/// The same with m-bus-parser.
fn theirs(line: &Line, buffer: &mut [u8; 256]) -> Option<usize> {
    let frame = WirelessFrame::try_from(black_box(line.octets.as_slice())).ok()?;
    let block = UserDataBlock::try_from(frame.data).ok()?;
    let sealed = match &block {
        UserDataBlock::VariableDataStructureWithLongTplHeader { long_tpl_header, .. } => long_tpl_header.is_encrypted(),
        UserDataBlock::VariableDataStructureWithShortTplHeader { short_tpl_header, .. } => {
            short_tpl_header.is_encrypted()
        }
        _ => false,
    };
    let records = if sealed {
        let (keys, meter) = (Theirs(line.key?), &frame.manufacturer_id);
        let len = block
            .decrypt_variable_data_with_context(
                &keys,
                meter.manufacturer_code,
                meter.identification_number.number,
                meter.version,
                meter.device_type,
                buffer,
            )
            .ok()?;
        let plain = buffer.get(..len)?.strip_prefix(&[0x2f, 0x2f])?;
        consume(parse_data_records(plain))?
    } else {
        consume(block.data_records()?)?
    };
    black_box(&block);
    Some(records)
}

fn consume(mut records: DataRecords<'_>) -> Option<usize> {
    let mut count = 0;
    while let Some(record) = &records.next() {
        let Ok(record) = record else { return None };
        if let Some(information) = record.value_information() {
            information.labels().into_iter().for_each(|label| {
                black_box(label);
            });
            information.units().into_iter().for_each(|unit| {
                black_box(unit);
            });
            black_box((information.decimal_scale_exponent, information.decimal_offset_exponent));
            black_box(record.value());
            count += 1;
        }
        black_box(record);
    }
    Some(count)
}

fn compare(name: &str, lines: &[&Line], scratch: &mut Scratch, buffer: &mut [u8; 256]) {
    let (mut us, mut them) = (0.0f64, 0.0f64);
    for _ in 0..ROUNDS {
        us = us.max(rate(
            || {
                lines.iter().for_each(|line| {
                    black_box(ours(line, Form::Stripped, scratch));
                })
            },
            lines.len(),
        ));
        them = them.max(rate(
            || {
                lines.iter().for_each(|line| {
                    black_box(theirs(line, buffer));
                })
            },
            lines.len(),
        ));
    }
    println!("{name}: n {}, wmbus {us:.0}/s, m-bus-parser {them:.0}/s, ratio {:.1}", lines.len(), us / them);
}

fn best(mut pass: impl FnMut(), telegrams: usize) -> f64 {
    (0..ROUNDS).map(|_| rate(&mut pass, telegrams)).fold(0.0, f64::max)
}

/// Telegrams a second over at least [`ROUND`].
fn rate(mut pass: impl FnMut(), telegrams: usize) -> f64 {
    let start = Instant::now();
    let mut passes = 0u32;
    while start.elapsed() < ROUND {
        pass();
        passes += 1;
    }
    f64::from(passes) * telegrams as f64 / start.elapsed().as_secs_f64()
}
