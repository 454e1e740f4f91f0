//! Short histories of a few callers on one thing, each of which some order has to explain.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    CreateSession, CreateUser, CreateVerification, Session, UpdateSession, UpdateUser, User,
};
use better_auth::{AuthError, AuthResult, ConflictField, transaction};
use chrono::{DateTime, Utc};

use crate::linearizability::{Event, Model, is_linearizable};
use crate::random::Random;
use crate::{Run, in_an_hour};

const CALLERS: usize = 3;
const CALLS: usize = 6;

/// What a call shows of the thing, or why it was refused.
pub(crate) type Answer = Result<Option<String>, Refusal>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    NotFound,
    Conflict(ConflictField),
}

/// A model of something that an adapter keeps.
pub(crate) trait Subject:
    Model<Operation: Send + Sync, Answer: From<Answer> + Send> + Send
{
    /// Makes what the default state describes, and returns how to find it.
    fn prepare(
        database: &dyn DatabaseAdapter,
        round: usize,
    ) -> impl Future<Output = AuthResult<String>> + Send;

    fn choose(random: &mut Random) -> Self::Operation;

    fn call(
        database: &dyn DatabaseAdapter,
        key: &str,
        operation: &Self::Operation,
    ) -> impl Future<Output = AuthResult<Option<String>>> + Send;
}

/// The answer, unless the call was told that nothing was done for now.
fn answer(answer: AuthResult<Option<String>>) -> Option<Answer> {
    match answer {
        Ok(shown) => Some(Ok(shown)),
        Err(
            AuthError::UserNotFound
            | AuthError::SessionNotFound
            | AuthError::MemberNotFound
            | AuthError::InvitationNotFound
            | AuthError::TwoFactorNotFound
            | AuthError::PasskeyNotFound
            | AuthError::ApiKeyNotFound,
        ) => Some(Err(Refusal::NotFound)),
        Err(AuthError::Conflict { field }) => Some(Err(Refusal::Conflict(field))),
        Err(error) if error.is_retryable() => None,
        Err(error) => panic!("{error:?}"),
    }
}

type History<M> = Vec<Event<<M as Model>::Operation, <M as Model>::Answer>>;

/// Calls at random, plainly or in a transaction, and drops some of the calls.
async fn record<M: Subject>(
    database: &dyn DatabaseAdapter,
    key: &str,
    clock: &AtomicU64,
    arrived: &AtomicUsize,
    mut random: Random,
) -> History<M> {
    let mut history = Vec::new();
    for call in 1..=CALLS {
        // In memory, callers would not meet otherwise: a call is over before the next caller is woken.
        arrived.fetch_add(1, Ordering::SeqCst);
        let mut patience = 100;
        while patience > 0 && arrived.load(Ordering::SeqCst) < call * CALLERS {
            patience -= 1;
            tokio::task::yield_now().await;
        }
        let operation = &M::choose(&mut random);
        let invoked = clock.fetch_add(1, Ordering::SeqCst);
        let returned = if random.one_in(3) {
            let call = transaction(
                database,
                |tx| async move { M::call(&tx, key, operation).await },
            );
            random.finish_or_drop(call).await
        } else {
            random
                .finish_or_drop(M::call(database, key, operation))
                .await
        };
        let at = clock.fetch_add(1, Ordering::SeqCst);
        let returned = match returned.map(answer) {
            Some(Some(answer)) => Some((at, answer.into())),
            Some(None) => continue,
            None => None,
        };
        history.push(Event {
            operation: operation.clone(),
            invoked,
            returned,
        });
    }
    history
}

/// How many pairs of calls of different callers ran at the same time.
fn overlaps<M: Model>(histories: &[History<M>]) -> usize {
    let end = |event: &Event<_, _>| event.returned.as_ref().map_or(u64::MAX, |(at, _)| *at);
    let pairs = histories[0].iter().flat_map(|one| {
        let others = histories[1..].iter().flatten();
        others.map(move |other| (one, other))
    });
    pairs
        .filter(|(one, other)| one.invoked < end(other) && other.invoked < end(one))
        .count()
}

