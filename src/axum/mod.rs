//! Sessions in [axum]: extractors, the cookie, and errors as responses.
//!
//! [`AuthState`] has the adapter and says how sessions are kept. It is the state of a router or a part of it, by
//! [`FromRef`](axum_core::extract::FromRef). [`CurrentUser`], [`CurrentSession`] and [`CurrentMember`] take a request's
//! session from its cookie or its `Authorization: Bearer` header. [`SessionCookieLayer`] sends the cookie again when a
//! request has extended the session.
//!
//! [axum]: https://docs.rs/axum

mod client_info;
mod cookie;
mod extract;
mod layer;
mod rejection;
mod response;
mod state;
mod token;

pub use client_info::ClientInfo;
pub use cookie::{SameSite, SessionCookie};
pub use extract::{CurrentMember, CurrentSession, CurrentUser};
pub use layer::{SessionCookieFuture, SessionCookieLayer, SessionCookieService};
pub use rejection::AuthRejection;
pub use state::{AuthState, AuthStateBuilder};
