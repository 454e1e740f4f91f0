//! What the program prints, and its exit code.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use better_auth::AuthError;
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::Global;

/// The answer of a command.
pub(crate) struct Answer {
    /// None if it was written already.
    content: Option<(String, Value)>,
    is_right: bool,
}

impl Answer {
    pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            content: Some((text.into(), json)),
            is_right: true,
        }
    }

    /// An answer that was written piece by piece.
    pub(crate) fn written() -> Self {
        Self {
            content: None,
            is_right: true,
        }
    }

    /// If not, the exit code is 1.
    pub(crate) fn right_if(mut self, is_right: bool) -> Self {
        self.is_right = is_right;
        self
    }
}

/// Why a command has no answer.
pub(crate) enum Problem {
    /// Wrong usage, a wrong URL, no server, no permission to connect.
    NotAsked { kind: &'static str, message: String },
    /// The operation failed.
    Failed { kind: &'static str, message: String },
    /// The operation was stopped by a signal.
    Stopped(String),
}

impl Problem {
    pub(crate) fn not_asked(message: impl Into<String>) -> Self {
        Self::NotAsked {
            kind: "Usage",
            message: message.into(),
        }
    }

    /// That of an error of the library's, in words for operators.
    pub(crate) fn of(error: &AuthError, message: impl Into<String>) -> Self {
        let (kind, message) = (error.kind(), message.into());
        match error {
            // What was given cannot be meant, whatever the database holds.
            AuthError::Validation { .. } => Self::NotAsked { kind, message },
            _ => Self::Failed { kind, message },
        }
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NotAsked { .. } => 2,
            Self::Failed { .. } | Self::Stopped(_) => 1,
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::NotAsked { kind, .. } | Self::Failed { kind, .. } => kind,
            Self::Stopped(_) => "Stopped",
        }
    }

    fn message(&self) -> String {
        let (Self::NotAsked { message, .. }
        | Self::Failed { message, .. }
        | Self::Stopped(message)) = self;
        shown(&advice_for_operators(message))
    }

    /// As JSON, in the place of an answer or at its end.
    pub(crate) fn as_json(&self) -> Value {
        json!({ "kind": self.kind(), "message": self.message() })
    }

    pub(crate) fn print(&self) {
        print_message(&self.message());
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        Self::of(&error, error.to_string())
    }
}

/// Prints the outcome of a command: the answer to standard output, and an error to standard error as well.
pub(crate) fn print(outcome: &Outcome, global: &Global) -> ExitCode {
    match outcome {
        Ok(answer) => {
            let code = u8::from(!answer.is_right);
            let Some((text, json)) = &answer.content else {
                return ExitCode::from(code);
            };
            let text = if global.json {
                pretty(json)
            } else {
                text.clone()
            };
            after_writing(write_line(&text), code)
        }
        Err(problem) => {
            if global.json {
                // The exit code tells of an error already, even if it cannot be written.
                let _ = write_line(&pretty(&json!({ "error": problem.as_json() })));
            }
            problem.print();
            problem.exit_code()
        }
    }
}

/// The document that takes the place of an answer. The exit code tells of an error already, even if it cannot be written.
pub(crate) fn print_error(kind: &str, message: &str) {
    let error = json!({ "kind": kind, "message": message });
    let _ = write_line(&pretty(&json!({ "error": error })));
}

/// The exit code: `code`, unless the answer could not be written.
pub(crate) fn after_writing(written: io::Result<()>, code: u8) -> ExitCode {
    match written {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            print_message(&format!("the answer cannot be written: {error}"));
            ExitCode::from(1)
        }
    }
}

pub(crate) fn print_message(message: &str) {
    // Without a reader there is no one to tell.
    let _ = writeln!(io::stderr(), "better-auth: {message}");
}

/// A document that does not control the terminal: `serde_json` writes most of such characters as they are.
fn pretty(json: &Value) -> String {
    // Values of `serde_json` can always be written.
    let document = serde_json::to_string_pretty(json).unwrap_or_default();
    without_controls(&document)
}

