//! Promises about the metadata of users.

use serde_json::{Value, json};

use super::user::{email, holding};
use super::{Adapter, assert_eq, assert_error, assert_refused, new_user};
use crate::AuthError;
use crate::types::{CreateUser, Metadata, UpdateUser};

/// The numbers of an array. With serde_json's `arbitrary_precision`, equal ones may be written differently.
fn numbers(array: &Value) -> Vec<(Option<i64>, Option<u64>, Option<f64>)> {
    let numbers = array.as_array().into_iter().flatten();
    numbers
        .map(|number| (number.as_i64(), number.as_u64(), number.as_f64()))
        .collect()
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

pub(super) async fn reserved_metadata_keys_are_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for key in ["Number", "RawValue", ""] {
        let key = format!("$serde_json::private::{key}");
        for text in ["x", "[1]", "1"] {
            for metadata in [
                Metadata::from_iter([(key.clone(), text.into())]),
                holding(json!({ &key: text })),
                holding(json!([{ "a": [{ &key: text }] }])),
                holding(json!({ "a": 1, &key: text })),
            ] {
                let create = email("ada@example.com").with_metadata(metadata.clone());
                assert_refused("metadata", adapter.create_user(create).await);
                let update = UpdateUser::new().with_metadata(metadata);
                assert_refused("metadata", adapter.update_user(&user.id, update).await);
            }
        }
    }
    let found = adapter.get_user_by_email("ada@example.com").await.unwrap();
    assert_eq!(found, None);
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(user.clone()));
    // Elsewhere it is text.
    let text = holding("$serde_json::private::RawValue".into());
    let update = UpdateUser::new().with_metadata(text.clone());
    let user = adapter.update_user(&user.id, update).await.unwrap();
    assert_eq!(user.metadata, text);
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

pub(super) async fn metadata_numbers_have_a_longest_text(adapter: Adapter) {
    let large = |count| holding(Value::Array(vec![json!(1e308); count]));
    let user = new_user(&adapter).await;
    for metadata in [large(60_000), holding(json!({ "a": [large(60_000)] }))] {
        let create = email("ada@example.com").with_metadata(metadata.clone());
        assert_refused("metadata", adapter.create_user(create).await);
        let update = UpdateUser::new().with_metadata(metadata);
        assert_refused("metadata", adapter.update_user(&user.id, update).await);
    }
    let found = adapter.get_user_by_email("ada@example.com").await.unwrap();
    assert_eq!(found, None);
    let update = UpdateUser::new().with_metadata(large(5000));
    let updated = adapter.update_user(&user.id, update).await.unwrap();
    assert_eq!(
        numbers(&updated.metadata["value"]),
        numbers(&large(5000)["value"])
    );
}
