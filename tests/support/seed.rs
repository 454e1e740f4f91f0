//! Seeds of random tests: fresh ones, shown whatever becomes of the test, and ones to be tried again.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Shown as 64 hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed that this variable of the environment names, or a fresh one.
    pub fn of_environment(variable: &str) -> Self {
        std::env::var(variable).map_or_else(|_| Self::fresh(), |hex| Self::parse(&hex))
    }

    pub fn parse(hex: &str) -> Self {
        assert!(
            hex.len() == 64 && hex.is_ascii(),
            "a seed is 64 hexadecimal digits: {hex}"
        );
        Self(std::array::from_fn(|byte| {
            u8::from_str_radix(&hex[2 * byte..2 * byte + 2], 16).unwrap()
        }))
    }

    /// Of hashers, which the standard library seeds from the operating system.
    fn fresh() -> Self {
        let mut bytes = [0; 32];
        for word in bytes.chunks_mut(8) {
            word.copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
        }
        Self(bytes)
    }

    /// The seed of this case; the first case has the seed itself.
    pub fn nth(mut self, case: u32) -> Self {
        for (byte, of_case) in self.0.iter_mut().zip(case.to_le_bytes()) {
            *byte ^= of_case;
        }
        self
    }

    /// True of every second case.
    pub fn is_odd(self) -> bool {
        self.0[0] % 2 == 1
    }

    pub fn runner(self, cases: u32) -> TestRunner {
        let config = Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 1000,
            ..Config::default()
        };
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &self.0))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Shows a line also where the test succeeds: what macros print, the harness keeps to itself then.
#[allow(
    clippy::explicit_write,
    reason = "the macro is what the harness captures"
)]
pub fn announce(line: fmt::Arguments) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}
