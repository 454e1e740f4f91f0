//! How rows are stored here, and what is here already.

use std::collections::HashSet;

use serde_json::Value as JsonValue;
use sqlx::PgConnection;

use super::super::super::account::query_account;
use super::super::super::columns::{JsonObject, NullableTime, Time};
use super::super::super::connection::StatementFuture;
use super::super::super::session::{query_session, with_session_columns};
use super::super::super::session_token::{digest, is_digest};
use super::super::super::user::{query_user, with_user_columns};
use super::super::super::verification::query_verification;
use super::foreign_row::ForeignRow;
use super::mapping::Mapping;
use super::source::Model;
use crate::types::{Account, Session, User, Verification};
use crate::{AuthError, AuthResult, ConflictField};

/// A row that is imported.
pub(super) trait Imported: Clone + PartialEq + Send + Sync + Sized + 'static {
    const MODEL: Model;
    const TABLE: &'static str;

    /// `None` if the row is no longer live.
    fn map(mapping: &mut Mapping, row: ForeignRow) -> AuthResult<Option<Self>>;

    fn id(&self) -> &str;

    /// Whose row it is, if it is not a user.
    fn user_id(&self) -> Option<&str>;

    /// What only one row may have, beside the id.
    fn unique_values(&self) -> Vec<(ConflictField, String)>;

    /// Whether a row with the same id was made of the same row of the source.
    fn is_same_as(&self, stored: &Self) -> bool;

    /// All columns, as [`insert`](Self::insert) takes them.
    fn columns(&self) -> serde_json::Result<JsonValue>;

    /// The first field other than the times of the row itself that a stored row has differently.
    fn difference(&self, stored: &Self) -> Option<String> {
        difference(self, stored)
    }

    fn was_changed_after(&self, stored: &Self) -> bool;

    /// The row is not here.
    fn missing() -> AuthError;

    /// Another row here has the id.
    fn id_taken() -> AuthError {
        let message = format!("another row of {} has this id", Self::TABLE);
        AuthError::validation("id", message)
    }

    /// The ids of the rows that were stored: those of which nothing is taken. They are stored in their order, so the user
    /// is looked up for each row: a join would change the order.
    fn insert<'c>(
        connection: &'c mut PgConnection,
        rows: &JsonValue,
    ) -> StatementFuture<'c, Vec<String>>;

    /// The rows here that have the id of one of `rows`, or a value that only one row may have.
    fn find<'c>(connection: &'c mut PgConnection, rows: &[Self]) -> StatementFuture<'c, Vec<Self>>;
}

fn difference<R: Imported>(row: &R, stored: &R) -> Option<String> {
    let (Ok(JsonValue::Object(row)), Ok(JsonValue::Object(stored))) =
        (row.columns(), stored.columns())
    else {
        return None;
    };
    let mut fields = row.into_iter();
    let field = fields.find(|(field, value)| {
        !matches!(&**field, "createdAt" | "updatedAt") && stored.get(field) != Some(value)
    });
    field.map(|(field, _)| field)
}

fn ids<R: Imported>(rows: &[R]) -> Vec<String> {
    rows.iter().map(|row| row.id().to_owned()).collect()
}

/// Those of the ids that users have.
pub(super) fn find_users<'c>(
    connection: &'c mut PgConnection,
    ids: &HashSet<String>,
) -> StatementFuture<'c, Vec<String>> {
    let ids: Vec<String> = ids.iter().cloned().collect();
    Box::pin(async move {
        sqlx::query_scalar!("SELECT id FROM users WHERE id = ANY ($1)", &ids)
            .fetch_all(connection)
            .await
    })
}

impl Imported for User {
    const MODEL: Model = Model::User;
    const TABLE: &'static str = "users";

