//! Stores: tables beyond users, sessions, accounts and verifications, each behind a trait of its own.
//!
//! [`DatabaseAdapter`](super::DatabaseAdapter) has a method for each store. The lists of the stores' methods, which
//! forwarding and tests are made from, stand here.

mod methods;
mod organization;

pub use organization::OrganizationStore;

/// A store whose tables [`migrate`](super::SqlxAdapter::migrate) creates if
/// [`stores`](super::SqlxAdapterBuilder::stores) names it.
#[cfg(feature = "sqlx-postgres")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Store {
    /// [`OrganizationStore`]: the tables `organization`, `member`, `invitation`, `team`, `team_member` and
    /// `organization_role`.
    Organizations,
}

#[cfg(feature = "sqlx-postgres")]
impl Store {
    /// What a call asks for whose store has no tables.
    pub(super) fn not_migrated(self) -> &'static str {
        match self {
            Self::Organizations => {
                "organizations in a database without their tables; build the adapter with \
                 .stores([Store::Organizations]) and call migrate()"
            }
        }
    }
}
