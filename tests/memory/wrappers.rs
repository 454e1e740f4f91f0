//! Shared, boxed and borrowed adapters are adapters too, with every provided method, and so are transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use better_auth::adapters::{
    DatabaseAdapter, MemoryDatabaseAdapter, OpenTransaction, Transaction, transaction,
};
use better_auth::conformance::Adapter;
use better_auth::conformance::cases::{
    account, account_links, account_updates, bans, codes, general, identifier_tokens, identifiers,
    one_time_tokens, reservations, session, session_checks, session_ids, session_refresh,
    session_updates, transaction_helper, transactions, user, user_filters, user_lists,
    user_updates,
};
use better_auth::{AuthResult, CreateUser};

/// A case, to be run on a fresh adapter.
macro_rules! case {
    ($module:ident::$case:ident) => {
        |adapter: Adapter| Box::pin($module::$case(adapter))
    };
}

type Case = fn(Adapter) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Cases that together call every provided method, and need no error on the way.
const CASES: [Case; 22] = [
    case!(user_updates::update_sets_every_column),
    case!(user::delete_takes_sessions_and_accounts),
    case!(session::session_with_user),
    case!(session::expired_sessions_are_removed),
    case!(session::what_a_list_shows_can_be_deleted),
    case!(general::clean_up_removes_what_is_dead),
    case!(session_updates::update_sets_every_column),
    case!(account_updates::update_sets_every_column),
    case!(one_time_tokens::consume_takes_all_of_the_pair),
    case!(identifiers::newest_of_an_identifier),
    case!(user_lists::pages_are_complete_and_in_order),
    case!(user::users_come_in_the_order_of_their_ids),
    case!(bans::a_ban_ends_all_sessions),
    case!(bans::a_ban_replaces_the_one_before),
    case!(session_refresh::a_due_session_is_extended),
    case!(session_checks::a_check_finds_what_is_live),
    case!(session_ids::delete_ends_one_session_of_the_user),
    case!(account_links::a_link_creates_or_refreshes),
    case!(account::the_credential_account_is_found),
    case!(identifier_tokens::delete_removes_all_of_the_identifier),
    case!(codes::wrong_codes_are_counted),
    case!(reservations::a_marker_is_set_once),
];

/// Cases that begin transactions, or see operations fail.
const MORE_CASES: [Case; 5] = [
    case!(user::create_names_the_conflict),
    case!(user_filters::filters_combine),
    case!(transactions::a_commit_makes_all_visible),
    case!(transactions::an_error_aborts),
    case!(transaction_helper::one_of_many_signs_up),
];

async fn passes(wrap: impl Fn(MemoryDatabaseAdapter) -> Adapter) {
    for case in CASES.iter().chain(&MORE_CASES) {
        case(wrap(MemoryDatabaseAdapter::new())).await;
    }
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

/// A wrapper as an application writes one. It counts the calls.
struct Counting<A> {
    inner: A,
    calls: Arc<AtomicUsize>,
}

better_auth::forward_database_adapter! {
    impl [A: DatabaseAdapter] for Counting<A>, |this| this.inner, |call| {
        this.calls.fetch_add(1, Ordering::Relaxed);
        call().await
    }
}

#[tokio::test]
async fn wrappers_made_by_the_macro_are_adapters() {
    let calls = Arc::new(AtomicUsize::new(0));
    passes(|inner| {
        let calls = Arc::clone(&calls);
        Arc::new(Counting { inner, calls })
    })
    .await;
    assert!(calls.load(Ordering::Relaxed) > CASES.len());
}

/// The default asks two getters; the wrapper hands the method on.
#[tokio::test]
async fn wrappers_hand_provided_methods_on() {
    let calls = Arc::new(AtomicUsize::new(0));
    let wrapper = Counting {
        inner: MemoryDatabaseAdapter::new(),
        calls: Arc::clone(&calls),
    };
    assert_eq!(wrapper.get_session_with_user("token").await.unwrap(), None);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    wrapper.clean_up().await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn transactions_are_adapters() {
    for case in CASES {
        let database = MemoryDatabaseAdapter::new();
        let transaction: Box<dyn Transaction> = database.begin().await.unwrap();
        case(Arc::new(transaction)).await;
        let users = database.list_users(better_auth::ListUsers::new()).await;
        assert_eq!(users.unwrap().users, [], "outside the transaction");
    }
}

#[tokio::test]
async fn what_the_helper_opens_is_an_adapter() {
    for case in CASES {
        let database = MemoryDatabaseAdapter::new();
        let done: AuthResult<()> = transaction(&database, |tx: OpenTransaction| async move {
            case(Arc::new(tx)).await;
            Ok(())
        })
        .await;
        done.unwrap();
    }
}

#[tokio::test]
async fn clones_share_the_data() {
    let database = MemoryDatabaseAdapter::new();
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let found = database.clone().get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(user));
}
