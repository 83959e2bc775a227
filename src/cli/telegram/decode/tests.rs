use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use wmbus::record::{DataField, Draft, Value as Sent};
use wmbus::sim::{Layout, Message, Protection};
use wmbus::{Address, Form, Key};

use super::*;

const METER: Address = Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 0x16 };
const KEY: [u8; 16] = [0xa5; 16];

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn decode(args: Args, input: &str) -> Result<String, Failure> {
    let printed = Printed::default();
    let mut out = Out::to(printed.clone());
    run(args, input.as_bytes(), &mut out)?;
    let octets = printed.0.lock().unwrap().clone();
    Ok(String::from_utf8(octets).unwrap())
}

fn json(input: &str) -> Vec<Value> {
    let text = decode(Args { telegrams: Vec::new(), keys: None, json: true }, input).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn telegram(protection: Protection<'_>, form: Form) -> String {
    let records = [
        Draft::new(DataField::Bcd8, &[0x13], Sent::Integer(123_456)),
        Draft::new(DataField::Integer16, &[0x93, 0x3c], Sent::Integer(7)).storage(1).tariff(2),
    ];
    let message = Message::new(METER, 42, &records).status(0x0c).protection(protection);
    hex::encode(message.emit(form).unwrap())
}

/// Lines that come one by one, each only when the answer to the one before it can be seen.
struct Live {
    lines: Vec<String>,
    shown: Shown,
    asked: usize,
}

/// What was printed, and how much of it was flushed.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<(Vec<u8>, usize)>>);

impl Write for Shown {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().0.write(octets)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut shown = self.0.lock().unwrap();
        shown.1 = shown.0.iter().filter(|octet| **octet == b'\n').count();
        Ok(())
    }
}

impl Read for Live {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        // The second half of a line is waited for as well.
        assert_eq!(self.shown.0.lock().unwrap().1, self.asked / 2);
        let Some(line) = self.lines.get(self.asked / 2) else { return Ok(0) };
        let (first, second) = line.split_at(line.len() / 2);
        let half = if self.asked % 2 == 0 { first } else { second };
        self.asked += 1;
        buf[..half.len()].copy_from_slice(half.as_bytes());
        Ok(half.len())
    }
}

#[test]
fn a_line_of_a_live_input_is_answered_before_the_next_is_waited_for() {
    let line = telegram(Protection::None, Form::Stripped) + "\n";
    let shown = Shown::default();
    let input = Live { lines: vec![line; 3], shown: shown.clone(), asked: 0 };
    run(Args { telegrams: Vec::new(), keys: None, json: true }, input, &mut Out::to(shown.clone())).unwrap();
    assert_eq!(shown.0.lock().unwrap().1, 3);
}

/// One line, its verdict and its reason.
#[track_caller]
fn check(line: &str, verdict: &str, reason: Option<&str>) {
    let answers = json(&format!("{line}\n"));
    let [answer] = answers.as_slice() else { panic!("{} answers to one line", answers.len()) };
    assert_eq!((answer["verdict"].as_str(), answer["reason"].as_str()), (Some(verdict), reason), "{line}");
    if verdict != "ok" {
        assert_eq!(answer["readings"].as_array().map(Vec::len), Some(0), "{line}");
    }
}

#[test]
fn nothing_is_told_of_a_key_that_stands_where_a_telegram_should() {
    // Octets that a key may well be, among them such as look like a frame at first.
    let heads = ["0f44", "0f08", "0fa1", "ff44", "0011", "b0d6", "6846"];
    let mut hidden = 0;
    for (head, n) in heads.iter().flat_map(|head| (0..40u32).map(move |n| (head, n))) {
        let rest: String = (0..14).map(|place| format!("{:02x}", (n * 37 + place * 91 + 13) % 256)).collect();
        let key = format!("{head}{rest}");
        let [answer] = json(&format!("{key}\n")).try_into().unwrap();
        let is_told = answer["verdict"] == "ok";
        assert!(is_told || answer["meter"].is_null(), "{key}: {answer}");
        hidden += u32::from(answer["reason"] == "16 octets, and no telegram: a key stands behind its telegram");
        let text = decode(Args { telegrams: vec![key.clone()], keys: None, json: false }, "").unwrap();
        let identification: String = (4..8).rev().map(|place| &key[2 * place..][..2]).collect();
        assert!(is_told || !text.contains(&identification), "{text}");
    }
    assert!(hidden > 270, "{hidden}");
    // One of 16 octets that is a telegram is told.
    check("0f449344785634121b167a010000002f", "ok", None);
    check("0f449344785634121b1679cfe5ab1203", "unsupported", Some("compact frame without its format"));
}

