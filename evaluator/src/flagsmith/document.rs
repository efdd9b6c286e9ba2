//! The older form: an environment document, as Flagsmith's SDKs fetch it for local evaluation, and one identity. Both
//! are translated into a context; the evaluation is the same.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use super::context::{
    EnvironmentContext, EvaluationContext, FeatureContext, FeatureValue, IdentityContext, SegmentContext, TraitValue,
};
use super::rule::{RuleType, SegmentRule};
use super::{Entries, Error, EvaluationResult, Reasons, evaluate, wire};

/// The name of the segment that stands for the overrides of the identity, in reasons.
const IDENTITY_OVERRIDES: &str = "identity_overrides";

/// An environment with everything that evaluation needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentDocument {
    /// The environment's client key.
    pub api_key: String,
    /// For people, and `$.environment.name`.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub name: String,
    /// Holds the segments.
    pub project: DocumentProject,
    /// Features as they are by default.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub feature_states: Vec<FeatureState>,
    /// Identities for whom some features differ.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub identity_overrides: Vec<DocumentIdentity>,
}

/// The project of an environment document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentProject {
    /// Whether flags that are off are left out of the result.
    #[serde(default)]
    pub hide_disabled_flags: bool,
    /// In the order that settles ties.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub segments: Vec<DocumentSegment>,
}

/// A segment with the features that it overrides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentSegment {
    /// What percentage splits hash.
    pub id: u64,
    /// Named in results and reasons.
    pub name: String,
    /// All of them must match.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub rules: Vec<SegmentRule>,
    /// Overrides.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub feature_states: Vec<FeatureState>,
}

/// A feature in an environment, segment or identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureState {
    /// Which feature.
    pub feature: DocumentFeature,
    /// Whether it is on.
    pub enabled: bool,
    /// Its value.
    #[serde(default, deserialize_with = "wire::scalar")]
    pub feature_state_value: Value,
    /// What is hashed.
    #[serde(default)]
    pub django_id: Option<u64>,
    /// What is hashed when there is no number.
    #[serde(default)]
    pub featurestate_uuid: Option<String>,
    /// Of an override of a segment: its priority.
    #[serde(default)]
    pub feature_segment: Option<FeatureSegment>,
    /// Other values.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub multivariate_feature_state_values: Vec<MultivariateValue>,
}

/// A feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentFeature {
    /// Its number, handed on in the metadata of the result.
    pub id: u64,
    /// Names the flag.
    pub name: String,
}

/// What joins a feature to a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureSegment {
    /// The lowest wins.
    #[serde(default)]
    pub priority: Option<Number>,
}

/// One of several values of a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultivariateValue {
    /// Its place among the values.
    #[serde(default)]
    pub id: Option<u64>,
    /// Its place among values without numbers.
    #[serde(default)]
    pub mv_fs_value_uuid: Option<String>,
    /// Percent of the identities.
    pub percentage_allocation: Number,
    /// What is served.
    pub multivariate_feature_option: MultivariateOption,
}

/// A value that a feature may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultivariateOption {
    /// What is served.
    #[serde(deserialize_with = "wire::scalar")]
    pub value: Value,
    /// Named in the result.
    #[serde(default)]
    pub key: Option<String>,
}

/// An identity as the older form has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DocumentIdentity {
    /// What the caller calls it.
    pub identifier: String,
    /// What is hashed, when there is one.
    #[serde(default)]
    pub django_id: Option<u64>,
    /// What is hashed otherwise; `{environment key}_{identifier}` when absent.
    #[serde(default)]
    pub composite_key: Option<String>,
    /// What is known about it.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub identity_traits: Vec<DocumentTrait>,
    /// Features that differ for it: they win over every segment.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub identity_features: Vec<FeatureState>,
}

/// One trait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentTrait {
    /// Its name.
    pub trait_key: String,
    /// Its value.
    pub trait_value: TraitValue,
}

/// All flags of an identity, or of the environment.
pub fn evaluate_document(
    document: &EnvironmentDocument,
    identity: Option<&DocumentIdentity>,
    reasons: Reasons,
) -> EvaluationResult {
    let mut result = evaluate(&document.context(identity), reasons);
    // Overrides of one identity are no segment that the caller knows; they are the last of the list.
    if identity.is_some_and(|identity| document.has_overrides(identity)) {
        result.segments.pop();
    }
    if document.project.hide_disabled_flags {
        let shown = result.flags.iter().filter(|(_, flag)| flag.enabled);
        result.flags = shown.map(|(name, flag)| (name.to_owned(), flag.clone())).collect();
    }
    result
}

