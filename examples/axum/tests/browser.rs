//! People with real browsers: sign-up to sign-out, a tab that is signed out elsewhere, an invitation, a ban. It needs
//! `chromium` and `chromedriver`.
//!
//! With `SCREENSHOTS` set, it writes the pictures of the README into that folder.

#[path = "application/support.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::Method;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use support::{PASSWORD, World, address, between};

/// A process that drives browsers. It ends with the test.
struct Driver {
    process: Child,
    url: String,
}

impl Driver {
    fn start() -> Self {
        let mut command = Command::new("chromedriver");
        let mut process = command
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is installed");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map(|line| line.expect("text"));
        let port = lines.find_map(|line| {
            Some(
                line.split_once("successfully on port ")?
                    .1
                    .trim_end_matches('.')
                    .to_owned(),
            )
        });
        // It would end if nobody read what it writes.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            url: format!("http://127.0.0.1:{}", port.expect("it has a port")),
        }
    }

    async fn browser(&self, world: &World) -> Browser {
        let options = json!({ "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1200,900"] });
        let capabilities = json!({ "goog:chromeOptions": options });
        let Value::Object(capabilities) = capabilities else {
            unreachable!()
        };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder
            .capabilities(capabilities)
            .connect(&self.url)
            .await
            .expect("a browser");
        Browser {
            client,
            base_url: world.state.config.base_url.clone(),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a person does with a browser.
struct Browser {
    client: Client,
    base_url: String,
}

/// A command of Chromium's own protocol.
#[derive(Debug)]
struct Devtools(Value);

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

impl Browser {
    async fn goto(&self, path: &str) {
        self.client
            .goto(&format!("{}{path}", self.base_url))
            .await
            .expect("a page");
    }

    async fn path(&self) -> String {
        self.client
            .current_url()
            .await
            .expect("a URL")
            .path()
            .to_owned()
    }

    async fn fill(&self, fields: &[(&str, &str)]) {
        for (id, text) in fields {
            let field = self
                .client
                .find(Locator::Id(id))
                .await
                .unwrap_or_else(|_| panic!("no field {id}"));
            field.clear().await.expect("a field");
            field.send_keys(text).await.expect("a field");
        }
    }

    /// Presses the button with this label, and waits for the page that comes.
    async fn press(&self, label: &str) {
        let old = self
            .client
            .find(Locator::Css("html"))
            .await
            .expect("a page");
        let xpath = format!("//button[contains(., '{label}')]|//a[contains(., '{label}')]");
        let found = self
            .client
            .wait()
            .at_most(Duration::from_secs(10))
            .for_element(Locator::XPath(&xpath))
            .await;
        found
            .unwrap_or_else(|_| panic!("no button {label}"))
            .click()
            .await
            .expect("a button");
        self.wait_until_gone(old).await;
    }

    async fn wait_until_gone(&self, old: fantoccini::elements::Element) {
        for _ in 0..1000 {
            if old.tag_name().await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the page stays: {}", self.text().await);
    }

    async fn text(&self) -> String {
        let body = self
            .client
            .wait()
            .at_most(Duration::from_secs(10))
            .for_element(Locator::Css("body"))
            .await;
        body.expect("a page").text().await.expect("text")
    }

    async fn shows(&self, text: &str) {
        for _ in 0..500 {
            if self.text().await.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {text} in: {}", self.text().await);
    }

    async fn sign_up(&self, world: &World, name: &str, email: &str) {
        self.goto("/sign-up").await;
        self.fill(&[("name", name), ("email", email), ("password", PASSWORD)])
            .await;
        self.press("Create the account").await;
        self.fill(&[("code", &world.code_for(email).await)]).await;
        self.press("Go on").await;
        self.shows(&format!("Hello, {name}")).await;
    }

    async fn sign_in(&self, email: &str) {
        self.goto("/sign-in").await;
        self.fill(&[("email", email), ("password", PASSWORD)]).await;
        self.press("Sign in").await;
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let command = Devtools(json!({ "cmd": command, "params": parameters }));
        self.client
            .issue_cmd(command)
            .await
            .expect("a command of Chromium's");
    }

    /// A picture for the README, if the caller wants them.
    async fn picture(&self, name: &str, (width, height): (u32, u32), scheme: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else {
            return;
        };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await;
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), png).expect("a file");
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({}))
            .await;
    }

    /// Whether the page is wider than the window of a phone.
    async fn fits_a_phone(&self) {
        let metrics =
            json!({ "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let script = "return document.documentElement.scrollWidth <= window.innerWidth";
        let fits = self
            .client
            .execute(script, vec![])
            .await
            .expect("an answer");
        assert_eq!(fits, Value::Bool(true), "{} is too wide", self.path().await);
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({}))
            .await;
    }
}

const DESKTOP: (u32, u32) = (1000, 700);
const PHONE: (u32, u32) = (390, 760);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_use_it() {
    let world = World::over_http().await;
    let driver = Driver::start();
    let (ada, grace) = (driver.browser(&world).await, driver.browser(&world).await);
    let (ada_email, grace_email) = (address("ada"), address("grace"));

    keyboard_reaches_the_form(&ada).await;
    ada.picture("sign-in-phone-dark", PHONE, "dark").await;
    ada.sign_up(&world, "Ada", &ada_email).await;
    ada.picture("account-desktop-light", DESKTOP, "light").await;
    the_second_factor(&ada, &ada_email).await;
    a_tab_is_signed_out_elsewhere(&world, &driver, &ada, &ada_email).await;

    grace.sign_up(&world, "Grace", &grace_email).await;
    an_invitation_is_accepted(&world, &ada, &grace, &grace_email).await;
    a_ban_is_seen_at_once(&world, &driver, &grace, &grace_email).await;

    ada.press("Sign out").await;
    ada.shows("You are signed out").await;
    ada.goto("/account").await;
    assert_eq!(ada.path().await, "/sign-in");
    // Nor does the button that goes back show the page again.
    ada.client.back().await.expect("a page");
    assert!(!ada.text().await.contains("Hello, Ada"));
    for browser in [ada, grace] {
        browser.client.close().await.expect("it closes");
    }
}

/// By the keyboard alone: the link that skips is first, and the fields come in their order.
async fn keyboard_reaches_the_form(ada: &Browser) {
    ada.goto("/sign-in").await;
    ada.fits_a_phone().await;
    let focused = || async { ada.client.active_element().await.expect("an element") };
    focused()
        .await
        .send_keys(&String::from(char::from(Key::Tab)))
        .await
        .expect("a key");
    assert_eq!(
        focused().await.text().await.expect("text"),
        "Skip to the content"
    );
    for expected in [None, Some("email"), Some("password")] {
        focused()
            .await
            .send_keys(&String::from(char::from(Key::Tab)))
            .await
            .expect("a key");
        assert_eq!(
            focused()
                .await
                .attr("id")
                .await
                .expect("an answer")
                .as_deref(),
            expected
        );
    }
}

async fn the_second_factor(ada: &Browser, email: &str) {
    ada.fill(&[("on-password", PASSWORD)]).await;
    ada.press("Set it up").await;
    ada.fits_a_phone().await;
    let source = ada.client.source().await.expect("a page");
    let secret = between(&source, "type the secret: <code>", "</code>")
        .expect("a secret")
        .to_owned();
    let code = |ahead: i64| {
        let step = application::totp::current_step() + ahead;
        application::totp::code(&secret, step).expect("a code")
    };
    ada.fill(&[("code", &code(0))]).await;
    ada.picture("second-factor-desktop-dark", DESKTOP, "dark")
        .await;
    ada.press("Switch it on").await;
    ada.shows("Your second factor is on").await;
    ada.press("Sign out").await;
    ada.sign_in(email).await;
    assert_eq!(ada.path().await, "/sign-in/second-factor");
    ada.fill(&[("code", &code(1))]).await;
    ada.press("Sign in").await;
    ada.fill(&[("off-password", PASSWORD)]).await;
    ada.press("Switch it off").await;
    ada.shows("Your second factor is off").await;
}

async fn a_tab_is_signed_out_elsewhere(world: &World, driver: &Driver, ada: &Browser, email: &str) {
    let elsewhere = driver.browser(world).await;
    elsewhere.sign_in(email).await;
    let first = elsewhere.client.window().await.expect("a window");
    let second = elsewhere
        .client
        .new_window(true)
        .await
        .expect("a tab")
        .handle;
    elsewhere
        .client
        .switch_to_window(second)
        .await
        .expect("a tab");
    elsewhere.goto("/organizations").await;

    ada.goto("/sessions").await;
    ada.shows("This device").await;
    ada.fits_a_phone().await;
    ada.picture("sessions-phone-light", PHONE, "light").await;
    ada.press("Sign out everywhere else").await;
    ada.shows("All other sessions have ended").await;

    // The form of the tab is refused, and so is the page of the other.
    elsewhere
        .fill(&[("name", "Engines"), ("slug", "engines")])
        .await;
    elsewhere.press("Create").await;
    assert_eq!(elsewhere.path().await, "/sign-in");
    elsewhere
        .client
        .switch_to_window(first)
        .await
        .expect("a window");
    elsewhere.client.refresh().await.expect("a page");
    assert_eq!(elsewhere.path().await, "/sign-in");
    elsewhere.client.close().await.expect("it closes");
}

async fn an_invitation_is_accepted(world: &World, ada: &Browser, grace: &Browser, email: &str) {
    ada.goto("/organizations").await;
    let slug = address("engines").replace(['@', '.'], "-");
    ada.fill(&[("name", "Analytical Engines"), ("slug", &slug)])
        .await;
    ada.press("Create").await;
    ada.fill(&[("email", email)]).await;
    ada.press("Invite").await;
    ada.shows("The invitation is sent").await;
    let mail = world.mail_to(email).await;
    let link = mail
        .split("You are invited: ")
        .nth(1)
        .expect("a link")
        .trim();
    grace.client.goto(link).await.expect("a page");
    grace.shows("Ada invites you to Analytical Engines").await;
    grace.press("Accept").await;
    grace.shows("Welcome to the organization").await;
    ada.client.refresh().await.expect("a page");
    ada.shows(email).await;
    ada.fits_a_phone().await;
    ada.picture("organization-phone-dark", PHONE, "dark").await;
    ada.picture("organization-desktop-light", DESKTOP, "light")
        .await;
}

async fn a_ban_is_seen_at_once(world: &World, driver: &Driver, grace: &Browser, email: &str) {
    let administrator = driver.browser(world).await;
    let own = world.state.config.administrator.clone().expect("it is set");
    administrator.sign_up(world, "Administrator", &own).await;
    administrator.goto("/admin/users").await;
    administrator.fits_a_phone().await;
    administrator.fill(&[("search", email)]).await;
    administrator.press("Search").await;
    administrator
        .client
        .find(Locator::Css("input[name=reason]"))
        .await
        .expect("a field")
        .send_keys("spam")
        .await
        .expect("a field");
    administrator.press("Ban").await;
    administrator.shows("suspended").await;
    administrator
        .picture("users-desktop-dark", DESKTOP, "dark")
        .await;
    grace.press("Account").await;
    assert_eq!(grace.path().await, "/sign-in");
    grace.sign_in(email).await;
    grace.shows("This account is suspended").await;
    administrator.client.close().await.expect("it closes");
}
