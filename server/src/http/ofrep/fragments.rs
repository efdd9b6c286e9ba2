//! The pieces of every flag's answer that do not depend on who asks, written once when a ruleset is compiled. A flag
//! that serves everybody the same is one piece; of the others there is one for each variation.

use std::sync::Arc;

use liftgate_domain::Scope;
use liftgate_evaluator::{Context, Flag, FlagKind, FlagSource, FlagState, Reason, Ruleset, Serve, Variation};
use serde_json::Value;

use super::answer::{member, string};

/// Room for what is added to a flag's pieces: its reason, rule, run and arm.
const ADDED_BYTES: usize = 96;

/// The pieces of all flags of an environment, in the order of their keys.
#[derive(Debug, Default)]
pub struct Fragments {
    flags: Vec<Arc<FlagFragments>>,
    /// What names the environment in metadata, as JSON: `"flagSetId":"project/environment"`.
    set: Box<[u8]>,
    /// About the bytes of an answer with all flags.
    bytes: usize,
}

/// The pieces of one flag.
#[derive(Debug)]
pub struct FlagFragments {
    key: Box<str>,
    pieces: Pieces,
}

/// The key of a variation, and how an answer with it begins.
type Head = (Box<str>, Box<[u8]>);

#[derive(Debug)]
enum Pieces {
    /// The whole answer up to the end of its metadata.
    Fixed(Box<[u8]>),
    /// `{"key":..,"value":..,"variant":..,"reason":"` of each variation by its key, and `","metadata":{..` of all.
    Varies { variations: Box<[Head]>, metadata: Box<[u8]> },
}

impl Fragments {
    /// Writes the pieces of the flags that a ruleset was compiled from, which come in the order of their keys; `kept` has
    /// those of flags that did not change.
    pub fn new(
        scope: &Scope,
        flags: &[Arc<FlagSource>],
        ruleset: &Ruleset,
        kept: impl Fn(usize) -> Option<Arc<FlagFragments>>,
    ) -> Self {
        let mut set = Vec::new();
        member(&mut set, "flagSetId", &scope.to_string());
        let piece = |(place, source): (usize, &Arc<FlagSource>)| {
            kept(place).unwrap_or_else(|| Arc::new(FlagFragments::new(&set, source, ruleset)))
        };
        let flags: Vec<Arc<FlagFragments>> = flags.iter().enumerate().map(piece).collect();
        let bytes = flags.iter().map(|flag| flag.bytes()).sum();
        Self { flags, set: set.into(), bytes }
    }

    /// The pieces at a place, for the snapshot that comes after.
    pub fn share(&self, place: usize) -> Arc<FlagFragments> {
        self.flags[place].clone()
    }

    /// The flags, in the order of their keys.
    pub fn flags(&self) -> &[Arc<FlagFragments>] {
        &self.flags
    }

    /// The pieces of one flag.
    pub fn find(&self, key: &str) -> Option<&FlagFragments> {
        let place = self.flags.binary_search_by(|flag| (*flag.key).cmp(key)).ok()?;
        self.flags.get(place).map(Arc::as_ref)
    }

    /// What names the environment in metadata, as JSON.
    pub fn set(&self) -> &[u8] {
        &self.set
    }

    /// About the bytes of an answer with all flags.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl FlagFragments {
    fn new(set: &[u8], FlagSource { flag, state, revision }: &FlagSource, ruleset: &Ruleset) -> Self {
        let has_fractions = has_fractions(flag);
        let variations = flag
            .variations
            .iter()
            .map(|variation| (variation.key.as_str().into(), head(flag, variation, has_fractions).into_boxed_slice()));
        let mut metadata = br#"","metadata":{"#.to_vec();
        metadata.extend_from_slice(set);
        metadata.push(b',');
        member(&mut metadata, "version", &revision.to_string());
        let pieces = Pieces::Varies { variations: variations.collect(), metadata: metadata.into() };
        let varies = Self { key: flag.key.as_str().into(), pieces };
        if is_fixed(state) { varies.settled(ruleset) } else { varies }
    }

    /// The same as one piece, unless the flag is broken.
    fn settled(self, ruleset: &Ruleset) -> Self {
        let nobody = Context::default();
        let evaluation = ruleset.evaluate(&self.key, &nobody);
        let (Some(variation), Reason::Static | Reason::Disabled) = (evaluation.variation, evaluation.reason) else {
            return self;
        };
        let mut whole = Vec::new();
        self.write(&mut whole, variation, evaluation.reason);
        Self { pieces: Pieces::Fixed(whole.into()), key: self.key }
    }

    /// The key of the flag.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The whole answer up to the end of its metadata, of a flag that serves everybody the same.
    pub fn fixed(&self) -> Option<&[u8]> {
        match &self.pieces {
            Pieces::Fixed(whole) => Some(whole),
            Pieces::Varies { .. } => None,
        }
    }

    /// Writes the answer with a variation up to the end of its metadata.
    pub fn write(&self, body: &mut Vec<u8>, variation: &str, reason: Reason) {
        match &self.pieces {
            Pieces::Fixed(whole) => body.extend_from_slice(whole),
            Pieces::Varies { variations, metadata } => {
                let head = variations.iter().find(|(key, _)| **key == *variation);
                body.extend_from_slice(head.map_or(&[][..], |(_, head)| head));
                body.extend_from_slice(reason.as_str().as_bytes());
                body.extend_from_slice(metadata);
            }
        }
    }

