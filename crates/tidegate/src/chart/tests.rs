//! What the charts promise: that they parse, are not blank, bear odd input and repeat themselves.

use protocol::amount::Usd8;
use protocol::standing::Standing;
use resvg::usvg::roxmltree::{Document, ParsingOptions};

use super::axis::{Axis, compact};
use super::canvas::num;
use super::text::{Type, clean, escape};
use super::{
    Band, Bar, Bars, Caption, Chart, Heat, Kind, Panel, Part, Point, PriceMap, Scales, Span, Step, Steps, Timeline,
    Waterfall, calendar, raster,
};

const DAY: i64 = 86_400;
/// 2021-01-01.
const START: i64 = 1_609_459_200;
/// Markup, an entity, a turned reading direction, a null, a bell, an escape, noncharacters, accents.
const HOSTILE: &str =
    "]]><b a='\"'>&amp;\u{202e}\u{2066}\0\u{7}\u{1b}[31m\u{ffff}\u{fffe}\u{200b}e\u{301}\u{302}\u{303} 漢字 🦀";

fn caption(title: &str) -> Caption {
    Caption {
        title: title.to_owned(),
        subtitle: "USD · all markets".to_owned(),
        standing: "imported · dataset v2".to_owned(),
        footnotes: vec!["147 events have no price and are not in the bars".to_owned()],
    }
}

fn scales() -> Scales {
    Scales {
        value_label: "Debt repaid, USD".to_owned(),
        value_prefix: "$".to_owned(),
        count_label: "Liquidations".to_owned(),
    }
}

fn bars(bars: Vec<Bar>) -> Chart {
    Chart::Bars(Bars { caption: caption("Bars"), scales: scales(), bars, is_series: true })
}

fn bar(label: &str, value: f64, count: u64) -> Bar {
    Bar { label: label.to_owned(), value, count }
}

fn timeline(bucket_s: i64, points: Vec<Point>, episodes: Vec<Span>) -> Chart {
    Chart::Timeline(Timeline { caption: caption("Timeline"), scales: scales(), bucket_s, points, episodes })
}

fn point(start_s: i64, value: f64, count: u64) -> Point {
    Point { start_s, value, count }
}

fn span(from_s: i64, to_s: i64, label: &str) -> Span {
    Span { from_s, to_s, label: label.to_owned() }
}

/// Levels around 100, and what each adds: more the farther it is, in so many parts.
fn panel(levels: usize, parts: usize, badge: &str, size: f64) -> Panel {
    let away = |at: usize| (at as f64 - levels as f64 / 2.0).abs() * size;
    let steps: Vec<Option<f64>> = (0..levels).map(|at| Some(away(at))).collect();
    let reached: Vec<Option<f64>> = (0..levels).map(|at| Some(away(at) * away(at) / size)).collect();
    let scaled = |by: f64| reached.iter().map(|value| value.map(|value| value * by)).collect::<Vec<_>>();
    Panel {
        title: format!("Loans of {badge} standing"),
        badge: badge.to_owned(),
        is_estimate: badge == "estimated",
        is_exact: badge == "exact",
        prefix: "$".to_owned(),
        parts: (0..parts).map(|part| Part { name: format!("part {part}"), steps: steps.clone() }).collect(),
        bands: if badge == "estimated" {
            let band = |name: &str, low, high| Band { name: name.to_owned(), low: scaled(low), high: scaled(high) };
            vec![band("what came after the like before", 0.2, 2.5), band("by leverages alone", 0.6, 1.5)]
        } else {
            Vec::new()
        },
        reached,
    }
}

fn price_map(levels: usize, panels: Vec<Panel>) -> PriceMap {
    PriceMap {
        caption: caption("Prices"),
        price_label: "Price of BTC, USD".to_owned(),
        today: 61_234.0,
        levels: (0..levels).map(|at| 61_234.0 * (0.5 + (at as f64 + 0.3) / levels as f64)).collect(),
        panels,
    }
}

