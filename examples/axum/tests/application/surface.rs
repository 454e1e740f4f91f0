use axum::http::StatusCode;

use crate::support::{World, address, config};

/// Pages for anyone, and pages for users.
const PATHS: [&str; 9] = [
    "/sign-in",
    "/sign-up",
    "/forgot",
    "/account",
    "/sessions",
    "/organizations",
    "/api-keys",
    "/no/such/page",
    "/api/session",
];

pub async fn responses_are_hardened(world: World) {
    let (mut browser, _) = world.user("Ada").await;
    for path in PATHS {
        let answer = browser.get(path).await;
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        // The policy lets no script and no style of a page's own run.
        assert!(
            !answer.text.contains("<script")
                && !answer.text.contains(" style=")
                && !answer.text.contains(" onclick")
        );
    }
    assert_eq!(
        browser.get("/style.css").await.headers["content-type"],
        "text/css; charset=utf-8"
    );
    assert_eq!(
        browser.get("/no/such/page").await.status,
        StatusCode::NOT_FOUND
    );
    // Each field has a label.
    for path in PATHS {
        let text = browser.get(path).await.text;
        for input in text
            .split("<input ")
            .skip(1)
            .filter(|input| !input.contains("type=\"hidden\""))
        {
            let input = input.split('>').next().unwrap();
            let id = input
                .split("id=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let has_label = id.is_some_and(|id| text.contains(&format!("for=\"{id}\"")));
            assert!(
                has_label || input.contains("aria-label") || input.contains("checkbox"),
                "{path}: {input}"
            );
        }
    }
}

pub async fn the_database_is_asked_for_health(world: World) {
    let answer = world.browser().get("/health").await;
    assert_eq!((answer.status, &*answer.text), (StatusCode::OK, "ok"));
    assert_eq!(
        world.browser().get("/metrics").await.status,
        StatusCode::NOT_FOUND,
        "it is not for the world"
    );
}

/// Over https, cookies are for this host, for no script, and for no plain connection.
#[tokio::test]
async fn production_has_strict_cookies() {
    let mut config = config(3000);
    config.base_url = "https://example.com".to_owned();
    let world = World::with(config).await;
    let mut browser = world.browser();
    browser.get("/sign-up").await;
    let email = address("ada");
    let form = [
        ("name", "Ada"),
        ("email", &*email),
        ("password", crate::support::PASSWORD),
    ];
    let flow = browser.post_only("/sign-up", &form).await;
    let code = world.code_for(&email).await;
    browser.get("/sign-up/code").await;
    let answer = browser.post_only("/sign-up/code", &[("code", &code)]).await;
    let cookies = |answer: &crate::support::Answer| {
        let cookies = answer.headers.get_all("set-cookie").iter();
        Vec::from_iter(cookies.map(|cookie| cookie.to_str().unwrap().to_owned()))
    };
    let all = [cookies(&flow), cookies(&answer)].concat();
    assert!(
        all.iter()
            .any(|cookie| cookie.starts_with("__Host-session=")),
        "{all:?}"
    );
    assert!(
        all.iter()
            .any(|cookie| cookie.starts_with("__Host-sign-up="))
    );
    for cookie in &all {
        for attribute in ["__Host-", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
    }
    assert!(
        answer.headers["strict-transport-security"]
            .to_str()
            .unwrap()
            .starts_with("max-age=")
    );
    // The fake provider is not there.
    assert_eq!(
        browser.get("/pretend/authorize").await.status,
        StatusCode::NOT_FOUND
    );
}

/// What the monitoring reads, on an address of its own.
#[tokio::test]
async fn metrics_are_rendered() {
    use tower::ServiceExt as _;

    let metrics = application::telemetry::collect_metrics().unwrap();
    let world = World::in_memory().await;
    world.browser().get("/sign-in").await;
    let request = axum::http::Request::get("/metrics")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = application::telemetry::routes(metrics)
        .oneshot(request)
        .await
        .unwrap();
    let text = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(
        text.contains("http_server_request_duration") && text.contains("route=\"/sign-in\""),
        "{text}"
    );
}
