//! The shape of the file: any TOML, every value with its place. Nothing is judged while it is read, so that one wrong
//! value does not hide the next.
//!
//! Not serde: it stops at the first fault, and `toml::Spanned` knows no place of a dotted key. [`Table`] hands values out
//! by key and writes a fault where one has the wrong kind; what nobody asked for is an unknown key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use toml_edit::{ImDocument, Item, TableLike};

use super::fault::{Faults, Gravity, Problem};
use super::similar;

/// A value, and where in the file it begins.
#[derive(Debug)]
struct Leaf {
    at: usize,
    value: Value,
}

type Entries = BTreeMap<String, Leaf>;

#[derive(Debug)]
enum Value {
    String(String),
    Integer(i64),
    Float,
    Boolean(bool),
    Array(Vec<Leaf>),
    Table(Entries),
    /// TOML's dates: no key of ours takes one.
    Date,
}

impl Value {
    const fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "text",
            Self::Integer(_) => "a number",
            Self::Float => "a fraction",
            Self::Boolean(_) => "true or false",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Date => "a date",
        }
    }
}

/// The line, from 1, of a dotted key.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = ImDocument::parse(text).ok()?;
    let mut item = document.as_item();
    for part in key.split('.') {
        item = item.get(part)?;
    }
    let at = item.span()?.start;
    Some(1 + text.bytes().take(at).filter(|octet| *octet == b'\n').count())
}

/// All values of a table that begins at `at`.
fn entries(table: &dyn TableLike, at: usize) -> Entries {
    let entries = table.iter().filter_map(|(name, item)| {
        let key = table.key(name).and_then(toml_edit::Key::span);
        let at = item.span().or(key).map_or(at, |span| span.start);
        Some((name.to_owned(), leaf(item, at)?))
    });
    entries.collect()
}

fn leaf(item: &Item, at: usize) -> Option<Leaf> {
    let value = match item {
        Item::None => return None,
        Item::Value(value) => return Some(inline(value, at)),
        Item::Table(table) => Value::Table(entries(table, at)),
        Item::ArrayOfTables(tables) => {
            let tables = tables.iter().map(|table| {
                let at = table.span().map_or(at, |span| span.start);
                Leaf { at, value: Value::Table(entries(table, at)) }
            });
            Value::Array(tables.collect())
        }
    };
    Some(Leaf { at, value })
}

fn inline(value: &toml_edit::Value, at: usize) -> Leaf {
    let at = value.span().map_or(at, |span| span.start);
    let value = match value {
        toml_edit::Value::String(text) => Value::String(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::Integer(*number.value()),
        toml_edit::Value::Float(_) => Value::Float,
        toml_edit::Value::Boolean(flag) => Value::Boolean(*flag.value()),
        toml_edit::Value::Datetime(_) => Value::Date,
        toml_edit::Value::Array(items) => Value::Array(items.iter().map(|item| inline(item, at)).collect()),
        toml_edit::Value::InlineTable(table) => Value::Table(entries(table, at)),
    };
    Leaf { at, value }
}

/// One table of the file, and the faults found in it so far.
pub(super) struct Table<'a> {
    /// `wmbus[1]`; empty for the file itself.
    name: String,
    /// Where the table stands, for what is missing in it.
    offset: usize,
    entries: Entries,
    /// Every key of the table, and where its value begins.
    places: BTreeMap<String, usize>,
    /// Every key that was asked for, so that a misspelt one gets a suggestion.
    asked: Vec<&'static str>,
    faults: &'a RefCell<Faults>,
}

