//! What creates rows, changes them and lists them.

use better_auth::types::{
    CreateAccount, CreateSession, CreateUser, ListUsers, SearchField, SearchOperator,
    UpdateAccount, UpdateSession, UpdateUser, UserFilter, UserOrder, UserSearch,
};
use proptest::prelude::*;

use crate::values::{change, end, key, maybe, metadata, part_of_a_pair, text, user_id};

pub(crate) fn create_user() -> impl Strategy<Value = CreateUser> {
    let id = prop_oneof![
        4 => user_id().prop_map(Some),
        8 => "[1-9]".prop_map(Some),
        1 => Just(None),
    ];
    let names = (maybe(key()), maybe(key()), maybe(text()), maybe(text()));
    (
        id,
        names,
        maybe(text()),
        maybe(key()),
        any::<bool>(),
        metadata(),
    )
        .prop_map(
            |(
                id,
                (email, username, display_username, name),
                image,
                role,
                email_verified,
                metadata,
            )| CreateUser {
                id,
                name,
                email,
                image,
                username,
                display_username,
                role,
                email_verified,
                metadata,
            },
        )
}

pub(crate) fn update_user() -> impl Strategy<Value = UpdateUser> {
    let texts = (
        change(text()),
        change(key()),
        change(text()),
        change(key()),
        change(text()),
        change(key()),
    );
    let flags = (
        maybe(any::<bool>()),
        maybe(any::<bool>()),
        maybe(any::<bool>()),
    );
    let ban = (change(text()), change(end()));
    (texts, flags, ban, prop::option::weighted(0.3, metadata())).prop_map(
        |(
            (name, email, image, username, display_username, role),
            (email_verified, two_factor_enabled, banned),
            (ban_reason, ban_expires),
            metadata,
        )| UpdateUser {
            name,
            email,
            email_verified,
            image,
            username,
            display_username,
            two_factor_enabled,
            role,
            banned,
            ban_reason,
            ban_expires,
            metadata,
        },
    )
}

pub(crate) fn create_account() -> impl Strategy<Value = CreateAccount> {
    let tokens = (
        maybe(text()),
        maybe(text()),
        maybe(text()),
        maybe(text()),
        maybe(text()),
    );
    let ends = (maybe(end()), maybe(end()));
    let provider = prop_oneof![
        4 => part_of_a_pair(),
        1 => Just("credential".to_owned()),
    ];
    (user_id(), provider, part_of_a_pair(), tokens, ends).prop_map(
        |(
            user_id,
            provider_id,
            account_id,
            (access, refresh, id_token, scope, password),
            (access_end, refresh_end),
        )| {
            CreateAccount {
                user_id,
                provider_id,
                account_id,
                access_token: access,
                refresh_token: refresh,
                id_token,
                access_token_expires_at: access_end,
                refresh_token_expires_at: refresh_end,
                scope,
                password,
            }
        },
    )
}

pub(crate) fn update_account() -> impl Strategy<Value = UpdateAccount> {
    let texts = (
        change(text()),
        change(text()),
        change(text()),
        change(text()),
        change(text()),
    );
    let ends = (change(end()), change(end()));
    (texts, ends).prop_map(
        |((access_token, refresh_token, id_token, scope, password), (access_end, refresh_end))| {
            UpdateAccount {
                access_token,
                refresh_token,
                id_token,
                access_token_expires_at: access_end,
                refresh_token_expires_at: refresh_end,
                scope,
                password,
            }
        },
    )
}

pub(crate) fn user_filter() -> impl Strategy<Value = UserFilter> {
    let field = prop::sample::select(vec![
        SearchField::Email,
        SearchField::Username,
        SearchField::Name,
    ]);
    let operators = vec![
        SearchOperator::Equals,
        SearchOperator::StartsWith,
        SearchOperator::Contains,
    ];
    let short = prop::sample::select(vec![
        "a", "A", "s", "é", "%", "_", "\\", "x", "-", "'", "", "0", "α",
    ]);
    let value = prop_oneof![4 => short.prop_map(str::to_owned), 1 => text()];
    let search = (field, prop::sample::select(operators), value)
        .prop_map(|(field, operator, value)| UserSearch::new(field, operator, value));
    (
        maybe(search),
        prop::option::weighted(0.2, key()),
        prop::option::weighted(0.2, any::<bool>()),
        prop::option::weighted(0.2, any::<bool>()),
        prop::option::weighted(0.2, end()),
        prop::option::weighted(0.2, end()),
    )
        .prop_map(
            |(search, role, banned, email_verified, created_from, created_before)| UserFilter {
                search,
                role,
                banned,
                email_verified,
                created_from,
                created_before,
            },
        )
}

pub(crate) fn list_users() -> impl Strategy<Value = ListUsers> {
    let order = prop::sample::select(vec![UserOrder::NewestFirst, UserOrder::OldestFirst]);
    let cursor = prop::option::weighted(0.1, prop_oneof![key(), "[A-Za-z0-9_-]{0,40}"]);
    (
        user_filter(),
        order,
        prop_oneof![0_u32..4, Just(1000), Just(1001)],
        cursor,
    )
        .prop_map(|(filter, order, limit, cursor)| ListUsers {
            filter,
            order,
            limit,
            cursor,
        })
}

pub(crate) fn create_session() -> impl Strategy<Value = CreateSession> {
    let texts = (maybe(text()), maybe(text()), maybe(text()), maybe(text()));
    (user_id(), end(), texts).prop_map(
        |(
            user_id,
            expires_at,
            (ip_address, user_agent, impersonated_by, active_organization_id),
        )| CreateSession {
            user_id,
            expires_at,
            ip_address,
            user_agent,
            impersonated_by,
            active_organization_id,
        },
    )
}

pub(crate) fn update_session() -> impl Strategy<Value = UpdateSession> {
    let texts = (
        change(text()),
        change(text()),
        change(text()),
        change(text()),
    );
    (
        prop::option::weighted(0.3, end()),
        texts,
        prop::option::weighted(0.3, any::<bool>()),
    )
        .prop_map(
            |(
                expires_at,
                (ip_address, user_agent, impersonated_by, active_organization_id),
                active,
            )| UpdateSession {
                expires_at,
                ip_address,
                user_agent,
                impersonated_by,
                active_organization_id,
                active,
            },
        )
}
