//! An adapter under comparison.
#![allow(
    clippy::needless_pass_by_value,
    clippy::unused_self,
    reason = "what shows a value has the signature that `answer` takes"
)]

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter, Transaction};
use better_auth::types::{Account, CodeCheck, Linked, ListUsers, Session, User, Verification};
use better_auth::{AuthError, AuthResult};
use serde_json::{Value, json};

use crate::steps::{Made, Place, Step, TRANSACTIONS};

/// An adapter, with the ids and tokens that it has given in the order in which it gave them.
pub(crate) struct Subject<A> {
    adapter: A,
    /// Where the next step runs.
    place: Place,
    transactions: [Option<Box<dyn Transaction>>; TRANSACTIONS],
    sessions: Vec<String>,
    session_ids: Vec<String>,
    accounts: Vec<String>,
    verifications: Vec<String>,
    /// Identifier and value of all verifications.
    pairs: BTreeSet<(String, String)>,
    /// Id or token to its place above.
    names: HashMap<String, String>,
}

impl<A: DatabaseAdapter> Subject<A> {
    pub(crate) fn new(adapter: A) -> Self {
        Self {
            adapter,
            place: Place::Outside,
            transactions: Default::default(),
            sessions: Vec::new(),
            session_ids: Vec::new(),
            accounts: Vec::new(),
            verifications: Vec::new(),
            pairs: BTreeSet::new(),
            names: HashMap::new(),
        }
    }

    /// The transaction of the place, if it is open; otherwise the adapter itself.
    fn inner(&self) -> &dyn DatabaseAdapter {
        match self.place {
            Place::Inside(number) => match &self.transactions[number] {
                Some(transaction) => transaction,
                None => &self.adapter,
            },
            Place::Outside => &self.adapter,
        }
    }

    fn take_transaction(&mut self) -> Option<Box<dyn Transaction>> {
        match self.place {
            Place::Inside(number) => self.transactions[number].take(),
            Place::Outside => None,
        }
    }

    /// Whether a transaction is open at this place.
    pub(crate) fn is_open(&self, place: Place) -> bool {
        matches!(place, Place::Inside(number) if self.transactions[number].is_some())
    }

    /// How many transactions are open.
    pub(crate) fn open(&self) -> usize {
        self.transactions.iter().flatten().count()
    }

    /// Undoes the transaction of this place, if there is one.
    pub(crate) async fn undo(&mut self, place: Place) {
        self.place = place;
        if let Some(transaction) = self.take_transaction() {
            // What waited for too long has aborted it; its end may be known already.
            let _ = transaction.rollback().await;
        }
    }

