//! The memory adapter, and what every adapter has without a server: wrappers, the clean-up, the snippets of Better Auth's
//! page.

mod cleanup;
mod clocks;
#[cfg(feature = "conformance")]
mod conformance;
mod docs;
mod many_rows;
#[cfg(feature = "arbitrary-precision")]
mod numbers;
mod page;
mod verification_keys;
#[cfg(feature = "conformance")]
mod wrappers;