    fn map(mapping: &mut Mapping, row: ForeignRow) -> AuthResult<Option<Self>> {
        mapping.user(row)
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn user_id(&self) -> Option<&str> {
        None
    }

    fn unique_values(&self) -> Vec<(ConflictField, String)> {
        let email = self
            .email
            .clone()
            .map(|email| (ConflictField::Email, email));
        let username = self.username.clone();
        let username = username.map(|username| (ConflictField::Username, username));
        email.into_iter().chain(username).collect()
    }

    fn is_same_as(&self, stored: &Self) -> bool {
        let has_same_email = self.email.is_some() && self.email == stored.email;
        has_same_email || self.created_at == stored.created_at
    }

    fn columns(&self) -> serde_json::Result<JsonValue> {
        serde_json::to_value(self)
    }

    fn was_changed_after(&self, stored: &Self) -> bool {
        stored.updated_at > self.updated_at
    }

    fn missing() -> AuthError {
        AuthError::UserNotFound
    }

    fn id_taken() -> AuthError {
        let field = ConflictField::UserId;
        AuthError::Conflict { field }
    }

    fn insert<'c>(
        connection: &'c mut PgConnection,
        rows: &JsonValue,
    ) -> StatementFuture<'c, Vec<String>> {
        let rows = rows.clone();
        Box::pin(async move {
            sqlx::query_scalar!(
                r#"INSERT INTO users (id, name, email, email_verified, image, username, display_username,
                   two_factor_enabled, role, banned, ban_reason, ban_expires, metadata, created_at, updated_at)
                   SELECT id, name, email, "emailVerified", image, username, "displayUsername", "twoFactorEnabled", role,
                   banned, "banReason", "banExpires", metadata, "createdAt", "updatedAt"
                   FROM jsonb_to_recordset($1) AS imported (id TEXT, name TEXT, email TEXT, "emailVerified" BOOLEAN,
                   image TEXT, username TEXT, "displayUsername" TEXT, "twoFactorEnabled" BOOLEAN, role TEXT,
                   banned BOOLEAN, "banReason" TEXT, "banExpires" TIMESTAMPTZ, metadata JSONB, "createdAt" TIMESTAMPTZ,
                   "updatedAt" TIMESTAMPTZ)
                   ON CONFLICT DO NOTHING RETURNING id"#,
                rows,
            )
            .fetch_all(connection)
            .await
        })
    }

    fn find<'c>(connection: &'c mut PgConnection, rows: &[Self]) -> StatementFuture<'c, Vec<Self>> {
        let emails: Vec<String> = rows.iter().filter_map(|row| row.email.clone()).collect();
        let usernames = rows.iter().filter_map(|row| row.username.clone());
        let usernames: Vec<String> = usernames.collect();
        let ids = ids(rows);
        Box::pin(async move {
            query_user!(
                "SELECT " COLUMNS " FROM users WHERE id = ANY (ARRAY(SELECT id FROM users WHERE id = ANY ($1) \
                 UNION ALL SELECT id FROM users WHERE email = ANY ($2) \
                 UNION ALL SELECT id FROM users WHERE username = ANY ($3)))",
                &ids,
                &emails,
                &usernames,
            )
            .fetch_all(connection)
            .await
        })
    }
}

impl Imported for Account {
    const MODEL: Model = Model::Account;
    const TABLE: &'static str = "accounts";

    fn map(mapping: &mut Mapping, row: ForeignRow) -> AuthResult<Option<Self>> {
        mapping.account(row)
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn user_id(&self) -> Option<&str> {
        Some(&self.user_id)
    }

    fn unique_values(&self) -> Vec<(ConflictField, String)> {
        // Stored text holds no NUL character.
        let pair = format!("{}\0{}", self.provider_id, self.account_id);
        vec![(ConflictField::Account, pair)]
    }

    fn is_same_as(&self, stored: &Self) -> bool {
        (&self.user_id, &self.provider_id, &self.account_id)
            == (&stored.user_id, &stored.provider_id, &stored.account_id)
    }

    fn columns(&self) -> serde_json::Result<JsonValue> {
        serde_json::to_value(self.with_secrets())
    }

    fn was_changed_after(&self, stored: &Self) -> bool {
        stored.updated_at > self.updated_at
    }

    fn missing() -> AuthError {
        AuthError::AccountNotFound
    }

    fn insert<'c>(
        connection: &'c mut PgConnection,
        rows: &JsonValue,
    ) -> StatementFuture<'c, Vec<String>> {
        let rows = rows.clone();
        Box::pin(async move {
            sqlx::query_scalar!(
                r#"INSERT INTO accounts (id, account_id, provider_id, user_id, access_token, refresh_token, id_token,
                   access_token_expires_at, refresh_token_expires_at, scope, password, created_at, updated_at)
                   SELECT id, "accountId", "providerId", "userId", "accessToken", "refreshToken", "idToken",
                   "accessTokenExpiresAt", "refreshTokenExpiresAt", scope, password, "createdAt", "updatedAt"
                   FROM jsonb_to_recordset($1) AS imported (id TEXT, "accountId" TEXT, "providerId" TEXT, "userId" TEXT,
                   "accessToken" TEXT, "refreshToken" TEXT, "idToken" TEXT, "accessTokenExpiresAt" TIMESTAMPTZ,
                   "refreshTokenExpiresAt" TIMESTAMPTZ, scope TEXT, password TEXT, "createdAt" TIMESTAMPTZ,
                   "updatedAt" TIMESTAMPTZ)
                   WHERE (SELECT TRUE FROM users WHERE users.id = "userId")
                   ON CONFLICT DO NOTHING RETURNING id"#,
                rows,
            )
            .fetch_all(connection)
            .await
        })
    }

    fn find<'c>(connection: &'c mut PgConnection, rows: &[Self]) -> StatementFuture<'c, Vec<Self>> {
        let keys = rows.iter();
        let keys = keys.map(|row| (row.provider_id.clone(), row.account_id.clone()));
        let (providers, accounts): (Vec<String>, Vec<String>) = keys.unzip();
        let ids = ids(rows);
        Box::pin(async move {
            query_account!(
                "SELECT " COLUMNS " FROM accounts WHERE id = ANY (ARRAY(SELECT id FROM accounts WHERE id = ANY ($1) \
                 UNION ALL SELECT id FROM accounts JOIN unnest($2::TEXT[], $3::TEXT[]) AS taken (provider, account) \
                 ON provider_id = provider AND account_id = account))",
                &ids,
                &providers,
                &accounts,
            )
            .fetch_all(connection)
            .await
        })
    }
}

