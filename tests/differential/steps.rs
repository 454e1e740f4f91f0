//! What the sequences are made of.

use std::fmt::Debug;

use better_auth::types::{
    CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers, Metadata, SearchField,
    SearchOperator, UpdateAccount, UpdateSession, UpdateUser, UserFilter, UserOrder, UserSearch,
};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::hostile;

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
    CreateSession(CreateSession),
    GetSession(Made),
    GetSessionWithUser(Made),
    GetUserSessions(String),
    UpdateSessionExpiry(Made, DateTime<Utc>),
    UpdateSession(Made, UpdateSession),
    DeleteSession(Made),
    DeleteUserSessions(String),
    DeleteExpiredSessions,
    RefreshSession(Made),
    DeleteOtherSessions(String, Made),
    /// A session's number.
    DeleteSessionById(String, usize),
    GetUsersByIds(Vec<String>),
    BanUser(String, Option<String>, Option<DateTime<Utc>>),
    UnbanUser(String),
    LinkAccount(CreateAccount),
    GetCredentialAccount(String),
    CreateAccount(CreateAccount),
    GetAccount(String, String),
    GetUserAccounts(String),
    UpdateAccount(Made, UpdateAccount),
    DeleteAccount(Made),
    CreateVerification(CreateVerification),
    GetVerification(String, String),
    GetVerificationByIdentifier(String),
    GetVerificationByValue(String),
    ConsumeVerification(String, String),
    ConsumeVerificationByIdentifier(String),
    DeleteVerificationsByIdentifier(String),
    CheckCode(String, String, u32),
    ReserveVerification(String, String, DateTime<Utc>),
    DeleteVerification(Made),
    DeleteExpiredVerifications,
    CleanUp,
    Begin,
    Commit,
    Rollback,
    DropTransaction,
}

impl Step {
    /// Whether it leaves out the rows that others have locked, rather than wait for them.
    pub(crate) fn skips_locked_rows(&self) -> bool {
        matches!(
            self,
            Self::DeleteExpiredSessions | Self::DeleteExpiredVerifications | Self::CleanUp
        )
    }
}

/// How many transactions may be open at once.
pub(crate) const TRANSACTIONS: usize = 3;

/// Where a step runs: in the transaction of this number, if it is open, or outside all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    Outside,
    Inside(usize),
}

/// An id or a token: that of what an earlier operation has made, or any text.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Number(usize),
    Text(String),
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![12 => (0_usize..6).prop_map(Made::Number), 1 => key().prop_map(Made::Text)]
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// When something ends: so far from now that both adapters' clocks agree about it.
fn end() -> impl Strategy<Value = DateTime<Utc>> {
    let first_of_postgresql = DateTime::from_timestamp(-210_866_803_200, 0).unwrap();
    let edges = vec![
        DateTime::<Utc>::MAX_UTC,
        DateTime::<Utc>::MAX_UTC - TimeDelta::nanoseconds(1),
        DateTime::<Utc>::MAX_UTC - TimeDelta::microseconds(1),
        DateTime::<Utc>::MIN_UTC,
        DateTime::<Utc>::MIN_UTC + TimeDelta::nanoseconds(1),
        first_of_postgresql,
        first_of_postgresql + TimeDelta::nanoseconds(1),
        first_of_postgresql - TimeDelta::nanoseconds(1),
        first_of_postgresql - TimeDelta::microseconds(1),
        time("0000-01-01T00:00:00Z"),
        time("-0001-12-31T23:59:59.999999999Z"),
        time("0001-01-01T00:00:00Z"),
        time("1970-01-01T00:00:00.000001500Z"),
        time("1969-12-31T23:59:59.999999500Z"),
        time("1999-12-31T23:59:59.999999999Z"),
        time("2016-12-31T23:59:60.999999999Z"),
        time("2999-06-30T23:59:60Z"),
        time("2999-06-30T23:59:60.500Z"),
        time("9999-12-31T23:59:59.999999999Z"),
        time("+10000-01-01T00:00:00Z"),
    ];
    let any = (
        -8_300_000_000_000_i64..8_200_000_000_000,
        0_u32..1_000_000_000,
    )
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
        .prop_filter("the clocks may disagree", |time| {
            (*time - Utc::now()).abs() > TimeDelta::days(1)
        });
    prop_oneof![
        8 => Just(time("2999-01-01T00:00:00.123456789Z")),
        3 => Just(time("1970-01-01T00:00:00.000001500Z")),
        3 => prop::sample::select(edges),
        1 => any,
    ]
}

