//! A customer's endpoint on loopback: answers by a script and remembers what it heard.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use liftgate_webhooks::signature::{Secret, verify};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How one request is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status and a body.
    Status(u16, &'static str),
    /// A status with `Retry-After`.
    RetryAfter(u16, &'static str),
    /// A redirect to a path of the same receiver.
    Redirect(u16),
    /// Never.
    Hang,
    /// A status at once, and a body that never ends.
    Drip(u16),
    /// 200 with 10 MB.
    Flood,
    /// A panic: the connection ends without an answer.
    Break,
}

/// One request as it was heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The path.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How it was answered.
    pub reply: Reply,
}

impl Heard {
    /// A header as text; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The id that receivers deduplicate by.
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The time of the attempt, in seconds.
    pub fn timestamp_s(&self) -> i64 {
        self.header("webhook-timestamp").parse().unwrap()
    }

    /// Whether this secret signed it.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let (secrets, at) = ([Secret::parse(secret).unwrap()], self.timestamp_s());
        verify(&secrets, self.id(), at, at, self.header("webhook-signature"), &self.body).is_ok()
    }
}

struct Script {
    replies: Mutex<VecDeque<Reply>>,
    heard: Mutex<Vec<Heard>>,
    news: mpsc::UnboundedSender<Heard>,
}

/// A running receiver. Ends with the test.
pub struct Receiver {
    /// `127.0.0.1:port`.
    pub authority: String,
    script: Arc<Script>,
    news: mpsc::UnboundedReceiver<Heard>,
}

impl Receiver {
    /// Answers with these in order, and 200 `ok` after them.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), replies)
    }

    /// The same on a listener that is open already.
    pub fn on(listener: TcpListener, replies: impl IntoIterator<Item = Reply>) -> Self {
        let (sender, news) = mpsc::unbounded_channel();
        let replies = Mutex::new(replies.into_iter().collect());
        let script = Arc::new(Script { replies, heard: Mutex::default(), news: sender });
        let authority = listener.local_addr().unwrap().to_string();
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { authority, script, news }
    }

    /// A URL of it.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.authority)
    }

    /// All requests so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.script.heard.lock().unwrap().clone()
    }

    /// The next request, awaited.
    pub async fn next(&mut self) -> Heard {
        let wait = tokio::time::timeout(std::time::Duration::from_secs(10), self.news.recv());
        wait.await.expect("a request within ten seconds").expect("the receiver runs")
    }
}

async fn answer(State(script): State<Arc<Script>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let reply = script.replies.lock().unwrap().pop_front().unwrap_or(Reply::Status(200, "ok"));
    let heard = Heard { path: parts.uri.path().to_owned(), headers: parts.headers, body, reply: reply.clone() };
    script.heard.lock().unwrap().push(heard.clone());
    let _ = script.news.send(heard);
    let status = |code: u16| StatusCode::from_u16(code).unwrap();
    match reply {
        Reply::Status(code, body) => (status(code), body).into_response(),
        Reply::RetryAfter(code, after) => (status(code), [(header::RETRY_AFTER, after)], "later").into_response(),
        Reply::Redirect(code) => (status(code), [(header::LOCATION, "/elsewhere")]).into_response(),
        Reply::Hang => std::future::pending().await,
        Reply::Drip(code) => {
            let first = futures::stream::once(async { Ok::<_, std::convert::Infallible>("some") });
            (status(code), Body::from_stream(first.chain(futures::stream::pending()))).into_response()
        }
        Reply::Flood => vec![b'x'; 10 << 20].into_response(),
        Reply::Break => panic!("breaks the connection, as scripted"),
    }
}
