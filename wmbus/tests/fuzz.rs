//! Replays the committed fuzz corpora on stable Rust: every input, its prefixes, and each octet of it altered.

#[path = "../../fuzz/bodies.rs"]
mod bodies;

use std::path::Path;

#[test]
fn every_door_takes_its_corpus_and_what_is_near_to_it() {
    for (name, body) in bodies::BODIES {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let mut inputs = 0;
        for file in std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
            let path = file.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            body(&input);
            for length in 0..input.len() {
                body(&input[..length]);
                let mut altered = input.clone();
                for change in [0x01, 0x80, 0xff] {
                    altered[length] = input[length] ^ change;
                    body(&altered);
                }
            }
            inputs += 1;
        }
        assert!(inputs > 0, "{} is empty", corpus.display());
    }
}
