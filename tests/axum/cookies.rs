//! What the cookie looks like, and what forged ones get.

use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, COOKIE};
use axum::response::IntoResponse as _;
use better_auth::AuthError;
use better_auth::adapters::input;
use better_auth::axum::{AuthState, SameSite, SessionCookie};
use better_auth::chrono::{TimeDelta, Utc};
use better_auth::types::Session;

use crate::{App, BEARER, bearer, new_database};

fn shown(cookie: &SessionCookie) -> String {
    let value = cookie.header_value().unwrap();
    value.to_str().unwrap().to_owned()
}

fn session(token: &str) -> Session {
    let now = Utc::now();
    Session::new("id", token, "user", now + TimeDelta::seconds(100), now)
}

#[test]
fn the_cookie_has_safe_attributes() {
    let auth = AuthState::new(new_database());
    let cookie = shown(&auth.cookie(&session("token")));
    let attributes = "; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=";
    let seconds = cookie.strip_prefix(&format!("__Host-session=token{attributes}"));
    assert!(matches!(seconds, Some("99" | "100")), "{cookie}");
    let removal = format!("__Host-session={attributes}0");
    assert_eq!(shown(&auth.removal_cookie()), removal);
    // One that has ended meanwhile.
    let ended = Session {
        expires_at: Utc::now() - TimeDelta::days(1),
        ..session("token")
    };
    assert!(shown(&auth.cookie(&ended)).ends_with("Max-Age=0"));
}

#[test]
fn attributes_decide_the_prefix() {
    let builder = || AuthState::builder(new_database()).cookie_name("id");
    for (builder, expected) in [
        (
            builder().same_site(SameSite::Strict),
            "__Host-id=; Path=/; HttpOnly; Secure; SameSite=Strict; Max-Age=0",
        ),
        (
            builder().cookie_domain("example.com"),
            "__Secure-id=; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax; Max-Age=0",
        ),
        (
            builder().cookie_path("/app").same_site(SameSite::None),
            "__Secure-id=; Path=/app; HttpOnly; Secure; SameSite=None; Max-Age=0",
        ),
        (
            builder().plain_http(true),
            "id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
        ),
    ] {
        let auth = builder.build().unwrap();
        assert_eq!(shown(&auth.removal_cookie()), expected);
        assert!(expected.starts_with(&format!("{}=", auth.cookie_name())));
    }
}

#[test]
fn impossible_settings_are_refused() {
    let builder = || AuthState::builder(new_database());
    let long = std::time::Duration::MAX;
    for (builder, expected) in [
        (builder().cookie_name(""), "cookie_name"),
        (builder().cookie_name("a b"), "cookie_name"),
        (builder().cookie_name("a=b"), "cookie_name"),
        (builder().cookie_name("ä"), "cookie_name"),
        (builder().cookie_path("app"), "cookie_path"),
        (
            builder().cookie_path("/; Domain=evil.example"),
            "cookie_path",
        ),
        (builder().cookie_domain(""), "cookie_domain"),
        (
            builder().cookie_domain("a\r\nSet-Cookie: b"),
            "cookie_domain",
        ),
        (
            builder().plain_http(true).same_site(SameSite::None),
            "same_site",
        ),
        (builder().lifetime(long), "lifetime"),
        (builder().lifetime(long).fixed_lifetime(), "lifetime"),
        (builder().update_age(long), "update_age"),
    ] {
        match builder.build() {
            Err(AuthError::Validation { field, .. }) => assert_eq!(field, expected),
            built => panic!("{built:?} instead of `Validation` of {expected}"),
        }
    }
}

/// Nothing is looked up for a token that no session can have.
#[tokio::test]
async fn an_impossible_token_takes_no_lookup() {
    let app = App::new();
    let (_, session) = app.signed_in("Ada").await;
    let token = session.token.as_str();
    let digest = format!("sha256:{}", "0a".repeat(32));
    let long = token.repeat(500);
    let with_space = format!("{} {}", &token[..20], &token[20..]);
    let impossible = [
        "1",
        &token[..31],
        &long,
        &digest,
        &with_space,
        "' OR TRUE --' OR TRUE --' OR TRUE --' OR TRUE --",
        "<script>alert(document.cookie)</script>__",
        "%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00",
        "ääääääääääääääääääääääääääääääääääääääääääää",
    ];
    for token in impossible {
        for (name, value) in [
            (COOKIE, format!("__Host-session={token}")),
            (BEARER, format!("Bearer {token}")),
        ] {
            let before = app.calls();
            let answer = app.get("/user", &[(name.clone(), &value)]).await;
            assert_eq!(
                answer.refusal(),
                (401, "Unauthenticated".to_owned()),
                "{value}"
            );
            assert!(!answer.body.contains(token), "{}", answer.body);
            let answer = app.get("/optional", &[(name, &value)]).await;
            assert_eq!(answer.body, "a stranger");
            assert_eq!(app.calls(), before, "{value}");
        }
    }
}

