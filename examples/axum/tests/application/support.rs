//! The application in a test, and people with browsers who use it: in handlers, without a network, or over HTTP.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use application::config::Config;
use application::state::AppState;
use application::{router, secrets};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use better_auth::types::User;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

pub const PASSWORD: &str = "correct horse battery";

/// How requests reach the application.
#[derive(Clone)]
enum Transport {
    Handlers(Router),
    Http(SocketAddr),
}

/// The application, with the data and the mails of one test.
#[derive(Clone)]
pub struct World {
    pub state: AppState,
    transport: Transport,
}

/// A configuration for development, with a folder of its own for mails.
pub fn config(port: u16) -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], port)),
        metrics_listen: None,
        base_url: format!("http://127.0.0.1:{port}"),
        database_url: None,
        secret: secrets::random_token(),
        mail_folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(secrets::random_token()),
        administrator: Some(address("administrator")),
        behind_proxy: false,
    }
}

impl World {
    /// Handlers on the memory adapter.
    pub async fn in_memory() -> Self {
        Self::with(config(3000)).await
    }

    pub async fn with(config: Config) -> Self {
        let state = AppState::new(config).await.expect("an adapter");
        let transport = Transport::Handlers(router(state.clone()));
        Self { state, transport }
    }

    /// A server on the PostgreSQL that `DATABASE_URL` names, or in memory if there is none.
    pub async fn over_http() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let database_url = std::env::var("DATABASE_URL").ok();
        let config = Config {
            database_url,
            ..config(address.port())
        };
        let state = AppState::new(config).await.expect("an adapter");
        let service = router(state.clone()).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener, service).into_future());
        Self {
            state,
            transport: Transport::Http(address),
        }
    }

    /// A browser on a machine of its own.
    pub fn browser(&self) -> Browser {
        let [a, b, c] = secrets::random_bytes();
        let client_address = Ipv4Addr::new(127, a, b, c | 1);
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(IpAddr::V4(client_address)));
        Browser {
            world: self.clone(),
            client_address,
            client: Client::builder(TokioExecutor::new()).build(connector),
            cookies: HashMap::new(),
            csrf: String::new(),
        }
    }

    /// A user who has signed up, in a browser.
    pub async fn user(&self, name: &str) -> (Browser, String) {
        self.user_with(name, &address(name)).await
    }

    pub async fn user_with(&self, name: &str, email: &str) -> (Browser, String) {
        let mut browser = self.browser();
        browser.get("/sign-up").await;
        browser
            .post(
                "/sign-up",
                &[("name", name), ("email", email), ("password", PASSWORD)],
            )
            .await;
        let code = self.code_for(email).await;
        let page = browser.post("/sign-up/code", &[("code", &code)]).await;
        assert!(page.text.contains("Hello"), "{}", page.text);
        (browser, email.to_owned())
    }

    pub async fn administrator(&self) -> Browser {
        let email = self.state.config.administrator.clone().expect("it is set");
        self.user_with("Administrator", &email).await.0
    }

    /// The user with this address, as stored.
    pub async fn stored_user(&self, email: &str) -> User {
        let user = self.state.database.get_user_by_email(email).await;
        user.expect("an answer").expect("a user")
    }

    /// The code of the newest mail to this address.
    pub async fn code_for(&self, email: &str) -> String {
        let mail = self.mail_to(email).await;
        let code = mail
            .split("Your code is ")
            .nth(1)
            .and_then(|rest| rest.get(..6));
        code.unwrap_or_else(|| panic!("no code in {mail}"))
            .to_owned()
    }

    /// The newest mail to this address. It is taken away.
    pub async fn mail_to(&self, email: &str) -> String {
        for _ in 0..1000 {
            if let Some((path, mail)) = self.mails(email).pop() {
                std::fs::remove_file(path).expect("a file");
                return mail;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no mail to {email}");
    }

    /// All mails to this address, the newest last.
    pub fn mails(&self, email: &str) -> Vec<(PathBuf, String)> {
        let Ok(folder) = std::fs::read_dir(&self.state.config.mail_folder) else {
            return Vec::new();
        };
        let files = folder.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|end| end == "txt"))
            .collect();
        files.sort();
        let mails = files
            .into_iter()
            .map(|path| (path.clone(), std::fs::read_to_string(path).expect("a mail")));
        mails
            .filter(|(_, mail)| mail.starts_with(&format!("To: {email}\n")))
            .collect()
    }

    /// Waits until nothing goes on in the background.
    pub async fn settle(&self) {
        self.state.background.close();
        self.state.background.wait().await;
        self.state.background.reopen();
    }
}

