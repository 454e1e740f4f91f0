//! Promises about users.

use serde_json::{Value, json};

use super::{
    Adapter, account_of, an_hour_ago, assert_eq, assert_error, assert_refused, at_once, in_an_hour,
    new_session, new_user,
};
use crate::types::{CreateAccount, CreateUser, Metadata, UpdateUser, User};
use crate::{AuthError, ConflictField};

fn email(address: &str) -> CreateUser {
    CreateUser::new().with_email(address)
}

fn to_email(address: &str) -> UpdateUser {
    UpdateUser {
        email: Some(Some(address.to_owned())),
        ..UpdateUser::default()
    }
}

fn to_username(username: &str) -> UpdateUser {
    UpdateUser {
        username: Some(Some(username.to_owned())),
        ..UpdateUser::default()
    }
}

fn holding(value: Value) -> Metadata {
    Metadata::from_iter([("value".to_owned(), value)])
}

pub(super) async fn create_returns_what_every_get_returns(adapter: Adapter) {
    let create = email("ada@example.com").with_username("ada");
    let user = adapter.create_user(create).await.unwrap();
    assert_eq!(
        adapter.get_user_by_id(&user.id).await.unwrap(),
        Some(user.clone())
    );
    assert_eq!(
        adapter.get_user_by_email("ada@example.com").await.unwrap(),
        Some(user.clone())
    );
    assert_eq!(
        adapter.get_user_by_username("ada").await.unwrap(),
        Some(user)
    );
    assert_eq!(adapter.get_user_by_id("nobody").await.unwrap(), None);
    assert_eq!(adapter.get_user_by_email("nobody").await.unwrap(), None);
    assert_eq!(adapter.get_user_by_username("nobody").await.unwrap(), None);
}

pub(super) async fn empty_and_padded_names_are_refused(adapter: Adapter) {
    let user = adapter.create_user(email("ada@x.y")).await.unwrap();
    for name in [
        "",
        " ",
        " ada@x.y",
        "ada@x.y ",
        "  ada@x.y ",
        "ada@x.y\n",
        "\tada@x.y",
        "\u{a0}ada@x.y",
        "ada@x.y\u{2003}",
    ] {
        let username = CreateUser::new().with_username(name);
        for (field, answer) in [
            ("email", adapter.create_user(email(name)).await),
            ("username", adapter.create_user(username).await),
            ("email", adapter.update_user(&user.id, to_email(name)).await),
            (
                "username",
                adapter.update_user(&user.id, to_username(name)).await,
            ),
        ] {
            let is_refused = matches!(&answer, Err(AuthError::Validation { field: named, .. }) if *named == field);
            assert!(is_refused, "{name:?} as {field}: {answer:?}");
        }
        assert_eq!(adapter.get_user_by_email(name).await.unwrap(), None);
        assert_eq!(adapter.get_user_by_username(name).await.unwrap(), None);
    }
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(user));
}

pub(super) async fn a_final_sigma_is_a_sigma(adapter: Adapter) {
    let create = email("ΟΔΟΣ").with_username("οδος");
    let user = adapter.create_user(create).await.unwrap();
    assert_eq!(user.email.as_deref(), Some("οδοσ"));
    assert_eq!(user.username.as_deref(), Some("οδοσ"));
    assert_eq!(user.display_username.as_deref(), Some("οδος"));
    for name in ["ΟΔΟΣ", "οδος", "οδοσ", "Οδοσ"] {
        let by_email = adapter.get_user_by_email(name).await.unwrap();
        assert_eq!(by_email.as_ref(), Some(&user));
        let by_username = adapter.get_user_by_username(name).await.unwrap();
        assert_eq!(by_username.as_ref(), Some(&user));
        assert_error!(
            adapter.create_user(email(name)).await,
            AuthError::Conflict {
                field: ConflictField::Email
            }
        );
    }
}

