//! `users`: list, show, ban, unban, delete.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::chrono::{DateTime, SecondsFormat, Utc};
use better_auth::types::{
    ListUsers, SearchField, SearchOperator, UserFilter, UserOrder, UserSearch,
};
use better_auth::{AuthError, User};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::Global;
use crate::database::{connect, find_user};
use crate::live_sessions;
use crate::output::{Answer, Problem, count, shown};
use crate::table::Listing;
use crate::times::{parse_future_time, parse_time};

#[derive(Subcommand)]
pub(crate) enum Command {
    List(List),
    /// Show a user, with accounts and the number of live sessions
    #[command(after_long_help = "Examples:
  better-auth users show ada@example.com
  better-auth users show ada --json | jq .user.id")]
    Show(Named),
    /// Ban a user and end all sessions of the user
    #[command(after_long_help = "Examples:
  better-auth users ban ada@example.com --reason spam
  better-auth users ban ada@example.com --until 2027-01-01T00:00:00Z")]
    Ban {
        #[command(flatten)]
        named: Named,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Until when, as in 2027-01-01T00:00:00Z; for good if left out
        #[arg(long, value_name = "TIME", value_parser = parse_future_time)]
        until: Option<DateTime<Utc>>,
    },
    /// End a user's ban
    #[command(after_long_help = "Examples:
  better-auth users unban ada@example.com")]
    Unban(Named),
    /// Delete a user, with all sessions and accounts
    ///
    /// Asks before it does so. Without a terminal it needs --yes.
    #[command(after_long_help = "Examples:
  better-auth users delete ada@example.com
  better-auth users delete ada@example.com --yes")]
    Delete {
        #[command(flatten)]
        named: Named,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args)]
pub(crate) struct Named {
    /// The user's id, email or username, looked for in this order
    user: String,
}

/// List users, the newest first, a page at a time
#[derive(Args)]
#[command(after_long_help = "Examples:
  better-auth users list
  better-auth users list --search ada@ --match starts-with
  better-auth users list --role admin --all
  better-auth users list --banned --json | jq -r '.users[].email'")]
pub(crate) struct List {
    /// Only users whose email, username or name matches
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Where --search looks
    #[arg(
        long,
        value_name = "FIELD",
        default_value = "email",
        requires = "search"
    )]
    field: Field,
    /// How --search compares; `contains` looks at every user
    #[arg(
        long = "match",
        value_name = "HOW",
        default_value = "contains",
        requires = "search"
    )]
    operator: Operator,
    /// Only users of this role
    #[arg(long)]
    role: Option<String>,
    /// Only users who are banned
    #[arg(long, conflicts_with = "not_banned")]
    banned: bool,
    /// Only users who are not banned
    #[arg(long)]
    not_banned: bool,
    /// Only users whose email address is verified
    #[arg(long, conflicts_with = "unverified")]
    verified: bool,
    /// Only users whose email address is not verified
    #[arg(long)]
    unverified: bool,
    /// Only users who were created at this time or later, as in 2026-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created_from: Option<DateTime<Utc>>,
    /// Only users who were created before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created_before: Option<DateTime<Utc>>,
    /// The oldest users first
    #[arg(long)]
    oldest_first: bool,
    /// How many users a page holds
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Where the page before has ended, as it printed it
    #[arg(long)]
    cursor: Option<String>,
    /// All pages, one after the other
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Field {
    Email,
    Username,
    Name,
}

#[derive(Clone, Copy, ValueEnum)]
enum Operator {
    Contains,
    StartsWith,
    Equals,
}

pub(crate) async fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::List(list) => list.run(global, &connect(global).await?).await,
        Command::Show(named) => show(&connect(global).await?, &named.user).await,
        Command::Ban {
            named,
            reason,
            until,
        } => {
            let database = connect(global).await?;
            let user = find_user(&database, &named.user).await?;
            let user = database.ban_user(&user.id, reason, until).await?;
            Ok(changed("banned", &user))
        }
        Command::Unban(named) => {
            let database = connect(global).await?;
            let user = find_user(&database, &named.user).await?;
            let user = database.unban_user(&user.id).await?;
            Ok(changed("unbanned", &user))
        }
        Command::Delete { named, yes } => {
            let database = connect(global).await?;
            delete(&database, &named.user, yes).await
        }
    }
}

impl List {
    async fn run(self, global: &Global, database: &SqlxAdapter) -> Outcome {
        const NEXT: &str = "nextCursor";
        let all = self.all;
        let mut query = self.into_list_users();
        let headings = [
            "ID", "EMAIL", "USERNAME", "NAME", "ROLE", "STATE", "CREATED",
        ];
        let mut listing = Listing::new(global, "users", None, &headings);
        loop {
            let page = match database.list_users(query.clone()).await {
                Ok(page) => page,
                Err(error) if listing.has_begun() => {
                    let next = (NEXT, json!(query.cursor));
                    return listing.fail(&error.into(), Some(next));
                }
                Err(error) => return Err(error.into()),
            };
            listing.page(&page.users, cells)?;
            query.cursor = page.next_cursor;
            if query.cursor.is_none() || !all || !listing.has_reader() {
                let next_page = |cursor: &String| format!("next page: --cursor {cursor}");
                let line = query.cursor.as_ref().map(next_page);
                return listing.end(Some((NEXT, json!(query.cursor))), line);
            }
        }
    }

