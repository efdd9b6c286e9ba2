//! The binomial distribution of treatment's events given the events of both arms, by the logarithm of the odds that
//! an event is treatment's. Tails are incomplete beta functions: a billion events take no longer than a hundred.

use crate::special::{beta_tails, ln_power};

/// The outcome seen: `x` of `n` events are treatment's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Law {
    pub(super) x: u64,
    pub(super) n: u64,
}

impl Law {
    /// The same outcome with the arms' names exchanged; log-odds change their sign.
    pub(super) fn mirrored(self) -> Self {
        Self { x: self.n - self.x, n: self.n }
    }

    /// P(X >= x).
    pub(super) fn at_least(self, x: u64, log_odds: f64) -> f64 {
        if x == 0 {
            return 1.0;
        }
        if x > self.n {
            return 0.0;
        }
        let (a, b) = (x as f64, (self.n - x) as f64 + 1.0);
        // Whichever share is below 1/2 is the exact one.
        if log_odds <= 0.0 { beta_tails(a, b, share(log_odds)).lower } else { beta_tails(b, a, share(-log_odds)).upper }
    }

    /// P(X <= x).
    pub(super) fn at_most(self, x: u64, log_odds: f64) -> f64 {
        self.at_least(self.n.saturating_sub(x), -log_odds)
    }

    /// ln of P(X = k)/P(X = x).
    pub(super) fn ln_relative(self, k: u64, log_odds: f64) -> f64 {
        // (n+1) p q P(X = k) is the power below; the factor is common to both.
        let ln_weight = |k: u64| {
            let (a, b) = (k as f64 + 1.0, (self.n - k) as f64 + 1.0);
            if log_odds <= 0.0 { ln_power(a, b, share(log_odds)) } else { ln_power(b, a, share(-log_odds)) }
        };
        ln_weight(k) - ln_weight(self.x)
    }

    /// Expected value of X.
    pub(super) fn mean(self, log_odds: f64) -> f64 {
        let n = self.n as f64;
        if log_odds <= 0.0 { n * share(log_odds) } else { n - n * share(-log_odds) }
    }

    /// The log-odds that make the outcome the expected one; halves stand in for a missing arm.
    pub(super) fn log_odds_seen(self) -> f64 {
        let (x, rest) = (self.x as f64, (self.n - self.x) as f64);
        if x == 0.0 || rest == 0.0 { libm::log((x + 0.5) / (rest + 0.5)) } else { libm::log(x / rest) }
    }
}

/// The probability with these log-odds, which are at most 0.
fn share(log_odds: f64) -> f64 {
    let odds = libm::exp(log_odds);
    odds / (1.0 + odds)
}