#[test]
fn whatever_is_in_a_line_it_is_answered() {
    let key = hex::encode(KEY);
    let mode_5 = telegram(Protection::AesCbcIv(&Key::new(KEY)), Form::Stripped);
    let plain = telegram(Protection::None, Form::Stripped);
    check(&format!("{mode_5} {key}"), "ok", None);
    check(&mode_5, "no_key", Some("it is encrypted, and there is no key"));
    check(&format!("{mode_5} {}", "00".repeat(16)), "wrong_key", Some("the key does not decrypt it"));
    check(
        &format!("{mode_5} {}", &key[..30]),
        "wrong_key",
        Some("the key has 30 hex digits, it must have 32, or 16 (DES, Diehl)"),
    );
    check(
        &format!("{plain} {}", &key[..30]),
        "ok",
        Some("the key has 30 hex digits, it must have 32, or 16 (DES, Diehl)"),
    );
    check(
        &format!("{plain} {key} {key}"),
        "unsupported",
        Some("a line is HEX [KEY], and there are more than two words"),
    );
    check("", "unsupported", Some("the line is empty"));
    check("2e4493", "truncated", Some("octets missing"));
    check("2e4", "unsupported", Some("3 hex digits are no whole octets"));
    check("2e44x3", "unsupported", Some("character 5 is no hex digit"));
    check("ÿ", "unsupported", Some("character 1 is no hex digit"));
    let mut damaged = telegram(Protection::None, Form::FormatA);
    damaged.replace_range(40..42, "ee");
    check(&damaged, "bad_crc", Some("link layer crc is wrong"));
    let two = json(&format!("{}\n{plain}\n", "00".repeat(100_000)));
    assert_eq!(two[0]["reason"], "the line is longer than any telegram and its key");
    assert_eq!((two.len(), &two[1]["verdict"]), (2, &"ok".into()));
}

#[test]
fn what_came_before_the_damage_is_read() {
    let plain = telegram(Protection::None, Form::Stripped);
    let answers = json(&plain[..plain.len() - 2]);
    assert_eq!((&answers[0]["verdict"], &answers[0]["readings"][0]["value"]), (&"truncated".into(), &"123.456".into()));
}

#[test]
fn what_is_marked_as_invalid_is_shown_as_the_field_holds_it() {
    let records = [
        Draft::new(DataField::Integer32, &[0x13], Sent::Invalid),
        Draft::new(DataField::Integer16, &[0x6c], Sent::Binary(&[0; 2])).storage(1),
        Draft::new(DataField::Integer32, &[0x13], Sent::Integer(7)).storage(1),
    ];
    let line = hex::encode(Message::new(METER, 42, &records).emit(Form::Stripped).unwrap());
    let readings = &json(&format!("{line}\n"))[0]["readings"];
    let said = |at: usize| (readings[at]["value"].as_str().unwrap(), readings[at]["quality"].as_str().unwrap());
    assert_eq!(
        [said(0), said(1), said(2)],
        [("-2147483.648", "invalid"), ("2000-00-00", "invalid"), ("0.007", "good")]
    );
    // It is the date of nothing.
    assert_eq!(readings[2]["time"], Value::Null);
}

#[test]
fn what_is_no_text_is_answered_too() {
    let printed = Printed::default();
    let mut out = Out::to(printed.clone());
    let input: &[u8] = b"\xff\xfe\n\n";
    run(Args { telegrams: Vec::new(), keys: None, json: true }, input, &mut out).unwrap();
    let octets = printed.0.lock().unwrap().clone();
    assert_eq!(String::from_utf8(octets).unwrap().lines().count(), 2);
}