pub(super) async fn create_keeps_every_field(adapter: Adapter) {
    let create = CreateUser {
        id: Some("id".to_owned()),
        name: Some("name".to_owned()),
        email: Some("email".to_owned()),
        image: Some("image".to_owned()),
        username: Some("username".to_owned()),
        display_username: Some("Display".to_owned()),
        role: Some("role".to_owned()),
        email_verified: true,
        metadata: holding(json!("value")),
    };
    let user = adapter.create_user(create.clone()).await.unwrap();
    let expected = User {
        id: "id".to_owned(),
        name: create.name,
        email: create.email,
        email_verified: true,
        image: create.image,
        username: create.username,
        display_username: create.display_username,
        two_factor_enabled: false,
        role: create.role,
        banned: false,
        ban_reason: None,
        ban_expires: None,
        metadata: create.metadata,
        created_at: user.created_at,
        updated_at: user.created_at,
    };
    assert_eq!(user, expected);
}

pub(super) async fn create_accepts_an_id(adapter: Adapter) {
    let user = adapter
        .create_user(CreateUser::new().with_id("Mine"))
        .await
        .unwrap();
    assert_eq!(user.id, "Mine");
    assert_eq!(adapter.get_user_by_id("Mine").await.unwrap(), Some(user));
    assert_eq!(adapter.get_user_by_id("mine").await.unwrap(), None);
}

pub(super) async fn create_names_the_conflict(adapter: Adapter) {
    let first = email("a@example.com").with_id("1").with_username("a");
    adapter.create_user(first).await.unwrap();
    assert_error!(
        adapter
            .create_user(email("b@example.com").with_id("1"))
            .await,
        AuthError::Conflict {
            field: ConflictField::UserId
        }
    );
    assert_error!(
        adapter
            .create_user(email("A@EXAMPLE.com").with_id("2").with_username("b"))
            .await,
        AuthError::Conflict {
            field: ConflictField::Email
        }
    );
    assert_error!(
        adapter
            .create_user(email("b@example.com").with_id("2").with_username("A"))
            .await,
        AuthError::Conflict {
            field: ConflictField::Username
        }
    );
    assert_eq!(adapter.get_user_by_id("2").await.unwrap(), None);
    assert_eq!(
        adapter.get_user_by_email("b@example.com").await.unwrap(),
        None
    );
    assert_eq!(adapter.get_user_by_username("b").await.unwrap(), None);
}

pub(super) async fn create_prefers_the_id_then_the_email(adapter: Adapter) {
    let first = email("a@example.com").with_id("1").with_username("a");
    adapter.create_user(first.clone()).await.unwrap();
    assert_error!(
        adapter.create_user(first.clone()).await,
        AuthError::Conflict {
            field: ConflictField::UserId
        }
    );
    assert_error!(
        adapter.create_user(first.clone().with_id("2")).await,
        AuthError::Conflict {
            field: ConflictField::Email
        }
    );
    assert_error!(
        adapter.create_user(first.with_image("a\0b")).await,
        AuthError::Validation { field: "image", .. }
    );
}

pub(super) async fn many_users_may_have_no_names(adapter: Adapter) {
    for _ in 0..5 {
        let user = new_user(&adapter).await;
        assert_eq!(
            (user.email, user.username, user.display_username),
            (None, None, None)
        );
    }
}

pub(super) async fn emails_compare_without_case(adapter: Adapter) {
    let user = adapter
        .create_user(email("ÄDA.Łoś@Example.COM"))
        .await
        .unwrap();
    assert_eq!(user.email.as_deref(), Some("äda.łoś@example.com"));
    for spelling in ["äda.łoś@example.com", "ÄDA.ŁOŚ@EXAMPLE.COM"] {
        let found = adapter.get_user_by_email(spelling).await.unwrap();
        assert_eq!(found, Some(user.clone()));
    }
}

pub(super) async fn usernames_compare_without_case(adapter: Adapter) {
    let create = CreateUser::new().with_username("ΆΔΑ");
    let user = adapter.create_user(create).await.unwrap();
    assert_eq!(user.username.as_deref(), Some("άδα"));
    let found = adapter.get_user_by_username("Άδα").await.unwrap();
    assert_eq!(found, Some(user));
}

pub(super) async fn a_username_keeps_its_spelling(adapter: Adapter) {
    let create = CreateUser::new().with_username("AdaLovelace");
    let user = adapter.create_user(create).await.unwrap();
    assert_eq!(user.display_username.as_deref(), Some("AdaLovelace"));
    let user = adapter
        .update_user(&user.id, to_username("LadyAda"))
        .await
        .unwrap();
    assert_eq!(user.username.as_deref(), Some("ladyada"));
    assert_eq!(user.display_username.as_deref(), Some("LadyAda"));
    let both = UpdateUser {
        display_username: Some(Some("Lady Ada".to_owned())),
        ..to_username("Ada")
    };
    let user = adapter.update_user(&user.id, both).await.unwrap();
    assert_eq!(user.display_username.as_deref(), Some("Lady Ada"));
}

