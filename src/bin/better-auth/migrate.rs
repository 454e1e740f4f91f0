//! `migrate`: brings the schema up to date, says what that would do, or prints it as a script.

use better_auth::adapters::{
    MigrationAction, PendingMigration, PendingMigrations, UnreachableNames,
};
use clap::Args;
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::Global;
use crate::checks::{lost_invitations, lost_slugs};
use crate::output::{Answer, count, shown};
use crate::{database, watch};

/// Bring the schema up to date
///
/// Creates the tables and indexes that are missing, and accepts tables that were made by hand. Any number of processes
/// may migrate at once, while traffic goes on: indexes are built CONCURRENTLY. It may be stopped at any point; call it
/// again to go on. Through PgBouncer in transaction mode it needs a URL that leads directly to the server.
#[derive(Args)]
#[command(after_long_help = "Examples:
  better-auth migrate
  better-auth migrate --dry-run
  better-auth migrate --sql >migrate.sql && psql --file migrate.sql \"$DATABASE_URL\"")]
pub(crate) struct Options {
    /// Only say what would be done
    #[arg(long, conflicts_with = "sql")]
    dry_run: bool,
    /// Print a script for psql that does it, and change nothing
    ///
    /// The script holds what this database lacks, and records it, so that the database counts as migrated afterwards.
    /// Run it with `psql --file`, as the role that owns the tables, or that is to own them.
    #[arg(long)]
    sql: bool,
}

pub(crate) async fn migrate(global: &Global, options: &Options) -> Outcome {
    let database = database::connect(global).await?;
    let pending = database.pending_migrations().await;
    if options.sql || options.dry_run {
        let pending = pending?;
        let text = if options.sql {
            pending.to_sql().trim_end().to_owned()
        } else {
            plan(&pending)
        };
        let mut json = as_json(&pending);
        if options.sql {
            json["sql"] = pending.to_sql().into();
        }
        return Ok(Answer::new(text, json));
    }
    let how_to_go_on =
        "run `better-auth migrate` again to go on; an index whose build was cut off is built again";
    let report = watch::run(global, how_to_go_on, |observe| {
        database.migrate_with(observe)
    })
    .await?;
    // Another process may have done it meanwhile.
    let applied = pending.map_or(0, |pending| pending.migrations.len());
    let mut text = match applied {
        0 => "the schema is up to date".to_owned(),
        applied => format!(
            "the schema is up to date: {} done",
            count(applied, "migration")
        ),
    };
    let left = [
        lost_slugs(&report.organizations),
        lost_invitations(&report.invitations),
    ];
    for message in left.into_iter().flatten() {
        text = format!("{text}\nleft: {}", shown(&message));
    }
    let json = json!({
        "upToDate": true,
        "applied": applied,
        "left": {
            "organizations": left_names(&report.organizations),
            "invitations": left_names(&report.invitations),
        },
    });
    Ok(Answer::new(text, json))
}

fn left_names(names: &UnreachableNames) -> Value {
    json!({ "count": names.count, "firstIds": names.first_ids })
}

fn plan(pending: &PendingMigrations) -> String {
    let schema = shown(&pending.schema);
    if pending.is_empty() {
        return format!("the schema {schema} is up to date: nothing to do");
    }
    let lines = pending.migrations.iter().map(|migration| {
        let PendingMigration {
            version,
            description,
            action,
            ..
        } = migration;
        let description = shown(description);
        format!("  {:<8} {version:>4}  {description}", name(*action))
    });
    let begin = format!(
        "{} to do in schema {schema}:",
        count(pending.migrations.len(), "migration")
    );
    let lines: Vec<String> = std::iter::once(begin).chain(lines).collect();
    lines.join("\n")
}

pub(crate) fn as_json(pending: &PendingMigrations) -> Value {
    let migrations = pending.migrations.iter().map(|migration| {
        json!({
            "version": migration.version,
            "description": migration.description,
            "action": name(migration.action),
        })
    });
    json!({
        "schema": pending.schema,
        "upToDate": pending.is_empty(),
        "pending": migrations.collect::<Vec<_>>(),
    })
}

fn name(action: MigrationAction) -> &'static str {
    match action {
        MigrationAction::Record => "record",
        MigrationAction::Rebuild => "rebuild",
        _ => "apply",
    }
}
