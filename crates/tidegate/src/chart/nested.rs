//! The chart of wholes with their parts inside them, and a share on a second axis.

use super::axis::{Axis, compact};
use super::canvas::{Anchor, BLUE, Canvas, INK, MARGIN, RUST, Rect, SAND, Style, WIDTH, num};
use super::frame::{self, Mark, Plot, SMALL, Side};
use super::text::clean;
use super::{Nested, NestedBar, drawable, length};

/// More bars than this would be thinner than their outlines.
const MOST: usize = 120;
/// From the whole to the innermost part: how wide of the place, and in which colour.
const LAYERS: [(f64, &str); 3] = [(0.8, "#d6dde4"), (0.58, SAND), (0.36, BLUE)];

/// Draws the chart.
pub(super) fn draw(chart: &Nested) -> String {
    let mut canvas = Canvas::default();
    let shown = &chart.bars[chart.bars.len().saturating_sub(MOST)..];
    let prefix = clean(&chart.prefix);
    let axis = Axis::of(shown.iter().flat_map(|bar| bar.values).filter(|value| drawable(*value)), 5);
    let shares = axis.beside(100);
    let left = MARGIN + frame::room_for(axis, &prefix) + 8.0;
    let right = WIDTH - MARGIN - frame::room_for(shares, "") - 8.0;
    let legend = [(Mark::Line, format!("{} (right axis)", clean(&chart.line)))];
    let top = frame::header(&mut canvas, &chart.caption, if shown.is_empty() { &[] } else { &legend });
    let bottom = frame::footer(&mut canvas, &notes(chart, shown));
    if shown.is_empty() {
        frame::nothing(&mut canvas, top, bottom);
        return canvas.finish(&chart.caption.title);
    }
    names(&mut canvas, top - 24.0, &legend[0].1, &chart.names);
    let plot = Plot { left, right, top, bottom: bottom - 50.0 };
    frame::grid(&mut canvas, plot, axis);
    frame::scale(&mut canvas, plot, axis, &prefix, Side::Left);
    frame::scale(&mut canvas, plot, shares, "", Side::Right);
    bars(&mut canvas, plot, axis, shown, chart);
    frame::ground(&mut canvas, plot, axis);
    line(&mut canvas, plot, shares, shown);
    labels(&mut canvas, plot, shown);
    canvas.finish(&chart.caption.title)
}

/// What the chart itself has to say about its marks, and then the caption's footnotes.
fn notes(chart: &Nested, shown: &[NestedBar]) -> Vec<String> {
    let mut notes = Vec::new();
    let all = chart.bars.len();
    if all > shown.len() {
        notes.push(format!("Only the last {} of {all} are drawn.", shown.len()));
    }
    let bare = shown.iter().filter(|bar| !bar.values.iter().all(|value| drawable(*value))).count();
    if bare > 0 {
        let noun = frame::counted(bare, "place has", "places have");
        notes.push(format!("{noun} a value that is not finite: it is not drawn."));
    }
    notes.extend(chart.caption.footnotes.iter().cloned());
    notes
}

/// The names of the layers, after the legend's own line.
fn names(canvas: &mut Canvas, y: f64, line: &str, names: &[String; 3]) {
    let mut x = MARGIN + 29.0 + SMALL.width(line) * 1.1 + 40.0;
    for ((_, colour), name) in LAYERS.iter().zip(names) {
        let name = SMALL.fit(&clean(name), 200.0);
        canvas.rect(Rect { x, y: y - 10.0, w: 12.0, h: 12.0 }, colour, "");
        canvas.text((x + 19.0, y), Style::new(SMALL, INK), &name);
        x += 19.0 + SMALL.width(&name) + 26.0;
    }
}

/// A place's middle and how wide it is.
fn place(plot: Plot, bars: usize, at: usize) -> (f64, f64) {
    let number = |count: usize| u64::try_from(count).map_or(f64::MAX, length);
    let slot = plot.width() / number(bars.max(1));
    (plot.left + slot * (number(at) + 0.5), slot)
}