pub(super) async fn keys_have_a_longest_length(adapter: Adapter) {
    let longest = "ä".repeat(127) + "x";
    let create = CreateUser::new()
        .with_id(&longest)
        .with_email(&longest)
        .with_username(&longest);
    let user = adapter.create_user(create).await.unwrap();
    let found = adapter.get_user_by_email(&longest).await.unwrap();
    assert_eq!(found, Some(user));
    let too_long = "x".repeat(256);
    assert_error!(
        adapter
            .create_user(CreateUser::new().with_id(&too_long))
            .await,
        AuthError::Validation { field: "id", .. }
    );
    assert_error!(
        adapter.create_user(email(&too_long)).await,
        AuthError::Validation { field: "email", .. }
    );
    assert_error!(
        adapter
            .create_user(CreateUser::new().with_username(&too_long))
            .await,
        AuthError::Validation {
            field: "username",
            ..
        }
    );
    assert_error!(
        adapter.update_user(&longest, to_email(&too_long)).await,
        AuthError::Validation { field: "email", .. }
    );
}

pub(super) async fn metadata_comes_back(adapter: Adapter) {
    let metadata = holding(json!({
        "": null, "a b": [true, false, "", "\u{1f600}\u{7f}\u{1}"], "nested": {"a": {"b": [[], {}]}},
        "A": 1, "a": 2,
    }));
    let user = adapter
        .create_user(CreateUser::new().with_metadata(metadata.clone()))
        .await
        .unwrap();
    assert_eq!(user.metadata, metadata);
    let update = UpdateUser {
        metadata: Some(holding(json!(1))),
        ..UpdateUser::default()
    };
    let user = adapter.update_user(&user.id, update).await.unwrap();
    assert_eq!(
        user.metadata,
        holding(json!(1)),
        "metadata is replaced whole"
    );
}

pub(super) async fn metadata_may_be_nested_to_the_limit(adapter: Adapter) {
    let nested =
        |depth: usize| holding((1..depth).fold(json!(1), |value, _| Value::Array(vec![value])));
    let create = CreateUser::new().with_metadata(nested(100));
    let user = adapter.create_user(create).await.unwrap();
    assert_eq!(user.metadata, nested(100));
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(user.clone()));
    assert_error!(
        adapter
            .create_user(CreateUser::new().with_metadata(nested(101)))
            .await,
        AuthError::Validation {
            field: "metadata",
            ..
        }
    );
    let update = UpdateUser {
        metadata: Some(nested(1000)),
        ..UpdateUser::default()
    };
    assert_error!(
        adapter.update_user(&user.id, update).await,
        AuthError::Validation {
            field: "metadata",
            ..
        }
    );
}

/// The numbers of an array. With serde_json's `arbitrary_precision`, equal ones may be written differently.
fn numbers(array: &Value) -> Vec<(Option<i64>, Option<u64>, Option<f64>)> {
    let numbers = array.as_array().into_iter().flatten();
    numbers
        .map(|number| (number.as_i64(), number.as_u64(), number.as_f64()))
        .collect()
}

pub(super) async fn metadata_numbers_come_back(adapter: Adapter) {
    let same = json!([
        0,
        -1,
        i64::MIN,
        i64::MAX,
        u64::MAX,
        0.1,
        -0.5,
        1.0,
        1.5e-7,
        5e-324,
        1e-308,
        1e300,
        1.5e300,
        f64::MAX,
        f64::MIN,
        0.1 + 0.2,
        2.225_073_858_507_201e-308,
        9_007_199_254_740_993_i64,
        123_456_789_012_345.6,
        1e22
    ]);
    let create = CreateUser::new().with_metadata(holding(same.clone()));
    let user = adapter.create_user(create).await.unwrap();
    assert_eq!(numbers(&user.metadata["value"]), numbers(&same));
    let create = CreateUser::new().with_metadata(holding(json!([1e16, -1.5e17, -0.0])));
    let user = adapter.create_user(create).await.unwrap();
    let integers = json!([
        10_000_000_000_000_000_i64,
        -150_000_000_000_000_000_i64,
        0.0
    ]);
    assert_eq!(numbers(&user.metadata["value"]), numbers(&integers));
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(user));
}

