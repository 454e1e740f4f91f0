//! What the sequences are made of.

use std::time::Duration;

use better_auth::types::{
    CheckSession, CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers,
};
use proptest::prelude::*;

use crate::calls::{Call, CredentialCall, OrganizationCall};
use crate::credentials::{credential_step, first_credentials};
use crate::inputs::{
    create_account, create_session, create_user, list_users, update_account, update_session,
    update_user, user_filter,
};
use crate::organizations::{first_organizations, organization_step};
use crate::values::{USERS, end, key, maybe, part_of_a_pair, text, time, user_id};

/// What is done next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// With what an earlier call has made, where it says so.
    Call(Call, Option<Made>),
    /// One of the store's, with what earlier calls have made.
    Organization(OrganizationCall, Vec<Made>),
    /// One of the stores of credentials', likewise.
    Credential(CredentialCall, Vec<Made>),
    /// Follows the cursors to the end.
    AllPages(ListUsers),
    Begin,
    Commit,
    Rollback,
    DropTransaction,
}

impl Step {
    /// Whether it leaves out the rows that others have locked, rather than wait for them.
    pub(crate) fn skips_locked_rows(&self) -> bool {
        matches!(
            self,
            Self::Call(
                Call::delete_expired_sessions {}
                    | Call::delete_expired_verifications {}
                    | Call::clean_up {},
                _
            )
        )
    }
}

/// An id or a token that an adapter has made. Each made another one, so a number stands for it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// The argument of the call.
    pub(crate) argument: &'static str,
    pub(crate) column: Column,
    /// How many rows of the table were made before this one.
    pub(crate) number: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) table: &'static str,
    pub(crate) name: &'static str,
}

const SESSION_TOKEN: Column = Column {
    table: "sessions",
    name: "token",
};
const SESSION_ID: Column = Column {
    table: "sessions",
    name: "id",
};
const ACCOUNT_ID: Column = Column {
    table: "accounts",
    name: "id",
};
const VERIFICATION_ID: Column = Column {
    table: "verifications",
    name: "id",
};

/// How many transactions may be open at once.
pub(crate) const TRANSACTIONS: usize = 3;

/// Where a step runs: in the transaction of this number, if it is open, or outside all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    Outside,
    Inside(usize),
}

pub(crate) fn step(call: Call) -> Step {
    Step::Call(call, None)
}

/// Calls with what was made in this argument.
fn with_made(
    argument: &'static str,
    column: Column,
    calls: impl Strategy<Value = Call>,
) -> impl Strategy<Value = Step> {
    (calls, 0_usize..6).prop_map(move |(call, number)| {
        let made = Made {
            argument,
            column,
            number,
        };
        Step::Call(call, Some(made))
    })
}

/// Calls with what was made in this argument, mostly, or with any text.
fn with_made_or_text(
    argument: &'static str,
    column: Column,
    calls: impl Strategy<Value = Call> + Clone,
) -> impl Strategy<Value = Step> {
    let text = (calls.clone(), key()).prop_map(move |(call, key)| step(call.with(argument, &key)));
    prop_oneof![12 => with_made(argument, column, calls), 1 => text]
}

fn user_step() -> BoxedStrategy<Step> {
    prop_oneof![
        8 => create_user().prop_map(|user| step(Call::create_user { user })),
        2 => user_id().prop_map(|id| step(Call::get_user_by_id { id })),
        2 => key().prop_map(|email| step(Call::get_user_by_email { email })),
        2 => key().prop_map(|username| step(Call::get_user_by_username { username })),
        6 => (user_id(), update_user())
            .prop_map(|(id, update)| step(Call::update_user { id, update })),
        2 => user_id().prop_map(|id| step(Call::delete_user { id })),
        2 => prop::collection::vec(user_id(), 0..5)
            .prop_map(|ids| step(Call::get_users_by_ids { ids })),
        2 => (user_id(), maybe(text()), maybe(end()))
            .prop_map(|(id, reason, until)| step(Call::ban_user { id, reason, until })),
        1 => user_id().prop_map(|id| step(Call::unban_user { id })),
        3 => list_users().prop_map(|query| step(Call::list_users { query })),
        2 => list_users().prop_map(Step::AllPages),
        2 => user_filter().prop_map(|filter| step(Call::count_users { filter })),
    ]
    .boxed()
}

