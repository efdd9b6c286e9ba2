//! A split as it is stored: ranges of the bucket line. Weights are how people edit it; this turns an edit into new
//! ranges that keep as many units as possible where they are.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{BUCKETS, Bucket, Error};

/// Buckets `start..end` (half-open, within `0..100_000`) get `variation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The key of the variation.
    pub variation: String,
    /// The first bucket inside.
    pub start: u32,
    /// The first bucket past the end.
    pub end: u32,
}

impl Range {
    /// How many buckets are inside.
    pub fn parts(&self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether `bucket` is inside.
    pub fn contains(&self, bucket: Bucket) -> bool {
        (self.start..self.end).contains(&bucket)
    }
}

/// Checks that ranges, in order, cover every bucket exactly once; [`Error::Ranges`] says where they first do not.
pub fn check_tiling(ranges: &[Range]) -> Result<(), Error> {
    let mut next = 0;
    for (index, range) in ranges.iter().enumerate() {
        let Range { start, end, .. } = *range;
        if start != next {
            let what = if start > next { "leaves a gap" } else { "overlaps or is out of order" };
            return Err(Error::Ranges(format!("range {index} `{start}..{end}` {what}: it must start at {next}")));
        }
        if end <= start {
            return Err(Error::Ranges(format!("range {index} `{start}..{end}` is empty")));
        }
        if end > BUCKETS {
            return Err(Error::Ranges(format!("range {index} `{start}..{end}` ends past {BUCKETS}")));
        }
        next = end;
    }
    if next == BUCKETS { Ok(()) } else { Err(Error::Ranges(format!("they cover {next} of {BUCKETS} buckets"))) }
}

/// Ranges in which each variation has its weight's part of the line, with the largest possible overlap with `old`:
/// a variation that shrinks keeps only buckets it had, one that grows keeps all of them, so the mass that moves is
/// exactly the mass that must.
///
/// Weights are integers above zero, of any sum (`[("a", 1), ("b", 1)]` is half and half); `old` is empty for a new
/// split. Parts are rounded by largest remainder; ties go to the variation that had more.
///
/// # Errors
/// [`Error::Weights`] for no weights, a zero, a variation named twice or one whose part is less than a bucket;
/// [`Error::Ranges`] when `old` is not empty and does not tile the line.
pub fn ranges_for_weights(weights: &[(String, u32)], old: &[Range]) -> Result<Vec<Range>, Error> {
    check_weights(weights)?;
    if !old.is_empty() {
        check_tiling(old)?;
    }
    let mut had: HashMap<&str, u32> = HashMap::new();
    for range in old {
        *had.entry(&range.variation).or_default() += range.parts();
    }
    let had_of = |variation: &str| had.get(variation).copied().unwrap_or(0);
    let wanted = apportion(weights, had_of);
    if let Some((name, _)) = names(weights).zip(&wanted).find(|(_, parts)| **parts == 0) {
        return Err(Error::Weights(format!("`{name}` would get less than 0.001% of the units")));
    }
    let want_of: HashMap<&str, u32> = names(weights).zip(wanted.iter().copied()).collect();

    let kept = keep_overlap(old, &want_of, &had);
    let mut missing: Vec<(&str, u32)> = names(weights)
        .zip(&wanted)
        .map(|(name, want)| (name, want - had_of(name).min(*want)))
        .filter(|(_, parts)| *parts > 0)
        .collect();
    Ok(fill_gaps(kept, &mut missing))
}

fn names(weights: &[(String, u32)]) -> impl Iterator<Item = &str> {
    weights.iter().map(|(name, _)| name.as_str())
}

fn check_weights(weights: &[(String, u32)]) -> Result<(), Error> {
    if weights.is_empty() {
        return Err(Error::Weights("there are none".to_owned()));
    }
    for (index, (name, weight)) in weights.iter().enumerate() {
        if *weight == 0 {
            return Err(Error::Weights(format!("`{name}` has weight 0: leave the variation out instead")));
        }
        if names(&weights[..index]).any(|earlier| earlier == name) {
            return Err(Error::Weights(format!("`{name}` is named twice")));
        }
    }
    Ok(())
}

/// Parts of the line by largest remainder (Hamilton's method); they sum to [`BUCKETS`].
fn apportion<'w>(weights: &'w [(String, u32)], had_of: impl Fn(&'w str) -> u32) -> Vec<u32> {
    let line = u64::from(BUCKETS);
    let sum: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let product = |index: usize| u64::from(weights[index].1) * line;
    let floor = |index: usize| (product(index) / sum) as u32;
    let mut parts: Vec<u32> = (0..weights.len()).map(floor).collect();

    let left: u32 = BUCKETS - parts.iter().sum::<u32>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&index| {
        let had_more = had_of(&weights[index].0) > floor(index);
        (std::cmp::Reverse(product(index) % sum), !had_more, index)
    });
    for &index in order.iter().take(left as usize) {
        parts[index] += 1;
    }
    parts
}

