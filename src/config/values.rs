//! Values with their units: durations, sizes, shares, and paths with what must be true of them.

use std::cell::Cell;
use std::fmt::Display;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Problem, redacted};
use super::raw::Table;
use super::similar::nearest;

/// `200ms`, `5s`, `15min`, `1h`, `60d`: a whole number and one unit.
///
/// # Errors
/// Says what a duration looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: &[(&str, u64)] =
        &[("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
    scaled(text, UNITS)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is not a duration such as \"15min\" (units: ms s min h d w)"))
}

/// `host:port`, `[::1]:port`, as it was said.
///
/// # Errors
/// Says what an address looks like.
pub fn host_and_port(text: &str) -> Result<String, String> {
    super::words::host_and_port(text).map_err(|problem| problem.text)
}

/// `512B`, `7KiB`, `200MiB`, `1GB`, in octets.
///
/// # Errors
/// Says what a size looks like.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    scaled(text, UNITS)
        .ok_or_else(|| format!("{text:?} is not a size such as \"200MiB\" (units: B kB MB GB KiB MiB GiB)"))
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A duration within limits, both allowed.
pub(super) fn duration_within(least: Duration, most: Duration) -> impl Fn(&str) -> Result<Duration, Problem> {
    move |text| {
        let value = duration(text).map_err(Problem::wrong)?;
        if value < least || value > most {
            let text = format!("{text:?} is not between {} and {}", said(least), said(most));
            return Err(Problem::wrong(text));
        }
        Ok(value)
    }
}

/// A size within limits, both allowed.
pub(super) fn size_within(least: u64, most: u64) -> impl Fn(&str) -> Result<u64, Problem> {
    move |text| {
        let value = size(text).map_err(Problem::wrong)?;
        if value < least || value > most {
            return Err(Problem::wrong(format!("{text:?} is not between {} and {}", octets(least), octets(most))));
        }
        Ok(value)
    }
}

/// One word of a list.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, Problem> {
    move |text| match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => {
            let known: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let meant = nearest(text, words.iter().map(|(word, _)| *word));
            let meant = meant.map_or(String::new(), |meant| format!(": did you mean {meant:?}?"));
            Err(Problem::wrong(format!("{text:?} is not one of {}{meant}", known.join(", "))))
        }
    }
}

/// A name by which others refer to a table. One that is refused is still known, so that nobody is told that there is none.
pub(super) fn name(table: &mut Table<'_>, default: String, read: impl Fn(&str) -> Result<String, Problem>) -> String {
    let refused = Cell::new(None);
    let name = table.optional("name", |text| read(text).inspect_err(|_| refused.set(Some(text.to_owned()))));
    name.or(refused.into_inner()).unwrap_or(default)
}

/// A path; a relative one starts at the directory of the configuration file.
pub(super) fn path_from(base: &Path) -> impl Fn(&str) -> Result<PathBuf, Problem> {
    move |text| match text {
        "" => Err(Problem::wrong("is empty")),
        // It must not stand in an error, as a path that is not there would.
        key if looks_like_a_key(key) => Err(Problem::wrong(KEY_FOR_PATH)),
        _ => Ok(base.join(text)),
    }
}

/// A file as errors name it: not where it is a key, or a line with one, that was given for its name.
pub fn named(file: &Path) -> String {
    match file.to_str().is_some_and(looks_like_a_key) {
        true => "of that name, which looks like a key and not like a path".to_owned(),
        false => redacted(&file.display().to_string()),
    }
}

const KEY_FOR_PATH: &str = "is a key itself: put it into a file of mode 0600, and the file's path here";

/// A key, or a line of a file of keys: words of hexadecimal digits, in all as many as the shortest keys have, a long row of
/// them within a word, or a key in Base64. A path with a directory or an extension is none.
fn looks_like_a_key(text: &str) -> bool {
    let is_digits = |word: &&str| word.bytes().all(|octet| octet.is_ascii_hexdigit());
    let words = text.split(|c: char| c.is_whitespace() || ":-=,;\"'xX".contains(c));
    let digits: usize = words.filter(is_digits).map(str::len).sum();
    let row = text.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max();
    // Sixteen octets, or thirty-two, and the filling that no name of a file has.
    let is_base64 = |word: &str| {
        matches!(word.len(), 24 | 44)
            && word.ends_with('=')
            && word.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+/=".contains(&octet))
    };
    let is_path = text.contains(['/', '.']);
    !is_path && (digits > 14 || row >= Some(32)) || text.split_whitespace().any(is_base64)
}

/// A file that must be there and readable.
pub(super) fn file_from(base: &Path) -> impl Fn(&str) -> Result<PathBuf, Problem> {
    move |text| {
        let path = path_from(base)(text)?;
        // What is no file is not opened: a pipe would wait for its other end.
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return Err(Problem::wrong(format!("{text:?} is not a file"))),
            _ => {}
        }
        match fs::File::open(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(Problem::wrong(unreadable(text, &error))),
        }
    }
}

