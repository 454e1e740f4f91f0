//! Every method of the stores of credentials with its arguments as data, as [`Call`](super::Call).

use std::time::Duration;

use better_auth::AuthResult;
use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    ApiKey, ApiKeyPage, ApiKeyUse, Attempt, CreateApiKey, CreateDeviceCode, CreatePasskey,
    CreateSigningKey, DeviceCode, DevicePoll, IssuedApiKey, IssuedDeviceCode, ListApiKeys, Passkey,
    PasskeyUse, RateLimit, SigningKey, StepOutcome, TwoFactor, UpdateApiKey, User,
    VisitFields as _,
};
use serde_json::{Map, Value, json};

use super::{Answer, Chooser, Places, Row, far_future, fill_field, value};

inputs! {
    CreateApiKey = Self::default(),
    UpdateApiKey = Self::default(),
    ListApiKeys = Self::of_user(""),
    CreatePasskey = Self::new("", "", ""),
    CreateDeviceCode = Self::new(far_future()).with_polling_interval(Duration::blank()),
    CreateSigningKey = Self::new("", ""),
}

rows! {
    TwoFactor in "two_factor",
    Passkey in "passkeys",
    ApiKey in "api_keys",
    DeviceCode in "device_code",
    SigningKey in "jwks",
}

fn columns<const N: usize>(columns: [(&str, Value); N]) -> Map<String, Value> {
    let named = columns.map(|(name, value)| (name.to_owned(), value));
    named.into_iter().collect()
}

fn number(number: u64) -> Answer {
    number.into()
}

impl From<IssuedApiKey> for Answer {
    fn from(IssuedApiKey { key, row }: IssuedApiKey) -> Self {
        let mut answer = Self::from(row);
        answer.rows[0]
            .columns
            .extend(columns([("key", json!(key))]));
        answer
    }
}

impl From<IssuedDeviceCode> for Answer {
    fn from(IssuedDeviceCode { device_code, row }: IssuedDeviceCode) -> Self {
        let mut answer = Self::from(row);
        let code = columns([("device_code", json!(device_code))]);
        answer.rows[0].columns.extend(code);
        answer
    }
}

impl From<ApiKeyPage> for Answer {
    fn from(page: ApiKeyPage) -> Self {
        Self {
            numbers: vec![page.next_cursor.is_some().into()],
            ..page.keys.into()
        }
    }
}

impl From<ApiKeyUse> for Answer {
    fn from(answer: ApiKeyUse) -> Self {
        match answer {
            ApiKeyUse::Accepted(row) => row.into(),
            ApiKeyUse::NotFound => number(1),
            ApiKeyUse::Disabled => number(2),
            ApiKeyUse::Expired => number(3),
            ApiKeyUse::UsedUp => number(4),
            ApiKeyUse::RateLimited { retry_after } => {
                number(5 + u64::from(retry_after > Duration::ZERO))
            }
        }
    }
}

impl From<Attempt> for Answer {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Granted(row) => row.into(),
            Attempt::Locked { .. } => number(1),
            Attempt::NotEnrolled => number(2),
        }
    }
}

impl From<StepOutcome> for Answer {
    fn from(outcome: StepOutcome) -> Self {
        number(match outcome {
            StepOutcome::Accepted => 1,
            StepOutcome::Replayed => 2,
            StepOutcome::Locked { .. } => 3,
            StepOutcome::NotEnrolled => 4,
        })
    }
}

impl From<PasskeyUse> for Answer {
    fn from(outcome: PasskeyUse) -> Self {
        number(match outcome {
            PasskeyUse::Accepted => 1,
            PasskeyUse::ClonedAuthenticator => 2,
            PasskeyUse::NotFound => 3,
        })
    }
}

impl From<(Passkey, User)> for Answer {
    fn from((passkey, user): (Passkey, User)) -> Self {
        Self {
            rows: [Self::from(passkey).rows, Self::from(user).rows].concat(),
            numbers: Vec::new(),
        }
    }
}

impl From<RateLimit> for Answer {
    fn from(limit: RateLimit) -> Self {
        let waits = limit.retry_after > Duration::ZERO;
        let numbers = vec![limit.allowed.into(), limit.remaining.into(), waits.into()];
        Self {
            rows: Vec::new(),
            numbers,
        }
    }
}

impl From<DevicePoll> for Answer {
    fn from(poll: DevicePoll) -> Self {
        match poll {
            DevicePoll::Approved { user_id, scope } => {
                let columns = columns([("user_id", json!(user_id)), ("scope", json!(scope))]);
                let table = "device_code";
                Self {
                    rows: vec![Row { table, columns }],
                    numbers: Vec::new(),
                }
            }
            DevicePoll::Pending => number(1),
            DevicePoll::SlowDown => number(2),
            DevicePoll::Denied => number(3),
            DevicePoll::Expired => number(4),
            DevicePoll::NotFound => number(5),
        }
    }
}

