//! Organizations, their members, and invitations by mail.
//!
//! The store keeps what must always hold: one member per user, at least one owner, one winner for an invitation. Who may do
//! what is decided here.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use better_auth::AuthResult;
use better_auth::chrono::{TimeDelta, Utc};
use better_auth::types::{
    CreateInvitation, CreateOrganization, Invitation, InvitationStatus, ListMembers, Member,
    MemberLimits, MemberPage, MemberWithUser, Organization, UpdateSession,
};
use maud::{Markup, html};
use serde::Deserialize;

use crate::error::{AppError, AppResult};
use crate::input::{self, Form, Query};
use crate::limits::Limit;
use crate::pages;
use crate::state::AppState;
use crate::visitor::SignedIn;

const MAX_ORGANIZATIONS: u32 = 10;
const MAX_INVITATIONS: u32 = 100;
const LIMITS: MemberLimits = MemberLimits {
    members: Some(1000),
    team_members: None,
};
const INVITATIONS: Limit = Limit::new("invitations user", 30, 3600);
const ROLES: [&str; 3] = ["member", "admin", "owner"];

/// The pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/organizations", get(list).post(create))
        .route("/organizations/{id}", get(show))
        .route("/organizations/{id}/activate", post(activate))
        .route("/organizations/{id}/invite", post(invite))
        .route("/organizations/{id}/cancel", post(cancel))
        .route("/organizations/{id}/role", post(change_role))
        .route("/organizations/{id}/remove", post(remove))
        .route("/invitations/{id}", get(show_invitation))
        .route("/invitations/{id}/accept", post(accept))
        .route("/invitations/{id}/reject", post(reject))
}

/// Whether the member may invite and remove others.
fn manages(member: &Member) -> bool {
    member
        .roles()
        .any(|role| role == "owner" || role == "admin")
}

/// The membership of the user. For others the organization does not exist. Asked for each request, since
/// `active_organization_id` only says what the user looks at.
async fn membership(state: &AppState, id: &str, signed_in: &SignedIn) -> AppResult<Member> {
    let member = state
        .database
        .organizations()?
        .get_member(id, &signed_in.user.id)
        .await?;
    member.ok_or(AppError::NOT_FOUND)
}

/// The same, of who may manage.
async fn management(state: &AppState, id: &str, signed_in: &SignedIn) -> AppResult<Member> {
    let member = membership(state, id, signed_in).await?;
    if manages(&member) {
        Ok(member)
    } else {
        Err(AppError::FORBIDDEN)
    }
}

fn to(id: &str, notice: &str) -> Redirect {
    Redirect::to(&pages::link(
        &format!("/organizations/{id}"),
        &[("notice", notice)],
    ))
}

async fn list(State(state): State<AppState>, signed_in: SignedIn) -> AppResult<Markup> {
    list_page(&state, &signed_in, None).await
}

async fn list_page(
    state: &AppState,
    signed_in: &SignedIn,
    error: Option<&str>,
) -> AppResult<Markup> {
    let SignedIn {
        page,
        session,
        user,
    } = signed_in;
    let store = state.database.organizations()?;
    let organizations = store.list_user_organizations(&user.id).await?;
    let invitations = match &user.email {
        Some(email) if user.email_verified => store.list_pending_invitations(email).await?,
        _ => Vec::new(),
    };
    let is_active = |id: &str| session.active_organization_id.as_deref() == Some(id);
    Ok(page.render("Organizations", &html! {
        (pages::error(error))
        @if !invitations.is_empty() {
            section .card {
                h2 { "You are invited" }
                ul .list { @for invitation in &invitations { li {
                    div .what { "As " strong { (invitation.role) } }
                    a .button.quiet href={ "/invitations/" (invitation.id) } { "Look at it" }
                } } }
            }
        }
        div .card {
            @if organizations.is_empty() { p .faint { "You are in none yet." } }
            ul .list { @for (organization, member) in &organizations { li {
                div .what {
                    strong { a href={ "/organizations/" (organization.id) } { (organization.name) } }
                    span .faint { (organization.slug) " · " (member.role) }
                }
                @if is_active(&organization.id) { span .tag { "Active" } } @else {
                    (page.button(&format!("/organizations/{}/activate", organization.id), "Switch to it", "quiet"))
                }
            } } }
        }
        section .card {
            h2 { "Create one" }
            (page.form("/organizations", &html! {
                div .row {
                    (pages::field("name", "Name", "text", "organization", ""))
                    (pages::field("slug", "Short name, for links", "text", "off", ""))
                    button { "Create" }
                }
            }))
        }
    }))
}

/// What makes an organization.
#[derive(Deserialize)]
pub(crate) struct New {
    name: String,
    slug: String,
}