pub(super) async fn update_sets_every_column(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let text = |text: &str| Some(Some(text.to_owned()));
    let update = UpdateUser {
        name: text("name"),
        email: text("Email"),
        email_verified: Some(true),
        image: text("image"),
        username: text("Username"),
        display_username: text("Display"),
        two_factor_enabled: Some(true),
        role: text("role"),
        banned: Some(true),
        ban_reason: text("reason"),
        ban_expires: Some(Some(user.created_at)),
        metadata: Some(holding(json!(1))),
    };
    let updated = adapter.update_user(&user.id, update).await.unwrap();
    let expected = User {
        id: user.id.clone(),
        name: Some("name".to_owned()),
        email: Some("email".to_owned()),
        email_verified: true,
        image: Some("image".to_owned()),
        username: Some("username".to_owned()),
        display_username: Some("Display".to_owned()),
        two_factor_enabled: true,
        role: Some("role".to_owned()),
        banned: true,
        ban_reason: Some("reason".to_owned()),
        ban_expires: Some(user.created_at),
        metadata: holding(json!(1)),
        created_at: user.created_at,
        updated_at: updated.updated_at,
    };
    assert_eq!(updated, expected);
    let found = adapter.get_user_by_email("email").await.unwrap();
    assert_eq!(found, Some(updated.clone()));
    let one = UpdateUser {
        two_factor_enabled: Some(false),
        ..UpdateUser::default()
    };
    let changed = adapter.update_user(&user.id, one).await.unwrap();
    let expected = User {
        two_factor_enabled: false,
        updated_at: changed.updated_at,
        ..updated
    };
    assert_eq!(changed, expected);
}

pub(super) async fn update_can_set_null(adapter: Adapter) {
    let create = email("a@example.com")
        .with_username("a")
        .with_name("a")
        .with_image("a")
        .with_role("a");
    let user = adapter.create_user(create).await.unwrap();
    let update = UpdateUser {
        name: Some(None),
        email: Some(None),
        image: Some(None),
        username: Some(None),
        display_username: Some(None),
        role: Some(None),
        ..UpdateUser::default()
    };
    let user = adapter.update_user(&user.id, update).await.unwrap();
    assert_eq!(
        (
            user.name,
            user.email,
            user.image,
            user.username,
            user.display_username,
            user.role
        ),
        (None, None, None, None, None, None)
    );
    assert_eq!(
        adapter.get_user_by_email("a@example.com").await.unwrap(),
        None
    );
}

pub(super) async fn an_empty_update_changes_nothing(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let updated = adapter
        .update_user(&user.id, UpdateUser::default())
        .await
        .unwrap();
    assert_eq!(updated, user);
}

pub(super) async fn update_of_an_unknown_user_fails(adapter: Adapter) {
    for update in [UpdateUser::default(), to_email("a@example.com")] {
        assert_error!(
            adapter.update_user("nobody", update).await,
            AuthError::UserNotFound
        );
    }
    assert_error!(
        adapter.update_user("nobody", to_email("a\0b")).await,
        AuthError::Validation { field: "email", .. }
    );
}

pub(super) async fn update_keeps_its_own_names(adapter: Adapter) {
    let create = email("a@example.com").with_username("a");
    let user = adapter.create_user(create).await.unwrap();
    adapter
        .update_user(&user.id, to_email("A@example.com"))
        .await
        .unwrap();
    let user = adapter
        .update_user(&user.id, to_username("A"))
        .await
        .unwrap();
    assert_eq!(user.display_username.as_deref(), Some("A"));
    let found = adapter.get_user_by_email("a@example.com").await.unwrap();
    assert_eq!(found, Some(user));
}

