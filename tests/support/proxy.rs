//! A TCP proxy before a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A bare `Sync`.
const PING: [u8; 5] = [b'S', 0, 0, 0, 4];

/// Passes everything on and counts how often a client asked and the server answered, pings of sqlx's pool apart.
pub struct Proxy {
    port: u16,
    round_trips: Arc<AtomicUsize>,
}

impl Proxy {
    /// Listens on a port of this machine until the runtime ends.
    pub async fn start((host, port): (&str, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            round_trips: Arc::default(),
        };
        let (host, round_trips) = (host.to_owned(), Arc::clone(&proxy.round_trips));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect((host.as_str(), port)).await else {
                    continue;
                };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let asked = Arc::new(AtomicBool::new(false));
                let answered = (Arc::clone(&asked), Arc::clone(&round_trips));
                tokio::spawn(pass(from_client, to_server, move |sent| {
                    asked.store(sent != PING, Ordering::SeqCst);
                }));
                tokio::spawn(pass(from_server, to_client, move |_| {
                    let (asked, round_trips) = &answered;
                    if asked.swap(false, Ordering::SeqCst) {
                        round_trips.fetch_add(1, Ordering::SeqCst);
                    }
                }));
            }
        });
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn round_trips(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, note: impl Fn(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        note(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
