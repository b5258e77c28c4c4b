//! The chart over price levels: panels one under the other on one price axis, each of one standing.
//!
//! A bar spans the prices between its level and the one nearer to today's, and is as high as what that stretch adds. The
//! line is the sum from today's price outwards. Estimates are hatched and their band is shaded, so that exact and
//! estimated stay apart in grey too.

use super::axis::{Axis, compact, step_of};
use super::canvas::{Anchor, Canvas, GREY, GRID, INK, MARGIN, RULE, Rect, Style, WIDTH, num};
use super::frame::{self, Plot, SMALL, TINY};
use super::text::{Type, clean};
use super::{Band, Panel, PriceMap, drawable};

/// Shades of what a fall reaches, the first the strongest.
const FALLS: [&str; 4] = ["#2f6496", "#8db3d6", "#16395a", "#c5d9ea"];
/// Shades of what a rise reaches.
const RISES: [&str; 4] = ["#b9501b", "#e2a47f", "#74300d", "#f2d3c0"];
/// Lines of the sums.
const LINES: [&str; 2] = ["#16395a", "#74300d"];
/// Fill of a band.
const BAND: &str = "#6b7783";
/// Height of the prices' texts under the panels.
const TICKS: f64 = 52.0;
/// Most panels that have room.
const MOST_PANELS: usize = 4;
/// The most room that a name of the legend takes, so that two stand in a line.
const LONGEST_NAME: f64 = 440.0;
/// The type of a panel's heading.
const HEADING: Type = Type::bold(12.5);

/// The price axis.
#[derive(Debug, Clone, Copy)]
struct Prices {
    low: f64,
    high: f64,
    left: f64,
    right: f64,
}

