//! Replays the committed fuzz corpora, see `fuzz/replay.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a body panics on what must not happen")]

#[path = "../../fuzz/dlms.rs"]
mod bodies;
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn every_door_takes_its_corpus_and_what_is_near_to_it() {
    replay::replay(bodies::BODIES);
}
