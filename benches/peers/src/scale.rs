//! What each lookup costs as the tables grow.

use std::path::Path;
use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter as _, SqlxAdapter};
use better_auth::types::ListUsers;
use plotters::prelude::SeriesLabelPosition;

use crate::Result;
use crate::chart::{Chart, Series};
use crate::data::{Size, create_ours, email, pick, token, user_id, verification_value, warm};
use crate::facts::facts;
use crate::load::{Contender, Plan, Tasks, alternate};
use crate::options::Options;
use crate::report::{Target, callers, count, median, spread, table, verdict};
use crate::server::Server;

const CALLERS: [usize; 2] = [1, 64];
const SMALLEST: u64 = 10_000;
const MOST: f64 = 1.5;

/// A lookup at one number of callers: microseconds per answer, by round, by size.
struct Cost {
    name: &'static str,
    callers: usize,
    by_size: Vec<Vec<f64>>,
}

pub async fn run(server: &Server, mut options: Options, output: &Path) -> Result<()> {
    let largest = options.take("sessions", 10_000_000)?;
    let plan = Plan {
        rounds: options.take("rounds", 5)?,
        length: Duration::from_secs_f64(options.take("seconds", 1.0)?),
    };
    options.finish()?;
    let facts = facts(server).await?;
    let sizes: Vec<u64> = std::iter::successors(Some(SMALLEST), |size| Some(size * 10))
        .take_while(|size| *size <= largest)
        .collect();
    let mut by_size = Vec::new();
    for sessions in &sizes {
        let size = Size::of_sessions(*sessions);
        let database = create_ours(server, &name(*sessions), size).await?;
        by_size.push(lookups(&database, size));
    }
    for sessions in &sizes {
        warm(server, &name(*sessions)).await?;
    }
    let costs = measure(&by_size, plan).await?;

    let text = markdown(&facts, &sizes, plan, &costs);
    println!("{text}");
    std::fs::write(output.join("scale.md"), text)?;
    draw(&output.join("scale.svg"), &sizes, &costs)
}

fn name(sessions: u64) -> String {
    format!("of_{sessions}")
}

