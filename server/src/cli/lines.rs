//! The lines of a text file, packed or not, each bounded.

use std::io::{BufRead, Read};

/// One line.
#[derive(Debug, Eq, PartialEq)]
pub enum Line {
    /// Its bytes, without the line end.
    Whole(Vec<u8>),
    /// It is longer than a line may be; the rest of it was skipped.
    TooLong,
}

/// Reads the next line of at most `bytes_max` bytes; `None` at the end.
pub fn next(reader: &mut impl BufRead, bytes_max: usize) -> std::io::Result<Option<Line>> {
    let mut line = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    if reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > bytes_max {
        reader.skip_until(b'\n')?;
        return Ok(Some(Line::TooLong));
    }
    Ok(Some(Line::Whole(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_skipped_and_their_neighbours_are_not() {
        let mut text = &b"ab\n\nabcd\nabcde\nabcdefghijk\nx"[..];
        let mut lines = Vec::new();
        while let Some(line) = next(&mut text, 4).unwrap() {
            lines.push(line);
        }
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(lines, [whole("ab"), whole(""), whole("abcd"), Line::TooLong, Line::TooLong, whole("x")]);
    }
}
