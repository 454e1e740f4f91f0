//! What the contract says of a text in a place.

use std::time::Duration;

use better_auth::types::{
    CheckSession, CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers,
    SearchField, SearchOperator, UpdateAccount, UpdateSession, UpdateUser, UserFilter, UserSearch,
};
use serde_json::Value;

use crate::calls::{Call, Places as _, Row};
use crate::world::{TARGET, World, far_future};

/// A call of every method, or several, in which every place for text is reached.
#[allow(clippy::too_many_lines, reason = "one call per method")]
pub(crate) fn templates(world: &World) -> Vec<Call> {
    let text = || "unknown".to_owned();
    let token = || world.session.token.clone();
    let mut templates = vec![
        Call::create_user {
            user: CreateUser::new(),
        },
        Call::get_user_by_id { id: text() },
        Call::get_user_by_email { email: text() },
        Call::get_user_by_username { username: text() },
        Call::update_user {
            id: TARGET.to_owned(),
            update: changed_user(),
        },
        Call::delete_user { id: text() },
        Call::create_session {
            session: CreateSession::new(TARGET, far_future()),
        },
        Call::get_session { token: text() },
        Call::get_user_sessions { user_id: text() },
        Call::update_session_expiry {
            token: text(),
            expires_at: far_future(),
        },
        Call::delete_session { token: text() },
        Call::delete_user_sessions { user_id: text() },
        Call::delete_expired_sessions {},
        Call::create_account {
            account: new_account(TARGET),
        },
        Call::get_account {
            provider: "provider".to_owned(),
            id: "account".to_owned(),
        },
        Call::get_user_accounts { user_id: text() },
        Call::delete_account { id: text() },
        Call::create_verification {
            v: new_verification(),
        },
        Call::get_verification {
            identifier: "identifier".to_owned(),
            value: "value".to_owned(),
        },
        Call::get_verification_by_value {
            value: "value".to_owned(),
        },
        Call::delete_verification { id: text() },
        Call::delete_expired_verifications {},
        Call::get_session_with_user { token: text() },
        Call::consume_verification {
            identifier: "identifier".to_owned(),
            value: "value".to_owned(),
        },
        Call::get_verification_by_identifier {
            identifier: "identifier".to_owned(),
        },
        Call::update_session {
            token: token(),
            update: changed_session(),
        },
        Call::update_account {
            id: world.account.id.clone(),
            update: changed_account(),
        },
        Call::refresh_session {
            token: text(),
            lifetime: Duration::from_secs(3600),
            update_age: Duration::from_secs(60),
        },
        Call::check_session {
            token: text(),
            check: CheckSession::new().with_member(),
        },
        Call::delete_other_sessions {
            user_id: text(),
            keep_token: text(),
        },
        Call::delete_session_by_id {
            user_id: text(),
            id: world.session.id.clone(),
        },
        Call::get_users_by_ids { ids: vec![text()] },
        Call::ban_user {
            id: TARGET.to_owned(),
            reason: None,
            until: None,
        },
        Call::unban_user { id: text() },
        Call::link_account {
            account: new_account(TARGET),
        },
        Call::get_credential_account { user_id: text() },
        Call::consume_verification_by_identifier {
            identifier: "identifier".to_owned(),
        },
        Call::delete_verifications_by_identifier {
            identifier: "identifier".to_owned(),
        },
        Call::check_code {
            identifier: "identifier".to_owned(),
            value: "value".to_owned(),
            max_attempts: 3,
        },
        Call::reserve_verification {
            identifier: "identifier".to_owned(),
            value: "value".to_owned(),
            expires_at: far_future(),
        },
        Call::clean_up {},
        Call::begin {},
    ];
    let mut filters = vec![UserFilter::default()];
    for field in [SearchField::Email, SearchField::Username, SearchField::Name] {
        for operator in [
            SearchOperator::Equals,
            SearchOperator::StartsWith,
            SearchOperator::Contains,
        ] {
            filters.push(UserFilter {
                search: Some(UserSearch::new(field, operator, "")),
                ..UserFilter::default()
            });
        }
    }
    for filter in filters {
        let query = ListUsers::new()
            .with_limit(1000)
            .with_filter(filter.clone());
        templates.extend([Call::list_users { query }, Call::count_users { filter }]);
    }
    templates
}

