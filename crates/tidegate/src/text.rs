//! Text for people: hostile names made harmless, numbers made readable.

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

/// Twenty bytes as an address.
pub(crate) fn address(bytes: &[u8; 20]) -> String {
    hex(bytes)
}

/// Bytes as hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn grouped(number: u128) -> String {
    let digits = number.to_string();
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
    }
}
