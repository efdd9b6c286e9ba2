//! The OpenAPI document names the routes that there are, all of them and no others.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Server, TOKEN};

const DOCUMENT: &str = include_str!("../../src/http/openapi.json");
const HTTP: &str = include_str!("../../src/http/mod.rs");
const FLAGSMITH: &str = include_str!("../../src/http/flagsmith/mod.rs");
const MANAGE: &str = include_str!("../../src/manage/mod.rs");

fn documented() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    document["paths"].as_object().unwrap().keys().cloned().collect()
}

/// The first text of every `.route("...")`, wherever the line breaks.
fn routed(source: &str) -> Vec<String> {
    source
        .split(".route(")
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"').map(|(path, _)| path.to_owned()))
        .collect()
}

#[test]
fn every_route_is_documented_and_every_documented_path_is_a_route() {
    let (environment, rest) = MANAGE.split_once("    Router::new()\n        .route(\"/apply\"").unwrap();
    let rest = format!(".route(\"/apply\"{rest}");
    let mut routes: BTreeSet<String> = routed(HTTP).into_iter().map(|path| path.replace("{*key}", "{key}")).collect();
    routes.extend(routed(FLAGSMITH));
    routes.extend(routed(&rest).into_iter().map(|path| format!("/manage/v1{path}")));
    let inside = "/manage/v1/projects/{project}/environments/{environment}";
    routes.extend(routed(environment).into_iter().map(|path| format!("{inside}{path}")));
    assert!(routes.len() > 30, "the routes were not found in the source: {routes:?}");
    assert_eq!(routes, documented());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_answers_on_every_documented_path_with_its_methods() {
    let server = Server::start().await;
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if path.ends_with("/stream") {
            continue;
        }
        let real = path
            .replace("{project}", "nowhere")
            .replace("{environment}", "nothing")
            .replace("{collection}", "flags")
            .replace("{key}", "none")
            .replace("{id}", "none")
            .replace("{node}", "none");
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer =
                server.http().request(method.clone(), server.url(&real)).bearer_auth(TOKEN).send().await.unwrap();
            let text = answer.text().await.unwrap();
            assert!(!text.contains("route_unknown"), "{method} {path}: {text}");
            assert!(!text.contains("method_not_allowed"), "{method} {path}: {text}");
        }
    }
    let page = server.http().get(server.url("/docs/")).send().await.unwrap();
    assert!(page.status().is_success());
    assert!(page.text().await.unwrap().contains("swagger"));
}