pub(crate) async fn explore<M: Subject + 'static>(mut run: Run) {
    let end = run.end;
    explore_until::<M>(&mut run, end).await;
    run.settle().await;
}

pub(crate) async fn explore_until<M: Subject + 'static>(run: &mut Run, end: Instant) {
    let (mut rounds, mut calls, mut met) = (0, 0, 0);
    let explorer = run.watch.task("explorer");
    // Calls that never meet would show nothing.
    while Instant::now() < end || met == 0 {
        let key: Arc<str> = M::prepare(&run.database, rounds).await.unwrap().into();
        explorer.does(format!("round {rounds}"));
        let clock = Arc::new(AtomicU64::new(0));
        let arrived = Arc::new(AtomicUsize::new(0));
        let callers = [(); CALLERS].map(|()| {
            let (database, random) = (Arc::clone(&run.database), run.random.fork());
            let (key, clock, arrived) =
                (Arc::clone(&key), Arc::clone(&clock), Arc::clone(&arrived));
            tokio::spawn(
                async move { record::<M>(&database, &key, &clock, &arrived, random).await },
            )
        });
        let mut histories = Vec::new();
        for caller in callers {
            histories.push(caller.await.unwrap());
        }
        met += usize::from(overlaps::<M>(&histories) > 0);
        let mut history = histories.concat();
        history.sort_by_key(|event| event.invoked);
        assert!(
            is_linearizable::<M>(&history),
            "no order explains {history:#?}"
        );
        rounds += 1;
        calls += history.len();
    }
    println!("{rounds} histories of {calls} calls explained; in {met} of them, calls met");
}

/// Users of whom one may have the email. Each has a number as a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Users {
    names: [Option<usize>; 2],
    holder: Option<usize>,
}

#[derive(Clone, Debug)]
enum OnUsers {
    /// With the email or without.
    Create(usize, bool, usize),
    /// Takes the email or gives it up.
    Update(usize, bool, usize),
    Delete(usize),
    ById(usize),
    ByEmail,
}

impl Users {
    fn show(&self, user: usize) -> Option<String> {
        let name = self.names[user]?;
        Some(format!("{user}: {name}, {}", self.holder == Some(user)))
    }

    fn set(&mut self, user: usize, with_email: bool, name: usize) -> Answer {
        if with_email && self.holder.is_some_and(|holder| holder != user) {
            return Err(Refusal::Conflict(ConflictField::Email));
        }
        self.names[user] = Some(name);
        self.holder = match self.holder {
            _ if with_email => Some(user),
            Some(holder) if holder == user => None,
            other => other,
        };
        Ok(self.show(user))
    }
}

impl Model for Users {
    type Operation = OnUsers;
    type Answer = Answer;

    fn apply(&mut self, operation: &OnUsers) -> Answer {
        match *operation {
            OnUsers::Create(user, _, _) if self.names[user].is_some() => {
                Err(Refusal::Conflict(ConflictField::UserId))
            }
            OnUsers::Update(user, _, _) if self.names[user].is_none() => Err(Refusal::NotFound),
            OnUsers::Create(user, with_email, name) | OnUsers::Update(user, with_email, name) => {
                self.set(user, with_email, name)
            }
            OnUsers::Delete(user) => {
                self.names[user] = None;
                self.holder = self.holder.filter(|holder| *holder != user);
                Ok(None)
            }
            OnUsers::ById(user) => Ok(self.show(user)),
            OnUsers::ByEmail => Ok(self.holder.and_then(|holder| self.show(holder))),
        }
    }
}

impl Subject for Users {
    async fn prepare(_: &dyn DatabaseAdapter, round: usize) -> AuthResult<String> {
        Ok(format!("{round}@example.com"))
    }

