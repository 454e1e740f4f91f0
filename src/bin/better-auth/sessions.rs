//! `sessions`: list and revoke those of a user. No token is ever shown.

use std::collections::BTreeSet;

use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use clap::Subcommand;
use serde_json::json;

use crate::Outcome;
use crate::arguments::Global;
use crate::database::{connect, find_user};
use crate::output::{Answer, count, shown, table};
use crate::users::{as_json, label, time};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the live sessions of a user, the newest first
    #[command(after_long_help = "Examples:
  better-auth sessions list ada@example.com
  better-auth sessions list ada --json | jq -r '.sessions[].id'")]
    List {
        /// The user's id, email or username, looked for in this order
        user: String,
    },
    /// End sessions of a user
    ///
    /// Exits with 1 if the user has no live session of one of the ids; the others are ended all the same.
    #[command(after_long_help = "Examples:
  better-auth sessions revoke ada@example.com 0198c2f0-7f3c-7d52-8c6e-2f4bb1f9f0aa
  better-auth sessions revoke ada@example.com --all")]
    Revoke {
        /// The user's id, email or username, looked for in this order
        user: String,
        /// The ids of sessions, as `sessions list` shows them
        #[arg(value_name = "SESSION", required_unless_present = "all")]
        ids: Vec<String>,
        /// All sessions of the user
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> Outcome {
    let database = connect(global).await?;
    match command {
        Command::List { user } => list(&database, &user).await,
        Command::Revoke { user, ids, all } if ids.is_empty() || all => {
            revoke_all(&database, &user).await
        }
        Command::Revoke { user, ids, .. } => revoke(&database, &user, &ids).await,
    }
}

async fn list(database: &SqlxAdapter, name: &str) -> Outcome {
    let user = find_user(database, name).await?;
    let sessions = database.get_user_sessions(&user.id).await?;
    let rows = sessions.iter().map(|session| {
        let text = |text: &Option<String>| text.as_deref().map(shown).unwrap_or_default();
        vec![
            shown(&session.id),
            time(session.created_at),
            time(session.expires_at),
            text(&session.ip_address),
            text(&session.user_agent),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let headings = ["ID", "CREATED", "EXPIRES", "IP ADDRESS", "USER AGENT"];
    let json = json!({ "userId": user.id, "sessions": as_json(&sessions)? });
    Ok(Answer::new(table(&headings, &rows), json))
}

async fn revoke_all(database: &SqlxAdapter, name: &str) -> Outcome {
    let user = find_user(database, name).await?;
    let live = database.get_user_sessions(&user.id).await?.len();
    database.delete_user_sessions(&user.id).await?;
    let text = format!("{} of {} revoked", count(live, "session"), label(&user));
    let json = json!({ "userId": user.id, "revoked": live, "notFound": [] });
    Ok(Answer::new(text, json))
}

async fn revoke(database: &SqlxAdapter, name: &str, ids: &[String]) -> Outcome {
    let user = find_user(database, name).await?;
    let live = database.get_user_sessions(&user.id).await?;
    let live: BTreeSet<_> = live.iter().map(|session| session.id.as_str()).collect();
    let (mut revoked, mut not_found) = (BTreeSet::new(), BTreeSet::new());
    for id in ids {
        database.delete_session_by_id(&user.id, id).await?;
        if live.contains(id.as_str()) {
            revoked.insert(id);
        } else {
            not_found.insert(id);
        }
    }
    let mut lines = vec![format!(
        "{} of {} revoked",
        count(revoked.len(), "session"),
        label(&user)
    )];
    lines.extend(
        not_found
            .iter()
            .map(|id| format!("not found: {}", shown(id))),
    );
    let json = json!({ "userId": user.id, "revoked": revoked.len(), "notFound": not_found });
    Ok(Answer::new(lines.join("\n"), json).right_if(not_found.is_empty()))
}
