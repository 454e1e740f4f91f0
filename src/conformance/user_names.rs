//! Promises about the emails and usernames of users.

use super::user::{email, to_email, to_username};
use super::{Adapter, an_hour_ago, assert_eq, assert_error, at_once, new_user};
use crate::types::{CreateUser, UpdateUser};
use crate::{AuthError, ConflictField};

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
