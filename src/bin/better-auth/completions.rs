//! `completions`: a script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::output::Answer;

pub(crate) fn completions(shell: Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "better-auth", &mut script);
    let script = String::from_utf8_lossy(&script);
    let json = serde_json::json!({ "shell": shell.to_string(), "script": script });
    Answer::new(script.trim_end(), json)
}
