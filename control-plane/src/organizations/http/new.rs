//! `POST /organization/new`.

use axum::extract::State;
use uuid::Uuid;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::Action;
use crate::budgets::{self, BudgetPatch, LIMITS, LINK};
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;
use crate::organizations::patch::{self, COLUMNS, OrganizationPatch};
use crate::organizations::view::{self, OrganizationView};
use crate::organizations::within::lacking;
use crate::organizations::{Organization, OrganizationError, note, store};

/// Most characters of an id.
const ID: usize = 256;

const MAKING: &[Field] =
    &[optional("organization_id", Shape::Text, "The id of the organization. Absent: a random one.")];

/// What `POST /organization/new` asks for.
#[derive(Debug)]
pub(super) struct NewOrganization {
    organization_id: Option<String>,
    columns: OrganizationPatch,
}

impl Request for NewOrganization {
    const NAME: &'static str = "NewOrganization";
    const FIELDS: &'static [&'static [Field]] = &[MAKING, COLUMNS, LINK, LIMITS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let organization_id = form.take::<String>("organization_id").given();
        let columns = OrganizationPatch::read(&mut form)?;
        match columns.alias.is_said() {
            true => Ok(Self { organization_id, columns }),
            false => Err(vec![Issue::missing("organization_alias")]),
        }
    }
}

type NewOrganizationBody = Body<NewOrganization>;

/// Makes an organization, with a budget of its own or a shared one.
#[utoipa::path(
    post,
    path = "/organization/new",
    tag = "organizations",
    params(Wait),
    request_body = NewOrganizationBody,
    responses((status = 200, body = OrganizationView), crate::error::Refusals),
)]
pub(super) async fn new(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: new, unknown }: NewOrganizationBody,
) -> Result<Changed<OrganizationView>, Plain> {
    actor.may(Permission::CreateOrganization, &Subject::Anything)?;
    let organization_id = match new.organization_id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()) {
        Some(id) if id.chars().count() > ID || id.chars().any(char::is_control) => {
            return Err(OrganizationError::BadId.into());
        }
        Some(id) => id,
        None => Uuid::new_v4().to_string(),
    };
    let mut change = Change::begin(&app, &actor).await?;
    let (by, now) = (change.author().changed_by.clone(), moment::now());
    let mut columns = new.columns;
    let wanted = std::mem::take(&mut columns.budget);
    let budget = match budgets::linked(&mut change, None, wanted, now).await? {
        Some(row) => row,
        // One that limits nothing yet, which an update finds.
        None => budgets::add_own(&mut change, None, BudgetPatch::default(), now).await?,
    };
    let empty = Organization {
        organization_id,
        alias: String::new(),
        budget_id: None,
        metadata: serde_json::Map::new(),
        models: Vec::new(),
        object_permission: None,
        created_at: now,
        created_by: by.clone(),
        updated_at: now,
        updated_by: by.clone(),
    };
    let row = patch::apply(&empty, columns, Some(budget.budget_id.clone()), &by, now);
    check_own_models(&actor, &row)?;
    let inserted = store::insert(change.db(), &row).await;
    inserted.map_err(|error| OrganizationError::from_insert(error, &row.organization_id))?;
    row.keep_budgets(change.db(), None, Some(&budget)).await?;
    note(&mut change, Action::Created, None, Some(&row));
    let view = view::view(change.db(), row, Some(budget)).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

