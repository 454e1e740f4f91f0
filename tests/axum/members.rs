//! The membership of the active organization.

use better_auth::DatabaseAdapter as _;
use better_auth::types::{CreateOrganization, Session, UpdateSession, User};

use crate::App;

async fn owner_of(app: &App, slug: &str) -> (User, Session, String) {
    let (user, session) = app.signed_in("Ada").await;
    let create = CreateOrganization::new("Engines", slug, &user.id);
    let organizations = app.database.organizations().unwrap();
    let (organization, _) = organizations.create_organization(create).await.unwrap();
    (user, session, organization.id)
}

async fn activate(app: &App, session: &Session, organization: &str) {
    let update = UpdateSession::new().with_active_organization_id(organization);
    app.database
        .update_session(&session.token, update)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_member_is_found_with_the_session() {
    let app = App::new();
    let (user, session, organization) = owner_of(&app, "engines").await;
    let cookie = app.cookie(&session);
    let (answer, calls) = app.get_with_cookie("/member", &cookie).await;
    assert_eq!(answer.refusal(), (403, "NotMember".to_owned()));
    assert_eq!(calls, 1);
    activate(&app, &session, &organization).await;
    let (answer, calls) = app.get_with_cookie("/member", &cookie).await;
    assert_eq!((answer.body.as_str(), calls), ("Adaowner", 1));
    let (answer, calls) = app.get_with_cookie("/optional-member", &cookie).await;
    assert_eq!((answer.body.as_str(), calls), ("owner", 1));
    // A later extractor asks for the membership alone.
    let (answer, calls) = app.get_with_cookie("/all", &cookie).await;
    assert_eq!((answer.body.as_str(), calls), ("owner", 2));
    app.database.delete_user(&user.id).await.unwrap();
    let (answer, _) = app.get_with_cookie("/member", &cookie).await;
    assert_eq!(answer.refusal(), (401, "Unauthenticated".to_owned()));
}

#[tokio::test]
async fn who_is_no_member_is_refused() {
    let app = App::new();
    let (_, session, _) = owner_of(&app, "engines").await;
    let (_, _, other) = owner_of(&app, "other").await;
    for organization in [other.as_str(), "unknown"] {
        activate(&app, &session, organization).await;
        let (answer, _) = app.get_with_cookie("/member", &app.cookie(&session)).await;
        assert_eq!(answer.refusal(), (403, "NotMember".to_owned()));
        let (answer, _) = app
            .get_with_cookie("/optional-member", &app.cookie(&session))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, "nobody")
        );
    }
    let (answer, calls) = app.get_with_cookie("/optional-member", "").await;
    assert_eq!((answer.body.as_str(), calls), ("nobody", 0));
}
