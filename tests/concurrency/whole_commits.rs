//! Nothing but commits and looks at what they change, as the moment between two halves of a commit is short.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use better_auth::adapters::DatabaseAdapter as _;
use better_auth::types::{CreateUser, ListUsers, UpdateUser};
use better_auth::{AuthResult, transaction};

use crate::Run;

/// Writers give all users the same image; no look finds two images.
pub(crate) async fn commits_are_seen_whole(run: Run) {
    const USERS: usize = 8;
    for id in 0..USERS {
        let create = CreateUser::new().with_id(id.to_string());
        run.database.create_user(create).await.unwrap();
    }
    let (run, looks) = (Arc::new(run), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..4)
        .map(|number: usize| {
            let (run, looks) = (Arc::clone(&run), Arc::clone(&looks));
            let watched = run.watch.task(format!("task {number}"));
            tokio::spawn(async move {
                let mut round = 0;
                while run.goes_on() {
                    round += 1;
                    watched.does(format!("round {round}"));
                    if number.is_multiple_of(2) {
                        let image = &format!("{number} {round}");
                        let changed: AuthResult<()> = transaction(&run.database, |tx| async move {
                            for id in 0..USERS {
                                let update = UpdateUser {
                                    image: Some(Some(image.clone())),
                                    ..UpdateUser::default()
                                };
                                tx.update_user(&id.to_string(), update).await?;
                            }
                            Ok(())
                        })
                        .await;
                        changed.unwrap();
                    } else {
                        let page = run.database.list_users(ListUsers::new()).await.unwrap();
                        assert_eq!(page.users.len(), USERS);
                        let image = &page.users[0].image;
                        let is_whole = page.users.iter().all(|user| user.image == *image);
                        assert!(is_whole, "a part of a commit: {:?}", page.users);
                        looks.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
                round
            })
        })
        .collect();
    let mut rounds = 0;
    for task in tasks {
        rounds += task.await.unwrap();
    }
    let looks = looks.load(Ordering::Relaxed);
    println!("{looks} looks beside {} commits", rounds - looks);
    run.settle().await;
}
