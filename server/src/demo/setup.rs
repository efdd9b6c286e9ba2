//! The demo's declarations: read from `demo/*.yaml`, completed with what only this run knows, applied over HTTP.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, api::Api};

/// The project's path in the management API.
pub const PROJECT: &str = "/manage/v1/projects/shop";
/// The environment's path in the management API.
pub const ENVIRONMENT: &str = "/manage/v1/projects/shop/environments/production";
/// The experiment's key.
pub const EXPERIMENT: &str = "banner-test";

const FILES: [(&str, &str); 5] = [
    ("shop.yaml", include_str!("../../../demo/shop.yaml")),
    ("metrics.yaml", include_str!("../../../demo/metrics.yaml")),
    ("webhooks.yaml", include_str!("../../../demo/webhooks.yaml")),
    ("rollouts.yaml", include_str!("../../../demo/rollouts.yaml")),
    ("experiment.yaml", include_str!("../../../demo/experiment.yaml")),
];

/// Where the demo's receiver listens, and the secret that signs what it is sent.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The receiver's URL.
    pub url: String,
    /// `whsec_...`.
    pub secret: String,
}

/// How many declarations came to what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Applied {
    /// New ones, started rollouts included.
    pub made: usize,
    /// Changed ones.
    pub updated: usize,
    /// Those that were there already.
    pub unchanged: usize,
}

/// All declarations in the order of their files, the endpoint with its real address and secret.
pub fn declarations(hook: &Hook) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for (file, text) in FILES {
        for document in serde_yaml_ng::Deserializer::from_str(text) {
            let mut declaration =
                Value::deserialize(document).map_err(|error| Error::Declaration { file, reason: error.to_string() })?;
            if declaration["kind"] == "endpoint" {
                declaration["spec"]["url"] = json!(hook.url);
                declaration["spec"]["secrets"] = json!([hook.secret]);
            }
            all.push(declaration);
        }
    }
    Ok(all)
}

/// Applies everything. A second time it changes only what is different: the receiver's address.
pub async fn apply(api: &Api, hook: &Hook) -> Result<Applied, Error> {
    let path = "/manage/v1/apply";
    let answer = api.post(path, &Value::Array(declarations(hook)?)).await?;
    let results = answer["results"]
        .as_array()
        .ok_or_else(|| Error::Answer { path: path.to_owned(), reason: "it has no list `results`".to_owned() })?;
    let mut applied = Applied::default();
    for result in results {
        match result["action"].as_str() {
            Some("unchanged") => applied.unchanged += 1,
            Some("updated") => applied.updated += 1,
            _ => applied.made += 1,
        }
    }
    Ok(applied)
}

/// Makes a client key, with which shoppers evaluate and send events.
pub async fn make_client_key(api: &Api) -> Result<String, Error> {
    let path = format!("{ENVIRONMENT}/keys");
    let answer = api.post(&path, &json!({"name": "demo shoppers", "kind": "client"})).await?;
    let key = answer["key"].as_str().map(str::to_owned);
    key.ok_or(Error::Answer { path, reason: "it has no text `key`".to_owned() })
}

#[cfg(test)]
mod tests {
    use liftgate_domain::{Endpoint, Environment, Experiment, Metric};
    use liftgate_scheduler::Policy;

    use super::*;

    fn hook() -> Hook {
        Hook { url: "http://127.0.0.1:5/hooks".to_owned(), secret: "whsec_x".to_owned() }
    }

    fn read<T: for<'a> Deserialize<'a>>(declaration: &Value) -> T {
        T::deserialize(&declaration["spec"]).unwrap_or_else(|error| panic!("{declaration}: {error}"))
    }

    #[test]
    fn every_declaration_reads_as_its_kind() {
        let all = declarations(&hook()).unwrap();
        let mut kinds = std::collections::BTreeMap::<String, usize>::new();
        for declaration in &all {
            let kind = declaration["kind"].as_str().unwrap();
            *kinds.entry(kind.to_owned()).or_default() += 1;
            match kind {
                "environment" => assert!(read::<Environment>(declaration).bulk_exposures),
                "flag" => {
                    // The key stands beside the spec; applying puts it in.
                    let mut declaration = declaration.clone();
                    declaration["spec"]["key"] = declaration["key"].clone();
                    assert_eq!(read::<liftgate_evaluator::Flag>(&declaration).off_variation, "off");
                }
                "metric" => assert_eq!(read::<Metric>(declaration).window.as_ms(), 3_000),
                "policy" => {
                    let policy: Policy = read(declaration);
                    assert_eq!((policy.stages.len(), policy.guardrails.metrics.len()), (5, 2));
                }
                "endpoint" => assert_eq!(read::<Endpoint>(declaration).url, hook().url),
                "experiment" => {
                    let mut declaration = declaration.clone();
                    assert_eq!(declaration["spec"].as_object_mut().unwrap().remove("start"), Some(json!(true)));
                    assert_eq!(read::<Experiment>(&declaration).control, "off");
                }
                "rollout" => assert_eq!(declaration["spec"]["treatment"], "on", "not a boolean"),
                "project" => {}
                other => panic!("unknown kind {other}"),
            }
        }
        let counts: Vec<_> = kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        assert_eq!(
            counts,
            [
                ("endpoint", 1),
                ("environment", 1),
                ("experiment", 1),
                ("flag", 4),
                ("metric", 4),
                ("policy", 1),
                ("project", 1),
                ("rollout", 3)
            ]
        );
    }

    #[test]
    fn the_policy_passes_lint() {
        let all = declarations(&hook()).unwrap();
        let policy: Policy = read(all.iter().find(|declaration| declaration["kind"] == "policy").unwrap());
        let metric = |key: &liftgate_domain::Key| {
            let found = all.iter().find(|d| d["kind"] == "metric" && d["key"] == key.to_string());
            found.map(read::<Metric>)
        };
        let problems = liftgate_scheduler::lint(&policy, &metric);
        assert!(problems.is_empty(), "{problems:?}");
    }
}
