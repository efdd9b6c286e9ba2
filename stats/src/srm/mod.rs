//! Sample ratio mismatch: did the arms get the shares of units they were promised? A mismatch means that
//! assignment or collection is broken, and that no comparison of these arms is to be believed.
//!
//! Asked once at a chosen time: `chi_square`. Asked at every look: `sequential`. Where it comes from: `groups`.

mod chi_square;
mod groups;
mod sequential;
mod shares;

pub use chi_square::{SRM_ALARM_P, Srm, srm_chi_square};
pub use groups::{SrmGroup, SrmGroupFinding, SrmMethod, srm_by_group};
pub use sequential::{SRM_CONCENTRATIONS, SequentialSrm, SrmFactor, srm_sequential};
pub use shares::SrmError;
