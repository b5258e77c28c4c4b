//! The chart of categories.

use super::axis::{Axis, compact};
use super::canvas::{Anchor, BLUE, Canvas, GREY, INK, MARGIN, RUST, Rect, Style, WIDTH, num};
use super::frame::{self, Plot, SMALL, Side};
use super::text::clean;
use super::{Bar, Bars, drawable, length};

/// More bars than this would be thinner than their outlines.
const MOST: usize = 250;

/// How the names stand under the bars.
#[derive(Debug, Clone, Copy)]
struct Names {
    /// Degrees they are turned.
    turn: f64,
    /// How long one may be.
    room: f64,
    /// Height they take.
    height: f64,
    /// One name is drawn for every so many bars.
    every: usize,
}

/// Draws the chart.
pub(super) fn draw(chart: &Bars) -> String {
    let mut canvas = Canvas::default();
    let shown = &chart.bars[..chart.bars.len().min(MOST)];
    let prefix = clean(&chart.scales.value_prefix);
    let values = shown.iter().map(|bar| bar.value).filter(|value| drawable(*value));
    let axis = Axis::of(values, 5);
    let counts = axis.beside(shown.iter().map(|bar| bar.count).max().unwrap_or(0));
    let left = MARGIN + frame::room_for(axis, &prefix) + 8.0;
    let right = WIDTH - MARGIN - frame::room_for(counts, "") - 8.0;
    let names = names(shown, left, right);

    let legend = frame::legend(&chart.scales);
    let top = frame::header(&mut canvas, &chart.caption, if shown.is_empty() { &[] } else { &legend });
    let bottom = frame::footer(&mut canvas, &notes(chart, shown, names.every));
    if shown.is_empty() {
        frame::nothing(&mut canvas, top, bottom);
        return canvas.finish(&chart.caption.title);
    }
    let plot = Plot { left, right, top, bottom: bottom - names.height };
    frame::grid(&mut canvas, plot, axis);
    frame::scale(&mut canvas, plot, axis, &prefix, Side::Left);
    frame::scale(&mut canvas, plot, counts, "", Side::Right);
    bars(&mut canvas, plot, axis, shown, &prefix);
    frame::ground(&mut canvas, plot, axis);
    counts_of(&mut canvas, plot, counts, shown, chart.is_series);
    labels(&mut canvas, plot, names, shown);
    canvas.finish(&chart.caption.title)
}

/// What the chart itself has to say about its marks, which no number of footnotes may crowd out,
/// and then the caption's footnotes.
fn notes(chart: &Bars, shown: &[Bar], every: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let all = chart.bars.len();
    if all > shown.len() {
        notes.push(format!("Only the first {} of {all} categories are drawn.", shown.len()));
    }
    if every > 1 {
        notes.push(format!("One category in {every} is named under the axis."));
    }
    let bare = shown.iter().filter(|bar| !drawable(bar.value)).count();
    if bare > 0 {
        let noun = frame::counted(bare, "category has", "categories have");
        notes.push(format!("{noun} no finite value: the count is drawn, without a bar."));
    }
    notes.extend(chart.caption.footnotes.iter().cloned());
    notes
}

/// How the names fit: level, else slanted, else upright, else only some of them.
fn names(bars: &[Bar], left: f64, right: f64) -> Names {
    let slot = slot(bars.len(), right - left);
    let longest = bars.iter().map(|bar| SMALL.width(&clean(&bar.label))).fold(0.0, f64::max);
    let room = slot - 10.0;
    if longest <= room {
        return Names { turn: 0.0, room, height: 26.0, every: 1 };
    }
    // Few bars leave room for a second line, which reads better than slanted names.
    if slot >= 100.0 {
        return Names { turn: 0.0, room, height: 42.0, every: 1 };
    }
    let every = (1..=bars.len()).find(|n| slot * length_of(*n) >= 13.0).unwrap_or(1);
    if slot >= 20.0 {
        let turn = -40.0_f64;
        let (sin, cos) = (0.642_787_6, 0.766_044_4);
        // The first name slants out to the left and has to stay on the page.
        let room = ((left + slot / 2.0 - 12.0) / cos).min(140.0);
        return Names { turn, room, height: longest.min(room) * sin + 24.0, every };
    }
    Names { turn: -90.0, room: 110.0, height: longest.min(110.0) + 16.0, every }
}

