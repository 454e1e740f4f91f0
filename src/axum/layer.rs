//! The layer that sends the cookie again.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http::header::SET_COOKIE;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::cookie::SessionCookie;

/// The cookie that an extractor wants to be sent, with its name.
#[derive(Clone, Debug, Default)]
pub(super) struct PendingCookie(Arc<OnceLock<(String, SessionCookie)>>);

impl PendingCookie {
    pub(super) fn set(&self, name: &str, cookie: SessionCookie) {
        // A second session of one request is of another cookie, or of none.
        let _ = self.0.set((name.to_owned(), cookie));
    }
}

/// Sends the session's cookie again when a request has extended the session. Add it to the router, around all routes that
/// take a session.
///
/// If the handler sets or removes the cookie itself, its answer counts.
///
/// ```
/// use std::sync::Arc;
///
/// use axum::Router;
/// use axum::routing::get;
/// use better_auth::MemoryDatabaseAdapter;
/// use better_auth::axum::{AuthState, CurrentUser, SessionCookieLayer};
///
/// async fn hello(CurrentUser(user): CurrentUser) -> String {
///     format!("Hello, {}", user.name.unwrap_or_default())
/// }
///
/// let app: Router = Router::new()
///     .route("/", get(hello))
///     .layer(SessionCookieLayer)
///     .with_state(AuthState::new(Arc::new(MemoryDatabaseAdapter::new())));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionCookieLayer;

impl<S> Layer<S> for SessionCookieLayer {
    type Service = SessionCookieService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionCookieService { inner }
    }
}

/// What [`SessionCookieLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct SessionCookieService<S> {
    inner: S,
}

impl<S, B, C> Service<Request<B>> for SessionCookieService<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SessionCookieFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let pending = PendingCookie::default();
        request.extensions_mut().insert(pending.clone());
        SessionCookieFuture {
            inner: self.inner.call(request),
            pending,
        }
    }
}

pin_project! {
    /// The answer of a [`SessionCookieService`].
    #[derive(Debug)]
    pub struct SessionCookieFuture<F> {
        #[pin]
        inner: F,
        pending: PendingCookie,
    }
}

impl<F, E, C> Future for SessionCookieFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(context))?;
        if let Some((name, cookie)) = this.pending.0.get() {
            let is_of_session = |set: &[u8]| {
                set.strip_prefix(name.as_bytes())
                    .is_some_and(|rest| rest.starts_with(b"="))
            };
            let set = response.headers().get_all(SET_COOKIE);
            if !set.iter().any(|value| is_of_session(value.as_bytes())) {
                cookie.clone().add_to(response.headers_mut());
            }
        }
        Poll::Ready(Ok(response))
    }
}
