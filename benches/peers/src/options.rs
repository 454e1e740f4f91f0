//! The options of the command line.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::Result;

/// `--name value` pairs of the command line.
pub struct Options(BTreeMap<String, String>);

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = BTreeMap::new();
        while let Some(argument) = arguments.next() {
            let name = argument
                .strip_prefix("--")
                .ok_or_else(|| format!("not an option: {argument}"))?;
            let value = arguments
                .next()
                .ok_or_else(|| format!("--{name} needs a value"))?;
            options.insert(name.to_owned(), value);
        }
        Ok(Self(options))
    }

    pub fn take<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> Result<T> {
        self.0.remove(name).map_or(Ok(default), |value| {
            let parsed = value.parse();
            parsed.map_err(|error| format!("--{name} {value}: {error}").into())
        })
    }

    /// Fails where an option was given that nobody has taken.
    pub fn finish(self) -> Result<()> {
        self.0.keys().next().map_or(Ok(()), |name| {
            Err(format!("there is no option --{name} here").into())
        })
    }
}