pub(super) async fn update_names_the_conflict(adapter: Adapter) {
    let first = email("a@example.com").with_username("a");
    adapter.create_user(first).await.unwrap();
    let second = new_user(&adapter).await;
    assert_error!(
        adapter
            .update_user(&second.id, to_email("A@example.com"))
            .await,
        AuthError::Conflict {
            field: ConflictField::Email
        }
    );
    assert_error!(
        adapter.update_user(&second.id, to_username("A")).await,
        AuthError::Conflict {
            field: ConflictField::Username
        }
    );
    let both = UpdateUser {
        email: Some(Some("a@example.com".to_owned())),
        ..to_username("a")
    };
    assert_error!(
        adapter.update_user(&second.id, both).await,
        AuthError::Conflict {
            field: ConflictField::Email
        }
    );
}

pub(super) async fn a_refused_update_changes_nothing(adapter: Adapter) {
    adapter
        .create_user(CreateUser::new().with_username("taken"))
        .await
        .unwrap();
    let user = adapter.create_user(email("old@example.com")).await.unwrap();
    let update = UpdateUser {
        email: Some(Some("new@example.com".to_owned())),
        ..to_username("taken")
    };
    assert_error!(
        adapter.update_user(&user.id, update).await,
        AuthError::Conflict {
            field: ConflictField::Username
        }
    );
    assert_eq!(
        adapter.get_user_by_email("new@example.com").await.unwrap(),
        None
    );
    let found = adapter.get_user_by_email("old@example.com").await.unwrap();
    assert_eq!(found, Some(user));
    adapter.create_user(email("new@example.com")).await.unwrap();
}

pub(super) async fn given_up_names_are_free(adapter: Adapter) {
    let create = email("a@example.com").with_username("a");
    let user = adapter.create_user(create.clone()).await.unwrap();
    adapter
        .update_user(&user.id, to_email("b@example.com"))
        .await
        .unwrap();
    adapter
        .update_user(&user.id, to_username("b"))
        .await
        .unwrap();
    assert_eq!(
        adapter.get_user_by_email("a@example.com").await.unwrap(),
        None
    );
    let other = adapter.create_user(create).await.unwrap();
    adapter.delete_user(&other.id).await.unwrap();
    adapter
        .update_user(&user.id, to_email("a@example.com"))
        .await
        .unwrap();
    adapter
        .update_user(&user.id, to_username("a"))
        .await
        .unwrap();
}

pub(super) async fn unbanning_clears_the_ban(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let ban = UpdateUser {
        banned: Some(true),
        ban_reason: Some(Some("spam".to_owned())),
        ban_expires: Some(Some(in_an_hour())),
        ..UpdateUser::default()
    };
    let banned = adapter.update_user(&user.id, ban.clone()).await.unwrap();
    assert!(banned.banned && banned.ban_reason.is_some() && banned.ban_expires.is_some());
    let unban = UpdateUser {
        banned: Some(false),
        ..ban
    };
    let free = adapter.update_user(&user.id, unban).await.unwrap();
    assert_eq!(
        (free.banned, free.ban_reason, free.ban_expires),
        (false, None, None)
    );
}

pub(super) async fn delete_takes_sessions_and_accounts(adapter: Adapter) {
    let user = adapter
        .create_user(email("a@example.com").with_username("a"))
        .await
        .unwrap();
    let other = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let kept = new_session(&adapter, &other).await;
    adapter
        .create_account(account_of(&user, "1"))
        .await
        .unwrap();
    let kept_account = adapter
        .create_account(account_of(&other, "2"))
        .await
        .unwrap();
    adapter.delete_user(&user.id).await.unwrap();
    assert_eq!(adapter.get_user_by_id(&user.id).await.unwrap(), None);
    assert_eq!(
        adapter.get_user_by_email("a@example.com").await.unwrap(),
        None
    );
    assert_eq!(adapter.get_user_by_username("a").await.unwrap(), None);
    assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
    assert_eq!(
        adapter.get_session_with_user(&session.token).await.unwrap(),
        None
    );
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
    assert_eq!(adapter.get_account("github", "1").await.unwrap(), None);
    assert_eq!(adapter.get_user_accounts(&user.id).await.unwrap(), []);
    assert_eq!(adapter.get_session(&kept.token).await.unwrap(), Some(kept));
    assert_eq!(
        adapter.get_account("github", "2").await.unwrap(),
        Some(kept_account)
    );
    adapter
        .create_account(CreateAccount::new(&other.id, "github", "1"))
        .await
        .unwrap();
}

