//! What the marks, lines and letters of the picture mean.

use std::fmt::Write;

use super::diff::Change;
use super::svg::{banned, mark};
use crate::control::{COST_MARGIN, LQI_MARGIN, LinkQuality, NodePresence};

/// Three lines to the right of the transformer's line: links, nodes, and what has changed.
pub(super) fn draw(text: &mut String, has_diff: bool) {
    let mut links = Row::new(80);
    for quality in LinkQuality::ALL {
        let name = format!("{}: {}", quality.name(), quality.limits());
        links.item(text, &format!("<path class=\"link {}\" d=\"M0 0H12\"/>", quality.name()), &name);
    }
    let diamond = "<path class=\"link unknown rf\" d=\"M0 0H12\"/><path class=\"node unknown alive\" d=\"M6 -4l4 4l-4 4l-4 -4z\"/>";
    links.item(text, diamond, "RF");
    links.item(
        text,
        "<path class=\"link unknown far\" d=\"M0 0H12\"/>",
        "so many hops, not traced between, or the way as it was",
    );
    links.item(text, "<path class=\"link out\" d=\"M0 0H12\"/>", "does not answer");
    let mut nodes = Row::new(98);
    for (quality, presence, name) in [
        ("unknown", NodePresence::Alive, "heard within the hour"),
        ("unknown", NodePresence::Routed, "routed, not heard"),
        ("out", NodePresence::Routed, "does not answer: out with others, or its meter unreachable"),
        ("unknown", NodePresence::Lost, "not in the network"),
    ] {
        nodes.item(text, &mark(quality, presence, false, 6, 0), name);
    }
    let ringed = format!("{}{}", mark("unknown", NodePresence::Alive, false, 6, 0), banned(6, 0));
    nodes.item(text, &ringed, "blacklisted: no way over it");
    for (sign, name) in
        [("c", "link cost"), ("q", "LQI, the worse of both ways"), ("0°", "phase against the coordinator's")]
    {
        nodes.item(text, &format!("<text class=\"dim\" x=\"0\" y=\"3.5\">{sign}</text>"), name);
    }
    if has_diff {
        let mut changes = Row::new(116);
        for change in Change::ALL {
            let name = match change {
                Change::Worse => format!("worse, by more than LQI {LQI_MARGIN} or cost {COST_MARGIN} beyond its class"),
                Change::Better => "better, likewise".to_owned(),
                _ => change.name().to_owned(),
            };
            let mark =
                format!("<rect class=\"change {}\" x=\"0\" y=\"-5\" width=\"12\" height=\"10\"/>", change.class());
            changes.item(text, &mark, &name);
        }
        // Some have one colour.
        changes.item(text, "", "a word at each node says which");
    }
}

struct Row {
    x: usize,
    y: usize,
}

impl Row {
    fn new(y: usize) -> Self {
        Self { x: LEFT, y }
    }

    fn item(&mut self, text: &mut String, mark: &str, name: &str) {
        let Self { x, y } = *self;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "<g transform=\"translate({x} {y})\">{mark}<text class=\"dim\" x=\"16\" y=\"3.5\">{name}</text></g>"
        );
        self.x += 30 + name.chars().count() * 6;
    }
}

const LEFT: usize = 74;
