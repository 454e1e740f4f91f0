//! Promises about the pages of `list_users`.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Adapter, assert_eq, assert_error, new_user};
use crate::AuthError;
use crate::adapters::DatabaseAdapter;
use crate::types::{
    CreateUser, ListUsers, SearchField, SearchOperator, UpdateUser, User, UserFilter, UserOrder,
    UserPage, UserSearch,
};

pub(super) const ORDERS: [UserOrder; 2] = [UserOrder::NewestFirst, UserOrder::OldestFirst];

/// Sorts users as a list does.
pub(super) fn sort(users: &mut [User], order: UserOrder) {
    users.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    if order == UserOrder::NewestFirst {
        users.reverse();
    }
}

/// All users of a query, page by page.
pub(super) async fn paged(adapter: &dyn DatabaseAdapter, mut query: ListUsers) -> Vec<User> {
    let limit = usize::try_from(query.limit).unwrap();
    let mut users = Vec::new();
    loop {
        let page = adapter.list_users(query.clone()).await.unwrap();
        let Some(cursor) = page.next_cursor else {
            assert!(page.users.len() <= limit, "a page is longer than the limit");
            let needless = page.users.is_empty() && !users.is_empty();
            assert!(!needless, "a cursor led to an empty page");
            users.extend(page.users);
            return users;
        };
        assert_eq!(page.users.len(), limit, "a page is not full");
        users.extend(page.users);
        assert!(users.len() < 10_000, "the pages have no end");
        query = query.with_cursor(cursor);
    }
}

fn pages_of(limit: u32, order: UserOrder) -> ListUsers {
    ListUsers::new().with_limit(limit).with_order(order)
}

async fn new_users(adapter: &dyn DatabaseAdapter, count: usize) -> Vec<User> {
    let mut users = Vec::new();
    for _ in 0..count {
        users.push(new_user(adapter).await);
    }
    users
}

pub(super) async fn an_empty_store_has_an_empty_page(adapter: Adapter) {
    for order in ORDERS {
        let page = adapter.list_users(pages_of(1, order)).await.unwrap();
        assert_eq!(page, UserPage::default());
    }
    let count = adapter.count_users(UserFilter::default()).await.unwrap();
    assert_eq!(count, 0);
}

pub(super) async fn pages_are_complete_and_in_order(adapter: Adapter) {
    let mut users = new_users(&adapter, 5).await;
    for id in ["0", "z", "Ü", "\u{10ffff}"] {
        let create = CreateUser::new().with_id(id).with_name(id);
        users.push(adapter.create_user(create).await.unwrap());
    }
    for order in ORDERS {
        sort(&mut users, order);
        for limit in 1..=10 {
            let listed = paged(&adapter, pages_of(limit, order)).await;
            assert_eq!(listed, users, "pages of {limit}, {order:?}");
        }
        let listed = paged(&adapter, pages_of(1000, order)).await;
        assert_eq!(listed, users);
    }
    let count = adapter.count_users(UserFilter::default()).await.unwrap();
    assert_eq!(count, 9);
}

pub(super) async fn the_default_is_the_newest_hundred(adapter: Adapter) {
    let mut users = new_users(&adapter, 103).await;
    sort(&mut users, UserOrder::NewestFirst);
    let first = adapter.list_users(ListUsers::new()).await.unwrap();
    assert_eq!(first.users, users[..100]);
    let cursor = first.next_cursor.expect("three more users");
    let next = ListUsers::new().with_cursor(cursor);
    let next = adapter.list_users(next).await.unwrap();
    assert_eq!(next.users, users[100..]);
    assert_eq!(next.next_cursor, None);
}

pub(super) async fn lists_show_what_is_stored(adapter: Adapter) {
    let users = new_users(&adapter, 3).await;
    let update = UpdateUser {
        name: Some(Some("Ada".to_owned())),
        ..UpdateUser::default()
    };
    let changed = adapter.update_user(&users[0].id, update).await.unwrap();
    adapter.delete_user(&users[1].id).await.unwrap();
    let mut expected = vec![changed, users[2].clone()];
    for order in ORDERS {
        sort(&mut expected, order);
        assert_eq!(paged(&adapter, pages_of(2, order)).await, expected);
    }
    let count = adapter.count_users(UserFilter::default()).await.unwrap();
    assert_eq!(count, 2);
}

pub(super) async fn pages_are_stable_while_users_come_and_go(adapter: Adapter) {
    for order in ORDERS {
        let mut users = new_users(&adapter, 12).await;
        sort(&mut users, order);
        let mut query = pages_of(3, order);
        let (mut listed, mut gone) = (Vec::new(), HashSet::new());
        loop {
            let page = adapter.list_users(query).await.unwrap();
            let last = page.users.last().cloned();
            listed.extend(page.users.into_iter().map(|user| user.id));
            assert!(listed.len() < 1000, "the pages have no end");
            let Some(cursor) = page.next_cursor else {
                break;
            };
            query = pages_of(3, order).with_cursor(cursor);
            // The cursor's own user goes, and the next one; with the oldest first, the new ones follow the old.
            let from = users.iter().position(|user| Some(user) == last.as_ref());
            for user in from
                .iter()
                .flat_map(|from| users.iter().skip(*from).take(2))
            {
                adapter.delete_user(&user.id).await.unwrap();
                gone.insert(user.id.clone());
            }
            if from.is_some() {
                new_user(&adapter).await;
            }
        }
        assert!(gone.len() >= 4, "the pages ended too early");
        let distinct: HashSet<&String> = listed.iter().collect();
        assert_eq!(distinct.len(), listed.len(), "a user was listed twice");
        let stayed: Vec<&String> = users
            .iter()
            .map(|user| &user.id)
            .filter(|id| !gone.contains(*id))
            .collect();
        listed.retain(|id| stayed.contains(&id));
        assert_eq!(listed.iter().collect::<Vec<_>>(), stayed);
        for user in paged(&adapter, pages_of(1000, order)).await {
            adapter.delete_user(&user.id).await.unwrap();
        }
    }
}

