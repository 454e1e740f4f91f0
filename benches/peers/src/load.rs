//! Rounds of callers that call one after the other without a pause.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::Result;

/// What a contender did in one round.
pub struct Round {
    pub per_second: f64,
    pub latencies: Latencies,
}

/// Sorted.
#[derive(Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// The time within which this share of all calls had their answers, in microseconds.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index, from 0 to the last"
    )]
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let latency = self.0.get((last as f64 * share).round() as usize);
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    }
}

/// Whoever can be measured.
#[async_trait]
pub trait Contender: Sync {
    async fn round(&self, callers: usize, length: Duration) -> Result<Round>;
}

type Call = dyn Fn(u64) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Tasks of this process that make a call, which takes a random number and panics where the answer is wrong.
#[derive(Clone)]
pub struct Tasks(Arc<Call>);

impl Tasks {
    pub fn new<F>(call: impl Fn(u64) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move |random| Box::pin(call(random))))
    }

    pub async fn call(&self, random: u64) {
        (self.0)(random).await;
    }
}

#[async_trait]
impl Contender for Tasks {
    /// The first tenth does not count: connections that were idle wake up in it.
    async fn round(&self, callers: usize, length: Duration) -> Result<Round> {
        let begin = Instant::now() + length / 10;
        let end = begin + length;
        let callers: Vec<_> = (0..callers)
            .map(|_| tokio::spawn(caller(self.clone(), begin, end)))
            .collect();
        let mut all = Vec::new();
        for caller in callers {
            all.extend(caller.await?);
        }
        Ok(Round {
            per_second: per_second(all.len() as u64, length),
            latencies: Latencies::of(all),
        })
    }
}

/// The latencies of the calls that ended in this time.
pub async fn caller(tasks: Tasks, begin: Instant, end: Instant) -> Vec<Duration> {
    let mut random = fastrand::Rng::new();
    let mut latencies = Vec::new();
    let mut now = Instant::now();
    while now < end {
        let since = now;
        tasks.call(random.u64(..)).await;
        now = Instant::now();
        if (begin..end).contains(&now) {
            latencies.push(now - since);
        }
    }
    latencies
}

pub fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// How often and for how long everyone is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    pub rounds: usize,
    pub length: Duration,
}

/// The rounds of each contender, who take turns, after one round each to warm up.
pub async fn alternate(
    contenders: &[&dyn Contender],
    callers: usize,
    plan: Plan,
) -> Result<Vec<Vec<Round>>> {
    for contender in contenders {
        contender.round(callers, plan.length / 2).await?;
    }
    let mut rounds: Vec<_> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..plan.rounds {
        for (contender, rounds) in contenders.iter().zip(&mut rounds) {
            rounds.push(contender.round(callers, plan.length).await?);
        }
    }
    Ok(rounds)
}