/// Few, so that they collide, in several spellings, and some that nobody can have.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(vec!["a", "A", "b", "ß", "SS", "É", "é", "İ", "i\u{307}", "ı", "ΑΣ", "ας", "", "%", "_", "\\", "'; --", "\u{202e}x", "ab", "ba", "aßa"])
            .prop_map(str::to_owned),
        1 => Just("x".repeat(255)),
        1 => Just("x".repeat(256)),
        1 => Just("ü".repeat(600)),
        1 => Just("a\0b".to_owned()),
        2 => hostile::text(),
    ]
}

/// So few that pairs of them meet again.
fn part_of_a_pair() -> impl Strategy<Value = String> {
    prop_oneof![12 => prop::sample::select(vec!["a", "A"]).prop_map(str::to_owned), 1 => key()]
}

const USERS: [&str; 3] = ["1", "2", "3"];

/// Whose names are taken, mostly.
fn user_id() -> impl Strategy<Value = String> {
    prop_oneof![12 => prop::sample::select(&USERS[..]).prop_map(str::to_owned), 1 => key()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => key(),
        1 => Just("long ".repeat(30_000)),
        2 => hostile::text(),
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
            i64::MIN,
            i64::MIN + 1,
            i64::MAX,
            -1,
            1 << 53,
            (1 << 53) + 1
        ])
        .prop_map(Value::from),
        prop::sample::select(vec![u64::MAX, u64::MAX - 1, 1 << 63]).prop_map(Value::from),
        prop::sample::select(FLOATS).prop_map(Value::from),
        prop::sample::select(FLOATS).prop_map(|float| Value::from(-float)),
        // As JSON may spell them.
        prop::sample::select(vec![
            "1e5",
            "1.0e16",
            "1E-7",
            "100e-2",
            "-0",
            "-0.0",
            "0e0",
            "18446744073709551616"
        ])
        .prop_map(|written| serde_json::from_str(written).unwrap()),
    ]
}

