//! Who is on the other side of the connection.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use better_auth::axum::ClientInfo;

use crate::state::AppState;

/// The client of a request.
#[derive(Clone)]
pub struct Client {
    /// Its address.
    pub address: String,
    /// What its session keeps.
    pub info: ClientInfo,
}

impl FromRequestParts<AppState> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let address = address(parts, state.config.behind_proxy);
        let info = ClientInfo::from_request_parts(parts, state)
            .await?
            .with_ip_address(&address);
        Ok(Self { address, info })
    }
}

/// Behind a proxy, the last address is the one that the proxy has seen. The others are the client's to invent.
fn address(parts: &Parts, behind_proxy: bool) -> String {
    let forwarded = parts
        .headers
        .get_all("x-forwarded-for")
        .into_iter()
        .next_back();
    let last = forwarded.and_then(|value| {
        value
            .to_str()
            .ok()?
            .rsplit(',')
            .next()?
            .trim()
            .parse::<IpAddr>()
            .ok()
    });
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|peer| peer.0.ip());
    last.filter(|_| behind_proxy)
        .or(peer)
        .map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}
