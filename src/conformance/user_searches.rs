//! Promises about the searches of `list_users` and `count_users`.

use super::user_filters::{FIELDS, search, text_of};
use super::user_lists::paged;
use super::{Adapter, assert_eq};
use crate::adapters::DatabaseAdapter;
use crate::types::{CreateUser, ListUsers, SearchField, SearchOperator, User, UserFilter};

use SearchField::{Email, Name, Username};
use SearchOperator::{Contains, Equals, StartsWith};

/// A user who has the text in this column only.
fn with_text(field: SearchField, text: &str) -> CreateUser {
    match field {
        Email => CreateUser::new().with_email(text),
        Username => CreateUser::new().with_username(text),
        Name => CreateUser::new().with_name(text),
    }
}

/// Whose texts a search finds, sorted.
async fn found(
    adapter: &dyn DatabaseAdapter,
    field: SearchField,
    operator: SearchOperator,
    value: &str,
) -> Vec<String> {
    let filter = search(field, operator, value);
    let count = adapter.count_users(filter.clone()).await.unwrap();
    let users = paged(adapter, ListUsers::new().with_filter(filter)).await;
    assert_eq!(count, u64::try_from(users.len()).unwrap(), "for {value:?}");
    let text = |user: &User| text_of(field, user).map(str::to_owned);
    let mut texts: Vec<String> = users.iter().filter_map(text).collect();
    texts.sort_unstable();
    texts
}

pub(super) async fn searches_look_into_one_column(adapter: Adapter) {
    for field in FIELDS {
        for text in ["ada lovelace", "ada", "lady ada", "grace"] {
            let create = with_text(field, text);
            adapter.create_user(create).await.unwrap();
        }
    }
    for field in FIELDS {
        for (operator, value, expected) in [
            (Equals, "ada", vec!["ada"]),
            (StartsWith, "ada", vec!["ada", "ada lovelace"]),
            (Contains, "ada", vec!["ada", "ada lovelace", "lady ada"]),
            (Contains, "a l", vec!["ada lovelace"]),
            (StartsWith, "ada lovelace!", vec![]),
            (Equals, "ad", vec![]),
        ] {
            assert_eq!(found(&adapter, field, operator, value).await, expected);
        }
    }
}

pub(super) async fn only_names_match_with_case(adapter: Adapter) {
    for field in FIELDS {
        let create = with_text(field, "ÄDA Łoś");
        adapter.create_user(create).await.unwrap();
    }
    for (operator, value) in [(Equals, "äDa łOŚ"), (StartsWith, "äD"), (Contains, "A Ł")] {
        for field in [Email, Username] {
            let texts = found(&adapter, field, operator, value).await;
            assert_eq!(texts, ["äda łoś"]);
        }
    }
    for (operator, value, other) in [
        (Equals, "ÄDA Łoś", "äDA Łoś"),
        (StartsWith, "ÄD", "Äd"),
        (Contains, "A Ł", "a ł"),
    ] {
        assert_eq!(found(&adapter, Name, operator, value).await, ["ÄDA Łoś"]);
        assert!(found(&adapter, Name, operator, other).await.is_empty());
    }
}

pub(super) async fn search_values_are_literal(adapter: Adapter) {
    let hostile = [
        "%",
        "_",
        "\\",
        "'",
        "\\%",
        "\\_",
        "\\\\",
        "%%",
        "a%b",
        "a_b",
        "a\\b",
        "\"",
        "$1",
        ".*",
        "[a]",
        "(",
        "\u{1f600}",
        "\u{10ffff}",
        "\n",
        "'; DROP TABLE users; --",
        "e\u{301}",
        "\u{e9}",
        "\u{7f}",
        "\u{202e}",
    ];
    for field in FIELDS {
        let mut all = Vec::new();
        for text in hostile.iter().chain(&["axb", "ab", "plain"]) {
            let text = text.to_lowercase();
            if field != Name && text.trim() != text {
                continue;
            }
            let create = with_text(field, &text);
            all.push((text, adapter.create_user(create).await.unwrap()));
        }
        for value in hostile {
            let value = value.to_lowercase();
            for operator in [Equals, StartsWith, Contains] {
                let mut expected: Vec<&String> = all
                    .iter()
                    .map(|(text, _)| text)
                    .filter(|text| match operator {
                        Equals => **text == value,
                        StartsWith => text.starts_with(&value),
                        Contains => text.contains(&value),
                    })
                    .collect();
                expected.sort_unstable();
                let texts = found(&adapter, field, operator, &value).await;
                assert_eq!(
                    texts.iter().collect::<Vec<_>>(),
                    expected,
                    "{operator:?} {value:?}"
                );
            }
        }
    }
}

pub(super) async fn an_empty_search_finds_who_has_the_column(adapter: Adapter) {
    let texts = |field| match field {
        Name => vec!["", "a", "b"],
        Email | Username => vec!["a", "b"],
    };
    for field in FIELDS {
        for text in texts(field) {
            let create = with_text(field, text);
            adapter.create_user(create).await.unwrap();
        }
    }
    for field in FIELDS {
        for operator in [StartsWith, Contains] {
            assert_eq!(found(&adapter, field, operator, "").await, texts(field));
        }
        let empty = texts(field).into_iter().filter(|text| text.is_empty());
        let empty: Vec<_> = empty.collect();
        assert_eq!(found(&adapter, field, Equals, "").await, empty);
    }
}

