//! Instances of an application with session caches, on one database.

use std::sync::atomic::{AtomicUsize, Ordering};

use better_auth::adapters::{SessionCache, SqlxAdapter};

/// Each call goes to the next instance.
pub(crate) struct Instances {
    adapters: Vec<SqlxAdapter>,
    next: AtomicUsize,
}

impl Instances {
    pub(crate) async fn connect(url: &str) -> Self {
        let mut adapters = Vec::new();
        for _ in 0..3 {
            let builder = SqlxAdapter::builder(url)
                .session_cache(SessionCache::exact())
                .migrate(true);
            adapters.push(builder.connect().await.unwrap());
        }
        Self {
            adapters,
            next: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> &SqlxAdapter {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.adapters[next % self.adapters.len()]
    }

    /// How many answers came from memory.
    pub(crate) fn hits(&self) -> u64 {
        let stats = self.adapters.iter().map(SqlxAdapter::session_cache_stats);
        stats.map(|stats| stats.unwrap().hits).sum()
    }
}

better_auth::forward_database_adapter! {
    impl [] for Instances, |this| this.next(), |call| call().await
}
