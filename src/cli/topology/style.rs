//! The colours of the picture, light and dark.

/// The light colours come first and without variables, as not every program that draws SVG knows these; those for a dark
/// page take their place where it is asked for.
pub(super) fn sheet() -> String {
    let rules = |colour: fn(&Colour) -> &str| -> String {
        let rule = |it: &Colour| format!("{}{{{}:{}}}", it.of, it.property, colour(it));
        COLOURS.iter().map(rule).collect()
    };
    let (light, dark) = (rules(|it| it.light), rules(|it| it.dark));
    format!("{SHAPES}{light}@media(prefers-color-scheme:dark){{{dark}}}")
}

struct Colour {
    of: &'static str,
    property: &'static str,
    light: &'static str,
    dark: &'static str,
}

const fn colour(of: &'static str, property: &'static str, light: &'static str, dark: &'static str) -> Colour {
    Colour { of, property, light, dark }
}

const SHAPES: &str = "\
text{font:10px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}.name{font-size:18px;font-weight:bold}\
.title{font-weight:bold}.right{text-anchor:end}.small{font-size:9px;text-anchor:middle}\
.transformer circle{fill:none;stroke-width:2}.trunk{fill:none}.link{fill:none;stroke-width:2}\
.rf{stroke-dasharray:4 2}.far{stroke-dasharray:0 4;stroke-linecap:round}.node{stroke-width:1.5}\
.away,.banned{fill:none}.away{stroke-width:2}.banned{stroke-width:1.3}.node.out{fill:none}.change{stroke-width:.5}";

/// Later ones take the place of earlier ones.
const COLOURS: &[Colour] = &[
    colour(".page,.routed", "fill", "#fff", "#0d1117"),
    colour("text", "fill", "#1f2328", "#e6edf3"),
    colour(".dim,.small", "fill", "#656d76", "#8b949e"),
    colour(".bar", "fill", "#8c959f", "#6e7681"),
    colour(".transformer circle,.banned", "stroke", "#1f2328", "#e6edf3"),
    colour(".trunk,.change", "stroke", "#8c959f", "#6e7681"),
    colour(".good", "stroke", "#1a7f37", "#3fb950"),
    colour(".fair", "stroke", "#9a6700", "#d29922"),
    colour(".weak,.away", "stroke", "#cf222e", "#f85149"),
    colour(".unknown", "stroke", "#6e7781", "#8b949e"),
    colour(".out", "stroke", "#bf3989", "#f778ba"),
    colour("text.silent,tspan.silent", "fill", "#bf3989", "#f778ba"),
    colour(".alive.good", "fill", "#1a7f37", "#3fb950"),
    colour(".alive.fair", "fill", "#9a6700", "#d29922"),
    colour(".alive.weak", "fill", "#cf222e", "#f85149"),
    colour(".alive.unknown", "fill", "#6e7781", "#8b949e"),
    colour(".change.joined,.change.better,.change.back", "fill", "#dafbe1", "#12361f"),
    colour(".change.lost", "fill", "#ffebe9", "#4c1a1c"),
    colour(".change.astray", "fill", "#eaeef2", "#21262d"),
    colour(".change.out", "fill", "#ffeff7", "#42062a"),
    colour(".change.unreachable", "fill", "#fbefff", "#2e1461"),
    colour(".change.moved", "fill", "#ddf4ff", "#0c2d4a"),
    colour(".change.worse", "fill", "#fff8c5", "#3b2e04"),
    colour(".change.barred,.change.unbarred", "fill", "#ffe8d1", "#40240a"),
];
