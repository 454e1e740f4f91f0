//! The statements about accounts, and the constraints of their table.

use super::columns::{NullableTime, Time, new_value};
use super::error::{Failure, Operation};
use super::repository::Repository;
use super::violation::{Constraints, Key, Reference, Violated};
use crate::adapters::input;
use crate::types::{Account, CREDENTIAL, CreateAccount, Linked, UpdateAccount};
use crate::{AuthError, AuthResult, ConflictField};

/// A statement that answers with whole accounts: `query_account!("SELECT " COLUMNS " FROM accounts WHERE …", …)`.
macro_rules! query_account {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Account,
            $before
                + "id, account_id, provider_id, user_id, access_token, refresh_token, id_token, \
                   access_token_expires_at AS \"access_token_expires_at!: NullableTime\", \
                   refresh_token_expires_at AS \"refresh_token_expires_at!: NullableTime\", scope, password, \
                   created_at AS \"created_at: Time\", updated_at AS \"updated_at: Time\""
                + $after
            $(, $argument)*
        )
    };
}
pub(super) use query_account;

const CONSTRAINTS: Constraints = Constraints {
    table: "accounts",
    keys: &[Key {
        constraint: "accounts_provider_id_account_id_key",
        columns: &["provider_id", "account_id"],
        field: ConflictField::Account,
    }],
    references: &[Reference::to_user("accounts_user_id_fkey")],
};

impl Repository {
    pub(super) async fn create_account(&self, account: CreateAccount) -> AuthResult<Account> {
        let account = input::new_account(account, input::now())?;
        if !input::is_possible_id(&account.user_id) {
            return Err(self.impossible_user(&account).await?);
        }
        let operation = Operation::write("create_account").may_violate(&CONSTRAINTS);
        let created = self.try_run(operation, |connection| {
            Box::pin(
                query_account!(
                    "INSERT INTO accounts (id, account_id, provider_id, user_id, access_token, refresh_token, \
                     id_token, access_token_expires_at, refresh_token_expires_at, scope, password, created_at, \
                     updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, statement_timestamp(), \
                     statement_timestamp()) \
                     RETURNING " COLUMNS "",
                    account.id,
                    account.account_id,
                    account.provider_id,
                    account.user_id,
                    account.access_token,
                    account.refresh_token,
                    account.id_token,
                    account.access_token_expires_at,
                    account.refresh_token_expires_at,
                    account.scope,
                    account.password,
                )
                .fetch_one(connection),
            )
        });
        match created.await {
            Ok(account) => Ok(account),
            Err(failure) => Err(self.account_error(failure, operation, &account).await),
        }
    }

    pub(super) async fn link_account(
        &self,
        account: CreateAccount,
    ) -> AuthResult<(Account, Linked)> {
        let account = input::new_account(account, input::now())?;
        if !input::is_possible_id(&account.user_id) {
            return Err(self.impossible_user(&account).await?);
        }
        let operation = Operation::write("link_account").may_violate(&CONSTRAINTS);
        let linked = self.try_run(operation, |connection| {
            Box::pin(
                query_account!(
                    "INSERT INTO accounts (id, account_id, provider_id, user_id, access_token, refresh_token, \
                     id_token, access_token_expires_at, refresh_token_expires_at, scope, password, created_at, \
                     updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, statement_timestamp(), \
                     statement_timestamp()) \
                     ON CONFLICT (provider_id, account_id) DO UPDATE SET \
                     access_token = COALESCE($5, accounts.access_token), \
                     refresh_token = COALESCE($6, accounts.refresh_token), \
                     id_token = COALESCE($7, accounts.id_token), \
                     access_token_expires_at = COALESCE($8, accounts.access_token_expires_at), \
                     refresh_token_expires_at = COALESCE($9, accounts.refresh_token_expires_at), \
                     scope = COALESCE($10, accounts.scope), \
                     updated_at = GREATEST(statement_timestamp(), \
                     (accounts.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                     WHERE accounts.user_id = $4 \
                     RETURNING " COLUMNS "",
                    account.id,
                    account.account_id,
                    account.provider_id,
                    account.user_id,
                    account.access_token,
                    account.refresh_token,
                    account.id_token,
                    account.access_token_expires_at,
                    account.refresh_token_expires_at,
                    account.scope,
                    account.password,
                )
                .fetch_optional(connection),
            )
        });
        match linked.await {
            Ok(Some(linked)) if linked.id == account.id => Ok((linked, Linked::Created)),
            Ok(Some(linked)) => Ok((linked, Linked::Refreshed)),
            Ok(None) => Err(AuthError::Conflict {
                field: ConflictField::Account,
            }),
            Err(failure) => Err(self.account_error(failure, operation, &account).await),
        }
    }

    /// The error of a new account whose user cannot be stored.
    async fn impossible_user(&self, account: &Account) -> AuthResult<AuthError> {
        let taken = self.get_account(&account.provider_id, &account.account_id);
        Ok(match taken.await? {
            Some(_) => AuthError::Conflict {
                field: ConflictField::Account,
            },
            None => AuthError::UserNotFound,
        })
    }