async fn measure(by_size: &[Vec<(&'static str, Tasks)>], plan: Plan) -> Result<Vec<Cost>> {
    let mut costs = Vec::new();
    for (index, (name, _)) in by_size[0].iter().enumerate() {
        let contenders: Vec<_> = by_size
            .iter()
            .map(|lookups| &lookups[index].1 as &dyn Contender)
            .collect();
        for callers in CALLERS {
            eprintln!("{name}, {}", self::callers(callers));
            let rounds = alternate(&contenders, callers, plan).await?;
            let by_size = rounds.iter().map(|rounds| {
                let costs = rounds.iter().map(|round| 1e6 / round.per_second);
                costs.collect()
            });
            costs.push(Cost {
                name,
                callers,
                by_size: by_size.collect(),
            });
        }
    }
    Ok(costs)
}

/// Calls over the number of a session and that of a user, each with its name and whether its answer is right.
macro_rules! lookups {
    ($adapter:expr, $size:expr; |$database:ident, $session:ident, $user:ident| $($name:literal: $right:expr,)+) => {
        vec![$({
            let (database, size) = ($adapter.clone(), $size);
            let tasks = Tasks::new(move |random| {
                let $database = database.clone();
                #[allow(unused_variables, reason = "a call takes one of them")]
                let ($session, $user) = (pick(random, size.sessions), pick(random, size.users));
                async move { assert!($right, $name) }
            });
            ($name, tasks)
        }),+]
    };
}

/// Every lookup of the trait but `count_users`, which counts, and searches for what a name contains.
fn lookups(database: &SqlxAdapter, size: Size) -> Vec<(&'static str, Tasks)> {
    lookups! { database, size; |database, session, user|
        "get_session": database
            .get_session(&token(session)).await.unwrap().unwrap().token == token(session),
        "get_session_with_user": database
            .get_session_with_user(&token(session)).await.unwrap().unwrap().0.token == token(session),
        "get_user_by_id": database
            .get_user_by_id(&user_id(user)).await.unwrap().unwrap().id == user_id(user),
        "get_user_by_email": database
            .get_user_by_email(&email(user)).await.unwrap().unwrap().id == user_id(user),
        "get_user_by_username": database
            .get_user_by_username(&format!("ada{user}")).await.unwrap().unwrap().id == user_id(user),
        "get_user_sessions": database
            .get_user_sessions(&user_id(user)).await.unwrap().len() == 5,
        "get_account": database
            .get_account("github", &user.to_string()).await.unwrap().unwrap().user_id == user_id(user),
        "get_user_accounts": database
            .get_user_accounts(&user_id(user)).await.unwrap().len() == 1,
        "get_verification": database
            .get_verification(&email(user), &verification_value(user)).await.unwrap().is_some(),
        "get_verification_by_value": database
            .get_verification_by_value(&verification_value(user)).await.unwrap().is_some(),
        "get_verification_by_identifier": database
            .get_verification_by_identifier(&email(user)).await.unwrap().is_some(),
        "list_users, first 20": database
            .list_users(ListUsers::new().with_limit(20)).await.unwrap().users.len() == 20,
    }
}

fn markdown(facts: &str, sizes: &[u64], plan: Plan, costs: &[Cost]) -> String {
    let Plan { rounds, length } = plan;
    let sizes: Vec<_> = sizes.iter().map(|size| count(*size)).collect();
    let mut header = vec!["lookup"];
    header.extend(sizes.iter().map(String::as_str));
    header.extend(["ratio", "from – to", "target", ""]);
    let tables = CALLERS.map(|number| {
        let of_callers = costs.iter().filter(|cost| cost.callers == number);
        let rows: Vec<_> = of_callers.map(row).collect();
        format!("## {}\n\n{}", callers(number), table(1, &header, &rows))
    });
    format!(
        "<!-- Written by `just bench-scale`; not to be edited. -->\n\n\
         # As tables grow\n\n\
         Microseconds per answer, by the number of sessions; there is a fifth as many users, accounts and \
         verifications. Medians of {rounds} rounds of {length:?}, in which the sizes take turns. The ratio is that of the \
         largest to the smallest size in the same turn; behind its median stand the lowest and the highest.\n\n\
         {facts}\n{}\n![The same as a plot](scale.svg)\n",
        tables.join("\n")
    )
}

fn row(cost: &Cost) -> Vec<String> {
    let (smallest, largest) = (&cost.by_size[0], &cost.by_size[cost.by_size.len() - 1]);
    let ratios = largest.iter().zip(smallest).map(|(a, b)| a / b);
    let ratios: Vec<f64> = ratios.collect();
    let (lowest, highest) = spread(&ratios);
    let target = Target::AtMost(MOST);
    let medians = cost.by_size.iter().map(|costs| median(costs));
    let mut row = vec![format!("`{}`", cost.name)];
    row.extend(medians.map(|median| format!("{median:.1}")));
    row.extend([
        format!("{:.2}×", median(&ratios)),
        format!("{lowest:.2} – {highest:.2}"),
        target.to_string(),
        verdict(target.is_met(median(&ratios))),
    ]);
    row
}

/// A panel for each lookup: its cost beside that of the smallest size.
fn draw(path: &Path, sizes: &[u64], costs: &[Cost]) -> Result<()> {
    let panels: Vec<(String, Vec<Series>)> = costs
        .chunk_by(|a, b| a.name == b.name)
        .map(|costs| {
            let series = costs.iter().map(|cost| series(sizes, cost));
            (costs[0].name.to_owned(), series.collect())
        })
        .collect();
    let all = panels.iter().flat_map(|(_, series)| series);
    let ratios = all.flat_map(|series| series.points.iter().map(|(_, ratio)| *ratio));
    let highest = ratios.fold(2.0, f64::max);
    let chart = Chart {
        columns: 4,
        rows: 3,
        panel_size: (330, 250),
        x: "sessions",
        y: "cost beside the smallest",
        x_label: |sessions| format!("10{}", superscript(sessions.log10())),
        y_label: |ratio| format!("{ratio:.1}×"),
        highest,
        limit: Some(MOST),
        legend: SeriesLabelPosition::LowerLeft,
        panels,
    };
    chart.draw(path)
}

fn series(sizes: &[u64], cost: &Cost) -> Series {
    let smallest = median(&cost.by_size[0]);
    let points = sizes.iter().zip(&cost.by_size);
    Series {
        name: callers(cost.callers),
        points: points
            .map(|(size, costs)| (*size as f64, median(costs) / smallest))
            .collect(),
    }
}

fn superscript(number: f64) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digits = format!("{number:.0}");
    let digits = digits.chars().filter_map(|digit| digit.to_digit(10));
    digits.map(|digit| DIGITS[digit as usize]).collect()
}