impl Imported for Session {
    const MODEL: Model = Model::Session;
    const TABLE: &'static str = "sessions";

    fn map(mapping: &mut Mapping, row: ForeignRow) -> AuthResult<Option<Self>> {
        mapping.session(row)
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn user_id(&self) -> Option<&str> {
        Some(&self.user_id)
    }

    fn unique_values(&self) -> Vec<(ConflictField, String)> {
        vec![(ConflictField::SessionToken, self.token.clone())]
    }

    fn is_same_as(&self, stored: &Self) -> bool {
        self.user_id == stored.user_id
    }

    fn columns(&self) -> serde_json::Result<JsonValue> {
        serde_json::to_value(self.with_secrets())
    }

    fn difference(&self, stored: &Self) -> Option<String> {
        let mut stored = stored.clone();
        // Its token was hashed since.
        if is_digest(&stored.token) && digest(&self.token) == stored.token {
            stored.token.clone_from(&self.token);
        }
        difference(self, &stored)
    }

    fn was_changed_after(&self, stored: &Self) -> bool {
        stored.updated_at > self.updated_at
    }

    fn missing() -> AuthError {
        AuthError::SessionNotFound
    }

    fn insert<'c>(
        connection: &'c mut PgConnection,
        rows: &JsonValue,
    ) -> StatementFuture<'c, Vec<String>> {
        let rows = rows.clone();
        Box::pin(async move {
            sqlx::query_scalar!(
                r#"INSERT INTO sessions (id, expires_at, token, ip_address, user_agent, user_id, impersonated_by,
                   active_organization_id, active, created_at, updated_at)
                   SELECT id, "expiresAt", token, "ipAddress", "userAgent", "userId", "impersonatedBy",
                   "activeOrganizationId", active, "createdAt", "updatedAt"
                   FROM jsonb_to_recordset($1) AS imported (id TEXT, "expiresAt" TIMESTAMPTZ, token TEXT,
                   "ipAddress" TEXT, "userAgent" TEXT, "userId" TEXT, "impersonatedBy" TEXT,
                   "activeOrganizationId" TEXT, active BOOLEAN, "createdAt" TIMESTAMPTZ, "updatedAt" TIMESTAMPTZ)
                   WHERE (SELECT TRUE FROM users WHERE users.id = "userId")
                   ON CONFLICT DO NOTHING RETURNING id"#,
                rows,
            )
            .fetch_all(connection)
            .await
        })
    }

    fn find<'c>(connection: &'c mut PgConnection, rows: &[Self]) -> StatementFuture<'c, Vec<Self>> {
        let tokens: Vec<String> = rows.iter().map(|row| row.token.clone()).collect();
        let ids = ids(rows);
        Box::pin(async move {
            query_session!(
                "SELECT " COLUMNS " FROM sessions WHERE id = ANY (ARRAY(SELECT id FROM sessions WHERE id = ANY ($1) \
                 UNION ALL SELECT id FROM sessions WHERE token = ANY ($2)))",
                &ids,
                &tokens,
            )
            .fetch_all(connection)
            .await
        })
    }
}

impl Imported for Verification {
    const MODEL: Model = Model::Verification;
    const TABLE: &'static str = "verifications";

