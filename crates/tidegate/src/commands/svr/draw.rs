//! Recaptured bonuses by month, as a picture.

use engine::recapture::Route;
use engine::recapture::rates::{By, Fold, Key, Sums};
use protocol::amount::Usd8;
use protocol::time::{TimeUs, civil_from_day, day_from_civil};

use super::rows::Rows;
use super::tables;
use crate::args::SvrReport;
use crate::chart::{Caption, Chart, Nested, NestedBar};
use crate::output;
use crate::table::Value;
use crate::text;

/// Draws what `--png` and `--svg` ask for.
pub(super) fn draw(rows: &Rows, by_month: &Fold, args: &SvrReport) -> anyhow::Result<()> {
    if args.png.is_none() && args.svg.is_none() {
        return Ok(());
    }
    let chart = Chart::Nested(nested(rows, by_month, args));
    if let Some(path) = &args.svg {
        output::write_file(path, chart.svg().as_bytes())?;
    }
    if let Some(path) = &args.png {
        output::write_file(path, &chart.png()?)?;
    }
    Ok(())
}

fn nested(rows: &Rows, by_month: &Fold, args: &SvrReport) -> Nested {
    let mut bars = Vec::new();
    let mut next: Option<i64> = None;
    for (key, sums) in by_month.groups() {
        let [Key::Time(month)] = key.as_slice() else { continue };
        // Months in which nothing happened have their place among the others, or the picture would lie about time.
        while let Some(quiet) = next.filter(|quiet| *quiet < month.day()) {
            bars.push(bar(TimeUs::from_day(quiet), &Sums::default()));
            next = Some(month_after(quiet));
        }
        bars.push(bar(*month, sums));
        next = Some(month_after(month.day()));
    }
    let total = by_month.total();
    let rates = total.rates();
    let share = |ratio: engine::recapture::rates::Ratio| {
        ratio.ppm().map_or_else(|| "not known".to_owned(), |ppm| text::percent(ppm as f64 / 1e6))
    };
    let standing = total.standing.map_or_else(String::new, |standing| standing.to_string());
    Nested {
        caption: Caption {
            title: super::title("Recaptured of liquidation bonuses, by month", &args.source),
            subtitle: format!(
                "US dollars · recaptured {} of {} bonuses ({}), of which {} were auctioned ({})",
                text::usd(rates.of_all.part),
                text::usd(rates.of_all.whole),
                share(rates.of_all),
                text::usd(rates.coverage.part),
                share(rates.coverage)
            ),
            standing: format!("{standing} · dataset {}", rows.name),
            footnotes: footnotes(total),
        },
        names: ["All bonuses".to_owned(), "Auctioned".to_owned(), "Recaptured".to_owned()],
        prefix: "$".to_owned(),
        line: "Coverage, %".to_owned(),
        bars,
    }
}

fn footnotes(total: &Sums) -> Vec<String> {
    let mut notes = vec![
        "Coverage: auctioned of all bonuses. Recaptured: what came to protocol and network, after what builders kept."
            .to_owned(),
    ];
    if total.without_bonus > 0 {
        notes.push(format!("{} without a known bonus are not in the bars.", text::events(total.without_bonus)));
    }
    notes
}

fn bar(month: TimeUs, sums: &Sums) -> NestedBar {
    let label = tables::label(By::Month, &Key::Time(month));
    let label = if let Value::Text(label) = label { label } else { String::new() };
    let dollars = |usd8: i128| Usd8(usd8).0 as f64 / 1e8;
    NestedBar {
        label,
        values: [sums.bonus, sums.of(&Route::ROUTED).bonus, sums.recaptured].map(dollars),
        percent: sums.rates().coverage.ppm().map(|ppm| ppm as f64 / 1e4),
    }
}

/// The first day of the month after that of a day.
fn month_after(day: i64) -> i64 {
    let mut date = civil_from_day(day);
    (date.day, date.month) = (1, date.month + 1);
    if date.month > 12 {
        (date.month, date.year) = (1, date.year + 1);
    }
    day_from_civil(date)
}
