//! Which of many tests stand, once it is counted how many there were. From p-values or e-values to adjusted ones, to
//! decisions, and to the level at which each test's interval must be drawn so that it says the same as the decision.
//!
//! Bonferroni, Holm and Hochberg bound the chance of any false discovery; BH, BY and e-BH the expected share of false
//! ones among the discoveries. The procedures are in `step`, the levels of the intervals in `coverage`.

mod adjusted;
mod coverage;
mod step;

pub use adjusted::{Adjusted, Correction, MultiplicityError, adjust_e_values, adjust_p_values};