/// An address that no other test uses.
pub fn address(name: &str) -> String {
    let unique = secrets::digest(&secrets::random_token())[..12].to_lowercase();
    format!(
        "{}-{}@example.com",
        name.to_lowercase(),
        unique.replace(['-', '_'], "x")
    )
}

/// Cookies, and the CSRF token of the last page.
pub struct Browser {
    world: World,
    client_address: Ipv4Addr,
    client: Client<HttpConnector, Body>,
    pub cookies: HashMap<String, String>,
    pub csrf: String,
}

/// What a request was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// Of the last request, after redirects.
    pub path: String,
}

impl Browser {
    /// Opens a page, and follows redirects.
    pub async fn get(&mut self, path: &str) -> Answer {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = self.send(request).await;
        self.follow(answer).await
    }

    /// Sends a form, and follows redirects.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let answer = self.post_only(path, form).await;
        self.follow(answer).await
    }

    /// Sends a form.
    pub async fn post_only(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.clone();
        let form: Vec<_> = form.iter().copied().chain([("csrf", &*csrf)]).collect();
        self.send(self.form(path, &form)).await
    }

    /// A form as it is.
    pub fn form(&self, path: &str, form: &[(&str, &str)]) -> Request<Body> {
        Request::post(path)
            .header(ORIGIN, &self.world.state.config.base_url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(
                serde_urlencoded::to_string(form).expect("a form"),
            ))
            .expect("a request")
    }

    async fn follow(&mut self, mut answer: Answer) -> Answer {
        while answer.status.is_redirection() {
            let to = answer.headers[LOCATION].to_str().expect("text");
            let path = to
                .strip_prefix(&self.world.state.config.base_url)
                .unwrap_or(to)
                .to_owned();
            answer = self
                .send(Request::get(path).body(Body::empty()).expect("a request"))
                .await;
        }
        answer
    }

    /// Sends a request with the cookies, and keeps those of the response.
    pub async fn send(&mut self, mut request: Request<Body>) -> Answer {
        let path = request.uri().to_string();
        if !request.headers().contains_key(COOKIE) && !self.cookies.is_empty() {
            let pairs: Vec<_> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request
                .headers_mut()
                .insert(COOKIE, pairs.join("; ").parse().expect("a header"));
        }
        let response = match &self.world.transport {
            Transport::Handlers(router) => {
                request
                    .extensions_mut()
                    .insert(ConnectInfo(SocketAddr::from((self.client_address, 1))));
                router.clone().oneshot(request).await.expect("an answer")
            }
            Transport::Http(address) => {
                *request.uri_mut() = format!("http://{address}{path}").parse().expect("a URL");
                self.client
                    .request(request)
                    .await
                    .expect("an answer")
                    .map(Body::new)
            }
        };
        let (head, body) = response.into_parts();
        for cookie in head.headers.get_all(SET_COOKIE) {
            self.keep(cookie.to_str().expect("text"));
        }
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        if let Some(token) = between(&text, "name=\"csrf\" value=\"", "\"") {
            self.csrf = token.to_owned();
        }
        Answer {
            status: head.status,
            headers: head.headers,
            text,
            path,
        }
    }

    fn keep(&mut self, cookie: &str) {
        let pair = cookie.split(';').next().unwrap_or_default();
        let (name, value) = pair.split_once('=').expect("a cookie");
        if cookie.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    pub async fn json(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        self.send(
            request
                .body(Body::from(body.to_owned()))
                .expect("a request"),
        )
        .await
    }

    pub async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.get("/sign-in").await;
        self.post("/sign-in", &[("email", email), ("password", password)])
            .await
    }

    /// The token of the session.
    pub fn session(&self) -> Option<&str> {
        self.cookies.get("session").map(String::as_str)
    }

    pub async fn is_signed_in(&mut self) -> bool {
        let answer = self.json(Method::GET, "/api/session", &[], "").await;
        assert!(
            matches!(answer.status, StatusCode::OK | StatusCode::UNAUTHORIZED),
            "{answer:?}"
        );
        answer.status == StatusCode::OK
    }
}

/// What stands between two texts.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}
