//! Replays the committed fuzz corpora, see `fuzz/replay.rs`.

#[path = "../../fuzz/bodies.rs"]
mod bodies;
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn every_door_takes_its_corpus_and_what_is_near_to_it() {
    replay::replay(bodies::BODIES);
}
