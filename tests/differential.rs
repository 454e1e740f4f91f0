//! The two adapters cannot be told apart: random sequences of operations get the same answers from both.
//!
//! `DIFFERENTIAL_CASES` sets how many sequences are tried, and `DIFFERENTIAL_SEED` (64 hexadecimal digits, as a failure
//! prints them) which.

mod support;

use std::collections::HashMap;
use std::fmt::Debug;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter, SqlxAdapter, Transaction};
use better_auth::types::{
    Account, CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers, Metadata,
    SearchField, SearchOperator, Session, UpdateAccount, UpdateSession, UpdateUser, User,
    UserFilter, UserOrder, UserSearch, Verification,
};
use better_auth::{AuthError, AuthResult};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use sqlx::PgPool;
use support::execute;

/// What is done next. Numbers name what earlier operations have made, whatever ids and tokens the adapters gave it.
#[derive(Clone, Debug)]
enum Step {
    CreateUser(CreateUser),
    GetUser(String),
    GetUserByEmail(String),
    GetUserByUsername(String),
    UpdateUser(String, UpdateUser),
    DeleteUser(String),
    ListUsers(ListUsers),
    /// Follows the cursors to the end.
    AllPages(ListUsers),
    CountUsers(UserFilter),
    CreateSession(String, End, Option<String>),
    GetSession(usize),
    GetSessionWithUser(usize),
    GetUserSessions(String),
    UpdateSessionExpiry(usize, End),
    UpdateSession(usize, Option<End>, Option<Option<String>>, Option<bool>),
    DeleteSession(usize),
    DeleteUserSessions(String),
    DeleteExpiredSessions,
    CreateAccount(CreateAccount),
    GetAccount(String, String),
    GetUserAccounts(String),
    UpdateAccount(usize, UpdateAccount),
    DeleteAccount(usize),
    CreateVerification(String, String, End),
    GetVerification(String, String),
    GetVerificationByIdentifier(String),
    GetVerificationByValue(String),
    ConsumeVerification(String, String),
    DeleteVerification(usize),
    DeleteExpiredVerifications,
    CleanUp,
    Begin,
    Commit,
    Rollback,
    DropTransaction,
    /// Looks from outside while a transaction may be open.
    LookOutside(String),
}

/// When something ends: so far away that both adapters' clocks agree about it.
#[derive(Clone, Copy, Debug)]
enum End {
    Past,
    Future,
    Furthest,
    TooEarly,
}

impl End {
    fn time(self) -> DateTime<Utc> {
        match self {
            Self::Past => DateTime::UNIX_EPOCH + TimeDelta::nanoseconds(1_500),
            Self::Future => "2999-01-01T00:00:00.123456789Z".parse().unwrap(),
            Self::Furthest => DateTime::<Utc>::MAX_UTC,
            Self::TooEarly => DateTime::<Utc>::MIN_UTC,
        }
    }
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![6 => Just(End::Future), 3 => Just(End::Past), 1 => Just(End::Furthest), 1 => Just(End::TooEarly)]
}

/// Few, so that they collide, in several spellings, and some that nobody can have.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(vec!["a", "A", "b", "ß", "SS", "É", "é", "İ", "ΑΣ", "ας", "", "%", "_", "\\", "'; --", "\u{202e}x"])
            .prop_map(str::to_owned),
        1 => Just("x".repeat(255)),
        1 => Just("x".repeat(256)),
        1 => Just("ü".repeat(600)),
        1 => Just("a\0b".to_owned()),
        1 => "\\PC{0,12}",
    ]
}

/// So few that pairs of them meet again.
fn part_of_a_pair() -> impl Strategy<Value = String> {
    prop_oneof![12 => prop::sample::select(vec!["a", "A", "ß"]).prop_map(str::to_owned), 1 => key()]
}