/// A key with a list of models gives no organization more.
pub(super) fn check_own_models(actor: &Actor, row: &Organization) -> Result<(), OrganizationError> {
    let own = actor.key().map(|key| key.models.as_slice()).unwrap_or_default();
    match lacking(own, &row.models) {
        Some(model) => Err(OrganizationError::OwnModels(model.to_owned())),
        None if row.models.is_empty() && lacking(own, &["*".to_owned()]).is_some() => {
            Err(OrganizationError::OwnModels("*".to_owned()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{World, settled};

    #[tokio::test]
    async fn an_organization_has_every_field_and_always_a_budget() {
        let world = World::new().await;
        let body = json!({
            "organization_id": "o", "organization_alias": "acme", "models": ["m"], "metadata": {"k": 1}, "max_budget": 5,
            "soft_budget": 4, "tpm_limit": 10, "rpm_limit": 2, "max_parallel_requests": 1, "budget_duration": "30d",
            "model_max_budget": {"m": {"max_budget": 1, "budget_duration": "1d"}}, "object_permission": {"a": []}, "odd": 1,
        });
        let answer = world.post("/organization/new", body).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
        let changing = ["budget_id", "budget_reset_at", "created_at", "updated_at"];
        insta::assert_json_snapshot!(settled(answer.ok(), &changing));
        assert_eq!(world.count("spend_totals where kind = 'organization' and owner_id = 'o' and budgeted").await, 2);
        assert_eq!(world.count("audit_log where noun = 'organization' and action = 'created'").await, 1);

        let plain = world.post("/organization/new", json!({"organization_alias": "plain"})).await.ok();
        assert!(plain["budget_id"].is_string() && plain["organization_id"].is_string(), "{plain}");
        assert_eq!((&plain["models"], &plain["spend"]), (&json!([]), &json!(0.0)));
        world.post("/budget/new", json!({"budget_id": "shared", "max_budget": 9})).await.ok();
        let body = json!({"organization_alias": "linked", "budget_id": "shared"});
        let linked = world.post("/organization/new", body).await.ok();
        assert_eq!(
            (&linked["budget_id"], &linked["litellm_budget_table"]["max_budget"]),
            (&json!("shared"), &json!(9.0))
        );
    }

    #[tokio::test]
    async fn bad_organizations_taken_ids_and_strangers_are_refused() {
        let world = World::new().await;
        world.post("/organization/new", json!({"organization_id": "o", "organization_alias": "a"})).await.ok();
        let detail = async |body: serde_json::Value, status: u16| {
            let answer = world.post("/organization/new", body).await;
            assert_eq!((answer.status, answer.body["detail"]["error"].is_string()), (status, true), "{}", answer.body);
        };
        detail(json!({"organization_id": "o", "organization_alias": "b"}), 400).await;
        detail(json!({"organization_id": "a\u{7}", "organization_alias": "b"}), 400).await;
        detail(json!({"organization_alias": "b", "max_budget": -1}), 400).await;
        detail(json!({"organization_alias": "b", "rpm_limit": -1}), 400).await;
        detail(json!({"organization_alias": "b", "budget_duration": "soon"}), 400).await;
        detail(json!({"organization_alias": "b", "budget_id": "unknown"}), 400).await;
        for (body, field) in [
            (json!({}), "organization_alias"),
            (json!({"organization_alias": 5}), "organization_alias"),
            (json!({"organization_alias": "b", "models": "m"}), "models"),
            (json!({"organization_alias": "b", "model_rpm_limit": {"m": 1}}), "model_rpm_limit"),
            (json!({"organization_alias": "b", "budget_id": "x", "max_budget": 1}), "budget_id"),
        ] {
            assert_eq!(world.post("/organization/new", body).await.issues(), [json!(["body", field])]);
        }
        for role in ["internal_user", "internal_user_viewer", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            world.post_as(&key, "/organization/new", json!({"organization_alias": "b"})).await.refused(401);
        }
        let admin = world.user("admin", "proxy_admin").await;
        let few = world.post_as(&admin, "/key/generate", json!({"models": ["m"], "user_id": "admin"})).await.ok();
        let few = few["key"].as_str().unwrap();
        for models in [json!(["n"]), json!([])] {
            let body = json!({"organization_alias": "b", "models": models});
            assert_eq!(world.post_as(few, "/organization/new", body).await.status, 403);
        }
        assert_eq!((world.count("organizations").await, world.count("budgets").await), (1, 1));
    }
}
