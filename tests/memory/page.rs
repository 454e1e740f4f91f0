//! The snippets of the page that users follow.

use std::sync::Arc;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::async_trait;
use better_auth::types::{
    Account, CreateAccount, CreateSession, CreateUser, CreateVerification, Session, UpdateUser,
    User, Verification,
};
use better_auth::{AuthError, AuthResult};
use chrono::{DateTime, TimeDelta, Utc};

#[test]
fn the_memory_adapter_takes_no_configuration() {
    let database = MemoryDatabaseAdapter::new();
    let _: Arc<dyn DatabaseAdapter> = Arc::new(database);
}

/// A custom adapter, written with the crate's public names only and without any provided method.
struct OneUser(User);

fn read_only<T>(operation: &'static str) -> AuthResult<T> {
    Err(AuthError::Unsupported { operation })
}

#[async_trait]
impl DatabaseAdapter for OneUser {
    async fn create_user(&self, _user: CreateUser) -> AuthResult<User> {
        read_only("create_user")
    }
    async fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>> {
        Ok((self.0.id == id).then(|| self.0.clone()))
    }
    async fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>> {
        Ok((self.0.email.as_deref() == Some(email)).then(|| self.0.clone()))
    }
    async fn get_user_by_username(&self, _username: &str) -> AuthResult<Option<User>> {
        Ok(None)
    }
    async fn update_user(&self, _id: &str, _update: UpdateUser) -> AuthResult<User> {
        read_only("update_user")
    }
    async fn delete_user(&self, _id: &str) -> AuthResult<()> {
        read_only("delete_user")
    }
    async fn create_session(&self, _session: CreateSession) -> AuthResult<Session> {
        read_only("create_session")
    }
    async fn get_session(&self, token: &str) -> AuthResult<Option<Session>> {
        Ok((token == "token").then(|| {
            let (user, end) = (&self.0, DateTime::<Utc>::MAX_UTC);
            Session {
                ip_address: Some("192.0.2.1".to_owned()),
                ..Session::new("session", token, &user.id, end, user.created_at)
            }
        }))
    }
    async fn get_user_sessions(&self, _user_id: &str) -> AuthResult<Vec<Session>> {
        Ok(Vec::new())
    }
    async fn update_session_expiry(
        &self,
        _token: &str,
        _expires_at: DateTime<Utc>,
    ) -> AuthResult<()> {
        read_only("update_session_expiry")
    }
    async fn delete_session(&self, _token: &str) -> AuthResult<()> {
        read_only("delete_session")
    }
    async fn delete_user_sessions(&self, _user_id: &str) -> AuthResult<()> {
        read_only("delete_user_sessions")
    }
    async fn delete_expired_sessions(&self) -> AuthResult<usize> {
        Ok(0)
    }
    async fn create_account(&self, _account: CreateAccount) -> AuthResult<Account> {
        read_only("create_account")
    }
    async fn get_account(&self, _provider: &str, _id: &str) -> AuthResult<Option<Account>> {
        Ok(None)
    }
    async fn get_user_accounts(&self, _user_id: &str) -> AuthResult<Vec<Account>> {
        Ok(Vec::new())
    }
    async fn delete_account(&self, _id: &str) -> AuthResult<()> {
        read_only("delete_account")
    }
    async fn create_verification(&self, _v: CreateVerification) -> AuthResult<Verification> {
        read_only("create_verification")
    }
    async fn get_verification(
        &self,
        _identifier: &str,
        _value: &str,
    ) -> AuthResult<Option<Verification>> {
        Ok(None)
    }
    async fn get_verification_by_value(&self, _value: &str) -> AuthResult<Option<Verification>> {
        Ok(None)
    }
    async fn delete_verification(&self, _id: &str) -> AuthResult<()> {
        read_only("delete_verification")
    }
    async fn delete_expired_verifications(&self) -> AuthResult<usize> {
        Ok(0)
    }
}

#[tokio::test]
async fn a_custom_adapter_has_the_provided_methods() {
    let memory = MemoryDatabaseAdapter::new();
    let user = memory
        .create_user(CreateUser::new().with_email("ada@example.com"))
        .await
        .unwrap();
    let database: Arc<dyn DatabaseAdapter> = Arc::new(OneUser(user.clone()));
    let found = database.get_user_by_email("ada@example.com").await.unwrap();
    assert_eq!(found.as_ref(), Some(&user));
    let (session, owner) = database
        .get_session_with_user("token")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((session.user_id, owner), (user.id.clone(), user));
    let consumed = database.consume_verification("a", "b").await;
    assert!(matches!(
        consumed,
        Err(AuthError::Unsupported {
            operation: "consume_verification"
        })
    ));
}

/// The rows go to JSON and back under the names of Better Auth's HTTP API.
#[tokio::test]
async fn rows_serialize_in_camel_case() {
    let database = MemoryDatabaseAdapter::new();
    let user = database
        .create_user(CreateUser::new().with_username("Ada"))
        .await
        .unwrap();
    let json = serde_json::to_value(&user).unwrap();
    for name in [
        "emailVerified",
        "displayUsername",
        "twoFactorEnabled",
        "banExpires",
        "createdAt",
    ] {
        assert!(json.get(name).is_some(), "{name} in {json}");
    }
    assert_eq!(serde_json::from_value::<User>(json).unwrap(), user);
    let account = database
        .create_account(CreateAccount::new(&user.id, "credential", "1").with_password("hash"))
        .await
        .unwrap();
    let json = serde_json::to_value(&account).unwrap();
    for secret in ["password", "accessToken", "refreshToken", "idToken"] {
        assert!(json.get(secret).is_none(), "{secret} in {json}");
    }
    let without = serde_json::from_value::<Account>(json).unwrap();
    assert_eq!(
        without,
        Account {
            password: None,
            ..account.clone()
        }
    );
    let written = serde_json::to_value(account.with_secrets()).unwrap();
    assert_eq!(written["password"], "hash");
    assert_eq!(serde_json::from_value::<Account>(written).unwrap(), account);

    let in_an_hour = Utc::now() + TimeDelta::hours(1);
    let session = CreateSession::new(&user.id, in_an_hour);
    let session = database.create_session(session).await.unwrap();
    let mut json = serde_json::to_value(&session).unwrap();
    assert_eq!(json["userId"], user.id);
    assert!(json.get("token").is_none(), "{json}");
    assert!(serde_json::from_value::<Session>(json.clone()).is_err());
    json["token"] = "".into();
    assert!(serde_json::from_value::<Session>(json).is_err());
    let written = serde_json::to_string(&session.with_secrets()).unwrap();
    assert_eq!(serde_json::from_str::<Session>(&written).unwrap(), session);

    let verification = CreateVerification::new("ada@example.com", "493027", in_an_hour);
    let verification = database.create_verification(verification).await.unwrap();
    let json = serde_json::to_value(&verification).unwrap();
    assert!(json.get("value").is_none(), "{json}");
    assert!(serde_json::from_value::<Verification>(json).is_err());
    let written = serde_json::to_string(&verification.with_secrets()).unwrap();
    let read = serde_json::from_str::<Verification>(&written).unwrap();
    assert_eq!(read, verification);
}
