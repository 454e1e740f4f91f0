//! What is sent again, what is not, and what the caller is told.

use better_auth::AuthResult;
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use sqlx::PgPool;
use tokio::task::JoinHandle;

use super::application::{
    Application, BUSY, WAITING, Waiting, adapter, address, assert_aborted, until,
};
use super::load::{Fate, SIGN_UP, count_rows, create_verification, new_key, sign_up};
use super::support::proxy::{Direction, Proxy};
use super::support::server::Stop;

const TERMINATE: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
const WAITING_FOR_STANDBY: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

async fn rows(application: &Application, key: &str) -> i64 {
    let rows = count_rows(&application.observer).await;
    rows.get(key).copied().unwrap_or_default()
}

/// The server may still be at it when the connection is gone.
async fn until_idle(application: &Application) {
    until("the server has done what it was sent", async || {
        application.count(BUSY).await == 0
    })
    .await;
}

/// Within the next bytes.
fn cut_once(proxy: &Proxy, direction: Direction, bytes: usize) {
    proxy.change(|network| {
        network.cut = Some((direction, 0..bytes));
        network.cuts_left = 1;
    });
}

fn spawn_write(database: &SqlxAdapter, key: &str) -> JoinHandle<AuthResult<()>> {
    let (database, key) = (database.clone(), key.to_owned());
    tokio::spawn(async move { create_verification(&database, &key).await })
}

/// The server says that it has ended the statement, so nothing was done.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_statement_that_the_server_ends_is_sent_again_outside_transactions() {
    let application = Application::start(&[]).await;
    let database = &application.database;
    create_verification(database, "stored").await.unwrap();
    let waiting = Waiting::start(&application).await;
    application.execute(TERMINATE).await;
    assert_aborted(waiting.in_transaction.await.unwrap()).await;
    until("the other two wait again", async || {
        application.count(WAITING).await == 2
    })
    .await;
    waiting.lock.commit().await.unwrap();

    waiting.write.await.unwrap().unwrap();
    assert!(waiting.read.await.unwrap().unwrap().is_some());
    assert_eq!(rows(&application, "written").await, 1);
    assert_eq!(rows(&application, "lost").await, 0);
    application.check_connections().await;
}

/// Where the answer does not come, nobody knows whether the statement did.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_write_whose_answer_is_cut_is_unknown_and_a_read_is_sent_again() {
    let (application, proxy) = Application::behind_proxy().await;
    // One connection, so that it has met all statements: each is one message each way then.
    let database = &adapter(&address(&proxy), 1).await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        // Not the ping with which the pool takes the connection back.
        let cut = async || {
            until("the connection is idle", async || {
                database.pool_stats().idle == 1
            })
            .await;
            cut_once(&proxy, direction, 1);
        };
        let meet_all_statements = async || {
            create_verification(database, "stored").await.unwrap();
            database
                .get_verification_by_identifier("stored")
                .await
                .unwrap();
        };
        // Where only the answer is cut, the server has got the statement.
        let times = i64::from(direction == Direction::ToClient);

        meet_all_statements().await;
        cut().await;
        let found = database.get_verification_by_identifier("stored").await;
        assert!(found.unwrap().is_some());

        let key = &format!("write {direction:?}");
        meet_all_statements().await;
        cut().await;
        let answer = create_verification(database, key).await;
        assert_eq!(Fate::of(&answer), Fate::Unknown, "{answer:?}");
        until_idle(&application).await;
        assert_eq!(rows(&application, key).await, times);

        let key = &format!("commit {direction:?}").to_lowercase();
        let transaction = database.begin().await.unwrap();
        sign_up(&*transaction, key).await.unwrap();
        cut_once(&proxy, direction, 1);
        let answer = transaction.commit().await;
        assert_eq!(Fate::of(&answer), Fate::Unknown, "{answer:?}");
        until_idle(&application).await;
        assert_eq!(rows(&application, key).await, times * SIGN_UP);

        meet_all_statements().await;
        let transaction = database.begin().await.unwrap();
        cut_once(&proxy, direction, 1);
        let answer = create_verification(&*transaction, "in a transaction").await;
        assert_eq!(Fate::of(&answer), Fate::NotDone, "{answer:?}");
        drop(transaction);
        until_idle(&application).await;
        assert_eq!(rows(&application, "in a transaction").await, 0);
    }
    assert_eq!(proxy.cuts(), 8);
    application.check_connections().await;
}

/// No statement was sent, so there is no doubt.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_write_that_gets_no_connection_is_not_done() {
    const TRIES: usize = 100;
    let (application, proxy) = Application::behind_proxy().await;
    let mut refused = 0;
    for round in 0..TRIES {
        let pool = PgPool::connect_lazy(&address(&proxy)).unwrap();
        let database = SqlxAdapter::from_pool(pool);
        // Fewer bytes than a client sends to log in, and than the server answers.
        let (direction, bytes) = match round % 2 {
            0 => (Direction::ToServer, 40),
            _ => (Direction::ToClient, 300),
        };
        cut_once(&proxy, direction, bytes);
        let key = new_key("connect");
        let fate = Fate::of(&create_verification(&database, &key).await);
        assert_ne!(fate, Fate::Unknown);
        refused += usize::from(fate == Fate::NotDone);
        assert_eq!(
            rows(&application, &key).await,
            i64::from(fate == Fate::Done)
        );
        database.close().await;
    }
    assert_eq!(proxy.cuts(), TRIES);
    println!("{refused} of {TRIES} writes were refused");
    assert!(refused > 0);
}

/// The write has been committed by then, and the server only warns of that, with the SQLSTATE of a statement that it has
/// ended, before it closes the connection.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_write_that_is_ended_while_it_waits_for_a_standby_is_unknown() {
    let mut application = Application::start(&[]).await;
    application.set("synchronous_standby_names", "nobody").await;
    // Commits wait once the checkpointer has heard of it, which is later.
    let waiting = loop {
        let write = spawn_write(&application.database, "first");
        until("it ends or waits", async || {
            write.is_finished() || application.count(WAITING_FOR_STANDBY).await == 1
        })
        .await;
        if !write.is_finished() {
            break write;
        }
    };
    application.execute(TERMINATE).await;
    assert_eq!(Fate::of(&waiting.await.unwrap()), Fate::Unknown);
    for round in 0..3 {
        let (write, commit) = (format!("write {round}"), format!("commit {round}"));
        let written = spawn_write(&application.database, &write);
        let transaction = application.database.begin().await.unwrap();
        sign_up(&*transaction, &commit).await.unwrap();
        let committed = tokio::spawn(transaction.commit());
        until("both wait", async || {
            application.count(WAITING_FOR_STANDBY).await == 2
        })
        .await;
        if round == 2 {
            application.server.stop(Stop::Fast);
        } else {
            application.execute(TERMINATE).await;
        }
        for answer in [written.await.unwrap(), committed.await.unwrap()] {
            assert_eq!(Fate::of(&answer), Fate::Unknown, "{answer:?}");
        }
        if round == 2 {
            application.server.start_again();
        }
        assert_eq!(rows(&application, &write).await, 1);
        assert_eq!(rows(&application, &commit).await, SIGN_UP);
    }
    application
        .set("synchronous_standby_names", "DEFAULT")
        .await;
    application.check_connections().await;
}
