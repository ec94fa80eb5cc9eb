//! `PATCH /organization/update` and `PATCH /v2/organization/{organization_id}`.

use axum::extract::State;
use serde_json::Value;

use super::new::check_own_models;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::Action;
use crate::budgets::{self, LIMITS, LINK};
use crate::change::{Change, Published, Wait};
use crate::error::{AdminError, InputError, Plain};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional, required};
use crate::http::moment;
use crate::http::path::Names;
use crate::organizations::patch::{self, COLUMNS, OrganizationPatch};
use crate::organizations::view::{self, OrganizationView};
use crate::organizations::{OrganizationError, note, store};

const NESTED: Field =
    optional("litellm_budget_table", Shape::Object, "Limits as answers show them, instead of the fields beside.");

/// What `PATCH /organization/update` asks for.
#[derive(Debug)]
pub(super) struct ChangedOrganization {
    organization_id: String,
    columns: OrganizationPatch,
}

impl Request for ChangedOrganization {
    const NAME: &'static str = "OrganizationPatch";
    const FIELDS: &'static [&'static [Field]] =
        &[&[required("organization_id", Shape::Text, "The organization to change."), NESTED], COLUMNS, LINK, LIMITS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let organization_id = form.take("organization_id").given().unwrap_or_default();
        Ok(Self { organization_id, columns: OrganizationPatch::read_nested(&mut form)? })
    }
}

/// What `PATCH /v2/organization/{organization_id}` asks for.
#[derive(Debug)]
pub(super) struct MergedOrganization {
    organization_id: Option<String>,
    columns: OrganizationPatch,
}

impl Request for MergedOrganization {
    const NAME: &'static str = "OrganizationMerge";
    const FIELDS: &'static [&'static [Field]] =
        &[&[optional("organization_id", Shape::Text, "As in the path, or nothing."), NESTED], COLUMNS, LINK, LIMITS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let organization_id = form.take("organization_id").given();
        Ok(Self { organization_id, columns: OrganizationPatch::read_nested(&mut form)? })
    }
}

type OrganizationPatchBody = Body<ChangedOrganization>;
type OrganizationMergeBody = Body<MergedOrganization>;

/// Changes an organization: what is left out stays, `null` clears, metadata go into what there are. Its own admins change its
/// name and metadata.
#[utoipa::path(
    patch,
    path = "/organization/update",
    tag = "organizations",
    params(Wait),
    request_body = OrganizationPatchBody,
    responses((status = 200, body = OrganizationView), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: wanted, unknown }: OrganizationPatchBody,
) -> Result<Changed<OrganizationView>, Plain> {
    let (view, published) = changed(&app, &actor, wait, wanted.organization_id, wanted.columns).await?;
    Ok(Changed { view, published, unknown })
}

/// The same, which takes no field that nobody knows.
#[utoipa::path(
    patch,
    path = "/v2/organization/{organization_id}",
    tag = "organizations",
    params(("organization_id" = String, Path, description = "The organization."), Wait),
    request_body = OrganizationMergeBody,
    responses((status = 200, body = OrganizationView), crate::error::Refusals),
)]
pub(super) async fn merge(
    State(app): State<App>,
    actor: Actor,
    names: Names<1>,
    wait: Wait,
    Body { asked: wanted, unknown }: OrganizationMergeBody,
) -> Result<Changed<OrganizationView>, Plain> {
    let Names([id]) = names;
    if wanted.organization_id.is_some_and(|said| said != id) {
        return Err(OrganizationError::OtherId.into());
    }
    if !unknown.is_empty() {
        let issue =
            |name: &String| Issue::of_field("extra_forbidden", name, "Extra inputs are not permitted", Value::Null);
        return Err(InputError::Fields(unknown.iter().map(issue).collect()).into());
    }
    let (view, published) = changed(&app, &actor, wait, id, wanted.columns).await?;
    Ok(Changed { view, published, unknown })
}