#[test]
fn an_answer_has_the_keys_that_scripts_rely_on() {
    let key = hex::encode(KEY);
    let line = telegram(Protection::AesCbcIv(&Key::new(KEY)), Form::FormatA);
    let answers = json(&format!("{line} {key}\n"));
    assert_eq!(
        answers,
        [serde_json::json!({
            "verdict": "ok",
            "meter": {"manufacturer": "KAM", "id": "12345678", "version": 27, "type": 22, "medium": "cold water"},
            "security": {"mode": "5", "authenticated": false},
            "status": {
                "raw": 12, "application": "no_error", "power_low": true, "permanent_error": true,
                "temporary_error": false, "manufacturer": 0
            },
            "access_number": 42,
            "readings": [
                {
                    "quantity": "volume", "obis": "8-0:1.0.0*255", "value": "123.456", "unit": "m3",
                    "function": "instantaneous", "storage": 0, "tariff": 0, "subunit": 0, "time": null,
                    "quality": "good"
                },
                {
                    "quantity": "volume", "obis": null, "value": "0.007", "unit": "m3",
                    "function": "instantaneous", "storage": 1, "tariff": 2, "subunit": 0, "time": null,
                    "quality": "good", "modifier": "backward"
                }
            ]
        })]
    );
}

#[test]
fn a_status_that_the_maker_lays_out_is_told_once() {
    // RFM-AMB with 08: the module was removed; IWM-TX5 with 48, of which 40 alone is the maker's.
    let answers = json("1244b40999003412101b7a0108000002658a08\n1244b4099900341218077a0148000002130100\n");
    assert_eq!(answers[0]["status"], serde_json::json!({"raw": 8}));
    let mut readings = answers[0]["readings"].as_array().unwrap().iter();
    assert!(readings.any(|reading| reading["quantity"] == "module_removed" && reading["value"] == "1"));
    assert_eq!(answers[1]["status"]["permanent_error"], true);
    let text = decode(
        Args { telegrams: vec!["1244b40999003412101b7a0108000002658a08".to_owned()], keys: None, json: false },
        "",
    )
    .unwrap();
    assert!(text.contains("status 08\n"), "{text}");
}

#[test]
fn for_a_person_the_meter_comes_first() {
    let text = decode(
        Args { telegrams: vec![telegram(Protection::None, Form::Stripped)], keys: None, json: false },
        "not read",
    );
    assert_eq!(
        text.unwrap(),
        "KAM-12345678-1b-16  cold water  ok  mode 0  status 0c: power low, permanent error\n\
         quantity    value  unit  obis           of\n\
         volume    123.456  m3    8-0:1.0.0*255\n\
         volume      0.007  m3                   storage 1, tariff 2, backward\n"
    );
}

