//! The adapter on a pool that the application uses too, and one caller's lookups by where they run.

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use better_auth::adapters::{SqlxAdapter, SqlxAdapterBuilder};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::Result;
use crate::contenders::{check, direct, lookup_sql, of_sqlx, ours};
use crate::data::{Size, create_ours, digest, pick, token, user_id};
use crate::facts::facts;
use crate::load::{Contender, Latencies, Plan, Round, Tasks, alternate, caller, per_second};
use crate::options::Options;
use crate::report::Target::AtLeast;
use crate::report::{Comparison, Measure, count, median_of, table, thousands};
use crate::server::Server;

const NAME: &str = "shared";
const CALLERS: usize = 8;

pub async fn run(server: &Server, mut options: Options, output: &Path) -> Result<()> {
    let size = Size::of_sessions(options.take("sessions", 500_000)?);
    let plan = Plan {
        rounds: options.take("rounds", 7)?,
        length: Duration::from_secs_f64(options.take("seconds", 2.0)?),
    };
    options.finish()?;
    let facts = facts(server).await?;
    let database = create_ours(server, NAME, size).await?;
    let mut comparisons = Vec::new();
    for connections in [1, 2, 10] {
        eprintln!("a shared pool of {connections}");
        let options = PgPoolOptions::new().max_connections(connections);
        let pool = options.connect(&server.url(NAME)).await?;
        comparisons.extend(compare(&pool, size, plan).await?);
        pool.close().await;
    }
    eprintln!("one caller");
    let places = places(
        &ours(database, size),
        &direct(server, NAME, size).await?,
        plan,
    )
    .await?;
    let text = markdown(&facts, size, plan, &comparisons, &places);
    println!("{text}");
    std::fs::write(output.join("shared.md"), text)?;
    Ok(())
}

/// Requests that check a session and run one statement of the application's, both on one pool.
async fn compare(pool: &PgPool, size: Size, plan: Plan) -> Result<Vec<Vec<String>>> {
    let by_hand = by_hand(pool, size)?;
    let adapter = SqlxAdapter::from_pool(pool.clone());
    let resetting = SqlxAdapterBuilder::from_pool(pool.clone())
        .pool_resets_connections(true)
        .connect()
        .await?;
    let requests = [
        request(by_hand.clone(), pool, size),
        request(ours(adapter, size), pool, size),
        request(ours(resetting, size), pool, size),
    ];
    let per_request = {
        let pool = pool.clone();
        Tasks::new(move |random| {
            let call = ours(SqlxAdapter::from_pool(pool.clone()), size);
            async move { call.call(random).await }
        })
    };
    let requests = requests.each_ref().map(|of| of as &dyn Contender);
    let requests = alternate(&requests, CALLERS, plan).await?;
    let lookups = alternate(&[&by_hand, &per_request], CALLERS, plan).await?;
    let connections = pool.options().get_max_connections();
    let row = |what: &str, ours: &[Round], theirs: &[Round]| {
        let comparison = Comparison {
            what: format!("{what}, pool of {connections}"),
            against: "the same by hand",
            measure: Measure::PerSecond,
            target: AtLeast(0.8),
        };
        comparison.row(ours, theirs)
    };
    Ok(vec![
        row(
            "a session check and a statement of the application's",
            &requests[1],
            &requests[0],
        ),
        row(
            "the same, `pool_resets_connections`",
            &requests[2],
            &requests[0],
        ),
        row(
            "session checks, an adapter for each",
            &lookups[1],
            &lookups[0],
        ),
    ])
}

/// The statement of a session check, on a connection of the pool.
fn by_hand(pool: &PgPool, size: Size) -> Result<Tasks> {
    let (pool, sql) = (pool.clone(), AssertSqlSafe(lookup_sql()?).into_sql_str());
    Ok(Tasks::new(move |random| {
        let (pool, sql): (_, SqlStr) = (pool.clone(), sql.clone());
        async move {
            let session = pick(random, size.sessions);
            let token = token(session);
            let mut connection = pool.acquire().await.unwrap();
            let row = sqlx::query(sql).bind(&token).bind(digest(session));
            let row = row.fetch_one(&mut *connection).await.unwrap();
            check(&of_sqlx(&row), &token);
        }
    }))
}

fn request(session_check: Tasks, pool: &PgPool, size: Size) -> Tasks {
    let pool = pool.clone();
    Tasks::new(move |random| {
        let (session_check, pool) = (session_check.clone(), pool.clone());
        async move {
            session_check.call(random).await;
            let id = user_id(pick(random, size.users));
            let name = sqlx::query_scalar::<_, String>("SELECT name FROM users WHERE id = $1");
            name.bind(id).fetch_one(&pool).await.unwrap();
        }
    })
}

/// Calls on the thread that blocks on the runtime, not in a task.
struct Blocking<'a>(&'a Tasks);

#[async_trait]
impl Contender for Blocking<'_> {
    async fn round(&self, _: usize, length: Duration) -> Result<Round> {
        let begin = Instant::now() + length / 10;
        let all = caller(self.0.clone(), begin, begin + length).await;
        Ok(Round {
            per_second: per_second(all.len() as u64, length),
            latencies: Latencies::of(all),
        })
    }
}

async fn places(ours: &Tasks, direct: &Tasks, plan: Plan) -> Result<Vec<Vec<String>>> {
    let contenders: [&dyn Contender; 4] = [ours, &Blocking(ours), direct, &Blocking(direct)];
    let rounds = alternate(&contenders, 1, plan).await?;
    let figures: Vec<String> = rounds
        .iter()
        .map(|rounds| thousands(median_of(rounds, |round| round.per_second)))
        .collect();
    let [ours, ours_blocking, direct, direct_blocking] = &figures[..] else {
        return Err("four contenders have four figures".into());
    };
    Ok(vec![
        vec![
            "the adapter".to_owned(),
            ours.clone(),
            ours_blocking.clone(),
        ],
        vec![
            "sqlx on a held connection".to_owned(),
            direct.clone(),
            direct_blocking.clone(),
        ],
    ])
}

fn markdown(
    facts: &str,
    size: Size,
    plan: Plan,
    comparisons: &[Vec<String>],
    places: &[Vec<String>],
) -> String {
    let Plan { rounds, length } = plan;
    let sessions = count(size.sessions);
    let comparisons = table(2, &Comparison::HEADER, comparisons);
    let places = table(1, &["who", "in a task", "in `block_on`"], places);
    format!(
        "<!-- Written by `just bench-shared`; not to be edited. -->\n\n\
         # On a pool of the application's\n\n\
         {sessions} sessions, {CALLERS} callers. A request checks a session, by `from_pool` or by hand, and then runs \
         one statement on the same pool. Medians of {rounds} rounds of {length:?}, in which the contenders take turns.\n\n\
         {facts}\n{comparisons}\n\
         ## One caller, by where it runs\n\n\
         Sessions with their users per second, on a runtime of two threads.\n\n{places}\n"
    )
}
