//! What was found, as a picture.

use anyhow::bail;
use protocol::time::{DAY_US, HOUR_US, SECOND_US, TimeUs};

use super::{Findings, tables};
use crate::args::{By, Liquidations};
use crate::chart::{Bar, Bars, Caption, Chart, Point, Scales, Span, Timeline};
use crate::output;
use crate::table::Value;
use crate::text::count;

/// How many bars have room beside each other.
const MOST_BARS: usize = 200;
/// Shorter series are drawn by the hour, longer ones by the day.
const HOURLY_UP_TO_US: i64 = 10 * DAY_US;

/// Draws what `--png` and `--svg` ask for.
pub(super) fn draw(findings: &[Findings], args: &Liquidations) -> anyhow::Result<()> {
    if args.png.is_none() && args.svg.is_none() {
        return Ok(());
    }
    let [found] = findings else {
        bail!("a chart shows one dataset; name it with --dataset, or add reconciled ones up with --combine");
    };
    let chart =
        if args.by.is_empty() { Chart::Timeline(timeline(found, args)) } else { by_group(bars(found, args), args) };
    if let Some(path) = &args.svg {
        output::write_file(path, chart.svg().as_bytes())?;
    }
    if let Some(path) = &args.png {
        output::write_file(path, &chart.png()?)?;
    }
    Ok(())
}

fn bars(found: &Findings, args: &Liquidations) -> Bars {
    let label = |value: Value| {
        if let Value::Text(text) = value { text } else { "none given".to_owned() }
    };
    let bar = |(group, _): &&(engine::liquidations::Group, u64)| Bar {
        label: tables::labels(found, &args.by, &group.key).into_iter().map(label).collect::<Vec<_>>().join(" · "),
        value: dollars(group.sums.value_usd8(found.measure)),
        count: group.sums.count,
    };
    let bars: Vec<Bar> = tables::ordered(found, &args.by).iter().map(bar).collect();
    let period = match args.by[..] {
        [period @ (By::Day | By::Week | By::Month)] => Some(period),
        _ => None,
    };
    let bars = if let Some(period) = period { without_gaps(bars, period) } else { bars };
    Bars { caption: caption(found, args), scales: scales(found), bars, is_series: period.is_some() }
}

/// More periods than bars have room for are drawn along an axis of time.
fn by_group(bars: Bars, args: &Liquidations) -> Chart {
    let days = match args.by[..] {
        [By::Day] => 1,
        [By::Week] => 7,
        _ => return Chart::Bars(bars),
    };
    if bars.bars.len() <= MOST_BARS {
        return Chart::Bars(bars);
    }
    let point = |bar: &Bar| {
        let date = bar.label.parse::<jiff::civil::Date>().ok()?;
        let start = jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        Some(Point { start_s: start.as_second(), value: bar.value, count: bar.count })
    };
    Chart::Timeline(Timeline {
        points: bars.bars.iter().filter_map(point).collect(),
        caption: bars.caption,
        scales: bars.scales,
        bucket_s: days * DAY_US / SECOND_US,
        episodes: Vec::new(),
    })
}

/// Periods in which nothing happened have their place among the others, or the picture would lie about time.
fn without_gaps(bars: Vec<Bar>, period: By) -> Vec<Bar> {
    let mut whole: Vec<Bar> = Vec::new();
    for bar in bars {
        while let Some(next) =
            whole.last().and_then(|last| following(&last.label, period)).filter(|next| *next < bar.label)
        {
            whole.push(Bar { label: next, value: 0.0, count: 0 });
        }
        whole.push(bar);
    }
    whole
}

/// The label of the period after one: `2024-12` after `2024-11`, `2024-12-09` after `2024-12-02` by week.
fn following(label: &str, period: By) -> Option<String> {
    use jiff::ToSpan;
    if period == By::Month {
        let next = format!("{label}-01").parse::<jiff::civil::Date>().ok()?.checked_add(1.month()).ok()?;
        return Some(next.to_string().chars().take(7).collect());
    }
    let days = if period == By::Week { 7 } else { 1 };
    label.parse::<jiff::civil::Date>().ok()?.checked_add(days.days()).ok().map(|date| date.to_string())
}

