//! What the documents show, the server takes: every YAML block is applied, so every policy in them passes lint.

use std::path::PathBuf;

use crate::harness::Server;

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
