//! The chart of time and price: how much lay at each price at each time.
//!
//! The scale of colours is even to the eye: its steps are equal in the lightness of the Oklab space (B. Ottosson, *A
//! perceptual color space for image processing*, 2020), from near white to a dark blue, while the hue turns from yellow
//! over green. So it reads the same in grey, and in every common colour blindness.

use std::collections::BTreeMap;

use super::axis::{compact, step_of};
use super::calendar;
use super::canvas::{Anchor, Canvas, GREY, INK, MARGIN, RULE, Rect, Style, WIDTH, num};
use super::frame::{self, Plot, SMALL, TINY};
use super::text::clean;
use super::{Heat, drawable};

/// How many colours there are.
const SHADES: usize = 24;
/// Most columns and rows that are drawn; finer grids are put together, the largest of each shown.
const MOST: [usize; 2] = [480, 240];
/// What is not known.
const UNKNOWN: &str = "#d3d8de";

/// Draws the chart.
pub(super) fn draw(chart: &Heat) -> String {
    let mut canvas = Canvas::default();
    let top = frame::header(&mut canvas, &chart.caption, &[]) - 22.0;
    let grid = Grid::of(chart);
    let notes = notes(chart, grid.as_ref());
    let bottom = frame::footer(&mut canvas, &notes);
    let Some(grid) = grid else {
        frame::nothing(&mut canvas, top, bottom);
        return canvas.finish(&chart.caption.title);
    };
    let plot = Plot { left: MARGIN + 66.0, right: WIDTH - MARGIN - 110.0, top, bottom: bottom - 40.0 };
    cells(&mut canvas, &grid, plot);
    scales(&mut canvas, chart, &grid, plot);
    line(&mut canvas, chart, plot);
    legend(&mut canvas, chart, &grid, plot);
    canvas.finish(&chart.caption.title)
}

/// The cells as they are drawn.
struct Grid {
    /// By column, then by row from the lowest price.
    cells: Vec<Vec<Option<f64>>>,
    /// The value of the darkest colour.
    most: f64,
    /// The largest value of all.
    largest: f64,
    /// Whether several cells share one place.
    is_coarser: bool,
}

impl Grid {
    fn of(chart: &Heat) -> Option<Self> {
        let rows = chart.levels.len();
        let sane = |price: &f64| drawable(*price) && *price > 0.0;
        let is_ascending = chart.levels.windows(2).all(|pair| pair[0] < pair[1]);
        if rows < 2 || chart.columns.is_empty() || !chart.levels.iter().all(sane) || !is_ascending || chart.bucket_s < 1
        {
            return None;
        }
        let ends = chart.bucket_s.checked_mul(i64::try_from(chart.columns.len()).ok()?)?.checked_add(chart.start_s)?;
        if !calendar::has_date(chart.start_s) || !calendar::has_date(ends) {
            return None;
        }
        let by = [chart.columns.len().div_ceil(MOST[0]), rows.div_ceil(MOST[1])];
        let known = |cell: &Option<f64>| cell.filter(|value| drawable(*value) && *value >= 0.0);
        let mut cells = Vec::new();
        for columns in chart.columns.chunks(by[0]) {
            let row = |from: usize| {
                let all = columns.iter().flat_map(|column| column.iter().take(rows).skip(from).take(by[1]));
                all.filter_map(known).reduce(f64::max)
            };
            cells.push((0..rows).step_by(by[1]).map(row).collect::<Vec<_>>());
        }
        let mut values: Vec<f64> = cells.iter().flatten().flatten().copied().filter(|value| *value > 0.0).collect();
        values.sort_unstable_by(f64::total_cmp);
        let largest = values.last().copied()?;
        // A few huge cells would leave all others white.
        let most = values.get(values.len() * 99 / 100).copied().unwrap_or(largest);
        Some(Self { cells, most: if most > 0.0 { most } else { largest }, largest, is_coarser: by != [1, 1] })
    }

    fn shade(&self, value: f64) -> usize {
        let part = (value / self.most).clamp(0.0, 1.0);
        (1..SHADES).find(|shade| part * (SHADES as f64) < *shade as f64).map_or(SHADES - 1, |shade| shade - 1)
    }
}

