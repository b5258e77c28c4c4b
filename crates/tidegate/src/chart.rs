//! Charts a person would publish: plain data in, SVG text or PNG bytes out.
//!
//! The SVG is composed here rather than by a plotting library, because a chart needs two scales,
//! turned labels, numbered episodes and a footer that never overlap, and each of those is a matter
//! of knowing how wide a text is. The same input always gives the same bytes.

mod axis;
mod bars;
mod calendar;
mod canvas;
mod frame;
mod heat;
mod nested;
mod prices;
mod raster;
mod steps;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod waterfall;

pub(crate) use steps::{Kind, Step, Steps};
#[cfg(test)]
pub(crate) use tests::assert_texts_stand_apart;

/// What stands on every chart besides its marks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caption {
    /// What the chart shows, in bold at the top left.
    pub title: String,
    /// Units and filters, in grey under the title.
    pub subtitle: String,
    /// Where the numbers stand, such as "imported · dataset v2": the badge at the top right.
    pub standing: String,
    /// Remarks at the bottom, such as how many events have no price and are not in the bars.
    pub footnotes: Vec<String>,
}

/// What the two scales of a chart measure.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scales {
    /// Name of what the bars measure, such as "Debt repaid, USD".
    pub value_label: String,
    /// What stands before each value on the left scale: "$", or nothing.
    pub value_prefix: String,
    /// Name of what the line counts, such as "Liquidations".
    pub count_label: String,
}

/// Bars of a value per category, with a line of the event count on a second axis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bars {
    /// The texts around the marks.
    pub caption: Caption,
    /// The two scales.
    pub scales: Scales,
    /// The categories, drawn in the order given.
    pub bars: Vec<Bar>,
    /// Whether they follow each other, as months do: only then a line joins their counts.
    pub is_series: bool,
}

/// One category.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bar {
    /// Its name, of any origin: it is cleaned and shortened before it is drawn.
    pub label: String,
    /// Height of the bar. One that is not finite is not drawn, and a footnote says so.
    pub value: f64,
    /// How many events it holds.
    pub count: u64,
}

/// A value over time in bars, over a strip with the line of event counts, with shaded episodes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    /// The texts around the marks.
    pub caption: Caption,
    /// The two scales.
    pub scales: Scales,
    /// Length of a bucket in seconds; less than one reads as one.
    pub bucket_s: i64,
    /// The buckets, in any order; one that is absent holds no event, and two with one start add up.
    pub points: Vec<Point>,
    /// Times to shade behind the marks.
    pub episodes: Vec<Span>,
}

/// One bucket of time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Point {
    /// When the bucket starts, in seconds since 1970 UTC.
    pub start_s: i64,
    /// Height of its bar. One that is not finite is not drawn, and a footnote says so.
    pub value: f64,
    /// How many events it holds.
    pub count: u64,
}

/// An episode to shade.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span {
    /// When it starts, in seconds since 1970 UTC.
    pub from_s: i64,
    /// When it ends, in seconds since 1970 UTC.
    pub to_s: i64,
    /// Its name; the date of its start stands for an empty one.
    pub label: String,
}

/// What lies at each level of a price, in panels of one standing each.
#[derive(Debug, Clone, Default)]
pub(crate) struct PriceMap {
    /// The texts around the marks.
    pub caption: Caption,
    /// Name of the price axis, such as "Price of BTC, USD".
    pub price_label: String,
    /// Today's price.
    pub today: f64,
    /// The levels, ascending.
    pub levels: Vec<f64>,
    /// The panels, from the top.
    pub panels: Vec<Panel>,
}

/// A value at each level; none where it is not known.
pub(crate) type Known = Vec<Option<f64>>;