fn session_step() -> BoxedStrategy<Step> {
    let token = String::new;
    let of_token = |calls| with_made_or_text("token", SESSION_TOKEN, calls);
    let expiries = end().prop_map(move |expires_at| Call::update_session_expiry {
        token: token(),
        expires_at,
    });
    let updates = update_session().prop_map(move |update| Call::update_session {
        token: token(),
        update,
    });
    // Of what the sessions' ends may be, none is due.
    let hour = Duration::from_secs(3600);
    let refresh = Call::refresh_session {
        token: token(),
        lifetime: hour,
        update_age: hour,
    };
    let check = Call::check_session {
        token: token(),
        check: CheckSession::new().with_refresh(hour, hour).with_member(),
    };
    let others = user_id().prop_map(move |user_id| Call::delete_other_sessions {
        user_id,
        keep_token: token(),
    });
    let by_id = user_id().prop_map(|user_id| Call::delete_session_by_id {
        user_id,
        id: String::new(),
    });
    prop_oneof![
        6 => create_session().prop_map(|session| step(Call::create_session { session })),
        2 => of_token(Just(Call::get_session { token: token() }).boxed()),
        2 => of_token(Just(Call::get_session_with_user { token: token() }).boxed()),
        2 => user_id().prop_map(|user_id| step(Call::get_user_sessions { user_id })),
        2 => of_token(expiries.boxed()),
        3 => of_token(updates.boxed()),
        1 => of_token(Just(Call::delete_session { token: token() }).boxed()),
        1 => user_id().prop_map(|user_id| step(Call::delete_user_sessions { user_id })),
        2 => of_token(Just(refresh).boxed()),
        2 => of_token(Just(check).boxed()),
        1 => with_made_or_text("keep_token", SESSION_TOKEN, others.boxed()),
        1 => with_made("id", SESSION_ID, by_id),
        1 => Just(step(Call::delete_expired_sessions {})),
    ]
    .boxed()
}

fn account_step() -> BoxedStrategy<Step> {
    let pair = (part_of_a_pair(), part_of_a_pair());
    let updates = update_account().prop_map(|update| Call::update_account {
        id: String::new(),
        update,
    });
    let delete = Call::delete_account { id: String::new() };
    prop_oneof![
        5 => create_account().prop_map(|account| step(Call::create_account { account })),
        5 => create_account().prop_map(|account| step(Call::link_account { account })),
        1 => user_id().prop_map(|user_id| step(Call::get_credential_account { user_id })),
        2 => pair.prop_map(|(provider, id)| step(Call::get_account { provider, id })),
        2 => user_id().prop_map(|user_id| step(Call::get_user_accounts { user_id })),
        3 => with_made_or_text("id", ACCOUNT_ID, updates.boxed()),
        1 => with_made_or_text("id", ACCOUNT_ID, Just(delete)),
    ]
    .boxed()
}

fn verification_step() -> BoxedStrategy<Step> {
    let identifier = part_of_a_pair;
    let pair = || (part_of_a_pair(), part_of_a_pair());
    let delete = Call::delete_verification { id: String::new() };
    prop_oneof![
        6 => (pair(), end()).prop_map(|((identifier, value), end)| {
            step(Call::create_verification { v: CreateVerification::new(identifier, value, end) })
        }),
        2 => pair()
            .prop_map(|(identifier, value)| step(Call::get_verification { identifier, value })),
        2 => identifier()
            .prop_map(|identifier| step(Call::get_verification_by_identifier { identifier })),
        2 => part_of_a_pair().prop_map(|value| step(Call::get_verification_by_value { value })),
        4 => pair()
            .prop_map(|(identifier, value)| step(Call::consume_verification { identifier, value })),
        2 => identifier()
            .prop_map(|identifier| step(Call::consume_verification_by_identifier { identifier })),
        1 => identifier()
            .prop_map(|identifier| step(Call::delete_verifications_by_identifier { identifier })),
        6 => (pair(), 0_u32..4).prop_map(|((identifier, value), max_attempts)| {
            step(Call::check_code { identifier, value, max_attempts })
        }),
        4 => (pair(), end()).prop_map(|((identifier, value), expires_at)| {
            step(Call::reserve_verification { identifier, value, expires_at })
        }),
        1 => with_made_or_text("id", VERIFICATION_ID, Just(delete)),
        1 => Just(step(Call::delete_expired_verifications {})),
    ]
    .boxed()
}

