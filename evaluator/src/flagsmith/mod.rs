//! The evaluation engine of Flagsmith, as pure functions: an evaluation context in, an evaluation result out. It answers
//! as their engine does, so that a team can move over with every assignment unchanged. Nothing here touches the
//! native flags of this crate.
//!
//! | module | what it is |
//! |---|---|
//! | [`context`], [`rule`] | what is known: environment, identity, features, segments and their rules |
//! | [`result`], [`reasons`] | what comes out, and the two dialects of its reasons |
//! | [`document`] | the older form: an environment document and an identity |
//! | [`mod@import`] | from a document to the flags of this crate |
//! | [`mod@percentage`] | where ids stand between 0 and 100 |
//! | [`entries`], [`error`] | maps that keep their order; what is refused, with its path |
//!
//! ```
//! use liftgate_evaluator::flagsmith::{Reasons, evaluate_json};
//!
//! let context = r#"{
//!     "environment": {"key": "test_env", "name": "Test"},
//!     "identity": {"identifier": "foobar"},
//!     "features": {"colour": {"key": "78986", "name": "colour", "enabled": true, "value": "grey",
//!         "variants": [{"key": "b", "value": "blue", "weight": 54.54, "priority": 1}]}}
//! }"#;
//! let result = evaluate_json(context, Reasons::V11)?;
//! let colour = result.flags.get("colour").expect("every feature has a flag");
//! assert_eq!((colour.value.as_str(), colour.variant.as_deref()), (Some("blue"), Some("b")));
//! assert_eq!(colour.reason, "SPLIT; weight=54.54");
//!
//! let error = evaluate_json(r#"{"environment": {"key": 1}}"#, Reasons::V11).expect_err("a key is text");
//! assert_eq!(error.path, "environment.key");
//! # Ok::<(), liftgate_evaluator::flagsmith::Error>(())
//! ```

pub mod context;
pub mod document;
pub mod entries;
pub mod error;
pub mod import;
pub mod percentage;
pub mod reasons;
pub mod result;
pub mod rule;

mod engine;
mod matching;
mod property;
pub(crate) mod segment_check;
mod value;
mod wire;

pub use context::{
    EnvironmentContext, EvaluationContext, FeatureContext, FeatureValue, IdentityContext, SegmentContext,
};
pub use document::{DocumentIdentity, EnvironmentDocument, evaluate_document, evaluate_document_json};
pub use entries::Entries;
pub use error::Error;
pub use import::{Imported, import};
pub use percentage::percentage;
pub use reasons::Reasons;
pub use result::{EvaluationResult, FlagResult, SegmentResult};
pub use rule::{ConditionValue, Operator, RuleType, SegmentCondition, SegmentRule};
pub use segment_check::FlagsmithSegment;

/// All flags of a context, and the segments it is in.
pub fn evaluate(context: &EvaluationContext, reasons: Reasons) -> EvaluationResult {
    engine::Engine::new(context, reasons).run()
}

/// [`evaluate`] on the JSON text of a context.
///
/// # Errors
/// Text that is not JSON, or not a context: the error names the path of the field.
pub fn evaluate_json(text: &str, reasons: Reasons) -> Result<EvaluationResult, Error> {
    Ok(evaluate(&wire::from_json(text)?, reasons))
}
