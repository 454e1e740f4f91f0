//! The table of targets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use better_auth_core_09 as peer;
use plotters::prelude::SeriesLabelPosition;

use crate::Result;
use crate::chart::{Chart, Series};
use crate::contenders::{direct, our_sign_ins, ours, peers, peers_sign_ins, pipelined};
use crate::data::{Size, create_ours, create_peers};
use crate::facts::facts;
use crate::load::{Contender, Plan, Round, Tasks, alternate};
use crate::memory;
use crate::options::Options;
use crate::pgbench::Pgbench;
use crate::report::Target::{AtLeast, AtMost};
use crate::report::{
    Comparison, Measure, Target, callers, count, median_of, spread, table, thousands,
};
use crate::server::Server;

const CURVE: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// Those who look up sessions, in the order in which they take turns; then whoever is there for one row.
const NAMES: [&str; 3] = [
    "better-auth (this crate)",
    "better-auth 0.9: two statements",
    "tokio-postgres: 10 pipelined connections",
];
const PEER: &str = "better-auth 0.9's `SqlxAdapter`, `get_session` + `get_user_by_id`";
const PIPELINED: &str = "tokio-postgres, the same join, 10 pipelined connections";
const PGBENCH: &str = "pgbench `-M prepared`, the same join, the best of 1, 8, 64 clients";
const DIRECT: &str = "the same join by sqlx on a held connection";
const PEERS_MEMORY: &str = "better-auth 0.9's memory adapter";

/// The rows of the table so far.
#[derive(Default)]
struct Rows {
    comparisons: Vec<Vec<String>>,
    latencies: Vec<Vec<String>>,
    curve: Vec<Vec<f64>>,
}

pub async fn run(server: &Server, mut options: Options, output: &Path) -> Result<()> {
    let size = Size::of_sessions(options.take("sessions", 500_000)?);
    let plan = Plan {
        rounds: options.take("rounds", 7)?,
        length: Duration::from_secs_f64(options.take("seconds", 2.0)?),
    };
    options.finish()?;
    let facts = facts(server).await?;
    let ours = create_ours(server, "ours", size).await?;
    create_peers(server, "peers", size).await?;
    let peers = Arc::new(peer::SqlxAdapter::new(&server.url("peers")).await?);

    let mut rows = Rows::default();
    let lookups = Lookups {
        shared: [
            self::ours(ours.clone(), size),
            self::peers(peers.clone(), size),
            pipelined(server, "ours", size).await?,
        ],
        direct: direct(server, "ours", size).await?,
        pgbench: Pgbench::new(server, "ours", size, &std::env::temp_dir())?,
    };
    compare_lookups(&lookups, plan, &mut rows).await?;
    trace_curve(&lookups, plan, &mut rows).await?;
    let sign_ins = [our_sign_ins(ours, size), peers_sign_ins(peers, size)];
    compare_sign_ins(&sign_ins, plan, &mut rows).await?;
    compare_memory(plan, &mut rows).await?;

    let text = markdown(&facts, size, plan, &rows);
    println!("{text}");
    std::fs::write(output.join("table.md"), text)?;
    draw_curve(&output.join("throughput.svg"), size, &rows)
}

struct Lookups {
    shared: [Tasks; 3],
    direct: Tasks,
    pgbench: Pgbench,
}

async fn compare_lookups(lookups: &Lookups, plan: Plan, rows: &mut Rows) -> Result<()> {
    for (callers, against_peer) in [(1, 2.5), (8, 2.5), (64, 5.0), (256, 7.0)] {
        let mut contenders: Vec<&dyn Contender> =
            lookups.shared.each_ref().map(|of| of as _).into();
        match callers {
            1 => contenders.push(&lookups.direct),
            256 => contenders.push(&lookups.pgbench),
            _ => {}
        }
        eprintln!("get_session_with_user, {}", self::callers(callers));
        let rounds = alternate(&contenders, callers, plan).await?;
        let mut compare = |other: usize, against, measure, target| {
            let comparison = Comparison {
                what: lookup_by(callers, measure),
                against,
                measure,
                target,
            };
            let row = comparison.row(&rounds[0], &rounds[other]);
            rows.comparisons.push(row);
        };
        compare(1, PEER, Measure::PerSecond, AtLeast(against_peer));
        match callers {
            1 => compare(3, DIRECT, Measure::P99, AtMost(1.2)),
            64 => compare(2, PIPELINED, Measure::PerSecond, AtLeast(1.1)),
            256 => {
                compare(2, PIPELINED, Measure::PerSecond, AtLeast(1.7));
                compare(3, PGBENCH, Measure::PerSecond, AtLeast(2.0));
            }
            _ => {}
        }
        rows.latencies.extend(latencies(callers, &rounds));
    }
    Ok(())
}

fn lookup_by(callers: usize, measure: Measure) -> String {
    let callers = self::callers(callers);
    let latency = match measure {
        Measure::PerSecond => "",
        Measure::P99 => ", p99 latency",
    };
    format!("`get_session_with_user`, {callers}{latency}")
}

