//! What all pages share: the frame, forms and fields. Maud compiles them, and escapes everything that is not a literal.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use better_auth::chrono::{DateTime, Utc};
use better_auth::types::User;
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

/// What the frame of a page shows of the request. [`crate::visitor`] extracts it.
#[derive(Clone)]
pub struct Page {
    /// The token that forms send along.
    pub csrf: String,
    /// The path of the request.
    pub path: String,
    /// What a redirect wants to be said.
    pub notice: Option<&'static str>,
    /// Who is signed in.
    pub user: Option<User>,
}

impl Page {
    /// A page in the frame of the application.
    #[must_use]
    pub fn render(&self, title: &str, content: &Markup) -> Markup {
        let is_narrow = self.user.is_none();
        frame(
            title,
            &self.header(),
            &html! {
                main #main tabindex="-1" .narrow[is_narrow] {
                    h1 { (title) }
                    @if let Some(notice) = self.notice { p .notice role="status" { (notice) } }
                    (content)
                }
            },
        )
    }

    /// A form that sends the CSRF token along.
    #[must_use]
    pub fn form(&self, action: &str, content: &Markup) -> Markup {
        html! {
            form .stack method="post" action=(action) {
                input type="hidden" name="csrf" value=(self.csrf);
                (content)
            }
        }
    }

    /// A form that is one button.
    #[must_use]
    pub fn button(&self, action: &str, label: &str, class: &str) -> Markup {
        self.form(action, &html! { button class=(class) { (label) } })
    }

    fn header(&self) -> Markup {
        let mut links = vec![
            ("/account", "Account"),
            ("/sessions", "Sessions"),
            ("/organizations", "Organizations"),
            ("/api-keys", "API keys"),
        ];
        if self.user.as_ref().is_some_and(is_administrator) {
            links.push(("/admin/users", "Users"));
        }
        html! {
            header { div .bar {
                a .brand href="/" { "Example" }
                @if self.user.is_some() {
                    nav aria-label="Main" {
                        @for (path, label) in links {
                            a href=(path) aria-current=[self.path.starts_with(path).then_some("page")] { (label) }
                        }
                    }
                    (self.button("/sign-out", "Sign out", "quiet"))
                }
            } }
        }
    }
}

/// Whether the user may see and ban others.
#[must_use]
pub fn is_administrator(user: &User) -> bool {
    user.role.as_deref() == Some("admin")
}

/// A page without anything of the request, for errors.
#[must_use]
pub fn bare(title: &str, content: &Markup) -> Markup {
    let header = html! { header { div .bar { a .brand href="/" { "Example" } } } };
    frame(
        title,
        &header,
        &html! { main #main .narrow { h1 { (title) } (content) } },
    )
}

fn frame(title: &str, header: &Markup, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Example" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="data:,";
            }
            body {
                a .skip href="#main" { "Skip to the content" }
                (header)
                (main)
            }
        }
    }
}

/// A field with its label.
#[must_use]
pub fn field(name: &str, label: &str, kind: &str, autocomplete: &str, value: &str) -> Markup {
    html! {
        div .field {
            label for=(name) { (label) }
            input #(name) name=(name) type=(kind) autocomplete=(autocomplete) value=(value) required;
        }
    }
}

/// A field for a new or a known password.
#[must_use]
pub fn password_field(name: &str, label: &str, autocomplete: &str) -> Markup {
    field(name, label, "password", autocomplete, "")
}

/// A field for a code of digits.
#[must_use]
pub fn code_field(label: &str) -> Markup {
    html! {
        div .field {
            label for="code" { (label) }
            input #code .code name="code" autocomplete="one-time-code" spellcheck="false" required autofocus;
        }
    }
}

/// What is wrong with what was sent.
#[must_use]
pub fn error(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p .error role="alert" { (text) } } }
}

/// A time for people.
#[must_use]
pub fn time(time: DateTime<Utc>) -> Markup {
    html! { time datetime=(time.to_rfc3339()) { (time.format("%-d %B %Y, %H:%M UTC")) } }
}

/// A path with a query.
#[must_use]
pub fn link(path: &str, query: &[(&str, &str)]) -> String {
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    format!("{path}?{query}")
}

/// What a redirect may want to be said. The query has the key, so that no text of the query reaches a page.
pub(crate) fn notice(query: &str) -> Option<&'static str> {
    let key = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("notice="))?;
    Some(match key {
        "signed-out" => "You are signed out.",
        "password" => "Your password is changed. All other sessions have ended.",
        "reset" => {
            "Your password is changed, and all sessions have ended. Sign in with the new one."
        }
        "email" => "Your address is changed.",
        "second-factor-on" => "Your second factor is on.",
        "second-factor-off" => "Your second factor is off.",
        "revoked" => "The session has ended.",
        "others-revoked" => "All other sessions have ended.",
        "linked" => "The account is linked.",
        "unlinked" => "The account is no longer linked.",
        "invited" => "The invitation is sent.",
        "joined" => "Welcome to the organization.",
        "saved" => "Saved.",
        _ => return None,
    })
}

/// The one style sheet.
pub async fn style() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, include_str!("../assets/style.css"))
}

/// What the forms with a code send.
#[derive(Deserialize)]
pub struct Code {
    /// As it was typed.
    pub code: String,
}

/// The same for a wrong code, a used one, one that has expired and one that never was.
pub(crate) const WRONG_CODE: &str =
    "This code is wrong or has expired. After three wrong codes, ask for another one.";

/// The page again, because what was sent is not as it should be.
pub(crate) fn unprocessable(page: Markup) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}
