//! `GET /api/v1/environment-document/`: everything that local evaluation needs. Only for server keys: it tells who is
//! in which segment.

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use super::{Keyed, Refusal, answer, environment_document};

pub async fn show(Keyed(caller): Keyed) -> Result<Response, Refusal> {
    if !caller.is_server {
        let detail = "the environment document needs a server key, which begins with `ser.`; make one with \
                      `POST /manage/v1/projects/{project}/environments/{environment}/keys` and `{\"kind\": \"server\"}`";
        return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
    }
    let snapshot = caller.snapshot;
    let made = tokio::task::spawn_blocking({
        let snapshot = snapshot.clone();
        move || snapshot.document.get_or_init(|| environment_document::of(&snapshot)).clone()
    });
    let made = made.await.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the document was not made"))?;
    match made {
        Ok(body) => {
            let mut response = answer(snapshot.flagsmith.updated_at_header(), body);
            let since =
                Duration::from_micros(u64::try_from(snapshot.declared.moved_at.as_micros()).unwrap_or_default());
            if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(UNIX_EPOCH + since)) {
                response.headers_mut().insert(header::LAST_MODIFIED, date);
            }
            Ok(response)
        }
        Err(reasons) => Err(Refusal::new(
            StatusCode::CONFLICT,
            format!("these flags cannot be evaluated locally by this protocol: {}", reasons.join("; ")),
        )),
    }
}
