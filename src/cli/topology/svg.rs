//! The picture: every node on a line of its own, in as many columns as it takes, so that no node hides another.
//!
//! The layout depends on the tree alone: nodes stand in the order of their EUI-64 behind their parent.

use std::fmt::Write;

use super::diff::{Change, Diff};
use super::forest::{DEEPEST, Forest, Twig};
use super::tree::{far, link, short};
use super::{legend, style};
use crate::cli::text::{printable, utc};
use crate::control::{NodePresence, Silence, Topology, TopologyNode};

/// Draws a network; with `diff`, what changed is marked.
pub(super) fn draw(forest: &Forest<'_>, diff: Option<&Diff<'_>>) -> String {
    let lines = lines(forest);
    let columns = columns(&lines);
    // The legend has a line of its own.
    let width = MARGIN * 2 + COLUMNS * COLUMN;
    let height = TOP + columns.first().map_or(0, |lines| lines.len()) * ROW + MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>{}</title>\n<style>{}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
        escaped(&format!("network {}", forest.topology.network)),
        style::sheet(),
    );
    head(&mut text, forest, width);
    legend::draw(&mut text, diff.is_some());
    for (place, lines) in columns.iter().enumerate() {
        let x = MARGIN + place * COLUMN;
        column(&mut text, forest, lines, x);
        for (row, line) in lines.iter().enumerate() {
            self::line(&mut text, forest, *line, diff, x, TOP + row * ROW);
        }
    }
    text.push_str("</svg>\n");
    text
}

/// What stands on a line.
#[derive(Debug, Clone, Copy)]
enum Line {
    /// The node at this place of the tree.
    Twig(usize),
    /// A node without a place: of `astray`, of `outside`.
    Astray(usize),
    Outside(usize),
    Title(&'static str),
}

fn lines(forest: &Forest<'_>) -> Vec<Line> {
    let mut lines: Vec<Line> = (0..forest.tree.len()).map(Line::Twig).collect();
    if !forest.astray.is_empty() {
        lines.push(Line::Title("way unknown"));
        lines.extend((0..forest.astray.len()).map(Line::Astray));
    }
    if !forest.outside.is_empty() {
        lines.push(Line::Title("not in the network"));
        lines.extend((0..forest.outside.len()).map(Line::Outside));
    }
    lines
}

/// The lines of each column.
fn columns(lines: &[Line]) -> Vec<&[Line]> {
    let count = lines.len().div_ceil(LINES_OF_A_SMALL_COLUMN).clamp(1, COLUMNS);
    lines.chunks(lines.len().div_ceil(count).max(1)).collect()
}

/// Transformer, name, counts and how far the nodes are away.
fn head(text: &mut String, forest: &Forest<'_>, width: usize) {
    let Topology { network, pan_id, coordinator, at_ms, nodes, .. } = forest.topology;
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "<g class=\"transformer\"><circle cx=\"36\" cy=\"34\" r=\"11\"/><circle cx=\"50\" cy=\"34\" r=\"11\"/></g>\
         <text class=\"name\" x=\"74\" y=\"33\">{}</text><text class=\"dim\" x=\"74\" y=\"50\">{}</text>",
        escaped(network),
        escaped(&format!("pan {pan_id}, coordinator {coordinator}, {}; {}", utc(*at_ms), forest.counts())),
    );
    let mut hops = [0usize; 16];
    for node in nodes.iter().filter(|node| node.is_joined()) {
        let place = usize::from(node.hops.unwrap_or(0)).min(hops.len() - 1);
        if let Some(count) = hops.get_mut(place) {
            *count += 1;
        }
    }
    let most = hops.iter().copied().max().unwrap_or(0).max(1);
    let mut x = width - MARGIN - 24 * hops.iter().filter(|count| **count > 0).count();
    for (hop, count) in hops.iter().enumerate().filter(|(_, count)| **count > 0) {
        let tall = (26 * count).div_ceil(most);
        let name = if hop == 0 { "?".to_owned() } else { hop.to_string() };
        let _ = writeln!(
            text,
            "<rect class=\"bar\" x=\"{x}\" y=\"{}\" width=\"18\" height=\"{tall}\"/><text class=\"small\" x=\"{}\" y=\"{}\">{count}</text>\
             <text class=\"small\" x=\"{}\" y=\"54\">{name}</text>",
            44 - tall,
            x + 9,
            41 - tall,
            x + 9,
        );
        x += 24;
    }
    let _ = writeln!(text, "<text class=\"small\" x=\"{}\" y=\"66\">hops</text>", width - MARGIN - 20);
}

