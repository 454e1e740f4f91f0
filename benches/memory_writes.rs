//! How fast writes of the memory adapter are beside two simple stores with the same rules, with one and with two threads,
//! and how often a call allocates.

mod support;

use std::fs;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use chrono::{TimeDelta, Utc};

use self::support::yardsticks::{OneMutex, Store, UserGuard};
use self::support::{SESSIONS_PER_USER, answer, measuring, new_session, new_user, shuffled};

const ROUNDS: usize = 9;

fn main() {
    let sessions = if measuring() { 20_000 } else { 100 };
    allocations(sessions);
    let stores = Stores::new(sessions);
    println!(
        "thousands of operations per second, 1 → 2 threads, and of the adapter's speed with two threads:"
    );
    for (row, work) in ROWS {
        stores.measure(row, work);
    }
}

/// What one thread does with its keys: users to create sessions of, or sessions to look up and to extend.
type Work = fn(&dyn Store, &Keys);

struct Keys {
    users: Vec<String>,
    tokens: Vec<String>,
}

const ROWS: [(&str, Work); 5] = [
    ("create_session", |store, keys| {
        for user in &keys.users {
            black_box(store.create_session(new_session(user)));
        }
    }),
    ("update_session_expiry", |store, keys| {
        mixed(store, keys, 1, 1);
    }),
    ("get_session", |store, keys| {
        mixed(store, keys, 0, 1);
    }),
    ("90 % get, 10 % update", |store, keys| {
        mixed(store, keys, 1, 10);
    }),
    ("50 % get, 50 % update", |store, keys| {
        mixed(store, keys, 1, 2);
    }),
];

/// So many of so many operations are updates.
fn mixed(store: &dyn Store, keys: &Keys, updates: usize, of: usize) {
    let expires_at = Utc::now() + TimeDelta::days(7);
    for (number, token) in keys.tokens.iter().enumerate() {
        if number % of < updates {
            assert!(store.update_session_expiry(token, expires_at));
        } else {
            black_box(store.get_session(token));
        }
    }
}

struct Stores {
    adapter: MemoryDatabaseAdapter,
    one_mutex: OneMutex,
    user_guard: UserGuard,
    users: Vec<String>,
    /// Of each store.
    tokens: [Vec<String>; 3],
}

impl Stores {
    fn new(sessions: usize) -> Self {
        let mut stores = Self {
            adapter: MemoryDatabaseAdapter::new(),
            one_mutex: OneMutex::default(),
            user_guard: UserGuard::default(),
            users: Vec::new(),
            tokens: Default::default(),
        };
        for number in 0..sessions / SESSIONS_PER_USER {
            let user = answer(stores.adapter.create_user(new_user(number))).unwrap();
            stores.one_mutex.add_user(user.clone());
            stores.user_guard.add_user(user.clone());
            stores.users.push(user.id);
        }
        for user in &stores.users {
            for _ in 0..SESSIONS_PER_USER {
                let created = stores
                    .each()
                    .map(|store| store.create_session(new_session(user)));
                for (tokens, session) in stores.tokens.iter_mut().zip(created) {
                    tokens.push(session.unwrap().token);
                }
            }
        }
        stores
    }

    fn each(&self) -> [&dyn Store; 3] {
        [&self.adapter, &self.one_mutex, &self.user_guard]
    }

