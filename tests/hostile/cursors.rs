//! Whatever is given as a cursor, a list refuses it or goes on at a place of its own: no user is skipped or repeated.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::types::{ListUsers, User, UserOrder};
use better_auth::{AuthError, CreateUser};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use sqlx::PgPool;

use crate::plain;
use crate::support::execute;
use crate::support::hostile;
use crate::support::seed::{Seed, announce};

const USERS: usize = 40;

/// A cursor, and the position in it where the test has made it from one.
#[derive(Clone, Debug)]
enum Cursor {
    Any(String),
    Position(i64, String),
    /// One of those that the lists give, changed.
    Changed(usize, Change),
}

#[derive(Clone, Debug)]
enum Change {
    None,
    Byte(usize, u8),
    Cut(usize),
    Append(String),
    LowerCase,
    Twice,
}

/// Cursors count as PostgreSQL does, from 2000 on.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

fn cursor() -> impl Strategy<Value = Cursor> {
    let near =
        DateTime::<Utc>::from(std::time::SystemTime::now()).timestamp_micros() - EPOCH_MICROS;
    let micros = prop_oneof![
        any::<i64>(),
        near - 1_000_000..near + 1_000_000,
        prop::sample::select(vec![
            i64::MAX,
            i64::MAX - 1,
            i64::MIN,
            i64::MIN + 1,
            0,
            -1,
            // The first microsecond that PostgreSQL stores, and the one before.
            -211_813_488_000_000_000,
            -211_813_488_000_000_001,
            // The last one, and the one after.
            9_223_371_331_199_999_999,
            9_223_371_331_200_000_000,
            DateTime::<Utc>::MAX_UTC.timestamp_micros() - EPOCH_MICROS,
        ]),
    ];
    let change = prop_oneof![
        Just(Change::None),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        any::<usize>().prop_map(Change::Cut),
        prop_oneof![Just("=".to_owned()), Just("A".to_owned()), hostile::text()]
            .prop_map(Change::Append),
        Just(Change::LowerCase),
        Just(Change::Twice),
    ];
    prop_oneof![
        1 => hostile::text().prop_map(Cursor::Any),
        1 => "[A-Za-z0-9_-]{0,60}".prop_map(Cursor::Any),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| Cursor::Any(URL_SAFE_NO_PAD.encode(bytes))),
        3 => (micros, hostile::text()).prop_map(|(micros, id)| Cursor::Position(micros, id)),
        4 => (0..USERS, change).prop_map(|(user, change)| Cursor::Changed(user, change)),
    ]
}

/// As cursors and these tests order users.
fn position(user: &User) -> (i64, String) {
    let micros = match user.created_at {
        time if time == DateTime::<Utc>::MAX_UTC => i64::MAX,
        time if time == DateTime::<Utc>::MIN_UTC => i64::MIN,
        time => time.timestamp_micros() - EPOCH_MICROS,
    };
    (micros, user.id.clone())
}

fn encode(micros: i64, id: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([&micros.to_be_bytes(), id].concat())
}

impl Cursor {
    fn text(&self, users: &[User]) -> String {
        let (user, change) = match self {
            Self::Any(text) => return text.clone(),
            Self::Position(micros, id) => return encode(*micros, id.as_bytes()),
            Self::Changed(user, change) => (&users[*user], change),
        };
        let (micros, id) = position(user);
        let text = encode(micros, id.as_bytes());
        match change {
            Change::None => text,
            Change::Byte(at, byte) => {
                let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
                let at = at % bytes.len();
                bytes[at] = *byte;
                URL_SAFE_NO_PAD.encode(bytes)
            }
            Change::Cut(at) => text[..at % text.len()].to_owned(),
            Change::Append(more) => text + more,
            Change::LowerCase => text.to_lowercase(),
            Change::Twice => text.repeat(2),
        }
    }

    /// Where in the list the page must begin, if that is known.
    fn begin(&self, users: &[User], order: UserOrder) -> Option<usize> {
        let cursor = match self {
            Self::Position(micros, id) => (*micros, id.clone()),
            Self::Changed(user, Change::None) => position(&users[*user]),
            _ => return None,
        };
        let behind = |user: &User| match order {
            UserOrder::NewestFirst => position(user) < cursor,
            _ => position(user) > cursor,
        };
        Some(users.iter().take_while(|user| !behind(user)).count())
    }
}

async fn check(
    database: &dyn DatabaseAdapter,
    order: UserOrder,
    limit: u32,
    cursor: &Cursor,
) -> Result<bool, TestCaseError> {
    let all = ListUsers::new().with_order(order).with_limit(1000);
    let all = database.list_users(all).await.unwrap().users;
    let mut query = ListUsers::new().with_order(order).with_limit(limit);
    query.cursor = Some(cursor.text(&all));
    let mut found = Vec::new();
    while query.cursor.is_some() {
        match database.list_users(query.clone()).await {
            Ok(page) => {
                found.extend(page.users);
                query.cursor = page.next_cursor;
            }
            Err(AuthError::Validation {
                field: "cursor", ..
            }) if found.is_empty() => {
                prop_assert!(!matches!(cursor, Cursor::Changed(_, Change::None)));
                return Ok(false);
            }
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }
    prop_assert!(all.ends_with(&found), "users were skipped or repeated");
    if let Some(begin) = cursor.begin(&all, order) {
        prop_assert_eq!(all.len() - begin, found.len(), "the page begins elsewhere");
    }
    Ok(true)
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn any_cursor_is_refused_or_a_place_in_the_list(pool: PgPool) {
    let (memory, postgres) = (MemoryDatabaseAdapter::new(), plain(&pool).await);
    let mut ids: Vec<String> = hostile::corpus()
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    ids.retain(|id| id.len() < 256 && !id.contains('\0'));
    ids.truncate(USERS);
    for id in ids {
        let user = CreateUser::new().with_id(id);
        memory.create_user(user.clone()).await.unwrap();
        postgres.create_user(user).await.unwrap();
    }
    // Many at once, and at the ends of the time.
    for (time, count) in [
        ("now()", 20),
        ("'infinity'", 3),
        ("'-infinity'", 3),
        ("'4714-11-24 BC'", 2),
    ] {
        let some = format!(
            "SELECT id FROM users WHERE isfinite(created_at) ORDER BY md5(id) LIMIT {count}"
        );
        execute(
            &pool,
            &format!("UPDATE users SET created_at = {time} WHERE id IN ({some})"),
        )
        .await;
    }
    let seed = Seed::of_environment("HOSTILE_SEED");
    announce(format_args!("HOSTILE_SEED={seed}"));
    let runtime = tokio::runtime::Handle::current();
    let tried = tokio::task::spawn_blocking(move || {
        let orders = prop::sample::select(vec![UserOrder::NewestFirst, UserOrder::OldestFirst]);
        let limits = prop_oneof![1_u32..10, Just(1000)];
        let valid = std::cell::Cell::new(0);
        let outcome =
            seed.runner(400)
                .run(&(orders, limits, cursor()), |(order, limit, cursor)| {
                    for database in [&memory as &dyn DatabaseAdapter, &postgres] {
                        let accepted = runtime.block_on(check(database, order, limit, &cursor))?;
                        valid.set(valid.get() + usize::from(accepted));
                    }
                    Ok(())
                });
        outcome
            .map(|()| valid.get())
            .map_err(|error| error.to_string())
    });
    let valid = tried
        .await
        .unwrap()
        .unwrap_or_else(|error| panic!("HOSTILE_SEED={seed}\n{error}"));
    assert!((100..800).contains(&valid), "{valid} of 800 were accepted");
}
