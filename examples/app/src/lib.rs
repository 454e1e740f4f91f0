//! Checked SQL of an application's own: over better-auth's tables, and over its own joined to them.
//!
//! The application's `.sqlx` is its own, written by `cargo sqlx prepare` against a database in which both have migrated.
//! Types of `better_auth::columns` say how columns of time and of JSON objects are read.

pub mod sign_up;

use better_auth::columns::{JsonObject, NullableTime, OrganizationMetadata, Time};
use better_auth::types::{Organization, Session, User};
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::migrate::Migrator;

/// The application's own migrations. They are recorded in `_sqlx_migrations`, apart from better-auth's.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Whole users, by a condition that better-auth has no method for.
pub async fn users_by_plan(pool: &PgPool, plan: &str) -> sqlx::Result<Vec<User>> {
    sqlx::query_as!(
        User,
        r#"SELECT id, name, email, email_verified, image, username, display_username, two_factor_enabled, role, banned,
           ban_reason, ban_expires AS "ban_expires!: NullableTime", metadata AS "metadata: JsonObject",
           created_at AS "created_at: Time", updated_at AS "updated_at: Time"
           FROM users WHERE metadata ->> 'plan' = $1 ORDER BY users.id"#,
        plan,
    )
    .fetch_all(pool)
    .await
}

/// Whole sessions, by a condition that better-auth has no method for.
pub async fn sessions_from(pool: &PgPool, ip_address: &str) -> sqlx::Result<Vec<Session>> {
    sqlx::query_as!(
        Session,
        r#"SELECT id, expires_at AS "expires_at: Time", token, ip_address, user_agent, user_id, impersonated_by,
           active_organization_id, active, created_at AS "created_at: Time", updated_at AS "updated_at: Time"
           FROM sessions WHERE ip_address = $1 ORDER BY sessions.id"#,
        ip_address,
    )
    .fetch_all(pool)
    .await
}

/// Whole organizations, of the store that better-auth migrates if the application asks for it.
pub async fn organizations_by_plan(pool: &PgPool, plan: &str) -> sqlx::Result<Vec<Organization>> {
    sqlx::query_as!(
        Organization,
        r#"SELECT id, name, slug, logo, metadata AS "metadata: OrganizationMetadata", created_at AS "created_at: Time",
           updated_at AS "updated_at: Time"
           FROM organization WHERE metadata ->> 'plan' = $1 ORDER BY organization.id"#,
        plan,
    )
    .fetch_all(pool)
    .await
}

/// An order with what its page shows of the customer.
#[derive(Debug, PartialEq)]
pub struct Order {
    pub id: i64,
    pub total_cents: i64,
    pub email: Option<String>,
    pub customer_since: DateTime<Utc>,
}

/// The application's rows joined to users.
pub async fn orders_over(pool: &PgPool, cents: i64) -> sqlx::Result<Vec<Order>> {
    sqlx::query_as!(
        Order,
        r#"SELECT orders.id, total_cents, email, created_at AS "customer_since: Time"
           FROM orders JOIN users ON users.id = orders.user_id WHERE total_cents > $1 ORDER BY orders.id"#,
        cents,
    )
    .fetch_all(pool)
    .await
}
