use super::{Position, Store, index, set, unindex};
use crate::adapters::rules;
use crate::types::{Account, CreateAccount, UpdateAccount};
use crate::{AuthError, AuthResult, ConflictField};

impl Store {
    pub(super) fn create_account(&self, account: CreateAccount) -> AuthResult<Account> {
        let account = rules::new_account(account, rules::now())?;
        self.sequence.write(|| {
            if self.account_keys.contains_key(&key(&account)) {
                return Err(AuthError::Conflict {
                    field: ConflictField::Account,
                });
            }
            if !self.users.contains_key(&account.user_id) {
                return Err(AuthError::UserNotFound);
            }
            self.account_keys.insert(key(&account), account.id.clone());
            index(
                &self.user_accounts,
                account.user_id.clone(),
                position(&account),
            );
            self.accounts.insert(account.id.clone(), account.clone());
            Ok(account)
        })
    }

    pub(super) fn get_account(&self, provider: &str, id: &str) -> AuthResult<Option<Account>> {
        let key = (provider.to_owned(), id.to_owned());
        Ok(self.sequence.read(|| {
            let id = self.account_keys.get(&key)?;
            self.account(&id)
        }))
    }

    pub(super) fn get_user_accounts(&self, user_id: &str) -> AuthResult<Vec<Account>> {
        Ok(self.sequence.read(|| {
            let Some(positions) = self.user_accounts.get(user_id) else {
                return Vec::new();
            };
            let newest_first = positions.iter().rev();
            newest_first
                .filter_map(|(_, id)| self.account(id))
                .collect()
        }))
    }

    pub(super) fn update_account(&self, id: &str, update: UpdateAccount) -> AuthResult<Account> {
        let update = rules::account_update(update)?;
        self.sequence.write(|| {
            let mut account = self.account(id).ok_or(AuthError::AccountNotFound)?;
            if update == UpdateAccount::default() {
                return Ok(account);
            }
            apply(&mut account, update);
            self.accounts.insert(account.id.clone(), account.clone());
            Ok(account)
        })
    }

    pub(super) fn delete_account(&self, id: &str) -> AuthResult<()> {
        self.sequence.write(|| {
            if let Some((_, account)) = self.accounts.remove(id) {
                self.account_keys.remove(&key(&account));
                unindex(&self.user_accounts, &account.user_id, &position(&account));
            }
        });
        Ok(())
    }

    /// Within the sequence.
    pub(super) fn remove_user_accounts(&self, user_id: &str) {
        if let Some((_, positions)) = self.user_accounts.remove(user_id) {
            for (_, id) in &positions {
                if let Some((_, account)) = self.accounts.remove(id) {
                    self.account_keys.remove(&key(&account));
                }
            }
        }
    }

    fn account(&self, id: &str) -> Option<Account> {
        self.accounts.get(id).map(|account| account.clone())
    }
}

fn key(account: &Account) -> (String, String) {
    (account.provider_id.clone(), account.account_id.clone())
}

fn position(account: &Account) -> Position {
    (account.created_at, account.id.clone())
}

fn apply(account: &mut Account, update: UpdateAccount) {
    let UpdateAccount {
        access_token,
        refresh_token,
        id_token,
        access_token_expires_at,
        refresh_token_expires_at,
        scope,
        password,
    } = update;
    set(&mut account.access_token, access_token);
    set(&mut account.refresh_token, refresh_token);
    set(&mut account.id_token, id_token);
    set(
        &mut account.access_token_expires_at,
        access_token_expires_at,
    );
    set(
        &mut account.refresh_token_expires_at,
        refresh_token_expires_at,
    );
    set(&mut account.scope, scope);
    set(&mut account.password, password);
    account.updated_at = rules::next_update(account.updated_at, rules::now());
}