macro_rules! credential_calls {
    ($($store:ident.$method:ident($($argument:ident: $type:ty = $pass:expr),*);)*) => {
        /// A method of one of the stores with its arguments.
        #[allow(non_camel_case_types, reason = "the names of the methods")]
        #[derive(Clone, Debug)]
        pub(crate) enum CredentialCall {
            $($method { $($argument: $type),* },)*
        }

        impl CredentialCall {
            pub(crate) const METHODS: &[&str] = &[$(stringify!($method)),*];

            /// A call of every method, with nothing in its places.
            pub(crate) fn of_every_method() -> Vec<Self> {
                vec![$(Self::$method { $($argument: Places::blank()),* }),*]
            }

            pub(crate) fn method(&self) -> &'static str {
                match self {
                    $(Self::$method { .. } => stringify!($method),)*
                }
            }

            pub(crate) async fn make(&self, database: &dyn DatabaseAdapter) -> AuthResult<Answer> {
                match self.clone() {
                    $(Self::$method { $($argument),* } => {
                        database.$store()?.$method($($pass),*).await.map(Answer::from)
                    })*
                }
            }

            /// Asks for each of the places.
            pub(crate) fn fill(&mut self, choose: &mut Chooser) {
                let _ = &choose;
                match self {
                    $(Self::$method { $($argument),* } => { $($argument.fill(stringify!($argument), choose);)* })*
                }
            }

            /// The same with a text in a place.
            pub(crate) fn with(&self, place: &str, text: &str) -> Self {
                let mut call = self.clone();
                call.fill(&mut |name| (name == place).then(|| text.to_owned()));
                call
            }
        }
    };
}
credential_calls! {
    rate_limits.take(key: String = &key, max: u32 = max, window: Duration = window);
    signing_keys.current();
    signing_keys.list_signing_keys();
    signing_keys.rotate(new: CreateSigningKey = new, older_than: Duration = older_than);
    two_factor.enroll(
        user_id: String = &user_id, secret: String = &secret, backup_codes: Option<String> = backup_codes.as_deref()
    );
    two_factor.confirm(user_id: String = &user_id, step: i64 = step);
    two_factor.disable(user_id: String = &user_id);
    two_factor.begin_attempt(
        user_id: String = &user_id, max_failures: u32 = max_failures, lock_for: Duration = lock_for
    );
    two_factor.accept_step(user_id: String = &user_id, step: i64 = step);
    two_factor.replace_backup_codes(
        user_id: String = &user_id, expected: Option<String> = expected.as_deref(), new: Option<String> = new.as_deref()
    );
    passkeys.create_passkey(passkey: CreatePasskey = passkey);
    passkeys.get_passkey_with_user(credential_id: String = &credential_id);
    passkeys.list_passkeys(user_id: String = &user_id);
    passkeys.rename_passkey(user_id: String = &user_id, id: String = &id, name: String = &name);
    passkeys.delete_passkey(user_id: String = &user_id, id: String = &id);
    passkeys.record_use(credential_id: String = &credential_id, counter: i64 = counter, backed_up: bool = backed_up);
    device_codes.create_device_code(code: CreateDeviceCode = code);
    device_codes.get_device_code(user_code: String = &user_code);
    device_codes.approve(user_code: String = &user_code, user_id: String = &user_id);
    device_codes.deny(user_code: String = &user_code);
    device_codes.poll(device_code: String = &device_code, client_id: Option<String> = client_id.as_deref());
    api_keys.create_api_key(key: CreateApiKey = key);
    api_keys.get_api_key(id: String = &id);
    api_keys.list_api_keys(query: ListApiKeys = query);
    api_keys.update_api_key(id: String = &id, update: UpdateApiKey = update);
    api_keys.delete_api_key(id: String = &id);
    api_keys.use_key(key: String = &key);
}

/// The methods of the trait of each store, of which none may be left out above.
macro_rules! methods {
    (organizations -> $store:path { $($methods:tt)* }) => {};
    ($name:ident -> $store:path { $($method:ident($($arguments:tt)*) -> $answer:ty;)* }) => {
        #[test]
        fn $name() {
            $(assert!(CredentialCall::METHODS.contains(&stringify!($method)), stringify!($method));)*
        }
    };
}

mod every_method_is_a_call {
    use super::CredentialCall;

    better_auth::with_store_methods!(methods {});
}
