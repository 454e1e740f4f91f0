//! Promises about `get_verification_by_identifier`.

use super::{Adapter, assert_eq, assert_refused, code, expired_code, new_hashed};
use crate::types::Verification;

pub(super) async fn newest_of_an_identifier(adapter: Adapter) {
    adapter.create_verification(code("a", "1")).await.unwrap();
    let newest = adapter.create_verification(code("a", "2")).await.unwrap();
    adapter
        .create_verification(expired_code("a", "3"))
        .await
        .unwrap();
    adapter.create_verification(code("b", "4")).await.unwrap();
    let found = adapter.get_verification_by_identifier("a").await.unwrap();
    assert_eq!(found, Some(newest));
    assert_eq!(
        adapter.get_verification_by_identifier("A").await.unwrap(),
        None
    );
}

pub(super) async fn the_next_newest_is_found(adapter: Adapter) {
    let first = adapter.create_verification(code("a", "1")).await.unwrap();
    let second = adapter.create_verification(code("a", "1")).await.unwrap();
    for expected in [Some(&second), Some(&first), None] {
        let found = adapter.get_verification_by_identifier("a").await.unwrap();
        assert_eq!(found.as_ref(), expected);
        if let Some(row) = found {
            adapter.delete_verification(&row.id).await.unwrap();
        }
    }
    adapter
        .create_verification(expired_code("a", "1"))
        .await
        .unwrap();
    let found = adapter.get_verification_by_identifier("a").await.unwrap();
    assert_eq!(found, None);
}

pub(super) async fn impossible_identifiers_find_nothing(adapter: Adapter) {
    let longest = "ä".repeat(512);
    let row = adapter
        .create_verification(code(&longest, "1"))
        .await
        .unwrap();
    let found = adapter.get_verification_by_identifier(&longest).await;
    assert_eq!(found.unwrap(), Some(row));
    for impossible in ["a\0b".to_owned(), "x".repeat(5000), "%".to_owned()] {
        let found = adapter.get_verification_by_identifier(&impossible).await;
        assert_eq!(found.unwrap(), None);
    }
}

pub(super) async fn hashed_values_are_not_shown(adapter: Adapter) {
    let Some(row) = new_hashed(&*adapter, code("a", "493027")).await else {
        return;
    };
    let shown = adapter.get_verification_by_identifier("a").await.unwrap();
    let shown = shown.unwrap();
    assert!(
        !shown.value.contains("493027"),
        "the row shows the value that was to be hashed"
    );
    let value = shown.value.clone();
    assert_eq!(
        Verification {
            value: row.value.clone(),
            ..shown
        },
        row
    );
    for found in [
        adapter.get_verification("a", &value).await.unwrap(),
        adapter.get_verification_by_value(&value).await.unwrap(),
    ] {
        assert_eq!(found, None);
    }
    for again in [code("a", &value), code("a", &value).hashed()] {
        assert_refused("value", adapter.create_verification(again).await);
    }
    let found = adapter.get_verification("a", "493027").await.unwrap();
    assert_eq!(found, Some(row));
}
