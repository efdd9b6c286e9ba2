//! Evaluation in one's own process: pull the ruleset, keep it fresh, evaluate without a network, and force values in the
//! tests of an application.
//!
//! ```sh
//! liftgate serve &
//! liftgate apply -f flags.yaml
//! cargo run --example in_process -- http://127.0.0.1:8080 ser.KEY checkout user-1 user-2
//! ```

use std::{error::Error, sync::Arc, time::Duration};

use liftgate_domain::{Clock, SystemClock};
use liftgate_evaluator::{Context, Ruleset, Snapshot};
use reqwest::{Client, StatusCode, header};

/// How often to look for a newer ruleset. Asking costs the server next to nothing: it answers 304.
const REFRESH: Duration = Duration::from_secs(5);

/// What is pulled from where.
struct Source {
    http: Client,
    url: String,
    key: String,
    etag: Option<header::HeaderValue>,
}

impl Source {
    /// The ruleset, when it is another than the last.
    async fn pull(&mut self) -> Result<Option<Ruleset>, Box<dyn Error>> {
        let mut request = self.http.get(&self.url).header("x-api-key", &self.key);
        if let Some(etag) = &self.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let answer = request.send().await?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        if !answer.status().is_success() {
            return Err(format!("{}: {}", answer.status(), answer.text().await?).into());
        }
        let etag = answer.headers().get(header::ETAG).cloned();
        let ruleset = Ruleset::parse(&answer.text().await?)?;
        self.etag = etag;
        Ok(Some(ruleset))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("name {what}; see the head of this example"));
    let (base, key, flag) = (next("the server's address")?, next("a server key")?, next("a flag")?);
    let users: Vec<String> = arguments.collect();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return Err("a TLS provider is there already".into());
    }

    let url = format!("{}/evaluation/v1/ruleset", base.trim_end_matches('/'));
    let mut source = Source { http: Client::new(), url, key, etag: None };
    let first = source.pull().await?.ok_or("the first answer has a ruleset")?;
    for problem in first.problems() {
        eprintln!("broken: {problem}");
    }
    let snapshot = Arc::new(Snapshot::new(first));
    let show = |snapshot: &Snapshot| {
        let ruleset = snapshot.load();
        for user in &users {
            let context = Context::user(user.as_str());
            let answer = ruleset.evaluate_at(&flag, &context, SystemClock.now());
            let value = answer.value.map_or_else(|| "your default".to_owned(), ToString::to_string);
            println!("revision {}: {flag} for {user}: {value} ({})", ruleset.revision(), answer.reason);
        }
    };
    show(&snapshot);

    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(REFRESH) => {}
        }
        match source.pull().await {
            Ok(Some(ruleset)) => {
                snapshot.swap(ruleset);
                show(&snapshot);
            }
            Ok(None) => {}
            // The last ruleset goes on serving while the server is away.
            Err(error) => eprintln!("not refreshed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an application's own tests do: the flag is what the test needs, whoever asks.
    #[test]
    fn an_application_is_tested_with_forced_values() {
        let ruleset = r#"{"revision": 1, "flags": [{"flag": {"key": "checkout", "kind": "boolean"},
            "state": {"enabled": false}, "revision": 1}]}"#;
        let snapshot = Snapshot::new(Ruleset::parse(ruleset).expect("it is well-formed"));
        snapshot.force("checkout", "on").expect("the flag has this variation");
        let context = Context::user("anybody");
        assert_eq!(snapshot.load().evaluate("checkout", &context).variation, Some("on"));
    }
}
