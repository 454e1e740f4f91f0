//! The session cache: lookups answered from memory that are as new as ordinary ones.
//!
//! On a connection that listens, a question that is sent after a write was acknowledged is answered after the notification
//! of that write has arrived. One question therefore proves, for all callers who wait at that moment, that what is cached
//! and was not invalidated is current.
//!
//! | file | |
//! |---|---|
//! | `protocol.rs` | which rows are current: no connections, no clocks |
//! | `question.rs` | one question, and the callers who wait for its answer |
//! | `questions.rs` | the next question and the one under way, and whether the cache listens |
//! | `last_question.rs` | how old the last question is, for the bounded mode |
//! | `row.rs` | a cached session with its user |
//! | `store.rs` | the rows, the lookups, and what happens when a question is due |
//! | `listener.rs` | the connection that listens |
//! | `target.rs` | the server that it leads to, and why it may not work |
//! | `cache.rs` | when an instance listens |
//! | `config.rs` | what callers set and see |

mod cache;
mod config;
mod last_question;
mod listener;
mod protocol;
mod question;
mod questions;
mod row;
mod store;
mod target;

pub(super) use self::cache::CachedSessions;
pub use self::config::{SessionCache, SessionCacheStats};
pub(super) use self::store::{Cached, Wanted};
