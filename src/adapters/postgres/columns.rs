//! How the columns of our tables become the fields of [`User`], [`Session`], [`Organization`] and the other rows, for
//! checked statements of an application's own.
//!
//! `sqlx::query_as!` takes them by the name of the column. Every time needs [`Time`] or [`NullableTime`], as an
//! administrator may have stored `infinity`, at which sqlx's own decoding panics.
//!
//! ```ignore
//! // ignored: checked against the application's database, as in `examples/app`
//! use better_auth::columns::{JsonObject, NullableTime, Time};
//! use better_auth::types::User;
//!
//! let admins: Vec<User> = sqlx::query_as!(
//!     User,
//!     r#"SELECT id, name, email, email_verified, image, username, display_username, two_factor_enabled, role, banned,
//!        ban_reason, ban_expires AS "ban_expires!: NullableTime", metadata AS "metadata: JsonObject",
//!        created_at AS "created_at: Time", updated_at AS "updated_at: Time" FROM users WHERE role = $1"#,
//!     "admin",
//! )
//! .fetch_all(&mut *database.acquire().await?)
//! .await?;
//! ```
//!
//! [`User`]: crate::types::User
//! [`Session`]: crate::types::Session
//! [`Organization`]: crate::types::Organization

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::{Oid, PgRecordDecoder};
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, Encode, Postgres, Type, ValueRef as _};

use crate::adapters::input;
use crate::types::{DeviceCodeStatus, InvitationStatus, Metadata};

/// `TIMESTAMPTZ NOT NULL`, `infinity` included, which reads as the furthest time that chrono holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(DateTime<Utc>);

/// `TIMESTAMPTZ`, `infinity` included. Takes `!` in a column's name: it decodes NULL itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NullableTime(Option<DateTime<Utc>>);

/// A type for a column that holds an object. If the value cannot be read, the error names the column.
macro_rules! json_objects {
    ($($(#[$doc:meta])* $name:ident of $column:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq)]
            pub struct $name(Metadata);

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.debug_struct(stringify!($name)).finish_non_exhaustive()
                }
            }

            impl From<$name> for Metadata {
                fn from($name(object): $name) -> Self {
                    object
                }
            }

            impl Type<Postgres> for $name {
                fn type_info() -> PgTypeInfo {
                    <Json<Metadata> as Type<Postgres>>::type_info()
                }
            }

            impl<'r> Decode<'r, Postgres> for $name {
                fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                    // The error of serde_json may quote the value.
                    match <Json<Metadata> as Decode<Postgres>>::decode(value) {
                        Ok(Json(object)) => Ok(Self(object)),
                        Err(_) => Err(concat!(
                            $column,
                            " is not a JSON object, or is nested too deep to be read"
                        )
                        .into()),
                    }
                }
            }
        )*
    };
}

json_objects! {
    /// `users.metadata`: `JSONB NOT NULL` that holds an object. `Debug` shows nothing of it.
    JsonObject of "users.metadata";
    /// `organization.metadata`, as [`JsonObject`].
    OrganizationMetadata of "organization.metadata";
    /// `organization_role.permission`, as [`JsonObject`].
    RolePermission of "organization_role.permission";
}

/// `invitation.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(InvitationStatus);

/// `device_code.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceStatus(DeviceCodeStatus);

impl From<DeviceStatus> for DeviceCodeStatus {
    fn from(DeviceStatus(status): DeviceStatus) -> Self {
        status
    }
}

impl Type<Postgres> for DeviceStatus {
    fn type_info() -> PgTypeInfo {
        <String as Type<Postgres>>::type_info()
    }

    fn compatible(other: &PgTypeInfo) -> bool {
        <String as Type<Postgres>>::compatible(other)
    }
}

impl<'r> Decode<'r, Postgres> for DeviceStatus {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match <&str as Decode<Postgres>>::decode(value)? {
            "pending" => Ok(Self(DeviceCodeStatus::Pending)),
            "approved" => Ok(Self(DeviceCodeStatus::Approved)),
            "denied" => Ok(Self(DeviceCodeStatus::Denied)),
            _ => Err("device_code.status is none of pending, approved and denied".into()),
        }
    }
}

/// What an update of a nullable column sets; whether it sets it at all is `change.is_some()`.
#[allow(clippy::ref_option, reason = "it takes the field of an update")]
pub(in crate::adapters) fn new_value<T>(change: &Option<Option<T>>) -> Option<&T> {
    change.as_ref().and_then(Option::as_ref)
}

impl From<Time> for DateTime<Utc> {
    fn from(Time(time): Time) -> Self {
        time
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl From<NullableTime> for Option<DateTime<Utc>> {
    fn from(NullableTime(time): NullableTime) -> Self {
        time
    }
}

impl From<Status> for InvitationStatus {
    fn from(Status(status): Status) -> Self {
        status
    }
}

impl Type<Postgres> for Status {
    fn type_info() -> PgTypeInfo {
        <String as Type<Postgres>>::type_info()
    }

    fn compatible(other: &PgTypeInfo) -> bool {
        <String as Type<Postgres>>::compatible(other)
    }
}

impl<'r> Decode<'r, Postgres> for Status {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let status = <&str as Decode<Postgres>>::decode(value)?;
        Ok(Self(status.parse()?))
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl Type<Postgres> for NullableTime {
    fn type_info() -> PgTypeInfo {
        Time::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Time {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        // sqlx's own decoding panics at `infinity` and at years that chrono does not reach.
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(input::time_from_postgres(micros)))
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode(input::postgres_micros(self.0), buffer)
    }
}

/// `TIMESTAMPTZ` as PostgreSQL counts it, also beyond the years that chrono holds.
#[derive(Debug)]
pub(crate) struct ExactTime(pub(crate) i64);

impl Type<Postgres> for ExactTime {
    fn type_info() -> PgTypeInfo {
        Time::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for ExactTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<i64 as Decode<Postgres>>::decode(value)?))
    }
}

impl Encode<'_, Postgres> for ExactTime {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode(self.0, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for NullableTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.is_null() {
            return Ok(Self(None));
        }
        let Time(time) = Time::decode(value)?;
        Ok(Self(Some(time)))
    }
}

/// `ROW(id, metadata)` of a user, whose id is in the error if the metadata cannot be read.
pub(crate) struct IdentifiedMetadata(Metadata);

impl From<IdentifiedMetadata> for Metadata {
    fn from(IdentifiedMetadata(metadata): IdentifiedMetadata) -> Self {
        metadata
    }
}

impl Type<Postgres> for IdentifiedMetadata {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(RECORD)
    }
}

impl<'r> Decode<'r, Postgres> for IdentifiedMetadata {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let mut record = PgRecordDecoder::new(value)?;
        let id: String = record.try_decode()?;
        match record.try_decode() {
            Ok(JsonObject(metadata)) => Ok(Self(metadata)),
            Err(error) => Err(format!("user with id {id}: {error}").into()),
        }
    }
}

/// The pseudo-type of a row without a name.
const RECORD: Oid = Oid(2249);

#[cfg(test)]
mod tests {
    use super::*;

    /// An application may cast them, or has tables whose columns are `varchar`.
    #[test]
    fn statuses_are_read_from_every_type_of_text() {
        for reads in [Status::compatible, DeviceStatus::compatible] {
            assert!(reads(&PgTypeInfo::with_name("text")));
            assert!(reads(&PgTypeInfo::with_name("varchar")));
            assert!(!reads(&<i64 as Type<Postgres>>::type_info()));
        }
    }
}
