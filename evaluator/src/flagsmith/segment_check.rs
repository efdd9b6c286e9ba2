//! The rules of one segment made ready for evaluation against a [`Context`]: what an imported segment keeps, so that it
//! has the members it had. Reads of other flags (`$.flags...`) are refused here; the engine of this module knows them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::matching::Comparand;
use super::property::{self, Step};
use super::rule::{Operator, RuleType, SegmentCondition, SegmentRule};
use super::value::ContextValue;
use crate::{Context, EnvironmentNames};

/// Rules within rules: as deep as conditions of other dialects may be nested.
const RULE_DEPTH_MAX: usize = 32;

/// The rules of a segment of Flagsmith, as a condition of this crate keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagsmithSegment {
    /// What percentage splits hash: the segment's number, as text.
    pub segment: String,
    /// All of them must match; without rules nobody is in.
    pub rules: Vec<SegmentRule>,
}

/// A compiled segment.
#[derive(Clone, Debug)]
pub(crate) struct SegmentCheck {
    key: Box<str>,
    environment: EnvironmentNames,
    rules: Box<[CompiledRule]>,
}

#[derive(Clone, Debug)]
struct CompiledRule {
    quantifier: RuleType,
    conditions: Box<[CompiledCondition]>,
    rules: Box<[CompiledRule]>,
}

#[derive(Clone, Debug)]
struct CompiledCondition {
    operator: Operator,
    property: Property,
    comparand: Comparand,
}

/// Where a condition reads its value.
#[derive(Clone, Debug)]
enum Property {
    /// Percentage splits without a property hash the identity's key.
    IdentityKey,
    Trait(Box<str>),
    /// A trait of that very name first, then the path.
    Path(Box<str>, Source),
}

/// What a path leads to.
#[derive(Clone, Debug)]
enum Source {
    Identifier,
    IdentityKey,
    EnvironmentKey,
    EnvironmentName,
    Traits(Box<[Step]>),
    Nothing,
}

impl SegmentCheck {
    /// Compiles the rules of the segment that percentage splits hash as `key`; a problem is a path and a message.
    pub(crate) fn compile(
        key: &str,
        rules: &[SegmentRule],
        environment: &EnvironmentNames,
    ) -> Result<Self, (String, String)> {
        let rules = compile_rules(rules, "rules", 1)?;
        Ok(Self { key: key.into(), environment: environment.clone(), rules })
    }

    /// Without rules nobody is in.
    pub(crate) fn is_met(&self, context: &Context) -> bool {
        !self.rules.is_empty() && self.rules.iter().all(|rule| self.matches(rule, context))
    }

    fn matches(&self, rule: &CompiledRule, context: &Context) -> bool {
        let (conditions, rules) = (&rule.conditions, &rule.rules);
        let holds = |condition: &CompiledCondition| self.holds(condition, context);
        let matches = |rule: &CompiledRule| self.matches(rule, context);
        // An empty part is true whatever the quantifier.
        (conditions.is_empty()
            || match rule.quantifier {
                RuleType::All => conditions.iter().all(holds),
                RuleType::Any => conditions.iter().any(holds),
                RuleType::None => !conditions.iter().any(holds),
            })
            && (rules.is_empty()
                || match rule.quantifier {
                    RuleType::All => rules.iter().all(matches),
                    RuleType::Any => rules.iter().any(matches),
                    RuleType::None => !rules.iter().any(matches),
                })
    }

    fn holds(&self, condition: &CompiledCondition, context: &Context) -> bool {
        let value = self.read(&condition.property, context);
        condition.comparand.holds(condition.operator, value.as_ref(), &self.key)
    }

    fn read(&self, property: &Property, context: &Context) -> Option<ContextValue> {
        let own = |name: &str| context.attributes.get(name).and_then(ContextValue::new);
        let (name, source) = match property {
            Property::IdentityKey => return self.identity_key(context),
            Property::Trait(name) => return own(name),
            Property::Path(name, source) => (name, source),
        };
        if let Some(value) = own(name) {
            return Some(value);
        }
        match source {
            Source::Identifier => context.targeting_key.as_deref().map(ContextValue::from_text),
            Source::IdentityKey => self.identity_key(context),
            Source::EnvironmentKey => Some(ContextValue::from_text(&self.environment.hash_key)),
            Source::EnvironmentName => Some(ContextValue::from_text(&self.environment.name)),
            Source::Traits(steps) => {
                let (Step::Member(first), rest) = steps.split_first()? else { return None };
                let start: &Value = context.attributes.get(first)?;
                ContextValue::new(rest.iter().try_fold(start, |value, step| step.follow(value))?)
            }
            Source::Nothing => None,
        }
    }

    fn identity_key(&self, context: &Context) -> Option<ContextValue> {
        let identifier = context.targeting_key.as_deref()?;
        Some(ContextValue::Text(format!("{}_{identifier}", self.environment.hash_key)))
    }
}

fn compile_rules(rules: &[SegmentRule], path: &str, depth: usize) -> Result<Box<[CompiledRule]>, (String, String)> {
    if depth > RULE_DEPTH_MAX {
        return Err((path.to_owned(), format!("rules are nested deeper than {RULE_DEPTH_MAX}")));
    }
    let compile_rule = |(index, rule): (usize, &SegmentRule)| {
        let path = format!("{path}[{index}]");
        let conditions = rule.conditions.iter().enumerate().map(|(index, condition)| {
            let path = format!("{path}.conditions[{index}]");
            compile_condition(condition).map_err(|message| (format!("{path}.property"), message))
        });
        Ok(CompiledRule {
            quantifier: rule.rule_type,
            conditions: conditions.collect::<Result<_, _>>()?,
            rules: compile_rules(&rule.rules, &format!("{path}.rules"), depth + 1)?,
        })
    };
    rules.iter().enumerate().map(compile_rule).collect()
}

