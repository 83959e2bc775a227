//! Figures as people read them, and tables of them. Not an interface: that is `--json`.

use std::fmt::Write;

use jiff::Timestamp;

use crate::control::Share;

/// `40 s`, `3 min 12 s`, `1 d 2 h`: the two largest units.
pub(super) fn span(seconds: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut parts = UNITS.iter().scan(seconds, |left, (unit, length)| {
        let count = *left / length;
        *left %= length;
        Some((count, *unit))
    });
    let Some((count, unit)) = parts.find(|(count, _)| *count > 0) else { return "0 s".into() };
    match parts.next() {
        Some((next, next_unit)) if next > 0 => format!("{count} {unit} {next} {next_unit}"),
        _ => format!("{count} {unit}"),
    }
}

/// `12 s ago`; a clock that was set back makes it `now`.
pub(super) fn ago(now_ms: i64, then_ms: i64) -> String {
    match seconds(now_ms, then_ms) {
        0 => "now".into(),
        seconds => format!("{} ago", span(seconds)),
    }
}

/// `12 s`: how long it has been so.
pub(super) fn lasting(now_ms: i64, since_ms: i64) -> String {
    span(seconds(now_ms, since_ms))
}

/// A clock that was set back makes it 0.
fn seconds(now_ms: i64, then_ms: i64) -> u64 {
    u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0) / 1000
}

/// `12 s`, in one unit: for columns.
pub(super) fn age(now_ms: i64, then_ms: i64) -> String {
    let text = lasting(now_ms, then_ms);
    let mut words = text.splitn(3, ' ');
    match (words.next(), words.next()) {
        (Some(count), Some(unit)) => format!("{count} {unit}"),
        _ => text,
    }
}

/// `2025-10-09 08:53:20 UTC`
pub(super) fn utc(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "outside the calendar".into(),
    }
}

/// `08:53:20`
pub(super) fn clock(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| "--:--:--".into(), |time| time.strftime("%H:%M:%S").to_string())
}

/// `47.4 KiB`
pub(super) fn octets(count: u64) -> String {
    for (unit, size) in [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if count >= size {
            let tenths = count / (size / 10);
            return if tenths % 10 == 0 {
                format!("{} {unit}", tenths / 10)
            } else {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            };
        }
    }
    format!("{count} B")
}

/// `1 meter`, `2 meters`
pub(super) fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ if noun.ends_with("ch") => format!("{count} {noun}es"),
        _ => format!("{count} {noun}s"),
    }
}

/// `99.2 %`, never 100 while something is missing; `-` where nothing was expected.
pub(super) fn percent(share: Share) -> String {
    match share.expected {
        0 => "-".into(),
        expected => {
            let tenths = u128::from(share.settled) * 1_000 / u128::from(expected);
            format!("{}.{} %", tenths / 10, tenths % 10)
        }
    }
}

/// Columns under their heads; a head that begins with `>` stands to the right, as do its cells.
#[derive(Debug)]
pub(super) struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heads: &[impl ToString]) -> Self {
        Self { heads: heads.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// All lines, each with its end.
    pub(super) fn text(&self) -> String {
        let heads: Vec<String> = self.heads.iter().map(|head| head.trim_start_matches('>').to_owned()).collect();
        let has_heads = heads.iter().any(|head| !head.is_empty());
        let lines = || has_heads.then_some(&heads).into_iter().chain(&self.rows);
        let width = |column: usize| {
            lines().filter_map(|cells| cells.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heads.len()).map(width).collect();
        let mut text = String::new();
        for cells in lines() {
            let mut line = String::new();
            for ((cell, width), head) in cells.iter().zip(&widths).zip(&self.heads) {
                let gap = if line.is_empty() { "" } else { "  " };
                // Writing to a String does not fail.
                let _ = match head.starts_with('>') {
                    true => write!(line, "{gap}{cell:>width$}"),
                    false => write!(line, "{gap}{cell:<width$}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Text that came from outside, for a terminal: control characters could move its cursor.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, expected) in
            [(0, "0 s"), (40, "40 s"), (192, "3 min 12 s"), (3_600, "1 h"), (3_601, "1 h"), (93_784, "1 d 2 h")]
        {
            assert_eq!(span(seconds), expected);
        }
        assert_eq!(ago(5_000, 9_000), "now");
        assert_eq!(age(192_000, 0), "3 min");
        assert_eq!(utc(i64::MAX), "outside the calendar");
    }

    #[test]
    fn sizes_have_one_decimal_at_most() {
        for (count, expected) in
            [(0, "0 B"), (1_023, "1023 B"), (1_024, "1 KiB"), (48_512, "47.5 KiB"), (1 << 30, "1 GiB")]
        {
            assert_eq!(octets(count), expected);
        }
    }

    #[test]
    fn what_came_from_outside_does_not_move_the_cursor() {
        let mut table = Table::new(&["name", ">count"]);
        table.row(["a\u{1b}[2J".to_owned(), "7".to_owned()]);
        assert_eq!(table.text(), "name   count\na\u{fffd}[2J      7\n");
    }
}