    fn choose(random: &mut Random) -> OnUsers {
        let (user, name) = (random.below(2), random.below(100));
        let with_email = random.below(3) > 0;
        match random.below(9) {
            0..=1 => OnUsers::Create(user, with_email, name),
            2..=4 => OnUsers::Update(user, with_email, name),
            5 => OnUsers::Delete(user),
            6 => OnUsers::ById(user),
            _ => OnUsers::ByEmail,
        }
    }

    async fn call(
        database: &dyn DatabaseAdapter,
        email: &str,
        operation: &OnUsers,
    ) -> AuthResult<Option<String>> {
        let id = |user: usize| format!("{user} {email}");
        let show = |found: User| {
            let (user, _) = found.id.split_once(' ').unwrap();
            let has_email = found.email.is_some();
            Some(format!("{user}: {}, {has_email}", found.name.unwrap()))
        };
        match *operation {
            OnUsers::Create(user, with_email, name) => {
                let create = CreateUser {
                    email: with_email.then(|| email.to_owned()),
                    ..CreateUser::new()
                        .with_id(id(user))
                        .with_name(name.to_string())
                };
                database.create_user(create).await.map(show)
            }
            OnUsers::Update(user, with_email, name) => {
                let update = UpdateUser {
                    name: Some(Some(name.to_string())),
                    email: Some(with_email.then(|| email.to_owned())),
                    ..UpdateUser::default()
                };
                database.update_user(&id(user), update).await.map(show)
            }
            OnUsers::Delete(user) => database.delete_user(&id(user)).await.map(|()| None),
            OnUsers::ById(user) => Ok(database.get_user_by_id(&id(user)).await?.and_then(show)),
            OnUsers::ByEmail => Ok(database.get_user_by_email(email).await?.and_then(show)),
        }
    }
}

/// A user's session, while it is live, with a number as its user agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OneSession(Option<usize>);

impl Default for OneSession {
    fn default() -> Self {
        Self(Some(0))
    }
}

#[derive(Clone, Debug)]
enum OnSession {
    Get,
    GetWithUser,
    List,
    Set(usize),
    End,
    Expire,
    Delete,
    DeleteAll,
    DeleteUser,
}

impl Model for OneSession {
    type Operation = OnSession;
    type Answer = Answer;

    fn apply(&mut self, operation: &OnSession) -> Answer {
        match *operation {
            OnSession::Get | OnSession::GetWithUser | OnSession::List => {
                Ok(self.0.map(|agent| agent.to_string()))
            }
            OnSession::Set(agent) => {
                let agent = self.0.replace(agent).and(self.0);
                self.0 = agent;
                agent.map_or(Err(Refusal::NotFound), |agent| Ok(Some(agent.to_string())))
            }
            OnSession::End | OnSession::Expire => {
                self.0.take().map_or(Err(Refusal::NotFound), |_| Ok(None))
            }
            OnSession::Delete | OnSession::DeleteAll | OnSession::DeleteUser => {
                self.0 = None;
                Ok(None)
            }
        }
    }
}

impl Subject for OneSession {
    async fn prepare(database: &dyn DatabaseAdapter, _: usize) -> AuthResult<String> {
        let user = database.create_user(CreateUser::new()).await?;
        let session = CreateSession::new(&user.id, in_an_hour()).with_user_agent("0");
        let session = database.create_session(session).await?;
        Ok(format!("{} {}", session.token, user.id))
    }

    fn choose(random: &mut Random) -> OnSession {
        match random.below(24) {
            0..=3 => OnSession::Get,
            4..=6 => OnSession::GetWithUser,
            7..=8 => OnSession::List,
            9..=18 => OnSession::Set(random.below(100)),
            19 => OnSession::End,
            20 => OnSession::Expire,
            21 => OnSession::Delete,
            22 => OnSession::DeleteAll,
            _ => OnSession::DeleteUser,
        }
    }

