//! What administrators see: all users, by pages and by a search; bans.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Redirect;
use axum::routing::{get, post};
use better_auth::chrono::Utc;
use better_auth::types::{ListUsers, SearchField, SearchOperator, User, UserFilter, UserSearch};
use maud::{Markup, html};
use serde::Deserialize;

use crate::error::{AppError, AppResult};
use crate::input::{self, Form, Query};
use crate::pages;
use crate::state::AppState;
use crate::visitor::{Administrator, SignedIn};

const PER_PAGE: u32 = 20;

/// The pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/admin/users", get(show))
        .route("/admin/users/{id}/ban", post(ban))
        .route("/admin/users/{id}/unban", post(unban))
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    search: String,
    cursor: Option<String>,
}

async fn show(
    State(state): State<AppState>,
    Administrator(signed_in): Administrator,
    Query(query): Query<List>,
) -> AppResult<Markup> {
    let search = query.search.trim();
    let by_email = UserSearch::new(SearchField::Email, SearchOperator::StartsWith, search);
    let filter = UserFilter {
        search: (!search.is_empty()).then_some(by_email),
        ..UserFilter::default()
    };
    let list = ListUsers {
        cursor: query.cursor,
        ..ListUsers::new().with_filter(filter).with_limit(PER_PAGE)
    };
    let found = state.database.list_users(list).await?;
    Ok(signed_in.page.render("Users", &html! {
        form .card.row role="search" {
            div .field {
                label for="search" { "Email begins with" }
                input #search name="search" type="search" value=(search);
            }
            button .quiet { "Search" }
        }
        div .card {
            @if found.users.is_empty() { p .faint { "Nobody." } }
            ul .list { @for user in &found.users { (item(&signed_in, user)) } }
        }
        @if let Some(cursor) = &found.next_cursor {
            p { a .button.quiet href=(pages::link("/admin/users", &[("search", search), ("cursor", cursor)])) { "More users" } }
        }
    }))
}

fn item(signed_in: &SignedIn, user: &User) -> Markup {
    let name = user.name.as_deref().unwrap_or("Someone");
    let path = format!("/admin/users/{}", user.id);
    html! {
        li {
            div .what {
                strong {
                    (name) " "
                    @if pages::is_administrator(user) { span .tag { "administrator" } }
                    @if user.is_banned_at(Utc::now()) { span .tag.danger { "suspended" } }
                }
                span .faint {
                    (user.email.as_deref().unwrap_or("no address")) " · since " (pages::time(user.created_at))
                    @if let Some(reason) = &user.ban_reason { " · " (reason) }
                }
            }
            @if user.id == signed_in.user.id {
            } @else if user.banned {
                (signed_in.page.form(&format!("{path}/unban"), &html! {
                    button .quiet aria-label={ "Lift the ban of " (name) } { "Lift the ban" }
                }))
            } @else {
                (signed_in.page.form(&format!("{path}/ban"), &html! {
                    div .actions {
                        input name="reason" aria-label={ "Why " (name) " is banned" } placeholder="Why" required;
                        button .danger aria-label={ "Ban " (name) } { "Ban" }
                    }
                }))
            }
        }
    }
}

#[derive(Deserialize)]
struct Ban {
    reason: String,
}

/// The next request of the user is refused: the sessions end with the ban, and a session that is opened at that moment is
/// refused by the extractor.
async fn ban(
    State(state): State<AppState>,
    Administrator(signed_in): Administrator,
    Path(id): Path<String>,
    Form(form): Form<Ban>,
) -> AppResult<Redirect> {
    if id == signed_in.user.id {
        return Err(AppError::FORBIDDEN);
    }
    let reason = input::name(&form.reason).map_err(AppError::unprocessable)?;
    state.database.ban_user(&id, Some(reason), None).await?;
    Ok(Redirect::to("/admin/users?notice=saved"))
}

async fn unban(
    State(state): State<AppState>,
    _: Administrator,
    Path(id): Path<String>,
) -> AppResult<Redirect> {
    state.database.unban_user(&id).await?;
    Ok(Redirect::to("/admin/users?notice=saved"))
}
