//! The chart of an amount that falls step by step to what is left of it, and of what comes to it.
//!
//! Colour tells where a step goes, the pattern tells how its amount is known, so that both stay apart in grey and in every common
//! colour blindness. An amount that is not known is a gap as high as the plot: it has a name and no height of its own.

use protocol::amount::Usd8;
use protocol::standing::Standing;

use super::axis::{Axis, compact};
use super::canvas::{Anchor, BLUE, Canvas, GREEN, GREY, INK, MARGIN, RULE, RUST, Rect, Style, WIDTH, num};
use super::frame::{self, Plot, Side};
use super::steps::{Kind, Place, Step};
use super::text::{Type, clean};
use super::{Waterfall, drawable};

/// Most steps whose names and amounts have room.
const MOST: usize = 26;
/// Sizes of the names under the bars, the largest first.
const NAME_SIZES: [f64; 6] = [11.5, 11.0, 10.5, 10.0, 9.5, 9.0];
/// The height of a line of a name.
const NAME_LINE: f64 = 13.5;
/// Most lines of a name.
const NAME_LINES: usize = 7;
/// Room over the highest bar for its amount and its share.
const AMOUNTS: f64 = 34.0;
/// The type of the groups' headings.
const GROUP: Type = Type::bold(12.5);
/// The type of the legend.
const LEGEND: Type = Type::regular(12.0);
/// What stands in a gap.
const UNKNOWN: &str = "not known";

/// Draws the chart.
pub(super) fn draw(chart: &Waterfall) -> String {
    let mut canvas = Canvas::default();
    let bars: Vec<Bar<'_>> = chart.steps.iter().take(MOST).map(Bar::of).collect();
    let top = frame::header(&mut canvas, &chart.caption, &[]);
    let bottom = frame::footer(&mut canvas, &notes(chart, &bars));
    if bars.is_empty() {
        frame::nothing(&mut canvas, top, bottom);
        return canvas.finish(&chart.caption.title);
    }
    legend(&mut canvas, &bars, top - 24.0);
    let ends = bars.iter().filter_map(|bar| bar.ends).flat_map(|(from, to)| [from, to]);
    let axis = Axis::of(ends, 7);
    let left = MARGIN + frame::room_for(axis, "$") + 10.0;
    let slots = Slots { left, width: (WIDTH - MARGIN - left) / lengths(bars.len()) };
    let (face, names) = names(&bars, slots);
    let lines = lengths(names.iter().map(Vec::len).max().unwrap_or(1));
    let plot =
        Plot { left, right: WIDTH - MARGIN, top: top + 22.0 + AMOUNTS, bottom: bottom - lines * NAME_LINE - 8.0 };
    groups(&mut canvas, &bars, slots, (top + 4.0, plot.bottom));
    frame::grid(&mut canvas, plot, axis);
    frame::scale(&mut canvas, plot, axis, "$", Side::Left);
    for (at, bar) in bars.iter().enumerate() {
        bar.draw(&mut canvas, plot, axis, slots.rect(at));
    }
    frame::ground(&mut canvas, plot, axis);
    connect(&mut canvas, plot, axis, &bars, slots);
    amounts(&mut canvas, (plot, axis), &bars, slots, chart.steps.whole().map(|(_, whole)| whole));
    for (at, name) in names.iter().enumerate() {
        let style = Style::new(face, if bars[at].step.kind == Kind::Total { INK } else { GREY });
        for (row, line) in name.iter().enumerate() {
            let y = plot.bottom + 16.0 + lengths(row) * NAME_LINE;
            canvas.text((slots.middle(at), y), style.at(Anchor::Middle), line);
        }
    }
    canvas.finish(&chart.caption.title)
}

/// A step as it is drawn.
struct Bar<'a> {
    step: &'a Step,
    /// Between which heights, in US dollars.
    ends: Option<(f64, f64)>,
}

/// Where the bars stand.
#[derive(Debug, Clone, Copy)]
struct Slots {
    left: f64,
    width: f64,
}

impl Slots {
    fn middle(self, at: usize) -> f64 {
        self.left + self.width * (lengths(at) + 0.5)
    }

    /// A bar's left edge and width.
    fn rect(self, at: usize) -> (f64, f64) {
        let w = (self.width * 0.66).min(90.0);
        (self.middle(at) - w / 2.0, w)
    }
}

impl<'a> Bar<'a> {
    fn of((step, place): (&'a Step, Option<Place>)) -> Self {
        let ends = place.map(|Place { from, to }| (dollars(from), dollars(to)));
        Self { step, ends: ends.filter(|(from, to)| drawable(*from) && drawable(*to)) }
    }

    fn colour(&self) -> &'static str {
        match (self.step.kind, self.step.usd) {
            (Kind::Total, _) => BLUE,
            (Kind::Use, _) => GREEN,
            (Kind::Change, Some(Usd8(by))) if by > 0 => GREEN,
            (Kind::Change, _) => RUST,
        }
    }