fn notes(chart: &Heat, grid: Option<&Grid>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(grid) = grid {
        if grid.most < grid.largest {
            notes.push(format!(
                "The darkest colour begins at the 99th percentile; the largest cell is {}.",
                compact(grid.largest, &clean(&chart.prefix))
            ));
        }
        if grid.is_coarser {
            notes.push("Where several cells share one place, the largest is shown.".to_owned());
        }
        if grid.cells.iter().flatten().any(Option::is_none) {
            notes.push("Grey: not known.".to_owned());
        }
    }
    notes.extend(chart.caption.footnotes.iter().cloned());
    notes
}

/// Draws runs of one colour in a column as one rectangle, and all rectangles of a colour as one path.
fn cells(canvas: &mut Canvas, grid: &Grid, plot: Plot) {
    let rows = grid.cells.first().map_or(1, Vec::len);
    let (w, h) = (plot.width() / grid.cells.len() as f64, (plot.bottom - plot.top) / rows as f64);
    let mut paths: BTreeMap<Option<usize>, String> = BTreeMap::new();
    for (at, column) in grid.cells.iter().enumerate() {
        let shades: Vec<Option<usize>> = column.iter().map(|value| value.map(|value| grid.shade(value))).collect();
        let mut from = 0;
        while from < rows {
            let run = shades[from..].iter().take_while(|shade| **shade == shades[from]).count();
            let (x, y) = (plot.left + w * at as f64, plot.bottom - h * (from + run) as f64);
            // A hair of overlap, or the ground would shine through between neighbours.
            let (w, h) = (num(w + 0.3), num(h * run as f64 + 0.1));
            let data = format!("M{} {}h{w}v{h}h-{w}Z", num(x), num(y));
            paths.entry(shades[from]).or_default().push_str(&data);
            from += run;
        }
    }
    for (shade, data) in &paths {
        let fill = shade.map_or_else(|| UNKNOWN.to_owned(), colour);
        canvas.path(data, &format!(r#"fill="{fill}" shape-rendering="crispEdges""#));
    }
}

/// Where a price stands: rows are as high as each other, so between levels it goes with the rows.
fn y(chart: &Heat, plot: Plot, price: f64) -> f64 {
    let above = chart.levels.partition_point(|level| *level < price);
    let part = match (above.checked_sub(1).and_then(|at| chart.levels.get(at)), chart.levels.get(above)) {
        (Some(low), Some(high)) => (above as f64 - 1.0) + (price - low) / (high - low),
        (None, _) => 0.0,
        (Some(_), None) => chart.levels.len() as f64 - 1.0,
    };
    plot.bottom - (part + 0.5) / chart.levels.len() as f64 * (plot.bottom - plot.top)
}

/// Times and prices beside the cells.
fn scales(canvas: &mut Canvas, chart: &Heat, grid: &Grid, plot: Plot) {
    let (low, high) = (chart.levels[0], chart.levels[chart.levels.len() - 1]);
    let step = step_of((high - low) / 8.0);
    let first = (low / step).ceil();
    let prices = (0..24_u8).map(|tick| (first + f64::from(tick)) * step).take_while(|price| *price <= high);
    let mut free = f64::MAX;
    for price in prices {
        let at = y(chart, plot, price);
        if at + 6.0 > free {
            continue;
        }
        free = at - 8.0;
        canvas.line((plot.left - 5.0, at), (plot.left, at), RULE, 1.0);
        canvas.text((plot.left - 9.0, at + 4.0), Style::new(SMALL, INK).at(Anchor::End), &compact(price, "$"));
    }
    let ends = chart.start_s + chart.bucket_s * i64::try_from(chart.columns.len()).unwrap_or(0);
    let most = if grid.cells.len() > 1 { 9 } else { 2 };
    for tick in calendar::ticks(chart.start_s, ends, most) {
        let part = (tick.at_s - chart.start_s) as f64 / (ends - chart.start_s) as f64;
        if !(0.0..=1.0).contains(&part) {
            continue;
        }
        let x = plot.left + part * plot.width();
        canvas.line((x, plot.bottom), (x, plot.bottom + 5.0), RULE, 1.0);
        canvas.text((x, plot.bottom + 18.0), Style::new(SMALL, INK).at(Anchor::Middle), &tick.label);
        canvas.text((x, plot.bottom + 33.0), Style::new(TINY, GREY).at(Anchor::Middle), &tick.under);
    }
    let edge = Rect { x: plot.left, y: plot.top, w: plot.width(), h: plot.bottom - plot.top };
    canvas.rect(edge, "none", &format!(r#" stroke="{RULE}" stroke-width="1""#));
}

/// The price over time.
fn line(canvas: &mut Canvas, chart: &Heat, plot: Plot) {
    let w = plot.width() / chart.columns.len() as f64;
    let mut data = String::new();
    let mut is_down = false;
    let (low, high) = (chart.levels[0], chart.levels[chart.levels.len() - 1]);
    for (at, price) in chart.price.iter().take(chart.columns.len()).enumerate() {
        let Some(price) = price.filter(|price| drawable(*price) && (low..=high).contains(price)) else {
            is_down = false;
            continue;
        };
        let x = plot.left + w * (at as f64 + 0.5);
        data.push_str(&format!("{}{} {}", if is_down { "L" } else { "M" }, num(x), num(y(chart, plot, price))));
        is_down = true;
    }
    canvas.path(&data, r##"fill="none" stroke="#ffffff" stroke-width="4" stroke-linejoin="round""##);
    canvas.path(&data, r##"fill="none" stroke="#c2410c" stroke-width="1.8" stroke-linejoin="round""##);
}

/// The colours with their values.
fn legend(canvas: &mut Canvas, chart: &Heat, grid: &Grid, plot: Plot) {
    let (x, top, bottom) = (plot.right + 22.0, plot.top + 34.0, plot.bottom);
    let h = (bottom - top) / SHADES as f64;
    for shade in 0..SHADES {
        let y = bottom - h * (shade as f64 + 1.0);
        canvas.rect(Rect { x, y, w: 16.0, h: h + 0.2 }, &colour(shade), r#" shape-rendering="crispEdges""#);
    }
    canvas.rect(Rect { x, y: top, w: 16.0, h: bottom - top }, "none", &format!(r#" stroke="{RULE}" stroke-width="1""#));
    for quarter in 0..=4_u8 {
        let part = f64::from(quarter) / 4.0;
        let value = compact(grid.most * part, &clean(&chart.prefix));
        let text = if quarter == 4 && grid.most < grid.largest { format!("≥ {value}") } else { value };
        let y = bottom - (bottom - top) * part;
        canvas.text((x + 22.0, y + 4.0), Style::new(SMALL, INK), &text);
    }
    for (row, text) in TINY.wrap(&clean(&chart.value_label), 124.0, 2).iter().enumerate() {
        canvas.text((plot.right + 14.0, plot.top + 8.0 + 13.0 * row as f64), Style::new(TINY, GREY), text);
    }
}

/// A colour of the scale: lightness falls evenly, hue turns, and what the screen cannot show is greyed until it can.
pub(super) fn colour(shade: usize) -> String {
    let part = shade as f64 / (SHADES - 1) as f64;
    let lightness = 0.985 - part * 0.715;
    let hue = (105.0 + part * 160.0).to_radians();
    // No colour at the light end, most in the middle.
    let mut chroma = 0.145 * (part * std::f64::consts::PI * 0.86 + 0.06).sin();
    loop {
        let rgb = srgb(lightness, chroma * hue.cos(), chroma * hue.sin());
        if chroma < 0.002 || rgb.iter().all(|one| (0.0..=1.0).contains(one)) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
            let [r, g, b] = rgb.map(|one| (one.clamp(0.0, 1.0) * 255.0).round() as u8);
            return format!("#{r:02x}{g:02x}{b:02x}");
        }
        chroma *= 0.97;
    }
}

/// Oklab to sRGB, each of one.
fn srgb(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    let linear = [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ];
    linear.map(|one| if one <= 0.003_130_8 { one * 12.92 } else { 1.055 * one.powf(1.0 / 2.4) - 0.055 })
}