/// One column: what hangs on what, then the nodes.
fn column(text: &mut String, forest: &Forest<'_>, lines: &[Line], x: usize) {
    let first = lines.first().and_then(|line| twig(forest, *line));
    if let Some(first) = first {
        let is_on_bus = first.depth() == 1 || first.more.first() == Some(&true);
        let drop = if is_on_bus { format!("V{}", TOP - ROW / 2) } else { String::new() };
        let _ = writeln!(text, "<path class=\"trunk\" d=\"M43 45V{BUS}H{}{drop}\"/>", trunk(x, 1));
        let before: Vec<_> = std::iter::successors(before(forest, first), |twig| before(forest, twig))
            .map(|twig| short(twig.node))
            .collect();
        if !before.is_empty() {
            let said = escaped(&format!("behind {}", before.join(" < ")));
            let _ = writeln!(text, "<text class=\"dim\" x=\"{}\" y=\"{}\">{said}</text>", x + 12, TOP - ROW + 3);
        }
    }
    let mut open: [Option<(usize, usize)>; DEEPEST] = [None; DEEPEST];
    for (row, line) in lines.iter().enumerate() {
        let Some(twig) = twig(forest, *line) else { break };
        let (top, y, bottom) = ((TOP + row * ROW).saturating_sub(ROW / 2), TOP + row * ROW, TOP + row * ROW + ROW / 2);
        for (level, (run, more)) in open.iter_mut().zip(&twig.more).enumerate() {
            let end = match (*more, level + 1 == twig.depth()) {
                (true, _) => bottom,
                (false, true) => y,
                (false, false) => continue,
            };
            match run {
                Some((_, last)) if *last == top => *last = end,
                _ => {
                    let done = run.replace((top, end));
                    vertical(text, done, trunk(x, level + 1));
                }
            }
        }
    }
    for (level, run) in open.into_iter().enumerate() {
        vertical(text, run, trunk(x, level + 1));
    }
}

fn vertical(text: &mut String, run: Option<(usize, usize)>, x: usize) {
    if let Some((top, bottom)) = run {
        let _ = writeln!(text, "<path class=\"trunk\" d=\"M{x} {top}V{bottom}\"/>");
    }
}

fn twig<'a, 'b>(forest: &'b Forest<'a>, line: Line) -> Option<&'b Twig<'a>> {
    match line {
        Line::Twig(place) => forest.tree.get(place),
        _ => None,
    }
}

fn before<'a, 'b>(forest: &'b Forest<'a>, twig: &Twig<'a>) -> Option<&'b Twig<'a>> {
    forest.tree.get(twig.parent?)
}

/// A node with the link to its parent, or a title.
fn line(text: &mut String, forest: &Forest<'_>, line: Line, diff: Option<&Diff<'_>>, x: usize, y: usize) {
    let (node, depth) = match line {
        Line::Title(title) => {
            let _ = writeln!(text, "<text class=\"title\" x=\"{x}\" y=\"{}\">{title}</text>", y + 3);
            return;
        }
        Line::Twig(place) => match forest.tree.get(place) {
            Some(twig) => (twig.node, twig.depth()),
            None => return,
        },
        Line::Astray(place) => match forest.astray.get(place) {
            Some(node) => (*node, 0),
            None => return,
        },
        Line::Outside(place) => match forest.outside.get(place) {
            Some(node) => (*node, 0),
            None => return,
        },
    };
    let is_rf = node.medium.as_deref() == Some("rf");
    let silence = node.silence();
    let is_out = silence.is_some();
    let quality = if is_out { "out" } else { node.quality().name() };
    let at = trunk(x, depth + 1);
    let changes: Vec<Change> = diff.into_iter().flat_map(|diff| diff.of(&node.eui64)).collect();
    if let Some(change) = changes.first() {
        let _ = writeln!(
            text,
            "<rect class=\"change {}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            change.class(),
            at - 6,
            y - ROW / 2,
            x + COLUMN - 10 - (at - 6),
            ROW - 1
        );
    }
    let _ = write!(text, "<g><title>{}</title>", escaped(&told(node, diff)));
    if depth > 0 {
        let line = match is_rf {
            _ if node.is_way_vague() => " far",
            true => " rf",
            false => "",
        };
        let _ = write!(text, "<path class=\"link {quality}{line}\" d=\"M{} {y}H{at}\"/>", trunk(x, depth));
    }
    let lqi = node.worse_lqi().map(|lqi| format!("q{lqi}"));
    let link = match node.untraced_hops() {
        Some(hops) => Some(format!("{hops} hops")),
        None => lqi.or_else(|| node.link_cost.map(|cost| format!("c{cost}"))),
    };
    let away = (!node.is_joined()).then(|| node.presence.name());
    let state = silence.map(Silence::name).or(away);
    // Several changes have one colour.
    let words = changes.iter().map(|change| change.name()).filter(|word| Some(*word) != state);
    let words = words.chain(state).map(str::to_owned);
    let remark = words.chain(link).chain(node.phase_deg.map(|degrees| format!("{degrees}°")));
    let room = ((x + COLUMN - 12 - (at + 7)) / GLYPH).saturating_sub(short(node).len() + 1);
    let name = if node.meter.is_empty() { &node.eui64 } else { &node.meter };
    let name = cut(&printable(name), room);
    let right = fitting(remark.collect(), room.saturating_sub(name.chars().count() + 1));
    let name_is = if is_out { "dim silent" } else { "dim" };
    let banned = if node.is_blacklisted { banned(at, y) } else { String::new() };
    let _ = writeln!(
        text,
        "{}{banned}<text x=\"{}\" y=\"{}\">{} <tspan class=\"{name_is}\">{}</tspan></text><text class=\"{name_is} right\" x=\"{}\" y=\"{}\">{right}</text></g>",
        mark(quality, node.presence, is_rf, at, y),
        at + 7,
        y + 3,
        escaped(short(node)),
        escaped(&name),
        x + COLUMN - 12,
        y + 3,
    );
}

