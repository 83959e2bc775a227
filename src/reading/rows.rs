//! Tables that are files: rows `[[key]]` of a TOML text, and what is wrong in it by line and key.

/// What is wrong: line, key, text.
pub(super) type Faulty = Vec<(usize, String, String)>;

/// One row, and where it stands.
pub(super) struct Row {
    pub line: usize,
    /// `event[3]`
    pub name: String,
    pub table: toml::Table,
}

impl Row {
    pub(super) fn wrong(&self, key: &str, text: impl Into<String>) -> (usize, String, String) {
        (self.line, format!("{}.{key}", self.name), text.into())
    }
}

/// The rows `[[key]]`, and what stands there and is none.
///
/// # Errors
/// The text is not TOML.
pub(super) fn rows(text: &str, key: &str) -> Result<(Vec<Row>, Faulty), Faulty> {
    let line_at = |at: usize| 1 + text.bytes().take(at).filter(|octet| *octet == b'\n').count();
    let mut root: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_at(span.start));
        vec![(line, key.to_owned(), format!("not TOML: {}", error.message()))]
    })?;
    let head = format!("[[{key}]]");
    let heads = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with(&head));
    let mut lines = heads.map(|(line, _)| line + 1);
    let (mut rows, mut faults) = (Vec::new(), Faulty::new());
    match root.remove(key) {
        None => {}
        Some(toml::Value::Array(values)) => {
            for (number, value) in values.into_iter().enumerate() {
                let (line, name) = (lines.next().unwrap_or(1), format!("{key}[{number}]"));
                match value {
                    toml::Value::Table(table) => rows.push(Row { line, name, table }),
                    _ => faults.push((line, name, "not a table".to_owned())),
                }
            }
        }
        Some(_) => faults.push((1, key.to_owned(), "not a list of tables".to_owned())),
    }
    Ok((rows, faults))
}

/// Other keys than this one, each a fault.
pub(super) fn other_keys(text: &str, known: &str) -> Faulty {
    let root: toml::Table = text.parse().unwrap_or_default();
    let others = root.into_iter().map(|(key, _)| key).filter(|key| key != known);
    others.map(|key| (1, key, format!("unknown key: rows are tables [[{known}]]"))).collect()
}

pub(super) fn said(faults: &Faulty) -> String {
    let faults: Vec<_> = faults.iter().map(|(line, key, text)| format!("line {line}: {key}: {text}")).collect();
    faults.join("; ")
}