    fn bytes(&self) -> usize {
        let pieces = match &self.pieces {
            Pieces::Fixed(whole) => whole.len(),
            Pieces::Varies { variations, metadata } => {
                metadata.len() + variations.iter().map(|(_, head)| head.len()).max().unwrap_or(0)
            }
        };
        pieces + ADDED_BYTES
    }
}

/// Whether a flag serves everybody the same, whatever else is declared. Each part of a state must say so.
fn is_fixed(state: &FlagState) -> bool {
    let FlagState { enabled, prerequisites, targets, rules, fallthrough } = state;
    // A flag that needs another is broken with it, even while it is disabled.
    let asks_nobody = targets.is_empty() && rules.is_empty() && matches!(fallthrough, None | Some(Serve::Variation(_)));
    prerequisites.is_empty() && (!enabled || asks_nobody)
}

/// A number flag is of the kind float when one of its values is: typed clients then ask for a float, and take `3.0` for
/// one but not `3`.
fn has_fractions(flag: &Flag) -> bool {
    flag.kind == FlagKind::Number && flag.variations.iter().any(|variation| variation.value.is_f64())
}

fn head(flag: &Flag, variation: &Variation, has_fractions: bool) -> Vec<u8> {
    let mut head = b"{".to_vec();
    member(&mut head, "key", flag.key.as_str());
    head.extend_from_slice(br#","value":"#);
    match variation.value.as_f64().filter(|_| has_fractions) {
        Some(number) => write_value(&mut head, &Value::from(number)),
        None => write_value(&mut head, &variation.value),
    }
    head.push(b',');
    head.extend_from_slice(br#""variant":"#);
    string(&mut head, &variation.key);
    head.extend_from_slice(br#","reason":""#);
    head
}

fn write_value(buffer: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(buffer, value).expect("JSON values are always written to memory");
}

#[cfg(test)]
mod tests {
    use liftgate_evaluator::{Key, RulesetSource};
    use serde_json::json;

    use super::*;

    fn fragments(flags: Value) -> Fragments {
        let flags: Vec<FlagSource> = serde_json::from_value(flags).unwrap();
        let mut flags: Vec<Arc<FlagSource>> = flags.into_iter().map(Arc::new).collect();
        flags.sort_by(|left, right| left.flag.key.cmp(&right.flag.key));
        let scope = Scope::environment(Key::new("shop").unwrap(), Key::new("production").unwrap());
        let ruleset = Ruleset::compile(RulesetSource { flags: flags.clone(), ..RulesetSource::default() });
        Fragments::new(&scope, &flags, &ruleset, |_| None)
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_flag_that_serves_everybody_the_same_is_one_piece() {
        let rules = json!([{"id": "all", "serve": {"variation": "on"}}]);
        let found = fragments(json!([
            {"flag": {"key": "plain", "kind": "boolean"}, "state": {"enabled": true}, "revision": 3},
            {"flag": {"key": "disabled", "kind": "boolean"}, "state": {"enabled": false, "rules": rules}, "revision": 1},
            {"flag": {"key": "ruled", "kind": "boolean"}, "state": {"enabled": true, "rules": rules}, "revision": 1},
            {"flag": {"key": "broken", "kind": "string"}, "state": {"enabled": true}, "revision": 1},
        ]));
        let fixed: Vec<_> = found.flags().iter().map(|flag| (flag.key(), flag.fixed().is_some())).collect();
        assert_eq!(fixed, [("broken", false), ("disabled", true), ("plain", true), ("ruled", false)]);
        insta::assert_snapshot!(
            text(found.find("plain").unwrap().fixed().unwrap()),
            @r#"{"key":"plain","value":false,"variant":"off","reason":"STATIC","metadata":{"flagSetId":"default/shop/production","version":"3""#
        );
        assert!(found.find("nobody").is_none());
    }

    #[test]
    fn numbers_of_a_flag_with_fractions_keep_their_decimal_point() {
        let flag = |key: &str, values: Value| {
            let variations = json!([{"key": "a", "value": values[0]}, {"key": "b", "value": values[1]}]);
            let flag = json!({"key": key, "kind": "number", "variations": variations, "off_variation": "a"});
            json!({"flag": flag, "state": {"enabled": true}, "revision": 1})
        };
        let found = fragments(json!([
            flag("both", json!([1, 2.5])),
            flag("float", json!([3.0, 4.0])),
            flag("integer", json!([3, 9_007_199_254_740_993_i64])),
        ]));
        let value = |key: &str, variation: &str| {
            let mut body = Vec::new();
            found.find(key).unwrap().write(&mut body, variation, Reason::Static);
            let text = text(&body);
            text[text.find("\"value\":").unwrap() + 8..text.find(",\"variant\"").unwrap()].to_owned()
        };
        assert_eq!(value("both", "a"), "1.0");
        assert_eq!(value("float", "a"), "3.0");
        assert_eq!(value("integer", "a"), "3");
        let whole = &found.find("integer").unwrap();
        assert!(whole.fixed().is_some());
    }
}
