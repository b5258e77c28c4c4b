//! The chart over time: values above, counts below, on one calendar.
//!
//! The counts have a strip of their own under the values. Over one another, two series of a
//! thousand days hide each other.

mod episodes;

use std::collections::BTreeMap;

use super::axis::{Axis, compact};
use super::calendar::{self, Tick};
use super::canvas::{Anchor, BLUE, Canvas, GREY, GRID, INK, MARGIN, RULE, RUST, Rect, Style, WIDTH, num};
use super::frame::{self, Mark, Plot, SMALL, Side, TINY};
use super::text::clean;
use super::{Point, Timeline, drawable, length};

/// The least width of a bar that is still seen on its own.
const THINNEST: f64 = 1.4;
/// Height of the ticks' texts under the strip.
const TICKS: f64 = 40.0;

/// The buckets as they are drawn: in order, each start once, values finite.
#[derive(Debug)]
struct Buckets {
    bucket_s: i64,
    points: Vec<Point>,
    /// Buckets without a finite value.
    bare: usize,
    /// Buckets outside the calendar.
    lost: usize,
}

impl Buckets {
    fn of(chart: &Timeline) -> Self {
        let bucket_s = chart.bucket_s.clamp(1, 400 * 366 * 86_400);
        let (mut bare, mut lost) = (0, 0);
        let mut points: BTreeMap<i64, (f64, u64)> = BTreeMap::new();
        for point in &chart.points {
            if !calendar::has_date(point.start_s) || !calendar::has_date(point.start_s.saturating_add(bucket_s)) {
                lost += 1;
                continue;
            }
            let (value, count) = points.entry(point.start_s).or_default();
            *count = count.saturating_add(point.count);
            if drawable(point.value) {
                *value += point.value;
            } else {
                bare += 1;
            }
        }
        let points = points.into_iter().map(|(start_s, (value, count))| Point { start_s, value, count }).collect();
        Self { bucket_s, points, bare, lost }
    }

    /// The times the chart spans; a few buckets are given air on both sides.
    fn span(&self) -> Option<(i64, i64)> {
        let (first, last) = (self.points.first()?.start_s, self.points.last()?.start_s + self.bucket_s);
        let short = (self.bucket_s * 8 - (last - first)).max(0) / self.bucket_s;
        let air = (short + 1) / 2 * self.bucket_s;
        Some((first - air, last + air))
    }
}

/// The mapping of times to places on the page.
#[derive(Debug, Clone, Copy)]
struct Calendar {
    from_s: i64,
    to_s: i64,
    left: f64,
    right: f64,
}

impl Calendar {
    /// Where a time stands; what lies outside stands at the edge.
    fn x(self, at_s: i64) -> f64 {
        let part = (at_s.clamp(self.from_s, self.to_s) - self.from_s) as f64 / (self.to_s - self.from_s) as f64;
        self.left + part * (self.right - self.left)
    }
}

/// Draws the chart.
pub(super) fn draw(chart: &Timeline) -> String {
    let mut canvas = Canvas::default();
    let buckets = Buckets::of(chart);
    let Some((from_s, to_s)) = buckets.span() else {
        let top = frame::header(&mut canvas, &chart.caption, &[]);
        let bottom = frame::footer(&mut canvas, &notes(chart, &buckets, false));
        frame::nothing(&mut canvas, top, bottom);
        return canvas.finish(&chart.caption.title);
    };
    let prefix = clean(&chart.scales.value_prefix);
    let axis = Axis::of(buckets.points.iter().map(|point| point.value), 5);
    let most = buckets.points.iter().map(|point| point.count).max().unwrap_or(0);
    let counts = Axis { step: 1.0, below: 0, above: 3 }.beside(most);
    let left = MARGIN + frame::room_for(axis, &prefix) + 8.0;
    let right = WIDTH - MARGIN - frame::room_for(counts, "").max(26.0) - 8.0;
    let calendar = Calendar { from_s, to_s, left, right };
    let dense = calendar.x(from_s + buckets.bucket_s) - left < THINNEST;

    let episodes = episodes::place(&chart.episodes, calendar);
    let mut legend = frame::legend(&chart.scales);
    if !episodes.is_empty() {
        legend.push((Mark::Band, "Episodes".to_owned()));
    }
    legend.push((Mark::None, "Times in UTC".to_owned()));
    let top = frame::header(&mut canvas, &chart.caption, &legend) + episodes.height();
    let notes = notes(chart, &buckets, dense);
    let bottom = frame::footer(&mut canvas, &notes);
    let bottom = episodes.key(&mut canvas, bottom) - TICKS;
    let strip = ((bottom - top) * 0.24).max(40.0);
    let over = Plot { left, right, top, bottom: bottom - strip - 22.0 };
    let under = Plot { left, right, top: bottom - strip, bottom };

    episodes.bands(&mut canvas, top, bottom);
    grid(&mut canvas, calendar, (over, axis), (under, counts));
    frame::scale(&mut canvas, over, axis, &prefix, Side::Left);
    frame::scale(&mut canvas, under, counts, "", Side::Right);
    values(&mut canvas, calendar, over, (axis, &prefix), &buckets);
    frame::ground(&mut canvas, over, axis);
    line(&mut canvas, calendar, under, counts, &buckets);
    frame::ground(&mut canvas, under, counts);
    peaks(&mut canvas, calendar, over, (axis, &prefix), &buckets);
    episodes.marks(&mut canvas, top);
    canvas.finish(&chart.caption.title)
}

