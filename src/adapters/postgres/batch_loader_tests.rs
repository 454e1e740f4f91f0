//! The batch loader without a server: a source of rows that answers when the test says so.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, yield_now};
use tokio::{runtime, time};

use super::{BatchLoader, Keyed, MAX_DIRECT, MAX_KEYS, MAX_WORKERS, STALL_CHECK, STALLED, Source};
use crate::{AuthError, AuthResult};

const MAX_WAIT: Duration = Duration::from_secs(30);
const MAX_ANSWER: Duration = Duration::from_secs(60);
const UNREADABLE: &str = "unreadable";
/// Together with others it takes too long.
const SLOW: &str = "slow";
const CANCELLED: &str = "cancelled by statement_timeout";
/// Its statement is sent on a connection that is dead, and gets no answer.
const SILENT: &str = "silent";
const ALONE: usize = MAX_DIRECT as usize;
const BATCHES: usize = MAX_WORKERS as usize;

impl Keyed for String {
    fn key(&self) -> &str {
        self
    }
}

/// A table of strings on a server that answers when it is told to.
#[derive(Clone)]
struct Server(Arc<Inner>);

struct Inner {
    rows: Mutex<BTreeSet<String>>,
    /// The keys of each statement that was sent.
    statements: Mutex<Vec<BTreeSet<String>>>,
    connections: Semaphore,
    answers: Semaphore,
    reachable: AtomicBool,
}

impl Server {
    fn with_rows<const N: usize>(rows: [&str; N]) -> Self {
        Self(Arc::new(Inner {
            rows: Mutex::new(rows.map(str::to_owned).into()),
            statements: Mutex::default(),
            connections: Semaphore::new(100),
            answers: Semaphore::new(0),
            reachable: AtomicBool::new(true),
        }))
    }

    fn insert(&self, row: &str) {
        self.0.rows.lock().unwrap().insert(row.to_owned());
    }

    fn statements(&self) -> Vec<BTreeSet<String>> {
        self.0.statements.lock().unwrap().clone()
    }

    async fn answer(&self, statements: usize) {
        self.0.answers.add_permits(statements);
        settle().await;
    }
}

impl Source<String> for Server {
    type Failure = AuthError;

    fn longest_wait(&self) -> Duration {
        MAX_WAIT
    }

    fn timed_out(&self) -> AuthError {
        unavailable("timed out")
    }

    fn longest_answer(&self) -> Duration {
        MAX_ANSWER
    }

    fn concerns_all(error: &AuthError) -> bool {
        error.is_retryable() && error.to_string() != CANCELLED
    }

    fn error(&self, failure: AuthError) -> AuthError {
        failure
    }

    async fn find(&self, take: impl Fn() -> Vec<String> + Send + Sync) -> AuthResult<Vec<String>> {
        let _connection = self.0.connections.acquire().await.unwrap();
        if !self.0.reachable.load(Ordering::Relaxed) {
            return Err(unavailable("unreachable"));
        }
        let keys: BTreeSet<_> = take().into_iter().collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = keys
            .intersection(&self.0.rows.lock().unwrap())
            .cloned()
            .collect();
        self.0.statements.lock().unwrap().push(keys.clone());
        if keys.contains(SILENT) {
            return pending().await;
        }
        self.0.answers.acquire().await.unwrap().forget();
        if keys.contains(SLOW) && keys.len() > 1 {
            return Err(unavailable(CANCELLED));
        }
        if keys.contains(UNREADABLE) {
            return Err(AuthError::Database {
                message: "a stored value cannot be read".to_owned(),
                source: None,
            });
        }
        Ok(found)
    }
}

fn unavailable(message: &str) -> AuthError {
    AuthError::Unavailable {
        message: message.to_owned(),
        contention: false,
        source: None,
    }
}

/// Lets all tasks run until they wait.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

type Caller = JoinHandle<AuthResult<Option<String>>>;

struct Callers {
    loader: Arc<BatchLoader<String>>,
    server: Server,
}

impl Callers {
    fn of(server: &Server) -> Self {
        Self {
            loader: Arc::new(BatchLoader::new(100)),
            server: server.clone(),
        }
    }

    async fn call(&self, key: &str) -> Caller {
        let (loader, server, key) = (self.loader.clone(), self.server.clone(), key.to_owned());
        let caller = tokio::spawn(async move { loader.get(&key, &server).await });
        settle().await;
        caller
    }

