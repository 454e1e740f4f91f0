//! Requests per second of a page that checks the session, beside the same page without the check, over HTTP on loopback.
//! Clients and server share the machine. In memory, and on the PostgreSQL that `DATABASE_URL` names.
//!
//! `LOAD_SECONDS` is how long each of the ten measurements takes; one second by default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use application::config::Config;
use application::pages::Page;
use application::state::AppState;
use application::visitor::SignedIn;
use application::{secrets, with_layers};
use axum::Router;
use axum::routing::get;
use better_auth::chrono::{TimeDelta, Utc};
use better_auth::types::{CreateSession, CreateUser, User};
use maud::{Markup, html};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let seconds = std::env::var("LOAD_SECONDS").map_or(1.0, |text| text.parse().expect("a number"));
    measure("in memory", None, seconds).await;
    if let Ok(url) = std::env::var("DATABASE_URL") {
        measure("on PostgreSQL", Some(url), seconds).await;
    }
}

async fn measure(place: &str, database_url: Option<String>, seconds: f64) {
    let (address, token) = serve(database_url).await;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    // In turns, so that what slows the machine slows both.
    for _ in 0..ROUNDS {
        without.push(load(address, "/without", &token, seconds).await);
        with.push(load(address, "/with", &token, seconds).await);
    }
    let (with, without) = (median(with), median(without));
    println!(
        "{place}: {with:.0} requests per second with the session check, {without:.0} without: {:.2}",
        with / without
    );
}

/// The address, and the token of a session.
async fn serve(database_url: Option<String>) -> (SocketAddr, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = Config {
        listen: address,
        metrics_listen: None,
        base_url: format!("http://{address}"),
        database_url,
        secret: secrets::random_token(),
        mail_folder: PathBuf::new(),
        administrator: None,
        behind_proxy: false,
    };
    let state = AppState::new(config).await.expect("an adapter");
    let user = state
        .database
        .create_user(CreateUser::new().with_name("Ada"))
        .await
        .expect("a user");
    let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::days(7));
    let session = state
        .database
        .create_session(session)
        .await
        .expect("a session");
    let routes = Router::new()
        .route(
            "/with",
            get(|signed_in: SignedIn| async move { content(&signed_in.page) }),
        )
        .route(
            "/without",
            get(move || {
                let page = page_of(user.clone());
                async move { content(&page) }
            }),
        );
    let service = with_layers(routes, state).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, service).into_future());
    (address, session.token)
}

fn page_of(user: User) -> Page {
    Page {
        csrf: secrets::digest("a token"),
        path: "/account".to_owned(),
        notice: None,
        user: Some(user),
    }
}

fn content(page: &Page) -> Markup {
    page.render("Hello", &html! {
        div .card { ul .list { @for number in 0..10 { li { div .what { strong { "Item " (number) } span .faint { "as lists have it" } } } } } }
    })
}

/// Requests per second.
async fn load(address: SocketAddr, path: &str, token: &str, seconds: f64) -> f64 {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: session={token}\r\n\r\n");
    let (begun, duration) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let request = request.clone();
        clients.push(tokio::spawn(async move {
            let mut connection = TcpStream::connect(address).await.expect("a connection");
            let mut served = 0_u32;
            while begun.elapsed() < duration {
                ask(&mut connection, &request).await;
                served += 1;
            }
            served
        }));
    }
    let mut served = 0.0;
    for client in clients {
        served += f64::from(client.await.expect("a client"));
    }
    served / begun.elapsed().as_secs_f64()
}

/// One request, whose response has to be the page.
async fn ask(connection: &mut TcpStream, request: &str) {
    connection
        .write_all(request.as_bytes())
        .await
        .expect("it is sent");
    let mut response = Vec::with_capacity(8192);
    while !response.ends_with(b"</html>") {
        let read = connection
            .read_buf(&mut response)
            .await
            .expect("it is answered");
        assert!(read > 0, "the server has closed the connection");
    }
    assert!(
        response.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&response)
    );
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
