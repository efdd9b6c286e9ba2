//! What was promised about a rate, and whether its interval keeps, leaves open or breaks it.

use crate::simulation::rate::Rate;

/// What a rate must be.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Within {
        lower: f64,
        upper: f64,
    },
    /// A negative control, a method known to be wrong: the whole interval must lie above this.
    MustExceed(f64),
    /// The same for a rate that the wrong method makes too small.
    MustFallBelow(f64),
    /// Nothing is promised; shown for comparison.
    Shown,
}

/// Whether a bound holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The whole interval is inside the bound.
    Ok,
    /// The interval has the bound inside: these runs cannot tell.
    Unclear,
    /// The whole interval is outside, or a negative control was not caught.
    Broken,
    /// There was no bound.
    None,
}

impl Bound {
    pub fn judge(self, rate: Rate) -> Finding {
        let (lower, upper) = (rate.lower(), rate.upper());
        let (is_ok, is_broken) = match self {
            Self::AtMost(limit) => (upper <= limit, lower > limit),
            Self::AtLeast(limit) => (lower >= limit, upper < limit),
            Self::Within { lower: least, upper: most } => {
                (lower >= least && upper <= most, upper < least || lower > most)
            }
            Self::MustExceed(limit) => (lower > limit, lower <= limit),
            Self::MustFallBelow(limit) => (upper < limit, upper >= limit),
            Self::Shown => return Finding::None,
        };
        match (is_ok, is_broken) {
            (true, _) => Finding::Ok,
            (_, true) => Finding::Broken,
            _ => Finding::Unclear,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::AtMost(limit) => format!("at most {limit:.3}"),
            Self::AtLeast(limit) => format!("at least {limit:.3}"),
            Self::Within { lower, upper } => format!("{lower:.3} to {upper:.3}"),
            Self::MustExceed(limit) => format!("must exceed {limit:.3}"),
            Self::MustFallBelow(limit) => format!("must be < {limit:.3}"),
            Self::Shown => "-".to_owned(),
        };
        f.pad(&text)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Unclear => "unclear",
            Self::Broken => "BROKEN",
            Self::None => "",
        })
    }
}