    /// As many as run alone, and batches of one as many as may be under way: the next ones wait.
    async fn occupy(&self) -> Vec<Caller> {
        let mut callers = Vec::new();
        for number in 0..ALONE + BATCHES {
            callers.push(self.call(&format!("busy {number}")).await);
        }
        assert_eq!(self.server.statements().len(), ALONE + BATCHES);
        callers
    }

    fn assert_nobody_is_left(&self) {
        let state = self.loader.state();
        assert_eq!(
            (state.direct, state.workers.len(), state.pending.len()),
            (0, 0, 0)
        );
    }
}

async fn row(caller: Caller) -> Option<String> {
    caller.await.unwrap().unwrap()
}

fn keys<const N: usize>(keys: [&str; N]) -> BTreeSet<String> {
    keys.map(str::to_owned).into()
}

#[test]
fn only_a_worker_can_be_dismissed() {
    let loader = Arc::new(BatchLoader::<String>::new(1));
    let worker = loader.hire(&mut loader.state());
    let mut state = loader.state();
    assert!(!state.dismiss(worker.id + 1));
    assert!(state.dismiss(worker.id) && !state.dismiss(worker.id));
}

#[tokio::test]
async fn lookups_wait_for_nobody_while_few_are_under_way() {
    let server = Server::with_rows(["a"]);
    let callers = Callers::of(&server);
    let mut under_way = Vec::new();
    for _ in 0..ALONE {
        under_way.push(callers.call("a").await);
    }
    assert_eq!(server.statements(), vec![keys(["a"]); ALONE]);
    assert_eq!(callers.loader.state().workers.len(), 0);
    server.answer(ALONE).await;
    for caller in under_way {
        assert_eq!(row(caller).await.as_deref(), Some("a"));
    }
    callers.assert_nobody_is_left();
}

#[tokio::test]
async fn all_wait_while_there_are_as_many_batches_as_may_be() {
    let server = Server::with_rows(["a"]);
    let callers = Callers::of(&server);
    let busy = callers.occupy().await;
    server.answer(ALONE).await;
    let a = callers.call("a").await;
    assert_eq!(callers.loader.state().direct, 0);
    assert_eq!(server.statements().len(), busy.len());
    server.answer(BATCHES + 1).await;
    assert_eq!(row(a).await.as_deref(), Some("a"));
    callers.assert_nobody_is_left();
    let alone = callers.call("a").await;
    assert_eq!(callers.loader.state().direct, 1);
    server.answer(1).await;
    assert_eq!(row(alone).await.as_deref(), Some("a"));
}

#[tokio::test]
async fn those_who_wait_share_a_statement() {
    let server = Server::with_rows(["a", "b"]);
    let callers = Callers::of(&server);
    let busy = callers.occupy().await;
    let a = callers.call("a").await;
    let missing = callers.call("missing").await;
    let b = callers.call("b").await;
    let again = callers.call("a").await;
    assert_eq!(server.statements().len(), busy.len());
    server.answer(busy.len() + 1).await;
    assert_eq!(
        server.statements().last().unwrap(),
        &keys(["a", "b", "missing"])
    );
    assert_eq!(server.statements().len(), busy.len() + 1);
    for (caller, expected) in [
        (a, Some("a")),
        (missing, None),
        (b, Some("b")),
        (again, Some("a")),
    ] {
        assert_eq!(row(caller).await.as_deref(), expected);
    }
    callers.assert_nobody_is_left();
}

#[tokio::test]
async fn an_answer_is_no_older_than_the_call() {
    let server = Server::with_rows([]);
    let callers = Callers::of(&server);
    let busy = callers.occupy().await;
    let before = callers.call("a").await;
    server.answer(busy.len()).await;
    assert_eq!(server.statements().last().unwrap(), &keys(["a"]));
    // That one is under way.
    server.insert("a");
    let mut after = Vec::new();
    for _ in 0..2 * (ALONE + BATCHES) {
        after.push(callers.call("a").await);
    }
    server.answer(100).await;
    assert_eq!(row(before).await, None);
    for caller in after {
        assert_eq!(row(caller).await.as_deref(), Some("a"));
    }
}