#[test]
fn keys_come_from_a_file_or_from_the_line_and_never_from_arguments() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "12345678 {}", hex::encode(KEY)).unwrap();
    let mode_5 = telegram(Protection::AesCbcIv(&Key::new(KEY)), Form::Stripped);
    let args = |telegram: String| Args { telegrams: vec![telegram], keys: Some(file.path().into()), json: true };
    assert!(decode(args(mode_5.clone()), "").unwrap().starts_with(r#"{"verdict":"ok""#));
    let refused = decode(args(format!("{mode_5} {}", hex::encode(KEY))), "").unwrap();
    assert!(refused.contains("without a key") && !refused.contains("a5a5"), "{refused}");

    std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let failure = decode(args(mode_5), "").unwrap_err();
    assert_eq!(failure.exit, Exit::NotPermitted);
}

fn corpus(name: &str) -> Option<Vec<Value>> {
    let file = format!("{}/../shared/data/wmbus/{name}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(file) else {
        eprintln!("skipped: no shared data");
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn all_forms_of_a_frame_give_the_same_answer() {
    let Some(rows) = corpus("telegrams.jsonl") else { return };
    let lines = |form: &str| -> String {
        let line = |row: &Value| format!("{} {}\n", row[form].as_str().unwrap(), row["key"].as_str().unwrap());
        rows.iter().map(line).collect()
    };
    let stripped = json(&lines("telegram_hex"));
    assert_eq!(stripped.len(), rows.len());
    for form in ["frame_a_hex", "frame_b_hex"] {
        for ((answer, expected), row) in json(&lines(form)).iter().zip(&stripped).zip(&rows) {
            assert_eq!(answer, expected, "{} {form}", row["case"]);
        }
    }
}

#[test]
fn all_of_annex_n_decrypts() {
    let Some(rows) = corpus("oms-annex-n.jsonl") else { return };
    for row in &rows {
        let line = format!("{} {}\n", row["telegram_hex"].as_str().unwrap(), row["key"].as_str().unwrap());
        let answers = json(&line);
        assert_eq!(answers[0]["verdict"], "ok", "{}: {}", row["name"], answers[0]);
        if row["name"].as_str().unwrap().contains("profile B") {
            assert_eq!(answers[0]["security"]["authenticated"], true, "{}", row["name"]);
        }
    }
}

#[test]
fn a_compact_frame_is_read_by_the_format_that_another_line_teaches() {
    let records = [Draft::new(DataField::Bcd8, &[0x13], Sent::Integer(123_456))];
    let message = Message::new(Address { version: 0x77, ..METER }, 42, &records);
    let [full, compact] = [Layout::Full, Layout::Compact]
        .map(|layout| hex::encode(message.clone().layout(layout).emit(Form::Stripped).unwrap()));
    let alone = &json(&compact)[0];
    assert_eq!(
        (alone["verdict"].as_str(), alone["reason"].as_str()),
        (Some("unsupported"), Some("compact frame without its format"))
    );
    let answers = json(&format!("{compact}\nzz\n{full}\n{compact}\n"));
    let verdicts: Vec<_> = answers.iter().map(|answer| answer["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["ok", "unsupported", "ok", "ok"]);
    assert!([0, 3].iter().all(|at| answers[*at]["readings"] == answers[2]["readings"]));
}

#[test]
fn a_wize_frame_opens_as_far_as_the_key_file_goes() {
    let vectors = include_str!("../../../../wmbus/tests/data/wize.txt");
    let frame = vectors.lines().find_map(|line| line.strip_prefix("data ")).unwrap();
    let answer = |keys: &str| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        std::fs::write(&path, keys).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let args = |json| Args { telegrams: vec![frame.to_owned()], keys: Some(path.clone()), json };
        let line = decode(args(true), "").unwrap();
        (serde_json::from_str::<Value>(&line).unwrap(), decode(args(false), "").unwrap())
    };
    let network = "wize=9 101112131415161718191a1b1c1d1e1f\n";
    let device = "12345678 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf id=1\n";

    let (sealed, text) = answer(network);
    assert_eq!((&sealed["verdict"], &sealed["security"]["authenticated"]), (&"no_key".into(), &true.into()));
    assert_eq!(sealed["wize"]["sealed"], "f9322e7b36d7954b5a7be230c6c4");
    let said = "KAM-12345678-01-03  gas  no_key (it is from the network, and sealed for the head-end)  mode wize, \
                authenticated\nwize DATA network 9 counter 258 application fe key 1: sealed \
                f9322e7b36d7954b5a7be230c6c4\n";
    assert_eq!(text, said);

    let (open, _) = answer(&(network.to_owned() + device));
    assert_eq!((&open["verdict"], &open["wize"]["payload"]), (&"ok".into(), &hex::encode("index 12345 m3").into()));
    assert_eq!(open["wize"]["sealed"], Value::Null);

    let (forged, _) = answer("wize=9 00000000000000000000000000000000\n");
    assert_eq!((&forged["verdict"], &forged["security"]["authenticated"]), (&"bad_mac".into(), &false.into()));
    let (unknown, _) = answer("wize=8 101112131415161718191a1b1c1d1e1f\n");
    assert_eq!((&unknown["verdict"], &unknown["security"]["authenticated"]), (&"no_key".into(), &false.into()));
}
