//! The operating system's randomness, for ids, keys and secrets.

use liftgate_domain::Entropy;

/// Reads the operating system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system always has a random source once it has booted");
    }
}
