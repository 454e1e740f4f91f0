//! Values of columns: few, so that they meet again, and those at the edges.

use std::fmt::Debug;

use better_auth::types::Metadata;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::hostile;

pub(crate) fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// When something ends: so far from now that both adapters' clocks agree about it.
pub(crate) fn end() -> impl Strategy<Value = DateTime<Utc>> {
    let first_of_postgresql = DateTime::from_timestamp(-210_866_803_200, 0).unwrap();
    let edges = vec![
        DateTime::<Utc>::MAX_UTC,
        DateTime::<Utc>::MAX_UTC - TimeDelta::nanoseconds(1),
        DateTime::<Utc>::MAX_UTC - TimeDelta::microseconds(1),
        DateTime::<Utc>::MIN_UTC,
        DateTime::<Utc>::MIN_UTC + TimeDelta::nanoseconds(1),
        first_of_postgresql,
        first_of_postgresql + TimeDelta::nanoseconds(1),
        first_of_postgresql - TimeDelta::nanoseconds(1),
        first_of_postgresql - TimeDelta::microseconds(1),
        time("0000-01-01T00:00:00Z"),
        time("-0001-12-31T23:59:59.999999999Z"),
        time("0001-01-01T00:00:00Z"),
        time("1970-01-01T00:00:00.000001500Z"),
        time("1969-12-31T23:59:59.999999500Z"),
        time("1999-12-31T23:59:59.999999999Z"),
        time("2016-12-31T23:59:60.999999999Z"),
        time("2999-06-30T23:59:60Z"),
        time("2999-06-30T23:59:60.500Z"),
        time("9999-12-31T23:59:59.999999999Z"),
        time("+10000-01-01T00:00:00Z"),
    ];
    let any = (
        -8_300_000_000_000_i64..8_200_000_000_000,
        0_u32..1_000_000_000,
    )
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
        .prop_filter("the clocks may disagree", |time| {
            (*time - Utc::now()).abs() > TimeDelta::days(1)
        });
    prop_oneof![
        8 => Just(time("2999-01-01T00:00:00.123456789Z")),
        3 => Just(time("1970-01-01T00:00:00.000001500Z")),
        3 => prop::sample::select(edges),
        1 => any,
    ]
}

/// Few, so that they collide, in several spellings, and some that nobody can have.
pub(crate) fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(vec!["a", "A", "b", "ß", "SS", "É", "é", "İ", "i\u{307}", "ı", "ΑΣ", "ας", "", "%", "_", "\\", "'; --", "\u{202e}x", "ab", "ba", "aßa"])
            .prop_map(str::to_owned),
        1 => Just("x".repeat(255)),
        1 => Just("x".repeat(256)),
        1 => Just("ü".repeat(600)),
        1 => Just("a\0b".to_owned()),
        2 => hostile::text(),
    ]
}

/// So few that pairs of them meet again.
pub(crate) fn part_of_a_pair() -> impl Strategy<Value = String> {
    prop_oneof![12 => prop::sample::select(vec!["a", "A"]).prop_map(str::to_owned), 1 => key()]
}

pub(crate) const USERS: [&str; 3] = ["1", "2", "3"];

/// Whose names are taken, mostly.
pub(crate) fn user_id() -> impl Strategy<Value = String> {
    prop_oneof![12 => prop::sample::select(&USERS[..]).prop_map(str::to_owned), 1 => key()]
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => key(),
        1 => Just("long ".repeat(30_000)),
        2 => hostile::text(),
        1 => any::<String>(),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has none", |float| float.is_finite())
            .prop_map(Value::from),
        prop::sample::select(vec![
            i64::MIN,
            i64::MIN + 1,
            i64::MAX,
            -1,
            1 << 53,
            (1 << 53) + 1
        ])
        .prop_map(Value::from),
        prop::sample::select(vec![u64::MAX, u64::MAX - 1, 1 << 63]).prop_map(Value::from),
        prop::sample::select(FLOATS).prop_map(Value::from),
        prop::sample::select(FLOATS).prop_map(|float| Value::from(-float)),
        // As JSON may spell them.
        prop::sample::select(vec![
            "1e5",
            "1.0e16",
            "1E-7",
            "100e-2",
            "-0",
            "-0.0",
            "0e0",
            "18446744073709551616"
        ])
        .prop_map(|written| serde_json::from_str(written).unwrap()),
    ]
}

/// The edges of what is exact, of what is written with an exponent, and of what there is.
const FLOATS: &[f64] = &[
    0.0,
    0.1,
    1.0,
    1.5e-7,
    1e-5,
    1e15,
    1e16,
    1e17,
    1e19,
    1e22,
    1e300,
    1e308,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_775_808.0,
    18_446_744_073_709_551_616.0,
    123_456_789_012_345_680.0,
    f64::EPSILON,
    f64::MIN_POSITIVE,
    f64::MAX,
    5e-324,
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

pub(crate) fn metadata() -> impl Strategy<Value = Metadata> {
    let nested = |(depth, arrays): (usize, bool)| {
        let wrap = |inner: Value| {
            if arrays {
                json!([inner])
            } else {
                json!({ "a": inner })
            }
        };
        let deep = (1..depth).fold(json!({}), |inner, _| wrap(inner));
        Metadata::from_iter([("deep".to_owned(), deep)])
    };
    // The object itself is counted.
    let depths = prop::sample::select(vec![1, 98, 99, 100, 101, 126, 127, 128, 1000]);
    // Keys that only look alike.
    let twins = [
        "é",
        "e\u{301}",
        "E\u{301}",
        "a",
        "A",
        "a ",
        "a\u{200b}",
        "а",
        "",
        " ",
    ];
    let twins =
        prop::sample::subsequence(twins.map(str::to_owned).to_vec(), 0..6).prop_flat_map(|keys| {
            let values = prop::collection::vec(json_value(), keys.len());
            values.prop_map(move |values| keys.clone().into_iter().zip(values).collect())
        });
    prop_oneof![
        6 => Just(Metadata::new()),
        4 => prop::collection::vec((key(), json_value()), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
        2 => twins,
        1 => (depths, any::<bool>()).prop_map(nested),
    ]
}

pub(crate) fn maybe<T: Clone + Debug + 'static>(
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    prop::option::weighted(0.5, strategy).boxed()
}

/// Of an update: keep, set NULL, or set.
pub(crate) fn change<T: Clone + Debug + 'static>(
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<Option<T>>> {
    prop::option::weighted(0.3, prop::option::weighted(0.7, strategy)).boxed()
}