pub(super) async fn delete_succeeds_twice(adapter: Adapter) {
    let user = new_user(&adapter).await;
    adapter.delete_user(&user.id).await.unwrap();
    adapter.delete_user(&user.id).await.unwrap();
    assert_error!(
        adapter.update_user(&user.id, UpdateUser::default()).await,
        AuthError::UserNotFound
    );
}

pub(super) async fn one_of_many_gets_the_email(adapter: Adapter) {
    let answers = at_once(16, |index| {
        let adapter = adapter.clone();
        async move {
            let address = if index % 2 == 0 {
                "a@example.com"
            } else {
                "A@Example.com"
            };
            adapter.create_user(email(address)).await
        }
    })
    .await;
    let mut winners = answers.into_iter().filter_map(|answer| match answer {
        Ok(user) => Some(user),
        Err(error) => {
            let taken = AuthError::Conflict {
                field: ConflictField::Email,
            };
            assert_eq!(error.to_string(), taken.to_string());
            None
        }
    });
    let winner = winners.next();
    assert!(winner.is_some() && winners.next().is_none());
    assert_eq!(
        adapter.get_user_by_email("a@example.com").await.unwrap(),
        winner
    );
}

pub(super) async fn names_swapped_at_once_stay_unique(adapter: Adapter) {
    let mut users = Vec::new();
    for name in ["a", "b", "c"] {
        let create = email(name).with_username(name);
        users.push(adapter.create_user(create).await.unwrap().id);
    }
    at_once(6, |index| {
        let adapter = adapter.clone();
        let users = users.clone();
        async move {
            for round in 0..15 {
                let name = ["a", "b", "c", "d"][(index + round) % 4];
                let update = UpdateUser {
                    email: Some(Some(name.to_owned())),
                    ..to_username(["d", "c", "b", "a"][(index * round) % 4])
                };
                match adapter
                    .update_user(&users[(index + 2 * round) % 3], update)
                    .await
                {
                    Ok(_) | Err(AuthError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    })
    .await;
    for id in &users {
        let user = adapter.get_user_by_id(id).await.unwrap().unwrap();
        let by_email = adapter
            .get_user_by_email(user.email.as_deref().unwrap())
            .await
            .unwrap();
        let by_username = adapter
            .get_user_by_username(user.username.as_deref().unwrap())
            .await
            .unwrap();
        assert_eq!(by_email.as_ref(), Some(&user));
        assert_eq!(by_username.as_ref(), Some(&user));
        assert!(user.created_at > an_hour_ago());
    }
}

pub(super) async fn unban_ends_a_ban(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let ban = UpdateUser::new()
        .with_banned(true)
        .with_ban_reason("spam")
        .with_ban_expires(in_an_hour());
    adapter.update_user(&user.id, ban).await.unwrap();
    let unbanned = adapter.unban_user(&user.id).await.unwrap();
    let expected = User {
        updated_at: unbanned.updated_at,
        ..user.clone()
    };
    assert_eq!(unbanned, expected);
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(unbanned));
    for id in ["unknown", "a\0b"] {
        assert_error!(adapter.unban_user(id).await, AuthError::UserNotFound);
    }
}

pub(super) async fn users_come_in_the_order_of_their_ids(adapter: Adapter) {
    let (a, b, c) = (
        new_user(&adapter).await,
        new_user(&adapter).await,
        new_user(&adapter).await,
    );
    let ids = [
        "unknown",
        &c.id,
        &a.id,
        "a\0b",
        &b.id,
        &a.id,
        &"x".repeat(5000),
    ];
    let found = adapter.get_users_by_ids(&ids.map(str::to_owned)).await;
    assert_eq!(found.unwrap(), [c, a.clone(), b, a]);
    assert_eq!(adapter.get_users_by_ids(&[]).await.unwrap(), []);
    let impossible = ["a\0b".to_owned()];
    assert_eq!(adapter.get_users_by_ids(&impossible).await.unwrap(), []);
}

pub(super) async fn a_thousand_ids_are_looked_up_at_most(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let mut ids = vec!["unknown".to_owned(); 999];
    ids.push(user.id.clone());
    assert_eq!(adapter.get_users_by_ids(&ids).await.unwrap(), [user]);
    ids.push("unknown".to_owned());
    assert_refused("ids", adapter.get_users_by_ids(&ids).await);
}
