//! A small builder of SVG text.

use protocol::standing::Standing;

use super::text::{Type, clean, escape};

/// Width of every chart.
pub(super) const WIDTH: f64 = 1200.0;
/// Height of every chart.
pub(super) const HEIGHT: f64 = 675.0;
/// Where everything starts at the left; the right edge keeps the same distance.
pub(super) const MARGIN: f64 = 40.0;

// Okabe and Ito's vermilion, darkened for text, against a calm blue: the pair stays apart in every
// common colour blindness and in grey.
/// Bars.
pub(super) const BLUE: &str = "#3f74a8";
/// What comes in: between the two in lightness, so that the three stay apart in grey as well.
pub(super) const GREEN: &str = "#4f9d80";
/// The line of counts.
pub(super) const RUST: &str = "#b9501b";
/// Texts that carry the message.
pub(super) const INK: &str = "#1f2933";
/// Texts beside it.
pub(super) const GREY: &str = "#5b6672";
/// Thin lines behind the marks.
pub(super) const GRID: &str = "#e3e7eb";
/// The line at zero and the marks of a scale.
pub(super) const RULE: &str = "#8a949e";
/// Episodes, drawn half transparent over white.
pub(super) const SAND: &str = "#f1d9a0";

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    /// The text starts there.
    Start,
    /// The text is centred there.
    Middle,
    /// The text ends there.
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Face and size.
    pub face: Type,
    /// Colour.
    pub fill: &'static str,
    /// Which end stands at the place.
    pub anchor: Anchor,
    /// Degrees the text is turned about its place.
    pub turn: f64,
    /// Whether a white edge keeps it legible over marks.
    pub halo: bool,
}

impl Style {
    /// A plain text that starts at its place.
    pub(super) const fn new(face: Type, fill: &'static str) -> Self {
        Self { face, fill, anchor: Anchor::Start, turn: 0.0, halo: false }
    }

    /// The same, anchored otherwise.
    pub(super) const fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    /// The same, turned.
    pub(super) const fn turned(self, turn: f64) -> Self {
        Self { turn, ..self }
    }

    /// The same, with a white edge.
    pub(super) const fn haloed(self) -> Self {
        Self { halo: true, ..self }
    }
}

/// A rectangle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// The drawing so far.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    body: String,
    /// The patterns that are declared.
    patterns: std::collections::BTreeSet<String>,
}

impl Canvas {
    /// Adds a rectangle; `more` holds further attributes.
    pub(super) fn rect(&mut self, rect: Rect, fill: &str, more: &str) {
        let Rect { x, y, w, h } = rect;
        let (x, y, w, h) = (num(x), num(y), num(w), num(h));
        self.push(&format!(r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}"{more}/>"#));
    }

    /// Adds a rectangle that says a text when it is pointed at.
    pub(super) fn told(&mut self, rect: Rect, fill: &str, tale: &str) {
        let Rect { x, y, w, h } = rect;
        let (x, y, w, h, tale) = (num(x), num(y), num(w), num(h), escape(&clean(tale)));
        self.push(&format!(
            r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}"><title>{tale}</title></rect>"#
        ));
    }

    /// The fill that hatches in a colour, such as `#3f74a8`; declared where it is first used.
    pub(super) fn hatch(&mut self, colour: &'static str) -> String {
        let marks =
            format!(r##"<rect width="5" height="5" fill="#ffffff"/><rect width="3" height="5" fill="{colour}"/>"##);
        self.pattern(&format!("hatch-{}", colour.trim_start_matches('#')), (5, 45), &marks)
    }

    /// The fill that says how a figure is known, in a colour: the less is known, the more white is in it.
    pub(super) fn texture(&mut self, colour: &'static str, standing: Standing) -> String {
        let ground = |size: u8| format!(r#"<rect width="{size}" height="{size}" fill="{colour}"/>"#);
        let (size, turn, marks) = match standing {
            Standing::Exact => return colour.to_owned(),
            Standing::Estimated => return self.hatch(colour),
            Standing::Observed => (8, 0, format!(r##"{}<rect width="1.4" height="8" fill="#ffffff"/>"##, ground(8))),
            Standing::Imported => {
                (7, 0, format!(r##"{}<circle cx="3.5" cy="3.5" r="1.5" fill="#ffffff"/>"##, ground(7)))
            }
            Standing::Assumed => (
                6,
                -45,
                format!(r##"<rect width="6" height="6" fill="#ffffff"/><rect width="2" height="6" fill="{colour}"/>"##),
            ),
        };
        self.pattern(&format!("{standing}-{}", colour.trim_start_matches('#')), (size, turn), &marks)
    }

    /// A pattern's fill; declared where it is first used.
    fn pattern(&mut self, id: &str, (size, turn): (u8, i8), marks: &str) -> String {
        if self.patterns.insert(id.to_owned()) {
            self.push(&format!(
                r#"<defs><pattern id="{id}" width="{size}" height="{size}" patternUnits="userSpaceOnUse" patternTransform="rotate({turn})">{marks}</pattern></defs>"#
            ));
        }
        format!("url(#{id})")
    }

    /// Adds a straight line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, width: f64) {
        let (a, b, c, d) = (num(from.0), num(from.1), num(to.0), num(to.1));
        let width = num(width);
        self.push(&format!(r#"<line x1="{a}" y1="{b}" x2="{c}" y2="{d}" stroke="{stroke}" stroke-width="{width}"/>"#));
    }

    /// Adds a path with the attributes given.
    pub(super) fn path(&mut self, data: &str, attributes: &str) {
        if !data.is_empty() {
            self.push(&format!(r#"<path d="{data}" {attributes}/>"#));
        }
    }

    /// Adds a disc with an edge.
    pub(super) fn disc(&mut self, at: (f64, f64), radius: f64, fill: &str, stroke: &str) {
        let (x, y, r) = (num(at.0), num(at.1), num(radius));
        self.push(&format!(r#"<circle cx="{x}" cy="{y}" r="{r}" fill="{fill}" stroke="{stroke}" stroke-width="1"/>"#));
    }

    /// Adds a text, cleaned and escaped.
    pub(super) fn text(&mut self, at: (f64, f64), style: Style, text: &str) {
        let text = escape(&clean(text));
        if text.is_empty() {
            return;
        }
        let (x, y) = (num(at.0), num(at.1));
        let mut more = match style.anchor {
            Anchor::Start => String::new(),
            Anchor::Middle => r#" text-anchor="middle""#.to_owned(),
            Anchor::End => r#" text-anchor="end""#.to_owned(),
        };
        if style.face.bold {
            more.push_str(r#" font-weight="700""#);
        }
        if style.turn != 0.0 {
            more.push_str(&format!(r#" transform="rotate({} {x} {y})""#, num(style.turn)));
        }
        if style.halo {
            more.push_str(r##" stroke="#ffffff" stroke-width="3.5" stroke-linejoin="round" paint-order="stroke""##);
        }
        let (px, fill) = (num(style.face.px), style.fill);
        self.push(&format!(r#"<text x="{x}" y="{y}" font-size="{px}" fill="{fill}"{more}>{text}</text>"#));
    }

    /// The whole document; `title` is what a screen reader says.
    pub(super) fn finish(self, title: &str) -> String {
        let (w, h, title) = (num(WIDTH), num(HEIGHT), escape(&clean(title)));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             role=\"img\" font-family=\"'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif\">\n\
             <title>{title}</title>\n<rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            self.body
        )
    }

    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }
}

/// A coordinate with at most two decimals, which is finer than any screen.
pub(super) fn num(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
