//! The nouns that join the rooms, and the two ports they meet at.
//!
//! | module | what it is |
//! |---|---|
//! | [`scope`], [`id`], [`span`] | who owns a row, what names it, how long things last |
//! | [`clock`], [`entropy`] | the only doors to time and chance |
//! | [`resource`] | every declared thing (project, flag, metric, policy ...) as a revisioned row |
//! | [`environment`], [`metric`], [`experiment`], [`endpoint`], [`credential`] | the typed bodies of resources, and keys |
//! | [`rollout`], [`decision`], [`run`] | the state a ramp moves through, and its evidence |
//! | [`change`], [`event`], [`delivery`] | the one way state changes, and who hears of it |
//! | [`row`], [`moments_query`], [`watermark`] | the canonical event row and the question asked of it |
//! | [`catalog`], [`warehouse`] | the ports |
//! | [`failpoint`] | where a test stops the process between two steps |
//!
//! ```
//! use liftgate_domain::{Key, Scope};
//! let scope = Scope::environment("shop".parse()?, "production".parse()?);
//! assert_eq!(scope.to_string(), "default/shop/production");
//! assert!(Key::new("New Checkout").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attribution;
pub mod catalog;
pub mod change;
pub mod clock;
pub mod credential;
pub mod decision;
pub mod delivery;
pub mod endpoint;
pub mod entropy;
pub mod environment;
pub mod error;
pub mod event;
pub mod experiment;
pub mod failpoint;
pub mod id;
pub mod margin_text;
pub mod metric;
pub mod moments_query;
pub mod resource;
pub mod rollout;
pub mod row;
pub mod run;
pub mod scope;
pub mod span;
pub mod warehouse;
pub mod watermark;

pub use attribution::{Attributed, Attribution, Sighting};
pub use catalog::{Catalog, RulesetBundle, RulesetChanges};
pub use change::{Actor, Applied, Change, ChangeKind, ChangeRecord, Entry, Expected, Mutation};
pub use clock::{Clock, ManualClock, SystemClock};
pub use credential::{Credential, CredentialKind, Role};
pub use decision::Decision;
pub use delivery::{Delivery, DeliveryOutcome, DeliveryStatus};
pub use endpoint::{Endpoint, Target};
pub use entropy::Entropy;
pub use environment::Environment;
pub use error::StoreError;
pub use event::{Event, EventDraft};
pub use experiment::{Experiment, ExperimentGuardrail, ExperimentPlan};
pub use id::Id;
pub use liftgate_evaluator::{Key, Share, Timestamp};
pub use margin_text::MarginText;
pub use metric::{Aggregate, Cap, Denominator, Metric, MetricKind};
pub use moments_query::{
    ArmCount, Capping, Cell, Dimension, MetricQuery, MomentsAnswer, MomentsQuery, QuantileCell, RowRule,
    SLICE_VALUES_MAX, Slice, SliceValue,
};
pub use resource::{Resource, ResourceKind};
pub use rollout::{Hold, HoldCode, PinnedMetric, Rollout, RolloutStatus};
pub use row::{EventRow, RowKind, SealedBatch};
pub use run::Run;
pub use scope::Scope;
pub use span::Span;
pub use warehouse::{EventCounts, Warehouse};
pub use watermark::{NodeMark, Watermark};