pub(super) async fn a_sigma_is_found_wherever_it_stands(adapter: Adapter) {
    for field in [Email, Username] {
        for text in ["ΟΔΟΣ", "ΟΔΟΣΚΟΠΟΣ"] {
            adapter.create_user(with_text(field, text)).await.unwrap();
        }
    }
    for field in [Email, Username] {
        for (operator, value, expected) in [
            (Equals, "οδος", vec!["οδοσ"]),
            (StartsWith, "ΟΔΟΣ", vec!["οδοσ", "οδοσκοποσ"]),
            (StartsWith, "οδος", vec!["οδοσ", "οδοσκοποσ"]),
            (Contains, "ΔΟΣ", vec!["οδοσ", "οδοσκοποσ"]),
            (Contains, "ΠΟΣ", vec!["οδοσκοποσ"]),
        ] {
            let texts = found(&adapter, field, operator, value).await;
            assert_eq!(texts, expected, "{operator:?} {value:?}");
        }
    }
}

pub(super) async fn impossible_values_find_nobody(adapter: Adapter) {
    let create = with_text(Name, "ab")
        .with_email("ab")
        .with_username("ab")
        .with_role("ab");
    adapter.create_user(create).await.unwrap();
    let role = UserFilter {
        role: Some("a\0b".to_owned()),
        ..UserFilter::default()
    };
    let mut filters = vec![role];
    for field in FIELDS {
        for operator in [Equals, StartsWith, Contains] {
            for value in ["\0", "a\0", "a\0b", &"ab".repeat(5000)] {
                filters.push(search(field, operator, value));
            }
        }
    }
    for filter in filters {
        let page = ListUsers::new().with_filter(filter.clone());
        let page = adapter.list_users(page).await.unwrap();
        assert!(
            page.users.is_empty() && page.next_cursor.is_none(),
            "{filter:?}"
        );
        assert_eq!(adapter.count_users(filter).await.unwrap(), 0);
    }
}

pub(super) async fn prefixes_may_end_in_any_character(adapter: Adapter) {
    let texts = [
        "a",
        "a\u{10ffff}",
        "a\u{10ffff}\u{10ffff}",
        "a\u{10ffff}b",
        "a\u{d7ff}",
        "a\u{d7ff}\u{10ffff}",
        "a\u{e000}",
        "a\u{e000}b",
        "b",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}z",
        "\u{d7ff}\u{10ffff}",
        "\u{e000}",
        "a\u{7f}",
        "a\u{80}",
    ];
    for field in FIELDS {
        for text in texts {
            let create = with_text(field, text);
            adapter.create_user(create).await.unwrap();
        }
        for prefix in texts {
            let mut expected = texts.to_vec();
            expected.retain(|text| text.starts_with(prefix));
            expected.sort_unstable();
            assert_eq!(found(&adapter, field, StartsWith, prefix).await, expected);
        }
    }
}

pub(super) async fn names_may_be_megabytes(adapter: Adapter) {
    let long = "Grüße %_\\ ".repeat(100_000);
    let other = format!("{long}!");
    for name in [&long, &other] {
        let create = CreateUser::new().with_name(name);
        adapter.create_user(create).await.unwrap();
    }
    let short = with_text(Name, "Grüße");
    adapter.create_user(short).await.unwrap();
    let both = [long.clone(), other.clone()];
    // The texts are too long to be printed where they differ.
    for (operator, value, expected) in [
        (Equals, &long, &both[..1]),
        (Equals, &other, &both[1..]),
        (StartsWith, &long, &both[..]),
        (StartsWith, &other, &both[1..]),
        (Contains, &long, &both[..]),
        (Contains, &"\\ Grüße %_\\ !".to_owned(), &both[1..]),
        (Contains, &other, &both[1..]),
        (Contains, &format!("{other}!"), &[]),
    ] {
        let texts = found(&adapter, Name, operator, value).await;
        assert!(
            texts == expected,
            "{operator:?} finds {} names",
            texts.len()
        );
    }
}

pub(super) async fn long_names_are_told_apart(adapter: Adapter) {
    for beginning in ["x".repeat(200), "ä\u{1f600}".repeat(100)] {
        let texts = ["", "a", "b", "ab"].map(|end| format!("{beginning}{end}"));
        for text in &texts {
            adapter.create_user(with_text(Name, text)).await.unwrap();
        }
        for text in &texts {
            let equal = found(&adapter, Name, Equals, text).await;
            assert_eq!(equal, std::slice::from_ref(text));
            let mut expected = texts.to_vec();
            expected.retain(|other| other.starts_with(text));
            expected.sort_unstable();
            assert_eq!(found(&adapter, Name, StartsWith, text).await, expected);
        }
        let shorter: String = beginning.chars().skip(1).collect();
        assert!(found(&adapter, Name, Equals, &shorter).await.is_empty());
    }
}

pub(super) async fn long_roles_are_told_apart(adapter: Adapter) {
    let long = "x".repeat(1_000_000);
    for role in [&long, &format!("{long}a"), &format!("{long}b")] {
        let create = CreateUser::new().with_role(role);
        let user = adapter.create_user(create).await.unwrap();
        let filter = UserFilter {
            role: Some(role.clone()),
            ..UserFilter::default()
        };
        assert_eq!(adapter.count_users(filter.clone()).await.unwrap(), 1);
        let page = ListUsers::new().with_filter(filter);
        assert!(adapter.list_users(page).await.unwrap().users == [user]);
    }
}
