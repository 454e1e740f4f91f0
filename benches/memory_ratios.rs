//! How fast lookups of the memory adapter are, as ratios: against a bare map, and against a smaller table.

mod support;

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use better_auth::Session;
use better_auth::adapters::DatabaseAdapter;
use dashmap::DashMap;

use self::support::{Filled, SESSIONS_PER_USER, answer, measuring, shuffled};

const ROUNDS: usize = 15;
const PASSES_PER_ROUND: usize = 5;

fn main() {
    let (sessions, sizes) = if measuring() {
        (100_000, [10_000, 100_000, 1_000_000])
    } else {
        (100, [100, 1000, 10_000])
    };
    for threads in [1, 2] {
        against_bare_map(threads, sessions);
    }
    as_the_table_grows(sizes);
}

/// Against the map that was filled along with the adapter, and against a copy of it, whose rows lie close together.
fn against_bare_map(threads: usize, sessions: usize) {
    let Filled {
        adapter,
        sessions: beside,
        tokens,
        ..
    } = Filled::new(sessions);
    let copy: DashMap<_, _> = tokens
        .iter()
        .filter_map(|token| Some((token.clone(), beside.get(token)?.clone())))
        .collect();
    let keys: Vec<_> = (0..threads)
        .map(|thread| {
            let mut keys = shuffled(&tokens);
            keys.rotate_left(thread * sessions / threads);
            keys
        })
        .collect();
    let bare = |map: &DashMap<String, Session>| {
        at_once(&keys, |token| map.get(token).map(|row| row.clone()))
    };
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let adapter = at_once(&keys, |token| answer(adapter.get_session(token)));
            [adapter, bare(&beside), bare(&copy)]
        })
        .collect();
    println!(
        "get_session, {threads} threads: {} ns; of the speed of a bare map: {}; of a copied one: {}",
        spread(rounds.iter().map(|[adapter, ..]| *adapter), 0),
        spread(
            rounds.iter().map(|[adapter, beside, _]| beside / adapter),
            2
        ),
        spread(rounds.iter().map(|[adapter, _, copy]| copy / adapter), 2)
    );
}

/// Looks up each thread's keys at the same time, and says how many nanoseconds each took in the slowest thread.
fn at_once<T>(keys: &[Vec<String>], lookup: impl Fn(&str) -> T + Sync) -> f64 {
    let start = Barrier::new(keys.len());
    thread::scope(|scope| {
        let threads: Vec<_> = keys
            .iter()
            .map(|keys| {
                scope.spawn(|| {
                    start.wait();
                    each(keys, PASSES_PER_ROUND, &lookup)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold(0.0, f64::max)
    })
}

fn as_the_table_grows(sizes: [usize; 3]) {
    let tables = sizes.map(|sessions| {
        let Filled { adapter, ids, .. } = Filled::new(sessions);
        // As many in each table, so that what the callers do costs the same.
        let mut ids = shuffled(&ids);
        ids.truncate(sizes[0] / SESSIONS_PER_USER);
        (adapter, ids)
    });
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            tables.each_ref().map(|(adapter, ids)| {
                each(ids, PASSES_PER_ROUND, &|id: &str| {
                    answer(adapter.get_user_sessions(id))
                })
            })
        })
        .collect();
    for (place, sessions) in sizes.into_iter().enumerate() {
        println!(
            "get_user_sessions, {SESSIONS_PER_USER} of {sessions}: {} ns; of the smallest table's cost: {}",
            spread(rounds.iter().map(|times| times[place]), 0),
            spread(rounds.iter().map(|times| times[place] / times[0]), 2)
        );
    }
}

/// Nanoseconds of a lookup.
fn each<T>(keys: &[String], passes: usize, lookup: &impl Fn(&str) -> T) -> f64 {
    let start = Instant::now();
    for key in (0..passes).flat_map(|_| keys) {
        black_box(lookup(key));
    }
    let lookups = u32::try_from(keys.len() * passes).unwrap();
    start.elapsed().as_secs_f64() * 1e9 / f64::from(lookups)
}

/// The median, and the least and the greatest.
fn spread(figures: impl Iterator<Item = f64>, decimals: usize) -> String {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let (median, last) = (figures[figures.len() / 2], figures[figures.len() - 1]);
    format!(
        "{median:.decimals$} ({:.decimals$} – {last:.decimals$})",
        figures[0]
    )
}
