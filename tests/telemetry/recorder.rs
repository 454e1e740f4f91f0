//! A subscriber that keeps all spans and events of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

static RECORDED: LazyLock<Mutex<Recorded>> = LazyLock::new(Mutex::default);

/// All spans and events, in their order.
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) spans: Vec<Span>,
    pub(crate) events: Vec<Seen>,
    /// A line for each kind of span and event.
    pub(crate) names: BTreeSet<String>,
}

pub(crate) struct Span {
    pub(crate) parent: Option<usize>,
    pub(crate) seen: Seen,
    pub(crate) is_closed: bool,
}

/// The name of a span or the message of an event, with the fields and the span around it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) fields: BTreeMap<&'static str, String>,
    pub(crate) span: Option<usize>,
}

impl Seen {
    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }
}

impl Recorded {
    /// The spans of a test's own database, oldest first.
    pub(crate) fn spans_of(&self, database: &str, name: &str) -> Vec<&Span> {
        let is_wanted = |span: &&Span| {
            span.seen.name == name && span.seen.get("db.namespace") == Some(database)
        };
        self.spans.iter().filter(is_wanted).collect()
    }

    /// The events inside the spans of a test's own database.
    pub(crate) fn events_of(&self, database: &str, name: &str) -> Vec<&Seen> {
        let is_wanted = |event: &&Seen| {
            let span = event.span.and_then(|span| self.spans.get(span));
            event.name == name
                && span.and_then(|span| span.seen.get("db.namespace")) == Some(database)
        };
        self.events.iter().filter(is_wanted).collect()
    }
}

/// Everything that was seen so far.
pub(crate) fn recorded() -> MutexGuard<'static, Recorded> {
    // A test that has failed is no concern of the others.
    RECORDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to record. All tests call it first, as what was logged before may never be recorded.
pub(crate) fn start() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| tracing_subscriber::registry().with(Recorder).init());
}

struct Recorder;

/// Which of the recorded spans it is.
struct Index(usize);

impl Visit for Seen {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.name = value;
        } else {
            self.fields.insert(field.name(), value);
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    ["better_auth", "application"].contains(&metadata.target())
}

fn line(kind: &str, metadata: &Metadata<'_>, name: &str) -> String {
    let fields = metadata.fields().iter().map(|field| field.name());
    let fields: Vec<_> = fields.filter(|&field| field != "message").collect();
    format!(
        "{} {kind} \"{name}\": {}",
        metadata.level(),
        fields.join(", ")
    )
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        if !is_ours(metadata) {
            return;
        }
        let span = context.span(id).unwrap();
        let mut around = span.scope().skip(1);
        let parent = around.find_map(|span| span.extensions().get::<Index>().map(|index| index.0));
        let mut seen = Seen::default();
        attributes.record(&mut seen);
        metadata.name().clone_into(&mut seen.name);
        let mut recorded = recorded();
        span.extensions_mut().insert(Index(recorded.spans.len()));
        if metadata.target() == "better_auth" {
            let line = line("span", metadata, &seen.name);
            recorded.names.insert(line);
        }
        recorded.spans.push(Span {
            parent,
            seen,
            is_closed: false,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        if let Some(&Index(index)) = span.extensions().get() {
            values.record(&mut recorded().spans[index].seen);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !is_ours(event.metadata()) {
            return;
        }
        let mut seen = Seen::default();
        event.record(&mut seen);
        let span = context.event_span(event);
        seen.span = span.and_then(|span| span.extensions().get::<Index>().map(|index| index.0));
        let mut recorded = recorded();
        let line = line("event", event.metadata(), &seen.name);
        recorded.names.insert(line);
        recorded.events.push(seen);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        if let Some(&Index(index)) = span.extensions().get() {
            recorded().spans[index].is_closed = true;
        }
    }
}