/// One panel over the price axis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panel {
    /// What it shows.
    pub title: String,
    /// How it is known, in a word or two.
    pub badge: String,
    /// An estimate is hatched.
    pub is_estimate: bool,
    /// What is exact has a badge of its own colour.
    pub is_exact: bool,
    /// What stands before each value: "$", or nothing.
    pub prefix: String,
    /// What each level adds to the one nearer to today's, in parts that are stacked.
    pub parts: Vec<Part>,
    /// What is reached at each level beyond what is at today's price.
    pub reached: Known,
    /// Between what that lies, the one to go by first: it is shaded, another is outlined.
    pub bands: Vec<Band>,
}

/// Between what sums lie.
#[derive(Debug, Clone, Default)]
pub(crate) struct Band {
    /// What it is of.
    pub name: String,
    /// The lower ends.
    pub low: Known,
    /// The upper ends.
    pub high: Known,
}

/// A part of the bars of a panel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// Its name.
    pub name: String,
    /// What it adds at each level.
    pub steps: Known,
}

/// How much lay at each price at each time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heat {
    /// The texts around the marks.
    pub caption: Caption,
    /// Name and unit of what the colours measure.
    pub value_label: String,
    /// What stands before each value: "$", or nothing.
    pub prefix: String,
    /// When the first column begins, in seconds since 1970 UTC.
    pub start_s: i64,
    /// Length of a column in seconds.
    pub bucket_s: i64,
    /// The prices of the rows, ascending, about evenly apart.
    pub levels: Vec<f64>,
    /// What lay there: by column, then by row; none where it is not known.
    pub columns: Vec<Vec<Option<f64>>>,
    /// The price in each column.
    pub price: Vec<Option<f64>>,
}

/// Where an amount goes, step by step: what it falls to as each takes his part, and what comes to it.
#[derive(Debug, Clone)]
pub(crate) struct Waterfall {
    /// The texts around the marks.
    pub caption: Caption,
    /// The steps, which add up.
    pub steps: Steps,
}

/// A whole with two parts inside each other for each of some places, and a share on a second axis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nested {
    /// The texts around the marks.
    pub caption: Caption,
    /// Names of the whole, the part in it, and the part in that.
    pub names: [String; 3],
    /// What stands before each value on the left scale: "$", or nothing.
    pub prefix: String,
    /// Name of the share on the right scale.
    pub line: String,
    /// The places, drawn in the order given.
    pub bars: Vec<NestedBar>,
}

/// One place.
#[derive(Debug, Clone, Default)]
pub(crate) struct NestedBar {
    /// Its name, of any origin.
    pub label: String,
    /// The whole, the part in it, and the part in that. One that is not finite is not drawn, and a footnote says so.
    pub values: [f64; 3],
    /// The share in per cent, where known.
    pub percent: Option<f64>,
}

/// A chart of any kind.
#[derive(Debug, Clone)]
pub(crate) enum Chart {
    /// A value per category.
    Bars(Bars),
    /// A value over time.
    Timeline(Timeline),
    /// What lies at each level of a price.
    PriceMap(PriceMap),
    /// How much lay at each price at each time.
    Heat(Heat),
    /// Where an amount goes.
    Waterfall(Waterfall),
    /// Wholes with their parts inside them.
    Nested(Nested),
}

impl Chart {
    /// The chart as SVG text, 1200 by 675.
    pub(crate) fn svg(&self) -> String {
        match self {
            Self::Bars(chart) => bars::draw(chart),
            Self::Timeline(chart) => timeline::draw(chart),
            Self::PriceMap(chart) => prices::draw(chart),
            Self::Heat(chart) => heat::draw(chart),
            Self::Waterfall(chart) => waterfall::draw(chart),
            Self::Nested(chart) => nested::draw(chart),
        }
    }

    /// The chart as a PNG of 2400 by 1350, drawn with the fonts this program carries.
    pub(crate) fn png(&self) -> anyhow::Result<Vec<u8>> {
        raster::png(&self.svg())
    }
}

/// Whether a value can be placed on a scale; the bound keeps sums and ratios of values finite.
fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() <= 1e24
}

/// A count as a length on a scale, where the last bits of a huge one do not show.
fn length(count: u64) -> f64 {
    count as f64
}
