//! `PUT /access_group/{group}/update`. Its tests are [`super::new`]'s.

use axum::extract::{Path, State};

use super::{MEMBERS, WrittenGroup, members};
use crate::access::{Actor, Permission, Subject};
use crate::access_groups::{AccessGroupError, Members, find, locked, meant, put};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request};

/// What `PUT /access_group/{group}/update` asks for.
#[derive(Debug)]
pub(super) struct NewMembers(Members);

impl Request for NewMembers {
    const NAME: &'static str = "AccessGroupMembers";
    const FIELDS: &'static [&'static [Field]] = &[MEMBERS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self(members(&mut form)))
    }
}

type NewMembersBody = Body<NewMembers>;

/// Gives a group other models: of those that were added through the API, the ones named here and no others.
#[utoipa::path(
    put,
    path = "/access_group/{group}/update",
    tag = "access groups",
    params(Wait, ("group" = String, Path, description = "The name of the group.")),
    request_body = NewMembersBody,
    responses((status = 200, body = WrittenGroup), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    Path(group): Path<String>,
    wait: Wait,
    Body { asked: NewMembers(members), unknown }: NewMembersBody,
) -> Result<Changed<WrittenGroup>, Plain> {
    actor.may(Permission::ChangeAccessGroup, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let rows = locked(change.db()).await?;
    if find(&rows, &group).is_none() {
        return Err(AccessGroupError::NotFound(group).into());
    }
    let model_ids = meant(&rows, &members)?;
    let models_updated = put(&mut change, &rows, &group, &model_ids).await?;
    let published = change.commit(wait).await?;
    let view = WrittenGroup { access_group: group, model_names: members.names, model_ids, models_updated };
    Ok(Changed { view, published, unknown })
}
