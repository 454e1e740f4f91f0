//! The list of cases: the promises that every adapter keeps, and those of each group.
//!
//! This list is the only place that names a case or a group. The tests, `groups: all`, the table of [`GROUPS`], the
//! message about an unknown group and the promise that a failing case prints follow from it. A listed case that does
//! not exist does not compile. A case that is not listed is dead code, which the lints refuse.

use super::macros::declare_cases;
use super::{Adapter, Promise};
#[allow(unused_imports, reason = "the table of groups links to it")]
use crate::adapters::DatabaseAdapter;

declare_cases! { $
    required {
        randomness {
            /// An id that the adapter makes is a UUIDv7, hyphenated and in lower case, and all its random bits change.
            ids_are_uuids_of_version_7
            /// A session token is 32 random bytes, in base64url without padding.
            tokens_are_random
        }
        impossible_input {
            /// A NUL character in any text of a new or changed user is `Validation` and names the field.
            nul_in_a_user_is_refused
            /// A NUL character in any text of a new session is `Validation` and names the field; in `user_id` it is
            /// `UserNotFound`.
            nul_in_a_session_is_refused
            /// A NUL character in any text of a new account is `Validation` and names the field; in `user_id` it is
            /// `UserNotFound`.
            nul_in_an_account_is_refused
            /// A NUL character in any text of a new verification is `Validation` and names the field.
            nul_in_a_verification_is_refused
            /// A time that PostgreSQL cannot store is `Validation` and names the field.
            times_before_postgresql_are_refused
            /// A lookup by a key that cannot be stored returns `None`.
            impossible_lookups_answer_none
            /// A delete by a key that cannot be stored changes nothing.
            impossible_deletes_do_nothing
            /// An update by a key that cannot be stored, or a create for such a user, is the `...NotFound` of what is
            /// missing.
            impossible_updates_find_nothing
        }
        general {
            /// A time is kept to the microsecond: every get returns the time that the create returned.
            times_are_kept_to_the_microsecond
            /// The latest time that chrono can hold is stored and read back.
            times_may_be_the_furthest
            /// `updated_at` equals `created_at` at first, and moves forward on every change, even to the same value.
            updated_at_moves_forward
            /// Quotes, wildcards and SQL are stored unchanged and match only themselves.
            text_is_data
            /// A text that is not a key can be megabytes long.
            text_may_be_megabytes
            /// The `Debug` output of a row shows no token, password, verification value or metadata value.
            secrets_do_not_show
            /// A future that is dropped before it completes leaves no lock and no half-written row.
            dropped_futures_leave_nothing_behind
            /// `clean_up` removes expired sessions and verifications, counts both, and keeps the live rows.
            clean_up_removes_what_is_dead
            /// Concurrent callers on the same few keys do not deadlock and do not break references.
            everything_at_once_stays_whole
        }
        user {
            /// Every lookup of a user returns what `create_user` returned.
            create_returns_what_every_get_returns
            /// `create_user` stores every field of `CreateUser`; the other columns have the schema's defaults.
            create_keeps_every_field
            /// The caller can choose the id of a new user.
            create_accepts_an_id
            /// A taken id, email or username is `Conflict` with that field, and nothing is stored.
            create_names_the_conflict
            /// If several keys conflict, the error names the id first, then the email, then the username.
            create_prefers_the_id_then_the_email
            /// Any number of users can have no email and no username.
            many_users_may_have_no_names
            /// `get_users_by_ids` returns the users in the order of their ids and leaves out those that do not exist.
            users_come_in_the_order_of_their_ids
            /// `get_users_by_ids` with more than 1,000 ids is `Validation`.
            a_thousand_ids_are_looked_up_at_most
            /// `delete_user` deletes the sessions and accounts of that user only.
            delete_takes_sessions_and_accounts
            /// `delete_user` succeeds for a user that does not exist.
            delete_succeeds_twice
        }
        user_names {
            /// Empty emails and usernames, and those with white space at an end, are `Validation`; lookups by them return
            /// `None`.
            empty_and_padded_names_are_refused
            /// In emails and usernames a final sigma is a sigma: `ΟΔΟΣ` and `οδος` are the same, and stored as `οδοσ`.
            a_final_sigma_is_a_sigma
            /// Emails are stored in lower case by Unicode's rules and found in any case.
            emails_compare_without_case
            /// Usernames are stored in lower case by Unicode's rules and found in any case.
            usernames_compare_without_case
            /// A username without a display username is copied to `display_username` as it was spelled.
            a_username_keeps_its_spelling
            /// Ids, emails and usernames can have up to 255 bytes; a longer one is `Validation`.
            keys_have_a_longest_length
            /// A user's own email or username can be set again without a conflict.
            update_keeps_its_own_names
            /// Another user's email or username is `Conflict` with that field; the email is named first.
            update_names_the_conflict
            /// An email or username that a user gave up can be taken at once.
            given_up_names_are_free
            /// If many callers create a user with the same email at once, exactly one succeeds.
            one_of_many_gets_the_email
            /// Users who take each other's emails and usernames at once do not deadlock and stay unique.
            names_swapped_at_once_stay_unique
        }
        user_metadata {
            /// Metadata of every JSON type is read back unchanged, and an update replaces it as a whole.
            metadata_comes_back
            /// Metadata can be nested 100 deep; deeper metadata is `Validation`.
            metadata_may_be_nested_to_the_limit
            /// A metadata key that begins with `$serde_json::private::` is `Validation` at any depth.
            reserved_metadata_keys_are_refused
            /// A number is read back unchanged; a whole float from 10¹⁶ on becomes an integer if it fits 64 bits.
            metadata_numbers_come_back
            /// Metadata whose numbers take over 16 MiB more without exponents, as in `[1e308, 1e308, …]`, is `Validation`.
            metadata_numbers_have_a_longest_text
        }
        user_updates {
            /// `update_user` sets every column that the update names, and no other column.
            update_sets_every_column
            /// `Some(None)` sets a nullable column to NULL.
            update_can_set_null
            /// An empty update returns the row unchanged, including `updated_at`.
            an_empty_update_changes_nothing
            /// An unknown id is `UserNotFound`, also for an empty update; invalid input is `Validation` first.
            update_of_an_unknown_user_fails
            /// A refused update changes nothing and takes no email or username.
            a_refused_update_changes_nothing
            /// `banned = Some(false)` clears `ban_reason` and `ban_expires`, also if the update sets them.
            unbanning_clears_the_ban
            /// `unban_user` clears `banned`, `ban_reason` and `ban_expires`; an unknown user is `UserNotFound`.
            unban_ends_a_ban
        }
        session {
            /// Every lookup of a session returns what `create_session` returned.
            create_returns_what_every_get_returns
            /// `create_session` for an unknown user is `UserNotFound`.
            create_needs_the_user
            /// `create_session` stores every field of `CreateSession`.
            create_keeps_every_field
            /// An expired session is not found.
            only_live_sessions_are_found
            /// `get_user_sessions` returns every live session, newest first.
            list_is_newest_first_and_complete
            /// `get_user_sessions` leaves out expired sessions.
            list_leaves_out_dead_sessions
            /// `update_session_expiry` moves the expiry, also into the past.
            expiry_moves
            /// An expired session is never revived: `update_session_expiry` is `SessionNotFound`.
            a_dead_session_is_never_revived
            /// `update_session_expiry` with an unknown token is `SessionNotFound`.
            unknown_sessions_cannot_be_extended
            /// `delete_session` deletes that session only, and succeeds again.
            delete_ends_one_session
            /// `delete_user_sessions` deletes all sessions of that user and of no other user.
            delete_ends_all_sessions_of_one_user
            /// `delete_other_sessions` deletes the sessions of that user but the one with the token, and returns how many
            /// of them were live.
            delete_keeps_one_session
            /// `delete_user_sessions` also deletes sessions that have expired.
            delete_takes_expired_sessions_too
            /// `delete_expired_sessions` removes all expired sessions, however many, and returns their number.
            expired_sessions_are_removed
            /// A session that is created while its user is deleted does not outlive the user.
            no_session_survives_its_user
            /// `get_session_with_user` returns the session and its user.
            session_with_user
            /// `delete_session` accepts what `get_user_sessions` returns in place of the token.
            what_a_list_shows_can_be_deleted
            /// A digest of a token, as `get_user_sessions` may return it, opens no session.
            a_digest_opens_nothing
        }
        account {
            /// Every lookup of an account returns what `create_account` returned.
            create_returns_what_every_get_returns
            /// `create_account` stores every field of `CreateAccount`.
            create_keeps_every_field
            /// `create_account` for an unknown user is `UserNotFound`.
            create_needs_the_user
            /// A pair of provider id and account id is unique among all users; a second one is `Conflict` with
            /// `Account`.
            an_account_is_linked_once
            /// If the account is taken and the user does not exist, the error is `Conflict`.
            the_conflict_wins_over_the_missing_user
            /// A provider id can have up to 255 bytes, an account id up to 1,024; a longer one is `Validation`.
            keys_have_a_longest_length
            /// `get_user_accounts` returns every account, newest first.
            list_is_newest_first_and_complete
            /// `get_credential_account` returns the newest account of the user whose provider is `credential`.
            the_credential_account_is_found
            /// `delete_account` takes the row's id, succeeds again, and frees the account for linking.
            delete_unlinks
        }
        verification {
            /// Every lookup of a verification returns what `create_verification` returned.
            create_returns_what_every_get_returns
            /// An expired verification is not found.
            only_live_verifications_are_found
            /// If a pair occurs several times, the newest live row is found.
            the_newest_is_found
            /// An identifier can have several values.
            an_identifier_holds_several_values
            /// An identifier can have up to 1,024 bytes; a longer one is `Validation`.
            identifiers_have_a_longest_length
            /// A value can be megabytes long and is found.
            values_may_be_megabytes
            /// A value of a verification that is to be `hashed` is found like any other, or the create is `Unsupported` and
            /// stores nothing.
            hashed_values_are_found_or_refused
            /// A value that has the form of a stored digest is `Validation`, and no lookup finds it.
            digests_are_no_values
            /// `delete_verification` takes the row's id, deletes that row only, and succeeds again.
            delete_removes_one
            /// `delete_expired_verifications` removes all expired rows, however many, and returns their number.
            expired_verifications_are_removed
        }
    }

    /// [`update_session`](DatabaseAdapter::update_session)
    session_updates {
        session_updates {
            /// `update_session` sets every column that the update names; an empty update returns the row unchanged.
            update_sets_every_column
            /// `active = Some(false)` ends a session; it is not found and cannot be updated again.
            update_needs_a_live_session
            /// `update_session` can move the expiry into the past, which ends the session.
            update_may_end_in_the_past
            /// `delete_expired_sessions` also removes sessions that were ended by `active = Some(false)`.
            ended_sessions_are_removed
            /// `delete_user_sessions` also deletes sessions that were ended by `active = Some(false)`.
            delete_takes_ended_sessions_too
            /// A token that is unknown or cannot be stored is `SessionNotFound`, also for an empty update.
            unknown_sessions_cannot_be_updated
            /// Input that cannot be stored is `Validation`, names the field and changes nothing, also for an unknown
            /// session.
            impossible_input_is_refused
            /// A digest of a token, as `get_user_sessions` may return it, updates no session.
            a_digest_changes_nothing
        }
    }

    /// [`refresh_session`](DatabaseAdapter::refresh_session), and [`check_session`](DatabaseAdapter::check_session), which
    /// any adapter has that has the other one
    session_refresh {
        session_refresh {
            /// `refresh_session` returns the session and its user, and extends a session that is due.
            a_due_session_is_extended
            /// `refresh_session` leaves a session that is not due unchanged, and never shortens one.
            a_session_that_is_not_due_stays
            /// `refresh_session` returns `None` for a session that is not live, and does not revive it.
            a_dead_session_is_never_revived
            /// A lifetime of zero, one that no time can hold, and an age longer than the lifetime are `Validation`.
            impossible_ages_are_refused
            /// If many callers refresh the same session at once, one of them extends it.
            one_of_many_extends
            /// A session that is deleted while others refresh it stays deleted.
            a_sign_out_wins
        }
        session_checks {
            /// `check_session` finds a live session with its user, and extends none if it is not asked to.
            a_check_finds_what_is_live
            /// `check_session` extends a session that is due, says so, and refuses the ages that `refresh_session` refuses.
            a_check_says_whether_it_extends
        }
    }

    /// [`delete_session_by_id`](DatabaseAdapter::delete_session_by_id)
    session_ids {
        session_ids {
            /// `delete_session_by_id` deletes that session of that user only, and succeeds again.
            delete_ends_one_session_of_the_user
            /// `delete_session_by_id` deletes no session of another user.
            a_session_of_another_user_stays
        }
    }

    /// [`ban_user`](DatabaseAdapter::ban_user)
    bans {
        bans {
            /// `ban_user` sets `banned`, the reason and the end, and deletes all sessions of that user only.
            a_ban_ends_all_sessions
            /// A second ban replaces the reason and the end of the first.
            a_ban_replaces_the_one_before
            /// A reason or an end that cannot be stored is `Validation`; an unknown user is `UserNotFound`.
            impossible_bans_are_refused
            /// A session that is created during a ban is deleted, or is found with a user who is banned.
            a_check_sees_the_ban
        }
    }

    /// [`link_account`](DatabaseAdapter::link_account)
    account_links {
        account_links {
            /// `link_account` creates the account, or sets what is given of the same user's account, except the password.
            a_link_creates_or_refreshes
            /// An account of another user is `Conflict` with `Account` and stays unchanged.
            an_account_of_another_user_stays
            /// `link_account` for an unknown user is `UserNotFound`.
            a_link_needs_the_user
            /// Input that cannot be stored is `Validation`, names the field and changes nothing.
            impossible_input_is_refused
            /// If many callers link the same account at once, one of them creates it.
            one_of_many_creates
        }
    }

    /// [`update_account`](DatabaseAdapter::update_account)
    account_updates {
        account_updates {
            /// `update_account` sets every column that the update names; an empty update returns the row unchanged.
            update_sets_every_column
            /// An unknown id is `AccountNotFound`, also for an empty update; invalid input is `Validation` first.
            update_of_an_unknown_account_fails
            /// Input that cannot be stored is `Validation`, names the field and changes nothing.
            impossible_input_is_refused
            /// `update_account` moves `updated_at` forward and changes no other account.
            update_changes_one_account
        }
    }

    /// [`consume_verification`](DatabaseAdapter::consume_verification)
    one_time_tokens {
        one_time_tokens {
            /// `consume_verification` returns the newest live row and removes all rows of the pair.
            consume_takes_all_of_the_pair
            /// `consume_verification` returns `None` for an expired pair and removes its rows.
            consume_refuses_the_expired
            /// If many callers consume the same pair at once, exactly one of them gets it.
            one_of_many_consumes
            /// `consume_verification` matches identifier and value exactly.
            consume_takes_the_pair_as_it_is_spelled
            /// A consumed pair can be issued again.
            a_used_pair_can_be_issued_again
            /// `consume_verification` removes all rows of the pair, `hashed` or not; exactly one of many callers gets it.
            hashed_pairs_are_consumed_once
        }
    }

    /// [`get_verification_by_identifier`](DatabaseAdapter::get_verification_by_identifier)
    identifiers {
        identifiers {
            /// `get_verification_by_identifier` returns the newest live row of an identifier.
            newest_of_an_identifier
            /// After the newest row is deleted or expired, the next newest row is found.
            the_next_newest_is_found
            /// An identifier of 1,024 bytes is found; one that cannot be stored finds nothing.
            impossible_identifiers_find_nothing
            /// `get_verification_by_identifier` shows a digest in place of a `hashed` value, and no method takes it for the
            /// value.
            hashed_values_are_not_shown
        }
    }

    /// [`consume_verification_by_identifier`](DatabaseAdapter::consume_verification_by_identifier),
    /// [`delete_verifications_by_identifier`](DatabaseAdapter::delete_verifications_by_identifier)
    identifier_tokens {
        identifier_tokens {
            /// `consume_verification_by_identifier` returns the newest live row and removes all rows of the identifier.
            consume_takes_all_of_the_identifier
            /// `consume_verification_by_identifier` returns `None` for an expired row and removes it.
            consume_refuses_the_expired
            /// `delete_verifications_by_identifier` removes all rows of the identifier, and succeeds again.
            delete_removes_all_of_the_identifier
            /// If many callers consume the same identifier at once, exactly one of them gets it.
            one_of_many_consumes
        }
    }

    /// [`check_code`](DatabaseAdapter::check_code)
    codes {
        codes {
            /// `check_code` accepts the newest code once and removes all rows of the identifier.
            the_right_code_is_accepted_once
            /// Wrong codes are counted up to `max_attempts`; then the right code is refused too, until a new one is made.
            wrong_codes_are_counted
            /// A code whose attempts are used up is not found by any lookup.
            a_code_without_attempts_is_dead
            /// `check_code` compares with the newest row of the identifier that has not expired, never with an older one.
            only_the_newest_unexpired_code_counts
            /// A `max_attempts` of zero is `Validation`.
            no_attempts_are_refused
            /// If 1,000 callers guess at once, all but `max_attempts - 1` of them are told `TooManyAttempts`.
            a_thousand_guesses_share_the_attempts
            /// If many callers present the right code at once, exactly one of them is accepted.
            one_of_many_is_accepted
            /// `check_code` accepts the value of a `hashed` code; what has the form of a digest is a wrong code.
            hashed_codes_are_checked
        }
    }

    /// [`reserve_verification`](DatabaseAdapter::reserve_verification)
    reservations {
        reservations {
            /// `reserve_verification` answers `true` once for a pair, and `false` while the marker lasts.
            a_marker_is_set_once
            /// A marker that has expired can be set again.
            an_expired_marker_is_free
            /// Rows of `create_verification` do not keep a marker from being set.
            created_rows_are_no_markers
            /// Input that cannot be stored is `Validation` and names the field.
            impossible_input_is_refused
            /// If many callers set the same marker at once, exactly one of them is told `true`.
            one_of_many_sets_the_marker
        }
    }

    /// [`list_users`](DatabaseAdapter::list_users), [`count_users`](DatabaseAdapter::count_users)
    user_lists {
        user_lists {
            /// An empty store has one page without users and without a cursor.
            an_empty_store_has_an_empty_page
            /// Pages of every size contain every user exactly once, in both orders, and the last page has no cursor.
            pages_are_complete_and_in_order
            /// A default query returns the newest hundred users.
            the_default_is_the_newest_hundred
            /// A list shows the current rows and no deleted users.
            lists_show_what_is_stored
            /// If users are created or deleted between two pages, no other user is repeated or left out.
            pages_are_stable_while_users_come_and_go
            /// A limit outside 1 to 1,000 is `Validation`, also if no user can match.
            limits_are_checked
            /// An invalid cursor is `Validation`.
            cursors_are_checked
            /// A cursor can be put into a URL unescaped and leads to the next page, whatever the ids contain.
            cursors_are_safe_in_urls
            /// A filter applies to every page that a cursor leads to.
            filtered_pages_are_complete
            /// Users who are created at the same time are all listed.
            users_created_at_once_are_all_listed
        }
        user_filters {
            /// Roles match exactly, and the flags `banned` and `email_verified` select their users.
            roles_and_flags_are_told_apart
            /// `created_from` is inclusive and `created_before` exclusive, to the nanosecond.
            times_bound_the_list
            /// A time that cannot be stored still bounds the list.
            extreme_times_do_not_fail
            /// A user is listed if all conditions of a filter hold.
            filters_combine
            /// For any filter, the users found are those that the same filter selects in Rust.
            any_filter_is_kept
        }
        user_searches {
            /// A search looks at the named column only.
            searches_look_into_one_column
            /// Emails and usernames match without case, by Unicode's rules; names match with case.
            only_names_match_with_case
            /// `%`, `_`, backslashes, quotes and all other characters match only themselves.
            search_values_are_literal
            /// An empty search value matches every user who has a value in the column.
            an_empty_search_finds_who_has_the_column
            /// A sigma is found wherever it stands in a word.
            a_sigma_is_found_wherever_it_stands
            /// A search value that cannot be stored matches no user.
            impossible_values_find_nobody
            /// A prefix can end in any character, including the last one of Unicode.
            prefixes_may_end_in_any_character
            /// Names and search values can be megabytes long.
            names_may_be_megabytes
            /// Long names with a common beginning are told apart.
            long_names_are_told_apart
            /// Long roles are told apart by their last character.
            long_roles_are_told_apart
        }
    }

    /// [`organizations`](DatabaseAdapter::organizations): every method of
    /// [`OrganizationStore`](crate::adapters::OrganizationStore), also in transactions
    organizations {
        organizations {
            /// A new organization has its owner as the first member, and is found by id, by slug and by user.
            an_organization_has_its_owner
            /// Slugs are stored in lower case and compared without case; a taken one is `Conflict`.
            slugs_are_unique_without_case
            /// If many callers take the same slug at once, exactly one gets it.
            one_of_many_gets_the_slug
            /// Empty, long and impossible texts are `Validation`; what is unknown is not found.
            impossible_organizations_are_refused
            /// An update changes what it names, and moves `updated_at` forward.
            an_update_changes_what_it_names
            /// A deleted organization takes its members, invitations, teams and roles along.
            a_deleted_organization_takes_everything_along
            /// Of many callers at the limit of a user's organizations, exactly one succeeds.
            the_limit_of_organizations_is_exact
            /// An organization whose last owner's user was deleted is listed.
            organizations_without_owner_are_found
            /// Roles are found, changed, listed and deleted; a name is there once in an organization.
            roles_are_created_changed_and_deleted
        }
        members {
            /// If many callers add the same user at once, exactly one succeeds.
            a_user_is_a_member_once
            /// A member without organization or user is the `...NotFound` of what is missing.
            members_need_organization_and_user
            /// A role is one name or several joined by commas, without spaces, each once.
            roles_are_names_joined_by_commas
            /// With a limit of 10 and 9 members, exactly one of 50 callers adds a member.
            the_limit_of_members_is_exact
            /// The last owner can neither be removed nor demoted.
            the_last_owner_stays
            /// If two owners leave at the same moment, one of them stays.
            of_two_owners_who_leave_one_stays
            /// Pages of every size contain every member once, the newest first, with the user's public columns.
            members_are_listed_in_pages
            /// Pages of members inside a transaction contain the members as they are changed, added and removed inside it.
            members_are_listed_as_changed_inside
            /// Pages of the members of one role contain each of them once, whatever other roles they have.
            members_of_a_role_are_listed_in_pages
            /// A removed member leaves the teams, and sessions no longer name the organization.
            a_removed_member_leaves_teams_and_sessions
            /// A deleted user is in no organization and in no team.
            a_deleted_user_is_no_member
        }
        member_checks {
            /// `check_session` finds the membership of the active organization, if it is asked to and there is one.
            a_check_finds_the_membership
            /// `check_session` sees a new role, a removed member and a deleted organization at once.
            a_check_sees_each_change_of_a_membership
        }
        invitations {
            /// If many callers accept an invitation at once, exactly one succeeds, and there is one member.
            an_invitation_is_accepted_once
            /// An invitation is found with the names of its organization and its inviter.
            an_invitation_shows_names
            /// Only the user who has the invited address now accepts or rejects, and verified if that is required.
            only_the_addressee_accepts
            /// An expired, accepted, rejected or canceled invitation is `InvitationNotFound`.
            expired_and_answered_ones_are_gone
            /// An address has one live pending invitation to an organization; an expired one is replaced.
            an_address_has_one_live_pending_invitation
            /// A member who accepts gets `Conflict`, and the invitation stays pending.
            who_is_a_member_accepts_nothing
            /// An inviter who is no member is `MemberNotFound`, a team of another organization `TeamNotFound`.
            impossible_invitations_are_refused
            /// Of many callers, exactly so many invite as the limit allows.
            limits_of_invitations_are_exact
            /// Of many who accept, exactly so many join as the limits of organization and team allow.
            accepting_keeps_the_limits
            /// If the team of an invitation is deleted, the invitation stays without it.
            a_team_of_an_invitation_may_go
            /// The invitations of a deleted inviter are gone.
            invitations_of_a_deleted_inviter_are_gone
        }
        teams {
            /// Teams are found, renamed, listed and deleted with their members.
            teams_are_created_renamed_and_deleted
            /// Only members of the organization are in its teams, each once.
            only_members_of_the_organization_are_in_its_teams
            /// Of many callers, exactly so many teams and members of a team are created as the limit allows.
            limits_of_teams_are_exact
        }
        organization_replacements {
            /// What a transaction changes of a member or a role is not done to another one that took its place meanwhile.
            what_is_changed_stays_with_its_row
            /// What a transaction attaches to a member is not attached to another one that took its place meanwhile.
            what_is_attached_stays_with_its_member
        }
        organization_races {
            /// Every operation works in a transaction, and is undone by a rollback.
            the_store_works_in_transactions
            /// If a transaction removes one owner and another caller the other one, one of the two fails.
            of_two_transactions_one_takes_an_owner_away
            /// If a transaction and another caller take the last place, one of the two fails.
            of_two_transactions_one_gets_the_last_place
            /// If a transaction accepts an invitation that another caller accepts or rejects, one of the two fails.
            of_two_transactions_one_accepts
            /// If a member joins a team while another caller removes the member, nobody is left in the team.
            nobody_is_in_a_team_without_being_a_member
        }
    }

    /// [`rate_limits`](DatabaseAdapter::rate_limits): every method of
    /// [`RateLimitStore`](crate::adapters::RateLimitStore), also in transactions
    rate_limits {
        rate_limits {
            /// A window has room for as many calls as the caller allows; a refused call is told when the next one begins.
            a_window_has_room_for_so_many
            /// When a window has ended, there is room again.
            a_new_window_has_room_again
            /// Of many callers, exactly as many are allowed as there is room for.
            of_many_exactly_so_many_are_allowed
            /// An empty or impossible key, no calls at all, and no window are `Validation`.
            impossible_limits_are_refused
            /// `clean_up` leaves the windows that have not ended.
            a_running_window_outlasts_a_clean_up
            /// A call in a transaction counts if that is committed, and only then.
            a_call_is_undone_with_its_transaction
            /// If a transaction and another caller take the last place, one of the two gets it.
            of_two_transactions_one_takes_the_last_place
        }
    }

    /// [`signing_keys`](DatabaseAdapter::signing_keys): every method of
    /// [`SigningKeyStore`](crate::adapters::SigningKeyStore), also in transactions
    signing_keys {
        signing_keys {
            /// A key is replaced if it is older than the caller allows; otherwise the caller gets it as it is.
            a_key_is_replaced_when_it_is_old
            /// An expired key is neither the current one nor listed, and the next rotation replaces it.
            an_expired_key_neither_signs_nor_verifies
            /// Of many callers who rotate at once, one stores a key, and all get that key.
            of_many_one_rotates
            /// Empty keys, and texts with a NUL character, are `Validation` and name the field.
            impossible_keys_are_refused
            /// Neither `Debug` nor `Serialize` shows a private key.
            private_keys_do_not_show
            /// If a transaction and another caller rotate at once, the keys of both that succeed are there, one after the
            /// other.
            of_two_transactions_one_rotates
        }
    }

    /// [`two_factor`](DatabaseAdapter::two_factor): every method of
    /// [`TwoFactorStore`](crate::adapters::TwoFactorStore), also in transactions
    two_factor {
        two_factor {
            /// A second factor is enrolled, confirmed with the user's flag, and disabled with it.
            a_second_factor_is_enrolled_and_confirmed
            /// An unverified second factor is replaced, a verified one is `Conflict`, and a user has to be there.
            a_verified_second_factor_is_not_replaced
            /// Attempts are counted before they are answered; too many lock the second factor, until the lock ends.
            too_many_attempts_lock
            /// Of many attempts at once, exactly as many are granted as the caller allows.
            of_many_attempts_so_many_are_granted
            /// A time step is accepted once, and never an older one.
            a_time_step_is_accepted_once
            /// Of many callers with one time step, one is accepted.
            of_many_one_uses_the_time_step
            /// Of many callers who replace the same backup codes, one succeeds; none while the second factor is locked.
            of_many_one_replaces_the_backup_codes
            /// A deleted user has no second factor.
            a_deleted_user_has_no_second_factor
            /// Impossible texts, negative steps, and limits of zero are `Validation`; impossible users have none.
            impossible_second_factors_are_refused
            /// Neither `Debug` nor `Serialize` shows a secret or backup codes.
            secrets_of_second_factors_do_not_show
            /// Every operation works in a transaction, and is undone by a rollback.
            second_factors_work_in_transactions
        }
        two_factor_races {
            /// If a transaction and another caller use the same time step or backup codes, one of the two succeeds.
            of_two_transactions_one_uses_the_time_step
            /// If a transaction and another caller take the last attempt, one of the two gets it.
            of_two_transactions_one_takes_the_last_attempt
            /// If a transaction disables a second factor while another is stored, the flag of the user says which there is.
            the_flag_goes_with_the_second_factor
        }
    }

    /// [`passkeys`](DatabaseAdapter::passkeys): every method of
    /// [`PasskeyStore`](crate::adapters::PasskeyStore), also in transactions
    passkeys {
        passkeys {
            /// A passkey is found with its user, listed, renamed and deleted, by its user only.
            a_passkey_belongs_to_its_user
            /// A credential is stored once, for all users together, and only for a user who exists.
            a_credential_is_stored_once
            /// A counter is accepted if it is greater than before, or if both are 0.
            a_counter_only_grows
            /// Of many callers with one counter, one is accepted.
            of_many_one_has_the_counter
            /// Impossible texts and negative counters are `Validation` and name the field; impossible keys find nothing.
            impossible_passkeys_are_refused
            /// A deleted user has no passkeys.
            a_deleted_user_has_no_passkeys
            /// Every operation works in a transaction, and is undone by a rollback.
            passkeys_work_in_transactions
            /// If a transaction and another caller use the same counter, one of the two is accepted.
            of_two_transactions_one_has_the_counter
        }
    }

    /// [`device_codes`](DatabaseAdapter::device_codes): every method of
    /// [`DeviceCodeStore`](crate::adapters::DeviceCodeStore), also in transactions
    device_codes {
        device_codes {
            /// A device is approved by the code that its user types, in any case, and gets the answer once.
            a_device_is_approved
            /// A device that is denied is told so.
            a_device_is_denied
            /// A poll that comes sooner than the interval allows raises the interval by five seconds.
            a_poll_that_comes_too_soon_slows_down
            /// An expired code is neither found nor answered, and `clean_up` removes it.
            an_expired_device_code_is_worth_nothing
            /// Of many callers who approve or deny a code, one has done so.
            of_many_one_answers_for_a_device
            /// Of many polls of an approved code, one is told so.
            of_many_polls_one_is_approved
            /// Codes are random, of the letters of RFC 8628, and do not show.
            device_codes_are_random
            /// Impossible texts and intervals are `Validation` and name the field; impossible codes find nothing.
            impossible_device_codes_are_refused
            /// The codes that a deleted user has approved are gone.
            a_deleted_user_has_approved_nothing
            /// Every operation works in a transaction, and is undone by a rollback.
            device_codes_work_in_transactions
            /// If a transaction and another caller approve or use the same code, one of the two succeeds.
            of_two_transactions_one_uses_the_device_code
            /// A poll in a transaction that is told to wait uses up no approval that comes meanwhile.
            a_poll_that_waits_uses_up_no_approval
        }
    }

    /// [`api_keys`](DatabaseAdapter::api_keys): every method of
    /// [`ApiKeyStore`](crate::adapters::ApiKeyStore), also in transactions; the cases need
    /// [`organizations`](DatabaseAdapter::organizations) too
    api_keys {
        api_keys {
            /// A key is issued to a user or an organization, is found, used and listed, and goes with its owner.
            a_key_belongs_to_its_owner
            /// Pages of keys hold all keys of an owner, and no other.
            pages_of_keys_are_complete
            /// A user and an organization with the same id have keys of their own.
            keys_of_users_and_organizations_do_not_mix
            /// A key is changed, column by column, disabled, and deleted.
            a_key_is_changed_and_deleted
            /// Of many uses, exactly as many are accepted as the quota has.
            a_quota_is_exact
            /// Of many uses, exactly as many are accepted as the window has room for; a refused use counts for nothing.
            a_rate_limit_is_exact
            /// When a window has ended, there is room again; when a refill is due, there are uses again.
            windows_and_refills_come_again
            /// An expired key is refused, and `clean_up` removes it.
            expired_keys_are_removed
            /// Impossible texts and numbers are `Validation` and name the field; an owner has to be there.
            impossible_keys_are_refused
            /// Neither `Debug` nor `Serialize` shows a key.
            issued_keys_do_not_show
            /// Every operation works in a transaction, and is undone by a rollback.
            keys_work_in_transactions
        }
        api_key_races {
            /// If a transaction and another caller take the last use, one of the two gets it.
            of_two_transactions_one_has_the_last_use
            /// A use in a transaction that is refused is not counted, also if there are uses again at the commit.
            a_refused_use_in_a_transaction_is_not_counted
        }
    }

    /// [`begin`](DatabaseAdapter::begin), [`transaction`](crate::transaction()); the cases need
    /// [`consume_verification`](DatabaseAdapter::consume_verification) too
    transactions {
        transactions {
            /// A commit makes every change visible exactly as it was returned; before the commit, no change is
            /// visible outside.
            a_commit_makes_all_visible
            /// A rollback leaves no change, and frees every key.
            a_rollback_leaves_nothing
            /// Dropping a transaction leaves no change, and frees every key.
            a_drop_leaves_nothing
            /// A transaction without operations can be committed and rolled back.
            an_empty_transaction_ends_well
            /// A transaction can be dropped in any state; others can then write the same rows at once.
            a_transaction_may_be_dropped_in_any_state
            /// Any number of transactions can be begun and dropped, also while `begin` is under way.
            dropped_transactions_use_nothing_up
            /// After an error, every further operation and the commit are `TransactionAborted`, and no change lasts.
            an_error_aborts
            /// After an error, a rollback succeeds.
            an_aborted_transaction_can_be_rolled_back
            /// `begin` inside a transaction is `Unsupported`, and the outer transaction continues.
            begin_inside_is_unsupported
            /// A conflict inside a transaction names the field, with rows from before and with rows of the
            /// transaction.
            conflicts_inside_name_the_field
            /// A call that is dropped inside a transaction either never began or aborts the transaction; half of it
            /// never lasts.
            a_dropped_call_aborts
            /// Hundreds of rows of each kind are committed together.
            hundreds_of_rows_are_committed_together
        }
        transaction_views {
            /// Updates and deletes are visible inside the transaction at once, and outside after the commit.
            own_changes_are_seen_inside
            /// A list inside a transaction contains old and new rows, newest first, without deleted rows.
            lists_mix_old_and_new_rows
            /// Users that are created, changed and deleted inside a transaction are listed and counted so inside it, and
            /// outside after the commit.
            users_are_listed_and_counted_as_changed_inside
            /// `delete_other_sessions` inside a transaction keeps the session with the token, and deletes the user's others,
            /// old and new.
            one_session_is_kept_inside
            /// A key that is given up or deleted inside a transaction can be taken inside it at once.
            names_given_up_inside_are_free_inside
            /// A user deleted inside a transaction is gone inside it, with sessions and accounts, and outside after
            /// the commit.
            a_user_deleted_inside_is_gone_inside
            /// Readers outside do not wait for a transaction that changed the same rows, and see none of its changes.
            readers_outside_do_not_wait
            /// Code that holds a transaction can read through the adapter between its operations.
            the_adapter_reads_meanwhile
            /// A row that expires while a transaction is open is expired inside it too.
            time_goes_on_inside
            /// A session that is expired, or was ended inside a transaction, is never revived inside it.
            dead_sessions_stay_dead_inside
            /// `updated_at` moves forward on every change inside a transaction, and is kept at the commit.
            updated_at_moves_forward_inside
            /// Expired rows that are removed inside a transaction are counted there, and gone after the commit.
            dead_rows_are_removed_at_commit
            /// A one-time token consumed inside a transaction is used up after a commit, and usable after a rollback.
            one_time_tokens_are_used_up_at_commit
        }
        transaction_races {
            /// If two transactions create a user with the same id, email or username, exactly one commits.
            one_of_two_gets_the_name
            /// If a transaction and a caller outside take the same email, exactly one succeeds.
            one_of_inside_and_outside_gets_the_email
            /// If two transactions give their users the same email, exactly one commits, and the other user is
            /// unchanged.
            one_of_two_changes_to_the_email
            /// If two transactions link the same account, exactly one commits.
            one_of_two_gets_the_account
            /// A key that a transaction took is free after its rollback or drop, also for a caller who is waiting.
            an_undone_transaction_gives_its_names_back
            /// A key that a transaction gives up is free after its commit, not before.
            a_name_given_up_is_free_at_commit
            /// If many transactions consume the same one-time token, exactly one commits.
            one_of_many_uses_the_token
            /// If a transaction and another caller consume the same one-time token, exactly one gets it.
            one_of_two_uses_the_token
            /// If one transaction deletes a user and another creates rows of that user, no row is left without its
            /// user.
            nothing_outlives_its_user
            /// If two transactions change different columns of a user, both changes last.
            changes_of_different_columns_are_both_kept
            /// Two transactions that change the same users in opposite order both end, each as a whole or not at all.
            opposite_orders_come_to_an_end
            /// A commit changes only the rows that its operations saw; rows that others add meanwhile stay.
            a_commit_takes_only_what_was_seen
            /// An empty update inside a transaction does not require the user to exist at the commit.
            an_empty_update_holds_nothing
        }
        transaction_replacements {
            /// What a transaction creates for a user belongs to nobody who is created meanwhile with the same id.
            what_is_created_stays_with_its_user
            /// What a transaction changes of a user or of the user's rows changes nobody who is created meanwhile with the
            /// same id.
            what_is_changed_stays_with_its_user
            /// A ban, the end of one, a link and a refresh of a transaction change nobody who is created meanwhile with the
            /// same id.
            what_is_banned_or_refreshed_stays_with_its_user
            /// What a transaction deletes of a user takes nothing from who is created meanwhile with the same id.
            what_is_deleted_was_its_users
            /// If a transaction and a caller outside both put a user in another's place, one of the two has it, with
            /// nothing of the other's.
            one_of_two_has_the_place
        }
        transaction_sessions {
            /// A session that is deleted while a transaction has refreshed it is gone after the commit.
            a_sign_out_ends_what_is_refreshed
            /// An earlier end that a session gets while a transaction has refreshed it stays after the commit.
            a_shorter_end_outlasts_a_refresh
        }
        transaction_helper {
            /// If the closure returns `Ok`, its changes last, and `transaction` returns its value.
            it_commits_on_ok
            /// If the closure returns `Err`, no change lasts; the error can be the application's own type.
            it_rolls_back_on_err
            /// If the closure ignores an error of an operation, no change lasts, and the answer is
            /// `TransactionAborted`.
            a_swallowed_error_undoes_all
            /// If the call of `transaction` is dropped while the closure runs, no change lasts.
            a_dropped_call_undoes_all
            /// The closure can borrow its inputs, also in a spawned task.
            it_runs_in_a_task_on_what_it_borrows
            /// If many callers sign up with the same email at once, exactly one succeeds, and no row of the others is
            /// left.
            one_of_many_signs_up
            /// If the commit loses against another writer, `transaction` runs the closure again.
            a_lost_commit_runs_it_again
            /// Many transactions that read and change the same user all succeed.
            writers_of_one_user_all_get_through
        }
    }
}
