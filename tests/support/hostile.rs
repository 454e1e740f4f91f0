//! Texts that break what takes them for anything but text.

use proptest::prelude::*;

/// What is tried everywhere, each with a name for messages.
pub fn corpus() -> Vec<(String, String)> {
    let mut corpus: Vec<(String, String)> = FRAGMENTS
        .iter()
        .map(|fragment| (format!("{fragment:?}"), (*fragment).to_owned()))
        .collect();
    for limit in [255, 1024] {
        for character in ["x", "é", "𝕏", "'", "İ"] {
            for (name, bytes) in [("under", limit - 1), ("at", limit), ("over", limit + 1)] {
                corpus.push((
                    format!("{bytes} bytes of {character:?}, {name} the limit"),
                    of_length(character, bytes),
                ));
            }
        }
        corpus.push((format!("{} NULs", limit + 1), "\0".repeat(limit + 1)));
    }
    corpus
}

/// Texts of ten megabytes: one that compresses, and one that does not.
pub fn giants() -> Vec<(String, String)> {
    const BYTES: usize = 10_000_000;
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + u8::try_from(state >> 24).unwrap() % 95)
    });
    vec![
        ("10 MB of quotes".to_owned(), of_length("'", BYTES)),
        ("10 MB of noise".to_owned(), noise.take(BYTES).collect()),
    ]
}

/// So many bytes, filled up with ASCII where the character does not divide them.
fn of_length(character: &str, bytes: usize) -> String {
    let mut text = character.repeat(bytes / character.len());
    text.push_str(&"~".repeat(bytes - text.len()));
    text
}

/// Fragments, strung together and mixed with any characters, sometimes up to a limit.
pub fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => prop::sample::select(FRAGMENTS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "\\PC{0,8}",
    ];
    let text = prop::collection::vec(part, 1..5).prop_map(|parts| parts.concat());
    (text, prop::option::weighted(0.1, 250_usize..260)).prop_map(|(text, bytes)| match bytes {
        Some(bytes) if !text.is_empty() => text
            .chars()
            .cycle()
            .scan(0, |length, character| {
                *length += character.len_utf8();
                (*length <= bytes).then_some(character)
            })
            .collect(),
        _ => text,
    })
}

/// Short ones, to be combined.
pub const FRAGMENTS: &[&str] = &[
    "",
    " ",
    // SQL.
    "'",
    "''",
    "\"",
    "\\",
    "\\'",
    "';--",
    "' OR '1'='1",
    "' OR 1=1 --",
    "\" OR \"\"=\"",
    "') OR ('1'='1",
    "x'); DROP TABLE users; --",
    "'; DELETE FROM users; --",
    "'; UPDATE users SET role = 'admin'; --",
    "' UNION SELECT id, token FROM sessions --",
    "1; SELECT pg_sleep(10)",
    "'||(SELECT token FROM sessions LIMIT 1)||'",
    "$$",
    "$body$; DROP TABLE users; $body$",
    "E'\\''",
    "U&'\\0027'",
    "/*",
    "*/",
    "-- ",
    "; COMMIT; ",
    "\\copy users to '/tmp/x'",
    "\\.",
    "$1",
    "$2::text",
    "?",
    ":name",
    "{}",
    "{0}",
    "%s",
    "%n",
    "NULL",
    "null",
    "DEFAULT",
    "CURRENT_USER",
    "infinity",
    "'infinity'::timestamptz",
    // Patterns.
    "%",
    "_",
    "%%",
    "\\%",
    "\\_",
    "\\\\",
    "[a-z]",
    ".*",
    "^(a+)+$",
    // Other languages.
    "<script>alert(1)</script>",
    "${jndi:ldap://host.invalid/x}",
    "../../../../etc/passwd",
    "{\"a\": 1}",
    "[1, 2]",
    "\"\\u0000\"",
    "{1,NULL}",
    // What serde_json takes for marks of its own.
    "$serde_json::private::Number",
    "$serde_json::private::RawValue",
    // Control characters and line ends.
    "\0",
    "a\0b",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\t",
    "\n",
    "\r\n",
    "a\r\nSet-Cookie: b=c",
    "\u{1b}[31m",
    "\u{2028}",
    // Bidirectional and invisible characters.
    "\u{202e}nimda",
    "\u{2066}a\u{2069}",
    "\u{200b}",
    "a\u{200d}b",
    "\u{feff}",
    "\u{ad}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{fffd}",
    "\u{e000}",
    // Beyond the basic plane, at the edges of UTF-16.
    "\u{d7ff}",
    "\u{10000}",
    "\u{10ffff}",
    "𝕏",
    "👩‍👩‍👧‍👦",
    // Marks alone, and what normalisation would change.
    "\u{301}",
    "\u{301}\u{301}\u{301}",
    "é",
    "e\u{301}",
    "Å",
    "\u{212b}",
    "A\u{30a}",
    "ﬁ",
    "①",
    "가",
    "\u{1100}\u{1161}",
    // Case.
    "I",
    "ı",
    "İ",
    "i\u{307}",
    "ΑΣ",
    "ας",
    "ασ",
    "ΑΣ.Α",
    "ß",
    "ẞ",
    "SS",
    "ǅ",
    "K",
    "ſ",
    "Ⱥ",
    // What this library writes itself.
    "sha256:",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "SHA256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "AAAAAAAAAAA",
    "__________8",
];