/// The places of a template that are to be filled; those beside a search, only where there is none.
pub(crate) fn places(template: &Call) -> Vec<String> {
    let mut places = template.places();
    if places.iter().any(|place| place == "value") && filter(template).is_some() {
        places.retain(|place| place == "value");
    }
    places
}

fn filter(call: &Call) -> Option<&UserFilter> {
    match call {
        Call::list_users {
            query: ListUsers { filter, .. },
        }
        | Call::count_users { filter } => Some(filter),
        _ => None,
    }
}

fn changed_user() -> UpdateUser {
    UpdateUser {
        two_factor_enabled: Some(true),
        ..UpdateUser::default()
    }
}

fn changed_session() -> UpdateSession {
    UpdateSession {
        expires_at: Some(far_future()),
        ..UpdateSession::default()
    }
}

fn changed_account() -> UpdateAccount {
    UpdateAccount {
        scope: Some(None),
        ..UpdateAccount::default()
    }
}

fn new_account(user: &str) -> CreateAccount {
    CreateAccount::new(user, "provider", "account")
}

fn new_verification() -> CreateVerification {
    CreateVerification::new("identifier", "value", far_future())
}

/// Whether a call stores a new row.
pub(crate) fn creates(method: &str) -> bool {
    method.starts_with("create_") || method == "link_account"
}

/// Whether a call changes a row.
pub(crate) fn updates(method: &str) -> bool {
    method.starts_with("update_") || ["ban_user", "unban_user"].contains(&method)
}

/// Whether a call removes the row that it is given.
pub(crate) fn removes(method: &str) -> bool {
    ["delete_", "consume_"]
        .iter()
        .any(|prefix| method.starts_with(prefix))
        || method == "check_code"
}

/// Whether a place names the row that a call is about, rather than being stored.
fn is_key(method: &str, place: &str) -> bool {
    let of_update = updates(method) && ["id", "token"].contains(&place);
    let of_create = creates(method) && place == "user_id";
    let stores = updates(method) || creates(method) || method == "reserve_verification";
    of_update || of_create || !stores
}

/// The column that a place is stored in, and what it then holds.
pub(crate) fn stored<'p>(method: &str, place: &'p str, text: &str) -> Option<(&'p str, Value)> {
    if is_key(method, place) && !(creates(method) && place == "user_id") {
        return None;
    }
    let value = match place {
        "email" | "username" => without_case(text).into(),
        _ if place.starts_with("metadata") => {
            let mut metadata = serde_json::Map::new();
            metadata.fill("metadata", &mut |name| {
                (name == place).then(|| text.to_owned())
            });
            metadata.into()
        }
        _ => text.into(),
    };
    Some((column(place), value))
}

fn without_case(text: &str) -> String {
    text.to_lowercase().replace('ς', "σ")
}

fn column(place: &str) -> &str {
    match place {
        "reason" => "ban_reason",
        _ => place.split(':').next().unwrap_or(place),
    }
}

/// Whether the column of a place can hold the text there.
fn fits(place: &str, text: &str) -> bool {
    let column = column(place);
    if place == "metadata: key" && text.starts_with("$serde_json::private::") {
        return false;
    }
    let bytes = match column {
        "email" | "username" => without_case(text).len(),
        _ => text.len(),
    };
    if ["email", "username"].contains(&column) && (text.is_empty() || text.trim() != text) {
        return false;
    }
    let limit = match column {
        "id" | "user_id" | "email" | "username" | "provider_id" => 255,
        "account_id" | "identifier" => 1024,
        _ => usize::MAX,
    };
    bytes <= limit && !text.contains('\0')
}

/// What the call must answer; `held` where the text names a row that is there. `None` where any text may be right, as
/// that of a cursor.
pub(crate) fn expected(call: &Call, place: &str, text: &str, held: bool) -> Option<String> {
    let method = call.method();
    if is_key(method, place) {
        let missing = match method {
            "create_session" | "create_account" | "link_account" | "update_user" | "ban_user"
            | "unban_user" => "UserNotFound",
            "update_session" | "update_session_expiry" => "SessionNotFound",
            "update_account" => "AccountNotFound",
            "list_users" if place == "cursor" => return None,
            _ => "ok",
        };
        return Some(if held { "ok" } else { missing }.to_owned());
    }
    let column = column(place);
    Some(if fits(place, text) {
        "ok".to_owned()
    } else {
        format!("Validation {column}")
    })
}