/// A number of things as a length.
fn length_of(count: usize) -> f64 {
    u64::try_from(count).map_or(f64::MAX, length)
}

/// The width a category has.
fn slot(bars: usize, width: f64) -> f64 {
    width / length_of(bars.max(1))
}

/// The middle of a category.
fn middle(plot: Plot, bars: usize, at: usize) -> f64 {
    plot.left + slot(bars, plot.width()) * (length_of(at) + 0.5)
}

fn bars(canvas: &mut Canvas, plot: Plot, axis: Axis, bars: &[Bar], prefix: &str) {
    let slot = slot(bars.len(), plot.width());
    let w = (slot * 0.7).clamp(1.0, 84.0);
    for (at, bar) in bars.iter().enumerate() {
        if !drawable(bar.value) || bar.value == 0.0 {
            continue;
        }
        let (zero, y) = (plot.y(axis, 0.0), plot.y(axis, bar.value));
        // A value that is there at all leaves a trace.
        let h = (zero - y).abs().max(1.6);
        let y = if bar.value > 0.0 { zero - h } else { zero };
        let x = middle(plot, bars.len(), at) - w / 2.0;
        let tale = format!("{}: {}, {} events", bar.label, compact(bar.value, prefix), bar.count);
        canvas.told(Rect { x, y, w, h }, BLUE, &tale);
    }
}

/// The counts: a line where the categories follow each other, else a dot each, since between them there is nothing.
fn counts_of(canvas: &mut Canvas, plot: Plot, axis: Axis, bars: &[Bar], is_series: bool) {
    let place = |(at, bar): (usize, &Bar)| (middle(plot, bars.len(), at), plot.y(axis, length(bar.count)));
    let places: Vec<(f64, f64)> = bars.iter().enumerate().map(place).collect();
    let mut data = String::new();
    for (at, (x, y)) in places.iter().enumerate() {
        data.push_str(&format!("{}{} {}", if at == 0 { "M" } else { "L" }, num(*x), num(*y)));
    }
    if is_series {
        // The white line under it keeps the line apart from the bars it crosses.
        canvas.path(&data, r##"fill="none" stroke="#ffffff" stroke-width="4" stroke-linejoin="round""##);
        canvas.path(&data, &format!(r#"fill="none" stroke="{RUST}" stroke-width="2" stroke-linejoin="round""#));
    }
    if bars.len() <= 80 || !is_series {
        for place in places {
            canvas.disc(place, if is_series { 3.6 } else { 5.5 }, RUST, "#ffffff");
        }
    }
}

fn labels(canvas: &mut Canvas, plot: Plot, names: Names, bars: &[Bar]) {
    let style = Style::new(SMALL, INK);
    for (at, bar) in bars.iter().enumerate().filter(|(at, _)| at % names.every == 0) {
        let (x, y) = (middle(plot, bars.len(), at), plot.bottom);
        let name = clean(&bar.label);
        let (name, style) =
            if name.is_empty() { ("(no name)".to_owned(), Style::new(SMALL, GREY)) } else { (name, style) };
        if names.turn == 0.0 {
            let mut y = y + 18.0;
            for line in SMALL.wrap(&name, names.room, 2) {
                canvas.text((x, y), style.at(Anchor::Middle), &line);
                y += 15.0;
            }
        } else {
            let name = SMALL.fit(&name, names.room);
            let (right, down) = if names.turn < -80.0 { (4.0, 8.0) } else { (5.0, 13.0) };
            canvas.text((x + right, y + down), style.at(Anchor::End).turned(names.turn), &name);
        }
    }
}
