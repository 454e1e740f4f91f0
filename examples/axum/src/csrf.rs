//! No other site makes a browser do something here.
//!
//! Every form carries a signature of the cookie by which the browser is known: its session, or a random one before the
//! sign-in. Only this application can make the signature, and it dies with the session. In addition, a request that
//! names another origin is refused. What has no cookie of a session and brings a key of its own needs no token, since a
//! browser does not add the key by itself.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use serde::Deserialize;

use crate::cookies::Jar;
use crate::error::AppError;
use crate::secrets;
use crate::state::AppState;

/// The largest body that any handler takes.
const MAX_BODY: usize = 64 * 1024;
/// How much of a larger one is read before the connection breaks.
const MAX_THROWN_AWAY: usize = 16 * 1024 * 1024;

/// The token that forms of the response send along.
#[derive(Clone)]
pub struct CsrfToken(pub String);

const OTHER_SITE: AppError = AppError::Refused(
    StatusCode::FORBIDDEN,
    "This request came from another site.",
);
const WRONG_TOKEN: AppError = AppError::Refused(
    StatusCode::FORBIDDEN,
    "This form is out of date. Go back, load the page again, and repeat.",
);
const TOO_LARGE: AppError =
    AppError::Refused(StatusCode::PAYLOAD_TOO_LARGE, "This is too much at once.");

/// Refuses requests that change something and do not come from a page of ours. It reads the body, so it limits it too.
pub async fn protect(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let jar = Jar::read(request.headers(), &state);
    let known = jar.session().or_else(|| jar.get("csrf")).map(str::to_owned);
    let cookie = known.clone().unwrap_or_else(secrets::random_token);
    if !request.method().is_safe() {
        let has_own_key = jar.session().is_none() && brings_key(request.headers());
        let (head, body) = request.into_parts();
        if !has_own_key && is_other_origin(&head.headers, &state.config.base_url) {
            return OTHER_SITE.into_response();
        }
        let Some(body) = read(body).await else {
            return TOO_LARGE.into_response();
        };
        if !has_own_key
            && !state
                .secrets
                .is_signed("csrf", &cookie, &sent_token(&head.headers, &body))
        {
            return WRONG_TOKEN.into_response();
        }
        request = Request::from_parts(head, Body::from(body));
    }
    request
        .extensions_mut()
        .insert(CsrfToken(state.secrets.sign("csrf", &cookie)));
    let response = next.run(request).await;
    if known.is_some() {
        response
    } else {
        (jar.set("csrf", &cookie), response).into_response()
    }
}

/// The body, unless it is too large. The rest of a body that is too large is thrown away, within limits: a browser that is
/// still sending would show a broken connection in place of the answer.
async fn read(mut body: Body) -> Option<Vec<u8>> {
    let (mut kept, mut received) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        received += data.len();
        if received <= MAX_BODY {
            kept.extend_from_slice(&data);
        } else if received > MAX_THROWN_AWAY {
            return None;
        }
    }
    (received <= MAX_BODY).then_some(kept)
}

/// Whether the request brings what no browser adds by itself.
fn brings_key(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key("x-api-key")
}

fn is_other_origin(headers: &HeaderMap, base_url: &str) -> bool {
    match headers.get(header::ORIGIN) {
        Some(origin) => origin != base_url,
        None => headers
            .get("sec-fetch-site")
            .is_some_and(|site| site != "same-origin" && site != "none"),
    }
}

/// The token of the header, as scripts send it, or of the form.
fn sent_token(headers: &HeaderMap, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Form {
        csrf: String,
    }
    match headers.get("x-csrf-token") {
        Some(token) => token.to_str().unwrap_or_default().to_owned(),
        None => serde_urlencoded::from_bytes(body)
            .map(|form: Form| form.csrf)
            .unwrap_or_default(),
    }
}
