//! What most programs use, for `use better_auth::prelude::*`: the traits, whose methods need them in scope, both adapters,
//! [`transaction`](crate::transaction()), the errors and the types.

pub use crate::adapters::{DatabaseAdapter, MemoryDatabaseAdapter, Transaction, transaction};
#[cfg(feature = "sqlx-postgres")]
pub use crate::adapters::{PoolConfig, SqlxAdapter};
pub use crate::types::*;
pub use crate::{AuthError, AuthResult, ConflictField};
