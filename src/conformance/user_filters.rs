//! Promises about whom `list_users` and `count_users` find.

use chrono::{DateTime, TimeDelta, Utc};

use super::user_lists::{ORDERS, paged, sort};
use super::{Adapter, assert_eq, in_an_hour};
use crate::adapters::DatabaseAdapter;
use crate::types::{
    CreateUser, ListUsers, SearchField, SearchOperator, UpdateUser, User, UserFilter, UserSearch,
};

use SearchField::{Email, Name, Username};
use SearchOperator::{Contains, Equals, StartsWith};

pub(super) const FIELDS: [SearchField; 3] = [Email, Username, Name];

pub(super) fn search(field: SearchField, operator: SearchOperator, value: &str) -> UserFilter {
    UserFilter {
        search: Some(UserSearch::new(field, operator, value)),
        ..UserFilter::default()
    }
}

pub(super) fn text_of(field: SearchField, user: &User) -> Option<&str> {
    match field {
        Email => user.email.as_deref(),
        Username => user.username.as_deref(),
        Name => user.name.as_deref(),
    }
}

/// What the filter says, in Rust.
fn matches(filter: &UserFilter, user: &User) -> bool {
    let UserFilter {
        search,
        role,
        banned,
        email_verified,
        created_from,
        created_before,
    } = filter;
    let found = search.as_ref().is_none_or(|search| {
        let value = match search.field {
            Email | Username => search.value.to_lowercase().replace('ς', "σ"),
            Name => search.value.clone(),
        };
        text_of(search.field, user).is_some_and(|text| match search.operator {
            Equals => text == value,
            StartsWith => text.starts_with(&value),
            Contains => text.contains(&value),
        })
    });
    found
        && role
            .as_ref()
            .is_none_or(|role| user.role.as_ref() == Some(role))
        && banned.is_none_or(|banned| user.banned == banned)
        && email_verified.is_none_or(|verified| user.email_verified == verified)
        && created_from.is_none_or(|from| user.created_at >= from)
        && created_before.is_none_or(|before| user.created_at < before)
}

/// Fails unless both orders, pages of several sizes and the count agree with the filter in Rust. Returns who matches.
async fn assert_finds(
    adapter: &dyn DatabaseAdapter,
    all: &[User],
    filter: &UserFilter,
) -> Vec<User> {
    let matching = all.iter().filter(|user| matches(filter, user));
    let mut expected: Vec<User> = matching.cloned().collect();
    for order in ORDERS {
        sort(&mut expected, order);
        for limit in [2, 7, 1000] {
            let query = ListUsers::new()
                .with_filter(filter.clone())
                .with_order(order)
                .with_limit(limit);
            let listed = paged(adapter, query).await;
            assert_eq!(listed, expected, "pages of {limit}, {order:?}, {filter:?}");
        }
    }
    let count = adapter.count_users(filter.clone()).await.unwrap();
    assert_eq!(count, u64::try_from(expected.len()).unwrap(), "{filter:?}");
    expected
}

pub(super) async fn roles_and_flags_are_told_apart(adapter: Adapter) {
    let mut all = Vec::new();
    for role in [None, Some("admin"), Some("Admin"), Some("admins"), Some("")] {
        for flags in 0..4 {
            let create = CreateUser {
                role: role.map(str::to_owned),
                email_verified: flags & 1 == 1,
                ..CreateUser::default()
            };
            let user = adapter.create_user(create).await.unwrap();
            let update = UpdateUser {
                banned: Some(flags & 2 == 2),
                // The ban is one, also when its end has come.
                ban_expires: Some(Some(user.created_at)),
                ..UpdateUser::default()
            };
            all.push(adapter.update_user(&user.id, update).await.unwrap());
        }
    }
    for (role, expected) in [("admin", 4), ("Admin", 4), ("", 4), ("%", 0), ("user", 0)] {
        let filter = UserFilter {
            role: Some(role.to_owned()),
            ..UserFilter::default()
        };
        assert_eq!(assert_finds(&adapter, &all, &filter).await.len(), expected);
    }
    for flag in [true, false] {
        let banned = UserFilter {
            banned: Some(flag),
            ..UserFilter::default()
        };
        assert_eq!(assert_finds(&adapter, &all, &banned).await.len(), 10);
        let verified = UserFilter {
            email_verified: Some(flag),
            ..UserFilter::default()
        };
        assert_eq!(assert_finds(&adapter, &all, &verified).await.len(), 10);
    }
}

