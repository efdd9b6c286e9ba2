//! What the documents show, the server takes: every YAML block is applied, so every policy in them passes lint. What the
//! server shows, the documents name: every setting and every metric.

use std::path::PathBuf;

use liftgate::config::SETTINGS;

use crate::{clickhouse_server::ClickHouse, harness::Server};

/// The fenced YAML blocks of a document, in order.
fn yaml_blocks(document: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
    let text = std::fs::read_to_string(path).unwrap();
    text.split("```yaml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_declaration_in_the_api_document_is_accepted() {
    let server = Server::start_with(&[("LIFTGATE_WEBHOOKS_ALLOW", "127.0.0.1,localhost")]).await;
    let blocks = yaml_blocks("docs/API.md");
    assert!(blocks.len() >= 5, "the YAML blocks of docs/API.md were not found");
    assert!(blocks.iter().filter(|block| block.starts_with("kind: policy")).count() >= 2);
    for block in blocks {
        let (status, answer) = server.try_apply(&block).await;
        assert!(status.is_success(), "{status} {answer:#}\n{block}");
    }
}

fn operations() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/OPERATIONS.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_setting_is_in_the_operators_document_with_its_variable() {
    let document = operations();
    for setting in SETTINGS {
        for name in [setting.name.to_owned(), setting.variable()] {
            assert!(document.contains(&format!("`{name}`")), "docs/OPERATIONS.md does not name `{name}`");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_in_the_operators_document_and_every_name_there_is_a_metric() {
    let clickhouse = ClickHouse::start().await;
    let (url, document) = (clickhouse.url(), operations());
    let servers = [
        Server::start().await,
        Server::start_with(&[("LIFTGATE_WAREHOUSE", "clickhouse"), ("LIFTGATE_CLICKHOUSE_URL", &url)]).await,
    ];
    let mut exported = String::new();
    for server in &servers {
        // A first look at evidence makes the watermark, which has no age before.
        let mut page = String::new();
        while !page.contains("liftgate_watermark_lag") {
            page = server.http().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
        }
        exported.push_str(&page);
    }
    let names: Vec<&str> =
        exported.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() > 60, "the metrics were not found: {names:?}");
    for name in &names {
        let is_named = document.contains(&format!("`{name}`")) || document.contains(&format!("`{name}{{"));
        assert!(is_named, "docs/OPERATIONS.md does not name `{name}`");
    }
    let table = document.split("## Metrics").nth(1).unwrap().split("\n## ").next().unwrap();
    for name in table.split('`').filter(|text| text.starts_with("liftgate_") && !text.contains('*')) {
        let name = name.split('{').next().unwrap();
        assert!(names.contains(&name), "`{name}` of docs/OPERATIONS.md is no metric");
    }
}