    async fn call(
        database: &dyn DatabaseAdapter,
        key: &str,
        operation: &OnSession,
    ) -> AuthResult<Option<String>> {
        let (token, user_id) = key.split_once(' ').unwrap();
        let agent = |session: Session| session.user_agent;
        match *operation {
            OnSession::Get => Ok(database.get_session(token).await?.and_then(agent)),
            OnSession::GetWithUser => {
                let found = database.get_session_with_user(token).await?;
                Ok(found.and_then(|(session, _)| agent(session)))
            }
            OnSession::List => {
                let mut listed = database.get_user_sessions(user_id).await?;
                Ok(listed.pop().and_then(agent))
            }
            OnSession::Set(agent) => {
                let update = UpdateSession {
                    user_agent: Some(Some(agent.to_string())),
                    ..UpdateSession::default()
                };
                Ok(database.update_session(token, update).await?.user_agent)
            }
            OnSession::End => {
                let update = UpdateSession {
                    active: Some(false),
                    ..UpdateSession::default()
                };
                database.update_session(token, update).await.map(|_| None)
            }
            OnSession::Expire => {
                let past = DateTime::<Utc>::UNIX_EPOCH;
                let expired = database.update_session_expiry(token, past).await;
                expired.map(|()| None)
            }
            OnSession::Delete => database.delete_session(token).await.map(|()| None),
            OnSession::DeleteAll => database.delete_user_sessions(user_id).await.map(|()| None),
            OnSession::DeleteUser => database.delete_user(user_id).await.map(|()| None),
        }
    }
}

/// Whether a one-time token is there. It may be issued again while it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Token(bool);

#[derive(Clone, Debug)]
enum OnToken {
    Issue,
    Consume,
    Get,
    GetByIdentifier,
    GetByValue,
}

fn shown(there: bool) -> Option<String> {
    there.then(|| "there".to_owned())
}

impl Model for Token {
    type Operation = OnToken;
    type Answer = Answer;

    fn apply(&mut self, operation: &OnToken) -> Answer {
        let before = self.0;
        match operation {
            OnToken::Issue => self.0 = true,
            OnToken::Consume => self.0 = false,
            OnToken::Get | OnToken::GetByIdentifier | OnToken::GetByValue => {}
        }
        Ok(shown(before || matches!(operation, OnToken::Issue)))
    }
}

impl Subject for Token {
    async fn prepare(_: &dyn DatabaseAdapter, round: usize) -> AuthResult<String> {
        Ok(round.to_string())
    }

    fn choose(random: &mut Random) -> OnToken {
        match random.below(8) {
            0..=1 => OnToken::Issue,
            2..=4 => OnToken::Consume,
            5 => OnToken::Get,
            6 => OnToken::GetByIdentifier,
            _ => OnToken::GetByValue,
        }
    }

    async fn call(
        database: &dyn DatabaseAdapter,
        key: &str,
        operation: &OnToken,
    ) -> AuthResult<Option<String>> {
        let found = match operation {
            OnToken::Issue => {
                let create = CreateVerification::new(key, key, in_an_hour());
                Some(database.create_verification(create).await?)
            }
            OnToken::Consume => database.consume_verification(key, key).await?,
            OnToken::Get => database.get_verification(key, key).await?,
            OnToken::GetByIdentifier => database.get_verification_by_identifier(key).await?,
            OnToken::GetByValue => database.get_verification_by_value(key).await?,
        };
        Ok(shown(found.is_some()))
    }
}

pub(crate) async fn users_and_emails_are_linearizable(run: Run) {
    explore::<Users>(run).await;
}

pub(crate) async fn sessions_are_linearizable(run: Run) {
    explore::<OneSession>(run).await;
}

pub(crate) async fn one_time_tokens_are_linearizable(run: Run) {
    explore::<Token>(run).await;
}
