//! `DELETE /organization/delete`.

use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::Action;
use crate::budgets;
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::organizations::view::{self, OrganizationView};
use crate::organizations::{OrganizationError, note, store};
use crate::spend::Owner;
use crate::{keys, teams};

/// Most organizations of one call.
const MOST: usize = 1_000;

/// Which organizations to delete.
#[derive(Debug)]
pub(super) struct Which {
    ids: Vec<String>,
}

impl Request for Which {
    const NAME: &'static str = "DeletedOrganizations";
    const FIELDS: &'static [&'static [Field]] = &[&[required("organization_ids", Shape::Texts, "The organizations.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let mut ids: Vec<String> = form.take("organization_ids").given().unwrap_or_default();
        ids.sort_unstable();
        ids.dedup();
        Ok(Self { ids })
    }
}

type WhichOrganizations = Body<Which>;

/// Deletes organizations with all of their teams and keys; all or none. The keys go to the archive.
#[utoipa::path(
    delete,
    path = "/organization/delete",
    tag = "organizations",
    params(Wait),
    request_body = WhichOrganizations,
    responses((status = 200, body = Vec<OrganizationView>), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Which { ids }, unknown }: WhichOrganizations,
) -> Result<Changed<Vec<OrganizationView>>, Plain> {
    actor.may(Permission::DeleteOrganization, &Subject::Anything)?;
    if ids.len() > MOST {
        return Err(OrganizationError::TooMany(MOST).into());
    }
    let mut change = Change::begin(&app, &actor).await?;
    teams::lock_of_organizations(change.db(), &ids).await?;
    let rows = store::locked(change.db(), &ids).await?;
    if let Some(unknown) = ids.iter().find(|id| rows.iter().all(|row| row.organization_id != **id)) {
        return Err(OrganizationError::NotFound(unknown.clone()).into());
    }
    let view = view::views(change.db(), rows.clone()).await?;
    teams::remove_of_organizations(&mut change, &ids).await?;
    keys::remove_of_organizations(&mut change, &ids).await?;
    store::delete(change.db(), &ids).await?;
    budgets::forget(change.db(), Owner::Organization, &ids).await?;
    for row in &rows {
        note(&mut change, Action::Deleted, Some(row), None);
    }
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn an_organization_goes_with_its_teams_keys_and_members_at_one_revision() {
        let world = World::new().await;
        for id in ["o", "p"] {
            let body = json!({"organization_id": id, "organization_alias": id, "max_budget": 5});
            world.post("/organization/new", body).await.ok();
            world.post("/team/new", json!({"team_id": format!("t{id}"), "organization_id": id})).await.ok();
            world.key(json!({"team_id": format!("t{id}")})).await;
            world.key(json!({"organization_id": id})).await;
            let member = json!({"organization_id": id, "member": {"role": "org_admin", "user_id": "boss"}});
            world.post("/organization/member_add", member).await.ok();
        }
        let none = world.send("DELETE", "/organization/delete", json!({"organization_ids": ["o", "none"]})).await;
        assert_eq!((none.status, world.count("organizations").await), (404, 2));
        let before = world.revision().await;
        let gone = world.send("DELETE", "/organization/delete", json!({"organization_ids": ["o", "o"]})).await.ok();
        assert_eq!((gone.as_array().unwrap().len(), &gone[0]["organization_id"]), (1, &json!("o")));
        assert_eq!(world.revision().await, before + 1);
        assert_eq!((world.count("organizations").await, world.count("teams").await), (1, 1));
        assert_eq!((world.count("keys").await, world.count("deleted_keys").await), (2, 2));
        assert_eq!(world.count("organization_members").await, 1);
        assert_eq!(world.count("spend_totals where kind = 'organization' and budgeted").await, 1);
        assert_eq!(world.count("users where 'to' = any(teams)").await, 0);
        let issues = world.send("DELETE", "/organization/delete", json!({})).await.issues();
        assert_eq!(issues, [json!(["body", "organization_ids"])]);
    }
}
