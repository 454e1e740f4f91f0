//! Promises about API keys that transactions and other callers use at once.

use super::api_keys::{HOUR, accepted, issue, of, store};
use super::transaction_races::overlap;
use super::{Adapter, assert_eq, new_user};
use crate::AuthResult;
use crate::types::{ApiKeyUse, UpdateApiKey};

pub(super) async fn of_two_transactions_one_has_the_last_use(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for round in 0..4 {
        let create = if round % 2 == 0 {
            of(&user).with_quota(1)
        } else {
            of(&user).with_rate_limit(1, HOUR)
        };
        let issued = issue(&adapter, create).await;
        let transaction = adapter.begin().await.unwrap();
        accepted(store(&*transaction).use_key(&issued.key).await.unwrap());
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            if round < 2 {
                return store(&database).use_key(&issued.key).await;
            }
            let transaction = database.begin().await?;
            let outcome = store(&*transaction).use_key(&issued.key).await?;
            transaction.commit().await?;
            AuthResult::Ok(outcome)
        })
        .await;
        let second = match second {
            Ok(outcome) => matches!(outcome, ApiKeyUse::Accepted(_)),
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                false
            }
        };
        assert!(first.is_ok() != second, "{first:?}, {second}");
    }
}

pub(super) async fn a_refused_use_in_a_transaction_is_not_counted(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let issued = issue(&adapter, of(&user).with_quota(0)).await;
    let transaction = adapter.begin().await.unwrap();
    let refused = store(&*transaction).use_key(&issued.key).await;
    assert_eq!(refused.unwrap(), ApiKeyUse::UsedUp);
    let (database, id) = (adapter.clone(), issued.row.id.clone());
    let (first, second) = overlap(transaction.commit(), async move {
        let update = UpdateApiKey::new().with_remaining(2);
        store(&database).update_api_key(&id, update).await
    })
    .await;
    assert!(first.is_ok() && second.is_ok(), "{first:?}, {second:?}");
    let found = store(&adapter).get_api_key(&issued.row.id).await.unwrap();
    assert_eq!(found.unwrap().remaining, Some(2));
}
