//! How other flag services place a unit, as pure functions of text, so that a team can move over with every assignment
//! unchanged. Each formula is frozen by vectors out of its own project's tests. Which flag uses which is decided elsewhere.
//!
//! | module | hash | input | answer |
//! |---|---|---|---|
//! | [`flagsmith()`] | md5 mod 9999 / 9998 * 100 | `id,id` | 0 to below 100, steps of about 0.01 |
//! | [`unleash`] | murmur3-32, seeded | `group:id` | 1 to 100, or 1 to the sum of the weights |
//! | [`growthbook`] | FNV-1a 32 over UTF-16 units, once (v1) or twice (v2) | `id seed`, `seed id` | 0 to below 1, steps of 0.001 or 0.0001 |
//! | [`launchdarkly`] | sha1, first 60 bits | `key.salt.id`, `seed.id` | 0 to 1 |
//! | [`eppo`] | md5, first 32 bits | `salt-id` | a shard, 0 to below their number |
//! | [`statsig`] | sha256, first 64 bits | `salt.salt.id`, `salt.id` | 0 to 9999, or 0 to 999 |
//! | [`flagd`] | murmur3-32 | `flag id`, without a separator | 0 to 100 (v1), or 0 to below the sum of the weights (v2) |
//! | [`gatekeeper`] | md5, first 32 bits | `id:key` | 0 to 99 |
//!
//! Text is hashed as UTF-8, except by GrowthBook. None of the functions allocates.

pub mod eppo;
pub mod flagd;
pub mod gatekeeper;
pub mod growthbook;
pub mod launchdarkly;
pub mod statsig;
pub mod unleash;

pub use crate::flagsmith::percentage as flagsmith;

use md5::{Digest, Md5};

/// The first four bytes of the md5 of these pieces, read as a big-endian number: the first eight hexadecimal digits.
fn md5_word(pieces: [&str; 3]) -> u32 {
    let mut hasher = Md5::new();
    pieces.iter().for_each(|piece| hasher.update(piece.as_bytes()));
    let [a, b, c, d, ..] = <[u8; 16]>::from(hasher.finalize());
    u32::from_be_bytes([a, b, c, d])
}

/// MurmurHash3 x86 32 of everything in `bytes`.
fn murmur3(mut bytes: impl std::io::Read, seed: u32) -> u32 {
    murmur3::murmur3_32(&mut bytes, seed).expect("reading out of memory does not fail")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn murmur3_agrees_with_its_reference() {
        // Values of the reference implementation (SMHasher, MurmurHash3_x86_32), as widely reprinted.
        let rows = [
            ("", 0, 0),
            ("", 1, 0x514e_28b7),
            ("", 0xffff_ffff, 0x81f1_6f39),
            ("test", 0, 0xba6b_d213),
            ("test", 0x9747_b28c, 0x704b_81dc),
            ("Hello, world!", 0x9747_b28c, 0x2488_4cba),
            ("The quick brown fox jumps over the lazy dog", 0x9747_b28c, 0x2fa8_26cd),
        ];
        for (text, seed, hash) in rows {
            assert_eq!(murmur3(text.as_bytes(), seed), hash, "{text:?} {seed:#x}");
        }
    }

    #[test]
    fn pieces_hash_like_the_whole_wherever_they_are_cut() {
        let text = "headerColor:ross@faas.com".as_bytes();
        for cut in 0..=text.len() {
            let (start, end) = text.split_at(cut);
            assert_eq!(murmur3(start.chain(end), 7), murmur3(text, 7), "{cut}");
        }
    }
}
