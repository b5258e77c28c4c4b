//! Texts of any origin, made safe to draw, and how wide they come out.

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// DejaVu Sans 2.37, cut down to Latin, Greek, Cyrillic and the signs the charts use.
pub(super) static REGULAR: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");
/// The bold face, cut down in the same way.
pub(super) static BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold-subset.ttf");

/// The longest label that is looked at; what follows could not be drawn anyway.
const LONGEST: usize = 400;

/// A face at a size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    /// Size in pixels.
    pub px: f64,
    /// Whether it is the bold face.
    pub bold: bool,
}

impl Type {
    /// The regular face.
    pub(super) const fn regular(px: f64) -> Self {
        Self { px, bold: false }
    }

    /// The bold face.
    pub(super) const fn bold(px: f64) -> Self {
        Self { px, bold: true }
    }

    /// How wide a text is in this type, without kerning.
    pub(super) fn width(self, text: &str) -> f64 {
        self.advances(text).iter().sum()
    }

    /// The text, or as much of it as fits before an ellipsis.
    pub(super) fn fit(self, text: &str, room: f64) -> String {
        let advances = self.advances(text);
        if advances.iter().sum::<f64>() <= room {
            return text.to_owned();
        }
        let mut left = room - self.width("…");
        let kept = text.chars().zip(advances).take_while(|(_, advance)| {
            left -= advance;
            left >= 0.0
        });
        let kept: String = kept.map(|(letter, _)| letter).collect();
        if kept.is_empty() { String::new() } else { format!("{}…", kept.trim_end()) }
    }

    /// The text broken at spaces into lines that fit, the last one ending in an ellipsis when
    /// there is more than `most` lines hold.
    pub(super) fn wrap(self, text: &str, room: f64, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut line = String::new();
        let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.peek() {
            let longer = if line.is_empty() { (*word).to_owned() } else { format!("{line} {word}") };
            if line.is_empty() || self.width(&longer) <= room {
                line = longer;
                words.next();
            } else if lines.len() + 1 >= most {
                // The line runs over on purpose: fitting it below puts the ellipsis in place.
                line = longer;
                break;
            } else {
                lines.push(std::mem::take(&mut line));
            }
        }
        if !line.is_empty() && most > 0 {
            lines.push(line);
        }
        lines.iter().map(|line| self.fit(line, room)).collect()
    }

    /// The advance of each character; one that the face lacks counts as wide as any.
    fn advances(self, text: &str) -> Vec<f64> {
        let wide = self.px * if self.bold { 1.1 } else { 1.0 };
        let Ok(font) = FontRef::new(if self.bold { BOLD } else { REGULAR }) else {
            return vec![wide; text.chars().count()];
        };
        let (letters, units) =
            (font.charmap(), f64::from(font.metrics(Size::unscaled(), LocationRef::default()).units_per_em));
        let glyphs = font.glyph_metrics(Size::unscaled(), LocationRef::default());
        let advance = |letter: char| {
            let glyph = letters.map(letter)?;
            Some(f64::from(glyphs.advance_width(glyph)?) * self.px / units)
        };
        text.chars().map(|letter| advance(letter).unwrap_or(wide)).collect()
    }
}

/// A text of any origin as one line of visible characters.
///
/// Control characters would make the XML malformed; characters that turn the reading direction or
/// have no width would let one label pass for another; stacked accents would run over the
/// neighbours.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::new();
    let mut accents = 0;
    for letter in text.chars().take(LONGEST) {
        accents = if is_accent(letter) { accents + 1 } else { 0 };
        if letter.is_whitespace() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else if !is_hidden(letter) && accents <= 1 {
            out.push(letter);
        }
    }
    let mut out = out.trim_end().to_owned();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// Marks that stack on the letter before them.
fn is_accent(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Controls, direction marks, zero widths, tags, private use and what XML does not admit.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{10ffff}')
}

/// A text as the content of an element or of a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}
