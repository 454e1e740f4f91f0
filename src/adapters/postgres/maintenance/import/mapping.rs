//! Rows of Better Auth (TypeScript) as rows of ours, checked as all input is.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::foreign_row::ForeignRow;
use crate::adapters::input;
use crate::adapters::postgres::session_token::{SessionTokens, is_digest};
use crate::types::{
    Account, CreateAccount, CreateSession, CreateUser, CreateVerification, Metadata, Session,
    UpdateUser, User, Verification,
};
use crate::{AuthError, AuthResult};

/// What in a column's name tells that it holds a secret. Metadata is shown to users and logged more freely.
const SECRETS: [&str; 9] = [
    "apikey",
    "backupcode",
    "hash",
    "passphrase",
    "password",
    "privatekey",
    "recoverycode",
    "secret",
    "token",
];

/// What the rows of one run are mapped by, and which columns were dropped.
pub(super) struct Mapping {
    pub(super) now: DateTime<Utc>,
    pub(super) session_tokens: SessionTokens,
    pub(super) dropped_columns: BTreeSet<String>,
}

impl Mapping {
    /// Users have room for further columns.
    pub(super) fn user(&mut self, mut row: ForeignRow) -> AuthResult<Option<User>> {
        let create = CreateUser {
            id: Some(row.required_text("id")?),
            name: row.text("name"),
            email: row.text("email"),
            image: row.text("image"),
            username: row.text("username"),
            display_username: row.text("displayUsername"),
            role: row.text("role"),
            email_verified: row.flag("emailVerified")?,
            metadata: Metadata::new(),
        };
        let ban = input::user_update(UpdateUser {
            banned: Some(row.flag("banned")?),
            ban_reason: Some(row.text("banReason")),
            ban_expires: Some(row.time("banExpires")?),
            ..UpdateUser::default()
        })?;
        let two_factor_enabled = row.flag("twoFactorEnabled")?;
        let (created_at, updated_at) = self.times(&mut row)?;
        let metadata = self.metadata(row)?;
        let user = input::new_user(CreateUser { metadata, ..create }, self.now)?;
        Ok(Some(User {
            two_factor_enabled,
            banned: ban.banned.unwrap_or_default(),
            ban_reason: ban.ban_reason.flatten(),
            ban_expires: ban.ban_expires.flatten(),
            created_at,
            updated_at,
            ..user
        }))
    }

    pub(super) fn account(&mut self, mut row: ForeignRow) -> AuthResult<Option<Account>> {
        let id = id(&mut row)?;
        let create = CreateAccount {
            user_id: user_id(&mut row)?,
            provider_id: row.required_text("providerId")?,
            account_id: row.required_text("accountId")?,
            access_token: row.text("accessToken"),
            refresh_token: row.text("refreshToken"),
            id_token: row.text("idToken"),
            access_token_expires_at: row.time("accessTokenExpiresAt")?,
            refresh_token_expires_at: row.time("refreshTokenExpiresAt")?,
            scope: row.text("scope"),
            password: row.text("password"),
        };
        let (created_at, updated_at) = self.times(&mut row)?;
        self.drop_rest("account", row);
        Ok(Some(Account {
            id,
            created_at,
            updated_at,
            ..input::new_account(create, self.now)?
        }))
    }

    /// `None` if the session is not live.
    pub(super) fn session(&mut self, mut row: ForeignRow) -> AuthResult<Option<Session>> {
        let id = id(&mut row)?;
        let create = CreateSession {
            user_id: user_id(&mut row)?,
            expires_at: row.required_time("expiresAt")?,
            ip_address: row.text("ipAddress"),
            user_agent: row.text("userAgent"),
            impersonated_by: row.text("impersonatedBy"),
            active_organization_id: row.text("activeOrganizationId"),
        };
        // Better Auth (TypeScript) has no such column.
        let is_active = !row.has("active") || row.flag("active")?;
        if !is_active || create.expires_at <= self.now {
            return Ok(None);
        }
        let token = self.token(row.required_text("token")?)?;
        let (created_at, updated_at) = self.times(&mut row)?;
        self.drop_rest("session", row);
        Ok(Some(Session {
            id,
            token,
            created_at,
            updated_at,
            ..input::new_session(create, self.now)?
        }))
    }

    /// `None` if the verification is not live.
    pub(super) fn verification(&mut self, mut row: ForeignRow) -> AuthResult<Option<Verification>> {
        let id = id(&mut row)?;
        let expires_at = row.required_time("expiresAt")?;
        if expires_at <= self.now {
            return Ok(None);
        }
        let (identifier, value) = (
            row.required_text("identifier")?,
            row.required_text("value")?,
        );
        let create = CreateVerification::new(identifier, value, expires_at);
        let (created_at, updated_at) = self.times(&mut row)?;
        self.drop_rest("verification", row);
        Ok(Some(Verification {
            id,
            created_at,
            updated_at,
            ..input::new_verification(create, self.now)?
        }))
    }

    /// The token as the table holds it.
    fn token(&self, token: String) -> AuthResult<String> {
        let wrong = |message: &str| Err(AuthError::validation("token", message));
        if token.is_empty() {
            return wrong("is empty");
        }
        if !input::is_possible_identifier(&token) {
            return wrong("holds a NUL character, or is too long");
        }
        // A digest is stored already, by this crate.
        Ok(if is_digest(&token) {
            token
        } else {
            self.session_tokens.new_stored(&token)
        })
    }

    fn times(&self, row: &mut ForeignRow) -> AuthResult<(DateTime<Utc>, DateTime<Utc>)> {
        let created_at = row.time("createdAt")?.unwrap_or(self.now);
        let created_at = input::storable_time(created_at).unwrap_or(self.now);
        let updated_at = row.time("updatedAt")?.and_then(input::storable_time);
        Ok((created_at, updated_at.unwrap_or(created_at).max(created_at)))
    }

    /// The columns of a user that have none here.
    fn metadata(&mut self, mut row: ForeignRow) -> AuthResult<Metadata> {
        let mut metadata = row.object("metadata").unwrap_or_default();
        for (column, value) in row.rest() {
            let name = column.replace('_', "").to_lowercase();
            if SECRETS.iter().any(|secret| name.contains(secret)) {
                self.dropped_columns.insert(format!("user.{column}"));
            } else if metadata.insert(column, value).is_some() {
                let message = "has a key that is the name of another column";
                return Err(AuthError::validation("metadata", message));
            }
        }
        Ok(metadata)
    }

    fn drop_rest(&mut self, table: &str, row: ForeignRow) {
        for (column, _) in row.rest() {
            self.dropped_columns.insert(format!("{table}.{column}"));
        }
    }
}

fn id(row: &mut ForeignRow) -> AuthResult<String> {
    let id = row.required_text("id")?;
    if input::is_possible_id(&id) {
        Ok(id)
    } else {
        let message = format!(
            "holds a NUL character, or takes more than {} bytes",
            input::MAX_NAME_BYTES
        );
        Err(AuthError::validation("id", message))
    }
}

fn user_id(row: &mut ForeignRow) -> AuthResult<String> {
    let user_id = row.required_text("userId")?;
    if input::is_possible_id(&user_id) {
        Ok(user_id)
    } else {
        Err(AuthError::UserNotFound)
    }
}
