//! Medians, ratios and tables in Markdown.

use std::fmt::{self, Write as _};

use crate::load::Round;

pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    pub fn is_met(&self, ratio: f64) -> bool {
        match *self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}×"),
            Self::AtMost(most) => write!(f, "≤ {most}×"),
        }
    }
}

/// What is compared of two rounds.
#[derive(Clone, Copy)]
pub enum Measure {
    PerSecond,
    P99,
}

impl Measure {
    pub fn of(self, round: &Round) -> f64 {
        match self {
            Self::PerSecond => round.per_second,
            Self::P99 => round.latencies.quantile(0.99),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", thousands(value)),
            Self::P99 => format!("{} µs", thousands(value)),
        }
    }
}

/// A row of the table: us beside someone else, round by round.
pub struct Comparison {
    pub what: String,
    pub against: &'static str,
    pub measure: Measure,
    pub target: Target,
}

impl Comparison {
    pub const HEADER: [&str; 8] = [
        "what",
        "against",
        "ours",
        "theirs",
        "ratio",
        "from – to",
        "target",
        "",
    ];

    pub fn row(&self, ours: &[Round], theirs: &[Round]) -> Vec<String> {
        let values = |rounds: &[Round]| -> Vec<f64> {
            rounds.iter().map(|round| self.measure.of(round)).collect()
        };
        let (ours, theirs) = (values(ours), values(theirs));
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        let ratio = median(&ratios);
        let (lowest, highest) = spread(&ratios);
        vec![
            self.what.clone(),
            self.against.to_owned(),
            self.measure.show(median(&ours)),
            self.measure.show(median(&theirs)),
            format!("{ratio:.2}×"),
            format!("{lowest:.2} – {highest:.2}"),
            self.target.to_string(),
            verdict(self.target.is_met(ratio)),
        ]
    }
}

pub fn verdict(met: bool) -> String {
    if met { "met" } else { "**missed**" }.to_owned()
}

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

pub fn spread(values: &[f64]) -> (f64, f64) {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (lowest, highest)
}

pub fn median_of(rounds: &[Round], value: impl Fn(&Round) -> f64) -> f64 {
    median(&rounds.iter().map(value).collect::<Vec<_>>())
}

pub fn count(count: u64) -> String {
    thousands(count as f64)
}

pub fn callers(callers: usize) -> String {
    match callers {
        1 => "1 caller".to_owned(),
        _ => format!("{callers} callers"),
    }
}

/// Rounded, with commas.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table whose first columns hold text and whose others hold numbers.
pub fn table(texts: usize, header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|", header.join(" | "));
    for column in 0..header.len() {
        text.push_str(if column < texts { "---|" } else { "--:|" });
    }
    text.push('\n');
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