fn heat(columns: usize, rows: usize) -> Heat {
    let cell = |x: usize, y: usize| Some(((x * 7 + y * y) % 97) as f64 * 1e5).filter(|_| (x + y) % 50 != 3);
    Heat {
        caption: caption("Heat"),
        value_label: "Notional, USD".to_owned(),
        prefix: "$".to_owned(),
        start_s: START,
        bucket_s: 3_600,
        levels: (0..rows).map(|row| 50_000.0 + 100.0 * row as f64).collect(),
        columns: (0..columns).map(|x| (0..rows).map(|y| cell(x, y)).collect()).collect(),
        price: (0..columns).map(|x| Some(50_000.0 + 3_000.0 * (1.0 + (x as f64 / 40.0).sin()))).collect(),
    }
}

fn step(kind: Kind, label: &str, usd: Option<i128>, standing: Standing) -> Step {
    Step { group: "A group of steps".to_owned(), label: label.to_owned(), kind, usd: usd.map(Usd8), standing }
}

/// The way of a bonus into a treasury, in cents.
fn bonus() -> Vec<Step> {
    let rows = [
        ("Liquidations", Kind::Total, "Gross bonus", Some(159_817_800), Standing::Exact),
        ("Liquidations", Kind::Change, "Protocol's liquidation fee", Some(-15_981_780), Standing::Exact),
        ("Liquidations", Kind::Change, "Feeds without an auction", Some(-11_234_567), Standing::Exact),
        ("Liquidations", Kind::Change, "Auction missed: taken after the cutoff", Some(-21_210_101), Standing::Observed),
        ("Liquidations", Kind::Change, "No price moved", Some(-400_000), Standing::Exact),
        ("Recapture", Kind::Total, "Routed through an auction", Some(110_991_352), Standing::Exact),
        ("Recapture", Kind::Change, "Kept by searchers", Some(-31_077_578), Standing::Estimated),
        ("Recapture", Kind::Change, "Builders' share", Some(-7_991_377), Standing::Estimated),
        ("Recapture", Kind::Total, "Recaptured", Some(71_922_397), Standing::Observed),
        ("Recapture", Kind::Change, "Network's share: 35 %", Some(-25_172_839), Standing::Observed),
        ("Treasury", Kind::Total, "Protocol's share: 65 %", Some(46_749_558), Standing::Imported),
        ("Treasury", Kind::Change, "Liquidation fee", Some(15_981_780), Standing::Exact),
        ("Treasury", Kind::Total, "Treasury's income", Some(62_731_338), Standing::Exact),
        ("Treasury", Kind::Use, "Loss buffer", Some(-31_365_669), Standing::Assumed),
        ("Treasury", Kind::Use, "Lending deposits", Some(-18_819_401), Standing::Assumed),
        ("Treasury", Kind::Use, "Incentives", Some(-9_409_700), Standing::Assumed),
        ("Treasury", Kind::Use, "Idle", Some(-3_136_568), Standing::Assumed),
    ];
    rows.into_iter()
        .map(|(group, kind, label, cents, standing)| Step {
            group: group.to_owned(),
            ..step(kind, label, cents.map(|cents: i128| cents * 1_000_000), standing)
        })
        .collect()
}

fn waterfall(steps: Vec<Step>) -> Chart {
    Chart::Waterfall(Waterfall { caption: caption("Waterfall"), steps: Steps::of(steps).unwrap() })
}

/// A chart of each kind and density.
fn examples() -> Vec<Chart> {
    let some = |n: u32| (0..n).map(|i| bar(&format!("token {i}"), 1e6 / f64::from(i + 1), u64::from(i * 7 % 13)));
    let days = |n: i64| (0..n).map(|i| point(START + i * DAY, f64::from(i32::try_from(i % 97).unwrap()), 3));
    let many = (0..15).map(|i| span(START + i * 100 * DAY, START + (i * 100 + 2) * DAY, "An episode")).collect();
    vec![
        bars(vec![bar("WBTC", 1_234_567.0, 17)]),
        bars(some(12).collect()),
        bars(some(30).collect()),
        bars(some(75).collect()),
        bars(some(400).collect()),
        timeline(DAY, days(1).collect(), vec![]),
        timeline(DAY, days(70).collect(), vec![span(START + 5 * DAY, START + 9 * DAY, "Crash")]),
        timeline(DAY, days(1826).collect(), many),
        Chart::PriceMap(price_map(1, vec![panel(1, 1, "exact", 1e6)])),
        Chart::PriceMap(price_map(41, vec![panel(41, 4, "exact", 1e6)])),
        Chart::PriceMap(price_map(200, vec![panel(200, 2, "exact", 1e6), panel(200, 3, "estimated", 3e7)])),
        Chart::PriceMap(price_map(
            400,
            vec![panel(400, 1, "exact", 1e3), panel(400, 1, "observed", 1e9), panel(400, 2, "estimated", 1e-3)],
        )),
        Chart::Heat(heat(2, 2)),
        Chart::Heat(heat(300, 120)),
        Chart::Heat(heat(2_000, 1_100)),
        waterfall(bonus()),
        waterfall(bonus().into_iter().take(3).collect()),
        waterfall(bonus().into_iter().cycle().take(17 * 3).map(|step| Step { usd: None, ..step }).collect()),
        timeline(3600, (0..72).map(|i| point(START + i * 3600, 1e5, 2)).collect(), vec![]),
    ]
}