pub(super) async fn times_bound_the_list(adapter: Adapter) {
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(adapter.create_user(CreateUser::new()).await.unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let (user, nanos) = (all[3].clone(), TimeDelta::nanoseconds);
    for (finer, from, before) in [(-1, 3, 3), (0, 3, 3), (1, 2, 4), (999, 2, 4), (1000, 2, 4)] {
        let time = user.created_at + nanos(finer);
        let created_from = UserFilter {
            created_from: Some(time),
            ..UserFilter::default()
        };
        assert_eq!(
            assert_finds(&adapter, &all, &created_from).await.len(),
            from
        );
        let created_before = UserFilter {
            created_before: Some(time),
            ..UserFilter::default()
        };
        assert_eq!(
            assert_finds(&adapter, &all, &created_before).await.len(),
            before
        );
    }
    for (from, before, expected) in [
        (0, 0, 0),
        (0, 1, 1),
        (1, 1000, 0),
        (-1, 0, 0),
        (-1000, 1000, 1),
        (1000, 0, 0),
    ] {
        let both = UserFilter {
            created_from: Some(user.created_at + nanos(from)),
            created_before: Some(user.created_at + nanos(before)),
            ..UserFilter::default()
        };
        assert_eq!(
            assert_finds(&adapter, &all, &both).await.len(),
            expected,
            "{both:?}"
        );
    }
}

pub(super) async fn extreme_times_do_not_fail(adapter: Adapter) {
    let all = [adapter.create_user(CreateUser::new()).await.unwrap()];
    let early: DateTime<Utc> = "-5000-01-01T00:00:00Z".parse().unwrap();
    let first: DateTime<Utc> = "-4713-11-24T00:00:00Z".parse().unwrap();
    let far = [
        (DateTime::<Utc>::MIN_UTC, 1),
        (early, 1),
        (first - TimeDelta::nanoseconds(1), 1),
        (first, 1),
        (DateTime::<Utc>::MAX_UTC - TimeDelta::nanoseconds(1), 0),
        (DateTime::<Utc>::MAX_UTC, 0),
    ];
    for (time, after) in far {
        let created_from = UserFilter {
            created_from: Some(time),
            ..UserFilter::default()
        };
        assert_eq!(
            assert_finds(&adapter, &all, &created_from).await.len(),
            after
        );
        let created_before = UserFilter {
            created_before: Some(time),
            ..UserFilter::default()
        };
        assert_eq!(
            assert_finds(&adapter, &all, &created_before).await.len(),
            1 - after
        );
        for (other, _) in far {
            let both = UserFilter {
                created_before: Some(other),
                ..created_from.clone()
            };
            assert_finds(&adapter, &all, &both).await;
        }
    }
}

pub(super) async fn filters_combine(adapter: Adapter) {
    let mut all = Vec::new();
    for index in 0..64 {
        let create = CreateUser {
            role: Some(if index & 1 == 0 { "user" } else { "admin" }.to_owned()),
            email_verified: index & 2 == 0,
            name: Some(if index & 8 == 0 { "Ada" } else { "Bob" }.to_owned()),
            ..CreateUser::new().with_email(format!("{index}@example.com"))
        };
        let user = adapter.create_user(create).await.unwrap();
        let ban = UpdateUser {
            banned: Some(index & 4 == 0),
            ban_expires: Some(Some(in_an_hour())),
            ..UpdateUser::default()
        };
        all.push(adapter.update_user(&user.id, ban).await.unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let filter = UserFilter {
        search: Some(UserSearch::new(Name, Equals, "Ada")),
        role: Some("user".to_owned()),
        banned: Some(true),
        email_verified: Some(true),
        created_from: Some(all[1].created_at),
        created_before: Some(all[63].created_at),
    };
    assert_eq!(assert_finds(&adapter, &all, &filter).await.len(), 3);
    for search in [
        UserSearch::new(Email, StartsWith, "1"),
        UserSearch::new(Email, Contains, "6@EXAMPLE"),
        UserSearch::new(Email, Equals, "16@example.com"),
    ] {
        let filter = UserFilter {
            search: Some(search),
            ..filter.clone()
        };
        let found = assert_finds(&adapter, &all, &filter).await;
        assert!(
            found
                .iter()
                .any(|user| user.email.as_deref() == Some("16@example.com"))
        );
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % count
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// Each third time none.
    fn perhaps<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(3) > 0).then(|| value(self))
    }
}

const ALIKE: [&str; 16] = [
    "Ada",
    "ada",
    "ADA",
    "Ada ",
    " Ada",
    "\u{410}da",
    "Ad\u{e1}",
    "Ada\u{301}",
    "",
    "A%a",
    "A_a",
    "A\\a",
    "Ad",
    "Adaa",
    "a",
    "Lady Ada",
];
const ROLES: [&str; 4] = ["admin", "Admin", "user", ""];

pub(super) async fn any_filter_is_kept(adapter: Adapter) {
    let mut dice = Dice(7);
    let mut all = Vec::new();
    for index in 0..60 {
        let create = CreateUser {
            name: dice.perhaps(|dice| dice.pick(&ALIKE).to_owned()),
            email: dice
                .perhaps(|dice| format!("{}{index}@example.com", dice.pick(&ALIKE).trim_start())),
            username: dice.perhaps(|dice| format!("{}{index}", dice.pick(&ALIKE).trim_start())),
            role: dice.perhaps(|dice| dice.pick(&ROLES).to_owned()),
            email_verified: dice.below(2) == 0,
            ..CreateUser::default()
        };
        let user = adapter.create_user(create).await.unwrap();
        let ban = UpdateUser {
            banned: Some(dice.below(2) == 0),
            ..UpdateUser::default()
        };
        all.push(adapter.update_user(&user.id, ban).await.unwrap());
    }
    let mut matched = 0;
    for round in 0..72 {
        let value = dice.pick(&ALIKE);
        let search = UserSearch::new(
            FIELDS[round % 3],
            [Equals, StartsWith, Contains][round / 3 % 3],
            value,
        );
        let mut time = || {
            let created_at = all[dice.below(all.len())].created_at;
            (dice.below(4) == 0)
                .then_some(created_at + TimeDelta::nanoseconds(i64::from(round % 2 == 0)))
        };
        let (created_from, created_before) = (time(), time());
        let filter = UserFilter {
            search: (round % 8 != 7).then_some(search),
            role: (dice.below(4) == 0).then(|| dice.pick(&ROLES).to_owned()),
            banned: (dice.below(3) == 0).then(|| dice.below(2) == 0),
            email_verified: (dice.below(3) == 0).then(|| dice.below(2) == 0),
            created_from,
            created_before,
        };
        matched += assert_finds(&adapter, &all, &filter).await.len();
    }
    assert!(matched > 100, "{matched} users in all are too few to tell");
}