    fn map(mapping: &mut Mapping, row: ForeignRow) -> AuthResult<Option<Self>> {
        mapping.verification(row)
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn user_id(&self) -> Option<&str> {
        None
    }

    fn unique_values(&self) -> Vec<(ConflictField, String)> {
        Vec::new()
    }

    fn is_same_as(&self, stored: &Self) -> bool {
        self.identifier == stored.identifier
    }

    fn columns(&self) -> serde_json::Result<JsonValue> {
        serde_json::to_value(self.with_secrets())
    }

    fn was_changed_after(&self, stored: &Self) -> bool {
        stored.updated_at > self.updated_at
    }

    fn missing() -> AuthError {
        AuthError::validation("id", "there is no such verification")
    }

    fn insert<'c>(
        connection: &'c mut PgConnection,
        rows: &JsonValue,
    ) -> StatementFuture<'c, Vec<String>> {
        let rows = rows.clone();
        Box::pin(async move {
            sqlx::query_scalar!(
                r#"INSERT INTO verifications (id, identifier, value, expires_at, created_at, updated_at)
                   SELECT id, identifier, value, "expiresAt", "createdAt", "updatedAt"
                   FROM jsonb_to_recordset($1) AS imported (id TEXT, identifier TEXT, value TEXT, "expiresAt" TIMESTAMPTZ,
                   "createdAt" TIMESTAMPTZ, "updatedAt" TIMESTAMPTZ)
                   ON CONFLICT DO NOTHING RETURNING id"#,
                rows,
            )
            .fetch_all(connection)
            .await
        })
    }

    fn find<'c>(connection: &'c mut PgConnection, rows: &[Self]) -> StatementFuture<'c, Vec<Self>> {
        let ids = ids(rows);
        Box::pin(async move {
            query_verification!(
                "SELECT " COLUMNS " FROM verifications WHERE id = ANY ($1)",
                &ids,
            )
            .fetch_all(connection)
            .await
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::Imported;
    use crate::adapters::postgres::session_token::digest;
    use crate::types::{Account, Session, User, Verification};

    const EPOCH: DateTime<Utc> = DateTime::UNIX_EPOCH;

    /// `set` gives a row the time of its last update.
    fn assert_changed_only_later<R: Imported>(row: &R, set: impl Fn(&mut R, DateTime<Utc>)) {
        let mut stored = row.clone();
        for (later, is_changed) in [(-1, false), (0, false), (1, true)] {
            set(&mut stored, EPOCH + TimeDelta::microseconds(later));
            let table = R::TABLE;
            assert_eq!(
                row.was_changed_after(&stored),
                is_changed,
                "{table} {later}"
            );
        }
    }

    #[test]
    fn a_row_changed_since_if_it_is_newer_than_its_source() {
        let user = User::new("u", EPOCH);
        assert_changed_only_later(&user, |row, time| row.updated_at = time);
        let account = Account::new("a", "u", "github", "1", EPOCH);
        assert_changed_only_later(&account, |row, time| row.updated_at = time);
        let session = Session::new("s", "token", "u", EPOCH, EPOCH);
        assert_changed_only_later(&session, |row, time| row.updated_at = time);
        let verification = Verification::new("v", "ada@example.com", "1", EPOCH, EPOCH);
        assert_changed_only_later(&verification, |row, time| row.updated_at = time);
    }

    #[test]
    fn a_token_that_was_hashed_since_is_the_same() {
        let session = Session::new("s", "token", "u", EPOCH, EPOCH);
        let mut stored = session.clone();
        stored.token = digest("token");
        assert_eq!(session.difference(&stored), None);
        for other in ["another", &digest("another")] {
            stored.token = other.to_owned();
            assert_eq!(session.difference(&stored).as_deref(), Some("token"));
        }
    }

    #[test]
    fn rows_of_others_are_not_the_same() {
        let account = Account::new("a", "u", "github", "1", EPOCH);
        for other in [
            ("v", "github", "1"),
            ("u", "gitlab", "1"),
            ("u", "github", "2"),
        ] {
            let (user, provider, id) = other;
            assert!(!account.is_same_as(&Account::new("a", user, provider, id, EPOCH)));
        }
        assert!(account.is_same_as(&account));
        let session = Session::new("s", "token", "u", EPOCH, EPOCH);
        assert!(session.is_same_as(&Session::new("s", "other", "u", EPOCH, EPOCH)));
        assert!(!session.is_same_as(&Session::new("s", "token", "v", EPOCH, EPOCH)));
    }

    #[test]
    fn a_user_is_the_same_by_its_email_or_by_when_it_was_created() {
        let mut user = User::new("u", EPOCH);
        let mut stored = User::new("u", EPOCH + TimeDelta::seconds(1));
        assert!(!user.is_same_as(&stored), "neither has an email");
        stored.email = Some("ada@example.com".to_owned());
        assert!(!user.is_same_as(&stored));
        user.email.clone_from(&stored.email);
        assert!(user.is_same_as(&stored));
        stored.email = Some("eve@example.com".to_owned());
        assert!(!user.is_same_as(&stored));
        stored.created_at = EPOCH;
        assert!(user.is_same_as(&stored));
    }
}