/// Fails unless the text is well formed, is read as SVG, and keeps its texts and bars on the page.
fn check(chart: &Chart) -> String {
    let svg = chart.svg();
    let document = Document::parse_with_options(&svg, ParsingOptions::default()).expect(&svg);
    for name in ["NaN", "inf", "\u{202e}"] {
        assert!(!svg.contains(name), "{name} in {svg}");
    }
    for node in document.descendants().filter(|node| node.has_tag_name("rect")) {
        for side in ["width", "height"] {
            let size: f64 = node.attribute(side).unwrap().parse().unwrap();
            assert!((0.0..=1200.0).contains(&size), "{size} in {svg}");
        }
    }
    let tree = raster::tree(&svg).unwrap();
    assert_eq!((tree.size().width(), tree.size().height()), (1200.0, 675.0));
    let bounds = tree.root().abs_bounding_box();
    assert!(bounds.left() >= 0.0 && bounds.right() <= 1200.0, "{bounds:?}");
    assert!(bounds.top() >= 0.0 && bounds.bottom() <= 675.0, "{bounds:?}");
    svg
}

#[test]
fn every_kind_is_svg_and_repeats_itself() {
    for chart in examples() {
        assert_eq!(check(&chart), chart.clone().svg());
    }
}

#[test]
fn the_png_has_its_size_its_marks_and_its_letters() {
    let chart = bars(vec![bar("WBTC", 1_234_567.0, 17), bar("WETH", 5e5, 40)]);
    let png = chart.png().unwrap();
    assert_eq!(png, chart.png().unwrap());
    let pixels = resvg::tiny_skia::Pixmap::decode_png(&png).unwrap();
    assert_eq!((pixels.width(), pixels.height()), (2400, 1350));
    let shade = |red: u8, green: u8, blue: u8| {
        let same = |p: &&resvg::tiny_skia::PremultipliedColorU8| (p.red(), p.green(), p.blue()) == (red, green, blue);
        pixels.pixels().iter().filter(same).count()
    };
    let all = 2400 * 1350;
    assert!(shade(255, 255, 255) > all / 2, "a white ground");
    assert!(shade(0x3f, 0x74, 0xa8) > all / 100, "blue bars");
    assert!(shade(0xb9, 0x50, 0x1b) > 500, "a line and the texts of its scale");
    // Nothing but the title and the names are drawn in this colour: without a font there is none.
    assert!(shade(0x1f, 0x29, 0x33) > 500, "letters");
}

#[test]
fn nothing_to_draw_says_so() {
    let odd = vec![point(i64::MIN, 1.0, 1), point(i64::MAX, 1.0, 1)];
    for chart in [bars(vec![]), timeline(DAY, vec![], vec![span(0, 1, "x")]), timeline(DAY, odd, vec![])] {
        assert!(check(&chart).contains("No events"));
    }
}

/// No text of a chart over prices lies on another.
#[test]
fn texts_over_prices_stand_apart() {
    for (levels, panels) in [(1, 1), (2, 2), (41, 1), (200, 2), (900, 3), (41, 4)] {
        let badges = ["exact", "estimated", "observed", "imported"];
        let panels = badges.iter().take(panels).map(|badge| panel(levels, 4, badge, 1e6)).collect();
        for today in [1.0, 61_234.0, 1e7] {
            let chart = PriceMap { today, ..price_map(levels, Vec::clone(&panels)) };
            assert_texts_stand_apart(&check(&Chart::PriceMap(chart)));
        }
    }
}

