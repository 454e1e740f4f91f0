//! Promises about verifications.

use super::{
    Adapter, assert_eq, assert_error, assert_refused, at_once, code, expired_code, new_hashed,
    value_digest,
};
use crate::AuthError;

pub(super) async fn create_returns_what_every_get_returns(adapter: Adapter) {
    let row = adapter
        .create_verification(code("Ada", "123"))
        .await
        .unwrap();
    assert_eq!(
        (row.identifier.as_str(), row.value.as_str()),
        ("Ada", "123")
    );
    assert_eq!(row.updated_at, row.created_at);
    assert_eq!(
        adapter.get_verification("Ada", "123").await.unwrap(),
        Some(row.clone())
    );
    assert_eq!(
        adapter.get_verification_by_value("123").await.unwrap(),
        Some(row)
    );
    assert_eq!(adapter.get_verification("ada", "123").await.unwrap(), None);
    assert_eq!(adapter.get_verification("Ada", "124").await.unwrap(), None);
    assert_eq!(
        adapter.get_verification_by_value("124").await.unwrap(),
        None
    );
}

pub(super) async fn only_live_verifications_are_found(adapter: Adapter) {
    adapter
        .create_verification(expired_code("a", "1"))
        .await
        .unwrap();
    assert_eq!(adapter.get_verification("a", "1").await.unwrap(), None);
    assert_eq!(adapter.get_verification_by_value("1").await.unwrap(), None);
}

pub(super) async fn the_newest_is_found(adapter: Adapter) {
    adapter.create_verification(code("a", "1")).await.unwrap();
    let newest = adapter.create_verification(code("a", "1")).await.unwrap();
    adapter
        .create_verification(expired_code("a", "1"))
        .await
        .unwrap();
    assert_eq!(
        adapter.get_verification("a", "1").await.unwrap(),
        Some(newest.clone())
    );
    assert_eq!(
        adapter.get_verification_by_value("1").await.unwrap(),
        Some(newest)
    );
    let newest = adapter.create_verification(code("b", "1")).await.unwrap();
    assert_eq!(
        adapter.get_verification_by_value("1").await.unwrap(),
        Some(newest)
    );
}

pub(super) async fn an_identifier_holds_several_values(adapter: Adapter) {
    let first = adapter.create_verification(code("a", "1")).await.unwrap();
    let second = adapter.create_verification(code("a", "2")).await.unwrap();
    assert_eq!(
        adapter.get_verification("a", "1").await.unwrap(),
        Some(first)
    );
    assert_eq!(
        adapter.get_verification("a", "2").await.unwrap(),
        Some(second)
    );
}

pub(super) async fn identifiers_have_a_longest_length(adapter: Adapter) {
    let longest = "ä".repeat(512);
    let row = adapter
        .create_verification(code(&longest, "1"))
        .await
        .unwrap();
    assert_eq!(
        adapter.get_verification(&longest, "1").await.unwrap(),
        Some(row)
    );
    assert_error!(
        adapter
            .create_verification(code(&"x".repeat(1025), "1"))
            .await,
        AuthError::Validation {
            field: "identifier",
            ..
        }
    );
}

pub(super) async fn values_may_be_megabytes(adapter: Adapter) {
    let long = "ü!".repeat(1_000_000);
    let row = adapter.create_verification(code("a", &long)).await.unwrap();
    assert_eq!(
        adapter.get_verification("a", &long).await.unwrap(),
        Some(row.clone())
    );
    assert_eq!(
        adapter.get_verification_by_value(&long).await.unwrap(),
        Some(row)
    );
    assert_eq!(
        adapter.get_verification_by_value(&long[2..]).await.unwrap(),
        None
    );
}

pub(super) async fn hashed_values_are_found_or_refused(adapter: Adapter) {
    for value in ["493027", "", "Ω", &"x".repeat(100_000)] {
        let plain = adapter.create_verification(code("a", value)).await.unwrap();
        let newest = new_hashed(&*adapter, code("b", value)).await;
        let newest = newest.unwrap_or_else(|| plain.clone());
        let found = adapter.get_verification_by_value(value).await.unwrap();
        assert_eq!(found, Some(newest.clone()));
        for row in [&plain, &newest] {
            let found = adapter.get_verification(&row.identifier, value).await;
            assert_eq!(found.unwrap().as_ref(), Some(row));
        }
        let found = adapter.get_verification("b", "493028").await.unwrap();
        assert_eq!(found, None);
        // The newest of both kinds.
        let newest = adapter.create_verification(code("b", value)).await.unwrap();
        let found = adapter.get_verification("b", value).await.unwrap();
        assert_eq!(found, Some(newest));
        new_hashed(&*adapter, expired_code("c", value)).await;
        let found = adapter.get_verification("c", value).await.unwrap();
        assert_eq!(found, None);
    }
    let nul = code("a", "a\0b").hashed();
    assert_refused("value", adapter.create_verification(nul).await);
}

pub(super) async fn digests_are_no_values(adapter: Adapter) {
    let digest = value_digest();
    for create in [code("a", &digest), code("a", &digest).hashed()] {
        assert_refused("value", adapter.create_verification(create).await);
    }
    let found = adapter.get_verification("a", &digest).await.unwrap();
    assert_eq!(found, None);
    let found = adapter.get_verification_by_value(&digest).await.unwrap();
    assert_eq!(found, None);
    // What is almost one is data.
    for value in [
        digest.to_uppercase(),
        format!("{digest} "),
        digest.replace("sha256", "sha1"),
        digest[1..].to_owned(),
    ] {
        let row = adapter
            .create_verification(code("a", &value))
            .await
            .unwrap();
        let found = adapter.get_verification("a", &value).await.unwrap();
        assert_eq!(found, Some(row));
    }
}

pub(super) async fn delete_removes_one(adapter: Adapter) {
    let first = adapter.create_verification(code("a", "1")).await.unwrap();
    let second = adapter.create_verification(code("a", "1")).await.unwrap();
    adapter.delete_verification(&second.id).await.unwrap();
    adapter.delete_verification(&second.id).await.unwrap();
    assert_eq!(
        adapter.get_verification("a", "1").await.unwrap(),
        Some(first)
    );
}

pub(super) async fn expired_verifications_are_removed(adapter: Adapter) {
    let live = adapter.create_verification(code("a", "1")).await.unwrap();
    at_once(4, |_| {
        let adapter = adapter.clone();
        async move {
            for _ in 0..260 {
                adapter
                    .create_verification(expired_code("a", "1"))
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 1040);
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
    assert_eq!(
        adapter.get_verification("a", "1").await.unwrap(),
        Some(live)
    );
}