/// The edges of what is exact, of what is written with an exponent, and of what there is.
const FLOATS: &[f64] = &[
    0.0,
    0.1,
    1.0,
    1.5e-7,
    1e-5,
    1e15,
    1e16,
    1e17,
    1e19,
    1e22,
    1e300,
    1e308,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_775_808.0,
    18_446_744_073_709_551_616.0,
    123_456_789_012_345_680.0,
    f64::EPSILON,
    f64::MIN_POSITIVE,
    f64::MAX,
    5e-324,
];

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
    let nested = |(depth, arrays): (usize, bool)| {
        let wrap = |inner: Value| {
            if arrays {
                json!([inner])
            } else {
                json!({ "a": inner })
            }
        };
        let deep = (1..depth).fold(json!({}), |inner, _| wrap(inner));
        Metadata::from_iter([("deep".to_owned(), deep)])
    };
    // The object itself is counted.
    let depths = prop::sample::select(vec![1, 98, 99, 100, 101, 126, 127, 128, 1000]);
    // Keys that only look alike.
    let twins = [
        "é",
        "e\u{301}",
        "E\u{301}",
        "a",
        "A",
        "a ",
        "a\u{200b}",
        "а",
        "",
        " ",
    ];
    let twins =
        prop::sample::subsequence(twins.map(str::to_owned).to_vec(), 0..6).prop_flat_map(|keys| {
            let values = prop::collection::vec(json_value(), keys.len());
            values.prop_map(move |values| keys.clone().into_iter().zip(values).collect())
        });
    prop_oneof![
        6 => Just(Metadata::new()),
        4 => prop::collection::vec((key(), json_value()), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
        2 => twins,
        1 => (depths, any::<bool>()).prop_map(nested),
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
    let id = prop_oneof![
        4 => user_id().prop_map(Some),
        8 => "[1-9]".prop_map(Some),
        1 => Just(None),
    ];
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
    let ban = (change(text()), change(end()));
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
    let provider = prop_oneof![
        4 => part_of_a_pair(),
        1 => Just("credential".to_owned()),
    ];
    (user_id(), provider, part_of_a_pair(), tokens, ends).prop_map(
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
                access_token_expires_at: access_end,
                refresh_token_expires_at: refresh_end,
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
    let ends = (change(end()), change(end()));
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
        prop::option::weighted(0.2, end()),
        prop::option::weighted(0.2, end()),
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
        2 => prop::collection::vec(user_id(), 0..5).prop_map(Step::GetUsersByIds),
        2 => (user_id(), maybe(text()), maybe(end()))
            .prop_map(|(id, reason, until)| Step::BanUser(id, reason, until)),
        1 => user_id().prop_map(Step::UnbanUser),
        3 => list_users().prop_map(Step::ListUsers),
        2 => list_users().prop_map(Step::AllPages),
        2 => user_filter().prop_map(Step::CountUsers),
    ]
    .boxed()
}

fn create_session() -> impl Strategy<Value = CreateSession> {
    let texts = (maybe(text()), maybe(text()), maybe(text()), maybe(text()));
    (user_id(), end(), texts).prop_map(
        |(
            user_id,
            expires_at,
            (ip_address, user_agent, impersonated_by, active_organization_id),
        )| CreateSession {
            user_id,
            expires_at,
            ip_address,
            user_agent,
            impersonated_by,
            active_organization_id,
        },
    )
}

fn update_session() -> impl Strategy<Value = UpdateSession> {
    let texts = (
        change(text()),
        change(text()),
        change(text()),
        change(text()),
    );
    (
        prop::option::weighted(0.3, end()),
        texts,
        prop::option::weighted(0.3, any::<bool>()),
    )
        .prop_map(
            |(
                expires_at,
                (ip_address, user_agent, impersonated_by, active_organization_id),
                active,
            )| UpdateSession {
                expires_at,
                ip_address,
                user_agent,
                impersonated_by,
                active_organization_id,
                active,
            },
        )
}

fn session_step() -> BoxedStrategy<Step> {
    prop_oneof![
        6 => create_session().prop_map(Step::CreateSession),
        2 => made().prop_map(Step::GetSession),
        2 => made().prop_map(Step::GetSessionWithUser),
        2 => user_id().prop_map(Step::GetUserSessions),
        2 => (made(), end()).prop_map(|(session, end)| Step::UpdateSessionExpiry(session, end)),
        3 => (made(), update_session()).prop_map(|(session, update)| Step::UpdateSession(session, update)),
        1 => made().prop_map(Step::DeleteSession),
        1 => user_id().prop_map(Step::DeleteUserSessions),
        2 => made().prop_map(Step::RefreshSession),
        1 => (user_id(), made()).prop_map(|(user, kept)| Step::DeleteOtherSessions(user, kept)),
        1 => (user_id(), 0_usize..6).prop_map(|(user, id)| Step::DeleteSessionById(user, id)),
        1 => Just(Step::DeleteExpiredSessions),
    ]
    .boxed()
}

fn account_step() -> BoxedStrategy<Step> {
    let pair = (part_of_a_pair(), part_of_a_pair());
    prop_oneof![
        5 => create_account().prop_map(Step::CreateAccount),
        5 => create_account().prop_map(Step::LinkAccount),
        1 => user_id().prop_map(Step::GetCredentialAccount),
        2 => pair.prop_map(|(provider, id)| Step::GetAccount(provider, id)),
        2 => user_id().prop_map(Step::GetUserAccounts),
        3 => (made(), update_account()).prop_map(|(account, update)| Step::UpdateAccount(account, update)),
        1 => made().prop_map(Step::DeleteAccount),
    ]
    .boxed()
}

fn verification_step() -> BoxedStrategy<Step> {
    let pair = || (part_of_a_pair(), part_of_a_pair());
    prop_oneof![
        6 => (pair(), end())
            .prop_map(|((identifier, value), end)| CreateVerification::new(identifier, value, end))
            .prop_map(Step::CreateVerification),
        2 => pair().prop_map(|(identifier, value)| Step::GetVerification(identifier, value)),
        2 => part_of_a_pair().prop_map(Step::GetVerificationByIdentifier),
        2 => part_of_a_pair().prop_map(Step::GetVerificationByValue),
        4 => pair().prop_map(|(identifier, value)| Step::ConsumeVerification(identifier, value)),
        2 => part_of_a_pair().prop_map(Step::ConsumeVerificationByIdentifier),
        1 => part_of_a_pair().prop_map(Step::DeleteVerificationsByIdentifier),
        6 => (pair(), 0_u32..4).prop_map(|((identifier, value), max)| Step::CheckCode(identifier, value, max)),
        4 => (pair(), end())
            .prop_map(|((identifier, value), end)| Step::ReserveVerification(identifier, value, end)),
        1 => made().prop_map(Step::DeleteVerification),
        1 => Just(Step::DeleteExpiredVerifications),
    ]
    .boxed()
}

fn transaction_step() -> BoxedStrategy<Step> {
    prop_oneof![
        4 => Just(Step::Begin),
        2 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::DropTransaction),
        1 => Just(Step::CleanUp),
    ]
    .boxed()
}

