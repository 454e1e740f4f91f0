//! The rows that adapters store, and what creates and changes them.
//!
//! Fields and their types follow the columns of the tables. All fields are public, so that authors of adapters
//! can build the rows themselves.

use std::any::Any;
use std::fmt;

mod account;
mod api_key;
mod device_code;
mod invitation;
mod member;
mod organization;
mod organization_role;
mod passkey;
mod rate_limit;
mod removed;
mod session;
mod session_check;
mod signing_key;
mod team;
mod two_factor;
mod user;
mod user_list;
mod verification;

pub(crate) use account::CREDENTIAL;
pub use account::{Account, CreateAccount, Linked, UpdateAccount};
pub use api_key::{
    ApiKey, ApiKeyPage, ApiKeyUse, CreateApiKey, IssuedApiKey, ListApiKeys, UpdateApiKey,
};
pub use device_code::{
    CreateDeviceCode, DeviceCode, DeviceCodeStatus, DevicePoll, IssuedDeviceCode,
};
pub use invitation::{
    CreateInvitation, Invitation, InvitationDetails, InvitationStatus, MemberLimits,
    UnknownInvitationStatus,
};
pub(crate) use member::OWNER;
pub use member::{CreateMember, ListMembers, Member, MemberPage, MemberWithUser, PublicUser};
pub use organization::{CreateOrganization, Organization, UpdateOrganization};
pub use organization_role::{CreateOrganizationRole, OrganizationRole};
pub use passkey::{CreatePasskey, Passkey, PasskeyUse};
pub use rate_limit::RateLimit;
pub use removed::Removed;
pub use session::{CreateSession, Session, UpdateSession};
pub use session_check::{CheckSession, CheckedSession};
pub use signing_key::{CreateSigningKey, SigningKey};
pub use team::{CreateTeam, CreateTeamMember, Team, TeamMember};
pub use two_factor::{Attempt, StepOutcome, TwoFactor};
pub use user::{CreateUser, UpdateUser, User};
pub use user_list::{
    ListUsers, SearchField, SearchOperator, UserFilter, UserOrder, UserPage, UserSearch,
};
pub use verification::{CodeCheck, CreateVerification, Verification};

/// A user's metadata: a JSON object, `JSONB` in PostgreSQL.
///
/// ```
/// let mut metadata = better_auth::types::Metadata::new();
/// metadata.insert("plan".to_owned(), "pro".into());
/// ```
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// What `Debug` shows in place of a secret: whether there is one, never which.
trait Redact {
    fn redact(&self) -> impl fmt::Debug;
}

struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Redact for String {
    fn redact(&self) -> impl fmt::Debug {
        Redacted
    }
}

impl<T: Redact> Redact for Option<T> {
    fn redact(&self) -> impl fmt::Debug {
        self.as_ref().map(T::redact)
    }
}

impl Redact for Metadata {
    fn redact(&self) -> impl fmt::Debug {
        struct Keys<'a>(&'a Metadata);

        impl fmt::Debug for Keys<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_map()
                    .entries(self.0.keys().map(|key| (key, Redacted)))
                    .finish()
            }
        }

        Keys(self)
    }
}

/// Passes on every field with its name, for tests that have to reach all of them.
#[doc(hidden)]
pub trait VisitFields {
    fn visit_fields(&mut self, visit: &mut dyn FnMut(&'static str, &mut dyn Any));
}

/// Implements `Debug`, with the fields after `redact` hidden, and [`VisitFields`]. Names every field, so that a new one is
/// not forgotten.
macro_rules! fields {
    ($type:ident { $($shown:ident),* $(,)? } $(redact { $($secret:ident),* $(,)? })?) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let Self { $($shown,)* $($($secret,)*)? } = self;
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($shown), $shown))*
                    $($(.field(stringify!($secret), &$crate::types::Redact::redact($secret)))*)?
                    .finish()
            }
        }

        impl $crate::types::VisitFields for $type {
            fn visit_fields(&mut self, visit: &mut dyn FnMut(&'static str, &mut dyn std::any::Any)) {
                let Self { $($shown,)* $($($secret,)*)? } = self;
                $(visit(stringify!($shown), $shown);)*
                $($(visit(stringify!($secret), $secret);)*)?
            }
        }
    };
}
use fields;

/// Chaining setters of columns that may be missing: `with_…` takes a value, `maybe_…` takes one or `None`.
macro_rules! optional_setters {
    ($($with:ident, $maybe:ident => $field:ident: $type:ty),* $(,)?) => {
        $(
            #[doc = concat!("Sets `", stringify!($field), "`.")]
            #[must_use]
            pub fn $with(mut self, $field: impl Into<$type>) -> Self {
                self.$field = Some($field.into());
                self
            }

            #[doc = concat!("Sets `", stringify!($field), "` if there is a value, and removes it if not.")]
            #[must_use]
            pub fn $maybe(mut self, $field: Option<impl Into<$type>>) -> Self {
                self.$field = $field.map(Into::into);
                self
            }
        )*
    };
}
use optional_setters;

/// Chaining setters of an update: `with_…` sets a column, `without_…` sets it to NULL.
macro_rules! nullable_setters {
    ($($with:ident, $without:ident => $field:ident: $type:ty),* $(,)?) => {
        $(
            #[doc = concat!("Sets `", stringify!($field), "`.")]
            #[must_use]
            pub fn $with(mut self, $field: impl Into<$type>) -> Self {
                self.$field = Some(Some($field.into()));
                self
            }

            #[doc = concat!("Sets `", stringify!($field), "` to NULL.")]
            #[must_use]
            pub fn $without(mut self) -> Self {
                self.$field = Some(None);
                self
            }
        )*
    };
}
use nullable_setters;

/// Chaining setters of columns of an update that are never NULL.
macro_rules! column_setters {
    ($($with:ident => $field:ident: $type:ty),* $(,)?) => {
        $(
            #[doc = concat!("Sets `", stringify!($field), "`.")]
            #[must_use]
            pub fn $with(mut self, $field: $type) -> Self {
                self.$field = Some($field);
                self
            }
        )*
    };
}
use column_setters;