/// [`evaluate_document`] on the JSON texts of both.
///
/// # Errors
/// Text that is not JSON, or not such a document or identity: the error names the path of the field.
pub fn evaluate_document_json(
    document: &str,
    identity: Option<&str>,
    reasons: Reasons,
) -> Result<EvaluationResult, Error> {
    let document: EnvironmentDocument = wire::from_json(document)?;
    let identity: Option<DocumentIdentity> = identity.map(wire::from_json).transpose()?;
    Ok(evaluate_document(&document, identity.as_ref(), reasons))
}

impl EnvironmentDocument {
    /// The same in the newer form.
    pub fn context(&self, identity: Option<&DocumentIdentity>) -> EvaluationContext {
        let mut segments: Entries<SegmentContext> =
            self.project.segments.iter().map(|segment| (segment.id.to_string(), segment.context())).collect();
        if let Some(identity) = identity.filter(|identity| self.has_overrides(identity)) {
            // A key that no number can take.
            segments.insert(IDENTITY_OVERRIDES, everybody(self.overrides(identity)));
        }
        EvaluationContext {
            environment: EnvironmentContext { key: self.api_key.clone(), name: self.name.clone() },
            identity: identity.map(DocumentIdentity::context),
            segments,
            features: self
                .feature_states
                .iter()
                .map(|state| (state.feature.name.clone(), state.context(None)))
                .collect(),
        }
    }

    /// Its own ones, and those that the document has for it.
    fn override_states<'a>(&'a self, identity: &'a DocumentIdentity) -> impl Iterator<Item = &'a FeatureState> {
        let others = self.identity_overrides.iter().filter(|other| other.identifier == identity.identifier);
        identity.identity_features.iter().chain(others.flat_map(|other| &other.identity_features))
    }

    fn has_overrides(&self, identity: &DocumentIdentity) -> bool {
        self.override_states(identity).next().is_some()
    }

    fn overrides(&self, identity: &DocumentIdentity) -> Vec<FeatureContext> {
        self.override_states(identity).map(|state| state.context(Number::from_f64(f64::MIN))).collect()
    }
}

/// A segment with everybody in it.
fn everybody(overrides: Vec<FeatureContext>) -> SegmentContext {
    let rules = vec![SegmentRule { rule_type: RuleType::All, conditions: Vec::new(), rules: Vec::new() }];
    SegmentContext { name: IDENTITY_OVERRIDES.to_owned(), rules, overrides, ..SegmentContext::default() }
}

impl DocumentIdentity {
    /// What is hashed, when it is not made of the environment's key and the identifier.
    pub(super) fn key(&self) -> Option<String> {
        self.django_id.map(|id| id.to_string()).or_else(|| self.composite_key.clone())
    }

    fn context(&self) -> IdentityContext {
        let traits = self.identity_traits.iter().map(|it| (it.trait_key.clone(), it.trait_value.clone()));
        IdentityContext { identifier: self.identifier.clone(), key: self.key(), traits: traits.collect() }
    }
}

impl DocumentSegment {
    fn context(&self) -> SegmentContext {
        let priority = |state: &FeatureState| state.feature_segment.as_ref().and_then(|it| it.priority.clone());
        SegmentContext {
            key: self.id.to_string(),
            name: self.name.clone(),
            rules: self.rules.clone(),
            overrides: self.feature_states.iter().map(|state| state.context(priority(state))).collect(),
            ..SegmentContext::default()
        }
    }
}

impl FeatureState {
    /// What is hashed.
    pub(super) fn key(&self) -> String {
        let uuid = || self.featurestate_uuid.clone().unwrap_or_default();
        self.django_id.map_or_else(uuid, |id| id.to_string())
    }

    /// Its other values in the order of their places on the line.
    pub(super) fn ordered_values(&self) -> Vec<&MultivariateValue> {
        let mut values: Vec<&MultivariateValue> = self.multivariate_feature_state_values.iter().collect();
        values.sort_by(|left, right| left.order(right));
        values
    }

    fn context(&self, priority: Option<Number>) -> FeatureContext {
        let variant = |(position, value): (usize, &MultivariateValue)| FeatureValue {
            key: value.multivariate_feature_option.key.clone(),
            value: value.multivariate_feature_option.value.clone(),
            weight: value.percentage_allocation.clone(),
            priority: position.into(),
        };
        FeatureContext {
            key: self.key(),
            name: self.feature.name.clone(),
            enabled: self.enabled,
            value: self.feature_state_value.clone(),
            variants: self.ordered_values().into_iter().enumerate().map(variant).collect(),
            priority,
            metadata: [("id".to_owned(), json!(self.feature.id))].into_iter().collect(),
        }
    }
}

impl MultivariateValue {
    /// By number; those without one by their UUID.
    fn order(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id).then_with(|| self.mv_fs_value_uuid.cmp(&other.mv_fs_value_uuid))
    }
}