#[tokio::test]
async fn keys_are_taken_when_there_is_a_connection() {
    let server = Server::with_rows(["a", "b"]);
    let callers = Callers::of(&server);
    let connections = server.0.connections.acquire_many(100).await.unwrap();
    let mut under_way = Vec::new();
    for _ in 0..ALONE {
        under_way.push(callers.call("alone").await);
    }
    let a = callers.call("a").await;
    server.insert("late");
    let late = callers.call("late").await;
    drop(connections);
    server.answer(100).await;
    assert_eq!(row(a).await.as_deref(), Some("a"));
    assert_eq!(row(late).await.as_deref(), Some("late"));
    assert_eq!(server.statements().len(), ALONE + 1);
    drop(under_way);
}

#[tokio::test]
async fn a_dropped_caller_harms_nobody() {
    let server = Server::with_rows(["a", "b", "c"]);
    let callers = Callers::of(&server);
    let busy = callers.occupy().await;
    let waits = callers.call("a").await;
    let same_key = callers.call("a").await;
    let dropped = [callers.call("a").await, callers.call("b").await];
    for caller in &dropped {
        caller.abort();
    }
    settle().await;
    assert_eq!(callers.loader.state().pending.len(), 2);
    server.answer(busy.len()).await;
    // The statement is under way.
    assert_eq!(server.statements().last().unwrap(), &keys(["a"]));
    same_key.abort();
    // So are those of callers who are alone.
    for caller in busy {
        caller.abort();
    }
    server.answer(100).await;
    assert_eq!(row(waits).await.as_deref(), Some("a"));
    callers.assert_nobody_is_left();
}

#[tokio::test]
async fn a_row_that_cannot_be_read_fails_only_who_wants_it() {
    let server = Server::with_rows(["a", UNREADABLE]);
    let callers = Callers::of(&server);
    let busy = callers.occupy().await;
    let a = callers.call("a").await;
    let unreadable = callers.call(UNREADABLE).await;
    server.answer(100).await;
    assert_eq!(row(a).await.as_deref(), Some("a"));
    let error = unreadable.await.unwrap().unwrap_err();
    assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
    // Once together, once each.
    assert_eq!(server.statements().len(), busy.len() + 3);
    callers.assert_nobody_is_left();
}

#[tokio::test]
async fn a_cancelled_statement_is_sent_again_for_each() {
    let server = Server::with_rows(["a", SLOW]);
    let callers = Callers::of(&server);
    let _busy = callers.occupy().await;
    let waiting = [callers.call("a").await, callers.call(SLOW).await];
    server.answer(100).await;
    for (caller, expected) in waiting.into_iter().zip(["a", SLOW]) {
        assert_eq!(row(caller).await.as_deref(), Some(expected));
    }
    callers.assert_nobody_is_left();
}