/// Fails where a text of a chart lies on another; turned ones are left out.
pub(crate) fn assert_texts_stand_apart(svg: &str) {
    let document = Document::parse_with_options(svg, ParsingOptions::default()).unwrap();
    let boxes: Vec<(f64, f64, f64, f64, &str)> = document
        .descendants()
        .filter(|node| node.has_tag_name("text") && !node.has_attribute("transform"))
        .map(|node| {
            let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
            let face = Type { px: number("font-size"), bold: node.has_attribute("font-weight") };
            let text = node.text().unwrap_or_default();
            let width = face.width(text);
            let left = match node.attribute("text-anchor") {
                Some("middle") => number("x") - width / 2.0,
                Some("end") => number("x") - width,
                _ => number("x"),
            };
            (left, left + width, number("y") - face.px * 0.75, number("y"), text)
        })
        .collect();
    for (at, one) in boxes.iter().enumerate() {
        for other in &boxes[at + 1..] {
            let apart = one.1 <= other.0 || other.1 <= one.0 || one.3 <= other.2 || other.3 <= one.2;
            assert!(apart, "{} lies on {} in {svg}", one.4, other.4);
        }
    }
}

/// How high and where the bars are, as (y, height), by their tale's beginning.
fn heights(svg: &str) -> Vec<(String, f64, f64)> {
    let document = Document::parse_with_options(svg, ParsingOptions::default()).unwrap();
    let told = document.descendants().filter(|node| node.has_tag_name("rect"));
    told.filter_map(|node| {
        let tale = node.children().find(|child| child.has_tag_name("title"))?.text()?;
        let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
        Some((tale.split(':').next()?.to_owned(), number("y"), number("height")))
    })
    .collect()
}

#[test]
fn a_waterfall_falls_by_what_its_steps_say() {
    let svg = check(&waterfall(bonus()));
    assert_texts_stand_apart(&svg);
    let bars = heights(&svg);
    let steps = bonus();
    assert_eq!(bars.len(), steps.len());
    let scale = bars[0].2 / 1_598_178.0;
    for (at, ((_, y, height), step)) in bars.iter().zip(&steps).enumerate() {
        let usd = step.usd.unwrap().0 as f64 / 1e8;
        assert!((height - (usd.abs() * scale).max(1.6)).abs() < 0.02, "{}: {height}", step.label);
        // A fall begins where the bar before it ends: at the top of a total, at the foot of a fall.
        let Some(before) = at.checked_sub(1).map(|before| (&bars[before], &steps[before])) else { continue };
        let end = if before.1.kind == Kind::Total || before.1.usd.unwrap().0 > 0 {
            before.0.1
        } else {
            before.0.1 + before.0.2
        };
        let begins = if usd > 0.0 && step.kind != Kind::Total { y + height } else { *y };
        assert!((end - begins).abs() < 1.7, "{}: {end} and {begins}", step.label);
    }
    for text in
        ["exact", "observed", "estimated", "imported", "assumed", "$1.6M", "\u{2212}$160k", "10.0 %", "Recapture"]
    {
        assert!(svg.contains(&format!(">{text}<")), "{text} in {svg}");
    }
}

#[test]
fn what_is_unknown_in_a_waterfall_is_a_gap_and_no_bar() {
    let mut steps = bonus();
    steps[7].usd = None;
    let svg = check(&waterfall(steps));
    assert_texts_stand_apart(&svg);
    assert_eq!(heights(&svg).len(), bonus().len() - 1, "a gap is no bar");
    assert_eq!(svg.matches(">not known<").count(), 1, "{svg}");
    assert!(svg.contains("1 amount is not known and left open"), "{svg}");
    // Known to be nothing is something else: a bar of a line's height, with its zero.
    let mut steps = bonus();
    let Some(Usd8(moved)) = steps[7].usd.replace(Usd8(0)) else { panic!() };
    steps[6].usd = steps[6].usd.map(|usd| Usd8(usd.0 + moved));
    let svg = check(&waterfall(steps));
    assert_eq!(heights(&svg).len(), bonus().len());
    assert!(svg.contains(">$0<") && svg.contains(">0 %<") && !svg.contains(">not known<"), "{svg}");
}