/// Creates a user with a row of each kind.
fn rows_of(user: &str) -> [Step; 4] {
    let end = time("2999-01-01T00:00:00Z");
    [
        Step::CreateUser(CreateUser::new().with_id(user)),
        Step::CreateSession(CreateSession::new(user, end)),
        Step::CreateAccount(CreateAccount::new(user, "a", user)),
        Step::CreateVerification(CreateVerification::new("a", "a", end)),
    ]
}

/// Sequences of so many steps: of all kinds, or mostly of one, so that what they make meets again.
pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<(Place, Step)>> {
    let sequence = move |users, sessions, accounts, verifications, transactions| {
        let step = prop_oneof![
            users => user_step(),
            sessions => session_step(),
            accounts => account_step(),
            verifications => verification_step(),
            transactions => transaction_step(),
        ];
        prop::collection::vec(step, count)
    };
    let steps = prop_oneof![
        2 => sequence(6, 4, 3, 4, 2),
        2 => sequence(6, 4, 3, 4, 8),
        1 => sequence(20, 1, 1, 1, 6),
        1 => sequence(4, 16, 1, 1, 6),
        1 => sequence(4, 1, 16, 1, 6),
        1 => sequence(1, 1, 1, 20, 6),
    ];
    // In one sequence more of the steps run outside than in another. Drawn apart from the steps, so that shrinking one
    // leaves the other as it is.
    let places = prop::collection::vec((0_u32..7, 0..TRANSACTIONS), count);
    (1..=TRANSACTIONS, 0_u32..4, places, steps).prop_map(
        |(transactions, outside, places, steps)| {
            let place = |(chance, number)| {
                if chance < outside {
                    Place::Outside
                } else {
                    Place::Inside(number % transactions)
                }
            };
            let mut sequence = Vec::new();
            // One transaction begins where the sequence says. Several begin at once, and meet at the same rows.
            if transactions > 1 {
                let outside = |step| (Place::Outside, step);
                sequence.extend(USERS.into_iter().flat_map(rows_of).map(outside));
                let begin = |number| (Place::Inside(number), Step::Begin);
                sequence.extend((0..transactions).map(begin));
            }
            sequence.extend(places.into_iter().map(place).zip(steps));
            sequence
        },
    )
}
