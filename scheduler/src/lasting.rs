//! Lengths of time in words for sentences: the two largest units, rounded up, so that "opens in" is never too early.

const UNITS: [(&str, u64); 4] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

/// `90 000` is `1m 30s`; nothing is `0s`.
pub(crate) fn in_words(ms: u64) -> String {
    let Some(largest) = UNITS.iter().position(|(_, length)| ms >= *length) else {
        return if ms == 0 { "0s".to_owned() } else { "1s".to_owned() };
    };
    let smallest = (largest + 1).min(UNITS.len() - 1);
    let step = UNITS[smallest].1;
    let whole = ms.div_ceil(step).saturating_mul(step);
    let (name, length) = UNITS[largest];
    let rest = (whole % length) / step;
    if rest == 0 {
        format!("{}{name}", whole / length)
    } else {
        format!("{}{name} {rest}{}", whole / length, UNITS[smallest].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up_to_two_units() {
        for (ms, words) in [
            (0, "0s"),
            (1, "1s"),
            (1_000, "1s"),
            (1_001, "2s"),
            (90_000, "1m 30s"),
            (3_600_000, "1h"),
            (3_600_001, "1h 1m"),
            (86_400_000 + 3_599_000, "1d 1h"),
            (200_000, "3m 20s"),
        ] {
            assert_eq!(in_words(ms), words, "{ms}");
        }
    }
}