#[test]
fn odd_waterfalls_neither_fail_nor_pass_in_silence() {
    assert!(check(&waterfall(vec![])).contains("No events"));
    for usd in [Some(0), Some(1), Some(-1), Some(i128::MAX), Some(i128::MIN), Some(i128::MAX / 3), None] {
        for standing in [Standing::Exact, Standing::Assumed] {
            check(&waterfall(vec![step(Kind::Change, "", usd, standing)]));
            let mut steps = vec![step(Kind::Total, "whole", usd, standing)];
            steps.extend((0..30).map(|at| step(Kind::Use, &format!("use {at}"), Some(-1), standing)));
            match Steps::of(steps) {
                Ok(steps) => {
                    let svg = check(&Chart::Waterfall(Waterfall { caption: caption("Odd"), steps }));
                    assert!(svg.contains("Only the first 26 of 31 steps are drawn."), "{svg}");
                }
                Err(_) => assert_eq!(usd, Some(i128::MIN)),
            }
        }
    }
    let huge = vec![step(Kind::Total, "huge", Some(i128::MAX), Standing::Exact)];
    assert!(check(&waterfall(huge)).contains("1 amount has no place on the scale."));
}

/// A source's name is read whole, however many there are.
#[test]
fn long_names_of_a_legend_are_not_cut() {
    for (panels, parts) in [(1, 1), (1, 4), (2, 4), (3, 2), (4, 4)] {
        let mut one = panel(41, parts, "estimated", 1e6);
        let name = |at: usize| format!("dataset number {at}: hyperliquid, positions seen from many accounts");
        one.parts.iter_mut().enumerate().for_each(|(at, part)| part.name = name(at));
        one.title = "Perpetuals in positions seen, dataset number one, 2026-02-05T22:00:00Z".to_owned();
        let svg = check(&Chart::PriceMap(price_map(41, vec![one; panels])));
        let said: Vec<String> = (0..parts).map(name).chain(["what came after the like before".to_owned()]).collect();
        for name in said {
            let texts = svg.matches(&format!(">{name}")).count();
            assert!(texts >= panels, "{name} at {panels} panels of {parts} parts");
        }
    }
}

#[test]
fn odd_maps_neither_fail_nor_pass_in_silence() {
    let odd = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, -5e6, 1e24, 5e-324];
    for value in odd {
        let mut one = panel(3, 1, "exact", 1.0);
        one.reached[1] = Some(value);
        one.parts[0].steps[1] = Some(value);
        (one.title, one.badge, one.prefix) = (HOSTILE.repeat(9), HOSTILE.repeat(9), HOSTILE.to_owned());
        one.parts[0].name = HOSTILE.repeat(9);
        check(&Chart::PriceMap(price_map(3, vec![one.clone()])));
        check(&Chart::PriceMap(PriceMap { today: value, ..price_map(3, vec![one]) }));
        let mut cells = heat(3, 3);
        (cells.columns[1][1], cells.price[1], cells.value_label) = (Some(value), Some(value), HOSTILE.repeat(9));
        check(&Chart::Heat(cells));
    }
    let mut unknown = panel(3, 1, "exact", 1.0);
    unknown.reached[0] = None;
    assert!(check(&Chart::PriceMap(price_map(3, vec![unknown]))).contains("1 level has no known value"));
    let nothing = [
        Chart::PriceMap(price_map(0, vec![])),
        Chart::PriceMap(price_map(3, vec![panel(2, 1, "exact", 1.0)])),
        Chart::Heat(heat(0, 0)),
        Chart::Heat(Heat { start_s: i64::MAX, ..heat(3, 3) }),
        Chart::Heat(Heat { levels: vec![2.0, 1.0], ..heat(3, 2) }),
    ];
    for chart in nothing {
        assert!(check(&chart).contains("No events"));
    }
}

/// From light to dark in even steps, so that grey tells as much as colour.
#[test]
fn the_scale_of_heat_is_even_in_grey() {
    let grey: Vec<f64> = (0..24)
        .map(|shade| {
            let colour = super::heat::colour(shade);
            let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap());
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        })
        .collect();
    let steps: Vec<f64> = grey.windows(2).map(|pair| pair[0] - pair[1]).collect();
    assert!(steps.iter().all(|step| (4.0..16.0).contains(step)), "{steps:?}");
}