impl New {
    /// In the form in which it is stored.
    pub(crate) fn check(&self, owner_id: &str) -> Result<CreateOrganization, &'static str> {
        let name = input::name(&self.name)?;
        let slug = self.slug.trim().to_ascii_lowercase();
        if slug.is_empty()
            || slug.len() > 50
            || !slug
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err("A short name has 1 to 50 letters, digits and hyphens.");
        }
        Ok(CreateOrganization::new(name, slug, owner_id).with_limit(MAX_ORGANIZATIONS))
    }
}

async fn create(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(form): Form<New>,
) -> AppResult<Response> {
    let create = match form.check(&signed_in.user.id) {
        Ok(create) => create,
        Err(error) => {
            return Ok(pages::unprocessable(
                list_page(&state, &signed_in, Some(error)).await?,
            ));
        }
    };
    let (organization, _) = state
        .database
        .organizations()?
        .create_organization(create)
        .await?;
    switch(&state, &signed_in, &organization.id).await?;
    Ok(to(&organization.id, "saved").into_response())
}

async fn switch(state: &AppState, signed_in: &SignedIn, id: &str) -> AuthResult<()> {
    let update = UpdateSession::new().with_active_organization_id(id);
    state
        .database
        .update_session(&signed_in.session.token, update)
        .await
        .map(drop)
}

async fn activate(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> AppResult<Redirect> {
    membership(&state, &id, &signed_in).await?;
    switch(&state, &signed_in, &id).await?;
    Ok(Redirect::to("/organizations"))
}

#[derive(Deserialize)]
struct Cursor {
    cursor: Option<String>,
}

async fn show(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(query): Query<Cursor>,
) -> AppResult<Markup> {
    let member = membership(&state, &id, &signed_in).await?;
    let store = state.database.organizations()?;
    let organization = store
        .get_organization(&id)
        .await?
        .ok_or(AppError::NOT_FOUND)?;
    let members = ListMembers {
        cursor: query.cursor,
        ..ListMembers::new(&id).with_limit(50)
    };
    let members = store.list_members(members).await?;
    let invitations = if manages(&member) {
        store.list_invitations(&id).await?
    } else {
        Vec::new()
    };
    Ok(organization_page(
        &signed_in,
        &member,
        &organization,
        &members,
        &invitations,
    ))
}

fn organization_page(
    signed_in: &SignedIn,
    me: &Member,
    organization: &Organization,
    members: &MemberPage,
    invitations: &[Invitation],
) -> Markup {
    let page = &signed_in.page;
    let path = format!("/organizations/{}", organization.id);
    let mut pending = invitations
        .iter()
        .filter(|one| one.status == InvitationStatus::Pending && one.expires_at > Utc::now())
        .peekable();
    page.render(&organization.name, &html! {
        section .card {
            h2 { "Members" }
            ul .list { @for member in &members.members { (member_item(signed_in, me, &path, member)) } }
            @if let Some(cursor) = &members.next_cursor {
                p { a .button.quiet href=(pages::link(&path, &[("cursor", cursor)])) { "More members" } }
            }
        }
        @if manages(me) {
            section .card {
                h2 { "Invite someone" }
                (page.form(&format!("{path}/invite"), &html! {
                    div .row {
                        (pages::field("email", "Email", "email", "off", ""))
                        div { label for="role" { "Role" } (role_select("role", me, "member")) }
                        button { "Invite" }
                    }
                }))
            }
            @if pending.peek().is_some() { section .card {
                h2 { "Invitations that are open" }
                ul .list { @for invitation in pending { li {
                    div .what { strong { (invitation.email) } span .faint { "as " (invitation.role) ", until " (pages::time(invitation.expires_at)) } }
                    (page.form(&format!("{path}/cancel"), &html! {
                        input type="hidden" name="id" value=(invitation.id);
                        button .danger aria-label={ "Cancel the invitation of " (invitation.email) } { "Cancel" }
                    }))
                } } }
            } }
        }
    })
}

fn member_item(
    signed_in: &SignedIn,
    me: &Member,
    path: &str,
    MemberWithUser { member, user }: &MemberWithUser,
) -> Markup {
    let name = user.name.as_deref().unwrap_or("Someone");
    let is_me = member.user_id == me.user_id;
    html! {
        li {
            div .what { strong { (name) } span .faint { (user.email.as_deref().unwrap_or_default()) } }
            div .actions {
                @if me.is_owner() {
                    (signed_in.page.form(&format!("{path}/role"), &html! {
                        div .actions {
                            input type="hidden" name="user_id" value=(member.user_id);
                            (role_select(&format!("role-{}", member.id), me, &member.role))
                            button .quiet aria-label={ "Change the role of " (name) } { "Change" }
                        }
                    }))
                } @else { span .tag { (member.role) } }
                @if is_me || manages(me) {
                    (signed_in.page.form(&format!("{path}/remove"), &html! {
                        input type="hidden" name="user_id" value=(member.user_id);
                        button .danger aria-label={ "Remove " (name) } { @if is_me { "Leave" } @else { "Remove" } }
                    }))
                }
            }
        }
    }
}

/// The roles that the member may give.
fn role_select(id: &str, me: &Member, current: &str) -> Markup {
    html! {
        select #(id) name="role" aria-label="Role" {
            @for role in ROLES.iter().filter(|role| me.is_owner() || **role != "owner") {
                option value=(role) selected[*role == current] { (role) }
            }
        }
    }
}

