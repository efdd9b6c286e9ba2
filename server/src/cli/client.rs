//! How commands reach the server: its address, a token, and problems turned into sentences.

use std::path::PathBuf;

use clap::Args;
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;
use thiserror::Error;

/// Where the server is and who is asking.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Address of the server.
    #[arg(long, env = "LIFTGATE_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: Url,
    /// Named token; without it, `admin-token` in the data folder is read.
    #[arg(long, env = "LIFTGATE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Data folder of a server on this machine, for its `admin-token`.
    #[arg(long, env = "LIFTGATE_DATA_DIR", default_value = "./liftgate-data", value_name = "DIR")]
    data_dir: PathBuf,
}

impl ServerArgs {
    /// Where the server is.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// Which environment a command is about.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// The project.
    #[arg(short, long, env = "LIFTGATE_PROJECT")]
    project: String,
    /// The environment.
    #[arg(short, long, env = "LIFTGATE_ENVIRONMENT")]
    environment: String,
}

impl PlaceArgs {
    /// The path of something in that environment.
    pub fn path(&self, rest: &str) -> String {
        format!("/manage/v1/projects/{}/environments/{}/{rest}", self.project, self.environment)
    }
}

/// Why a call failed.
#[derive(Debug, Error)]
pub enum Error {
    /// No token anywhere.
    #[error(
        "no token: pass `--token`, set LIFTGATE_TOKEN, or name the server's data folder with `--data-dir` (`{path}` cannot be read: {source})"
    )]
    NoToken {
        /// Where it was looked for.
        path: String,
        /// Why it is not there.
        source: std::io::Error,
    },
    /// The server does not answer.
    #[error("the server at {url} cannot be reached: {source}; is `liftgate serve` running there?")]
    Unreachable {
        /// Its address.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// The server refused.
    #[error("{0}")]
    Refused(String),
    /// The server answered with something else than JSON.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(#[source] reqwest::Error),
}

/// A connection to the management API.
pub struct Client {
    http: reqwest::Client,
    url: Url,
    token: String,
}

impl Client {
    /// Finds the token and prepares the connection.
    pub fn new(args: &ServerArgs) -> Result<Self, Error> {
        let token = match &args.token {
            Some(token) => token.clone(),
            None => {
                let path = args.data_dir.join("admin-token");
                let read = std::fs::read_to_string(&path);
                read.map_err(|source| Error::NoToken { path: path.display().to_string(), source })?
            }
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .map_err(|source| Error::Unreachable { url: args.url.clone(), source })?;
        Ok(Self { http, url: args.url.clone(), token: token.trim().to_owned() })
    }

    /// The same caller, at the address of another node.
    pub fn at(&self, url: Url) -> Self {
        Self { http: self.http.clone(), url, token: self.token.clone() }
    }

    /// `GET`, answered with JSON.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.send(self.request(Method::GET, path)).await
    }

    /// `GET`, answered with bytes of another form than JSON.
    pub async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Error> {
        let request = self.request(Method::GET, path);
        let response = request.send().await.map_err(|source| Error::Unreachable { url: self.url.clone(), source })?;
        let status = response.status();
        let body = response.bytes().await.map_err(Error::Unreadable)?;
        if status.is_success() {
            return Ok(body.to_vec());
        }
        Err(Error::Refused(sentence(status, &serde_json::from_slice(&body).unwrap_or(Value::Null))))
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `POST` of YAML documents.
    pub async fn post_yaml(&self, path: &str, body: String) -> Result<Value, Error> {
        self.send(self.request(Method::POST, path).header("content-type", "application/yaml").body(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        self.http.request(method, url).bearer_auth(&self.token)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, Error> {
        let response = request.send().await.map_err(|source| Error::Unreachable { url: self.url.clone(), source })?;
        let status = response.status();
        let body = response.bytes().await.map_err(Error::Unreadable)?;
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() { Ok(value) } else { Err(Error::Refused(sentence(status, &value))) }
    }
}

/// A problem as people read it: what, which fields, and the next step.
pub fn sentence(status: reqwest::StatusCode, problem: &Value) -> String {
    let mut text = problem["detail"].as_str().map_or_else(|| format!("the server answered {status}"), str::to_owned);
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if errors.len() > 1 {
        for error in errors {
            let part = |name: &str| error[name].as_str().unwrap_or_default();
            text.push_str(&format!("\n  {}: {}", part("field"), part("message")));
        }
    }
    if let Some(next) = problem["next"].as_str() {
        text.push_str(&format!("\n  next: {next}"));
    }
    text
}
