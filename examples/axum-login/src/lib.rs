//! axum-login and tower-sessions on better-auth.
//!
//! What axum-login keeps in its session is the token of a session of better-auth. A ban, an expiry and a sign-out from another
//! device then end what axum-login believes, too.

mod backend;
mod store;
#[cfg(test)]
mod tests;

pub use backend::{Backend, Credentials, SessionToken, SignedIn};
pub use store::VerificationStore;
