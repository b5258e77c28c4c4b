//! What stands around the marks: heading, badge, legend, scales and footnotes.

use super::axis::Axis;
use super::canvas::{Anchor, BLUE, Canvas, GREY, GRID, HEIGHT, INK, MARGIN, RULE, RUST, Rect, SAND, Style, WIDTH};
use super::text::{Type, clean};
use super::{Caption, Scales};

/// The type of ticks and labels.
pub(super) const SMALL: Type = Type::regular(11.5);
/// The type of footnotes and keys.
pub(super) const TINY: Type = Type::regular(11.0);
/// The type of the legend.
const LEGEND: Type = Type::regular(12.5);
/// Room between the margins.
pub(super) const ROOM: f64 = WIDTH - 2.0 * MARGIN;
/// How many lines of footnotes fit before they would crowd the marks.
const NOTE_LINES: usize = 6;

/// What a legend shows beside a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// A filled square.
    Bar,
    /// A line with a dot.
    Line,
    /// A shaded band.
    Band,
    /// Nothing: a remark that goes with the legend.
    None,
}

/// Where the marks go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plot {
    /// Left edge.
    pub left: f64,
    /// Right edge.
    pub right: f64,
    /// Upper edge.
    pub top: f64,
    /// Lower edge.
    pub bottom: f64,
}

impl Plot {
    /// The height at which a value of a scale stands.
    pub(super) fn y(self, axis: Axis, value: f64) -> f64 {
        self.bottom - axis.part(value) * (self.bottom - self.top)
    }

    /// How wide it is.
    pub(super) fn width(self) -> f64 {
        self.right - self.left
    }
}

/// Which side of the plot a scale stands on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    /// Values.
    Left,
    /// Counts.
    Right,
}

/// Draws the heading and the legend; gives back where the rest may start.
pub(super) fn header(canvas: &mut Canvas, caption: &Caption, legend: &[(Mark, String)]) -> f64 {
    let taken = badge(canvas, &clean(&caption.standing));
    let (title, room) = (clean(&caption.title), ROOM - taken);
    let (large, medium) = (Type::bold(22.0), Type::bold(18.0));
    let lines = if large.width(&title) <= room {
        vec![(large, title)]
    } else {
        medium.wrap(&title, room, 2).into_iter().map(|line| (medium, line)).collect()
    };
    let mut y = 50.0;
    for (row, (face, line)) in lines.iter().enumerate() {
        y += if row == 0 { 0.0 } else { 23.0 };
        canvas.text((MARGIN, y), Style::new(*face, INK), line);
    }
    let face = Type::regular(13.5);
    y += 6.0;
    for line in face.wrap(&clean(&caption.subtitle), ROOM, 2) {
        y += 18.0;
        canvas.text((MARGIN, y), Style::new(face, GREY), &line);
    }
    y += 26.0;
    names(canvas, y, legend);
    y + 24.0
}

