//! What the sequences are made of.

use std::fmt::Debug;

use better_auth::types::{
    CreateAccount, CreateUser, ListUsers, Metadata, SearchField, SearchOperator, UpdateAccount,
    UpdateUser, UserFilter, UserOrder, UserSearch,
};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What is done next. Numbers name what earlier operations have made, whatever ids and tokens the adapters gave it.
#[derive(Clone, Debug)]
pub(crate) enum Step {
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
pub(crate) enum End {
    Past,
    Future,
    Furthest,
    TooEarly,
}

impl End {
    pub(crate) fn time(self) -> DateTime<Utc> {
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
        12 => prop::sample::select(vec!["a", "A", "b", "ß", "SS", "É", "é", "İ", "ΑΣ", "ας", "", "%", "_", "\\", "'; --", "\u{202e}x", "ab", "ba", "aßa"])
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
    prop_oneof![12 => prop::sample::select(vec!["a", "A"]).prop_map(str::to_owned), 1 => key()]
}

/// Whose names are taken, mostly.
fn user_id() -> impl Strategy<Value = String> {
    prop_oneof![12 => prop::sample::select(vec!["1", "2", "3"]).prop_map(str::to_owned), 1 => key()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => key(),
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
    let id = prop_oneof![4 => user_id(), 8 => "[1-9]"].prop_map(Some);
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

fn user_step() -> BoxedStrategy<Step> {
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
    ]
    .boxed()
}

fn session_step() -> BoxedStrategy<Step> {
    let made = 0_usize..6;
    prop_oneof![
        6 => (user_id(), end(), maybe(text())).prop_map(|(id, end, agent)| Step::CreateSession(id, end, agent)),
        2 => made.clone().prop_map(Step::GetSession),
        2 => made.clone().prop_map(Step::GetSessionWithUser),
        2 => user_id().prop_map(Step::GetUserSessions),
        2 => (made.clone(), end()).prop_map(|(session, end)| Step::UpdateSessionExpiry(session, end)),
        3 => (made.clone(), maybe(end()), change(text()), maybe(any::<bool>()))
            .prop_map(|(session, end, agent, active)| Step::UpdateSession(session, end, agent, active)),
        1 => made.prop_map(Step::DeleteSession),
        1 => user_id().prop_map(Step::DeleteUserSessions),
        1 => Just(Step::DeleteExpiredSessions),
    ]
    .boxed()
}

fn account_step() -> BoxedStrategy<Step> {
    let made = 0_usize..6;
    let pair = (part_of_a_pair(), part_of_a_pair());
    prop_oneof![
        5 => create_account().prop_map(Step::CreateAccount),
        2 => pair.prop_map(|(provider, id)| Step::GetAccount(provider, id)),
        2 => user_id().prop_map(Step::GetUserAccounts),
        3 => (made.clone(), update_account()).prop_map(|(account, update)| Step::UpdateAccount(account, update)),
        1 => made.prop_map(Step::DeleteAccount),
    ]
    .boxed()
}

fn verification_step() -> BoxedStrategy<Step> {
    let pair = || (part_of_a_pair(), part_of_a_pair());
    prop_oneof![
        6 => (pair(), end())
            .prop_map(|((identifier, value), end)| Step::CreateVerification(identifier, value, end)),
        2 => pair().prop_map(|(identifier, value)| Step::GetVerification(identifier, value)),
        2 => part_of_a_pair().prop_map(Step::GetVerificationByIdentifier),
        2 => part_of_a_pair().prop_map(Step::GetVerificationByValue),
        4 => pair().prop_map(|(identifier, value)| Step::ConsumeVerification(identifier, value)),
        1 => (0_usize..6).prop_map(Step::DeleteVerification),
        1 => Just(Step::DeleteExpiredVerifications),
    ]
    .boxed()
}

fn transaction_step() -> BoxedStrategy<Step> {
    prop_oneof![
        3 => Just(Step::Begin),
        3 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::DropTransaction),
        2 => user_id().prop_map(Step::LookOutside),
        1 => Just(Step::CleanUp),
    ]
    .boxed()
}

/// Sequences of so many steps: of all kinds, or mostly of one, so that what they make meets again.
pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let sequence = move |users, sessions, accounts, verifications| {
        let step = prop_oneof![
            users => user_step(),
            sessions => session_step(),
            accounts => account_step(),
            verifications => verification_step(),
            2 => transaction_step(),
        ];
        prop::collection::vec(step, count)
    };
    prop_oneof![
        2 => sequence(6, 4, 3, 4),
        1 => sequence(20, 1, 1, 1),
        1 => sequence(4, 16, 1, 1),
        1 => sequence(4, 1, 16, 1),
        1 => sequence(1, 1, 1, 20),
    ]
}
