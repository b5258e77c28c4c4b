//! Scales with round steps, and numbers short enough to stand on them.

/// A minus sign as wide as the digits.
const MINUS: char = '\u{2212}';
/// Thousands and their letters.
const LETTERS: [&str; 5] = ["", "k", "M", "B", "T"];

/// A scale from `below` steps under zero to `above` steps over it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    /// Distance of two ticks.
    pub step: f64,
    /// Ticks under zero.
    pub below: u32,
    /// Ticks over zero.
    pub above: u32,
}

impl Axis {
    /// A scale that holds zero and all values in about `ticks` steps.
    pub(super) fn of(values: impl Iterator<Item = f64>, ticks: u32) -> Self {
        let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        let step = nice((high - low) / f64::from(ticks.max(1)), &[1.0, 2.0, 2.5, 5.0, 10.0]);
        let above = whole(high / step);
        let below = whole(-low / step);
        Self { step, below, above: if above + below == 0 { 1 } else { above } }
    }

    /// A scale for counts up to `most` with the ticks where this one has them, so that one grid
    /// serves both.
    pub(super) fn beside(self, most: u64) -> Self {
        let above = self.above.max(1);
        let round = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
        let mut step = nice(super::length(most) / f64::from(above), &round);
        if step < 1.0 {
            step = 1.0;
        } else if step < 10.0 {
            step = step.ceil();
        }
        Self { step, below: self.below, above }
    }

    /// Where a value stands, from 0 at the bottom to 1 at the top.
    pub(super) fn part(self, value: f64) -> f64 {
        let all = f64::from(self.below + self.above);
        ((value / self.step + f64::from(self.below)) / all).clamp(0.0, 1.0)
    }

    /// Each tick with its text, all in one unit and with as many decimals.
    pub(super) fn ticks(self, prefix: &str) -> Vec<(f64, String)> {
        let most = self.step * f64::from(self.above.max(self.below));
        // Up to a few thousand whole numbers read better in full: "1,250" and not "1.25k".
        let plain = most < 10_000.0 && self.step >= 1.0;
        let (unit, letter) = if plain { (1.0, Some("")) } else { unit(most) };
        let step = self.step / unit;
        let decimals = (0..4).find(|d| is_whole(step * 10_f64.powi(*d))).unwrap_or(4);
        let decimals = usize::try_from(decimals).unwrap_or(0);
        let range = -i64::from(self.below)..=i64::from(self.above);
        range
            .map(|tick| {
                let value = self.step * (tick as f64);
                let text = match tick {
                    0 => "0".to_owned(),
                    _ if letter.is_none() => format!("{value:e}"),
                    _ => format!("{:.decimals$}{}", value / unit, letter.unwrap_or_default()),
                };
                (value, signed(prefix, &if plain { grouped(&text) } else { text }))
            })
            .collect()
    }
}

/// A number in three significant digits and a letter for its thousands: "$48.2M", "350k".
pub(super) fn compact(value: f64, prefix: &str) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { format!("{prefix}0") } else { "no value".to_owned() };
    }
    // Rounding first, so that 999,999 reads as 1M and not as 1000k.
    let Ok(rounded) = format!("{value:.2e}").parse::<f64>() else {
        return format!("{prefix}{value}");
    };
    let (unit, Some(letter)) = unit(rounded.abs()) else {
        return signed(prefix, &format!("{rounded:e}"));
    };
    let scaled = rounded / unit;
    let decimals = match scaled.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 5,
    };
    let text = format!("{scaled:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    signed(prefix, &format!("{text}{letter}"))
}

/// A number under ten thousand with a comma after its thousands.
fn grouped(text: &str) -> String {
    let digits = text.find('.').unwrap_or(text.len());
    match digits.checked_sub(3) {
        Some(at) if text[..at].ends_with(|c: char| c.is_ascii_digit()) => {
            format!("{},{}", &text[..at], &text[at..])
        }
        _ => text.to_owned(),
    }
}

/// The unit that suits a size, with its letter; none for what letters do not reach.
fn unit(size: f64) -> (f64, Option<&'static str>) {
    if !(1e-3..1e15).contains(&size) {
        return (1.0, if size == 0.0 { Some("") } else { None });
    }
    let mut unit = 1.0;
    let mut letter = LETTERS[0];
    for next in &LETTERS[1..] {
        if size < unit * 1000.0 {
            break;
        }
        unit *= 1000.0;
        letter = next;
    }
    (unit, Some(letter))
}

/// The sign goes before the prefix: "−$5", not "$−5".
fn signed(prefix: &str, text: &str) -> String {
    match text.strip_prefix('-') {
        Some(size) => format!("{MINUS}{prefix}{size}"),
        None => format!("{prefix}{text}"),
    }
}

/// A round step of at least this length; of one where there is none.
pub(super) fn step_of(least: f64) -> f64 {
    nice(least, &[1.0, 2.0, 2.5, 5.0, 10.0])
}

/// The least round number that is not under `least`; `round` holds the mantissas to choose from.
fn nice(least: f64, round: &[f64]) -> f64 {
    if least < 1e-24 {
        return 1.0;
    }
    let power = 10_f64.powi(least_power(least));
    let fits = round.iter().map(|mantissa| mantissa * power).find(|step| *step >= least * (1.0 - 1e-9));
    fits.unwrap_or(power * 10.0)
}

/// The power of ten of a positive number, read off its decimal notation, which does not depend on
/// the platform's logarithm.
fn least_power(value: f64) -> i32 {
    let text = format!("{value:e}");
    text.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0)
}

/// Whether a number is whole but for rounding.
fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6
}

/// How many whole steps cover a length of a few steps.
fn whole(steps: f64) -> u32 {
    (0..1000).find(|n| f64::from(*n) >= steps - 1e-9).unwrap_or(1000)
}
