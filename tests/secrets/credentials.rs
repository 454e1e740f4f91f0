//! The stores of credentials: keys, codes and secrets, in errors, logs and `Debug`.

use std::collections::BTreeSet;
use std::time::Duration;

use better_auth::AuthResult;
use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    CreateApiKey, CreateDeviceCode, CreateSigningKey, CreateUser, ListApiKeys,
};

use crate::calls::{self, CredentialCall};
use crate::{Log, assert_no_secret, far_future, kinds, marked};

/// Makes all calls of the stores of credentials, for a user of their own, and answers the kinds of the errors. Of the keys
/// and codes that are made, which the last ones of the calls use, the log shows none.
pub(crate) async fn kinds_of_credential_calls(
    database: &dyn DatabaseAdapter,
    log: Option<&Log>,
) -> BTreeSet<String> {
    let mark = |mut call: CredentialCall, user: &str| {
        call.fill(&mut |place| match place {
            "cursor" | "organization_id" => None,
            "user_id" => Some(user.to_owned()),
            // Longer ones are refused.
            _ => Some(marked(place)),
        });
        call
    };
    let user = CreateUser::new().with_id(marked("id"));
    let mut answers = vec![database.create_user(user).await.map(calls::Answer::from)];
    let (removing, mut calls): (Vec<_>, Vec<_>) = CredentialCall::of_every_method()
        .into_iter()
        .partition(|call| {
            let mut begins = ["delete_", "disable"].iter();
            begins.any(|begin| call.method().starts_with(begin))
        });
    calls.sort_by_key(|call| {
        !["enroll", "create_", "rotate"]
            .iter()
            .any(|begin| call.method().starts_with(begin))
    });
    calls.extend(removing);
    let mut issued = Vec::new();
    for call in calls {
        // Of no user as well.
        for call in [
            mark(call.clone(), &marked("id")),
            mark(call, &marked("nobody")),
        ] {
            let answer = call.make(database).await;
            issued.extend(answer.iter().flat_map(|answer| &answer.rows).cloned());
            answers.push(answer);
            if let Ok(transaction) = database.begin().await {
                answers.push(call.make(&transaction).await);
                let committed = transaction.commit().await;
                answers.push(committed.map(|()| calls::Answer::default()));
            }
        }
    }
    let mut secrets = Vec::new();
    for row in issued {
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let (key, code, typed, user) = (
            text("key"),
            text("device_code"),
            text("user_code"),
            marked("id"),
        );
        let mut calls = Vec::new();
        if !key.is_empty() {
            calls.push(CredentialCall::use_key { key: key.clone() });
        }
        if !code.is_empty() {
            let client_id = Some(marked("client_id"));
            calls.extend([
                CredentialCall::get_device_code {
                    user_code: typed.clone(),
                },
                CredentialCall::approve {
                    user_code: typed.clone(),
                    user_id: user,
                },
                CredentialCall::poll {
                    device_code: code.clone(),
                    client_id,
                },
            ]);
        }
        for call in calls {
            answers.push(call.make(database).await);
        }
        secrets.extend(
            [key, code, typed]
                .into_iter()
                .filter(|secret| !secret.is_empty()),
        );
    }
    if let Some(log) = log {
        let logged = log.text();
        secrets.retain(|secret| logged.contains(secret.as_str()));
        assert_eq!(secrets, Vec::<String>::new());
    }
    kinds(answers)
}

/// The rows of the stores of credentials, and their answers. `ada` is there.
pub(crate) async fn credentials_show_no_secret(
    database: &dyn DatabaseAdapter,
    signing_key: CreateSigningKey,
    key: CreateApiKey,
) -> AuthResult<()> {
    let hour = Duration::from_secs(3600);
    let (factors, keys) = (database.two_factor()?, database.api_keys()?);
    let (secret, codes) = (marked("secret"), marked("backup_codes"));
    let factor = factors.enroll("ada", &secret, Some(&codes)).await?;
    let attempt = factors.begin_attempt("ada", 5, hour).await?;
    let confirmed = factors.confirm("ada", 1).await?;
    assert_eq!(
        (&factor.secret, &confirmed.backup_codes),
        (&secret, &Some(codes))
    );
    let rotated = database.signing_keys()?.rotate(signing_key, hour).await?;
    let listed = database.signing_keys()?.list_signing_keys().await?;
    let issued = keys.create_api_key(key).await?;
    let used = keys.use_key(&issued.key).await?;
    let page = keys.list_api_keys(ListApiKeys::of_user("ada")).await?;
    let codes = database.device_codes()?;
    let code = codes
        .create_device_code(CreateDeviceCode::new(far_future()))
        .await?;
    let found = codes.get_device_code(&code.row.user_code).await?;
    let json = serde_json::to_string(&(&factor, &rotated, &listed)).unwrap();
    let shown = format!(
        "{factor:?} {factor:#?} {attempt:?} {confirmed:?} {rotated:?} {rotated:#?} {listed:?} {issued:?} {issued:#?} {used:?} \
         {page:?} {code:?} {code:#?} {found:?} {json}"
    );
    assert_no_secret(&shown);
    for secret in [&issued.key, &code.device_code, &code.row.user_code] {
        assert!(!shown.contains(secret.as_str()));
    }
    Ok(())
}