/// The calls that make the row which the text then names; `None` where there is no such row, or the text cannot name
/// one.
pub(crate) fn held(call: &Call, place: &str, text: &str) -> Option<Vec<Call>> {
    let user = || Call::create_user {
        user: CreateUser::new(),
    };
    let session = || Call::create_session {
        session: CreateSession::new(TARGET, far_future()),
    };
    let account = || Call::create_account {
        account: new_account(TARGET),
    };
    let verification = || Call::create_verification {
        v: new_verification(),
    };
    // The calls, each with the place in it for the text.
    let calls = match (call.method(), place) {
        ("get_user_by_id" | "update_user" | "ban_user" | "unban_user", "id")
        | ("get_users_by_ids", _)
        | ("create_session" | "create_account" | "link_account", "user_id") => {
            vec![(user(), "id")]
        }
        ("get_user_by_email", _) => vec![(user(), "email")],
        ("get_user_by_username", _) => vec![(user(), "username")],
        ("delete_user", _) => vec![
            (user(), "id"),
            (session(), "user_id"),
            (account(), "user_id"),
        ],
        ("get_user_sessions" | "delete_user_sessions", _)
        | ("delete_other_sessions", "user_id") => {
            vec![(user(), "id"), (session(), "user_id")]
        }
        ("get_credential_account", _) => {
            let account = CreateAccount::new(TARGET, "credential", "account");
            let account = Call::create_account { account };
            vec![(user(), "id"), (account, "user_id")]
        }
        ("get_user_accounts", _) => vec![(user(), "id"), (account(), "user_id")],
        ("get_account", "provider") => vec![(account(), "provider_id")],
        ("get_account", _) => vec![(account(), "account_id")],
        (
            "get_verification"
            | "consume_verification"
            | "get_verification_by_value"
            | "get_verification_by_identifier"
            | "consume_verification_by_identifier"
            | "delete_verifications_by_identifier"
            | "check_code",
            place,
        ) => vec![(verification(), place)],
        ("list_users" | "count_users", _) => vec![(user(), searched(call, place)?)],
        _ => return None,
    };
    let possible = calls.iter().all(|(_, place)| fits(place, text));
    possible.then(|| {
        calls
            .into_iter()
            .map(|(call, place)| call.with(place, text))
            .collect()
    })
}

/// The place of a user that a place of a list's filter looks into.
fn searched<'p>(call: &Call, place: &'p str) -> Option<&'p str> {
    match (place, &filter(call)?.search) {
        ("role", None) => Some("role"),
        ("value", Some(search)) => Some(match search.field {
            SearchField::Email => "email",
            SearchField::Username => "username",
            SearchField::Name => "name",
            field => panic!("{field:?} is new"),
        }),
        _ => None,
    }
}

/// The calls that have to find a row.
pub(crate) fn lookups(row: &Row) -> Vec<Call> {
    let text = |column| row.text(column).map(str::to_owned);
    let mut calls = Vec::new();
    match row.table {
        "users" => {
            calls.extend(text("id").map(|id| Call::get_user_by_id { id }));
            calls.extend(text("email").map(|email| Call::get_user_by_email { email }));
            calls.extend(text("username").map(|username| Call::get_user_by_username { username }));
        }
        "sessions" => {
            calls.extend(text("token").map(|token| Call::get_session { token }));
            calls.extend(text("token").map(|token| Call::get_session_with_user { token }));
        }
        "accounts" => {
            let key = text("provider_id").zip(text("account_id"));
            calls.extend(key.map(|(provider, id)| Call::get_account { provider, id }));
            calls.extend(text("user_id").map(|user_id| Call::get_user_accounts { user_id }));
        }
        _ => {
            let key = text("identifier").zip(text("value"));
            calls.extend(
                key.map(|(identifier, value)| Call::get_verification { identifier, value }),
            );
            calls.extend(text("value").map(|value| Call::get_verification_by_value { value }));
            let by_identifier = |identifier| Call::get_verification_by_identifier { identifier };
            calls.extend(text("identifier").map(by_identifier));
        }
    }
    calls
}
