//! `clean-up`, `hash-tokens`, `normalize-names`: what works through a table.

use serde_json::json;

use crate::Outcome;
use crate::arguments::Global;
use crate::output::{Answer, count, shown};
use crate::{database, watch};

pub(crate) async fn clean_up(global: &Global) -> Outcome {
    let database = database::connect(global).await?;
    let how_to_go_on = "run `better-auth clean-up` again to go on";
    let removed = watch::run(global, how_to_go_on, |observe| {
        database.clean_up_with(observe)
    })
    .await?;
    let text = format!(
        "{} and {} removed",
        count(removed.sessions, "session"),
        count(removed.verifications, "verification")
    );
    let json = json!({ "sessions": removed.sessions, "verifications": removed.verifications });
    Ok(Answer::new(text, json))
}

pub(crate) async fn hash_tokens(global: &Global) -> Outcome {
    let database = database::connect(global).await?;
    let how_to_go_on = "run `better-auth hash-tokens` again to go on";
    let hashed = watch::run(global, how_to_go_on, |observe| {
        database.hash_stored_session_tokens_with(observe)
    })
    .await?;
    let text = format!("{} hashed", count(hashed, "session token"));
    Ok(Answer::new(text, json!({ "hashed": hashed })))
}

pub(crate) async fn normalize_names(global: &Global) -> Outcome {
    let database = database::connect(global).await?;
    let how_to_go_on = "run `better-auth normalize-names` again to go on";
    let names = watch::run(global, how_to_go_on, |observe| {
        database.normalize_names_with(observe)
    })
    .await?;
    let mut lines = vec![format!("{} changed", count(names.changed, "name"))];
    let mut skipped = Vec::new();
    for name in &names.skipped {
        let message = shown(&name.error.to_string());
        lines.push(format!("left: user {}: {message}", shown(&name.user_id)));
        let kind = name.error.kind();
        skipped.push(json!({ "userId": name.user_id, "kind": kind, "message": message }));
    }
    let json = json!({ "changed": names.changed, "skipped": skipped });
    Ok(Answer::new(lines.join("\n"), json).right_if(names.skipped.is_empty()))
}