    /// The answer, with what the adapters may choose replaced.
    #[allow(clippy::too_many_lines, reason = "one arm per operation")]
    pub(crate) async fn take(&mut self, place: Place, step: &Step) -> Value {
        self.place = place;
        let made = |list: &[String], made: Made| match made {
            Made::Number(index) => list
                .get(index)
                .cloned()
                .unwrap_or_else(|| "nobody".to_owned()),
            Made::Text(text) => text,
        };
        let (sessions, accounts) = (&self.sessions, &self.accounts);
        match step.clone() {
            Step::CreateUser(create) => {
                let makes_id = create.id.is_none();
                let created = self.inner().create_user(create).await;
                if let (true, Ok(user)) = (makes_id, &created) {
                    self.name("user", user.id.clone(), self.names.len());
                }
                self.answer(created, Self::user)
            }
            Step::GetUser(id) => {
                self.answer(self.inner().get_user_by_id(&id).await, Self::maybe_user)
            }
            Step::GetUserByEmail(email) => self.answer(
                self.inner().get_user_by_email(&email).await,
                Self::maybe_user,
            ),
            Step::GetUserByUsername(name) => self.answer(
                self.inner().get_user_by_username(&name).await,
                Self::maybe_user,
            ),
            Step::UpdateUser(id, update) => {
                self.answer(self.inner().update_user(&id, update).await, Self::user)
            }
            Step::DeleteUser(id) => {
                self.answer(self.inner().delete_user(&id).await, |_, ()| Value::Null)
            }
            Step::ListUsers(query) => self
                .answer(self.inner().list_users(query).await, |this, page| {
                    json!([this.users(page.users), page.next_cursor.is_some()])
                }),
            Step::AllPages(query) => self.all_pages(query).await,
            Step::CountUsers(filter) => self
                .answer(self.inner().count_users(filter).await, |_, count| {
                    count.into()
                }),
            Step::CreateSession(create) => {
                let created = self.inner().create_session(create).await;
                if let Ok(session) = &created {
                    self.name("session", session.id.clone(), self.sessions.len());
                    self.sessions.push(session.token.clone());
                    self.session_ids.push(session.id.clone());
                }
                self.answer(created, Self::session)
            }
            Step::GetSession(index) => {
                let found = self.inner().get_session(&made(sessions, index)).await;
                self.answer(found, |this, found| {
                    found.map(|session| this.session(session)).into()
                })
            }
            Step::GetSessionWithUser(index) => {
                let found = self
                    .inner()
                    .get_session_with_user(&made(sessions, index))
                    .await;
                self.answer(found, |this, found| {
                    let both = |(session, user)| json!([this.session(session), this.user(user)]);
                    found.map(both).into()
                })
            }
            Step::GetUserSessions(id) => {
                self.answer(self.inner().get_user_sessions(&id).await, |this, found| {
                    found
                        .into_iter()
                        .map(|session| this.session(session))
                        .collect()
                })
            }
            Step::UpdateSessionExpiry(index, end) => {
                let done = self
                    .inner()
                    .update_session_expiry(&made(sessions, index), end)
                    .await;
                self.answer(done, |_, ()| Value::Null)
            }
            Step::UpdateSession(index, update) => {
                let updated = self
                    .inner()
                    .update_session(&made(sessions, index), update)
                    .await;
                self.answer(updated, Self::session)
            }
            Step::DeleteSession(index) => {
                let done = self.inner().delete_session(&made(sessions, index)).await;
                self.answer(done, |_, ()| Value::Null)
            }
            Step::DeleteUserSessions(id) => self
                .answer(self.inner().delete_user_sessions(&id).await, |_, ()| {
                    Value::Null
                }),
            Step::DeleteExpiredSessions => self
                .answer(self.inner().delete_expired_sessions().await, |_, count| {
                    count.into()
                }),
            // Of what the sessions' ends may be, none is due.
            Step::RefreshSession(index) => {
                let hour = Duration::from_secs(3600);
                let token = made(sessions, index);
                let found = self.inner().refresh_session(&token, hour, hour).await;
                self.answer(found, |this, found| {
                    let both = |(session, user)| json!([this.session(session), this.user(user)]);
                    found.map(both).into()
                })
            }
            Step::DeleteOtherSessions(id, kept) => {
                let kept = made(sessions, kept);
                let done = self.inner().delete_other_sessions(&id, &kept).await;
                self.answer(done, |_, count| count.into())
            }
            Step::DeleteSessionById(user, number) => {
                let id = made(&self.session_ids, Made::Number(number));
                let done = self.inner().delete_session_by_id(&user, &id).await;
                self.answer(done, |_, ()| Value::Null)
            }
            Step::GetUsersByIds(ids) => {
                self.answer(self.inner().get_users_by_ids(&ids).await, Self::users)
            }
            Step::BanUser(id, reason, until) => {
                let banned = self.inner().ban_user(&id, reason, until).await;
                self.answer(banned, Self::user)
            }
            Step::UnbanUser(id) => self.answer(self.inner().unban_user(&id).await, Self::user),
            Step::LinkAccount(link) => {
                let linked = self.inner().link_account(link).await;
                if let Ok((account, Linked::Created)) = &linked {
                    self.name("account", account.id.clone(), self.accounts.len());
                    self.accounts.push(account.id.clone());
                }
                self.answer(linked, |this, (account, linked)| {
                    json!([this.account(account), linked == Linked::Created])
                })
            }
            Step::GetCredentialAccount(id) => {
                let found = self.inner().get_credential_account(&id).await;
                self.answer(found, |this, found| {
                    found.map(|account| this.account(account)).into()
                })
            }
            Step::CreateAccount(create) => {
                let created = self.inner().create_account(create).await;
                if let Ok(account) = &created {
                    self.name("account", account.id.clone(), self.accounts.len());
                    self.accounts.push(account.id.clone());
                }
                self.answer(created, Self::account)
            }
            Step::GetAccount(provider, id) => {
                let found = self.inner().get_account(&provider, &id).await;
                self.answer(found, |this, found| {
                    found.map(|account| this.account(account)).into()
                })
            }
            Step::GetUserAccounts(id) => {
                self.answer(self.inner().get_user_accounts(&id).await, |this, found| {
                    found
                        .into_iter()
                        .map(|account| this.account(account))
                        .collect()
                })
            }
            Step::UpdateAccount(index, update) => {
                let updated = self
                    .inner()
                    .update_account(&made(accounts, index), update)
                    .await;
                self.answer(updated, Self::account)
            }
            Step::DeleteAccount(index) => {
                let done = self.inner().delete_account(&made(accounts, index)).await;
                self.answer(done, |_, ()| Value::Null)
            }
            Step::CreateVerification(create) => {
                let pair = (create.identifier.clone(), create.value.clone());
                let created = self.inner().create_verification(create).await;
                if let Ok(row) = &created {
                    self.name("verification", row.id.clone(), self.verifications.len());
                    self.verifications.push(row.id.clone());
                    self.pairs.insert(pair);
                }
                self.answer(created, Self::verification)
            }
            Step::GetVerification(identifier, value) => {
                let found = self.inner().get_verification(&identifier, &value).await;
                self.answer(found, Self::maybe_verification)
            }
            Step::GetVerificationByIdentifier(identifier) => {
                let found = self
                    .inner()
                    .get_verification_by_identifier(&identifier)
                    .await;
                self.answer(found, Self::maybe_verification)
            }
            Step::GetVerificationByValue(value) => {
                let found = self.inner().get_verification_by_value(&value).await;
                self.answer(found, Self::maybe_verification)
            }
            Step::ConsumeVerification(identifier, value) => {
                let found = self.inner().consume_verification(&identifier, &value).await;
                self.answer(found, Self::maybe_verification)
            }
            Step::ConsumeVerificationByIdentifier(identifier) => {
                let found = self
                    .inner()
                    .consume_verification_by_identifier(&identifier)
                    .await;
                self.answer(found, Self::maybe_verification)
            }
            Step::DeleteVerificationsByIdentifier(identifier) => {
                let done = self
                    .inner()
                    .delete_verifications_by_identifier(&identifier)
                    .await;
                self.answer(done, |_, ()| Value::Null)
            }
            Step::CheckCode(identifier, value, max) => {
                let checked = self.inner().check_code(&identifier, &value, max).await;
                self.answer(checked, |this, check| match check {
                    CodeCheck::Accepted(row) => this.verification(row),
                    CodeCheck::Wrong { attempts_left } => attempts_left.into(),
                    CodeCheck::TooManyAttempts => json!("too many"),
                    CodeCheck::NotFound => Value::Null,
                })
            }
            Step::ReserveVerification(identifier, value, end) => {
                let reserved = self
                    .inner()
                    .reserve_verification(&identifier, &value, end)
                    .await;
                if reserved.is_ok() {
                    self.pairs.insert((identifier, value));
                }
                self.answer(reserved, |_, reserved| reserved.into())
            }
            Step::DeleteVerification(index) => {
                let done = self
                    .inner()
                    .delete_verification(&made(&self.verifications, index))
                    .await;
                self.answer(done, |_, ()| Value::Null)
            }
            Step::DeleteExpiredVerifications => self.answer(
                self.inner().delete_expired_verifications().await,
                |_, count| count.into(),
            ),
            Step::CleanUp => self.answer(self.inner().clean_up().await, |_, done| {
                json!([done.sessions, done.verifications])
            }),
            Step::Begin => match (self.inner().begin().await, place) {
                (Ok(transaction), Place::Inside(number)) => {
                    self.transactions[number] = Some(transaction);
                    json!("begun")
                }
                (Ok(transaction), Place::Outside) => {
                    self.answer(transaction.commit().await, |_, ()| Value::Null)
                }
                (Err(error), _) => failure(&error),
            },
            Step::Commit => match self.take_transaction() {
                Some(transaction) => self.answer(transaction.commit().await, |_, ()| Value::Null),
                None => Value::Null,
            },
            Step::Rollback => match self.take_transaction() {
                Some(transaction) => self.answer(transaction.rollback().await, |_, ()| Value::Null),
                None => Value::Null,
            },
            Step::DropTransaction => {
                drop(self.take_transaction());
                Value::Null
            }
        }
    }

