//! What the application promises. Each test runs twice: on handlers with the memory adapter, and over HTTP on the PostgreSQL
//! that `DATABASE_URL` names (in memory if there is none).

mod support;

mod admin;
mod api;
mod csrf;
mod hostile;
mod oauth;
mod organizations;
mod reset;
mod second_factor;
mod sessions;
mod sign_in;
mod sign_up;
mod surface;

macro_rules! suite {
    ($($module:ident: $($test:ident),+;)+) => {
        mod handlers {
            $(mod $module { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::$module::$test(crate::support::World::in_memory().await).await;
            })+ })+
        }

        mod over_http {
            $(mod $module { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::$module::$test(crate::support::World::over_http().await).await;
            })+ })+
        }
    };
}

suite! {
    admin: users_are_found_by_pages_and_search, a_ban_is_seen_at_once, others_see_nothing, nobody_bans_themselves;
    api: sessions_and_keys_are_taken, keys_are_their_owners, a_key_is_limited, a_banned_user_has_no_keys;
    csrf: tokens_are_those_of_the_session, other_origins_are_refused, keys_need_no_token;
    hostile: forged_cookies_sign_nobody_in, expired_and_foreign_cookies_sign_nobody_in, large_bodies_are_refused,
        markup_and_statements_are_text, bodies_that_cannot_be_read_are_refused;
    oauth: a_new_user_comes_by_the_provider, accounts_are_linked_if_both_sides_have_verified_the_address,
        an_address_that_the_provider_has_not_verified_links_nothing, an_address_that_we_have_not_verified_links_nothing,
        another_browser_cannot_finish, a_user_links_and_unlinks, the_second_factor_is_asked_for;
    organizations: an_invitation_makes_a_member, invitations_are_for_their_address, roles_decide, the_last_owner_stays,
        others_see_nothing;
    reset: all_sessions_end, known_and_unknown_addresses_look_alike, codes_end_after_three_guesses,
        a_pending_sign_in_is_void;
    second_factor: there_is_no_session_before_it, codes_work_once, backup_codes_work_once, guesses_are_limited,
        the_password_switches_it;
    sessions: this_device_is_marked, one_is_ended, all_others_are_ended, others_are_not_ended, a_new_password_ends_others;
    sign_in: each_has_a_new_token, unknown_and_wrong_look_alike, tries_are_limited, it_goes_on_where_it_began,
        signing_out_ends_the_session;
    sign_up: the_code_makes_the_user, wrong_codes_make_nobody, known_and_unknown_addresses_look_alike,
        fields_are_checked, an_address_is_changed_by_a_code;
    surface: responses_are_hardened, the_database_is_asked_for_health;
}