/// A disc for PLC, a diamond for RF; empty for who was not heard, a cross for who is not there, a cross in a ring for who
/// is and does not answer.
pub(super) fn mark(quality: &str, presence: NodePresence, is_rf: bool, x: usize, y: usize) -> String {
    let class = match presence {
        NodePresence::Alive => "alive",
        NodePresence::Routed => "routed",
        _ => "away",
    };
    match (presence, is_rf) {
        (NodePresence::Alive | NodePresence::Routed, _) if quality == "out" => {
            let (cross, ring) =
                ("m-2.4 -2.4l4.8 4.8m0 -4.8l-4.8 4.8", "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0");
            format!("<path class=\"node out silent\" d=\"M{x} {y}{cross}M{x} {y}{ring}\"/>")
        }
        (NodePresence::Alive | NodePresence::Routed, false) => {
            format!("<circle class=\"node {quality} {class}\" cx=\"{x}\" cy=\"{y}\" r=\"3.2\"/>")
        }
        (NodePresence::Alive | NodePresence::Routed, true) => {
            format!("<path class=\"node {quality} {class}\" d=\"M{x} {y}m0 -4l4 4l-4 4l-4 -4z\"/>")
        }
        _ => format!("<path class=\"node away\" d=\"M{x} {y}m-3 -3l6 6m0 -6l-6 6\"/>"),
    }
}

/// A barred ring around who is blacklisted.
pub(super) fn banned(x: usize, y: usize) -> String {
    let ring = "m-5.6 0a5.6 5.6 0 1 0 11.2 0a5.6 5.6 0 1 0 -11.2 0";
    format!("<path class=\"banned\" d=\"M{x} {y}{ring}M{x} {y}m-4 4l8 -8\"/>")
}

/// Everything of a node, for who points at it.
fn told(node: &TopologyNode, diff: Option<&Diff<'_>>) -> String {
    let changes = diff.into_iter().flat_map(|diff| {
        diff.of(&node.eui64).map(move |change| {
            let is_of_way = matches!(change, Change::Moved | Change::Astray);
            let before = diff.parent_before(&node.eui64).filter(|_| is_of_way);
            let was = before.map_or_else(String::new, |before| format!(", was behind {before}"));
            Some(format!("{}{was}", change.name()))
        })
    });
    [Some(format!("{} {}", node.eui64, node.meter).trim().to_owned()), Some(node.presence.name().to_owned())]
        .into_iter()
        .chain([node.out(), node.is_blacklisted.then(|| "blacklisted".to_owned())])
        .chain([node.medium.clone(), link(node), node.phase_deg.map(|degrees| format!("{degrees}°")), far(node)])
        .chain([node.heard_ms.map(|heard_ms| format!("heard {}", utc(heard_ms)))])
        .chain(changes)
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

/// Where what hangs on a level comes down.
fn trunk(x: usize, level: usize) -> usize {
    x + 4 + (level.min(INDENTED) - 1) * INDENT
}

/// As many words as there is room for beside a name, which comes first; of one too long for that as much as says what it is.
fn fitting(mut words: Vec<String>, room: usize) -> String {
    while words.len() > 1 && words.join(" ").chars().count() > room {
        words.pop();
    }
    let said = cut(&words.join(" "), room);
    if said.ends_with('…') && said.chars().count() < LEAST { String::new() } else { said }
}

/// At most `room` characters, the last one an ellipsis where some are missing.
fn cut(text: &str, room: usize) -> String {
    match text.chars().count() > room {
        true => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    let text = printable(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const COLUMNS: usize = 5;
const COLUMN: usize = 310;
const MARGIN: usize = 25;
const LINES_OF_A_SMALL_COLUMN: usize = 40;
/// Of a line.
const ROW: usize = 14;
/// The middle of the first line.
const TOP: usize = 166;
/// Where the transformer's line goes along.
const BUS: usize = 136;
const INDENT: usize = 12;
/// Deeper nodes stand as far to the right as these.
const INDENTED: usize = 12;
/// A character is not wider.
const GLYPH: usize = 6;
/// Characters of a word that is cut.
const LEAST: usize = 6;
