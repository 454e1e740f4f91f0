//! What counting costs: `use_key` and `take` beside plain lookups and a plain write, and what is written.

use std::path::Path;
use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter as _, SqlxAdapter, Store};
use better_auth::types::ApiKeyUse;
use chrono::{DateTime, TimeDelta, Utc};

use crate::Result;
use crate::contenders::ours;
use crate::data::{Size, create_ours, insert, pick, token, user_id};
use crate::facts::facts;
use crate::load::{Contender, Plan, Round, Tasks, alternate};
use crate::options::Options;
use crate::report::{Measure, callers, count, median, spread, table, thousands};
use crate::server::{Server, execute};

const DATABASE: &str = "credentials";
const CALLERS: usize = 64;
const HOUR: Duration = Duration::from_hours(1);
const KEY_ID_PREFIX: &str = "01990000-0000-7000-c000-";

/// The API keys of a kind, of which each is used as often as the others.
#[derive(Clone, Copy)]
enum Keys {
    /// Used within this minute, and with neither quota nor rate limit.
    Plain,
    /// With a quota that is never used up.
    Quota,
}

impl Keys {
    fn prefix(self) -> &'static str {
        match self {
            Self::Plain => "plain_",
            Self::Quota => "quota_",
        }
    }

    fn key(self, number: u64) -> String {
        format!("{}{number:032}", self.prefix())
    }
}

pub async fn run(server: &Server, mut options: Options, output: &Path) -> Result<()> {
    let size = Size::of_sessions(options.take("sessions", 100_000)?);
    let keys = options.take("keys", 100_000)?;
    let plan = Plan {
        rounds: options.take("rounds", 9)?,
        length: Duration::from_secs_f64(options.take("seconds", 1.0)?),
    };
    options.finish()?;
    let facts = facts(server).await?;
    let database = create(server, size, keys).await?;
    let rows = measure(&database, size, keys, plan).await?;
    database.close().await;
    let written = [
        written(server, "the same key, used within this minute", keys, 1).await?,
        written(
            server,
            "1,000 keys, each used for the first time",
            keys,
            1000,
        )
        .await?,
    ];
    let header = [
        "what",
        "per second",
        "p99, µs",
        "of `get_session_with_user`",
        "of `get_api_key`",
        "of a plain write",
    ];
    let text = format!(
        "<!-- Written by `just bench-credentials`; not to be edited. -->\n\n\
         # API keys and rate limits\n\n\
         {} callers; {} API keys of each kind, {} sessions. Medians of {} rounds of {:?}, in which all take turns. Each ratio is \
         that of two rounds of the same turn; behind its median stand the lowest and the highest. A plain write is \
         `update_session_expiry`. `get_session_with_user` answers many callers by one statement, which nothing that counts \
         can.\n\n{facts}\n{}\n\
         ## What is written\n\n\
         Rows that were updated in `api_keys`, by `pg_stat_user_tables`, while {} callers used keys that have neither quota nor \
         rate limit. Such a key is written once a minute at most.\n\n{}\n\
         Each method takes one round trip, whatever is wrong with the key that is presented (counted by \
         `credential_costs::each_method_of_the_stores_takes_one_round_trip`).\n",
        callers(CALLERS).trim_end_matches(" callers"),
        count(keys),
        count(size.sessions),
        plan.rounds,
        plan.length,
        table(1, &header, &rows),
        CALLERS,
        table(
            1,
            &["keys", "accepted uses", "rows updated", "for each use"],
            &written
        ),
    );
    println!("{text}");
    std::fs::write(output.join("credentials.md"), text)?;
    Ok(())
}

async fn connect(server: &Server) -> Result<SqlxAdapter> {
    let stores = [Store::ApiKeys, Store::RateLimits];
    let builder = SqlxAdapter::builder(&server.url(DATABASE)).stores(stores);
    Ok(builder.migrate(true).connect().await?)
}

/// Sessions, so many API keys of each kind, spread over the users, and so many rate limits.
async fn create(server: &Server, size: Size, keys: u64) -> Result<SqlxAdapter> {
    create_ours(server, DATABASE, size).await?.close().await;
    let database = connect(server).await?;
    let kinds = [(Keys::Plain, "NULL", 0), (Keys::Quota, "2000000000", 1)];
    let [plain, quota] = kinds.map(|(kind, remaining, number)| {
        let user = user_id(0);
        let user = &user[..user.len() - 12];
        let (prefix, users) = (kind.prefix(), size.users);
        format!(
            "INSERT INTO api_keys (id, key, user_id, remaining, last_request, created_at, updated_at) \
             SELECT '{KEY_ID_PREFIX}' || {number} || lpad(to_hex(i), 11, '0'), \
             translate(rtrim(encode(sha256(convert_to('{prefix}' || lpad(i::text, 32, '0'), 'UTF8')), 'base64'), '='), \
             '+/', '-_'), \
             '{user}' || lpad(to_hex(i % {users}), 12, '0'), {remaining}, now() + INTERVAL '1 hour', now(), now() \
             FROM generate_series(0, {keys} - 1) i"
        )
    });
    let limits = format!(
        "INSERT INTO rate_limit (key, count, window_started_at, expires_at) \
         SELECT 'sign-in ' || i, 1, now(), now() + INTERVAL '1 hour' FROM generate_series(0, {keys} - 1) i"
    );
    insert(server, DATABASE, [plain, quota, limits]).await?;
    Ok(database)
}

fn in_a_month() -> DateTime<Utc> {
    Utc::now() + TimeDelta::days(30)
}