fn transaction_step() -> BoxedStrategy<Step> {
    prop_oneof![
        4 => Just(Step::Begin),
        2 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::DropTransaction),
        1 => Just(step(Call::clean_up {})),
    ]
    .boxed()
}

/// Creates a user with a row of each kind.
fn rows_of(user: &str) -> [Call; 4] {
    let end = time("2999-01-01T00:00:00Z");
    [
        Call::create_user {
            user: CreateUser::new().with_id(user),
        },
        Call::create_session {
            session: CreateSession::new(user, end),
        },
        Call::create_account {
            account: CreateAccount::new(user, "a", user),
        },
        Call::create_verification {
            v: CreateVerification::new("a", "a", end),
        },
    ]
}

/// Sequences of so many steps: of all kinds, or mostly of one, so that what they make meets again.
pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<(Place, Step)>> {
    let sequence = move |users, sessions, accounts, verifications, transactions| {
        let step = prop_oneof![
            users => user_step(),
            sessions => session_step(),
            accounts => account_step(),
            verifications => verification_step(),
            transactions => transaction_step(),
        ];
        prop::collection::vec(step, count).prop_map(|steps| (Vec::new(), steps))
    };
    // Those with organizations begin with some.
    let in_organizations = move |sessions, transactions| {
        let step = prop_oneof![
            2 => user_step(),
            sessions => session_step(),
            20 => organization_step(),
            transactions => transaction_step(),
        ];
        let steps = prop::collection::vec(step, count);
        (steps, any::<bool>()).prop_map(|(mut steps, has_limits)| {
            // Who has no limit is not held up by those who have one, and goes beyond it before they commit.
            for step in &mut steps {
                if let Step::Organization(call, _) = step
                    && !has_limits
                {
                    call.take_limits();
                }
            }
            (first_organizations(), steps)
        })
    };
    // As do those with credentials.
    let with_credentials = move |transactions| {
        let step = prop_oneof![
            2 => user_step(),
            20 => credential_step(),
            transactions => transaction_step(),
        ];
        let steps = prop::collection::vec(step, count);
        steps.prop_map(|steps| (first_credentials(), steps))
    };
    let steps = prop_oneof![
        2 => sequence(6, 4, 3, 4, 2),
        2 => sequence(6, 4, 3, 4, 8),
        1 => sequence(20, 1, 1, 1, 6),
        1 => sequence(4, 16, 1, 1, 6),
        1 => sequence(4, 1, 16, 1, 6),
        1 => sequence(1, 1, 1, 20, 6),
        3 => in_organizations(1, 2),
        3 => in_organizations(3, 8),
        3 => with_credentials(2),
        3 => with_credentials(8),
    ];
    // In one sequence more of the steps run outside than in another. Drawn apart from the steps, so that shrinking one
    // leaves the other as it is.
    let places = prop::collection::vec((0_u32..7, 0..TRANSACTIONS), count);
    (1..=TRANSACTIONS, 0_u32..4, places, steps).prop_map(
        |(transactions, outside, places, (first, steps))| {
            let place = |(chance, number)| {
                if chance < outside {
                    Place::Outside
                } else {
                    Place::Inside(number % transactions)
                }
            };
            let has_users = !first.is_empty();
            let mut sequence: Vec<_> = first
                .into_iter()
                .map(|step| (Place::Outside, step))
                .collect();
            // One transaction begins where the sequence says. Several begin at once, and meet at the same rows.
            if transactions > 1 {
                let outside = |call| (Place::Outside, step(call));
                if !has_users {
                    sequence.extend(USERS.into_iter().flat_map(rows_of).map(outside));
                }
                let begin = |number| (Place::Inside(number), Step::Begin);
                sequence.extend((0..transactions).map(begin));
            }
            sequence.extend(places.into_iter().map(place).zip(steps));
            sequence
        },
    )
}