fn latencies(callers: usize, rounds: &[Vec<Round>]) -> Vec<Vec<String>> {
    let rows = NAMES.iter().zip(rounds).map(|(name, rounds)| {
        let quantile = |share| median_of(rounds, |round| round.latencies.quantile(share));
        vec![
            (*name).to_owned(),
            callers.to_string(),
            thousands(quantile(0.5)),
            thousands(quantile(0.99)),
        ]
    });
    rows.collect()
}

/// Shorter than the rows of the table, as it shows a shape.
async fn trace_curve(lookups: &Lookups, plan: Plan, rows: &mut Rows) -> Result<()> {
    let plan = Plan {
        rounds: plan.rounds.min(3),
        length: plan.length / 2,
    };
    for callers in CURVE {
        eprintln!("throughput, {}", self::callers(callers));
        let contenders = lookups.shared.each_ref().map(|of| of as &dyn Contender);
        let rounds = alternate(&contenders, callers, plan).await?;
        let medians = rounds
            .iter()
            .map(|rounds| median_of(rounds, |round| round.per_second));
        rows.curve.push(medians.collect());
    }
    Ok(())
}

async fn compare_sign_ins([ours, peers]: &[Tasks; 2], plan: Plan, rows: &mut Rows) -> Result<()> {
    eprintln!("create_session");
    let rounds = alternate(&[ours, peers], 64, plan).await?;
    let comparison = Comparison {
        what: "`create_session`, 64 callers, `synchronous_commit = off`".to_owned(),
        against: "better-auth 0.9's",
        measure: Measure::PerSecond,
        target: AtLeast(1.3),
    };
    rows.comparisons
        .push(comparison.row(&rounds[0], &rounds[1]));
    Ok(())
}

async fn compare_memory(plan: Plan, rows: &mut Rows) -> Result<()> {
    eprintln!("memory");
    let stores = memory::Stores::filled().await?;
    let mut add = |what: &str, against, target: Target, ours: &[Round], theirs: &[Round]| {
        let comparison = Comparison {
            what: what.to_owned(),
            against,
            measure: Measure::PerSecond,
            target,
        };
        rows.comparisons.push(comparison.row(ours, theirs));
    };

    let what = "memory `get_session`, 2 threads";
    let ours = memory::our_get_session(&stores);
    let peers = memory::peers_get_session(&stores);
    let map = memory::map_get(&stores);
    let rounds = alternate(&[&ours, &peers, &map], 2, plan).await?;
    add(what, PEERS_MEMORY, AtLeast(2.0), &rounds[0], &rounds[1]);
    let bare = "bare `DashMap` get + clone";
    add(what, bare, AtLeast(0.85), &rounds[0], &rounds[2]);

    let what = "memory `get_user_sessions`, 100,000 sessions, 10 each, 1 thread";
    let ours = memory::our_get_user_sessions(&stores);
    let peers = memory::peers_get_user_sessions(&stores);
    let rounds = alternate(&[&ours, &peers], 1, plan).await?;
    add(what, PEERS_MEMORY, AtLeast(200.0), &rounds[0], &rounds[1]);
    Ok(())
}

fn markdown(facts: &str, size: Size, plan: Plan, rows: &Rows) -> String {
    let Plan { rounds, length } = plan;
    let [sessions, users] = [size.sessions, size.users].map(count);
    let comparisons = table(2, &Comparison::HEADER, &rows.comparisons);
    let latencies = table(
        1,
        &["who", "callers", "p50, µs", "p99, µs"],
        &rows.latencies,
    );
    let curve: Vec<_> = CURVE
        .iter()
        .zip(&rows.curve)
        .map(|(callers, medians)| {
            let medians = medians.iter().map(|median| thousands(*median));
            std::iter::once(callers.to_string())
                .chain(medians)
                .collect()
        })
        .collect();
    let curve = table(0, &[&["callers"], &NAMES[..]].concat(), &curve);
    format!(
        "<!-- Written by `just bench`; not to be edited. -->\n\n\
         # Beside its peers\n\n\
         {sessions} sessions of {users} users. Medians of {rounds} rounds of {length:?}, in which the contenders take \
         turns. Each ratio is that of two rounds of the same turn; behind its median stand the lowest and the highest.\n\n\
         {facts}\n{comparisons}\n\
         ## Latency of a session with its user\n\n{latencies}\n\
         ## Sessions with their users per second\n\n{curve}\n\
         ![The same as a plot](throughput.svg)\n"
    )
}

fn draw_curve(path: &Path, size: Size, rows: &Rows) -> Result<()> {
    let points = |who: usize| {
        let points = CURVE.iter().zip(&rows.curve);
        points.map(move |(callers, medians)| (*callers as f64, medians[who]))
    };
    let series = NAMES.iter().enumerate().map(|(who, name)| Series {
        name: (*name).to_owned(),
        points: points(who).collect(),
    });
    let (_, highest) = spread(&rows.curve.concat());
    let caption = format!("A session with its user, out of {}", count(size.sessions));
    let chart = Chart {
        columns: 1,
        rows: 1,
        panel_size: (760, 460),
        x: "callers at once",
        y: "lookups per second",
        x_label: |callers| thousands(*callers),
        y_label: |lookups| thousands(*lookups),
        // Room for the legend.
        highest: highest * 1.25,
        limit: None,
        legend: SeriesLabelPosition::UpperLeft,
        panels: vec![(caption, series.collect())],
    };
    chart.draw(path)
}
