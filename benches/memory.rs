//! What the methods of the memory adapter cost in one thread, and the same on bare maps.

mod support;

use std::future;
use std::hint::black_box;
use std::pin::Pin;
use std::time::{Duration, Instant};

use better_auth::adapters::DatabaseAdapter;
use better_auth::{AuthResult, Session, UpdateSession, User};
use chrono::Utc;
use criterion::Criterion;
use dashmap::DashMap;

use self::support::{Filled, answer, measuring, new_session, shuffled};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let fixture = Fixture::new(if measuring() { 100_000 } else { 100 });
    lookups(&mut criterion, &fixture);
    update_session(&mut criterion, &fixture);
    create_and_delete_session(&mut criterion, &fixture);
    parts(&mut criterion, &fixture);
    criterion.final_summary();
}

struct Fixture {
    filled: Filled,
    user_ids: DashMap<String, String>,
    ids: Vec<String>,
    emails: Vec<String>,
    tokens: Vec<String>,
}

impl Fixture {
    fn new(sessions: usize) -> Self {
        let filled = Filled::new(sessions);
        let ids = shuffled(&filled.ids);
        let email = |id: &String| filled.users.get(id)?.email.clone();
        let emails: Vec<_> = ids.iter().filter_map(email).collect();
        Self {
            user_ids: emails.iter().cloned().zip(ids.iter().cloned()).collect(),
            tokens: shuffled(&filled.tokens),
            filled,
            ids,
            emails,
        }
    }

    fn bare_session(&self, token: &str) -> Option<Session> {
        self.filled
            .sessions
            .get(token)
            .map(|session| session.clone())
    }

    fn bare_user(&self, id: &str) -> Option<User> {
        self.filled.users.get(id).map(|user| user.clone())
    }
}

/// What is measured: the adapter, or bare maps.
type Named<'a, F> = (&'a str, &'a F);
type Lookups<'a> = [Named<'a, dyn Fn(&str) + 'a>];

fn lookups(criterion: &mut Criterion, fixture: &Fixture) {
    let Fixture {
        filled: Filled { adapter, .. },
        ids,
        emails,
        tokens,
        ..
    } = fixture;
    let mut measure = |method: &str, keys: &[String], calls: &Lookups| {
        let mut group = criterion.benchmark_group(method);
        for (name, call) in calls {
            let mut keys = keys.iter().cycle();
            group.bench_function(*name, |bencher| {
                bencher.iter(|| keys.next().map(|key| call(key)));
            });
        }
    };
    measure(
        "get_session",
        tokens,
        &[
            ("adapter", &|token| ask(adapter.get_session(token))),
            ("bare map", &|token| see(fixture.bare_session(token))),
        ],
    );
    measure(
        "get_session_with_user",
        tokens,
        &[
            ("adapter", &|token| {
                ask(adapter.get_session_with_user(token));
            }),
            ("bare maps", &|token| {
                let session = fixture.bare_session(token);
                let user = session.as_ref().map(|row| fixture.bare_user(&row.user_id));
                see((session, user));
            }),
        ],
    );
    measure(
        "get_user_by_id",
        ids,
        &[
            ("adapter", &|id| ask(adapter.get_user_by_id(id))),
            ("bare map", &|id| see(fixture.bare_user(id))),
        ],
    );
    measure(
        "get_user_by_email",
        emails,
        &[
            ("adapter", &|email| ask(adapter.get_user_by_email(email))),
            ("bare maps", &|email| {
                let id = fixture.user_ids.get(email);
                see(id.map(|id| fixture.bare_user(&id)));
            }),
        ],
    );
    measure(
        "get_user_sessions",
        ids,
        &[("adapter", &|id| ask(adapter.get_user_sessions(id)))],
    );
}

fn update_session(criterion: &mut Criterion, fixture: &Fixture) {
    let expires_at = new_session("").expires_at;
    let update = UpdateSession {
        expires_at: Some(expires_at),
        ..UpdateSession::default()
    };
    let mut group = criterion.benchmark_group("update_session");
    let mut tokens = fixture.tokens.iter().cycle();
    group.bench_function("adapter", |bencher| {
        bencher.iter(|| {
            let token = tokens.next()?;
            answer(fixture.filled.adapter.update_session(token, update.clone())).ok()
        });
    });
    group.bench_function("bare map", |bencher| {
        bencher.iter(|| {
            let mut session = fixture.filled.sessions.get_mut(tokens.next()?)?;
            session.expires_at = expires_at;
            session.updated_at = Utc::now();
            Some(session.clone())
        });
    });
}

/// New sessions beside those that are there. The bare map gets them ready-made: no id, no token, no user to look for.
fn create_and_delete_session(criterion: &mut Criterion, fixture: &Fixture) {
    let Filled {
        adapter,
        sessions,
        ids,
        ..
    } = &fixture.filled;
    let wanted = |count| ids.iter().cycle().map(|id| new_session(id)).take(count);
    let adapter = |count| {
        let create = |session| answer(adapter.create_session(session)).ok();
        let (creating, created) = timed(wanted(count).collect(), create);
        let delete = |session: Session| answer(adapter.delete_session(&session.token)).ok();
        let (deleting, _) = timed(created, delete);
        [creating, deleting]
    };
    let bare_map = |count| {
        let model = sessions.iter().next().map(|row| row.clone());
        let create = |session: Session| {
            sessions.insert(session.token.clone(), session.clone());
            Some(session)
        };
        let ready = (0..count).filter_map(|number| {
            let token = format!("{number:043}");
            Some(Session {
                token,
                ..model.clone()?
            })
        });
        let (creating, created) = timed(ready.collect(), create);
        let delete = |session: Session| sessions.remove(&session.token);
        let (deleting, _) = timed(created, delete);
        [creating, deleting]
    };
    let passes: [Named<dyn Fn(usize) -> [Duration; 2]>; 2] =
        [("adapter", &adapter), ("bare map", &bare_map)];
    for (step, method) in ["create_session", "delete_session"].into_iter().enumerate() {
        let mut group = criterion.benchmark_group(method);
        for (name, pass) in passes {
            group.bench_function(name, |bencher| {
                bencher
                    .iter_custom(|count| pass(usize::try_from(count).unwrap_or(usize::MAX))[step]);
            });
        }
    }
}

/// How long the calls took, and what they answered.
fn timed<I, T>(inputs: Vec<I>, call: impl FnMut(I) -> Option<T>) -> (Duration, Vec<T>) {
    let start = Instant::now();
    let answers = inputs.into_iter().filter_map(call).collect();
    (start.elapsed(), answers)
}

/// What a lookup is made of, beside the bare map.
fn parts(criterion: &mut Criterion, fixture: &Fixture) {
    let mut group = criterion.benchmark_group("parts of get_session");
    group.bench_function("the clock", |bencher| bencher.iter(Utc::now));
    let session = fixture.bare_session(&fixture.tokens[0]);
    group.bench_function("a clone of a row in the cache", |bencher| {
        bencher.iter(|| black_box(&session).clone());
    });
    group.bench_function("a boxed future", |bencher| {
        bencher.iter(|| {
            let ready: Pin<Box<dyn Future<Output = ()>>> = Box::pin(future::ready(()));
            answer(black_box(ready));
        });
    });
}

/// Gets an answer and drops it, as a caller who has read it does.
fn ask<T>(call: impl Future<Output = AuthResult<T>>) {
    see(answer(call));
}

fn see<T>(answer: T) {
    drop(black_box(answer));
}
