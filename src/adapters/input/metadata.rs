//! Metadata: text and numbers that JSONB can hold, not nested too deep.

use serde_json::Value;

use super::number;
use super::text::is_possible_text;
use crate::types::Metadata;
use crate::{AuthError, AuthResult};

/// Deepest nesting of metadata, the object itself counted. `serde_json` writes deeper, but reads back at most 127.
const MAX_JSON_DEPTH: usize = 100;
/// What the keys begin with by which `serde_json` marks numbers and raw JSON of its own. It would read an object with such
/// a key back as something else, or not at all.
const RESERVED_KEY: &str = "$serde_json::private::";

pub(super) fn normal_metadata(mut metadata: Metadata) -> AuthResult<Metadata> {
    normal_object(&mut metadata, 1)?;
    Ok(metadata)
}

fn normal_object(object: &mut Metadata, depth: usize) -> AuthResult<()> {
    for (key, value) in object {
        if !is_possible_text(key) {
            return Err(AuthError::validation("metadata", "holds a NUL character"));
        }
        if key.starts_with(RESERVED_KEY) {
            let message = format!("has a key that begins with {RESERVED_KEY}");
            return Err(AuthError::validation("metadata", message));
        }
        normal_json(value, depth)?;
    }
    Ok(())
}

fn normal_json(value: &mut Value, depth: usize) -> AuthResult<()> {
    let depth = match value {
        Value::Object(_) | Value::Array(_) if depth == MAX_JSON_DEPTH => {
            let message = format!("is nested deeper than {MAX_JSON_DEPTH}");
            return Err(AuthError::validation("metadata", message));
        }
        Value::Object(_) | Value::Array(_) => depth + 1,
        _ => depth,
    };
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::Number(number) => {
            *number = number::normal_number(number)?;
            Ok(())
        }
        Value::String(string) if is_possible_text(string) => Ok(()),
        Value::String(_) => Err(AuthError::validation("metadata", "holds a NUL character")),
        Value::Array(values) => values
            .iter_mut()
            .try_for_each(|value| normal_json(value, depth)),
        Value::Object(object) => normal_object(object, depth),
    }
}
