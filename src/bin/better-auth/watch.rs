//! Long operations: their progress is shown, and a signal stops them between two batches.

use std::future::poll_fn;
use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use better_auth::AuthResult;
use better_auth::adapters::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::Notify;

use crate::arguments::Global;
use crate::output::{Problem, shown};

/// How often a line is printed where there is no terminal.
const LINE_PAUSE: Duration = Duration::from_secs(5);
/// How long an operation may take to come to the end of a batch once it is told to stop.
const MAX_FAREWELL: Duration = Duration::from_secs(5);

/// An observer of a long operation.
pub(crate) type Observe = Box<dyn FnMut(&Progress) + Send>;

/// Runs a long operation until it ends, or until a signal stops it. `how_to_go_on` tells the operator what to do then.
pub(crate) async fn run<T, F>(
    global: &Global,
    how_to_go_on: &str,
    operation: impl FnOnce(Observe) -> F,
) -> Result<T, Problem>
where
    F: Future<Output = AuthResult<T>>,
{
    let stop = Arc::new(Stop::default());
    let signals = tokio::spawn(listen(Arc::clone(&stop)));
    let mut display = Display::new(global);
    let bar = display.bar.clone();
    let observed = Arc::clone(&stop);
    let answer = {
        let mut operation = pin!(operation(Box::new(move |progress| {
            display.show(progress);
            observed.reached(progress);
        })));
        let mut overdue = pin!(stop.overdue.notified());
        poll_fn(|context| match operation.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            // After a report the operation yields, with nothing under way.
            Poll::Pending if stop.is_between_batches.load(Ordering::Relaxed) => Poll::Ready(None),
            Poll::Pending => overdue.as_mut().poll(context).map(|()| None),
        })
        .await
    };
    signals.abort();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    match answer {
        Some(answer) => answer.map_err(Problem::from),
        None => Err(Problem::Stopped(stop.message(how_to_go_on))),
    }
}

/// Whether a signal wants the operation to stop.
#[derive(Default)]
struct Stop {
    is_wanted: AtomicBool,
    is_between_batches: AtomicBool,
    overdue: Notify,
    last: Mutex<Option<Progress>>,
}

impl Stop {
    fn reached(&self, progress: &Progress) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
        if self.is_wanted.load(Ordering::Relaxed) {
            self.is_between_batches.store(true, Ordering::Relaxed);
        }
    }

    fn message(&self, how_to_go_on: &str) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = match &*last {
            Some(progress) if progress.done > 0 => {
                format!(" ({}: {} done)", progress.step, progress.done)
            }
            Some(progress) => format!(" ({})", progress.step),
            None => String::new(),
        };
        format!("stopped{reached}; what was done stays done: {how_to_go_on}")
    }
}

/// The first signal asks the operation to stop, the second one ends the program.
async fn listen(stop: Arc<Stop>) {
    next_signal().await;
    stop.is_wanted.store(true, Ordering::Relaxed);
    let _ = writeln!(
        io::stderr(),
        "stopping at the end of this batch; once more to stop at once"
    );
    let again = async {
        next_signal().await;
        std::process::exit(1);
    };
    let _ = tokio::time::timeout(MAX_FAREWELL, again).await;
    stop.overdue.notify_one();
}

/// Ctrl-C, and what service managers send.
#[cfg(unix)]
async fn next_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
    let Ok(mut signals) = kinds.into_iter().map(signal).collect::<Result<Vec<_>, _>>() else {
        // The signal ends the program, as it does by default.
        return std::future::pending().await;
    };
    poll_fn(|context| {
        let mut signals = signals.iter_mut();
        if signals.any(|signal| signal.poll_recv(context).is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[cfg(not(unix))]
async fn next_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// Shows progress on standard error: a bar on a terminal, lines elsewhere.
struct Display {
    is_silent: bool,
    bar: Option<ProgressBar>,
    step: String,
    last_line: Instant,
}

impl Display {
    fn new(global: &Global) -> Self {
        let has_bar = !global.quiet && io::stderr().is_terminal();
        Self {
            is_silent: global.quiet,
            bar: has_bar.then(|| {
                ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
                    .with_style(style("{spinner} {msg} [{elapsed}]"))
            }),
            step: String::new(),
            last_line: Instant::now(),
        }
    }

    fn show(&mut self, progress: &Progress) {
        let is_new = self.step != progress.step;
        if is_new {
            self.step.clone_from(&progress.step);
        }
        match &self.bar {
            Some(bar) => self.show_bar(bar, progress, is_new),
            None if self.is_silent => {}
            None if is_new || self.last_line.elapsed() >= LINE_PAUSE => {
                self.last_line = Instant::now();
                // Without a reader there is no one to tell.
                let _ = writeln!(io::stderr(), "{}", line(progress));
            }
            None => {}
        }
    }

    fn show_bar(&self, bar: &ProgressBar, progress: &Progress, is_new: bool) {
        if let Some(total) = progress.estimated_total {
            bar.set_length(total);
        }
        bar.set_position(progress.done);
        if is_new {
            bar.set_style(style(match progress.estimated_total {
                Some(_) => {
                    "{spinner} {msg} {wide_bar} {human_pos} of about {human_len} [{elapsed}]"
                }
                None => "{spinner} {msg} {human_pos} [{elapsed}]",
            }));
            bar.set_message(shown(&self.step));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn line(progress: &Progress) -> String {
    let step = shown(&progress.step);
    match progress.estimated_total {
        Some(total) => format!("{step}: {} of about {total}", progress.done),
        None if progress.done > 0 => format!("{step}: {}", progress.done),
        None => step,
    }
}