    fn draw(&self, canvas: &mut Canvas, plot: Plot, axis: Axis, (x, w): (f64, f64)) {
        let Some((from, to)) = self.ends else {
            return self.draw_gap(canvas, plot, (x, w));
        };
        let (from, to) = (plot.y(axis, from), plot.y(axis, to));
        // What is there at all leaves a trace; what is known to be nothing leaves a line.
        let h = (from - to).abs().max(1.6);
        let y = from.min(to).min(plot.bottom - h);
        let (colour, standing) = (self.colour(), self.step.standing);
        // A line has no room for a pattern; the legend and the tale tell the standing.
        let fill = if h < 5.0 { colour.to_owned() } else { canvas.texture(colour, standing) };
        let amount = self.step.usd.map_or_else(|| UNKNOWN.to_owned(), |usd| format!("{usd} US dollars"));
        let tale = format!("{}: {amount}, {standing}", self.step.label);
        canvas.told(Rect { x, y, w, h }, &fill, &tale);
        if standing != Standing::Exact && h >= 5.0 {
            let inside = Rect { x: x + 0.5, y: y + 0.5, w: w - 1.0, h: h - 1.0 };
            canvas.rect(inside, "none", &format!(r#" stroke="{colour}" stroke-width="1""#));
        }
    }

    /// A gap as high as the plot: no height of its own that could be read as an amount.
    fn draw_gap(&self, canvas: &mut Canvas, plot: Plot, (x, w): (f64, f64)) {
        let rect = Rect { x, y: plot.top, w, h: plot.bottom - plot.top };
        let edge = format!(r#" stroke="{RULE}" stroke-width="1" stroke-dasharray="4 4""#);
        canvas.rect(rect, "#f6f7f9", &edge);
        let text = if self.step.usd.is_some() { "place not known" } else { UNKNOWN };
        let (x, y) = (x + w / 2.0 + 4.0, rect.y + rect.h / 2.0);
        canvas.text((x, y), Style::new(LEGEND, GREY).at(Anchor::Middle).turned(-90.0), text);
    }
}

/// What the chart itself has to say, and then the caption's footnotes.
fn notes(chart: &Waterfall, bars: &[Bar<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let all = chart.steps.iter().len();
    if all > bars.len() {
        notes.push(format!("Only the first {} of {all} steps are drawn.", bars.len()));
    }
    let unknown = bars.iter().filter(|bar| bar.step.usd.is_none()).count();
    if unknown > 0 {
        let noun = frame::counted(unknown, "amount is", "amounts are");
        notes.push(format!("{noun} not known and left open: the gap is no zero, and its height says nothing."));
    }
    let placeless = bars.iter().filter(|bar| bar.step.usd.is_some() && bar.ends.is_none()).count();
    if placeless > 0 {
        let noun = frame::counted(placeless, "amount has", "amounts have");
        notes.push(format!("{noun} no place on the scale."));
    }
    if let Some((name, _)) = chart.steps.whole() {
        let name = clean(name);
        let name = if name.is_empty() { "the first amount".to_owned() } else { LEGEND.fit(&name, 300.0) };
        notes.push(format!("Shares in per cent are of: {name}."));
    }
    notes.extend(chart.caption.footnotes.iter().cloned());
    notes
}

/// Colours and patterns that are in use.
fn legend(canvas: &mut Canvas, bars: &[Bar<'_>], y: f64) {
    let mut x = MARGIN;
    let mut key = |canvas: &mut Canvas, fill: &str, edge: &str, name: &str| {
        let rect = Rect { x, y: y - 10.5, w: 13.0, h: 13.0 };
        canvas.rect(rect, fill, &format!(r#" stroke="{edge}" stroke-width="1""#));
        canvas.text((x + 19.0, y), Style::new(LEGEND, INK), name);
        x += 19.0 + LEGEND.width(name) + 22.0;
    };
    let colours = [
        (BLUE, "what stands at this point"),
        (RUST, "goes to others, or is not caught"),
        (GREEN, "comes in, or is put to use"),
    ];
    for (colour, name) in colours {
        if bars.iter().any(|bar| bar.ends.is_some() && bar.colour() == colour) {
            key(canvas, colour, colour, name);
        }
    }
    let all = [Standing::Exact, Standing::Observed, Standing::Estimated, Standing::Imported, Standing::Assumed];
    for standing in all {
        if bars.iter().any(|bar| bar.ends.is_some() && bar.step.standing == standing) {
            let fill = canvas.texture(GREY, standing);
            key(canvas, &fill, GREY, standing.word());
        }
    }
}

/// The headings of runs of bars of one group, and the lines between them.
fn groups(canvas: &mut Canvas, bars: &[Bar<'_>], slots: Slots, (y, bottom): (f64, f64)) {
    let mut from = 0;
    for run in bars.chunk_by(|one, next| one.step.group == next.step.group) {
        let (x, w) = (slots.left + slots.width * lengths(from), slots.width * lengths(run.len()));
        if from > 0 {
            canvas.path(
                &format!("M{} {}V{}", num(x), num(y), num(bottom)),
                &format!(r#"stroke="{RULE}" stroke-width="1" stroke-dasharray="2 3""#),
            );
        }
        let name = GROUP.fit(&clean(&run[0].step.group), w - 10.0);
        canvas.text((x + w / 2.0, y + 10.0), Style::new(GROUP, INK).at(Anchor::Middle), &name);
        from += run.len();
    }
}

/// Each name in as many lines as it needs, in the largest type that breaks no word and cuts no name; in the smallest, words that are too
/// long are broken.
fn names(bars: &[Bar<'_>], slots: Slots) -> (Type, Vec<Vec<String>>) {
    let room = slots.width - 4.0;
    let named = |bar: &Bar<'_>| {
        let name = clean(&bar.step.label);
        // A sign stays with its number.
        if name.is_empty() { "(no name)".to_owned() } else { name.replace(" %", "\u{a0}%") }
    };
    let all = |face: Type| bars.iter().map(|bar| face.wrap(&named(bar), room, NAME_LINES)).collect::<Vec<_>>();
    let is_whole = |names: &[Vec<String>]| !names.iter().flatten().any(|line| line.ends_with('…'));
    let mut fits = NAME_SIZES.into_iter().map(|px| (Type::regular(px), all(Type::regular(px))));
    fits.find(|(_, names)| is_whole(names)).unwrap_or_else(|| {
        let face = Type::regular(NAME_SIZES[NAME_SIZES.len() - 1]);
        let broken = |bar| face.wrap(&broken(&named(bar), face, room), room, NAME_LINES);
        (face, bars.iter().map(broken).collect())
    })
}

/// A name in which words that no line holds are broken into about equal pieces, each but the last with a hyphen.
fn broken(name: &str, face: Type, room: f64) -> String {
    let pieces = |word: &str| {
        if face.width(word) <= room {
            return word.to_owned();
        }
        let letters: Vec<char> = word.chars().collect();
        let fits = |pieces: &usize| {
            let mut all = letters.chunks(letters.len().div_ceil(*pieces));
            all.all(|piece| face.width(&piece.iter().collect::<String>()) <= room - face.width("-"))
        };
        let count = (2..=letters.len()).find(fits).unwrap_or(letters.len().max(1));
        let all = letters.chunks(letters.len().div_ceil(count)).map(|piece| piece.iter().collect::<String>());
        all.collect::<Vec<_>>().join("- ")
    };
    name.split(' ').map(pieces).collect::<Vec<_>>().join(" ")
}

/// From where a bar ends to where the next begins.
fn connect(canvas: &mut Canvas, plot: Plot, axis: Axis, bars: &[Bar<'_>], slots: Slots) {
    for (at, two) in bars.windows(2).enumerate() {
        let (Some((_, end)), Some(_)) = (two[0].ends, two[1].ends) else { continue };
        let (y, (x, w), (next, _)) = (plot.y(axis, end), slots.rect(at), slots.rect(at + 1));
        canvas.line((x + w, y), (next, y), RULE, 1.0);
    }
}

/// What each bar amounts to, and which share of the whole that is, over the bar.
fn amounts(canvas: &mut Canvas, (plot, axis): (Plot, Axis), bars: &[Bar<'_>], slots: Slots, whole: Option<i128>) {
    let text = |bar: &Bar<'_>| bar.step.usd.map(|Usd8(usd)| compact(dollars(usd), "$"));
    let room = slots.width - 4.0;
    // One size for all, so that no amount looks weightier than another.
    let sizes = [13.0, 12.0, 11.0, 10.0, 9.0];
    let fits = |px: &f64| bars.iter().filter_map(text).all(|text| Type::bold(*px).width(&text) <= room);
    let px = sizes.into_iter().find(fits).unwrap_or(8.0);
    let (face, small) = (Type::bold(px), Type::regular(px - 1.5));
    for (at, bar) in bars.iter().enumerate() {
        let Some(amount) = text(bar) else { continue };
        let top = bar.ends.map_or(plot.top, |(from, to)| plot.y(axis, from.max(to)));
        let (x, y) = (slots.middle(at), top - 6.0);
        let share = whole.zip(bar.step.usd).map(|(whole, Usd8(part))| share(part, whole));
        if let Some(share) = &share {
            canvas.text((x, y), Style::new(small, GREY).at(Anchor::Middle).haloed(), share);
        }
        let y = if share.is_some() { y - px } else { y };
        canvas.text((x, y), Style::new(face, INK).at(Anchor::Middle).haloed(), &amount);
    }
}

/// A part of the whole in per cent, without a sign: the amount over it has one.
fn share(part: i128, whole: i128) -> String {
    let percent = (dollars(part) / dollars(whole) * 100.0).abs();
    match percent {
        _ if part == 0 => "0 %".to_owned(),
        small if small < 0.05 => "<0.1 %".to_owned(),
        huge if huge > 9_999.0 => ">9,999 %".to_owned(),
        percent => format!("{percent:.1} %"),
    }
}

/// Units of 10^-8 US dollars as dollars, for heights and short texts.
#[expect(clippy::cast_precision_loss, reason = "the last digits of a large amount show in no picture")]
fn dollars(usd8: i128) -> f64 {
    usd8 as f64 / 1e8
}

/// A number of things as a length.
#[expect(clippy::cast_precision_loss, reason = "there are a few")]
fn lengths(count: usize) -> f64 {
    count as f64
}