/// A table that is a file, and is read at once: what is wrong in it is a fault of the configuration.
pub(super) fn table_from<T, E: Display>(
    base: &Path,
    read: fn(&str) -> Result<T, E>,
) -> impl Fn(&str) -> Result<Arc<T>, Problem> {
    move |text| {
        let path = file_from(base)(text)?;
        let found = text_of(&path, MOST_TABLE).map_err(|error| error.to_string());
        let table = found.and_then(|found| read(&found).map_err(|error| error.to_string()));
        table.map(Arc::new).map_err(|error| Problem::wrong(format!("{text:?}: {error}")))
    }
}

/// A file with a secret: readable by its owner alone.
pub(super) fn secret_from(base: &Path) -> impl Fn(&str) -> Result<PathBuf, Problem> {
    move |text| {
        let path = file_from(base)(text)?;
        private(&path).map_err(Problem::wrong)?;
        Ok(path)
    }
}

/// What keeps a path from being a serial port; one that is absent now may come later.
pub(super) fn port_problem(path: &Path) -> Option<Problem> {
    let said = path.display().to_string();
    match fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_char_device() => None,
        Ok(_) => Some(Problem::wrong(format!("{said:?} is not a serial port"))),
        Err(error) => Some(Problem::absent(unreadable(&said, &error))),
    }
}

/// Refuses a secret that others than its owner may read.
///
/// # Errors
/// Says the mode, and the command that mends it.
pub fn private(path: &Path) -> Result<(), String> {
    // Credentials of systemd are guarded by an access list, whose mask shows as group bits.
    if path.starts_with("/run/credentials") {
        return Ok(());
    }
    let said = redacted(&path.display().to_string());
    let metadata = fs::metadata(path).map_err(|error| match path.to_str().is_some_and(looks_like_a_key) {
        true => KEY_FOR_PATH.to_owned(),
        false => unreadable(&said, &error),
    })?;
    if metadata.is_dir() {
        return Err(format!("\"{said}\" is a directory, and no file with a secret"));
    }
    match metadata.permissions().mode() & 0o777 {
        mode if mode & 0o077 != 0 => {
            Err(format!("\"{said}\" holds a secret and has mode {mode:04o}: chmod 0600 \"{said}\""))
        }
        _ => Ok(()),
    }
}

/// The text of a file of at most `limit` octets; whatever is larger is not read to its end.
///
/// # Errors
/// The file cannot be read, is larger, or is no text.
pub fn text_of(path: &Path, limit: u64) -> io::Result<String> {
    text_from(fs::File::open(path)?, limit)
}

/// The same of anything that is read.
///
/// # Errors
/// As for files.
pub fn text_from(source: impl Read, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    source.take(limit + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {} KiB", limit >> 10)));
    }
    // Editors on Windows put one in front.
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
}

const BYTE_ORDER_MARK: char = '\u{feff}';
/// Of one table that is a file.
const MOST_TABLE: u64 = 1 << 20;

fn unreadable(text: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("{text:?} does not exist"),
        std::io::ErrorKind::PermissionDenied => format!("{text:?} may not be read"),
        _ => format!("{text:?} cannot be read: {error}"),
    }
}

/// A duration as it would be written in the file.
pub fn said(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if ms >= factor && ms % factor == 0 {
            return format!("{}{unit}", ms / factor);
        }
    }
    format!("{ms}ms")
}

fn octets(size: u64) -> String {
    for (unit, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if size >= factor && size % factor == 0 {
            return format!("{}{unit}", size / factor);
        }
    }
    format!("{size}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected_ms: Option<u64>) {
        assert_eq!(duration(text).ok(), expected_ms.map(Duration::from_millis), "{text}");
    }

    #[test]
    fn durations_have_one_unit() {
        check("200ms", Some(200));
        check("5s", Some(5_000));
        check("15min", Some(900_000));
        check("15 min", Some(900_000));
        check("60d", Some(5_184_000_000));
        check("0s", Some(0));
        check("15", None);
        check("15m", None);
        check("1h30min", None);
        check("-1s", None);
        check("", None);
        check("é", None);
        check("99999999999999999999s", None);
        check("9999999999999999999w", None);
    }

    #[test]
    fn what_is_said_reads_back() {
        for ms in [1, 200, 1_000, 90_000, 60_000, 3_600_000, 86_400_000, 5_184_000_000] {
            let value = Duration::from_millis(ms);
            assert_eq!(duration(&said(value)), Ok(value));
        }
        for value in [1, 512, 7 << 10, 200 << 20, 1 << 30] {
            assert_eq!(size(&octets(value)), Ok(value));
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read_to_its_end() {
        let (text, larger) = ("12345", io::ErrorKind::FileTooLarge);
        assert_eq!(text_from(text.as_bytes(), 5).unwrap(), text);
        assert_eq!(text_from(text.as_bytes(), 4).unwrap_err().kind(), larger);
        assert_eq!(text_from(io::repeat(b' '), 1 << 20).unwrap_err().kind(), larger);
        assert_eq!(text_of(Path::new("/dev/zero"), 1 << 20).unwrap_err().to_string(), "larger than 1024 KiB");
    }

    #[test]
    fn sizes_have_one_unit() {
        assert_eq!(size("7KiB"), Ok(7168));
        assert_eq!(size("200MB"), Ok(200_000_000));
        assert!(size("7").is_err());
        assert!(size("7K").is_err());
    }
}
