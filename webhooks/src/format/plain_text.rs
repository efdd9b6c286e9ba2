//! Makes any string safe to show: one line, bounded, without signs that reorder or command.

/// The longest name that a sentence shows.
pub(super) const NAME_CHARS_MAX: usize = 120;

/// What is shown of a text that was cut.
const ELLIPSIS: char = '…';

/// A text on one line, at most `chars_max` characters, without control characters and without the invisible signs that
/// turn the writing direction of what follows. Text in a right-to-left script is isolated, so that a number or an arrow
/// beside it keeps its place.
pub(super) fn clean(text: &str, chars_max: usize) -> String {
    let mut chars = text
        .chars()
        .filter(|c| !turns_direction(*c))
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c });
    let mut cut: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        cut.pop();
        cut.push(ELLIPSIS);
    }
    if cut.chars().any(is_right_to_left) { format!("\u{2068}{cut}\u{2069}") } else { cut }
}

/// A name as a sentence shows it, in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", clean(name, NAME_CHARS_MAX))
}

/// Embedding, override and isolate controls, and the marks (Unicode Standard Annex 9, section 2).
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The blocks of right-to-left scripts: Hebrew to Arabic Extended-A, their presentation forms, the supplementary ones.
fn is_right_to_left(c: char) -> bool {
    matches!(
        c,
        '\u{0590}'..='\u{08FF}'
            | '\u{FB1D}'..='\u{FDFF}'
            | '\u{FE70}'..='\u{FEFC}'
            | '\u{10800}'..='\u{10FFF}'
            | '\u{1E800}'..='\u{1EFFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_bounded_line() {
        let check = |text: &str, expected: &str| assert_eq!(clean(text, 10), expected, "{text:?}");
        check("checkout", "checkout");
        check("0123456789", "0123456789");
        check("0123456789a", "012345678…");
        check("a\nb\tc\0", "a b c ");
        check("\u{202E}gnp.exe", "gnp.exe");
        check("דגל", "\u{2068}דגל\u{2069}");
        check("👩‍👩‍👧", "👩‍👩‍👧");
    }
}
