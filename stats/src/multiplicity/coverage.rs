//! The level at which each test's interval must be drawn so that it agrees with the family's decision.
//!
//! An interval of level 1 - a excludes "no effect" when p < a, so a must separate the rejected from the others. With m
//! tests of which R are rejected:
//! - Bonferroni a = alpha/m. All intervals hold together with probability 1 - alpha.
//! - Holm: the step at which a hypothesis stands; rejected j-th alpha/(m-j+1), all others alpha/(m-R), where it stopped.
//! - Hochberg: the step that rejected, alpha/(m-R+1), all others alpha/(m-R).
//! - BH, e-BH a = max(R, 1) alpha/m, BY the same divided by c(m): the false coverage rate among the rejected is at most
//!   alpha. The others get the same level, at which they contain "no effect" because their p lies above it.
//!
//! After Holm and Hochberg "excludes no effect" is simultaneous (it is the test); that all intervals cover their true
//! effects together is promised only by Bonferroni's. Reference: Benjamini and Yekutieli (2005); Xu, Wang and Ramdas
//! (2022) for e-values; Guilbaud (2008) on what step-down intervals cannot promise.

use super::Correction;
use super::step::harmonic;

/// A decided family.
pub(super) struct Coverage {
    pub(super) correction: Correction,
    /// Tests in the family, also those that could not be made.
    pub(super) tests: usize,
    /// How many are rejected.
    pub(super) rejected: usize,
    pub(super) alpha: f64,
}

impl Coverage {
    /// For the rejected test of this rank, strongest first from 0.
    pub(super) fn interval_alpha_of_rejected(&self, rank: usize) -> f64 {
        match self.correction {
            Correction::Holm => self.share(self.tests.saturating_sub(rank)),
            Correction::Hochberg => self.share(self.tests.saturating_sub(self.rejected) + 1),
            _ => self.interval_alpha_of_others(),
        }
    }

    /// For all tests that are not rejected.
    pub(super) fn interval_alpha_of_others(&self) -> f64 {
        let selected = self.rejected.max(1) as f64;
        match self.correction {
            Correction::Bonferroni => self.share(self.tests),
            Correction::Holm | Correction::Hochberg => self.share(self.tests.saturating_sub(self.rejected)),
            Correction::Bh | Correction::EBh => selected * self.share(self.tests),
            Correction::By => selected * self.share(self.tests) / harmonic(self.tests).max(1.0),
        }
    }

    fn share(&self, parts: usize) -> f64 {
        self.alpha / parts.max(1) as f64
    }
}
