//! CORS for those that ask for it: a request that names no origin comes from no browser, and is spared work and headers that
//! nobody would read.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    http::{HeaderValue, Method, header},
    response::Response,
};
use futures::future::Either;
use tower_http::{
    cors::{Cors, CorsLayer},
    set_header::SetResponseHeaderLayer,
};
use tower_layer::Layer;
use tower_service::Service;

/// The layers for routes that browsers call.
pub fn layers(cors: CorsLayer) -> (SetResponseHeaderLayer<HeaderValue>, SetResponseHeaderLayer<HeaderValue>, Browsers) {
    // Answers depend on the key, which stands in headers that caches do not look at.
    let private =
        SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    // Or a cache in between could give a browser what was answered to somebody else.
    let vary = SetResponseHeaderLayer::if_not_present(header::VARY, HeaderValue::from_static("origin"));
    (private, vary, Browsers(Arc::new(cors)))
}

/// Puts CORS around what browsers ask.
#[derive(Clone)]
pub struct Browsers(Arc<CorsLayer>);

impl<S> Layer<S> for Browsers {
    type Service = ForBrowsers<S>;

    fn layer(&self, inner: S) -> ForBrowsers<S> {
        ForBrowsers { inner, cors: self.0.clone() }
    }
}

/// A service with CORS around it for some requests.
#[derive(Clone)]
pub struct ForBrowsers<S> {
    inner: S,
    cors: Arc<CorsLayer>,
}

impl<S> Service<Request> for ForBrowsers<S>
where
    S: Service<Request, Response = Response> + Clone,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, <Cors<S> as Service<Request>>::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let is_browser = request.headers().contains_key(header::ORIGIN) || request.method() == Method::OPTIONS;
        if !is_browser {
            return Either::Left(self.inner.call(request));
        }
        // What was found ready is called; the clone takes its place.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        Either::Right(self.cors.layer(ready).call(request))
    }
}