impl<'a> Table<'a> {
    pub(super) fn root(text: &str, faults: &'a RefCell<Faults>) -> Self {
        let entries = match ImDocument::parse(text) {
            Ok(document) => entries(document.as_table(), 0),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let text = error.message().lines().next().unwrap_or("not TOML").to_owned();
                faults.borrow_mut().push(at, String::new(), Problem { gravity: Gravity::Wrong, text });
                BTreeMap::new()
            }
        };
        Self::new(String::new(), 0, entries, faults)
    }

    fn new(name: String, offset: usize, entries: Entries, faults: &'a RefCell<Faults>) -> Self {
        let places = entries.iter().map(|(key, leaf)| (key.clone(), leaf.at)).collect();
        Self { name, offset, entries, places, asked: Vec::new(), faults }
    }

    /// The table under `key`, or an empty one.
    pub(super) fn table(&mut self, key: &'static str) -> Self {
        self.optional_table(key).unwrap_or_else(|| self.empty(key))
    }

    pub(super) fn optional_table(&mut self, key: &'static str) -> Option<Self> {
        let (at, leaf) = self.take(key)?;
        let name = self.full(key);
        Some(self.nested(name, at, leaf))
    }

    /// The tables under `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some((at, leaf)) = self.take(key) else { return Vec::new() };
        match leaf.value {
            Value::Array(items) => {
                let named = items.into_iter().enumerate();
                named
                    .map(|(n, item)| {
                        let at = item.at;
                        self.nested(format!("{}[{n}]", self.full(key)), at, item)
                    })
                    .collect()
            }
            other => {
                let text = format!("expected [[{}]] tables, found {}", self.full(key), other.kind());
                self.fault(key, at, Problem::wrong(text));
                Vec::new()
            }
        }
    }

    /// A text read by `read`, or the default; a text that `read` refuses is a fault and the default.
    pub(super) fn read<T>(&mut self, key: &'static str, default: T, read: impl Fn(&str) -> Result<T, Problem>) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    pub(super) fn optional<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        let (at, leaf) = self.take(key)?;
        match leaf.value {
            Value::String(text) => match read(&text) {
                Ok(value) => Some(value),
                Err(problem) => {
                    self.fault(key, at, problem);
                    None
                }
            },
            other => self.wrong_kind(key, at, "text in quotes", &other),
        }
    }

    /// As `optional`, and its absence is a fault.
    pub(super) fn required<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        if !self.contains(key) {
            self.blame(key, Problem::wrong("is missing"));
        }
        self.optional(key, read)
    }

    pub(super) fn integer(&mut self, key: &'static str, allowed: Range<u32>) -> Option<u32> {
        let (at, leaf) = self.take(key)?;
        match leaf.value {
            Value::Integer(number) => match u32::try_from(number).ok().filter(|number| allowed.contains(number)) {
                Some(number) => Some(number),
                None => {
                    let text = format!("{number} is not between {} and {}", allowed.start, allowed.end - 1);
                    self.fault(key, at, Problem::wrong(text));
                    None
                }
            },
            other => self.wrong_kind(key, at, "a number", &other),
        }
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some((at, leaf)) = self.take(key) else { return default };
        match leaf.value {
            Value::Boolean(flag) => flag,
            other => self.wrong_kind(key, at, "true or false", &other).unwrap_or(default),
        }
    }

    /// One text or a list of texts; empty when the key is absent.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some((at, leaf)) = self.take(key) else { return Vec::new() };
        let items = match leaf.value {
            Value::String(text) => return vec![text],
            Value::Array(items) => items,
            other => return self.wrong_kind(key, at, "text in quotes or a list of it", &other).unwrap_or_default(),
        };
        let mut texts = Vec::new();
        for item in items {
            let at = item.at;
            match item.value {
                Value::String(text) => texts.push(text),
                other => drop(self.wrong_kind::<()>(key, at, "text in quotes", &other)),
            }
        }
        texts
    }

    /// Writes a fault about `key`, which may be absent or have been read already.
    pub(super) fn blame(&self, key: &'static str, problem: Problem) {
        let at = self.places.get(key).copied().unwrap_or(self.offset);
        self.fault(key, at, problem);
    }

    /// Whether the file has `key`, read already or not.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// Takes a key without looking at it, so that it is not called unknown.
    pub(super) fn ignore(&mut self, key: &'static str) {
        self.take(key);
    }

    /// Says what is left: keys nobody knows.
    pub(super) fn finish(self) {
        for (key, leaf) in &self.entries {
            // The value stays unprinted: it may be a secret in a wrong place.
            let text = match similar::nearest(key, self.asked.iter().copied()) {
                Some(known) => format!("unknown key, did you mean `{known}`?"),
                None => "unknown key".to_owned(),
            };
            self.faults.borrow_mut().push(leaf.at, self.full(key), Problem::wrong(text));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, Leaf)> {
        self.asked.push(key);
        self.entries.remove(key).map(|leaf| (leaf.at, leaf))
    }

    fn nested(&self, name: String, at: usize, leaf: Leaf) -> Self {
        let entries = match leaf.value {
            Value::Table(entries) => entries,
            other => {
                let text = format!("expected a table, found {}", other.kind());
                self.faults.borrow_mut().push(at, name.clone(), Problem::wrong(text));
                BTreeMap::new()
            }
        };
        Self::new(name, at, entries, self.faults)
    }

    fn empty(&self, key: &str) -> Self {
        Self::new(self.full(key), 0, BTreeMap::new(), self.faults)
    }

    fn wrong_kind<T>(&self, key: &str, at: usize, expected: &str, found: &Value) -> Option<T> {
        self.fault(key, at, Problem::wrong(format!("expected {expected}, found {}", found.kind())));
        None
    }

    fn fault(&self, key: &str, at: usize, problem: Problem) {
        self.faults.borrow_mut().push(at, self.full(key), problem);
    }

    fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}
