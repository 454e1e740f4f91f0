//! Session checks that may extend the session, and those with hashed tokens, beside plain session checks.

use std::path::Path;
use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter as _, SessionTokens, SqlxAdapter};

use crate::Result;
use crate::contenders::{check, ours};
use crate::data::{Size, create_ours, pick, token};
use crate::facts::facts;
use crate::load::{Contender, Plan, Tasks, alternate};
use crate::options::Options;
use crate::report::Target::AtLeast;
use crate::report::{Comparison, Measure, callers, count, table};
use crate::server::{Server, execute};

const PLAIN: &str = "plain";
const HASHED: &str = "hashed";
const DAY: Duration = Duration::from_hours(24);
/// Sessions end in 30 days, so none is due.
const LIFETIME: Duration = Duration::from_hours(10 * 24);
/// Round by round, in one run, what is least of the plain check.
const TARGET: f64 = 0.95;

pub async fn run(server: &Server, mut options: Options, output: &Path) -> Result<()> {
    let size = Size::of_sessions(options.take("sessions", 500_000)?);
    let plan = Plan {
        rounds: options.take("rounds", 9)?,
        length: Duration::from_secs_f64(options.take("seconds", 1.5)?),
    };
    options.finish()?;
    let facts = facts(server).await?;
    let unhashed = create_ours(server, PLAIN, size).await?;
    hash_all(server, create_ours(server, HASHED, size).await?).await?;
    let hashing = hashed(server, SessionTokens::Hashing).await?;
    let hashed_only = hashed(server, SessionTokens::HashedOnly).await?;

    let contenders = [
        ours(unhashed.clone(), size),
        refreshing(unhashed, size),
        ours(hashed_only, size),
        ours(hashing, size),
    ];
    let contenders = contenders.each_ref().map(|of| of as &dyn Contender);
    let mut comparisons = Vec::new();
    for number in [1, 8, 64, 256] {
        eprintln!("{}", callers(number));
        let rounds = alternate(&contenders, number, plan).await?;
        let [check, others @ ..] = &rounds[..] else {
            return Err("four contenders have four lists of rounds".into());
        };
        for (what, rounds) in [
            "`refresh_session`, nothing due",
            "`HashedOnly`",
            "`Hashing`",
        ]
        .iter()
        .zip(others)
        {
            let comparison = Comparison {
                what: format!("{what}, {}", callers(number)),
                against: "`get_session_with_user`, `Plain`",
                measure: Measure::PerSecond,
                target: AtLeast(if *what == "`Hashing`" { 0.75 } else { TARGET }),
            };
            comparisons.push(comparison.row(rounds, check));
        }
    }
    let text = format!(
        "<!-- Written by `just bench-sessions`; not to be edited. -->\n\n\
         # Session checks: sliding expiry, and hashed tokens\n\n\
         {} sessions. Medians of {} rounds of {:?}, in which the contenders take turns; ratios are those of the same turn. With \
         `HashedOnly` and `Hashing`, every stored token is a digest.\n\n\
         {facts}\n{}\n",
        count(size.sessions),
        plan.rounds,
        plan.length,
        table(2, &Comparison::HEADER, &comparisons),
    );
    println!("{text}");
    std::fs::write(output.join("session-checks.md"), text)?;
    Ok(())
}

/// Hashes all tokens, and leaves the table as compact as the other one.
async fn hash_all(server: &Server, database: SqlxAdapter) -> Result<()> {
    database.hash_stored_session_tokens().await?;
    database.close().await;
    let mut connection = server.connect(HASHED).await?;
    execute(&mut connection, "VACUUM FULL ANALYZE".into()).await?;
    execute(&mut connection, "VACUUM".into()).await?;
    execute(&mut connection, "CHECKPOINT".into()).await
}

async fn hashed(server: &Server, session_tokens: SessionTokens) -> Result<SqlxAdapter> {
    let builder = SqlxAdapter::builder(&server.url(HASHED)).session_tokens(session_tokens);
    Ok(builder.connect().await?)
}

fn refreshing(database: SqlxAdapter, size: Size) -> Tasks {
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let token = token(pick(random, size.sessions));
            let found = database.refresh_session(&token, LIFETIME, DAY).await;
            check(&found.unwrap().unwrap(), &token);
        }
    })
}
