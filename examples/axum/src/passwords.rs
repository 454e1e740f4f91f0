//! Hashes of passwords, off the threads of the runtime and never more at once than the machine can bear.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::error::{AppError, AppResult};

/// How long a request waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Hashes and verifies passwords by Argon2id.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    /// Each hash takes 19 MiB and a core.
    turns: Arc<Semaphore>,
    /// A hash that no password has, compared for those who have none.
    dummy: Arc<str>,
    computed: Arc<AtomicU64>,
}

impl Passwords {
    /// One hash per core at once.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bytes.
    #[must_use]
    pub fn new() -> Self {
        let argon2 = Argon2::default();
        let dummy = argon2.hash_password(&crate::secrets::random_bytes::<32>());
        Self {
            argon2,
            turns: Arc::new(Semaphore::new(
                thread::available_parallelism().map_or(1, usize::from),
            )),
            dummy: dummy
                .expect("random bytes can be hashed")
                .to_string()
                .into(),
            computed: Arc::default(),
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    ///
    /// 503 if too many others wait.
    pub async fn hash(&self, password: &str) -> AppResult<String> {
        let password = password.to_owned();
        let hash = self.run(move |argon2| argon2.hash_password(password.as_bytes()));
        let hash = hash
            .await?
            .map_err(|error| AppError::internal("hashing a password", &error))?;
        Ok(hash.to_string())
    }

    /// Whether the password has this hash. Without a hash the answer is no, after the same time.
    ///
    /// # Errors
    ///
    /// 503 if too many others wait.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> AppResult<bool> {
        let password = password.to_owned();
        let stored = hash.unwrap_or(&self.dummy).to_owned();
        let is_right = self.run(move |argon2| {
            let hash = PasswordHash::new(&stored)?;
            argon2.verify_password(password.as_bytes(), &hash)
        });
        Ok(is_right.await?.is_ok() && hash.is_some())
    }

    /// How many hashes were computed so far.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed.load(Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Argon2<'static>) -> T + Send + 'static,
    ) -> AppResult<T> {
        let turn = tokio::time::timeout(MAX_WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(AppError::Busy);
        };
        let (argon2, computed) = (self.argon2.clone(), Arc::clone(&self.computed));
        let done = tokio::task::spawn_blocking(move || {
            // It is held until the work ends, even if the request has gone.
            let _turn = turn;
            computed.fetch_add(1, Relaxed);
            work(argon2)
        });
        done.await
            .map_err(|error| AppError::internal("hashing a password", &error))
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}
