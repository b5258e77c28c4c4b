//! Text for people: hostile names made harmless, numbers made readable.

use protocol::U256;
use protocol::amount::Usd8;

/// The longest a name is shown.
const LONGEST_NAME_CHARS: usize = 72;

/// A name from outside, safe to print: no control or direction-changing characters, no line breaks, of bounded length.
pub(crate) fn printable(name: &str) -> String {
    let mut shown: String = name.chars().filter(is_harmless).take(LONGEST_NAME_CHARS + 1).collect();
    if shown.chars().count() > LONGEST_NAME_CHARS {
        shown = shown.chars().take(LONGEST_NAME_CHARS - 1).chain(['…']).collect();
    }
    shown
}

/// A longer text with something from outside in it, such as a path or a reason, in one line and as harmless as a name.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { ' ' } else { c }).filter(is_harmless).collect()
}

fn is_harmless(c: &char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A whole number with thousands separators: `11,488`.
pub(crate) fn count(number: u64) -> String {
    grouped(u128::from(number))
}

/// A number of events in words: `1 event`, `2,642 events`.
pub(crate) fn events(number: u64) -> String {
    if number == 1 { "1 event".to_owned() } else { format!("{} events", count(number)) }
}

/// US dollars for reading: `$740,543,398` from a thousand up, else with cents, and what is below a cent as such.
pub(crate) fn usd(Usd8(usd8): Usd8) -> String {
    let sign = if usd8 < 0 { "-" } else { "" };
    let magnitude = usd8.unsigned_abs();
    if magnitude >= 100_000_000_000 {
        return format!("{sign}${}", grouped((magnitude + 50_000_000) / 100_000_000));
    }
    let cents = (magnitude + 500_000) / 1_000_000;
    if cents == 0 && magnitude > 0 {
        return format!("{sign}<$0.01");
    }
    format!("{sign}${}.{:02}", cents / 100, cents % 100)
}

/// A share of one in per cent: `42.6 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A decimal number, exact: `1500000000000000000` with 18 decimals is `1.5`.
pub(crate) fn exact_decimal(digits: U256, decimals: u8) -> String {
    let text = digits.to_string();
    let places = usize::from(decimals);
    let text = format!("{}{text}", "0".repeat((places + 1).saturating_sub(text.len())));
    let (whole, part) = text.split_at(text.len() - places);
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

/// The same for reading: with separators, and cut (never rounded up, so that a health factor below 1 does not read as 1)
/// to four digits behind the point, or to the first two that are not zero.
pub(crate) fn decimal(digits: U256, decimals: u8) -> String {
    let exact = exact_decimal(digits, decimals);
    let (whole, part) = exact.split_once('.').unwrap_or((&exact, ""));
    let zeros = part.len() - part.trim_start_matches('0').len();
    let kept = if whole == "0" { (zeros + 2).max(4) } else { 4 };
    let part = part.get(..kept).unwrap_or(part).trim_end_matches('0');
    let whole = separated(whole);
    if part.is_empty() { whole } else { format!("{whole}.{part}") }
}

/// Twenty bytes as an address.
pub(crate) fn address(bytes: &[u8; 20]) -> String {
    hex(bytes)
}

/// Bytes as hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn grouped(number: u128) -> String {
    separated(&number.to_string())
}

fn separated(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_could_deceive() {
        for (name, expected) in
            [("WETH", "WETH"), ("a\u{1b}[31mred\nline", "a[31mredline"), ("\u{202e}CDSU", "CDSU"), ("ü漢", "ü漢")]
        {
            assert_eq!(printable(name), expected);
        }
        assert_eq!(printable(&"x".repeat(500)).chars().count(), LONGEST_NAME_CHARS);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(11_488), "11,488");
        assert_eq!(count(7), "7");
        for (usd8, expected) in [
            (74_054_339_812_000_000, "$740,543,398"),
            (1_699_157_993, "$16.99"),
            (-250_000_000_000, "-$2,500"),
            (9_938, "<$0.01"),
            (0, "$0.00"),
            (99_999_999_999, "$1000.00"),
        ] {
            assert_eq!(usd(Usd8(usd8)), expected);
        }
        assert_eq!(percent(0.4261), "42.6 %");
        for (digits, decimals, exact, short) in [
            (1_500_000_000_000_000_000_u128, 18, "1.5", "1.5"),
            (999_999_999_999_999_999, 18, "0.999999999999999999", "0.9999"),
            (1_234_567_890_123, 6, "1234567.890123", "1,234,567.8901"),
            (1, 18, "0.000000000000000001", "0.000000000000000001"),
            (123, 18, "0.000000000000000123", "0.00000000000000012"),
            (0, 8, "0", "0"),
            (42, 0, "42", "42"),
            (100_000_000, 8, "1", "1"),
        ] {
            assert_eq!(
                (exact_decimal(U256::from(digits), decimals).as_str(), decimal(U256::from(digits), decimals).as_str()),
                (exact, short)
            );
        }
    }
}
