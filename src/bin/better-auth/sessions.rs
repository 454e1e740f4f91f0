//! `sessions`: list and revoke those of a user. No token is ever shown.

use std::collections::BTreeSet;

use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use clap::Subcommand;
use serde_json::json;

use crate::Outcome;
use crate::arguments::Global;
use crate::database::{connect, find_user};
use crate::live_sessions::{self, LiveSessions};
use crate::output::{Answer, count, shown};
use crate::table::Listing;
use crate::users::{label, time};

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
    /// Exits with 1 if the user has no live session of one of the ids; the others are ended all the same. Such an id is not
    /// printed, only its place among the ids, as it may be a token that was given by mistake.
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
        Command::List { user } => list(global, &database, &user).await,
        Command::Revoke { user, ids, all } if ids.is_empty() || all => {
            revoke_all(&database, &user).await
        }
        Command::Revoke { user, ids, .. } => revoke(&database, &user, &ids).await,
    }
}

async fn list(global: &Global, database: &SqlxAdapter, name: &str) -> Outcome {
    let user = find_user(database, name).await?;
    let headings = ["ID", "CREATED", "EXPIRES", "IP ADDRESS", "USER AGENT"];
    let before = ("userId", json!(user.id));
    let mut listing = Listing::new(global, "sessions", Some(before), &headings);
    let mut sessions = LiveSessions::of(database, &user.id);
    loop {
        let page = match sessions.next().await {
            Ok(Some(page)) if listing.has_reader() => page,
            Ok(_) => return listing.end(None, None),
            Err(problem) if listing.has_begun() => return listing.fail(&problem, None),
            Err(problem) => return Err(problem),
        };
        listing.page(&page, |session| {
            let text = |text: &Option<String>| text.as_deref().map(shown).unwrap_or_default();
            vec![
                shown(&session.id),
                time(session.created_at),
                time(session.expires_at),
                text(&session.ip_address),
                text(&session.user_agent),
            ]
        })?;
    }
}

async fn revoke_all(database: &SqlxAdapter, name: &str) -> Outcome {
    let user = find_user(database, name).await?;
    let live = live_sessions::count(database, &user.id).await?;
    database.delete_user_sessions(&user.id).await?;
    let text = format!("{} of {} revoked", count(live, "session"), label(&user));
    let json = json!({ "userId": user.id, "revoked": live, "notFound": [] });
    Ok(Answer::new(text, json))
}

async fn revoke(database: &SqlxAdapter, name: &str, ids: &[String]) -> Outcome {
    let user = find_user(database, name).await?;
    let live = live_sessions::those_of(database, &user.id, ids).await?;
    let live: BTreeSet<_> = live.iter().collect();
    let mut revoked = BTreeSet::new();
    // The places of the ids that are none, from 1.
    let mut not_found: Vec<u32> = Vec::new();
    for (place, id) in (1..).zip(ids) {
        if live.contains(id) {
            database.delete_session_by_id(&user.id, id).await?;
            revoked.insert(id);
        } else {
            not_found.push(place);
        }
    }
    let mut text = format!(
        "{} of {} revoked",
        count(revoked.len(), "session"),
        label(&user)
    );
    if !not_found.is_empty() {
        let places = not_found.iter().map(|place| format!("number {place}"));
        let places: Vec<String> = places.collect();
        text = format!(
            "{text}\nnot found: of the {} given, {}: `better-auth sessions list` shows the ids of the user's live sessions",
            count(ids.len(), "id"),
            places.join(", ")
        );
    }
    let json = json!({ "userId": user.id, "revoked": revoked.len(), "notFound": not_found });
    Ok(Answer::new(text, json).right_if(not_found.is_empty()))
}
