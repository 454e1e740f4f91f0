//! The statements about passkeys, and the constraints of their table.

use super::columns::{JsonObject, NullableTime, Time};
use super::error::Operation;
use super::repository::Repository;
use super::user::with_user_columns;
use super::violation::{Constraints, Key, Reference};
use crate::adapters::{Store, input};
use crate::types::{CreatePasskey, Passkey, PasskeyUse, User};
use crate::{AuthError, AuthResult, ConflictField};

/// A statement that answers with whole passkeys: `query_passkey!("SELECT " COLUMNS " FROM passkeys WHERE …", …)`.
macro_rules! query_passkey {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Passkey,
            $before
                + "id, name, public_key, user_id, credential_id, counter, device_type, backed_up, transports, aaguid, \
                   created_at AS \"created_at: Time\""
                + $after
            $(, $argument)*
        )
    };
}

/// A statement that answers with a passkey, `p`, and its user, `u`.
macro_rules! query_passkey_with_user {
    (@columns [$before:literal COLUMNS $after:literal, $argument:expr $(,)?] $($user_column:literal)*) => {
        sqlx::query!(
            $before
                + "p.id, p.name AS passkey_name, p.public_key, p.user_id, p.credential_id, p.counter, p.device_type, \
                   p.backed_up, p.transports, p.aaguid, p.created_at AS \"created_at: Time\""
                $(+ ", u." + $user_column)*
                + ", u.metadata AS \"metadata: JsonObject\", u.created_at AS \"user_created_at: Time\", \
                   u.updated_at AS \"user_updated_at: Time\""
                + $after,
            $argument
        )
    };
    ($($statement:tt)*) => {
        with_user_columns! { query_passkey_with_user { @columns [$($statement)*] } }
    };
}

const CONSTRAINTS: Constraints = Constraints {
    table: "passkeys",
    keys: &[Key {
        constraint: "passkeys_credential_id_key",
        columns: &["credential_id"],
        field: ConflictField::Passkey,
    }],
    references: &[Reference::to_user("passkeys_user_id_fkey")],
};

const fn read(name: &'static str) -> Operation {
    Operation::read(name).of_store(Store::Passkeys)
}

const fn write(name: &'static str) -> Operation {
    Operation::write(name).of_store(Store::Passkeys)
}