#[tokio::test]
async fn a_forged_token_signs_nobody_in() {
    let app = App::new();
    let (_, session) = app.signed_in("Ada").await;
    let other_case: String = session.token.chars().map(swap_case).collect();
    for token in [
        input::new_token().unwrap(),
        other_case,
        format!("{}=", session.token),
    ] {
        let forged = Session {
            token,
            ..session.clone()
        };
        let (answer, calls) = app.get_with_cookie("/user", &app.cookie(&forged)).await;
        assert_eq!(answer.refusal(), (401, "Unauthenticated".to_owned()));
        assert_eq!(calls, 1);
    }
}

fn swap_case(letter: char) -> char {
    if letter.is_ascii_lowercase() {
        letter.to_ascii_uppercase()
    } else {
        letter.to_ascii_lowercase()
    }
}

/// Tokens of Better Auth (TypeScript), of sessions that were imported, have 32 letters and digits.
#[tokio::test]
async fn a_token_of_another_program_is_looked_up() {
    let app = App::new();
    let (answer, calls) = app
        .get_with_cookie("/user", "__Host-session=aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dE")
        .await;
    assert_eq!((answer.status.as_u16(), calls), (401, 1));
}

/// Of several, one may have been planted by another site of the domain, or be left from before; nobody knows which.
#[tokio::test]
async fn several_tokens_are_refused() {
    let app = App::new();
    let (_, ada) = app.signed_in("Ada").await;
    let (_, bob) = app.signed_in("Bob").await;
    let (ada_cookie, bob_cookie) = (app.cookie(&ada), app.cookie(&bob));
    let (ada_token, bob_token) = (bearer(&ada), bearer(&bob));
    let together = format!("{ada_cookie}; {bob_cookie}");
    let twice = format!("{ada_cookie};{ada_cookie}");
    let cases: [&[(HeaderName, &str)]; 5] = [
        &[(COOKIE, &together)],
        &[(COOKIE, &twice)],
        &[(COOKIE, &ada_cookie), (COOKIE, &bob_cookie)],
        &[(COOKIE, "__Host-session=; __Host-session=")],
        &[(BEARER, &ada_token), (BEARER, &bob_token)],
    ];
    let before = app.calls();
    for headers in cases {
        for path in ["/user", "/optional", "/optional-member"] {
            let answer = app.get(path, headers).await;
            assert_eq!(answer.refusal(), (400, "Malformed".to_owned()));
        }
    }
    assert_eq!(app.calls(), before);
}

#[test]
fn a_response_with_the_cookie_is_not_cached() {
    let auth = AuthState::new(new_database());
    let cookie = || auth.removal_cookie();
    let response = cookie().into_response();
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    for (said, kept) in [
        ("public, max-age=60", "no-store"),
        ("private, max-age=60", "private, max-age=60"),
        ("No-Store", "No-Store"),
    ] {
        let response = (cookie(), [(CACHE_CONTROL, said)], "body").into_response();
        let before = response.headers()[CACHE_CONTROL].to_str().unwrap();
        assert!([said, kept].contains(&before));
        let response = ([(CACHE_CONTROL, said)], cookie(), "body").into_response();
        assert_eq!(response.headers()[CACHE_CONTROL], kept);
    }
}

/// No log shows the token.
#[tokio::test]
async fn debug_output_has_no_token() {
    let app = App::new();
    let (user, session) = app.signed_in("Ada").await;
    let cookie = app.auth.cookie(&session);
    let headers = cookie.clone().into_response().headers().clone();
    let current = better_auth::axum::CurrentSession {
        session: session.clone(),
        user,
    };
    let shown = format!("{cookie:?} {headers:?} {current:?} {:?}", app.auth);
    assert!(!shown.contains(&session.token), "{shown}");
}

/// An adapter of the application's own may hand out any text.
#[test]
fn a_token_that_is_no_value_of_a_cookie_is_not_sent() {
    let auth = AuthState::new(new_database());
    for token in ["a;b", "a b", "a\r\nb", "ä", "\""] {
        let cookie = auth.cookie(&session(token));
        assert_eq!(cookie.header_value(), None);
        assert!(cookie.into_response().headers().is_empty());
    }
}