    fn into_list_users(self) -> ListUsers {
        let either = |yes: bool, no: bool| (yes || no).then_some(yes);
        let field = match self.field {
            Field::Email => SearchField::Email,
            Field::Username => SearchField::Username,
            Field::Name => SearchField::Name,
        };
        let operator = match self.operator {
            Operator::Contains => SearchOperator::Contains,
            Operator::StartsWith => SearchOperator::StartsWith,
            Operator::Equals => SearchOperator::Equals,
        };
        ListUsers {
            filter: UserFilter {
                search: self
                    .search
                    .map(|text| UserSearch::new(field, operator, text)),
                role: self.role,
                banned: either(self.banned, self.not_banned),
                email_verified: either(self.verified, self.unverified),
                created_from: self.created_from,
                created_before: self.created_before,
            },
            order: if self.oldest_first {
                UserOrder::OldestFirst
            } else {
                UserOrder::NewestFirst
            },
            limit: self.limit,
            cursor: self.cursor,
        }
    }
}

fn cells(user: &User) -> Vec<String> {
    let text = |text: &Option<String>| text.as_deref().map(shown).unwrap_or_default();
    let state = if user.is_banned_at(Utc::now()) {
        "banned"
    } else {
        ""
    };
    vec![
        shown(&user.id),
        text(&user.email),
        text(&user.username),
        text(&user.name),
        text(&user.role),
        state.to_owned(),
        time(user.created_at),
    ]
}

async fn show(database: &SqlxAdapter, name: &str) -> Outcome {
    let user = find_user(database, name).await?;
    let accounts = database.get_user_accounts(&user.id).await?;
    let sessions = live_sessions::count(database, &user.id).await?;
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), shown);
    let mut lines = vec![
        format!("id          {}", shown(&user.id)),
        format!("email       {}", text(&user.email)),
        format!("verified    {}", yes_or_no(user.email_verified)),
        format!("username    {}", text(&user.username)),
        format!("name        {}", text(&user.name)),
        format!("role        {}", text(&user.role)),
        format!("two factor  {}", yes_or_no(user.two_factor_enabled)),
        format!("banned      {}", ban(&user)),
        format!("created     {}", time(user.created_at)),
        format!("updated     {}", time(user.updated_at)),
        format!("sessions    {sessions}"),
    ];
    for account in &accounts {
        lines.push(format!(
            "account     {} {}",
            shown(&account.provider_id),
            shown(&account.account_id)
        ));
    }
    let json = json!({
        "user": as_json(&user)?,
        "accounts": as_json(&accounts)?,
        "sessions": sessions,
    });
    Ok(Answer::new(lines.join("\n"), json))
}

async fn delete(database: &SqlxAdapter, name: &str, yes: bool) -> Outcome {
    let user = find_user(database, name).await?;
    if !yes {
        let sessions = live_sessions::count(database, &user.id).await?;
        let question = format!(
            "delete user {} with {} and all accounts? Type yes: ",
            label(&user),
            count(sessions, "live session")
        );
        ask(&question)?;
    }
    database.delete_user(&user.id).await?;
    let text = format!("deleted {}", label(&user));
    Ok(Answer::new(text, json!({ "deleted": user.id })))
}

/// Goes on if the operator types `yes`.
fn ask(question: &str) -> Result<(), Problem> {
    if !io::stdin().is_terminal() {
        let message = "nothing was deleted: without a terminal to ask at, give --yes";
        return Err(Problem::not_asked(message));
    }
    let mut answer = String::new();
    let asked =
        write!(io::stderr(), "{question}").and_then(|()| io::stdin().lock().read_line(&mut answer));
    if asked.is_ok() && answer.trim() == "yes" {
        Ok(())
    } else {
        let message = "nothing was deleted, as the answer was not yes";
        Err(Problem::Stopped(message.to_owned()))
    }
}

fn changed(what: &str, user: &User) -> Answer {
    let json = json!({ "id": user.id, "banned": user.banned, "banReason": user.ban_reason, "banExpires": user.ban_expires });
    Answer::new(format!("{what} {}", label(user)), json)
}

/// The id, and what a person knows the user by.
pub(crate) fn label(user: &User) -> String {
    let names = [&user.email, &user.username, &user.name];
    match names.into_iter().flatten().next() {
        Some(name) => format!("{} ({})", shown(&user.id), shown(name)),
        None => shown(&user.id),
    }
}

fn ban(user: &User) -> String {
    if !user.banned {
        return "no".to_owned();
    }
    let until = user
        .ban_expires
        .map(|expires| format!(" until {}", time(expires)));
    let reason = user
        .ban_reason
        .as_deref()
        .map(|reason| format!(": {}", shown(reason)));
    format!(
        "yes{}{}",
        until.unwrap_or_default(),
        reason.unwrap_or_default()
    )
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(crate) fn as_json(value: &impl serde::Serialize) -> Result<Value, AuthError> {
    serde_json::to_value(value)
        .map_err(|error| AuthError::database("a row cannot be written as JSON").with_source(error))
}
