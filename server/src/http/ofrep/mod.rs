//! OFREP 0.3, the OpenFeature Remote Evaluation Protocol: one flag or all flags for one context. Answers are joined from
//! pieces that were written when the ruleset was compiled, and errors are the protocol's own.

mod answer;
mod bulk;
mod context;
mod etag;
mod fragments;
mod refusal;
mod single;
pub mod stream;

pub use bulk::bulk;
pub use fragments::Fragments;
pub use single::single;
