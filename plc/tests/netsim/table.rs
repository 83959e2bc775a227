//! Rows of figures: how they are printed, compared with `golden.txt`, and what the median and the worst tenth of many are.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One figure of a row.
pub(crate) struct Column {
    name: &'static str,
    decimals: usize,
    is_more_better: bool,
}

/// A row: which case it is of, and its figures in the order of [`COLUMNS`]. `-` is what there was none of, `inf` a time
/// that did not come.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) figures: Vec<f64>,
}

pub(crate) const COLUMNS: [Column; 19] = [
    // Formation: minutes until so many have joined, and % of the meters in the end.
    less("join50", 0),
    less("join95", 0),
    more("joined", 1),
    less("hops", 1),
    less("most", 0),
    // The read of all: % of the meters, and % of the exchanges not answered at once and never.
    more("read", 1),
    less("lost1", 2),
    less("lost", 2),
    // Seconds that an exchange took whose first attempt failed.
    less("fix50", 0),
    less("fix95", 0),
    // Of the airtime at the substation, %.
    less("ctrl", 1),
    // Minutes until so many were read, by the scheduler and one by one.
    less("95%", 0),
    less("99%", 0),
    less("1by1", 0),
    less("99%", 0),
    // Seconds.
    less("dem50", 1),
    less("dem95", 1),
    // Of the airtime that would do with nothing lost; and how much faster than one by one.
    more("bound", 2),
    more("ratio", 2),
];

const fn less(name: &'static str, decimals: usize) -> Column {
    Column { name, decimals, is_more_better: false }
}

const fn more(name: &'static str, decimals: usize) -> Column {
    Column { name, decimals, is_more_better: true }
}

pub(crate) fn head() -> String {
    let names = COLUMNS.iter().fold(String::new(), |line, column| format!("{line} {:>6}", column.name));
    format!("{HEAD}{:WIDTH$} |{names}\n", CASE)
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:WIDTH$} |", self.case)?;
        COLUMNS.iter().zip(&self.figures).try_for_each(|(column, figure)| match figure.is_nan() {
            true => write!(f, " {:>6}", "-"),
            false => write!(f, " {figure:6.0$}", column.decimals),
        })
    }
}

/// The row in the middle and the worst tenth, column by column.
pub(crate) fn summary(case: &str, rows: &[Row]) -> [Row; 2] {
    [("median", 0.5), ("worst tenth", 0.9)].map(|(name, share)| {
        let figures = COLUMNS.iter().enumerate().map(|(number, column)| {
            let mut figures: Vec<f64> =
                rows.iter().filter_map(|row| row.figures.get(number).copied()).filter(|f| !f.is_nan()).collect();
            figures.sort_by(|a, b| if column.is_more_better { b.total_cmp(a) } else { a.total_cmp(b) });
            let rank = (figures.len() as f64 * share).ceil() as usize;
            figures.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        });
        Row { case: format!("{case} {name}"), figures: figures.collect() }
    })
}

/// Compares rows with those of the same cases in `golden.txt`; with BLESS they take their places.
#[track_caller]
pub(crate) fn compare(rows: &[Row]) {
    let mut golden = golden();
    if std::env::var_os("BLESS").is_some() {
        golden.extend(rows.iter().map(|row| (row.case.clone(), row.to_string())));
        let text = golden.values().fold(head(), |mut text, row| {
            let _ = writeln!(text, "{row}");
            text
        });
        #[allow(clippy::disallowed_methods, reason = "the golden file is written where it is asked for")]
        std::fs::write(GOLDEN, text).expect("the golden file can be written");
        return;
    }
    let differ = |row: &&Row| golden.get(&row.case).is_none_or(|before| !agree(before, &row.to_string()));
    let differing = rows.iter().filter(differ).fold(String::new(), |mut text, row| {
        let before = golden.get(&row.case).map_or("not there", String::as_str);
        let _ = writeln!(text, "was {before}\nis  {row}");
        text
    });
    assert!(differing.is_empty(), "{}{differing}tests/netsim-long.sh bless writes them anew", head());
}

/// The rows of `golden.txt` by case.
pub(crate) fn golden() -> BTreeMap<String, String> {
    #[allow(clippy::disallowed_methods, reason = "it changes while it is written anew")]
    let text = std::fs::read_to_string(GOLDEN).expect("the golden file can be read");
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with(CASE));
    rows.map(|row| (row.split('|').next().unwrap_or_default().trim_end().to_owned(), row.to_owned())).collect()
}

/// Simulated figures depend on the last digit of logarithms, which differ between machines: numbers are compared within
/// a tenth.
fn agree(a: &str, b: &str) -> bool {
    let near = |(a, b): (&str, &str)| match (a.parse::<f64>(), b.parse::<f64>()) {
        // What did not come is not near to anything.
        (Ok(a), Ok(b)) if a.is_finite() && b.is_finite() => (a - b).abs() <= 0.1 * a.abs().max(b.abs()) + 0.1,
        _ => a == b,
    };
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split_whitespace().collect(), b.split_whitespace().collect());
    a.len() == b.len() && a.into_iter().zip(b).all(near)
}

#[test]
fn the_median_and_the_worst_tenth_are_of_each_column_by_itself() {
    let row = |n: f64| Row { case: "x".into(), figures: vec![if n == 9.0 { f64::INFINITY } else { n }; COLUMNS.len()] };
    let rows: Vec<Row> = (0..10).map(|n| row(f64::from(n))).collect();
    let [median, worst] = summary("x", &rows);
    let of = |row: &Row, name: &str| row.figures[COLUMNS.iter().position(|column| column.name == name).unwrap()];
    assert_eq!((of(&median, "lost"), of(&worst, "lost")), (4.0, 8.0));
    assert_eq!((of(&median, "joined"), of(&worst, "joined")), (5.0, 1.0));
    assert!(agree(&row(9.0).to_string(), &row(9.0).to_string()) && !agree("inf", "7") && !agree("-", "7"));
    assert!(agree("100", "109") && !agree("100", "112"));
}

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netsim/golden.txt");
const CASE: &str = "site                   nodes seed  dB kill    h";
const WIDTH: usize = CASE.len();
const HEAD: &str = "\
# join50, join95: minutes until so many have joined; joined %; hops: mean and most; read %; exchanges not answered at
# once, and never, %; fix: seconds of those whose first attempt failed, p50 and p95; ctrl: airtime % that carries no
# data; minutes until 95 % and 99 % were read, by the scheduler and one by one; on demand, seconds, p50 and p95; share
# of the airtime bound; how much faster than one by one. After h hours it is over: `inf` did not come, `-` was none.
";
