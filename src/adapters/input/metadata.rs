//! Metadata: text and numbers that JSONB can hold, not nested too deep.

use serde_json::Value;

use super::number;
use super::text::is_possible_text;
use crate::types::Metadata;
use crate::{AuthError, AuthResult};

/// Deepest nesting of metadata, the object itself counted. `serde_json` writes deeper, but reads back at most 127.
const MAX_JSON_DEPTH: usize = 100;
/// `serde_json` marks its numbers and its raw JSON by keys that begin like this. It would read an object with such a key
/// back as something else, or not at all.
const RESERVED_KEY: &str = "$serde_json::private::";

/// How many bytes longer the text of metadata may become when its numbers are written without exponents, as JSONB writes
/// them: a few bytes of input must not become gigabytes.
const MAX_ADDED_BYTES: usize = 16 * 1024 * 1024;

pub(super) fn normal_metadata(mut metadata: Metadata) -> AuthResult<Metadata> {
    let mut room = MAX_ADDED_BYTES;
    normal_object(&mut metadata, 1, &mut room)?;
    Ok(metadata)
}

/// `room` is how many bytes longer the text may still become.
fn normal_object(object: &mut Metadata, depth: usize, room: &mut usize) -> AuthResult<()> {
    for (key, value) in object {
        if !is_possible_text(key) {
            return Err(AuthError::validation("metadata", "holds a NUL character"));
        }
        if key.starts_with(RESERVED_KEY) {
            let message = format!("has a key that begins with {RESERVED_KEY}");
            return Err(AuthError::validation("metadata", message));
        }
        normal_json(value, depth, room)?;
    }
    Ok(())
}

fn normal_json(value: &mut Value, depth: usize, room: &mut usize) -> AuthResult<()> {
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
            let (normal, added) = number::normal_number(number)?;
            *room = room.checked_sub(added).ok_or_else(|| {
                let message = format!(
                    "holds numbers that take over {MAX_ADDED_BYTES} bytes more when they are written without exponents"
                );
                AuthError::validation("metadata", message)
            })?;
            *number = normal;
            Ok(())
        }
        Value::String(string) if is_possible_text(string) => Ok(()),
        Value::String(_) => Err(AuthError::validation("metadata", "holds a NUL character")),
        Value::Array(values) => values
            .iter_mut()
            .try_for_each(|value| normal_json(value, depth, room)),
        Value::Object(object) => normal_object(object, depth, room),
    }
}
