//! A TCP proxy before a server, which does to connections what networks do.

use std::future::pending;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// A bare `Sync`.
const PING: [u8; 5] = [b'S', 0, 0, 0, 4];

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// What the proxy does, to open connections and to new ones.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Where new connections go.
    pub target: (String, u16),
    /// The longest time that a packet takes; each takes a random part of it.
    pub delay: Duration,
    /// Cuts connections, each after a random number of further bytes in this direction.
    pub cut: Option<(Direction, Range<usize>)>,
    /// How many it cuts before it stops.
    pub cuts_left: usize,
    /// Passes nothing on and closes nothing; new connections are accepted. What was held back is passed on at the end.
    pub black_hole: bool,
}

/// Passes everything on and counts how often a client asked and the server answered, pings of sqlx's pool apart.
pub struct Proxy {
    port: u16,
    round_trips: Arc<AtomicUsize>,
    cuts: Arc<AtomicUsize>,
    network: Arc<watch::Sender<Network>>,
}

impl Proxy {
    /// Listens on a port of this machine until the runtime ends.
    pub async fn start((host, port): (&str, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = (host.to_owned(), port);
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            round_trips: Arc::default(),
            cuts: Arc::default(),
            network: Arc::new(watch::Sender::new(Network {
                target,
                ..Network::default()
            })),
        };
        let connection = Connection {
            round_trips: Arc::clone(&proxy.round_trips),
            cuts: Arc::clone(&proxy.cuts),
            network: Arc::clone(&proxy.network),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection.clone().serve(client));
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

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }

    pub fn change(&self, change: impl FnOnce(&mut Network)) {
        self.network.send_modify(change);
    }
}

#[derive(Clone)]
struct Connection {
    round_trips: Arc<AtomicUsize>,
    cuts: Arc<AtomicUsize>,
    network: Arc<watch::Sender<Network>>,
}

impl Connection {
    async fn serve(self, client: TcpStream) {
        let target = self.passable().await.target;
        let Ok(server) = TcpStream::connect(target).await else {
            return;
        };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (asked, cut) = (AtomicBool::new(false), Notify::new());
        let there = self.clone().pass(
            Direction::ToServer,
            (from_client, to_server),
            &cut,
            |sent| asked.store(sent != PING, Ordering::SeqCst),
        );
        let back = self
            .clone()
            .pass(Direction::ToClient, (from_server, to_client), &cut, |_| {
                if asked.swap(false, Ordering::SeqCst) {
                    self.round_trips.fetch_add(1, Ordering::SeqCst);
                }
            });
        tokio::select! {
            _ = async { tokio::join!(there, back) } => {}
            () = cut.notified() => {
                self.cuts.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Waits while the network is a black hole.
    async fn passable(&self) -> Network {
        let mut network = self.network.subscribe();
        let passable = network.wait_for(|network| !network.black_hole).await;
        passable.unwrap().clone()
    }

    /// Takes one of the cuts that are left.
    fn may_cut(&self) -> bool {
        self.network.send_if_modified(|network| {
            let may_cut = network.cuts_left > 0;
            network.cuts_left -= usize::from(may_cut);
            may_cut
        })
    }

    async fn pass(
        self,
        direction: Direction,
        (mut from, mut to): (OwnedReadHalf, OwnedWriteHalf),
        cut: &Notify,
        note: impl Fn(&[u8]),
    ) {
        let mut buffer = vec![0; 64 * 1024];
        let mut passed_before_cut = None;
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let network = self.passable().await;
            if !network.delay.is_zero() {
                tokio::time::sleep(network.delay.mul_f64(random_fraction())).await;
            }
            let sent = &buffer[..length];
            match &network.cut {
                Some((cut_direction, range)) if *cut_direction == direction => {
                    let left = passed_before_cut.get_or_insert_with(|| random(range.clone()));
                    if length > *left && self.may_cut() {
                        let _ = to.write_all(&sent[..*left]).await;
                        cut.notify_one();
                        return pending().await;
                    }
                    *left = left.saturating_sub(length);
                }
                _ => passed_before_cut = None,
            }
            note(sent);
            if to.write_all(sent).await.is_err() {
                return;
            }
        }
        // The end of the stream is news too.
        self.passable().await;
    }
}

/// From 0 to 1.
fn random_fraction() -> f64 {
    f64::from(getrandom::u32().unwrap()) / f64::from(u32::MAX)
}

fn random(range: Range<usize>) -> usize {
    range.start + getrandom::u32().unwrap() as usize % range.len()
}
