//! Numbers of metadata, in the form in which JSONB gives them back.

use serde_json::Number;

use crate::{AuthError, AuthResult};

/// The most digits before and behind the decimal point that PostgreSQL's NUMERIC, and so JSONB, can store.
const MAX_WHOLE_DIGITS: usize = 131_072;
const MAX_SCALE: usize = 16_383;

/// The number as JSONB gives it back, and how many bytes longer its text is then. It works on the text: an application may
/// have switched on serde_json's `arbitrary_precision`, with which a number is any text.
pub(super) fn normal_number(number: &Number) -> AuthResult<(Number, usize)> {
    let written = number.to_string();
    let normal = normal_text(&written).ok_or_else(|| {
        let message = format!(
            "holds a number that JSONB cannot store: at most {MAX_WHOLE_DIGITS} digits before the decimal point and \
             {MAX_SCALE} behind it"
        );
        AuthError::validation("metadata", message)
    })?;
    if normal == written {
        return Ok((number.clone(), 0));
    }
    let added = normal.len().saturating_sub(written.len());
    Ok((normal.parse().unwrap_or_else(|_| number.clone()), added))
}

/// JSONB keeps decimals: a number has no exponent, zero has no sign, and zeros at the end of a fraction stay.
fn normal_text(written: &str) -> Option<String> {
    let (sign, unsigned) = match written.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", written),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let scale = usize::try_from(scale.max(0)).ok()?;
    if scale > MAX_SCALE {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(with_point("", scale));
    }
    let zeros = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let zeros = usize::try_from(zeros.max(0)).ok()?;
    let all = significant.len().checked_add(zeros)?;
    if all.saturating_sub(scale) > MAX_WHOLE_DIGITS {
        return None;
    }
    let digits = significant.to_owned() + &"0".repeat(zeros);
    Some(sign.to_owned() + &with_point(&digits, scale))
}

/// The digits with so many of them behind the decimal point.
fn with_point(digits: &str, scale: usize) -> String {
    let padded = "0".repeat((scale + 1).saturating_sub(digits.len())) + digits;
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::normal_text;

    /// What PostgreSQL prints for `'…'::jsonb`.
    #[test]
    fn texts_are_those_of_jsonb() {
        for (written, stored) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("0e5", "0"),
            ("0.00e1", "0.0"),
            ("0e-3", "0.000"),
            ("7", "7"),
            ("-12.50", "-12.50"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("1.5e3", "1500"),
            ("1.50e1", "15.0"),
            ("1e-3", "0.001"),
            ("-1.25e-2", "-0.0125"),
            ("0.5e1", "5"),
            ("0.001e2", "0.1"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
        ] {
            assert_eq!(normal_text(written).as_deref(), Some(stored), "{written}");
        }
        let longest = normal_text("1e400").unwrap();
        assert_eq!(longest.len(), 401);
    }

    #[test]
    fn what_jsonb_cannot_store_has_no_text() {
        assert!(normal_text("9e131071").is_some());
        assert!(normal_text("1e-16383").is_some());
        for written in [
            "1e131072",
            "1e200000",
            "1e-16384",
            "0e-16384",
            "1e99999999999999999999",
            "-1e9223372036854775807",
            "1.5e-9223372036854775808",
        ] {
            assert_eq!(normal_text(written), None, "{written}");
        }
    }
}
