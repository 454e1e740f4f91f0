//! The stores. A store is a trait for tables other than users, sessions, accounts and verifications.
//!
//! [`DatabaseAdapter`](super::DatabaseAdapter) has a method for each store. The lists of the stores' methods, which
//! forwarding and tests are made from, stand here.

mod api_key;
mod device_code;
mod methods;
mod organization;
mod passkey;
mod rate_limit;
mod signing_key;
mod two_factor;

pub use api_key::ApiKeyStore;
pub use device_code::DeviceCodeStore;
pub use organization::OrganizationStore;
pub use passkey::PasskeyStore;
pub use rate_limit::RateLimitStore;
pub use signing_key::SigningKeyStore;
pub use two_factor::TwoFactorStore;

/// A store whose tables [`migrate`](super::SqlxAdapter::migrate) creates if
/// [`stores`](super::SqlxAdapterBuilder::stores) names it.
#[cfg(feature = "sqlx-postgres")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Store {
    /// [`OrganizationStore`]: the tables `organization`, `member`, `invitation`, `team`, `team_member` and
    /// `organization_role`.
    Organizations,
    /// [`RateLimitStore`]: the table `rate_limit`.
    RateLimits,
    /// [`SigningKeyStore`]: the table `jwks`.
    SigningKeys,
    /// [`TwoFactorStore`]: the table `two_factor`.
    TwoFactor,
    /// [`PasskeyStore`]: the table `passkeys`.
    Passkeys,
    /// [`DeviceCodeStore`]: the table `device_code`.
    DeviceCodes,
    /// [`ApiKeyStore`]: the table `api_keys`. As organizations own keys, those of
    /// [`Organizations`](Self::Organizations) come along.
    ApiKeys,
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
            Self::RateLimits => {
                "rate limits in a database without their table; build the adapter with .stores([Store::RateLimits]) and \
                 call migrate()"
            }
            Self::SigningKeys => {
                "signing keys in a database without their table; build the adapter with .stores([Store::SigningKeys]) and \
                 call migrate()"
            }
            Self::TwoFactor => {
                "second factors in a database without their table; build the adapter with .stores([Store::TwoFactor]) and \
                 call migrate()"
            }
            Self::Passkeys => {
                "passkeys in a database without their table; build the adapter with .stores([Store::Passkeys]) and call \
                 migrate()"
            }
            Self::DeviceCodes => {
                "device codes in a database without their table; build the adapter with .stores([Store::DeviceCodes]) and \
                 call migrate()"
            }
            Self::ApiKeys => {
                "API keys in a database without their table; build the adapter with .stores([Store::ApiKeys]) and call \
                 migrate()"
            }
        }
    }
}