#[test]
fn odd_values_neither_fail_nor_pass_in_silence() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, -0.0, -5e6, 1e24, 5e-324];
    let svg = check(&bars(odd.iter().map(|value| bar(HOSTILE, *value, u64::MAX)).collect()));
    assert!(svg.contains("4 categories have no finite value"), "{svg}");
    for value in odd {
        check(&bars(vec![bar("", value, 0)]));
        check(&timeline(DAY, vec![point(START, value, 0)], vec![]));
    }
    for bucket_s in [i64::MIN, -1, 0, 1, 7, DAY, 366 * DAY, i64::MAX] {
        let points = odd.iter().zip(0..).map(|(value, i)| point(START + i * DAY, *value, u64::MAX));
        let ends =
            [point(i64::MIN, 1.0, 1), point(i64::MAX, 1.0, 1), point(-62_135_596_800, 1.0, 1), point(START, 1.0, 1)];
        let episodes =
            vec![span(i64::MIN, i64::MAX, HOSTILE), span(START, START, ""), span(START + DAY, START, "back")];
        let svg = check(&timeline(bucket_s, points.chain(ends).collect(), episodes));
        assert!(svg.contains("cannot be drawn"), "{svg}");
    }
}

#[test]
fn hostile_texts_stay_texts() {
    let long = HOSTILE.repeat(200);
    for text in [HOSTILE, long.as_str(), &"W".repeat(5000), &"W ".repeat(5000), "\u{202e}"] {
        let caption = Caption {
            title: text.to_owned(),
            subtitle: text.to_owned(),
            standing: text.to_owned(),
            footnotes: vec![text.to_owned(); 9],
        };
        let scales =
            Scales { value_label: text.to_owned(), value_prefix: "<$>".to_owned(), count_label: text.to_owned() };
        for n in [1, 8, 30, 60, 300] {
            let bars = vec![bar(text, -3.0, 5); n];
            check(&Chart::Bars(Bars { caption: caption.clone(), scales: scales.clone(), bars, is_series: false }));
        }
        let points = (0..200).map(|i| point(START + i * DAY, 2.0, 5)).collect();
        let episodes = (0..60).map(|i| span(START + i * DAY, START + i * 2 * DAY, text)).collect();
        check(&Chart::Timeline(Timeline { caption: caption.clone(), scales, bucket_s: DAY, points, episodes }));
        let named = |step: Step| Step { group: text.to_owned(), label: text.to_owned(), ..step };
        let steps = Steps::of(bonus().into_iter().map(named).collect()).unwrap();
        check(&Chart::Waterfall(Waterfall { caption, steps }));
    }
}