    /// The error of a write of a new account that failed.
    async fn account_error(
        &self,
        failure: Failure,
        operation: Operation,
        account: &Account,
    ) -> AuthError {
        let answer = match self.violated(&failure, operation).await {
            Some(Violated::OtherIndex) if self.is_account_taken(account).await => {
                Some(AuthError::Conflict {
                    field: ConflictField::Account,
                })
            }
            violated => violated.and_then(Violated::answer),
        };
        answer.unwrap_or_else(|| self.error(failure, operation))
    }

    /// `false` if the question cannot be answered.
    async fn is_account_taken(&self, account: &Account) -> bool {
        let taken = self.run_after_failure(Operation::read("conflict"), |connection| {
            Box::pin(
                sqlx::query_scalar!(
                    "SELECT EXISTS (SELECT FROM accounts WHERE provider_id = $1 AND account_id = $2) AS \"taken!\"",
                    account.provider_id,
                    account.account_id,
                )
                .fetch_one(connection),
            )
        });
        taken.await.unwrap_or(false)
    }

    pub(super) async fn get_account(
        &self,
        provider: &str,
        id: &str,
    ) -> AuthResult<Option<Account>> {
        if !input::is_possible_account(provider, id) {
            return Ok(None);
        }
        self.fetch_optional(Operation::read("get_account"), || {
            query_account!(
                "SELECT " COLUMNS " FROM accounts WHERE provider_id = $1 AND account_id = $2",
                provider,
                id,
            )
        })
        .await
    }

    pub(super) async fn get_user_accounts(&self, user_id: &str) -> AuthResult<Vec<Account>> {
        if !input::is_possible_id(user_id) {
            return Ok(Vec::new());
        }
        self.fetch_all(Operation::read("get_user_accounts"), || {
            query_account!(
                "SELECT " COLUMNS " FROM accounts WHERE user_id = $1 \
                 ORDER BY accounts.created_at DESC, accounts.id COLLATE \"C\" DESC",
                user_id,
            )
        })
        .await
    }

    pub(super) async fn get_credential_account(
        &self,
        user_id: &str,
    ) -> AuthResult<Option<Account>> {
        if !input::is_possible_id(user_id) {
            return Ok(None);
        }
        self.fetch_optional(Operation::read("get_credential_account"), || {
            query_account!(
                "SELECT " COLUMNS " FROM accounts WHERE user_id = $1 AND provider_id = $2 \
                 ORDER BY accounts.created_at DESC, accounts.id COLLATE \"C\" DESC LIMIT 1",
                user_id,
                CREDENTIAL,
            )
        })
        .await
    }

    pub(super) async fn update_account(
        &self,
        id: &str,
        update: UpdateAccount,
    ) -> AuthResult<Account> {
        let update = input::account_update(update)?;
        if !input::is_possible_id(id) {
            return Err(AuthError::AccountNotFound);
        }
        if update == UpdateAccount::default() {
            return self
                .fetch_optional(
                    Operation::read("update_account"),
                    || query_account!("SELECT " COLUMNS " FROM accounts WHERE id = $1", id),
                )
                .await?
                .ok_or(AuthError::AccountNotFound);
        }
        self.fetch_optional(Operation::write("update_account"), || {
            query_account!(
                "UPDATE accounts SET \
                 access_token = CASE WHEN $2 THEN $3 ELSE access_token END, \
                 refresh_token = CASE WHEN $4 THEN $5 ELSE refresh_token END, \
                 id_token = CASE WHEN $6 THEN $7 ELSE id_token END, \
                 access_token_expires_at = CASE WHEN $8 THEN $9 ELSE access_token_expires_at END, \
                 refresh_token_expires_at = CASE WHEN $10 THEN $11 ELSE refresh_token_expires_at END, \
                 scope = CASE WHEN $12 THEN $13 ELSE scope END, \
                 password = CASE WHEN $14 THEN $15 ELSE password END, \
                 updated_at = GREATEST(statement_timestamp(), \
                 (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 WHERE id = $1 RETURNING " COLUMNS "",
                id,
                update.access_token.is_some(),
                new_value(&update.access_token),
                update.refresh_token.is_some(),
                new_value(&update.refresh_token),
                update.id_token.is_some(),
                new_value(&update.id_token),
                update.access_token_expires_at.is_some(),
                new_value(&update.access_token_expires_at),
                update.refresh_token_expires_at.is_some(),
                new_value(&update.refresh_token_expires_at),
                update.scope.is_some(),
                new_value(&update.scope),
                update.password.is_some(),
                new_value(&update.password),
            )
        })
        .await?
        .ok_or(AuthError::AccountNotFound)
    }

    pub(super) async fn delete_account(&self, id: &str) -> AuthResult<()> {
        if !input::is_possible_id(id) {
            return Ok(());
        }
        self.execute(Operation::write("delete_account"), || {
            sqlx::query!("DELETE FROM accounts WHERE id = $1", id)
        })
        .await
        .map(drop)
    }
}
