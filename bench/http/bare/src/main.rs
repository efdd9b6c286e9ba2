//! The yardstick of `compare.py`: parses a body as JSON and answers fixed bytes, with the server's runtime, listener and
//! allocator and nothing else.
//!
//! usage: bare PORT FILE_OF_THE_ANSWER

use std::{error::Error, sync::OnceLock};

use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::post,
};
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

static ANSWER: OnceLock<Bytes> = OnceLock::new();

async fn answer(body: Bytes) -> Result<impl IntoResponse, StatusCode> {
    let parsed: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    std::hint::black_box(&parsed);
    let answer = ANSWER.get().cloned().unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "application/json")], answer))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (port, file) = (arguments.next().ok_or("name a port")?, arguments.next().ok_or("name a file")?);
    ANSWER.set(std::fs::read(file)?.into()).map_err(|_| "the answer is set already")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        let routes = Router::new().fallback(post(answer));
        axum::serve(listener, routes).await
    })?;
    Ok(())
}