/// What the chart itself has to say about its marks, which no number of footnotes may crowd out,
/// and then the caption's footnotes.
fn notes(chart: &Timeline, buckets: &Buckets, dense: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if dense {
        notes.push("Where several buckets share one column of pixels, the largest is shown.".to_owned());
    }
    if buckets.bare > 0 {
        let noun = frame::counted(buckets.bare, "bucket has", "buckets have");
        notes.push(format!("{noun} no finite value: the count is drawn, without a bar."));
    }
    if buckets.lost > 0 {
        let noun = frame::counted(buckets.lost, "bucket lies", "buckets lie");
        notes.push(format!("{noun} outside the years 1 to 9999 and cannot be drawn."));
    }
    notes.extend(chart.caption.footnotes.iter().cloned());
    notes
}

/// Draws both grids and the calendar under them.
fn grid(canvas: &mut Canvas, calendar: Calendar, over: (Plot, Axis), under: (Plot, Axis)) {
    let most = [12_i64, 11, 10, 9, 8].into_iter().find(|n| over.0.width() / length(n.unsigned_abs()) >= 84.0);
    let ticks = calendar::ticks(calendar.from_s, calendar.to_s, most.unwrap_or(7));
    for Tick { at_s, label, under: belongs } in &ticks {
        let x = calendar.x(*at_s);
        for (plot, _) in [over, under] {
            canvas.line((x, plot.top), (x, plot.bottom), GRID, 1.0);
        }
        canvas.line((x, under.0.bottom), (x, under.0.bottom + 5.0), RULE, 1.0);
        let y = under.0.bottom + 18.0;
        canvas.text((x, y), Style::new(SMALL, INK).at(Anchor::Middle), label);
        canvas.text((x, y + 15.0), Style::new(TINY, GREY).at(Anchor::Middle), belongs);
    }
    frame::grid(canvas, over.0, over.1);
    frame::grid(canvas, under.0, under.1);
}