fn timeline(found: &Findings, args: &Liquidations) -> Timeline {
    let total = &found.answer.total;
    let bucket_us = if total.last_us - total.first_us <= HOURLY_UP_TO_US { HOUR_US } else { DAY_US };
    let point = |hour: &engine::liquidations::episodes::Hour| Point {
        start_s: hour.start_us.div_euclid(bucket_us) * bucket_us / SECOND_US,
        value: dollars(hour.value_usd8),
        count: hour.count,
    };
    let span = |burst: &super::Burst| Span {
        from_s: burst.episode.from_us / SECOND_US,
        to_s: burst.episode.to_us / SECOND_US,
        label: TimeUs(burst.episode.from_us).to_string().chars().take(10).collect(),
    };
    Timeline {
        caption: caption(found, args),
        scales: scales(found),
        bucket_s: bucket_us / SECOND_US,
        points: found.hours.iter().map(point).collect(),
        episodes: found.episodes.iter().map(span).collect(),
    }
}

fn caption(found: &Findings, args: &Liquidations) -> Caption {
    let total = &found.answer.total;
    let day = |time_us: i64| TimeUs(time_us).to_string().chars().take(10).collect::<String>();
    let mut footnotes = Vec::new();
    let without = total.without_value(found.measure);
    if without > 0 {
        footnotes.push(format!(
            "{} of {} events have no US dollar value and are in the count only.",
            count(without),
            count(total.count)
        ));
    }
    let shown = found.answer.groups.len() as u64;
    if shown < found.answer.group_count {
        footnotes.push(format!(
            "The {} groups with the most value, of {}.",
            count(shown),
            count(found.answer.group_count)
        ));
    }
    if args.by.is_empty() && !found.episodes.is_empty() {
        footnotes.push(format!("Shaded: {}.", found.rule));
    }
    Caption {
        title: super::title(args).replace("Liquidations · by", "Liquidations by"),
        subtitle: format!(
            "{}, US dollars · {} to {} UTC",
            sentence(tables::measure_words(found.measure)),
            day(total.first_us),
            day(total.last_us)
        ),
        standing: format!("{} · {}", found.standing, found.name),
        footnotes,
    }
}

fn scales(found: &Findings) -> Scales {
    Scales {
        value_label: format!("{}, USD", sentence(tables::measure_words(found.measure))),
        value_prefix: "$".to_owned(),
        count_label: "Liquidations".to_owned(),
    }
}

fn sentence(words: &str) -> String {
    words.chars().take(1).flat_map(char::to_uppercase).chain(words.chars().skip(1)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a picture shows three digits")]
fn dollars(usd8: i128) -> f64 {
    usd8 as f64 / 1e8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_periods_keep_their_place() {
        let bar = |label: &str| Bar { label: label.to_owned(), value: 1.0, count: 1 };
        let check = |period, labels: &[&str], expected: &[&str]| {
            let whole = without_gaps(labels.iter().map(|label| bar(label)).collect(), period);
            assert_eq!(whole.iter().map(|bar| bar.label.as_str()).collect::<Vec<_>>(), expected);
            assert_eq!(whole.iter().map(|bar| bar.count).sum::<u64>(), labels.len() as u64);
        };
        check(By::Month, &["2024-10", "2025-01"], &["2024-10", "2024-11", "2024-12", "2025-01"]);
        check(By::Week, &["2024-12-23", "2025-01-06"], &["2024-12-23", "2024-12-30", "2025-01-06"]);
        check(By::Day, &["2024-02-28", "2024-03-01"], &["2024-02-28", "2024-02-29", "2024-03-01"]);
        check(By::Day, &["2024-02-28"], &["2024-02-28"]);
    }
}
