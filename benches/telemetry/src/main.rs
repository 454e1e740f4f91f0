//! What the features `tracing` and `metrics` cost: builds of the crate with and without them take turns in one process.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

#[allow(dead_code, reason = "of the other benchmarks")]
#[path = "../../peers/src/data.rs"]
mod data;
#[path = "../../peers/src/facts.rs"]
mod facts;
#[allow(dead_code, reason = "of the other benchmarks")]
#[path = "../../peers/src/load.rs"]
mod load;
#[path = "../../peers/src/options.rs"]
mod options;
#[allow(dead_code, reason = "of the other benchmarks")]
#[path = "../../peers/src/report.rs"]
mod report;
#[allow(dead_code, reason = "of the other benchmarks")]
#[path = "../../peers/src/server.rs"]
mod server;

use data::{Size, create_ours, pick, token};
use load::{Contender, Plan, Round, Tasks, alternate};
use metrics_exporter_prometheus::PrometheusBuilder;
use options::Options;
use report::{callers, count, median, spread, table, thousands};
use tracing_subscriber::fmt::format::FmtSpan;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const DATABASE: &str = "telemetry";
const CALLERS: [usize; 2] = [1, 256];

/// Session checks by a build of the crate.
macro_rules! checks {
    ($library:ident, $server:expr, $size:expr) => {{
        use $library::adapters::{DatabaseAdapter as _, SqlxAdapter};
        let database = SqlxAdapter::new(&$server.url(DATABASE)).await?;
        let sessions = $size.sessions;
        Tasks::new(move |random| {
            let database = database.clone();
            async move {
                let token = token(pick(random, sessions));
                let found = database.get_session_with_user(&token).await.unwrap();
                assert_eq!(found.unwrap().0.token, token);
            }
        })
    }};
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let mut options = Options::parse(std::env::args().skip(1))?;
    let output: PathBuf = options.take("output", "docs/performance".into())?;
    let size = Size::of_sessions(options.take("sessions", 100_000)?);
    let plan = Plan {
        rounds: options.take("rounds", 15)?,
        length: Duration::from_secs_f64(options.take("seconds", 1.0)?),
    };
    options.finish()?;
    let server = server::Server::of_environment()?;
    let facts = facts::facts(&server).await?;
    create_ours(&server, DATABASE, size).await?.close().await;

    let plain = checks!(better_auth, server, size);
    let traced = checks!(better_auth_traced, server, size);
    let mut rows = Vec::new();
    measure("`tracing`, no subscriber", &plain, &traced, plan, &mut rows).await?;
    // An adapter keeps to the recorder that it finds.
    metrics::set_global_recorder(PrometheusBuilder::new().build_recorder())?;
    let measured = checks!(better_auth_measured, server, size);
    let what = "`metrics`, Prometheus recorder";
    measure(what, &plain, &measured, plan, &mut rows).await?;
    // Last, as it stays: each span is formatted when it closes, and written nowhere.
    tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .with_max_level(tracing::Level::INFO)
        .with_writer(io::sink)
        .init();
    let what = "`tracing`, each span formatted";
    measure(what, &plain, &traced, plan, &mut rows).await?;

    let header = ["build", "callers", "without", "with", "ratio", "from – to"];
    let text = format!(
        "<!-- Written by `just bench-telemetry`; not to be edited. -->\n\n\
         # What spans and metrics cost\n\n\
         `get_session_with_user`, {} sessions. Builds of this crate with the feature and without any, in one process. Medians of \
         {} rounds of {:?}, in which both take turns; ratios are those of the same turn.\n\n{facts}\n{}",
        count(size.sessions),
        plan.rounds,
        plan.length,
        table(2, &header, &rows),
    );
    println!("{text}");
    std::fs::create_dir_all(&output)?;
    std::fs::write(output.join("telemetry.md"), text)?;
    Ok(())
}

async fn measure(
    what: &str,
    plain: &dyn Contender,
    observed: &dyn Contender,
    plan: Plan,
    rows: &mut Vec<Vec<String>>,
) -> Result<()> {
    for number in CALLERS {
        eprintln!("{what}, {}", callers(number));
        let rounds = alternate(&[plain, observed], number, plan).await?;
        let [plain, observed] = &rounds[..] else {
            return Err("two contenders have two lists of rounds".into());
        };
        let values = |rounds: &[Round]| -> Vec<f64> {
            rounds.iter().map(|round| round.per_second).collect()
        };
        let (plain, observed) = (values(plain), values(observed));
        let ratios: Vec<f64> = observed.iter().zip(&plain).map(|(a, b)| a / b).collect();
        let (lowest, highest) = spread(&ratios);
        rows.push(vec![
            what.to_owned(),
            number.to_string(),
            format!("{}/s", thousands(median(&plain))),
            format!("{}/s", thousands(median(&observed))),
            format!("{:.2}×", median(&ratios)),
            format!("{lowest:.2} – {highest:.2}"),
        ]);
    }
    Ok(())
}
