//! Promises about numbers of any precision, for an application that has switched on serde_json's `arbitrary_precision`.

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{CreateUser, Metadata, UpdateUser, User};
use better_auth::{AuthError, AuthResult};
use serde_json::Value;

fn metadata(json: &str) -> Metadata {
    Metadata::from_iter([("value".to_owned(), serde_json::from_str(json).unwrap())])
}

fn is_refused(answer: &AuthResult<User>) -> bool {
    matches!(
        answer,
        Err(AuthError::Validation {
            field: "metadata",
            ..
        })
    )
}

pub(crate) async fn numbers_come_back_as_jsonb_writes_them(adapter: &dyn DatabaseAdapter) {
    let zeros = |count| "0".repeat(count);
    for (written, stored) in [
        ("123456789012345678901234567890", None),
        ("-123456789012345678901234567890.5", None),
        ("1E400", Some(format!("1{}", zeros(400)))),
        ("-1.5e400", Some(format!("-15{}", zeros(399)))),
        ("-0", Some("0".to_owned())),
        ("1e-400", Some(format!("0.{}1", zeros(399)))),
        ("1.50", None),
        ("9e131071", Some(format!("9{}", zeros(131_071)))),
    ] {
        let stored = stored.unwrap_or_else(|| written.to_owned());
        for form in ["{}", "[1,{}]", r#"{"a":[[{}]]}"#] {
            let [json, expected] = [written, &stored].map(|number| form.replace("{}", number));
            let create = CreateUser::new().with_metadata(metadata(&json));
            let created = adapter.create_user(create).await.unwrap();
            let found = adapter.get_user_by_id(&created.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(&created), "{json}");
            assert_eq!(created.metadata["value"].to_string(), expected);
            let update = UpdateUser::new().with_metadata(created.metadata.clone());
            let updated = adapter.update_user(&created.id, update).await.unwrap();
            assert_eq!(updated.metadata, created.metadata, "{json}, stored again");
        }
    }
}

pub(crate) async fn numbers_beyond_jsonb_are_refused(adapter: &dyn DatabaseAdapter) {
    let user = adapter.create_user(CreateUser::new()).await.unwrap();
    let many = format!("[{}1]", "1e131071,".repeat(200));
    for json in ["1e200000", "[1,1e131072]", r#"{"a":1e-16384}"#, &many] {
        let create = CreateUser::new().with_metadata(metadata(json));
        let answer = adapter.create_user(create).await;
        assert!(is_refused(&answer), "{answer:?}");
        let update = UpdateUser::new().with_metadata(metadata(json));
        let answer = adapter.update_user(&user.id, update).await;
        assert!(is_refused(&answer), "{answer:?}");
    }
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(user));
    // A key of serde_json's own would be read back as a number.
    let number = Value::from_iter([("$serde_json::private::Number", "1")]);
    let own = Metadata::from_iter([("value".to_owned(), number)]);
    let answer = adapter.create_user(CreateUser::new().with_metadata(own));
    assert!(is_refused(&answer.await));
}