#[test]
fn texts_are_cleaned_and_escaped() {
    assert_eq!(clean(" a\tb\r\n c\u{202e}\0 "), "a b c");
    assert_eq!(clean("e\u{301}\u{302}\u{303}"), "e\u{301}");
    assert_eq!(clean(&"x".repeat(900)).chars().count(), 401);
    assert_eq!(escape("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
}

#[test]
fn texts_are_cut_to_their_room() {
    let face = Type::regular(12.0);
    let cut = face.fit("a name that does not fit", 80.0);
    assert!(cut.ends_with('…') && face.width(&cut) <= 80.0, "{cut}");
    assert_eq!(face.fit("fits", 80.0), "fits");
    assert_eq!(face.fit("nothing fits here", 3.0), "");
    let lines = face.wrap("one two three four five six seven eight", 80.0, 2);
    assert_eq!(lines.len(), 2);
    assert!(lines[1].ends_with('…') && lines.iter().all(|line| face.width(line) <= 80.0), "{lines:?}");
    assert_eq!(face.wrap("", 80.0, 2), Vec::<String>::new());
}

/// The layout measures texts itself; the renderer has to agree, or labels would overlap.
#[test]
fn widths_are_those_of_the_renderer() {
    let text = "HHamburgefonstiv 0123456789H";
    for (face, weight) in [(Type::regular(20.0), 400), (Type::bold(20.0), 700)] {
        let svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='900' height='50'>\
             <text y='30' font-size='20' font-weight='{weight}'>{text}</text></svg>"
        );
        let drawn = f64::from(raster::tree(&svg).unwrap().root().abs_bounding_box().width());
        // The stems of the first and the last letter do not reach the ends of their advances.
        assert!((face.width(text) - drawn).abs() < 6.0, "{} is drawn as {drawn}", face.width(text));
    }
}

#[test]
fn numbers_are_compact() {
    let cases = [
        (0.0, "$0"),
        (-0.0, "$0"),
        (7.0, "$7"),
        (12.345, "$12.3"),
        (999.6, "$1k"),
        (350_000.0, "$350k"),
        (999_499.0, "$999k"),
        (999_999.0, "$1M"),
        (48_235_000.0, "$48.2M"),
        (1.2e9, "$1.2B"),
        (-1_250_000.0, "\u{2212}$1.25M"),
        (3e12, "$3T"),
        (1e18, "$1e18"),
        (0.05, "$0.05"),
        (2e-9, "$2e-9"),
        (f64::NAN, "no value"),
    ];
    for (value, text) in cases {
        assert_eq!(compact(value, "$"), text);
    }
    assert_eq!(num(-0.001), "0");
    assert_eq!(num(100.0), "100");
    assert_eq!(num(1.256), "1.26");
}

#[test]
fn scales_have_round_steps_and_hold_their_values() {
    let texts = |axis: Axis, prefix: &str| axis.ticks(prefix).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    let axis = Axis::of([1_234_567.0].into_iter(), 5);
    assert_eq!(texts(axis, "$"), ["$0", "$0.25M", "$0.50M", "$0.75M", "$1.00M", "$1.25M"]);
    assert_eq!(texts(axis.beside(3), ""), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(texts(axis.beside(1037), ""), ["0", "250", "500", "750", "1,000", "1,250"]);
    assert_eq!(texts(Axis::of([-2.0, 4.0].into_iter(), 3), "$"), ["\u{2212}$2", "$0", "$2", "$4"]);
    assert_eq!(texts(Axis::of([].into_iter(), 5), ""), ["0", "1"]);
    for (low, high) in [(0.0, 1e-20), (-1e24, 1e24), (-1.0, 0.0), (0.0, 99.9), (-3.0, 1e9), (5.0, 5.0)] {
        let axis = Axis::of([low, high].into_iter(), 5);
        let (below, above) = (f64::from(axis.below) * axis.step, f64::from(axis.above) * axis.step);
        assert!(-below <= low * (1.0 - 1e-8) && above >= high * (1.0 - 1e-8), "{low}..{high}: {axis:?}");
        assert!((1..=8).contains(&(axis.below + axis.above)), "{low}..{high}: {axis:?}");
    }
    for most in [0, 1, 9, 10, 11, 99, 12_345, u64::MAX] {
        let counts = axis.beside(most);
        assert!(counts.step * f64::from(counts.above) >= super::length(most) && counts.step.fract() == 0.0);
    }
}

#[test]
fn ticks_follow_the_calendar() {
    let texts = |from: i64, to: i64| {
        let ticks = calendar::ticks(from, to, 12).into_iter();
        ticks.map(|tick| format!("{} {}", tick.label, tick.under).trim().to_owned()).collect::<Vec<_>>()
    };
    let years = texts(START, START + 12 * 365 * DAY);
    assert_eq!(years[..3], ["2021", "2022", "2023"]);
    let halves = texts(START, START + 5 * 365 * DAY);
    assert_eq!(halves[..4], ["Jan 2021", "Jul", "Jan 2022", "Jul"]);
    let months = texts(START, START + 364 * DAY);
    assert_eq!((months.len(), months[0].as_str(), months[11].as_str()), (12, "Jan 2021", "Dec"));
    let days = texts(START + 25 * DAY, START + 70 * DAY);
    assert_eq!(days[..3], ["26 Jan 2021", "1 Feb", "6 Feb"]);
    let hours = texts(START + 20 * 3600, START + 3 * DAY);
    assert_eq!(hours[..3], ["00:00 2 Jan 2021", "06:00", "12:00"]);
    assert_eq!(texts(START, START + 10)[1], "00:00:01");
    // 29 February 2024 is a day like any other.
    assert_eq!(texts(1_709_078_400, 1_709_078_400 + 3 * DAY)[4], "00:00 29 Feb 2024");
    for span in (0..36).map(|power| 1_i64 << power) {
        let ticks = calendar::ticks(START, START + span, 12);
        assert!(ticks.len() <= 14, "{span}: {}", ticks.len());
        assert!(ticks.is_sorted_by(|a, b| a.at_s < b.at_s));
    }
    assert!(calendar::ticks(i64::MIN, i64::MAX, 12).is_empty());
}