    async fn all_pages(&self, mut query: ListUsers) -> Value {
        let mut pages = Vec::new();
        loop {
            match self.inner().list_users(query.clone()).await {
                Ok(page) => {
                    pages.push(self.users(page.users));
                    match page.next_cursor {
                        Some(cursor) => query = query.with_cursor(cursor),
                        None => return pages.into(),
                    }
                }
                Err(error) => return failure(&error),
            }
        }
    }

    /// All that is stored, by the lists and, where there are none, by the keys that were given.
    pub(crate) async fn everything(&self) -> Value {
        let all = ListUsers::new().with_limit(1000);
        let users = self.adapter.list_users(all).await.unwrap().users;
        let mut found = Vec::new();
        for user in users {
            let sessions = self.adapter.get_user_sessions(&user.id).await.unwrap();
            let accounts = self.adapter.get_user_accounts(&user.id).await.unwrap();
            let sessions: Value = sessions
                .into_iter()
                .map(|session| self.session(session))
                .collect();
            let accounts: Value = accounts
                .into_iter()
                .map(|account| self.account(account))
                .collect();
            found.push(json!([self.user(user), sessions, accounts]));
        }
        let mut verifications = Vec::new();
        for (identifier, value) in &self.pairs {
            let row = self.adapter.get_verification(identifier, value).await;
            verifications.push(self.maybe_verification(row.unwrap()));
        }
        let dead = [
            self.adapter.delete_expired_sessions().await.unwrap(),
            self.adapter.delete_expired_verifications().await.unwrap(),
        ];
        json!([found, verifications, dead])
    }