/// A JSON document in which no string controls the terminal.
pub(crate) fn without_controls(document: &str) -> String {
    let mut escaped = String::with_capacity(document.len());
    for character in document.chars() {
        if character != '\n' && controls_terminal(character) {
            // Only strings hold these. Writing into a string does not fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Writes to standard output. A reader that has seen enough, as `head`, closes the pipe: that is no error.
pub(crate) fn write_line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// An error of the library's tells a programmer what to call.
pub(crate) fn advice_for_operators(message: &str) -> String {
    message
        .replace(
            "`better-auth import` or SqlxAdapter::import()",
            "`better-auth import`",
        )
        .replace("call SqlxAdapter::migrate()", "run `better-auth migrate`")
        .replace("SqlxAdapter::migrate()", "`better-auth migrate`")
        .replace(
            "call SqlxAdapter::hash_stored_session_tokens()",
            "run `better-auth hash-tokens`",
        )
        .replace(
            "cursor: not valid; pass the page's next_cursor unchanged, or None for the first page",
            "--cursor: this is no cursor: give what `users list` printed behind `next page: --cursor`, or leave it out for \
             the first page",
        )
}

/// A stored text in one line. Characters that control the terminal are escaped, as anybody may have chosen the text.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if controls_terminal(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Controls, separators of lines, and what changes the direction of writing. All are below U+10000.
fn controls_terminal(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// A text about arguments, without those that may hold a password.
pub(crate) fn without_secrets(text: &str, arguments: impl Iterator<Item = String>) -> String {
    let mut shown = text.to_owned();
    for argument in arguments.filter(|argument| may_hold_password(argument)) {
        shown = without(&shown, &argument);
        // The value of an option stands alone.
        if let Some((_, value)) = argument.split_once('=') {
            shown = without(&shown, value);
        }
    }
    shown
}

fn may_hold_password(argument: &str) -> bool {
    let mut compact = argument.to_lowercase();
    compact.retain(|character| !character.is_whitespace());
    compact.contains("://")
        || compact.contains("password=")
        || (compact.contains(':') && compact.contains('@'))
}

/// A text without a secret, or without the longest beginning of it that is more than a word, as an error cuts an argument
/// at its first `=`.
fn without(text: &str, secret: &str) -> String {
    let is_of_word = |character: char| character.is_alphanumeric() || "-_".contains(character);
    let word = secret.len() - secret.trim_start_matches(is_of_word).len();
    let ends = secret
        .char_indices()
        .map(|(start, character)| start + character.len_utf8());
    let mut beginnings = ends
        .rev()
        .filter(|&end| end > word)
        .map(|end| &secret[..end]);
    match beginnings.find(|beginning| text.contains(beginning)) {
        Some(beginning) => text.replace(beginning, "…"),
        None => text.to_owned(),
    }
}

/// `1 session`, `2 sessions`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{pretty, shown, without_secrets};

    #[test]
    fn a_password_is_left_out_wherever_it_stands() {
        for (argument, text, expected) in [
            (
                "postgres://a:b c@host",
                "'postgres://a:b c@host' found",
                "'…' found",
            ),
            ("a:b@host", "what is a:b@host?", "what is …?"),
            ("--url=postgres://a:b@host", "postgres://a:b@host", "…"),
            ("ada@example.com", "ada@example.com", "ada@example.com"),
            (
                "--urlpostgres://a:b@host?ssl=no",
                "'--urlpostgres://a:b@host?ssl' found",
                "'…' found",
            ),
            ("--a:b=c@host", "'--a:b', not --a", "'…', not --a"),
            ("host=here Password = b", "'host=here Password = b'", "'…'"),
        ] {
            let arguments = std::iter::once(argument.to_owned());
            assert_eq!(without_secrets(text, arguments), expected);
        }
    }

    #[test]
    fn a_name_does_not_control_the_terminal() {
        assert_eq!(shown("Ada\u{1b}[2J\n\u{202e}"), "Ada\\u{1b}[2J\\n\\u{202e}");
        assert_eq!(shown("Éloïse"), "Éloïse");
        for character in
            "\u{7f}\u{9b}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{2066}".chars()
        {
            let name = character.to_string();
            assert!(shown(&name).is_ascii(), "{name:?}");
            let document = pretty(&json!({ (&*name): [&*name] }));
            assert!(
                document.chars().all(|it| it == '\n' || !it.is_control()) && document.is_ascii()
            );
            assert_eq!(
                serde_json::from_str::<Value>(&document).unwrap(),
                json!({ (&*name): [&*name] })
            );
        }
    }
}