/// Draws the badge at the top right; gives back how much of the title's line it takes.
fn badge(canvas: &mut Canvas, standing: &str) -> f64 {
    let standing = TINY.fit(standing, 380.0);
    if standing.is_empty() {
        return 0.0;
    }
    let w = TINY.width(&standing) + 22.0;
    let rect = Rect { x: WIDTH - MARGIN - w, y: 31.0, w, h: 23.0 };
    canvas.rect(rect, "#f3f5f7", r##" rx="11.5" stroke="#c6cdd4" stroke-width="1""##);
    let style = Style::new(TINY, GREY).at(Anchor::Middle);
    canvas.text((rect.x + w / 2.0, rect.y + 15.5), style, &standing);
    w + 24.0
}

/// Draws the legend in one line.
fn names(canvas: &mut Canvas, y: f64, legend: &[(Mark, String)]) {
    let mut x = MARGIN;
    for (mark, name) in legend {
        let (fill, indent) = match mark {
            Mark::Bar => {
                canvas.rect(Rect { x, y: y - 10.0, w: 12.0, h: 12.0 }, BLUE, "");
                (BLUE, 19.0)
            }
            Mark::Line => {
                canvas.line((x, y - 4.0), (x + 22.0, y - 4.0), RUST, 2.0);
                canvas.disc((x + 11.0, y - 4.0), 3.2, RUST, "#ffffff");
                (RUST, 29.0)
            }
            Mark::Band => {
                canvas.rect(Rect { x, y: y - 10.0, w: 12.0, h: 12.0 }, SAND, r#" fill-opacity="0.7""#);
                (GREY, 19.0)
            }
            Mark::None => (GREY, 0.0),
        };
        canvas.text((x + indent, y), Style::new(LEGEND, fill), name);
        x += indent + LEGEND.width(name) + 30.0;
    }
}

/// The names of the two scales for a legend.
pub(super) fn legend(scales: &Scales) -> Vec<(Mark, String)> {
    let name = |label: &str, side| {
        let label = LEGEND.fit(&clean(label), 290.0);
        if label.is_empty() { side } else { format!("{label} ({side})") }
    };
    vec![
        (Mark::Bar, name(&scales.value_label, "left axis".to_owned())),
        (Mark::Line, name(&scales.count_label, "right axis".to_owned())),
    ]
}

/// Draws the footnotes at the bottom; gives back where the rest must end.
pub(super) fn footer(canvas: &mut Canvas, notes: &[String]) -> f64 {
    let mut lines: Vec<String> = Vec::new();
    for (at, note) in notes.iter().enumerate() {
        let wrapped = TINY.wrap(&clean(note), ROOM, 3);
        let last = at + 1 == notes.len();
        if lines.len() + wrapped.len() + usize::from(!last) > NOTE_LINES {
            let left = notes.len() - at;
            let noun = if left == 1 { "remark" } else { "remarks" };
            lines.push(format!("… and {left} more {noun}"));
            break;
        }
        lines.extend(wrapped);
    }
    let mut y = HEIGHT - 20.0;
    for line in lines.iter().rev() {
        canvas.text((MARGIN, y), Style::new(TINY, GREY), line);
        y -= 15.5;
    }
    if !lines.is_empty() {
        y -= 2.0;
        canvas.line((MARGIN, y), (WIDTH - MARGIN, y), GRID, 1.0);
    }
    y - 10.0
}

/// Says that there is nothing to draw.
pub(super) fn nothing(canvas: &mut Canvas, top: f64, bottom: f64) {
    let rect = Rect { x: MARGIN, y: top, w: ROOM, h: (bottom - top).max(60.0) };
    canvas.rect(rect, "#fafbfc", r##" stroke="#e3e7eb" stroke-width="1""##);
    let style = Style::new(Type::regular(18.0), GREY).at(Anchor::Middle);
    canvas.text((WIDTH / 2.0, rect.y + rect.h / 2.0 + 6.0), style, "No events");
}

/// How much room the texts of a scale take.
pub(super) fn room_for(axis: Axis, prefix: &str) -> f64 {
    axis.ticks(prefix).iter().map(|(_, text)| SMALL.width(text)).fold(0.0, f64::max)
}

/// Draws the texts of a scale, and its grid where it stands on the left.
pub(super) fn scale(canvas: &mut Canvas, plot: Plot, axis: Axis, prefix: &str, side: Side) {
    for (value, text) in axis.ticks(prefix) {
        let y = plot.y(axis, value);
        match side {
            Side::Left => {
                canvas.text((plot.left - 8.0, y + 4.0), Style::new(SMALL, BLUE).at(Anchor::End), &text);
            }
            // Counts are never negative, whatever the left scale holds below zero.
            Side::Right if value >= 0.0 => {
                canvas.text((plot.right + 8.0, y + 4.0), Style::new(SMALL, RUST), &text);
            }
            Side::Right => {}
        }
    }
}

/// Draws the thin lines behind the marks.
pub(super) fn grid(canvas: &mut Canvas, plot: Plot, axis: Axis) {
    for (value, _) in axis.ticks("") {
        let y = plot.y(axis, value);
        canvas.line((plot.left, y), (plot.right, y), GRID, 1.0);
    }
}

/// Draws the line at zero, over the marks.
pub(super) fn ground(canvas: &mut Canvas, plot: Plot, axis: Axis) {
    let y = plot.y(axis, 0.0);
    canvas.line((plot.left, y), (plot.right, y), RULE, 1.2);
}

/// "1 bar has" or "2 bars have".
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}
