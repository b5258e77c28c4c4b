//! Episodes: shaded bands, named in place where names fit and by number and key where they do not.

use super::super::Span;
use super::super::calendar;
use super::super::canvas::{Anchor, Canvas, GREY, INK, MARGIN, RULE, Rect, SAND, Style};
use super::super::frame::{ROOM, TINY};
use super::super::text::{Type, clean};
use super::Calendar;

/// Height of one row of marks over the bands.
const ROW: f64 = 19.0;
/// Rows of numbers before some are left to the key alone.
const ROWS: usize = 3;
/// Rows of the key.
const KEY_ROWS: usize = 4;
/// Height of a row of the key.
const KEY_ROW: f64 = 19.0;
/// The type of the numbers.
const NUMBER: Type = Type::bold(9.5);

/// The episodes of a chart, placed.
#[derive(Debug)]
pub(super) struct Episodes {
    bands: Vec<Band>,
    numbered: bool,
    left: f64,
    right: f64,
}

/// One episode.
#[derive(Debug)]
struct Band {
    from: f64,
    to: f64,
    name: String,
    /// The row its mark stands in, counted upwards; none when no row has room.
    row: Option<usize>,
}

impl Band {
    fn middle(&self) -> f64 {
        f64::midpoint(self.from, self.to)
    }
}

/// Places the episodes that lie within a calendar.
pub(super) fn place(spans: &[Span], calendar: Calendar) -> Episodes {
    let inside = |span: &&Span| {
        let (from, to) = (span.from_s.min(span.to_s), span.from_s.max(span.to_s));
        to >= calendar.from_s && from <= calendar.to_s
    };
    let mut spans: Vec<&Span> = spans.iter().filter(inside).collect();
    spans.sort_by_key(|span| (span.from_s, span.to_s));
    let bands = spans.into_iter().map(|span| {
        let (from, to) = (calendar.x(span.from_s.min(span.to_s)), calendar.x(span.from_s.max(span.to_s)));
        // An hour in five years is no wider than a hair; it is widened until it is seen.
        let lack = (3.0 - (to - from)).max(0.0) / 2.0;
        let name = clean(&span.label);
        let name = if name.is_empty() { calendar::day(span.from_s) } else { name };
        Band { from: (from - lack).max(calendar.left), to: (to + lack).min(calendar.right), name, row: None }
    });
    let mut episodes = Episodes { bands: bands.collect(), numbered: false, left: calendar.left, right: calendar.right };
    if !episodes.stack(1) {
        episodes.numbered = true;
        episodes.stack(ROWS);
    }
    episodes
}

impl Episodes {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.bands.is_empty()
    }

    /// Height the marks over the bands take.
    pub(super) fn height(&self) -> f64 {
        let rows = self.bands.iter().filter_map(|band| band.row).max().map_or(0, |row| row + 1);
        (0..rows).map(|_| ROW).sum()
    }

    /// Gives each mark the lowest row where it touches no other; false when one has no room.
    fn stack(&mut self, rows: usize) -> bool {
        let mut ends = vec![f64::MIN; rows];
        let (left, right, numbered) = (self.left, self.right, self.numbered);
        for band in &mut self.bands {
            let (from, to) = reach(band, numbered, left, right);
            band.row = ends.iter().position(|end| *end + 3.0 <= from);
            if let Some(end) = band.row.and_then(|row| ends.get_mut(row)) {
                *end = to;
            }
        }
        self.bands.iter().all(|band| band.row.is_some())
    }

    /// Draws the bands behind everything.
    pub(super) fn bands(&self, canvas: &mut Canvas, top: f64, bottom: f64) {
        for band in &self.bands {
            let rect = Rect { x: band.from, y: top, w: band.to - band.from, h: bottom - top };
            canvas.rect(rect, SAND, r#" fill-opacity="0.7""#);
        }
    }

    /// Draws the names or the numbers over the bands.
    pub(super) fn marks(&self, canvas: &mut Canvas, top: f64) {
        let placed = || self.bands.iter().enumerate().filter_map(|(at, band)| Some((at, band, band.row?)));
        let y = |row: usize| top - ROW / 2.0 - (0..row).map(|_| ROW).sum::<f64>();
        for (_, band, row) in placed().filter(|_| self.numbered) {
            canvas.line((band.middle(), top), (band.middle(), y(row)), RULE, 0.8);
        }
        for (at, band, row) in placed() {
            if self.numbered {
                number(canvas, (band.middle(), y(row)), at + 1);
            } else {
                let (from, _) = reach(band, false, self.left, self.right);
                canvas.text((from, y(row) + 4.0), Style::new(TINY, INK), &band.name);
            }
        }
    }

    /// Draws the key of the numbers above `bottom`; gives back where the rest must end.
    pub(super) fn key(&self, canvas: &mut Canvas, bottom: f64) -> f64 {
        if !self.numbered {
            return bottom;
        }
        let widest = self.bands.iter().map(|band| TINY.width(&band.name)).fold(0.0, f64::max).min(230.0);
        let columns = (1..=12_u8).rev().find(|n| f64::from(*n) * (widest + 40.0) <= ROOM).unwrap_or(1);
        let column = ROOM / f64::from(columns);
        let columns = usize::from(columns);
        let most = columns * KEY_ROWS;
        let shown = if self.bands.len() > most { most - 1 } else { self.bands.len() };
        let rows = (shown + usize::from(shown < self.bands.len())).div_ceil(columns);
        let top = bottom - (0..rows).map(|_| KEY_ROW).sum::<f64>();
        let place = |at: usize| {
            let x = MARGIN + (0..at % columns).map(|_| column).sum::<f64>();
            (x, top + (0..at / columns).map(|_| KEY_ROW).sum::<f64>() + KEY_ROW / 2.0)
        };
        for (at, band) in self.bands.iter().take(shown).enumerate() {
            let (x, y) = place(at);
            number(canvas, (x + 8.0, y), at + 1);
            canvas.text((x + 22.0, y + 4.0), Style::new(TINY, INK), &TINY.fit(&band.name, column - 34.0));
        }
        if shown < self.bands.len() {
            let (x, y) = place(shown);
            let text = format!("and {} more", self.bands.len() - shown);
            canvas.text((x + 22.0, y + 4.0), Style::new(TINY, GREY), &text);
        }
        top - 6.0
    }
}

/// The room a mark takes, kept on the page.
fn reach(band: &Band, numbered: bool, left: f64, right: f64) -> (f64, f64) {
    let w = if numbered { 16.0 } else { TINY.width(&band.name) + 6.0 };
    let from = band.middle() - w / 2.0;
    let from = if numbered { from } else { from.min(right - w).max(left) };
    (from, from + w)
}

fn number(canvas: &mut Canvas, at: (f64, f64), number: usize) {
    canvas.disc(at, 8.0, "#ffffff", RULE);
    let style = Style::new(NUMBER, INK).at(Anchor::Middle);
    canvas.text((at.0, at.1 + 3.5), style, &number.to_string());
}