/// Whose names are taken, mostly.
fn user_id() -> impl Strategy<Value = String> {
    prop_oneof![12 => prop::sample::select(vec!["1", "2", "3"]).prop_map(str::to_owned), 1 => key()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => key(),
        1 => Just("long ".repeat(30_000)),
        2 => "\\PC{0,40}",
        1 => any::<String>(),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has none", |float| float.is_finite())
            .prop_map(Value::from),
        prop::sample::select(vec![
            0.0,
            -0.0,
            1e15,
            1e16,
            1e17,
            1e22,
            1e300,
            5e-324,
            1.5e-7,
            f64::MAX,
            1e19,
            123_456_789_012_345_680.0
        ])
        .prop_map(Value::from),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let nested = |depth: usize| {
        let deep = (1..depth).fold(json!({}), |inner, _| json!({ "a": inner }));
        Metadata::from_iter([("deep".to_owned(), deep)])
    };
    prop_oneof![
        6 => Just(Metadata::new()),
        4 => prop::collection::vec((key(), json_value()), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
        1 => (98_usize..102).prop_map(nested),
    ]
}

fn maybe<T: Clone + Debug + 'static>(
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    prop::option::weighted(0.5, strategy).boxed()
}

/// Of an update: keep, set NULL, or set.
fn change<T: Clone + Debug + 'static>(
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<Option<T>>> {
    prop::option::weighted(0.3, prop::option::weighted(0.7, strategy)).boxed()
}

fn create_user() -> impl Strategy<Value = CreateUser> {
    let id = prop_oneof![12 => user_id().prop_map(Some), 1 => key().prop_map(Some)];
    let names = (maybe(key()), maybe(key()), maybe(text()), maybe(text()));
    (
        id,
        names,
        maybe(text()),
        maybe(key()),
        any::<bool>(),
        metadata(),
    )
        .prop_map(
            |(
                id,
                (email, username, display_username, name),
                image,
                role,
                email_verified,
                metadata,
            )| CreateUser {
                id,
                name,
                email,
                image,
                username,
                display_username,
                role,
                email_verified,
                metadata,
            },
        )
}

fn update_user() -> impl Strategy<Value = UpdateUser> {
    let texts = (
        change(text()),
        change(key()),
        change(text()),
        change(key()),
        change(text()),
        change(key()),
    );
    let flags = (
        maybe(any::<bool>()),
        maybe(any::<bool>()),
        maybe(any::<bool>()),
    );
    let ban = (change(text()), change(end().prop_map(End::time)));
    (texts, flags, ban, prop::option::weighted(0.3, metadata())).prop_map(
        |(
            (name, email, image, username, display_username, role),
            (email_verified, two_factor_enabled, banned),
            (ban_reason, ban_expires),
            metadata,
        )| UpdateUser {
            name,
            email,
            email_verified,
            image,
            username,
            display_username,
            two_factor_enabled,
            role,
            banned,
            ban_reason,
            ban_expires,
            metadata,
        },
    )
}

fn create_account() -> impl Strategy<Value = CreateAccount> {
    let tokens = (
        maybe(text()),
        maybe(text()),
        maybe(text()),
        maybe(text()),
        maybe(text()),
    );
    let ends = (maybe(end()), maybe(end()));
    (user_id(), part_of_a_pair(), part_of_a_pair(), tokens, ends).prop_map(
        |(
            user_id,
            provider_id,
            account_id,
            (access, refresh, id_token, scope, password),
            (access_end, refresh_end),
        )| {
            CreateAccount {
                user_id,
                provider_id,
                account_id,
                access_token: access,
                refresh_token: refresh,
                id_token,
                access_token_expires_at: access_end.map(End::time),
                refresh_token_expires_at: refresh_end.map(End::time),
                scope,
                password,
            }
        },
    )
}

fn update_account() -> impl Strategy<Value = UpdateAccount> {
    let texts = (
        change(text()),
        change(text()),
        change(text()),
        change(text()),
        change(text()),
    );
    let ends = (
        change(end().prop_map(End::time)),
        change(end().prop_map(End::time)),
    );
    (texts, ends).prop_map(
        |((access_token, refresh_token, id_token, scope, password), (access_end, refresh_end))| {
            UpdateAccount {
                access_token,
                refresh_token,
                id_token,
                access_token_expires_at: access_end,
                refresh_token_expires_at: refresh_end,
                scope,
                password,
            }
        },
    )
}

fn user_filter() -> impl Strategy<Value = UserFilter> {
    let field = prop::sample::select(vec![
        SearchField::Email,
        SearchField::Username,
        SearchField::Name,
    ]);
    let operators = vec![
        SearchOperator::Equals,
        SearchOperator::StartsWith,
        SearchOperator::Contains,
    ];
    let short = prop::sample::select(vec![
        "a", "A", "s", "é", "%", "_", "\\", "x", "-", "'", "", "0", "α",
    ]);
    let value = prop_oneof![4 => short.prop_map(str::to_owned), 1 => text()];
    let search = (field, prop::sample::select(operators), value)
        .prop_map(|(field, operator, value)| UserSearch::new(field, operator, value));
    (
        maybe(search),
        prop::option::weighted(0.2, key()),
        prop::option::weighted(0.2, any::<bool>()),
        prop::option::weighted(0.2, any::<bool>()),
        prop::option::weighted(0.2, end().prop_map(End::time)),
        prop::option::weighted(0.2, end().prop_map(End::time)),
    )
        .prop_map(
            |(search, role, banned, email_verified, created_from, created_before)| UserFilter {
                search,
                role,
                banned,
                email_verified,
                created_from,
                created_before,
            },
        )
}

fn list_users() -> impl Strategy<Value = ListUsers> {
    let order = prop::sample::select(vec![UserOrder::NewestFirst, UserOrder::OldestFirst]);
    let cursor = prop::option::weighted(0.1, prop_oneof![key(), "[A-Za-z0-9_-]{0,40}"]);
    (
        user_filter(),
        order,
        prop_oneof![0_u32..4, Just(1000), Just(1001)],
        cursor,
    )
        .prop_map(|(filter, order, limit, cursor)| ListUsers {
            filter,
            order,
            limit,
            cursor,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let made = 0_usize..6;
    prop_oneof![
        8 => create_user().prop_map(Step::CreateUser),
        2 => user_id().prop_map(Step::GetUser),
        2 => key().prop_map(Step::GetUserByEmail),
        2 => key().prop_map(Step::GetUserByUsername),
        6 => (user_id(), update_user()).prop_map(|(id, update)| Step::UpdateUser(id, update)),
        2 => user_id().prop_map(Step::DeleteUser),
        3 => list_users().prop_map(Step::ListUsers),
        2 => list_users().prop_map(Step::AllPages),
        2 => user_filter().prop_map(Step::CountUsers),
        6 => (user_id(), end(), maybe(text())).prop_map(|(id, end, agent)| Step::CreateSession(id, end, agent)),
        2 => made.clone().prop_map(Step::GetSession),
        2 => made.clone().prop_map(Step::GetSessionWithUser),
        2 => user_id().prop_map(Step::GetUserSessions),
        2 => (made.clone(), end()).prop_map(|(session, end)| Step::UpdateSessionExpiry(session, end)),
        3 => (made.clone(), maybe(end()), change(text()), maybe(any::<bool>()))
            .prop_map(|(session, end, agent, active)| Step::UpdateSession(session, end, agent, active)),
        1 => made.clone().prop_map(Step::DeleteSession),
        1 => user_id().prop_map(Step::DeleteUserSessions),
        1 => Just(Step::DeleteExpiredSessions),
        5 => create_account().prop_map(Step::CreateAccount),
        2 => (part_of_a_pair(), part_of_a_pair()).prop_map(|(provider, id)| Step::GetAccount(provider, id)),
        2 => user_id().prop_map(Step::GetUserAccounts),
        3 => (made.clone(), update_account()).prop_map(|(account, update)| Step::UpdateAccount(account, update)),
        1 => made.clone().prop_map(Step::DeleteAccount),
        5 => (part_of_a_pair(), part_of_a_pair(), end()).prop_map(|(identifier, value, end)| Step::CreateVerification(identifier, value, end)),
        2 => (part_of_a_pair(), part_of_a_pair()).prop_map(|(identifier, value)| Step::GetVerification(identifier, value)),
        2 => part_of_a_pair().prop_map(Step::GetVerificationByIdentifier),
        2 => part_of_a_pair().prop_map(Step::GetVerificationByValue),
        3 => (part_of_a_pair(), part_of_a_pair()).prop_map(|(identifier, value)| Step::ConsumeVerification(identifier, value)),
        1 => made.prop_map(Step::DeleteVerification),
        1 => Just(Step::DeleteExpiredVerifications),
        1 => Just(Step::CleanUp),
        3 => Just(Step::Begin),
        3 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::DropTransaction),
        2 => user_id().prop_map(Step::LookOutside),
    ]
}

/// An adapter, with the ids and tokens that it has given in the order in which it gave them.
struct Subject<A> {
    adapter: A,
    transaction: Option<Box<dyn Transaction>>,
    sessions: Vec<String>,
    accounts: Vec<String>,
    verifications: Vec<String>,
    /// Id or token to its place above.
    names: HashMap<String, String>,
}

impl<A: DatabaseAdapter> Subject<A> {
    fn new(adapter: A) -> Self {
        Self {
            adapter,
            transaction: None,
            sessions: Vec::new(),
            accounts: Vec::new(),
            verifications: Vec::new(),
            names: HashMap::new(),
        }
    }

    fn inner(&self) -> &dyn DatabaseAdapter {
        match &self.transaction {
            Some(transaction) => transaction,
            None => &self.adapter,
        }
    }

    /// The answer, with what the adapters may choose replaced.
    #[allow(clippy::too_many_lines, reason = "one arm per operation")]
    async fn take(&mut self, step: &Step) -> Value {
        let made = |list: &[String], index: usize| {
            list.get(index)
                .cloned()
                .unwrap_or_else(|| "nobody".to_owned())
        };
        let (sessions, accounts) = (&self.sessions, &self.accounts);
        match step.clone() {
            Step::CreateUser(create) => {
                self.answer(self.inner().create_user(create).await, Self::user)
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
            Step::CreateSession(user_id, end, user_agent) => {
                let create = CreateSession {
                    user_agent,
                    ..CreateSession::new(user_id, end.time())
                };
                let created = self.inner().create_session(create).await;
                if let Ok(session) = &created {
                    self.name("session", session.id.clone(), self.sessions.len());
                    self.sessions.push(session.token.clone());
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
                    .update_session_expiry(&made(sessions, index), end.time())
                    .await;
                self.answer(done, |_, ()| Value::Null)
            }
            Step::UpdateSession(index, end, user_agent, active) => {
                let update = UpdateSession {
                    expires_at: end.map(End::time),
                    user_agent,
                    active,
                    ..UpdateSession::default()
                };
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
            Step::CreateVerification(identifier, value, end) => {
                let create = CreateVerification::new(identifier, value, end.time());
                let created = self.inner().create_verification(create).await;
                if let Ok(row) = &created {
                    self.name("verification", row.id.clone(), self.verifications.len());
                    self.verifications.push(row.id.clone());
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
            Step::Begin => match self.inner().begin().await {
                Ok(transaction) => {
                    self.transaction = Some(transaction);
                    json!("begun")
                }
                Err(error) => failure(&error),
            },
            Step::Commit => match self.transaction.take() {
                Some(transaction) => self.answer(transaction.commit().await, |_, ()| Value::Null),
                None => Value::Null,
            },
            Step::Rollback => match self.transaction.take() {
                Some(transaction) => self.answer(transaction.rollback().await, |_, ()| Value::Null),
                None => Value::Null,
            },
            Step::DropTransaction => {
                self.transaction = None;
                Value::Null
            }
            Step::LookOutside(id) => {
                let user = self.answer(self.adapter.get_user_by_id(&id).await, Self::maybe_user);
                let sessions =
                    self.answer(self.adapter.get_user_sessions(&id).await, |this, found| {
                        found
                            .into_iter()
                            .map(|session| this.session(session))
                            .collect()
                    });
                json!([user, sessions])
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

    /// All that is stored, by the lists.
    async fn everything(&self) -> Value {
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
        let dead = [
            self.adapter.delete_expired_sessions().await.unwrap(),
            self.adapter.delete_expired_verifications().await.unwrap(),
        ];
        json!([found, dead])
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

async fn compare(
    database: &SqlxAdapter,
    pool: &PgPool,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    execute(pool, "TRUNCATE users, sessions, accounts, verifications").await;
    let mut memory = Subject::new(MemoryDatabaseAdapter::new());
    let mut postgres = Subject::new(database.clone());
    for (number, step) in steps.iter().enumerate() {
        let (left, right) = (memory.take(step).await, postgres.take(step).await);
        prop_assert_eq!(
            left,
            right,
            "memory and PostgreSQL differ at step {}: {:?}",
            number,
            step
        );
    }
    memory.transaction = None;
    if let Some(transaction) = postgres.transaction.take() {
        transaction.rollback().await.unwrap();
    }
    prop_assert_eq!(
        memory.everything().await,
        postgres.everything().await,
        "at the end"
    );
    Ok(())
}

/// The seed that the environment names, or a fresh one.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    match std::env::var("DIFFERENTIAL_SEED") {
        Ok(hex) => {
            for (byte, digits) in seed.iter_mut().zip(hex.as_bytes().chunks(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
            }
        }
        Err(_) => {
            seed[..16].copy_from_slice(&fresh_bytes());
            seed[16..].copy_from_slice(&fresh_bytes());
        }
    }
    seed
}

/// Of a hasher that the standard library seeds anew for each.
fn fresh_bytes() -> [u8; 16] {
    use std::hash::{BuildHasher as _, RandomState};

    let words = [
        RandomState::new().hash_one(0),
        RandomState::new().hash_one(1),
    ];
    let [left, right] = words.map(u64::to_le_bytes);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&left);
    bytes[8..].copy_from_slice(&right);
    bytes
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn the_adapters_cannot_be_told_apart(pool: PgPool) {
    const STEPS: usize = 50;
    let cases = std::env::var("DIFFERENTIAL_CASES").map_or(400, |cases| cases.parse().unwrap());
    let seed = seed();
    let shown: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    let database = support::adapter(&pool).await;
    let runtime = tokio::runtime::Handle::current();
    let tried = tokio::task::spawn_blocking(move || {
        let config = Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 1000,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let counted = std::cell::Cell::new(0);
        let outcome = runner.run(&prop::collection::vec(step(), STEPS), |steps| {
            counted.set(counted.get() + steps.len());
            runtime.block_on(compare(&database, &pool, &steps))
        });
        outcome
            .map(|()| counted.get())
            .map_err(|error| error.to_string())
    });
    match tried.await.unwrap() {
        Ok(operations) => println!("seed {shown}: {operations} operations compared, no difference"),
        Err(error) => panic!("DIFFERENTIAL_SEED={shown}\n{error}"),
    }
}
