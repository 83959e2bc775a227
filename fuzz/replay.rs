//! Replays corpora on stable Rust: every input, its prefixes, and each octet of it altered.

use std::path::Path;

/// The name of a corpus, and what is done with each input.
type Door = (&'static str, fn(&[u8]));

pub(crate) fn replay(doors: &[Door]) {
    for (name, body) in doors {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let files = std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
        let paths: Vec<_> = files.flatten().map(|file| file.path()).collect();
        assert!(!paths.is_empty(), "{} is empty", corpus.display());
        for path in paths {
            let input = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            body(&input);
            for length in 0..input.len() {
                body(input.get(..length).unwrap_or_default());
                for change in [0x01, 0x80, 0xff] {
                    let mut altered = input.clone();
                    altered.iter_mut().skip(length).take(1).for_each(|octet| *octet ^= change);
                    body(&altered);
                }
            }
        }
    }
}