#[tokio::test(start_paused = true)]
async fn silent_connections_keep_only_their_own_callers_waiting() {
    let server = Server::with_rows(["a"]);
    let callers = Callers::of(&server);
    let mut silent = Vec::new();
    for _ in 0..ALONE + BATCHES {
        silent.push(callers.call(SILENT).await);
    }
    assert_eq!(callers.loader.state().workers.len(), BATCHES);
    server.answer(100).await;
    for _ in 0..3 {
        let a = callers.call("a").await;
        let in_time = time::timeout(3 * STALL_CHECK, a).await;
        assert_eq!(in_time.unwrap().unwrap().unwrap().as_deref(), Some("a"));
    }
    assert_eq!(callers.loader.state().workers.len(), 0);
    for caller in silent {
        assert!(!caller.is_finished());
        caller.abort();
    }
    settle().await;
    callers.assert_nobody_is_left();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_runtime_that_is_not_driven() {
    let server = Server::with_rows([]);
    let callers = Callers::of(&server);
    let _busy = callers.occupy().await;
    let caller = callers.call("a").await;
    // As a batch that goes no further.
    let taken = std::mem::take(&mut callers.loader.state().pending);
    server.insert("a");
    server.answer(100).await;
    let in_time = time::timeout(2 * (MAX_WAIT + MAX_ANSWER), caller).await;
    assert_eq!(in_time.unwrap().unwrap().unwrap().as_deref(), Some("a"));
    drop(taken);
}

#[tokio::test]
async fn everyone_hears_that_nothing_can_be_reached() {
    let server = Server::with_rows(["a"]);
    let callers = Callers::of(&server);
    let busy = callers.occupy().await;
    let waiting = [callers.call("a").await, callers.call("b").await];
    server.0.reachable.store(false, Ordering::Relaxed);
    server.answer(100).await;
    for caller in waiting {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "unreachable");
    }
    assert_eq!(server.statements().len(), busy.len(), "nobody asked again");
    callers.assert_nobody_is_left();
    server.0.reachable.store(true, Ordering::Relaxed);
    assert_eq!(row(callers.call("a").await).await.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_too_long() {
    let server = Server::with_rows(["a"]);
    let callers = Callers::of(&server);
    let connections = server.0.connections.acquire_many(100).await.unwrap();
    let mut under_way = Vec::new();
    for _ in 0..ALONE {
        under_way.push(callers.call("alone").await);
    }
    let early = callers.call("a").await;
    time::sleep(MAX_WAIT / 2).await;
    let late = callers.call("a").await;
    let error = early.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "timed out");
    assert_eq!(callers.loader.state().pending.len(), 1);
    let hired = callers.loader.state().next_worker;
    assert_eq!(hired, 2, "workers that run are not replaced");
    drop(connections);
    server.answer(100).await;
    assert_eq!(row(late).await.as_deref(), Some("a"));
    callers.assert_nobody_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_statement_under_way_is_waited_for() {
    let server = Server::with_rows(["a"]);
    let callers = Callers::of(&server);
    let mut under_way = Vec::new();
    for _ in 0..ALONE {
        under_way.push(callers.call("alone").await);
    }
    let slow = callers.call("a").await;
    assert_eq!(server.statements().len(), ALONE + 1);
    time::sleep(2 * MAX_WAIT).await;
    assert!(!slow.is_finished());
    assert_eq!(server.statements().len(), ALONE + 1, "nobody asked again");
    server.answer(100).await;
    assert_eq!(row(slow).await.as_deref(), Some("a"));
}

#[tokio::test]
async fn a_statement_has_a_bounded_number_of_keys() {
    let server = Server::with_rows([]);
    let callers = Callers::of(&server);
    let busy = callers.occupy().await;
    let mut waiting = Vec::new();
    for number in 0..=MAX_KEYS {
        let (loader, server) = (callers.loader.clone(), server.clone());
        waiting.push(tokio::spawn(async move {
            loader.get(&format!("{number:05}"), &server).await
        }));
    }
    settle().await;
    server.answer(100).await;
    let statements = server.statements();
    let sizes: Vec<usize> = statements[busy.len()..].iter().map(BTreeSet::len).collect();
    assert_eq!(sizes, [MAX_KEYS, 1]);
    assert!(
        statements
            .last()
            .unwrap()
            .contains(&format!("{MAX_KEYS:05}")),
        "the youngest is last"
    );
    for caller in waiting {
        assert_eq!(row(caller).await, None);
    }
}

#[test]
fn callers_outlive_the_runtime_of_others() {
    let server = Server::with_rows(["a"]);
    let callers = Callers::of(&server);
    let runtime = || {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    };
    let other = runtime();
    let _under_way = other.block_on(async {
        let busy = callers.occupy().await;
        (busy, callers.call("others").await)
    });
    runtime().block_on(async {
        let a = callers.call("a").await;
        assert_eq!(callers.loader.state().pending.len(), 2);
        other.shutdown_background();
        server.answer(100).await;
        assert_eq!(row(a).await.as_deref(), Some("a"));
    });
    callers.assert_nobody_is_left();
}

#[test]
fn work_on_a_runtime_that_nobody_drives_is_taken_over() {
    let server = Server::with_rows(["a"]);
    let callers = Callers::of(&server);
    let runtime = || {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    };
    let other = runtime();
    let _under_way = other.block_on(async {
        let busy = callers.occupy().await;
        (busy, callers.call("others").await)
    });
    server.0.answers.add_permits(100);
    runtime().block_on(async {
        for _ in 0..3 {
            let a = callers.call("a").await;
            let in_time = time::timeout(10 * STALLED, a).await;
            assert_eq!(in_time.unwrap().unwrap().unwrap().as_deref(), Some("a"));
        }
    });
    // What goes on later finds itself replaced.
    other.block_on(settle());
    assert!(callers.loader.state().workers.is_empty());
}

#[test]
fn a_small_pool_is_never_asked_for_more() {
    let loader = BatchLoader::<String>::new(1);
    assert_eq!((loader.max_direct, loader.max_workers), (1, 1));
}