impl Prices {
    fn x(self, price: f64) -> f64 {
        let part = (price.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        self.left + part * (self.right - self.left)
    }
}

/// Draws the chart.
pub(super) fn draw(chart: &PriceMap) -> String {
    let mut canvas = Canvas::default();
    let is_drawn = |panel: &&Panel| panel.reached.len() == chart.levels.len();
    let panels: Vec<&Panel> = chart.panels.iter().filter(is_drawn).take(MOST_PANELS).collect();
    // What a price can be, so that ratios and texts stay readable.
    let is_price = |price: &f64| (1e-9..=1e18).contains(price);
    let is_empty = chart.levels.is_empty()
        || panels.is_empty()
        || !is_price(&chart.today)
        || !chart.levels.iter().all(is_price)
        || !chart.levels.is_sorted();
    let top = frame::header(&mut canvas, &chart.caption, &[]) - 26.0;
    let notes = notes(chart, panels.len());
    let bottom = frame::footer(&mut canvas, &notes);
    if is_empty {
        frame::nothing(&mut canvas, top, bottom);
        return canvas.finish(&chart.caption.title);
    }
    let scales: Vec<[Axis; 2]> = panels.iter().map(|panel| axes(panel)).collect();
    let room = |side: usize| {
        let texts = panels.iter().zip(&scales).map(|(panel, axes)| frame::room_for(axes[side], &clean(&panel.prefix)));
        texts.fold(30.0, f64::max)
    };
    let (low, high) = span(chart);
    let prices = Prices { low, high, left: MARGIN + room(0) + 10.0, right: WIDTH - MARGIN - room(1) - 10.0 };
    let bottom = bottom - TICKS;
    #[expect(clippy::cast_precision_loss, reason = "there are four at most")]
    let height = (bottom - top) / panels.len() as f64;
    for ((panel, axes), row) in panels.iter().zip(&scales).zip(0_u8..) {
        let above = top + f64::from(row) * height;
        let legend = heading(&mut canvas, chart, panel, (above + 14.0, panels.len() > 2));
        let plot = Plot { left: prices.left, right: prices.right, top: legend + 16.0, bottom: above + height - 12.0 };
        under(&mut canvas, prices, plot);
        one(&mut canvas, chart, panel, (prices, plot, *axes));
        today(&mut canvas, chart, prices, plot);
    }
    price_texts(&mut canvas, chart, prices, bottom - 12.0);
    canvas.finish(&chart.caption.title)
}

/// The prices that the axis spans: the levels and today's, and some air where that is one price.
fn span(chart: &PriceMap) -> (f64, f64) {
    let (low, high) =
        chart.levels.iter().fold((chart.today, chart.today), |(low, high), price| (low.min(*price), high.max(*price)));
    let air = (high - low) * 0.01;
    if high - low > high * 1e-9 { (low - air, high + air) } else { (low * 0.99, high * 1.01) }
}

/// What the chart itself has to say, and then the caption's footnotes.
fn notes(chart: &PriceMap, drawn: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let missing: usize =
        chart.panels.iter().map(|panel| panel.reached.iter().filter(|one| value(**one).is_none()).count()).sum();
    if missing > 0 {
        notes
            .push(format!("{} no known value and nothing drawn.", frame::counted(missing, "level has", "levels have")));
    }
    if drawn < chart.panels.len() {
        let left = chart.panels.len() - drawn;
        notes.push(format!("{} no room here.", frame::counted(left, "series has", "series have")));
    }
    notes.extend(chart.caption.footnotes.iter().cloned());
    notes
}

fn value(value: Option<f64>) -> Option<f64> {
    value.filter(|value| drawable(*value))
}

/// The scales of the bars and of the sums.
fn axes(panel: &Panel) -> [Axis; 2] {
    let levels = panel.reached.len();
    let stacked = (0..levels).map(|at| stack(panel, at).last().map_or(0.0, |(_, _, to)| *to));
    let band = panel.bands.iter().flat_map(|band| band.low.iter().chain(&band.high)).filter_map(|one| value(*one));
    let reached = panel.reached.iter().filter_map(|one| value(*one)).chain(band);
    [Axis::of(stacked, 3), Axis::of(reached.map(|value| value.max(0.0)), 3)]
}

/// The parts of a level's bar: which part, from where, to where. What a level takes away again has no bar.
fn stack(panel: &Panel, at: usize) -> Vec<(usize, f64, f64)> {
    let mut from = 0.0;
    let mut parts = Vec::new();
    for (place, part) in panel.parts.iter().enumerate().take(FALLS.len()) {
        let step = part.steps.get(at).copied().flatten().and_then(|step| value(Some(step))).unwrap_or(0.0);
        if step > 0.0 {
            parts.push((place, from, from + step));
            from += step;
        }
    }
    parts
}

/// The panel's name, its standing, and what its marks mean, from a height down; gives back the height of the last line. The legend
/// stands beside the name where lines are dear and it fits, else in lines of its own.
fn heading(canvas: &mut Canvas, chart: &PriceMap, panel: &Panel, (y, is_dear): (f64, bool)) -> f64 {
    let badge = TINY.fit(&clean(&panel.badge), 240.0);
    let mut x = MARGIN;
    if !badge.is_empty() {
        let w = TINY.width(&badge) + 16.0;
        let (fill, edge) = if panel.is_exact { ("#eaf3ec", "#3d7a4e") } else { ("#fdf6e7", "#b98a24") };
        canvas.rect(Rect { x, y: y - 13.0, w, h: 18.0 }, fill, &format!(r#" rx="4" stroke="{edge}" stroke-width="1""#));
        canvas.text((x + 8.0, y), Style::new(TINY, INK), &badge);
        x += w + 10.0;
    }
    let legend = legend(chart, panel);
    let room: f64 = legend.iter().map(|(_, name)| wide(name)).sum();
    let title = clean(&panel.title);
    let is_beside = is_dear && HEADING.width(&title).max(80.0) + room + 16.0 <= WIDTH - MARGIN - x;
    let beside = if is_beside { room + 16.0 } else { 0.0 };
    canvas.text((x, y), Style::new(HEADING, INK), &HEADING.fit(&title, WIDTH - MARGIN - x - beside));
    if is_beside {
        names(canvas, panel, &legend, (WIDTH - MARGIN - room, y));
        return y;
    }
    let mut line = y;
    for (lead, row) in (0_u8..).zip(rows(&legend)) {
        line += if lead == 0 && !is_dear { 22.0 } else { 17.0 };
        names(canvas, panel, row, (MARGIN, line));
    }
    line
}

/// How wide a mark with its name is, and the room after it.
fn wide(name: &str) -> f64 {
    TINY.width(name) + 46.0
}

/// The legend in as few lines as hold it.
fn rows(legend: &[(Key, String)]) -> Vec<&[(Key, String)]> {
    let mut rows = Vec::new();
    let (mut from, mut taken) = (0, 0.0);
    for (at, (_, name)) in legend.iter().enumerate() {
        if at > from && taken + wide(name) > WIDTH - 2.0 * MARGIN {
            rows.push(&legend[from..at]);
            (from, taken) = (at, 0.0);
        }
        taken += wide(name);
    }
    rows.push(&legend[from..]);
    rows
}

/// One line of the legend.
fn names(canvas: &mut Canvas, panel: &Panel, legend: &[(Key, String)], (mut x, y): (f64, f64)) {
    for (mark, name) in legend {
        match mark {
            Key::Part(part) => {
                for (side, shades) in [FALLS, RISES].iter().enumerate() {
                    let fill = fill(canvas, shades[*part], panel.is_estimate);
                    let left = x + if side == 0 { 0.0 } else { 12.0 };
                    canvas.rect(Rect { x: left, y: y - 10.0, w: 11.0, h: 11.0 }, &fill, "");
                }
            }
            Key::Line => {
                canvas.line((x, y - 4.0), (x + 12.0, y - 4.0), LINES[0], 2.0);
                canvas.line((x + 12.0, y - 4.0), (x + 24.0, y - 4.0), LINES[1], 2.0);
            }
            Key::Band(at) => canvas.rect(Rect { x, y: y - 10.0, w: 24.0, h: 11.0 }, band_fill(*at), band_style(*at)),
        }
        canvas.text((x + 30.0, y), Style::new(TINY, GREY), name);
        x += wide(name);
    }
}

/// The first band is shaded, with an edge by which a thin one is seen; others are outlined.
fn band_fill(at: usize) -> &'static str {
    if at == 0 { BAND } else { "none" }
}

fn band_style(at: usize) -> &'static str {
    if at == 0 {
        r##" fill-opacity="0.3" stroke="#3f4a55" stroke-width="1.1""##
    } else {
        r##" stroke="#6b7783" stroke-width="1" stroke-dasharray="3 3""##
    }
}

enum Key {
    Part(usize),
    Line,
    Band(usize),
}

fn legend(chart: &PriceMap, panel: &Panel) -> Vec<(Key, String)> {
    let mut names: Vec<(Key, String)> = Vec::new();
    for (place, part) in panel.parts.iter().enumerate().take(FALLS.len()) {
        let name = TINY.fit(&clean(&part.name), LONGEST_NAME);
        let name = if name.is_empty() { "each level adds".to_owned() } else { name };
        let unit = if place == 0 { " (bars, left)" } else { "" };
        names.push((Key::Part(place), format!("{name}{unit}")));
    }
    let line = if chart.levels.len() > 1 { "sum from today's price (line, right)" } else { "sum (right)" };
    names.push((Key::Line, line.to_owned()));
    for (at, band) in panel.bands.iter().enumerate() {
        names.push((Key::Band(at), TINY.fit(&clean(&band.name), LONGEST_NAME)));
    }
    names
}

/// A plain or a hatched fill.
fn fill(canvas: &mut Canvas, colour: &'static str, hatched: bool) -> String {
    if hatched { canvas.hatch(colour) } else { colour.to_owned() }
}

/// The thin lines of the price axis.
fn under(canvas: &mut Canvas, prices: Prices, plot: Plot) {
    for price in ticks(prices) {
        let x = prices.x(price);
        canvas.line((x, plot.top), (x, plot.bottom), GRID, 1.0);
    }
}

/// One panel's scales, bars, band and lines.
fn one(canvas: &mut Canvas, chart: &PriceMap, panel: &Panel, (prices, plot, axes): (Prices, Plot, [Axis; 2])) {
    let prefix = clean(&panel.prefix);
    frame::grid(canvas, plot, axes[0]);
    for (axis, x, anchor) in [(axes[0], plot.left - 8.0, Anchor::End), (axes[1], plot.right + 8.0, Anchor::Start)] {
        for (value, text) in axis.ticks(&prefix) {
            canvas.text((x, plot.y(axis, value) + 4.0), Style::new(SMALL, GREY).at(anchor), &text);
        }
    }
    let below = chart.levels.partition_point(|price| *price < chart.today);
    for (at, level) in chart.levels.iter().enumerate() {
        let nearer = nearer(chart, below, at);
        let (from, to) = (prices.x(level.min(nearer)), prices.x(level.max(nearer)));
        let gap = if to - from > 5.0 { 0.5 } else { 0.0 };
        for (part, low, high) in stack(panel, at) {
            let shade = if at < below { FALLS[part] } else { RISES[part] };
            let fill = fill(canvas, shade, panel.is_estimate);
            let top = plot.y(axes[0], high);
            let bottom = plot.y(axes[0], low).max(top + 0.6);
            let name = panel.parts.get(part).map_or("", |part| &part.name);
            let said = format!("{} to {}: {} {name}", plain(nearer), plain(*level), compact(high - low, &prefix));
            let rect = Rect { x: from + gap, y: top, w: (to - from - 2.0 * gap).max(1.0), h: bottom - top };
            canvas.told(rect, &fill, &said);
        }
    }
    frame::ground(canvas, plot, axes[0]);
    for (at, of) in panel.bands.iter().enumerate() {
        band(canvas, chart, (at, of), (prices, plot, axes[1]));
    }
    for side in [0, 1] {
        line(canvas, chart, panel, (prices, plot, axes[1]), side);
    }
}

/// The neighbour of a level on the way to today's price.
fn nearer(chart: &PriceMap, below: usize, at: usize) -> f64 {
    let neighbour =
        if at < below { (at + 1 < below).then(|| at + 1) } else { at.checked_sub(1).filter(|at| *at >= below) };
    neighbour.and_then(|at| chart.levels.get(at)).copied().unwrap_or(chart.today)
}

/// The levels of a side, from today's price outwards.
fn outwards(chart: &PriceMap, side: usize) -> Vec<usize> {
    let below = chart.levels.partition_point(|price| *price < chart.today);
    if side == 0 { (0..below).rev().collect() } else { (below..chart.levels.len()).collect() }
}

/// The sum from today's price outwards, and what it comes to.
fn line(canvas: &mut Canvas, chart: &PriceMap, panel: &Panel, (prices, plot, axis): (Prices, Plot, Axis), side: usize) {
    let start = (prices.x(chart.today), plot.y(axis, 0.0));
    let mut data = format!("M{} {}", num(start.0), num(start.1));
    let mut last: Option<(f64, f64, f64)> = None;
    let mut is_down = true;
    for at in outwards(chart, side) {
        let Some(reached) = panel.reached.get(at).copied().and_then(value) else {
            is_down = false;
            continue;
        };
        let (x, y) = (prices.x(chart.levels[at]), plot.y(axis, reached));
        data.push_str(&format!("{}{} {}", if is_down { "L" } else { "M" }, num(x), num(y)));
        is_down = true;
        last = Some((x, y, reached));
    }
    let Some((x, y, reached)) = last else { return };
    canvas.path(
        &data,
        r##"fill="none" stroke="#ffffff" stroke-width="4" stroke-opacity="0.75" stroke-linejoin="round""##,
    );
    canvas.path(&data, &format!(r#"fill="none" stroke="{}" stroke-width="1.9" stroke-linejoin="round""#, LINES[side]));
    let text = compact(reached, &clean(&panel.prefix));
    let inside = if side == 0 { (x + 6.0, Anchor::Start) } else { (x - 6.0, Anchor::End) };
    let y = if y - plot.top < 16.0 { y + 16.0 } else { y - 7.0 };
    canvas.text((inside.0, y), Style::new(HEADING, LINES[side]).at(inside.1).haloed(), &text);
}

/// Between what a model's sums lie.
fn band(canvas: &mut Canvas, chart: &PriceMap, (at, of): (usize, &Band), (prices, plot, axis): (Prices, Plot, Axis)) {
    for side in [0, 1] {
        let known: Vec<(f64, f64, f64)> = outwards(chart, side)
            .into_iter()
            .filter_map(|at| Some((chart.levels[at], value(*of.low.get(at)?)?, value(*of.high.get(at)?)?)))
            .collect();
        if known.is_empty() {
            continue;
        }
        let point = |(price, value): (f64, f64)| format!("{} {}", num(prices.x(price)), num(plot.y(axis, value)));
        let upper: Vec<String> = known.iter().map(|(price, _, high)| point((*price, *high))).collect();
        let lower: Vec<String> = known.iter().rev().map(|(price, low, _)| point((*price, *low))).collect();
        let data = format!("M{}L{}L{}Z", point((chart.today, 0.0)), upper.join("L"), lower.join("L"));
        canvas.path(&data, &format!(r#"fill="{}"{}"#, band_fill(at), band_style(at)));
    }
}

/// The line at today's price.
fn today(canvas: &mut Canvas, chart: &PriceMap, prices: Prices, plot: Plot) {
    let data = format!("M{} {}V{}", num(prices.x(chart.today)), num(plot.top - 4.0), num(plot.bottom));
    canvas.path(&data, &format!(r#"fill="none" stroke="{INK}" stroke-width="1.4" stroke-dasharray="5 4""#));
}

/// Round prices that the axis shows.
fn ticks(prices: Prices) -> Vec<f64> {
    let step = step_of((prices.high - prices.low) / 10.0);
    let first = (prices.low / step).ceil();
    (0..24_u8).map(|tick| (first + f64::from(tick)) * step).take_while(|price| *price <= prices.high).collect()
}

/// The texts under the price axis: prices, and how far they are from today's.
fn price_texts(canvas: &mut Canvas, chart: &PriceMap, prices: Prices, bottom: f64) {
    let mut free = f64::MIN;
    for price in ticks(prices) {
        let (x, text) = (prices.x(price), plain(price));
        let change = (price / chart.today - 1.0) * 100.0;
        let change = format!("{}{:.0} %", if change < 0.0 { "\u{2212}" } else { "+" }, change.abs());
        let room = SMALL.width(&text).max(TINY.width(&change)) / 2.0;
        canvas.line((x, bottom), (x, bottom + 5.0), RULE, 1.0);
        if x - room < free || x + room > WIDTH - 4.0 {
            continue;
        }
        free = x + room + 8.0;
        canvas.text((x, bottom + 18.0), Style::new(SMALL, INK).at(Anchor::Middle), &text);
        canvas.text((x, bottom + 32.0), Style::new(TINY, GREY).at(Anchor::Middle), &change);
    }
    let face = Type::bold(11.0);
    let now = format!("now {}", plain(chart.today));
    let room = face.width(&now) / 2.0 + 4.0;
    let at = prices.x(chart.today).clamp(prices.left + room, prices.right - room);
    canvas.text((at, bottom + 46.0), Style::new(face, INK).at(Anchor::Middle), &now);
    // The name of the axis stands where today's price does not.
    let label = TINY.fit(&clean(&chart.price_label), 300.0);
    let is_left = at - room > MARGIN + TINY.width(&label) + 16.0;
    let (x, anchor) = if is_left { (MARGIN, Anchor::Start) } else { (WIDTH - MARGIN, Anchor::End) };
    canvas.text((x, bottom + 46.0), Style::new(TINY, GREY).at(anchor), &label);
}

/// A price in full with separators where it has at most nine digits before the point, else in short.
fn plain(price: f64) -> String {
    if !(1.0..1e9).contains(&price) {
        return compact(price, "$");
    }
    let decimals = if price < 100.0 { 2 } else { 0 };
    let text = format!("{price:.decimals$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if part.is_empty() { format!("${out}") } else { format!("${out}.{part}") }
}
