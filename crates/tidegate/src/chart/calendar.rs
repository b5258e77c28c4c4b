//! Ticks of a time axis at steps of the calendar, in UTC.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::Offset;

/// Where a time axis carries a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// Seconds since 1970.
    pub at_s: i64,
    /// What changes from tick to tick: "06:00", "19 May", "May" or "2021".
    pub label: String,
    /// What it belongs to, said where it changes: the day, the year or nothing.
    pub under: String,
}

/// A step of the calendar.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// So many seconds, a divisor of a day.
    Seconds(i64),
    /// So many days, counted anew in every month.
    Days(i8),
    /// So many months, a divisor of a year.
    Months(i8),
    /// So many years.
    Years(i16),
}

const DAY: i64 = 86_400;

/// The steps, from the finest, each with about how many seconds it takes.
const STEPS: [(Step, i64); 27] = [
    (Step::Seconds(1), 1),
    (Step::Seconds(5), 5),
    (Step::Seconds(15), 15),
    (Step::Seconds(30), 30),
    (Step::Seconds(60), 60),
    (Step::Seconds(300), 300),
    (Step::Seconds(900), 900),
    (Step::Seconds(1800), 1800),
    (Step::Seconds(3600), 3600),
    (Step::Seconds(7200), 7200),
    (Step::Seconds(10_800), 10_800),
    (Step::Seconds(21_600), 21_600),
    (Step::Seconds(43_200), 43_200),
    (Step::Days(1), DAY),
    (Step::Days(2), 2 * DAY),
    (Step::Days(5), 5 * DAY),
    (Step::Days(10), 10 * DAY),
    (Step::Months(1), 30 * DAY),
    (Step::Months(2), 60 * DAY),
    (Step::Months(3), 91 * DAY),
    (Step::Months(6), 182 * DAY),
    (Step::Years(1), 365 * DAY),
    (Step::Years(2), 730 * DAY),
    (Step::Years(5), 1826 * DAY),
    (Step::Years(10), 3652 * DAY),
    (Step::Years(100), 36_524 * DAY),
    (Step::Years(1000), 365_242 * DAY),
];

/// The ticks from one time to another, at most about `most` of them.
pub(super) fn ticks(from_s: i64, to_s: i64, most: i64) -> Vec<Tick> {
    let span = to_s.saturating_sub(from_s);
    let fits = STEPS.iter().find(|(_, takes)| span / takes <= most.max(1));
    let step = fits.map_or(Step::Years(1000), |(step, _)| *step);
    let mut under = String::new();
    let mut out = Vec::new();
    for at_s in places(step, from_s, to_s) {
        let Some(at) = moment(at_s) else { continue };
        let (label, belongs) = name(step, at);
        let says = if belongs == under { String::new() } else { belongs.clone() };
        under = belongs;
        out.push(Tick { at_s, label, under: says });
    }
    out
}

/// The date of a time in words, such as "19 May 2021", for notes beside marks.
pub(super) fn day(at_s: i64) -> String {
    moment(at_s).map_or_else(String::new, |at| at.strftime("%-d %b %Y").to_string())
}

/// The date and, where it matters, the time of day.
pub(super) fn day_and_time(at_s: i64) -> String {
    moment(at_s).map_or_else(String::new, |at| at.strftime("%-d %b %Y %H:%M").to_string())
}

/// Whether a time has a date at all.
pub(super) fn has_date(at_s: i64) -> bool {
    moment(at_s).is_some_and(|at| at.year() >= 1)
}

fn moment(at_s: i64) -> Option<DateTime> {
    Timestamp::from_second(at_s).ok().map(|at| Offset::UTC.to_datetime(at))
}

fn second(at: Date) -> Option<i64> {
    Offset::UTC.to_timestamp(at.to_datetime(Time::midnight())).ok().map(Timestamp::as_second)
}

fn name(step: Step, at: DateTime) -> (String, String) {
    let (label, under) = match step {
        Step::Seconds(step) if step < 60 => ("%H:%M:%S", "%-d %b %Y"),
        Step::Seconds(_) => ("%H:%M", "%-d %b %Y"),
        Step::Days(_) => ("%-d %b", "%Y"),
        Step::Months(_) => ("%b", "%Y"),
        Step::Years(_) => ("%Y", ""),
    };
    (at.strftime(label).to_string(), at.strftime(under).to_string())
}

/// The times of a step from one time to another.
fn places(step: Step, from_s: i64, to_s: i64) -> Vec<i64> {
    let (Some(first), Some(last)) = (moment(from_s), moment(to_s)) else {
        return Vec::new();
    };
    let inside = |at: &i64| (from_s..=to_s).contains(at);
    match step {
        Step::Seconds(step) => {
            let start = from_s.div_euclid(step) * step;
            (0..).map(|n| start + n * step).take_while(|at| *at <= to_s).filter(inside).collect()
        }
        Step::Days(step) => {
            let days = first.date().series(jiff::Span::new().days(1)).take_while(|day| *day <= last.date());
            // A step that ends less than half of itself before the next month would crowd the first.
            let kept = days.filter(|day| {
                let into = day.day() - 1;
                into % step == 0 && day.days_in_month() - into > step / 2
            });
            kept.filter_map(second).filter(inside).collect()
        }
        Step::Months(step) => (first.year()..=last.year())
            .flat_map(|year| (1..=12_i8).map(move |month| (year, month)))
            .filter(|(_, month)| (month - 1) % step == 0)
            .filter_map(|(year, month)| second(date(year, month, 1)))
            .filter(inside)
            .collect(),
        Step::Years(step) => (first.year()..=last.year())
            .filter(|year| year % step == 0)
            .filter_map(|year| second(date(year, 1, 1)))
            .filter(inside)
            .collect(),
    }
}
