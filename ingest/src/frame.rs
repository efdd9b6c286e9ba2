//! Frames of the log: `length u32 | crc32c u32 | record u64 | payload`, little-endian, the checksum over the length, the
//! record number and the payload. Knows nothing of what a payload means, except that its first byte is a known kind.
//! Reading never fails: damage is skipped to the next valid frame and named.

use std::ops::Range;

/// Bytes before the payload.
pub(crate) const HEAD_BYTES: usize = 16;
/// The largest payload.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// The highest first byte of a payload; kinds count from 1.
pub(crate) const KIND_MAX: u8 = 6;
/// How far record numbers may jump over damage. Keeps chance bytes from being tried as frames.
const RECORD_JUMP_MAX: u64 = 1 << 24;

/// A valid frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame<'a> {
    /// Its record number; grows along the log.
    pub record: u64,
    /// What it carries; never empty.
    pub payload: &'a [u8],
    /// Where it is in the bytes that were read.
    pub span: Range<usize>,
}

/// All that could be read.
#[derive(Debug, Default)]
pub(crate) struct Scan<'a> {
    /// The valid frames, in order.
    pub frames: Vec<Frame<'a>>,
    /// The stretches between them that are not valid frames.
    pub damage: Vec<Range<usize>>,
}

/// Reserves a frame's head at the end of `out`; append the payload, then [`close`] it.
pub(crate) fn open(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    start
}

/// Fills in the head of the frame that was opened at `start` and reaches to the end of `out`.
pub(crate) fn close(out: &mut [u8], start: usize, record: u64) {
    let length = u32::try_from(out.len() - start - HEAD_BYTES).expect("callers keep payloads below PAYLOAD_BYTES_MAX");
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 8..start + 16].copy_from_slice(&record.to_le_bytes());
    let crc = checksum(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Reads every valid frame whose record number is beyond `after`.
pub(crate) fn scan(bytes: &[u8], after: u64) -> Scan<'_> {
    let mut scan = Scan::default();
    let (mut at, mut last, mut bad_from) = (0, after, None);
    while at < bytes.len() {
        let Some(frame) = read(bytes, at, last) else {
            bad_from.get_or_insert(at);
            at += 1;
            continue;
        };
        scan.damage.extend(bad_from.take().map(|from| from..at));
        at = frame.span.end;
        last = frame.record;
        scan.frames.push(frame);
    }
    scan.damage.extend(bad_from.map(|from| from..bytes.len()));
    scan
}

fn read(bytes: &[u8], at: usize, last: u64) -> Option<Frame<'_>> {
    let head = bytes.get(at..at + HEAD_BYTES)?;
    let length = word(head, 0) as usize;
    let record = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let jump = record.checked_sub(last)?;
    // With nothing read before (`last` is 0) the log may begin at any number.
    if jump == 0 || (last > 0 && jump > RECORD_JUMP_MAX) || length == 0 || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let span = at..at + HEAD_BYTES + length;
    let whole = bytes.get(span.clone())?;
    let kind = whole[HEAD_BYTES];
    if kind == 0 || kind > KIND_MAX || checksum(whole) != word(head, 4) {
        return None;
    }
    Some(Frame { record, payload: &whole[HEAD_BYTES..], span })
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

fn word(head: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut out, mut starts) = (Vec::new(), Vec::new());
        for (i, payload) in payloads.iter().enumerate() {
            let start = open(&mut out);
            out.push(1);
            out.extend_from_slice(payload);
            close(&mut out, start, 7 + i as u64);
            starts.push(start);
        }
        (out, starts)
    }

    fn records(scan: &Scan<'_>) -> Vec<u64> {
        scan.frames.iter().map(|frame| frame.record).collect()
    }

    #[test]
    fn a_flipped_bit_costs_one_frame_and_no_other() {
        let (good, starts) = frames(&[b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        for bit in starts[1] * 8..starts[2] * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let scan = scan(&bytes, 0);
            assert_eq!(records(&scan), [7, 9], "bit {bit}");
            assert_eq!(scan.damage, vec![starts[1]..starts[2]; 1]);
        }
    }

    #[test]
    fn a_cut_costs_the_last_frame_only() {
        let (good, starts) = frames(&[b"one".to_vec(), b"two".to_vec()]);
        for length in starts[1] + 1..good.len() {
            let scan = scan(&good[..length], 0);
            assert_eq!(records(&scan), [7], "cut at {length}");
            assert_eq!(scan.damage, vec![starts[1]..length; 1]);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_all_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..512), after in 0_u64..3) {
            let scan = scan(&bytes, after);
            let framed: usize = scan.frames.iter().map(|frame| frame.span.len()).sum();
            let damaged: usize = scan.damage.iter().map(Range::len).sum();
            prop_assert_eq!(framed + damaged, bytes.len());
        }

        #[test]
        fn what_was_written_is_read(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..9)) {
            let (bytes, _) = frames(&payloads);
            let scan = scan(&bytes, 0);
            prop_assert!(scan.damage.is_empty());
            let read: Vec<Vec<u8>> = scan.frames.iter().map(|frame| frame.payload[1..].to_vec()).collect();
            prop_assert_eq!(read, payloads);
        }
    }
}