/// Draws the values as bars, or as columns that each show their largest where bars are too thin.
fn values(canvas: &mut Canvas, calendar: Calendar, plot: Plot, scale: (Axis, &str), buckets: &Buckets) {
    let (axis, prefix) = scale;
    let zero = plot.y(axis, 0.0);
    let wide = calendar.x(calendar.from_s + buckets.bucket_s) - plot.left;
    let reach = |value: f64| {
        let y = plot.y(axis, value);
        // A value that is there at all leaves a trace.
        if value > 0.0 { y.min(zero - 1.6) } else { y.max(zero + 1.6) }
    };
    if wide >= THINNEST {
        let w = if wide >= 4.0 { wide * 0.86 } else { wide };
        for point in buckets.points.iter().filter(|point| point.value != 0.0) {
            let x = calendar.x(point.start_s) + (wide - w) / 2.0;
            let y = reach(point.value);
            let rect = Rect { x, y: y.min(zero), w, h: (y - zero).abs() };
            let start = calendar::day_and_time(point.start_s);
            let value = compact(point.value, prefix);
            canvas.told(rect, BLUE, &format!("{start}: {value}, {} events", point.count));
        }
        return;
    }
    let mut columns: BTreeMap<(bool, u32), f64> = BTreeMap::new();
    for point in buckets.points.iter().filter(|point| point.value != 0.0) {
        let column = columns.entry((point.value > 0.0, column(calendar, plot, point.start_s))).or_insert(zero);
        let y = reach(point.value);
        *column = if point.value > 0.0 { column.min(y) } else { column.max(y) };
    }
    let mut data = String::new();
    for ((_, column), y) in &columns {
        data.push_str(&format!("M{} {}V{}", num(plot.left + f64::from(*column) + 0.5), num(zero), num(*y)));
    }
    canvas.path(&data, &format!(r#"fill="none" stroke="{BLUE}" stroke-width="{THINNEST}""#));
}

/// The column of a pixel's width a time falls in.
fn column(calendar: Calendar, plot: Plot, at_s: i64) -> u32 {
    let offset = (calendar.x(at_s) - plot.left).clamp(0.0, WIDTH);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the page's width")]
    let column = offset as u32;
    column
}

/// Draws the counts as a line that falls to zero where buckets are absent.
fn line(canvas: &mut Canvas, calendar: Calendar, plot: Plot, axis: Axis, buckets: &Buckets) {
    let half = buckets.bucket_s / 2;
    // Of the corners that fall in one column only the highest is kept, which bounds the text.
    let mut corners: BTreeMap<u32, (f64, u64)> = BTreeMap::new();
    let dense = calendar.x(calendar.from_s + buckets.bucket_s) - plot.left < THINNEST;
    let mut put = |order: u32, at_s: i64, count: u64| {
        let x = calendar.x(at_s.saturating_add(half));
        let key = if dense { column(calendar, plot, at_s) } else { order };
        let corner = corners.entry(key).or_insert((x, count));
        if count > corner.1 {
            *corner = (x, count);
        }
    };
    let mut order = 0;
    let mut next_s = calendar.from_s;
    for point in &buckets.points {
        if point.start_s > next_s {
            put(order, next_s, 0);
            put(order + 1, point.start_s - buckets.bucket_s, 0);
        }
        put(order + 2, point.start_s, point.count);
        order += 3;
        next_s = point.start_s.saturating_add(buckets.bucket_s);
    }
    if next_s < calendar.to_s {
        put(order, next_s, 0);
        put(order + 1, calendar.to_s - buckets.bucket_s, 0);
    }
    let (mut data, zero) = (String::new(), num(plot.y(axis, 0.0)));
    for (x, count) in corners.values() {
        let start = if data.is_empty() { "M" } else { "L" };
        data.push_str(&format!("{start}{} {}", num(*x), num(plot.y(axis, length(*count)))));
    }
    if let (Some((first, _)), Some((last, _))) = (corners.values().next(), corners.values().last()) {
        let area = format!("{data}L{} {zero}L{} {zero}Z", num(*last), num(*first));
        canvas.path(&area, &format!(r#"fill="{RUST}" fill-opacity="0.14""#));
    }
    let width = if dense { 1.1 } else { 1.6 };
    canvas.path(&data, &format!(r#"fill="none" stroke="{RUST}" stroke-width="{width}" stroke-linejoin="round""#));
    if buckets.points.len() <= 60 {
        for point in &buckets.points {
            let place = (calendar.x(point.start_s + half), plot.y(axis, length(point.count)));
            canvas.disc(place, 2.8, RUST, "#ffffff");
        }
    }
}

/// Names the tallest bars, which a reader asks about first.
fn peaks(canvas: &mut Canvas, calendar: Calendar, plot: Plot, scale: (Axis, &str), buckets: &Buckets) {
    let (axis, prefix) = scale;
    let mut tallest: Vec<&Point> = buckets.points.iter().filter(|point| point.value > 0.0).collect();
    tallest.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.start_s.cmp(&b.start_s)));
    let Some(most) = tallest.first().map(|point| point.value) else {
        return;
    };
    let wide = (calendar.x(calendar.from_s + buckets.bucket_s) - plot.left) / 2.0;
    let middle = |point: &Point| calendar.x(point.start_s.saturating_add(buckets.bucket_s / 2));
    let mut taken: Vec<f64> = Vec::new();
    for point in tallest.into_iter().take(40).filter(|point| point.value >= most * 0.3) {
        let x = middle(point);
        if taken.len() == 3 || taken.iter().any(|other| (other - x).abs() < 190.0) {
            continue;
        }
        let when = if buckets.bucket_s < 86_400 {
            calendar::day_and_time(point.start_s)
        } else {
            calendar::day(point.start_s)
        };
        let note = format!("{} · {when}", compact(point.value, prefix));
        let y = (plot.y(axis, point.value) + 9.0).min(plot.bottom - 6.0);
        let free = |from: f64, to: f64| {
            // A note may lie over the bands and the grid, never over another bar.
            let tall = |other: &&Point| plot.y(axis, other.value) < y + 4.0;
            let hit = |other: &Point| (from - wide..to + wide).contains(&middle(other));
            from > plot.left && to < plot.right && !buckets.points.iter().filter(tall).any(hit)
        };
        let (gap, length) = (wide + 6.0, TINY.width(&note));
        let style = Style::new(TINY, INK).haloed();
        if free(x + gap, x + gap + length) {
            canvas.text((x + gap, y), style, &note);
        } else if free(x - gap - length, x - gap) {
            canvas.text((x - gap, y), style.at(Anchor::End), &note);
        } else {
            continue;
        }
        taken.push(x);
    }
}
