//! `import`: copies a database of Better Auth (TypeScript).

use better_auth::adapters::{Import, ImportReport, ImportedRows};
use clap::Args;
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::Global;
use crate::output::{Answer, shown};
use crate::table::table;
use crate::{database, watch};

/// So many of the rows that were left are printed as text. All of them are in the JSON.
const MAX_SHOWN: usize = 100;

/// Copy users, accounts, sessions and verifications from Better Auth (TypeScript)
///
/// Reads the tables user, account, session and verification, or the same in the plural, and stores their rows in ours,
/// which it creates if they are missing. The source is not changed. Rows that cannot be stored are left and listed, and
/// the exit code is 1. Ctrl-C, `kill -9` and lost connections do no harm: call it again to go on. Stop the old program
/// before the last run, and do not run it once the new one has traffic.
#[derive(Args)]
#[command(after_long_help = "Examples:
  better-auth import --from postgresql://ada@old/app --dry-run
  better-auth import --from postgresql://ada@old/app --from-schema auth
  better-auth import --dry-run --json | jq '.left'        from the same database
  better-auth import --verify")]
pub(crate) struct Options {
    /// The source, if it is another database
    ///
    /// Prefer the environment variable: other users of the machine can see the arguments of a program.
    #[arg(long, value_name = "URL", env = "IMPORT_URL", hide_env_values = true)]
    from: Option<String>,
    /// The schema of the source's tables, if search_path does not lead to them
    #[arg(long, value_name = "SCHEMA")]
    from_schema: Option<String>,
    /// Change nothing, and say what would be stored and what would be left
    #[arg(long)]
    dry_run: bool,
    /// Change nothing, and compare each row of the source with the one that was stored
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
}

pub(crate) async fn import(global: &Global, options: &Options) -> Outcome {
    let database = database::connect(global).await?;
    let mut import = match &options.from {
        Some(url) => {
            // A source that cannot be asked is told from an import that fails.
            database::connect_to(url).await?.close().await;
            Import::from_url(url)
        }
        None => Import::from_same_database(),
    };
    if let Some(schema) = &options.from_schema {
        import = import.schema(schema);
    }
    import = match (options.dry_run, options.verify) {
        (true, _) => import.dry_run(),
        (_, true) => import.verify(),
        _ => import,
    };
    let how_to_go_on = "run `better-auth import` again to go on";
    let report = watch::run(global, how_to_go_on, |observe| {
        database.import_with(import, observe)
    })
    .await?;
    let imported = if options.dry_run {
        "to import"
    } else {
        "imported"
    };
    Ok(Answer::new(text(&report, imported), json(&report)).right_if(report.left_count() == 0))
}

fn tables(report: &ImportReport) -> [(&'static str, ImportedRows); 4] {
    [
        ("users", report.users),
        ("accounts", report.accounts),
        ("sessions", report.sessions),
        ("verifications", report.verifications),
    ]
}

fn text(report: &ImportReport, imported: &str) -> String {
    let rows = tables(report).map(|(name, rows)| {
        let numbers = [
            rows.read,
            rows.imported,
            rows.present,
            rows.changed,
            rows.expired,
            rows.left,
        ];
        let cells = numbers.iter().map(u64::to_string);
        [name.to_owned()].into_iter().chain(cells).collect()
    });
    let headings = [
        "table",
        "read",
        imported,
        "there already",
        "changed here",
        "expired",
        "left",
    ];
    let mut lines = vec![table(&headings, &rows)];
    for row in report.left.iter().take(MAX_SHOWN) {
        let id = match (&*row.id, &row.user_id) {
            ("", None) => "without an id".to_owned(),
            ("", Some(user)) => format!("without an id, of user {}", shown(user)),
            (id, None) => shown(id),
            (id, Some(user)) => format!("{} of user {}", shown(id), shown(user)),
        };
        let reason = shown(&row.reason.to_string());
        lines.push(format!("left: {} {id}: {reason}", row.table));
    }
    let listed = u64::try_from(report.left.len().min(MAX_SHOWN)).unwrap_or(u64::MAX);
    let more = report.left_count().saturating_sub(listed);
    if more > 0 {
        lines.push(format!("left: {more} more; --json lists up to 10,000"));
    }
    if !report.dropped_columns.is_empty() {
        let columns: Vec<String> = report
            .dropped_columns
            .iter()
            .map(|column| shown(column))
            .collect();
        lines.push(format!("not copied: {}", columns.join(", ")));
    }
    lines.join("\n")
}

fn json(report: &ImportReport) -> Value {
    let mut json = serde_json::Map::new();
    for (name, rows) in tables(report) {
        let numbers = json!({
            "read": rows.read,
            "imported": rows.imported,
            "present": rows.present,
            "changed": rows.changed,
            "expired": rows.expired,
            "left": rows.left,
        });
        json.insert(name.to_owned(), numbers);
    }
    let left = report.left.iter().map(|row| {
        json!({
            "table": row.table,
            "id": row.id,
            "userId": row.user_id,
            "kind": row.reason.kind(),
            "message": row.reason.to_string(),
        })
    });
    json.insert("left".to_owned(), left.collect());
    json.insert("leftCount".to_owned(), report.left_count().into());
    json.insert("droppedColumns".to_owned(), json!(report.dropped_columns));
    json.into()
}