async fn changed(
    app: &App,
    actor: &Actor,
    wait: Wait,
    id: String,
    mut wanted: OrganizationPatch,
) -> Result<(OrganizationView, Published), AdminError> {
    actor.may(Permission::ChangeOrganization, &Subject::Organization(&id))?;
    if !actor.is_admin() && wanted.is_about_rights() {
        return Err(OrganizationError::NotAllowed(
            "What an organization may spend and call is for proxy admins to say; its own admins change its \
             organization_alias and metadata."
                .to_owned(),
        )
        .into());
    }
    let mut change = Change::begin(app, actor).await?;
    let found = store::locked(change.db(), std::slice::from_ref(&id)).await?.pop();
    let before = found.ok_or_else(|| OrganizationError::NotFound(id.clone()))?;
    let (by, now) = (change.author().changed_by.clone(), moment::now());
    let gives_models = wanted.models.is_said();
    let budget =
        budgets::linked(&mut change, before.budget_id.as_deref(), std::mem::take(&mut wanted.budget), now).await?;
    let row = patch::apply(&before, wanted, budget.as_ref().map(|row| row.budget_id.clone()), &by, now);
    if gives_models {
        check_own_models(actor, &row)?;
    }
    if row != before {
        store::update(change.db(), &row).await?;
        row.keep_budgets(change.db(), before.budget_id.as_deref(), budget.as_ref()).await?;
        note(&mut change, Action::Updated, Some(&before), Some(&row));
    }
    let view = view::view(change.db(), row, budget).await?;
    let published = change.commit(wait).await?;
    Ok((view, published))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn world_of_one() -> World {
        let world = World::new().await;
        let body = json!({
            "organization_id": "o", "organization_alias": "acme", "models": ["m"], "max_budget": 5, "rpm_limit": 2,
            "metadata": {"keep": 1, "gone": 2},
        });
        world.post("/organization/new", body).await.ok();
        world
    }

    #[tokio::test]
    async fn what_is_left_out_stays_null_clears_and_metadata_are_merged() {
        let world = world_of_one().await;
        let body =
            json!({"organization_id": "o", "max_budget": 7, "rpm_limit": null, "metadata": {"gone": null, "new": 3}});
        let changed = world.send("PATCH", "/organization/update", body).await.ok();
        assert_eq!((&changed["organization_alias"], &changed["models"]), (&json!("acme"), &json!(["m"])));
        assert_eq!(changed["metadata"], json!({"keep": 1, "new": 3}));
        let table = &changed["litellm_budget_table"];
        assert_eq!((&table["max_budget"], &table["rpm_limit"]), (&json!(7.0), &Value::Null));
        assert_eq!(world.count("budgets").await, 1, "its own budget is changed");

        let body = json!({"organization_id": "o", "litellm_budget_table": {"max_budget": 8, "tpm_limit": 9}});
        let changed = world.send("PATCH", "/organization/update", body).await.ok();
        assert_eq!(changed["litellm_budget_table"]["max_budget"], 8.0);
        world.post("/budget/new", json!({"budget_id": "shared", "max_budget": 1})).await.ok();
        let body = json!({"budget_id": "shared", "organization_alias": "new name", "models": []});
        let changed = world.send("PATCH", "/v2/organization/o", body).await.ok();
        assert_eq!((&changed["budget_id"], &changed["models"]), (&json!("shared"), &json!([])));
        assert_eq!(world.count("audit_log where noun = 'organization' and action = 'updated'").await, 2);
        // Whoever is linked to a budget follows it.
        let before = world.revision().await;
        world.post("/budget/update", json!({"budget_id": "shared", "max_budget": 2})).await.ok();
        assert_eq!(world.revision().await, before + 1);
        assert_eq!(world.count("change_log where object_id = 'organization:o' and kind = 'owner'").await, 5);
    }

    #[tokio::test]
    async fn bad_values_unknown_organizations_and_strangers_change_nothing() {
        let world = world_of_one().await;
        let boss = world.user("boss", "internal_user").await;
        let before = world.revision().await;
        let patch = async |body: Value| world.send("PATCH", "/organization/update", body).await;
        assert_eq!(patch(json!({"organization_id": "none"})).await.status, 404);
        assert_eq!(patch(json!({"organization_id": "o", "max_budget": -1})).await.status, 400);
        assert_eq!(patch(json!({})).await.issues(), [json!(["body", "organization_id"])]);
        assert_eq!(patch(json!({"organization_id": "o", "models": 1})).await.issues(), [json!(["body", "models"])]);
        let twice = json!({"organization_id": "o", "max_budget": 1, "litellm_budget_table": {"max_budget": 1}});
        assert_eq!(patch(twice).await.issues(), [json!(["body", "litellm_budget_table"])]);
        let odd = world.send("PATCH", "/v2/organization/o", json!({"odd": 1})).await;
        assert_eq!(odd.issues(), [json!(["body", "odd"])]);
        assert_eq!(world.send("PATCH", "/v2/organization/o", json!({"organization_id": "p"})).await.status, 400);
        let body = json!({"organization_id": "o", "organization_alias": "theirs"});
        world.send_as(&boss, "PATCH", "/organization/update", body).await.refused(401);
        assert_eq!(world.revision().await, before);
    }

    #[tokio::test]
    async fn its_own_admins_change_its_name_and_not_its_rights() {
        let world = world_of_one().await;
        let boss = world.user("boss", "internal_user").await;
        let member = json!({"organization_id": "o", "member": {"role": "org_admin", "user_id": "boss"}});
        world.post("/organization/member_add", member).await.ok();
        let body = json!({"organization_id": "o", "organization_alias": "ours", "metadata": {"ours": true}});
        let changed = world.send_as(&boss, "PATCH", "/organization/update", body).await.ok();
        assert_eq!(changed["organization_alias"], "ours");
        for said in [
            json!({"max_budget": 100}),
            json!({"models": []}),
            json!({"budget_id": "other"}),
            json!({"rpm_limit": null}),
            json!({"litellm_budget_table": {"max_budget": 100}}),
            json!({"object_permission": {}}),
        ] {
            let answer = world.send_as(&boss, "PATCH", "/v2/organization/o", said.clone()).await;
            assert_eq!(answer.status, 403, "{said}");
        }
        world.send_as(&boss, "DELETE", "/organization/delete", json!({"organization_ids": ["o"]})).await.refused(401);
    }
}