fn compile_condition(condition: &SegmentCondition) -> Result<CompiledCondition, String> {
    let SegmentCondition { property, operator, value } = condition;
    let property = if property.is_empty() && *operator == Operator::PercentageSplit {
        Property::IdentityKey
    } else if property.starts_with("$.") {
        Property::Path(property.as_str().into(), source(property)?)
    } else {
        Property::Trait(property.as_str().into())
    };
    Ok(CompiledCondition { operator: *operator, property, comparand: Comparand::new(*operator, value) })
}

fn source(path: &str) -> Result<Source, String> {
    let Some(steps) = property::parse(path) else { return Ok(Source::Nothing) };
    let names: Vec<Option<&str>> = steps.iter().map(Step::name).collect();
    Ok(match names.as_slice() {
        [Some("flags"), ..] => {
            return Err(format!("`{path}` reads another flag, which a stored segment cannot; use a prerequisite"));
        }
        [Some("identity"), Some("identifier")] => Source::Identifier,
        [Some("identity"), Some("key")] => Source::IdentityKey,
        [Some("environment"), Some("key")] => Source::EnvironmentKey,
        [Some("environment"), Some("name")] => Source::EnvironmentName,
        [Some("identity"), Some("traits"), Some(_), ..] => Source::Traits(steps.into_iter().skip(2).collect()),
        _ => Source::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::flagsmith::{EvaluationContext, Reasons, evaluate};

    /// The check agrees with the engine, which the conformance cases hold to their answers.
    #[test]
    fn agrees_with_the_engine() {
        let conditions = [
            json!({"property": "plan", "operator": "EQUAL", "value": "pro"}),
            json!({"property": "plan", "operator": "IN", "value": "pro,free"}),
            json!({"property": "seats", "operator": "IN", "value": "[1, 25]"}),
            json!({"property": "plan", "operator": "REGEX", "value": "p[a-z]o"}),
            json!({"property": "plan", "operator": "REGEX", "value": "ro"}),
            json!({"property": "plan", "operator": "REGEX", "value": "(?=x)"}),
            json!({"property": "seats", "operator": "MODULO", "value": "5|0"}),
            json!({"property": "seats", "operator": "GREATER_THAN", "value": "9.5"}),
            json!({"property": "", "operator": "PERCENTAGE_SPLIT", "value": "50"}),
            json!({"property": "plan", "operator": "PERCENTAGE_SPLIT", "value": "50"}),
            json!({"property": "$.identity.identifier", "operator": "CONTAINS", "value": "1"}),
            json!({"property": "$.identity.key", "operator": "CONTAINS", "value": "hash_u"}),
            json!({"property": "$.environment.name", "operator": "EQUAL", "value": "Production"}),
            json!({"property": "$.environment.key", "operator": "EQUAL", "value": "hash"}),
            json!({"property": "$.identity.traits.plan", "operator": "EQUAL", "value": "pro"}),
            json!({"property": "$.identity.nothing", "operator": "IS_NOT_SET"}),
            json!({"property": "gone", "operator": "NOT_EQUAL", "value": "x"}),
            json!({"property": "version", "operator": "LESS_THAN", "value": "1.10.0:semver"}),
        ];
        let environment = EnvironmentNames { hash_key: "hash".to_owned(), name: "Production".to_owned() };
        let mut matched = 0;
        for condition in &conditions {
            for (quantifier, user) in [("ALL", 1), ("ANY", 2), ("NONE", 3), ("ALL", 40), ("ALL", 41)] {
                let rule: SegmentRule =
                    serde_json::from_value(json!({"type": quantifier, "conditions": [condition], "rules": []}))
                        .unwrap();
                let check = SegmentCheck::compile("7", std::slice::from_ref(&rule), &environment).unwrap();
                let traits = json!({"plan": "pro", "seats": 25, "version": "1.9.0"});
                let identifier = format!("user-{user}");
                let own = Context {
                    targeting_key: Some(identifier.clone()),
                    attributes: traits.as_object().unwrap().clone().into(),
                };
                let theirs: EvaluationContext = serde_json::from_value(json!({
                    "environment": {"key": "hash", "name": "Production"},
                    "identity": {"identifier": identifier, "traits": traits},
                    "segments": {"7": {"key": "7", "name": "s", "rules": [rule]}},
                }))
                .unwrap();
                let expected = !evaluate(&theirs, Reasons::V11).segments.is_empty();
                assert_eq!(check.is_met(&own), expected, "{quantifier} {condition} {user}");
                matched += usize::from(expected);
            }
        }
        assert!((20..80).contains(&matched), "{matched}");
    }

    #[test]
    fn other_flags_cannot_be_read() {
        let rule = json!({"type": "ALL", "conditions": [{"property": "$.flags.a.enabled", "operator": "EQUAL", "value": "true"}]});
        let rule: SegmentRule = serde_json::from_value(rule).unwrap();
        let (path, message) = SegmentCheck::compile("1", &[rule], &EnvironmentNames::default()).unwrap_err();
        assert_eq!(path, "rules[0].conditions[0].property");
        assert!(message.contains("reads another flag"), "{message}");
    }
}