/// What every variation keeps of its old buckets. A range is cut on the side where a growing variation touches it,
/// which keeps the number of ranges small.
fn keep_overlap(old: &[Range], want_of: &HashMap<&str, u32>, had_of: &HashMap<&str, u32>) -> Vec<Range> {
    let want = |name: &str| want_of.get(name).copied().unwrap_or(0);
    let had = |name: &str| had_of.get(name).copied().unwrap_or(0);
    let grows = |range: &Range| want(&range.variation) > had(&range.variation);
    let mut surplus: HashMap<&str, u32> =
        had_of.iter().map(|(name, had)| (*name, had.saturating_sub(want(name)))).collect();

    let mut kept = Vec::with_capacity(old.len());
    for (index, range) in old.iter().enumerate().rev() {
        let over = surplus.entry(&range.variation).or_default();
        let cut = (*over).min(range.parts());
        *over -= cut;
        let left_grows = index > 0 && grows(&old[index - 1]);
        let right_grows = old.get(index + 1).is_some_and(grows);
        let (start, end) =
            if left_grows && !right_grows { (range.start + cut, range.end) } else { (range.start, range.end - cut) };
        if start < end {
            kept.push(Range { variation: range.variation.clone(), start, end });
        }
    }
    kept.reverse();
    kept
}

/// Gives the free buckets to the variations that miss some, a neighbour first, and joins what touches.
fn fill_gaps(kept: Vec<Range>, missing: &mut Vec<(&str, u32)>) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::with_capacity(kept.len() + missing.len());
    let mut next = 0;
    for after in kept.into_iter().map(Some).chain([None]) {
        let gap_end = after.as_ref().map_or(BUCKETS, |range| range.start);
        while next < gap_end {
            let before = ranges.last().map(|range| range.variation.as_str());
            let follower = after.as_ref().map(|range| range.variation.as_str());
            let place_of =
                |name: Option<&str>| name.and_then(|name| missing.iter().position(|(other, _)| *other == name));
            let taker = place_of(before).or_else(|| {
                let other = missing.iter().position(|(name, _)| Some(*name) != follower);
                other.or_else(|| place_of(follower))
            });
            // Wanted and kept parts both sum to the line, so a free bucket always has somebody who misses it.
            let Some(index) = taker else { break };
            let (name, parts) = &mut missing[index];
            let taken = (*parts).min(gap_end - next);
            let end = next + taken;
            let taken_range = Range { variation: (*name).to_owned(), start: next, end };
            *parts -= taken;
            if *parts == 0 {
                missing.remove(index);
            }
            join(&mut ranges, taken_range);
            next = end;
        }
        if let Some(range) = after {
            next = range.end;
            join(&mut ranges, range);
        }
    }
    ranges
}

fn join(ranges: &mut Vec<Range>, range: Range) {
    match ranges.last_mut() {
        Some(last) if last.variation == range.variation && last.end == range.start => {
            last.end = range.end;
        }
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Vec<Range> {
        text.split_whitespace()
            .map(|part| {
                let (variation, span) = part.split_once(':').unwrap();
                let (start, end) = span.split_once('-').unwrap();
                let bound = |text: &str| text.parse::<u32>().unwrap() * 1_000;
                Range { variation: variation.to_owned(), start: bound(start), end: bound(end) }
            })
            .collect()
    }

    fn weights(list: &[(&str, u32)]) -> Vec<(String, u32)> {
        list.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
    }

    #[test]
    fn edits_move_only_what_must_move() {
        let check = |list: &[(&str, u32)], old: &str, new: &str| {
            assert_eq!(ranges_for_weights(&weights(list), &ranges(old)), Ok(ranges(new)), "{old}");
        };
        check(&[("a", 1), ("b", 1)], "", "a:0-50 b:50-100");
        check(&[("a", 60), ("b", 40)], "a:0-50 b:50-100", "a:0-60 b:60-100");
        check(&[("a", 40), ("b", 60)], "a:0-50 b:50-100", "a:0-40 b:40-100");
        check(&[("b", 1), ("a", 1)], "a:0-50 b:50-100", "a:0-50 b:50-100");
        check(&[("a", 1)], "a:0-50 b:50-100", "a:0-100");
        check(&[("c", 1)], "a:0-50 b:50-100", "c:0-100");
        check(&[("a", 40), ("b", 40), ("c", 20)], "a:0-50 b:50-100", "a:0-40 c:40-50 b:50-90 c:90-100");
    }

    #[test]
    fn thirds_are_rounded_without_moving_anybody_later() {
        let thirds = weights(&[("a", 1), ("b", 1), ("c", 1)]);
        let first = ranges_for_weights(&thirds, &[]).unwrap();
        assert_eq!(first.iter().map(Range::parts).collect::<Vec<_>>(), [33_334, 33_333, 33_333]);
        let reordered = weights(&[("c", 7), ("b", 7), ("a", 7)]);
        assert_eq!(ranges_for_weights(&reordered, &first), Ok(first));
    }

    #[test]
    fn refuses_unusable_weights_and_old_ranges() {
        let message =
            |list: &[(&str, u32)], old: &str| ranges_for_weights(&weights(list), &ranges(old)).unwrap_err().to_string();
        assert_eq!(message(&[], ""), "weights are not usable: there are none");
        assert!(message(&[("a", 0)], "").contains("`a` has weight 0"));
        assert!(message(&[("a", 1), ("a", 1)], "").contains("named twice"));
        assert!(message(&[("a", 1), ("b", 1_000_000)], "").contains("`a` would get less"));
        assert!(message(&[("a", 1)], "a:0-50").contains("they cover 50000 of 100000"));
        assert!(message(&[("a", 1)], "a:0-50 b:60-100").contains("leaves a gap"));
        assert!(message(&[("a", 1)], "a:0-50 b:40-100").contains("overlaps"));
        assert!(message(&[("a", 1)], "a:0-0 b:0-100").contains("is empty"));
        assert!(message(&[("a", 1)], "a:0-101").contains("ends past"));
    }
}