impl Repository {
    /// The store. Whether its table is there is asked before its first statement.
    #[allow(clippy::unnecessary_wraps, reason = "the method of all adapters")]
    pub(super) fn passkeys(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) async fn create_passkey(&self, passkey: CreatePasskey) -> AuthResult<Passkey> {
        let passkey = input::new_passkey(passkey, input::now())?;
        // NULL, which no row may have, is asked for only after the credential.
        let user_id = input::is_possible_id(&passkey.user_id).then_some(&passkey.user_id);
        let operation = write("create_passkey").may_violate(&CONSTRAINTS);
        let created = self.run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH verdict AS (SELECT CASE \
                     WHEN EXISTS (SELECT FROM passkeys WHERE passkeys.credential_id = $5) THEN 'taken' \
                     WHEN NOT EXISTS (SELECT FROM users WHERE users.id = $4) THEN 'no user' \
                     ELSE 'created' END AS outcome), \
                     created AS (INSERT INTO passkeys (id, name, public_key, user_id, credential_id, counter, device_type, \
                     backed_up, transports, aaguid, created_at) \
                     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, statement_timestamp() FROM verdict \
                     WHERE verdict.outcome = 'created' ON CONFLICT (credential_id) DO NOTHING RETURNING passkeys.created_at) \
                     SELECT verdict.outcome AS \"outcome!\", created.created_at AS \"created_at!: NullableTime\" \
                     FROM verdict LEFT JOIN created ON TRUE",
                    passkey.id,
                    passkey.name,
                    passkey.public_key,
                    user_id,
                    passkey.credential_id,
                    passkey.counter,
                    passkey.device_type,
                    passkey.backed_up,
                    passkey.transports,
                    passkey.aaguid,
                )
                .fetch_one(connection),
            )
        });
        let row = created.await?;
        match (row.outcome.as_str(), row.created_at.into()) {
            ("created", Some(created_at)) => Ok(Passkey {
                created_at,
                ..passkey
            }),
            ("no user", _) => Err(AuthError::UserNotFound),
            // Also if another caller has stored it meanwhile.
            _ => Err(AuthError::Conflict {
                field: ConflictField::Passkey,
            }),
        }
    }

    pub(super) async fn get_passkey_with_user(
        &self,
        credential_id: &str,
    ) -> AuthResult<Option<(Passkey, User)>> {
        if !input::is_possible_credential(credential_id) {
            return Ok(None);
        }
        let found = self.run(read("get_passkey_with_user"), |connection| {
            Box::pin(
                query_passkey_with_user!(
                    "SELECT " COLUMNS " FROM passkeys p JOIN users u ON u.id = p.user_id WHERE p.credential_id = $1",
                    credential_id,
                )
                .fetch_optional(connection),
            )
        });
        Ok(found.await?.map(|row| {
            let passkey = Passkey {
                id: row.id,
                name: row.passkey_name,
                public_key: row.public_key,
                user_id: row.user_id.clone(),
                credential_id: row.credential_id,
                counter: row.counter,
                device_type: row.device_type,
                backed_up: row.backed_up,
                transports: row.transports,
                aaguid: row.aaguid,
                created_at: row.created_at.into(),
            };
            let user = User {
                id: row.user_id,
                name: row.name,
                email: row.email,
                email_verified: row.email_verified,
                image: row.image,
                username: row.username,
                display_username: row.display_username,
                two_factor_enabled: row.two_factor_enabled,
                role: row.role,
                banned: row.banned,
                ban_reason: row.ban_reason,
                ban_expires: row.ban_expires.into(),
                metadata: row.metadata.into(),
                created_at: row.user_created_at.into(),
                updated_at: row.user_updated_at.into(),
            };
            (passkey, user)
        }))
    }

    pub(super) async fn list_passkeys(&self, user_id: &str) -> AuthResult<Vec<Passkey>> {
        if !input::is_possible_id(user_id) {
            return Ok(Vec::new());
        }
        self.fetch_all(read("list_passkeys"), || {
            query_passkey!(
                "SELECT " COLUMNS " FROM passkeys WHERE user_id = $1 \
                 ORDER BY passkeys.created_at DESC, passkeys.id COLLATE \"C\" DESC",
                user_id,
            )
        })
        .await
    }

    pub(super) async fn rename_passkey(
        &self,
        user_id: &str,
        id: &str,
        name: &str,
    ) -> AuthResult<Passkey> {
        let name = input::passkey_name(name)?;
        if !input::is_possible_id(user_id) || !input::is_possible_id(id) {
            return Err(AuthError::PasskeyNotFound);
        }
        let renamed = self.fetch_optional(write("rename_passkey"), || {
            query_passkey!(
                "UPDATE passkeys SET name = $3 WHERE id = $2 AND user_id = $1 RETURNING " COLUMNS "",
                user_id,
                id,
                name,
            )
        });
        renamed.await?.ok_or(AuthError::PasskeyNotFound)
    }

    pub(super) async fn delete_passkey(&self, user_id: &str, id: &str) -> AuthResult<()> {
        if !input::is_possible_id(user_id) || !input::is_possible_id(id) {
            return Ok(());
        }
        self.execute(write("delete_passkey"), || {
            sqlx::query!(
                "DELETE FROM passkeys WHERE id = $2 AND user_id = $1",
                user_id,
                id,
            )
        })
        .await
        .map(drop)
    }

    /// Locks the row, and decides by the counter that it has then.
    pub(super) async fn record_use(
        &self,
        credential_id: &str,
        counter: i64,
        backed_up: bool,
    ) -> AuthResult<PasskeyUse> {
        let counter = input::passkey_counter(counter)?;
        if !input::is_possible_credential(credential_id) {
            return Ok(PasskeyUse::NotFound);
        }
        let recorded = self.run(write("record_use"), |connection| {
            Box::pin(
                sqlx::query_scalar!(
                    "WITH held AS MATERIALIZED ( \
                     SELECT passkeys.counter < $2 OR (passkeys.counter = 0 AND $2 = 0) AS is_accepted \
                     FROM passkeys WHERE passkeys.credential_id = $1 FOR UPDATE), \
                     recorded AS (UPDATE passkeys SET counter = $2, backed_up = $3 FROM held \
                     WHERE passkeys.credential_id = $1 AND held.is_accepted) \
                     SELECT held.is_accepted AS \"is_accepted!\" FROM held",
                    credential_id,
                    counter,
                    backed_up,
                )
                .fetch_optional(connection),
            )
        });
        Ok(match recorded.await? {
            Some(true) => PasskeyUse::Accepted,
            Some(false) => PasskeyUse::ClonedAuthenticator,
            None => PasskeyUse::NotFound,
        })
    }
}
