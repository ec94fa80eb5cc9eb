//! `GET` and `POST /organization/info`.

use axum::Json;
use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Plain;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional, required};
use crate::http::query::Query;
use crate::organizations::view::{self, WholeOrganization};
use crate::organizations::{OrganizationError, store};

/// Most organizations of one call.
const MOST: usize = 1_000;

/// Which organization to show.
#[derive(Debug)]
pub(super) struct Which {
    organization_id: Option<String>,
}

impl Request for Which {
    const NAME: &'static str = "WhichOrganization";
    const FIELDS: &'static [&'static [Field]] =
        &[&[optional("organization_id", Shape::Text, "The organization. Required.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { organization_id: form.take("organization_id").given() })
    }
}

/// Which organizations to show.
#[derive(Debug)]
pub(super) struct Several {
    organizations: Vec<String>,
}

impl Request for Several {
    const NAME: &'static str = "WhichOrganizations";
    const FIELDS: &'static [&'static [Field]] = &[&[required("organizations", Shape::Texts, "Their ids.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { organizations: form.take("organizations").given().unwrap_or_default() })
    }
}

type WhichOrganization = Query<Which>;
type SeveralOrganizations = Body<Several>;

/// Shows an organization: to its admins with its teams and members, to its members by itself.
#[utoipa::path(
    get,
    path = "/organization/info",
    tag = "organizations",
    params(WhichOrganization),
    responses((status = 200, body = WholeOrganization), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(which): WhichOrganization,
) -> Result<Json<WholeOrganization>, Plain> {
    let id = which.organization_id.ok_or(OrganizationError::NoId)?;
    actor.may(Permission::ReadOrganization, &Subject::Organization(&id))?;
    let mut db = app.db.acquire().await?;
    let rows = store::among(&mut db, std::slice::from_ref(&id)).await?;
    let whole = view::whole_for(&mut db, &actor, rows).await?.pop();
    Ok(Json(whole.ok_or(OrganizationError::NotFound(id))?))
}

/// Shows several organizations, by their alias. Deprecated: `/organization/list` does.
#[utoipa::path(
    post,
    path = "/organization/info",
    tag = "organizations",
    request_body = SeveralOrganizations,
    responses((status = 200, body = Vec<WholeOrganization>), crate::error::Refusals),
)]
pub(super) async fn several(
    State(app): State<App>,
    actor: Actor,
    Body { asked: Several { organizations }, unknown: _ }: SeveralOrganizations,
) -> Result<Json<Vec<WholeOrganization>>, Plain> {
    actor.may(Permission::ListOrganizations, &Subject::Anything)?;
    if organizations.len() > MOST {
        return Err(OrganizationError::TooMany(MOST).into());
    }
    for id in &organizations {
        actor.may(Permission::ReadOrganization, &Subject::Organization(id))?;
    }
    let mut db = app.db.acquire().await?;
    let rows = store::among(&mut db, &organizations).await?;
    let whole = view::whole_for(&mut db, &actor, rows).await?;
    match organizations.iter().find(|id| whole.iter().all(|one| one.id() != id.as_str())) {
        Some(unknown) => Err(OrganizationError::NotFound(unknown.clone()).into()),
        None => Ok(Json(whole)),
    }
}