    fn measure(&self, row: &str, work: Work) {
        let mut speeds = [const { Vec::new() }; 3];
        let mut costs = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (number, store) in self.each().iter().enumerate() {
                let (tokens, speeds) = (&self.tokens[number], &mut speeds[number]);
                speeds.push([1, 2].map(|threads| {
                    let keys = self.keys(tokens, threads);
                    let (speed, cost) = at_once(*store, &keys, work);
                    if threads == 1 {
                        costs[number].push(cost);
                    }
                    if row == "create_session" {
                        self.delete_what_is_new(*store, tokens);
                    }
                    speed
                }));
            }
        }
        let [adapter, mutex, guard] = &speeds;
        let shown = speeds.each_ref().map(|speeds| {
            let [one, two] =
                [0, 1].map(|threads| median(speeds.iter().map(|speed| speed[threads])));
            format!("{one:.0} → {two:.0}")
        });
        let ratio = |other: &[[f64; 2]], threads: usize| {
            let pairs = adapter.iter().zip(other);
            median(pairs.map(|(adapter, other)| adapter[threads] / other[threads]))
        };
        let scaling = |speeds: &[[f64; 2]]| median(speeds.iter().map(|[one, two]| two / one));
        let [cost, mutex_cost, guard_cost] = costs.map(|costs| median(costs.into_iter()));
        println!(
            "{row}: ns of one thread's time: adapter {cost:.0}, one mutex {mutex_cost:.0}, DashMaps {guard_cost:.0}"
        );
        println!(
            "{row}: adapter {}, one mutex {}, DashMaps {}; of DashMaps {:.2}, of one mutex {:.2}; of DashMaps' scaling {:.2}",
            shown[0],
            shown[1],
            shown[2],
            ratio(guard, 1),
            ratio(mutex, 1),
            scaling(adapter) / scaling(guard),
        );
    }

    /// A part of the keys for each thread.
    fn keys(&self, tokens: &[String], threads: usize) -> Vec<Keys> {
        let (users, tokens) = (shuffled(&self.users), shuffled(tokens));
        let parts = users.chunks(users.len() / threads);
        let parts = parts.zip(tokens.chunks(tokens.len() / threads));
        let keys = parts.map(|(users, tokens)| Keys {
            users: users.iter().cycle().take(tokens.len()).cloned().collect(),
            tokens: tokens.to_vec(),
        });
        keys.collect()
    }

    fn delete_what_is_new(&self, store: &dyn Store, tokens: &[String]) {
        let known: std::collections::HashSet<&String> = tokens.iter().collect();
        for user in &self.users {
            for token in store.tokens_of(user) {
                if !known.contains(&token) {
                    store.delete_session(&token);
                }
            }
        }
    }
}

/// How long the thread was running, in nanoseconds, so that what else the machine does is left out. Linux alone tells.
fn thread_time() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let running = stat.split(' ').next();
    running
        .and_then(|nanos| nanos.parse().ok())
        .unwrap_or_default()
}

/// Thousands of operations per second, by the slowest thread, and the time of a thread for one, in nanoseconds.
fn at_once(store: &dyn Store, keys: &[Keys], work: Work) -> (f64, f64) {
    let start = Barrier::new(keys.len());
    let (slowest, ran) = thread::scope(|scope| {
        let threads: Vec<_> = keys
            .iter()
            .map(|keys| {
                scope.spawn(|| {
                    start.wait();
                    let (begun, ran) = (Instant::now(), thread_time());
                    work(store, keys);
                    (begun.elapsed().as_secs_f64(), thread_time() - ran)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold((0.0, 0.0), |(slowest, sum): (f64, f64), (elapsed, ran)| {
                (slowest.max(elapsed), sum + ran)
            })
    });
    let operations: usize = keys.iter().map(|keys| keys.tokens.len()).sum();
    let operations = f64::from(u32::try_from(operations).unwrap());
    (operations / slowest / 1e3, ran / operations)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How often a call allocates. A map that grows now and then is left out: the figure is that of most calls.
fn allocations(sessions: usize) {
    let stores = Stores::new(sessions);
    let (adapter, token) = (&stores.adapter, &stores.tokens[0][0]);
    let expires_at = Utc::now() + TimeDelta::days(7);
    let most = |call: &dyn Fn()| {
        let counts = (0..51).map(|_| allocation_counter::measure(call).count_total);
        let mut counts: Vec<_> = counts.collect();
        counts.sort_unstable();
        counts[counts.len() / 2]
    };
    let create = new_session(&stores.users[0]);
    let input = most(&|| drop(black_box(create.clone())));
    let create = || drop(black_box(Store::create_session(adapter, create.clone())));
    let update = || assert!(Store::update_session_expiry(adapter, token, expires_at));
    let get = || drop(black_box(Store::get_session(adapter, token)));
    println!(
        "allocations: create_session {}, update_session_expiry {}, get_session {}; an open transaction {} bytes",
        most(&create) - input,
        most(&update),
        most(&get),
        allocation_counter::measure(|| drop(answer(adapter.begin()))).bytes_total,
    );
}