async fn measure(
    database: &SqlxAdapter,
    size: Size,
    keys: u64,
    plan: Plan,
) -> Result<Vec<Vec<String>>> {
    let limits = database.rate_limits()?;
    // The window that refuses is full.
    limits.take("full", 1, HOUR).await?;
    let contenders = [
        ("`get_session_with_user`", ours(database.clone(), size)),
        ("`get_api_key`", getting(database, keys)),
        ("`update_session_expiry`", extending(database, size)),
        (
            "`use_key` that counts nothing",
            using(database, Keys::Plain, keys),
        ),
        ("`use_key` with a quota", using(database, Keys::Quota, keys)),
        (
            "`use_key` with a quota, all of one key",
            using(database, Keys::Quota, 1),
        ),
        ("`take`", taking(database, keys)),
        ("`take`, all of one key", taking(database, 1)),
        ("`take` of a full window", refused(database)),
        ("`use_key` of an unknown key", unknown(database)),
    ];
    eprintln!("{}", callers(CALLERS));
    let each = contenders
        .each_ref()
        .map(|(_, tasks)| tasks as &dyn Contender);
    let rounds = alternate(&each, CALLERS, plan).await?;
    let [session, key, write, ..] = &rounds[..] else {
        return Err("three contenders are what the others are compared with".into());
    };
    let rows = contenders.iter().zip(&rounds).map(|((what, _), rounds)| {
        let of = |measure: Measure| median(&values(measure, rounds));
        let mut row = vec![
            (*what).to_owned(),
            thousands(of(Measure::PerSecond)),
            thousands(of(Measure::P99)),
        ];
        row.extend([session, key, write].map(|other| ratio(rounds, other)));
        row
    });
    Ok(rows.collect())
}

fn values(measure: Measure, rounds: &[Round]) -> Vec<f64> {
    rounds.iter().map(|round| measure.of(round)).collect()
}

/// Of two rounds of the same turn each.
fn ratio(ours: &[Round], theirs: &[Round]) -> String {
    let (ours, theirs) = (
        values(Measure::PerSecond, ours),
        values(Measure::PerSecond, theirs),
    );
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
    let (lowest, highest) = spread(&ratios);
    format!("{:.2} ({lowest:.2} – {highest:.2})", median(&ratios))
}

fn getting(database: &SqlxAdapter, keys: u64) -> Tasks {
    let database = database.clone();
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let id = format!("{KEY_ID_PREFIX}0{:011x}", pick(random, keys));
            let found = database.api_keys().unwrap().get_api_key(&id).await;
            assert_eq!(found.unwrap().unwrap().id, id);
        }
    })
}

fn extending(database: &SqlxAdapter, size: Size) -> Tasks {
    let database = database.clone();
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let token = token(pick(random, size.sessions));
            let extended = database.update_session_expiry(&token, in_a_month());
            extended.await.unwrap();
        }
    })
}

fn using(database: &SqlxAdapter, kind: Keys, keys: u64) -> Tasks {
    let database = database.clone();
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let key = kind.key(pick(random, keys));
            let used = database.api_keys().unwrap().use_key(&key).await.unwrap();
            assert!(matches!(used, ApiKeyUse::Accepted(_)), "{used:?}");
        }
    })
}

fn unknown(database: &SqlxAdapter) -> Tasks {
    let database = database.clone();
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let key = format!("unknown_{random:032}");
            let used = database.api_keys().unwrap().use_key(&key).await.unwrap();
            assert_eq!(used, ApiKeyUse::NotFound);
        }
    })
}

fn taking(database: &SqlxAdapter, keys: u64) -> Tasks {
    let database = database.clone();
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let key = format!("sign-in {}", pick(random, keys));
            let limits = database.rate_limits().unwrap();
            assert!(limits.take(&key, u32::MAX, HOUR).await.unwrap().allowed);
        }
    })
}

fn refused(database: &SqlxAdapter) -> Tasks {
    let database = database.clone();
    Tasks::new(move |_| {
        let database = database.clone();
        async move {
            let limits = database.rate_limits().unwrap();
            assert!(!limits.take("full", 1, HOUR).await.unwrap().allowed);
        }
    })
}

/// Uses so many of the plain keys, and answers how many rows that has updated. The keys are those from the end.
async fn written(server: &Server, what: &str, keys: u64, of: u64) -> Result<Vec<String>> {
    const USES: u64 = 50_000;
    let mut observer = server.connect(DATABASE).await?;
    let first_time = format!(
        "UPDATE api_keys SET last_request = CASE WHEN {of} = 1 THEN now() END WHERE id >= '{KEY_ID_PREFIX}0' || \
         lpad(to_hex({keys} - {of}), 11, '0') AND id < '{KEY_ID_PREFIX}1'; SELECT pg_stat_force_next_flush()"
    );
    execute(&mut observer, first_time).await?;
    let before = updated(server).await?;
    let database = connect(server).await?;
    let tasks: Vec<_> = (0..CALLERS as u64)
        .map(|caller| {
            let database = database.clone();
            tokio::spawn(async move {
                for number in 0..USES / CALLERS as u64 {
                    let key = Keys::Plain.key(keys - 1 - (caller + number * 7) % of);
                    let used = database.api_keys().unwrap().use_key(&key).await.unwrap();
                    assert!(matches!(used, ApiKeyUse::Accepted(_)), "{used:?}");
                }
            })
        })
        .collect();
    let uses = tasks.len() as u64 * (USES / CALLERS as u64);
    for task in tasks {
        task.await?;
    }
    // A connection that ends says what it has written.
    database.close().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rows = updated(server).await? - before;
    Ok(vec![
        what.to_owned(),
        count(uses),
        rows.to_string(),
        format!("{:.5}", rows as f64 / uses as f64),
    ])
}

async fn updated(server: &Server) -> Result<i64> {
    let mut connection = server.connect(DATABASE).await?;
    let query = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'api_keys'";
    Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)
}
