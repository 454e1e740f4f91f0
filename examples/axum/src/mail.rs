//! Mails, written as files. A real application hands them to a service here, and to nobody else.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use tokio::fs;

use crate::secrets;

/// Writes mails into a folder.
#[derive(Clone)]
pub struct Mailer(PathBuf);

impl Mailer {
    /// Mails go into this folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Sends a mail. The address has no line breaks, as [`crate::input`] sees to.
    pub async fn send(&self, to: &str, subject: &str, text: &str) {
        if let Err(error) = self.write(to, subject, text).await {
            tracing::error!(%error, "a mail could not be written");
        }
    }

    async fn write(&self, to: &str, subject: &str, text: &str) -> io::Result<()> {
        fs::create_dir_all(&self.0).await?;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let name = format!("{}-{}", now.as_micros(), &secrets::random_token()[..8]);
        let unfinished = self.0.join(&name);
        fs::write(
            &unfinished,
            format!("To: {to}\nSubject: {subject}\n\n{text}\n"),
        )
        .await?;
        // Whoever watches the folder sees whole mails.
        fs::rename(&unfinished, self.0.join(name + ".txt")).await
    }
}