#[derive(Deserialize)]
struct Invite {
    email: String,
    role: String,
}

async fn invite(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<Invite>,
) -> AppResult<Redirect> {
    let me = management(&state, &id, &signed_in).await?;
    check_role(&me, &form.role)?;
    let email = input::email(&form.email).map_err(AppError::unprocessable)?;
    INVITATIONS.take(&state, &signed_in.user.id).await?;
    let in_two_days = Utc::now() + TimeDelta::days(2);
    let create = CreateInvitation::new(&id, &email, &signed_in.user.id, in_two_days)
        .with_role(form.role)
        .with_limit(MAX_INVITATIONS);
    let invitation = state
        .database
        .organizations()?
        .create_invitation(create)
        .await?;
    let text = format!(
        "You are invited: {}/invitations/{}",
        state.config.base_url, invitation.id
    );
    let mailer = state.mailer.clone();
    state
        .background
        .spawn(async move { mailer.send(&email, "An invitation", &text).await });
    Ok(to(&id, "invited"))
}

/// Only owners make owners.
fn check_role(me: &Member, role: &str) -> AppResult<()> {
    if !ROLES.contains(&role) {
        return Err(AppError::unprocessable("There is no such role."));
    }
    if role == "owner" && !me.is_owner() {
        Err(AppError::FORBIDDEN)
    } else {
        Ok(())
    }
}

#[derive(Deserialize)]
struct Chosen {
    id: String,
}

async fn cancel(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<Chosen>,
) -> AppResult<Redirect> {
    management(&state, &id, &signed_in).await?;
    state
        .database
        .organizations()?
        .cancel_invitation(&id, &form.id)
        .await?;
    Ok(to(&id, "saved"))
}

#[derive(Deserialize)]
struct Role {
    user_id: String,
    role: String,
}

async fn change_role(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<Role>,
) -> AppResult<Redirect> {
    let me = membership(&state, &id, &signed_in).await?;
    if !me.is_owner() {
        return Err(AppError::FORBIDDEN);
    }
    check_role(&me, &form.role)?;
    state
        .database
        .organizations()?
        .update_member_role(&id, &form.user_id, &form.role)
        .await?;
    Ok(to(&id, "saved"))
}

#[derive(Deserialize)]
struct Remove {
    user_id: String,
}

async fn remove(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<Remove>,
) -> AppResult<Redirect> {
    let me = membership(&state, &id, &signed_in).await?;
    let store = state.database.organizations()?;
    if form.user_id == signed_in.user.id {
        store.remove_member(&id, &form.user_id).await?;
        return Ok(Redirect::to("/organizations?notice=saved"));
    }
    let other = store
        .get_member(&id, &form.user_id)
        .await?
        .ok_or(AppError::NOT_FOUND)?;
    if !manages(&me) || (other.is_owner() && !me.is_owner()) {
        return Err(AppError::FORBIDDEN);
    }
    store.remove_member(&id, &form.user_id).await?;
    Ok(to(&id, "saved"))
}

/// Only who has the address sees it.
async fn show_invitation(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> AppResult<Markup> {
    let details = state.database.organizations()?.get_invitation(&id).await?;
    let details = details.filter(|details| {
        let Invitation {
            email,
            status,
            expires_at,
            ..
        } = &details.invitation;
        signed_in.user.email.as_ref() == Some(email)
            && *status == InvitationStatus::Pending
            && *expires_at > Utc::now()
    });
    let details = details.ok_or(AppError::NOT_FOUND)?;
    let page = &signed_in.page;
    Ok(page.render("You are invited", &html! {
        div .card {
            p {
                (details.inviter_name.as_deref().unwrap_or("Someone")) " invites you to "
                strong { (details.organization_name) } ", as " strong { (details.invitation.role) } "."
            }
            div .actions {
                (page.button(&format!("/invitations/{id}/accept"), "Accept", ""))
                (page.button(&format!("/invitations/{id}/reject"), "Reject", "danger"))
            }
        }
    }))
}

async fn accept(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> AppResult<Redirect> {
    let store = state.database.organizations()?;
    let (invitation, _) = store
        .accept_invitation(&id, &signed_in.user.id, true, LIMITS)
        .await?;
    switch(&state, &signed_in, &invitation.organization_id).await?;
    Ok(to(&invitation.organization_id, "joined"))
}

async fn reject(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> AppResult<Redirect> {
    state
        .database
        .organizations()?
        .reject_invitation(&id, &signed_in.user.id)
        .await?;
    Ok(Redirect::to("/organizations?notice=saved"))
}
