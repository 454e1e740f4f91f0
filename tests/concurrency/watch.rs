//! A watchdog on a thread of its own, so that it also notices a runtime whose threads are all blocked.

use std::fmt::Write as _;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What the tasks of a case do.
#[derive(Default)]
pub(crate) struct Watch {
    tasks: Mutex<Vec<Arc<Mutex<Doing>>>>,
}

struct Doing {
    task: String,
    what: String,
    since: Instant,
}

/// A task under watch, until it is dropped.
pub(crate) struct Watched(Arc<Mutex<Doing>>);

impl Watched {
    /// Says what it does from now on. A task that says nothing for long is taken for stuck.
    pub(crate) fn does(&self, what: impl Into<String>) {
        let mut doing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doing.what = what.into();
        doing.since = Instant::now();
    }
}

impl Watch {
    pub(crate) fn task(&self, task: impl Into<String>) -> Watched {
        let doing = Arc::new(Mutex::new(Doing {
            task: task.into(),
            what: "begins".to_owned(),
            since: Instant::now(),
        }));
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&doing));
        Watched(doing)
    }

    /// What all tasks do, if one of them has not moved for so long.
    fn stuck(&self, patience: Duration) -> Option<String> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| Arc::strong_count(task) > 1);
        let (mut stuck, mut all) = (false, String::new());
        for doing in tasks.iter() {
            let doing = doing.lock().unwrap_or_else(PoisonError::into_inner);
            let since = doing.since.elapsed();
            stuck |= since > patience;
            writeln!(all, "{} for {since:?}: {}", doing.task, doing.what).unwrap();
        }
        stuck.then_some(all)
    }
}

/// Runs a case on a runtime of its own, with several threads, and fails where a task does not move for so long.
pub(crate) fn run<F: Future<Output = ()>>(
    patience: Duration,
    case: impl FnOnce(Arc<Watch>) -> F + Send + 'static,
) -> Result<(), String> {
    let watch = Arc::new(Watch::default());
    let (done, ended) = channel::<()>();
    let runner = {
        let watch = Arc::clone(&watch);
        thread::spawn(move || {
            // Hangs up at the end, also after a panic.
            let _done = done;
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(4)
                .enable_all()
                .build()
                .unwrap()
                .block_on(case(watch));
        })
    };
    while ended.recv_timeout(patience / 20) == Err(RecvTimeoutError::Timeout) {
        if let Some(all) = watch.stuck(patience) {
            // The threads are left as they are: they cannot be stopped.
            return Err(format!("nothing moves:\n{all}"));
        }
    }
    runner.join().map_err(|panic| resume_unwind(panic))
}

#[test]
fn a_blocked_runtime_is_noticed() {
    let outcome = run(Duration::from_millis(200), |watch| async move {
        let _idle = watch.task("the other");
        let lock = Mutex::new(());
        let task = watch.task("the one");
        task.does("locks twice");
        let _first = lock.lock();
        let _second = lock.try_lock();
        loop {
            thread::park();
        }
    });
    let report = outcome.unwrap_err();
    assert!(
        report.contains("the one for") && report.contains("locks twice"),
        "{report}"
    );
    assert!(report.contains("the other for"), "{report}");
}

#[test]
fn a_panic_is_no_stall() {
    let case = |_| async { panic!("on purpose") };
    let outcome = std::panic::catch_unwind(|| run(Duration::from_secs(60), case));
    assert!(outcome.is_err());
}
