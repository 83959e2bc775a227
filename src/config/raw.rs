//! The shape of the file for serde: any TOML, every value with its place. Nothing is judged while it is read, so
//! that one wrong value does not hide the next.
//!
//! [`Table`] hands values out by key and writes a fault where one has the wrong kind; what nobody asked for is an
//! unknown key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::fault::{Faults, Gravity, Problem};
use super::similar;

/// A value and the octets of the file it stands in.
pub(super) type Leaf = Spanned<Value>;

type Entries = BTreeMap<String, Leaf>;

#[derive(Debug)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float,
    Boolean(bool),
    Array(Vec<Leaf>),
    Table(Entries),
    /// TOML's dates: no key of ours takes one.
    Other,
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
            Self::Other => "a date",
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any TOML value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Float)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Boolean(flag))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut table = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            // A date reaches a visitor as a table with one key of toml's own.
            if key.starts_with("$__toml_private") {
                entries.next_value::<serde::de::IgnoredAny>()?;
                return Ok(Value::Other);
            }
            table.insert(key, entries.next_value()?);
        }
        Ok(Value::Table(table))
    }
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
        let entries = match toml::from_str::<Value>(text) {
            Ok(Value::Table(entries)) => entries,
            Ok(_) => BTreeMap::new(),
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
        let places = entries.iter().map(|(key, leaf)| (key.clone(), leaf.span().start)).collect();
        Self { name, offset, entries, places, asked: Vec::new(), faults }
    }

    /// The table under `key`, or an empty one.
    pub(super) fn table(&mut self, key: &'static str) -> Self {
        self.optional_table(key).unwrap_or_else(|| self.empty(key))
    }

    pub(super) fn optional_table(&mut self, key: &'static str) -> Option<Self> {
        let (span, leaf) = self.take(key)?;
        let name = self.full(key);
        Some(self.nested(name, span, leaf))
    }

    /// The tables under `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some((span, leaf)) = self.take(key) else { return Vec::new() };
        match leaf.into_inner() {
            Value::Array(items) => {
                let named = items.into_iter().enumerate();
                named
                    .map(|(n, item)| {
                        let span = item.span();
                        self.nested(format!("{}[{n}]", self.full(key)), span, item)
                    })
                    .collect()
            }
            other => {
                let text = format!("expected [[{}]] tables, found {}", self.full(key), other.kind());
                self.fault(key, span, Problem::wrong(text));
                Vec::new()
            }
        }
    }

    /// A text read by `read`, or the default; a text that `read` refuses is a fault and the default.
    pub(super) fn read<T>(&mut self, key: &'static str, default: T, read: impl Fn(&str) -> Result<T, Problem>) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    pub(super) fn optional<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        let (span, leaf) = self.take(key)?;
        match leaf.into_inner() {
            Value::String(text) => match read(&text) {
                Ok(value) => Some(value),
                Err(problem) => {
                    self.fault(key, span, problem);
                    None
                }
            },
            other => self.wrong_kind(key, span, "text in quotes", &other),
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
        let (span, leaf) = self.take(key)?;
        match leaf.into_inner() {
            Value::Integer(number) => match u32::try_from(number).ok().filter(|number| allowed.contains(number)) {
                Some(number) => Some(number),
                None => {
                    let text = format!("{number} is not between {} and {}", allowed.start, allowed.end - 1);
                    self.fault(key, span, Problem::wrong(text));
                    None
                }
            },
            other => self.wrong_kind(key, span, "a number", &other),
        }
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some((span, leaf)) = self.take(key) else { return default };
        match leaf.into_inner() {
            Value::Boolean(flag) => flag,
            other => self.wrong_kind(key, span, "true or false", &other).unwrap_or(default),
        }
    }

    /// One text or a list of texts; empty when the key is absent.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some((span, leaf)) = self.take(key) else { return Vec::new() };
        let items = match leaf.into_inner() {
            Value::String(text) => return vec![text],
            Value::Array(items) => items,
            other => return self.wrong_kind(key, span, "text in quotes or a list of it", &other).unwrap_or_default(),
        };
        let mut texts = Vec::new();
        for item in items {
            let span = item.span();
            match item.into_inner() {
                Value::String(text) => texts.push(text),
                other => drop(self.wrong_kind::<()>(key, span, "text in quotes", &other)),
            }
        }
        texts
    }

    /// Writes a fault about `key`, which may be absent or have been read already.
    pub(super) fn blame(&self, key: &'static str, problem: Problem) {
        let at = self.places.get(key).copied().unwrap_or(self.offset);
        self.fault(key, at..at, problem);
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
            self.faults.borrow_mut().push(leaf.span().start, self.full(key), Problem::wrong(text));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(Range<usize>, Leaf)> {
        self.asked.push(key);
        self.entries.remove(key).map(|leaf| (leaf.span(), leaf))
    }

    fn nested(&self, name: String, span: Range<usize>, leaf: Leaf) -> Self {
        let entries = match leaf.into_inner() {
            Value::Table(entries) => entries,
            other => {
                let text = format!("expected a table, found {}", other.kind());
                self.faults.borrow_mut().push(span.start, name.clone(), Problem::wrong(text));
                BTreeMap::new()
            }
        };
        Self::new(name, span.start, entries, self.faults)
    }

    fn empty(&self, key: &str) -> Self {
        Self::new(self.full(key), 0, BTreeMap::new(), self.faults)
    }

    fn wrong_kind<T>(&self, key: &str, span: Range<usize>, expected: &str, found: &Value) -> Option<T> {
        self.fault(key, span, Problem::wrong(format!("expected {expected}, found {}", found.kind())));
        None
    }

    fn fault(&self, key: &str, span: Range<usize>, problem: Problem) {
        self.faults.borrow_mut().push(span.start, self.full(key), problem);
    }

    fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}