pub(super) async fn limits_are_checked(adapter: Adapter) {
    new_user(&adapter).await;
    for limit in [0, 1001, u32::MAX] {
        for role in [None, Some("a\0b".to_owned())] {
            let query = ListUsers::new().with_limit(limit).with_filter(UserFilter {
                role,
                ..UserFilter::default()
            });
            assert_error!(
                adapter.list_users(query).await,
                AuthError::Validation { field: "limit", .. }
            );
        }
    }
    for limit in [1, 1000] {
        let page = ListUsers::new().with_limit(limit);
        assert_eq!(adapter.list_users(page).await.unwrap().users.len(), 1);
    }
}

pub(super) async fn cursors_are_checked(adapter: Adapter) {
    new_users(&adapter, 3).await;
    let made =
        |micros: i64, id: &[u8]| URL_SAFE_NO_PAD.encode([&micros.to_be_bytes(), id].concat());
    let page = adapter.list_users(ListUsers::new().with_limit(1)).await;
    let real = page.unwrap().next_cursor.unwrap();
    let mut bad = vec![
        String::new(),
        " ".to_owned(),
        "garbage!".to_owned(),
        "AAAA".to_owned(),
        "Ünïcode".to_owned(),
        "a\0b".to_owned(),
        "'; DROP TABLE users; --".to_owned(),
        "A".repeat(100_000),
        real.chars().take(4).collect(),
        format!("{real}="),
        format!(" {real}"),
        format!("{real}\n"),
    ];
    for micros in [0, 1_700_000_000_000_000] {
        bad.push(made(micros, b"\xff\xfe"));
        bad.push(made(micros, b"a\0b"));
        bad.push(made(micros, "x".repeat(256).as_bytes()));
    }
    for cursor in bad {
        for order in ORDERS {
            let query = pages_of(1, order).with_cursor(&cursor);
            match adapter.list_users(query).await {
                Err(AuthError::Validation {
                    field: "cursor", ..
                }) => {}
                answer => panic!("{answer:?} for {cursor:?}"),
            }
        }
    }
}

pub(super) async fn cursors_are_safe_in_urls(adapter: Adapter) {
    let ids = ["%2F&=?#/+", "\u{10ffff}\u{7f}\u{1}", " ", "", "'\"\\", "ÿ"];
    let mut users = Vec::new();
    for id in ids {
        let create = CreateUser::new().with_id(id.repeat(20));
        users.push(adapter.create_user(create).await.unwrap());
    }
    for order in ORDERS {
        sort(&mut users, order);
        let mut query = pages_of(1, order);
        for user in &users {
            let page = adapter.list_users(query.clone()).await.unwrap();
            assert_eq!(page.users.first(), Some(user));
            assert_eq!(page.next_cursor.is_none(), Some(user) == users.last());
            let Some(cursor) = page.next_cursor else {
                break;
            };
            let safe = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            assert!(cursor.bytes().all(safe), "{cursor}");
            query = query.with_cursor(cursor);
        }
    }
}

pub(super) async fn filtered_pages_are_complete(adapter: Adapter) {
    let mut users = Vec::new();
    for index in 0..30 {
        let name = if index % 3 == 0 { "Ada" } else { "Bob" };
        let create = CreateUser::new().with_name(format!("{name} {index}"));
        users.push(adapter.create_user(create).await.unwrap());
    }
    users.retain(|user| user.name.as_ref().is_some_and(|name| name.contains("Ada")));
    assert_eq!(users.len(), 10);
    for operator in [SearchOperator::StartsWith, SearchOperator::Contains] {
        let filter = UserFilter {
            search: Some(UserSearch::new(SearchField::Name, operator, "Ada ")),
            ..UserFilter::default()
        };
        for order in ORDERS {
            sort(&mut users, order);
            for limit in [1, 2, 3, 9, 10, 11] {
                let query = pages_of(limit, order).with_filter(filter.clone());
                assert_eq!(paged(&adapter, query).await, users, "pages of {limit}");
            }
        }
    }
}

pub(super) async fn users_created_at_once_are_all_listed(adapter: Adapter) {
    super::at_once(8, |_| {
        let adapter = adapter.clone();
        async move {
            for _ in 0..5 {
                let user = new_user(&adapter).await;
                let listed = paged(&adapter, ListUsers::new().with_limit(7)).await;
                assert!(listed.contains(&user), "a stored user is not listed");
            }
        }
    })
    .await;
    assert_eq!(paged(&adapter, ListUsers::new()).await.len(), 40);
}
