//! Shared, boxed and borrowed adapters are adapters too, with every provided method.

use std::sync::Arc;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::conformance::{Adapter, session, supports_every_provided_method, user};

/// A few cases on a fresh adapter each.
async fn passes(wrap: impl Fn(MemoryDatabaseAdapter) -> Adapter) {
    let adapter = || wrap(MemoryDatabaseAdapter::new());
    supports_every_provided_method(adapter()).await;
    user::update_sets_every_column(adapter()).await;
    user::delete_takes_sessions_and_accounts(adapter()).await;
    session::session_with_user(adapter()).await;
    session::expired_sessions_are_removed(adapter()).await;
}

#[tokio::test]
async fn arcs_are_adapters() {
    passes(|adapter| {
        let shared: Arc<dyn DatabaseAdapter> = Arc::new(adapter);
        Arc::new(shared)
    })
    .await;
}

#[tokio::test]
async fn boxes_are_adapters() {
    passes(|adapter| {
        let boxed: Box<dyn DatabaseAdapter> = Box::new(adapter);
        Arc::new(boxed)
    })
    .await;
}

#[tokio::test]
async fn references_are_adapters() {
    passes(|adapter| {
        let borrowed: &'static dyn DatabaseAdapter = Box::leak(Box::new(adapter));
        Arc::new(borrowed)
    })
    .await;
}

#[tokio::test]
async fn clones_share_the_data() {
    let database = MemoryDatabaseAdapter::new();
    let user = database
        .create_user(better_auth::CreateUser::new())
        .await
        .unwrap();
    let found = database.clone().get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(user));
}
