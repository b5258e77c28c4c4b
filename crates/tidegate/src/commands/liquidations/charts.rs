//! What was found, as a picture.

use std::path::Path;

use anyhow::{Context, bail};
use protocol::time::{DAY_US, HOUR_US, SECOND_US, TimeUs};

use super::{Findings, tables};
use crate::args::Liquidations;
use crate::chart::{Bar, Bars, Caption, Chart, Point, Scales, Span, Timeline};
use crate::table::Value;
use crate::text::count;

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
        if args.by.is_empty() { Chart::Timeline(timeline(found, args)) } else { Chart::Bars(bars(found, args)) };
    let write = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes)
            .with_context(|| format!("cannot write {}; choose a place you may write to", path.display()))
    };
    if let Some(path) = &args.svg {
        write(path, chart.svg().as_bytes())?;
    }
    if let Some(path) = &args.png {
        write(path, &chart.png()?)?;
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
    Bars {
        caption: caption(found, args),
        scales: scales(found),
        bars: tables::ordered(found, &args.by).iter().map(bar).collect(),
    }
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
            "The {} groups of the most value, of {}.",
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