    fn answer<T>(&self, answer: AuthResult<T>, show: impl FnOnce(&Self, T) -> Value) -> Value {
        match answer {
            Ok(value) => json!({ "ok": show(self, value) }),
            Err(error) => failure(&error),
        }
    }

    fn name(&mut self, kind: &str, id: String, index: usize) {
        self.names.insert(id, format!("{kind} {index}"));
    }

    fn named(&self, id: &str) -> &str {
        self.names.get(id).map_or("unknown", String::as_str)
    }

    fn user(&self, user: User) -> Value {
        assert!(user.updated_at >= user.created_at);
        let changed = user.updated_at > user.created_at;
        let mut shown = serde_json::to_value(user).unwrap();
        let fields = shown.as_object_mut().unwrap();
        if let Some(name) = fields["id"].as_str().and_then(|id| self.names.get(id)) {
            fields.insert("id".to_owned(), name.clone().into());
        }
        fields.remove("createdAt");
        fields.insert("updatedAt".to_owned(), changed.into());
        shown
    }

    fn users(&self, users: Vec<User>) -> Value {
        users.into_iter().map(|user| self.user(user)).collect()
    }

    fn maybe_user(&self, user: Option<User>) -> Value {
        user.map(|user| self.user(user)).into()
    }

    fn session(&self, session: Session) -> Value {
        json!([
            self.named(&session.id),
            self.sessions
                .iter()
                .position(|token| *token == session.token),
            session.expires_at,
            session.ip_address,
            session.user_agent,
            session.user_id,
            session.impersonated_by,
            session.active_organization_id,
            session.active,
            session.updated_at > session.created_at,
        ])
    }

    fn account(&self, account: Account) -> Value {
        json!([
            self.named(&account.id),
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
            account.updated_at > account.created_at,
        ])
    }

    fn verification(&self, row: Verification) -> Value {
        json!([
            self.named(&row.id),
            row.identifier,
            row.value,
            row.expires_at
        ])
    }

    fn maybe_verification(&self, row: Option<Verification>) -> Value {
        row.map(|row| self.verification(row)).into()
    }
}

/// The variant and the field of an error. Messages name the server, and so differ.
fn failure(error: &AuthError) -> Value {
    match error {
        AuthError::Validation { field, message } => json!(["Validation", field, message]),
        AuthError::Conflict { field } => json!(["Conflict", field.to_string()]),
        error => json!(format!("{error:?}").split([' ', '{']).next()),
    }
}

/// What an operation answers that PostgreSQL made wait for too long.
pub(crate) fn waited() -> Value {
    json!("Unavailable")
}

/// What an operation answers in a transaction that an error has aborted.
pub(crate) fn aborted() -> Value {
    json!("TransactionAborted")
}