fn bars(canvas: &mut Canvas, plot: Plot, axis: Axis, bars: &[NestedBar], chart: &Nested) {
    for (at, bar) in bars.iter().enumerate() {
        let (middle, slot) = place(plot, bars.len(), at);
        for (((part, colour), value), name) in LAYERS.iter().zip(bar.values).zip(&chart.names) {
            if !drawable(value) || value == 0.0 {
                continue;
            }
            let w = (slot * part).clamp(1.0, 90.0 * part);
            let (zero, y) = (plot.y(axis, 0.0), plot.y(axis, value));
            // A value that is there at all leaves a trace.
            let h = (zero - y).abs().max(1.2);
            let y = if value > 0.0 { zero - h } else { zero };
            let tale = format!("{}: {name} {}", bar.label, compact(value, &chart.prefix));
            canvas.told(Rect { x: middle - w / 2.0, y, w, h }, colour, &tale);
        }
    }
}

/// The shares: a line that breaks where one is not known.
fn line(canvas: &mut Canvas, plot: Plot, axis: Axis, bars: &[NestedBar]) {
    let (mut data, mut discs, mut is_down) = (String::new(), Vec::new(), false);
    for (at, bar) in bars.iter().enumerate() {
        let Some(percent) = bar.percent.filter(|percent| drawable(*percent)) else {
            is_down = false;
            continue;
        };
        let point = (place(plot, bars.len(), at).0, plot.y(axis, percent));
        data.push_str(&format!("{}{} {}", if is_down { "L" } else { "M" }, num(point.0), num(point.1)));
        discs.push(point);
        is_down = true;
    }
    canvas.path(&data, r##"fill="none" stroke="#ffffff" stroke-width="4" stroke-linejoin="round""##);
    canvas.path(&data, &format!(r#"fill="none" stroke="{RUST}" stroke-width="2" stroke-linejoin="round""#));
    discs.into_iter().for_each(|point| canvas.disc(point, 3.6, RUST, "#ffffff"));
}

fn labels(canvas: &mut Canvas, plot: Plot, bars: &[NestedBar]) {
    let longest = bars.iter().map(|bar| SMALL.width(&clean(&bar.label))).fold(0.0, f64::max).min(140.0);
    let slot = place(plot, bars.len(), 0).1;
    let every = (1..=bars.len()).find(|every| slot * u64::try_from(*every).map_or(f64::MAX, length) >= longest + 10.0);
    let style = Style::new(SMALL, INK).at(Anchor::Middle);
    for (at, bar) in bars.iter().enumerate().step_by(every.unwrap_or(bars.len().max(1))) {
        let name = SMALL.fit(&clean(&bar.label), 140.0);
        canvas.text((place(plot, bars.len(), at).0, plot.bottom + 18.0), style, &name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Caption, Chart};
    use super::*;

    fn bar(label: &str, values: [f64; 3], percent: Option<f64>) -> NestedBar {
        NestedBar { label: label.to_owned(), values, percent }
    }

    fn svg(bars: Vec<NestedBar>) -> String {
        let names = ["All", "Auctioned", "Recaptured"].map(str::to_owned);
        let caption = Caption { title: "Nested".to_owned(), ..Caption::default() };
        let chart =
            Chart::Nested(Nested { caption, names, prefix: "$".to_owned(), line: "Coverage, %".to_owned(), bars });
        let svg = chart.svg();
        resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
        assert_eq!(svg, chart.svg());
        svg
    }

    #[test]
    fn parts_stand_inside_their_wholes_and_the_line_breaks_where_nothing_is_known() {
        let drawn = svg(vec![
            bar("a", [100.0, 50.0, 20.0], Some(50.0)),
            bar("b", [0.0, 0.0, 0.0], None),
            bar("c", [80.0, 8.0, 2.0], Some(10.0)),
        ]);
        assert_eq!(drawn.matches("<title>a: ").count(), 3);
        assert_eq!(drawn.matches("<title>b: ").count(), 0, "nothing leaves no trace");
        let line = drawn.lines().find(|line| line.contains("<path") && line.contains(RUST)).unwrap();
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 0), "{line}");
        assert_eq!(drawn.matches("<circle").count(), 3, "two shares and the legend's mark");
    }

    #[test]
    fn odd_values_neither_fail_nor_pass_in_silence() {
        assert!(svg(Vec::new()).contains("No events"));
        let drawn = svg(vec![bar("<b>&\u{202e}", [f64::NAN, f64::INFINITY, -3.0], Some(f64::NAN))]);
        assert!(drawn.contains("1 place has a value that is not finite"), "{drawn}");
        let many = (0..500).map(|at| bar(&at.to_string(), [1.0, 1.0, 1.0], Some(1.0))).collect();
        assert!(svg(many).contains("Only the last 120 of 500 are drawn."));
    }
}
