//! `POST /organization/member_add`, `PATCH /organization/member_update` and `DELETE /organization/member_delete`.

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::access::{AccessError, Actor, Permission, Role, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::budgets::{self, BudgetPatch, Wanted};
use crate::change::{Change, Wait};
use crate::error::{AdminError, AuthStyle, Plain};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Patch, Request, Shape, nested, optional, required};
use crate::http::moment;
use crate::organizations::roster::{self, OrganizationMember, OrganizationRole};
use crate::organizations::view::{self, OrganizationMembership};
use crate::organizations::{OrganizationError, store};
use crate::users::{self, UserView};

/// Most members of one call.
const MOST: usize = 500;

const BUDGET: Field = optional(
    "max_budget_in_organization",
    Shape::Usd,
    "US dollars. Kept and shown; nothing is held to it, as in LiteLLM.",
);

const WHO: &[Field] = &[
    optional("user_id", Shape::Text, "The member. Or name `user_email`."),
    optional("user_email", Shape::Text, "The member's e-mail address."),
];

/// A user by id, or by address.
#[derive(Debug, Clone)]
struct Who {
    user_id: Option<String>,
    email: Option<String>,
}

impl Who {
    fn read(form: &mut Form) -> Result<Self, Vec<Issue>> {
        let mut text = |name: &str| form.take::<String>(name).given().filter(|text| !text.is_empty());
        let who = Self { user_id: text("user_id"), email: text("user_email") };
        match who.user_id.is_some() || who.email.is_some() {
            true => Ok(who),
            false => Err(vec![Issue::missing("user_id")]),
        }
    }
}

/// One who joins.
#[derive(Debug)]
struct NewMember {
    who: Who,
    role: OrganizationRole,
}

impl Request for NewMember {
    const NAME: &'static str = "NewOrganizationMember";
    const FIELDS: &'static [&'static [Field]] =
        &[&[required("role", Shape::Choice(OrganizationRole::NAMES), "What they are in the organization.")], WHO];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let role = form.take::<String>("role").given().unwrap_or_default();
        Ok(Self { role: OrganizationRole::named(&role), who: Who::read(&mut form)? })
    }
}

/// Who joins which organization.
#[derive(Debug)]
pub(super) struct Joining {
    organization_id: String,
    members: Vec<NewMember>,
    most: Patch<f64>,
}

impl Request for Joining {
    const NAME: &'static str = "NewOrganizationMembers";
    const FIELDS: &'static [&'static [Field]] = &[&[
        required("organization_id", Shape::Text, "The organization."),
        required("member", Shape::Any, "`{role, user_id|user_email}`, or a list of them."),
        BUDGET,
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let said = form.take::<Value>("member").given().unwrap_or_default();
        let items = if let Value::Array(items) = said { items } else { vec![said] };
        let mut members = Vec::with_capacity(items.len());
        for item in items {
            let Value::Object(item) = item else {
                let msg = "Input should be a member with a role and a user_id or a user_email, or a list of them";
                return Err(vec![Issue::of_field("value_error", "member", msg, item)]);
            };
            let item: Map<String, Value> = item;
            members.push(nested::<NewMember>("member", item)?.0);
        }
        match members.is_empty() {
            true => Err(vec![Issue::missing("member")]),
            false => Ok(Self {
                organization_id: form.take("organization_id").given().unwrap_or_default(),
                members,
                most: form.take("max_budget_in_organization"),
            }),
        }
    }
}

const WHERE: &[Field] = &[required("organization_id", Shape::Text, "The organization.")];

/// Which member becomes what.
#[derive(Debug)]
pub(super) struct Changing {
    organization_id: String,
    who: Who,
    role: Option<OrganizationRole>,
    most: Patch<f64>,
}

impl Request for Changing {
    const NAME: &'static str = "ChangedOrganizationMember";
    const FIELDS: &'static [&'static [Field]] = &[
        WHERE,
        WHO,
        &[optional("role", Shape::Choice(OrganizationRole::NAMES), "What they become in the organization."), BUDGET],
    ];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            organization_id: form.take("organization_id").given().unwrap_or_default(),
            role: form.take::<String>("role").given().map(|role| OrganizationRole::named(&role)),
            most: form.take("max_budget_in_organization"),
            who: Who::read(&mut form)?,
        })
    }
}

/// Who leaves which organization.
#[derive(Debug)]
pub(super) struct Leaving {
    organization_id: String,
    who: Who,
}

impl Request for Leaving {
    const NAME: &'static str = "DeletedOrganizationMember";
    const FIELDS: &'static [&'static [Field]] = &[WHERE, WHO];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let organization_id = form.take("organization_id").given().unwrap_or_default();
        Ok(Self { organization_id, who: Who::read(&mut form)? })
    }
}

type JoiningBody = Body<Joining>;
type ChangingBody = Body<Changing>;
type LeavingBody = Body<Leaving>;

/// An organization that has grown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GrownOrganization {
    organization_id: String,
    /// For proxy admins: an organization's own do not see all of a user.
    updated_users: Vec<UserView>,
    updated_organization_memberships: Vec<OrganizationMembership>,
}

/// Takes users into an organization. An address that nobody knows makes a user; so does an id, for proxy admins.
#[utoipa::path(
    post,
    path = "/organization/member_add",
    tag = "organizations",
    params(Wait),
    request_body = JoiningBody,
    responses((status = 200, body = GrownOrganization), crate::error::Refusals),
)]
pub(super) async fn add(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Joining { organization_id, members, most }, unknown }: JoiningBody,
) -> Result<Changed<GrownOrganization>, AuthStyle> {
    if members.len() > MOST {
        return Err(OrganizationError::TooMany(MOST).into());
    }
    let (mut change, known) = managed(&app, &actor, &organization_id).await?;
    let now = moment::now();
    let mut added: Vec<OrganizationMember> = Vec::with_capacity(members.len());
    for NewMember { who, role } in members {
        let user_id = joined(&mut change, &actor, who, role, now).await?;
        if known.iter().chain(&added).any(|member| member.user_id == user_id) {
            return Err(OrganizationError::AlreadyMember(user_id).into());
        }
        let mut member = OrganizationMember {
            organization_id: organization_id.clone(),
            user_id,
            role,
            budget_id: None,
            created_at: now,
            updated_at: now,
        };
        set_budget(&mut change, &mut member, most.clone(), now).await?;
        put(&mut change, None, &member).await?;
        added.push(member);
    }
    let ids: Vec<String> = added.iter().map(|member| member.user_id.clone()).collect();
    let updated_users = match actor.sees_all() {
        true => users::views_of(change.db(), &ids).await?,
        false => Vec::new(),
    };
    let updated_organization_memberships = view::memberships(change.db(), added).await?;
    let published = change.commit(wait).await?;
    let view = GrownOrganization { organization_id, updated_users, updated_organization_memberships };
    Ok(Changed { view, published, unknown })
}

/// Gives a member of an organization another role, or another budget.
#[utoipa::path(
    patch,
    path = "/organization/member_update",
    tag = "organizations",
    params(Wait),
    request_body = ChangingBody,
    responses((status = 200, body = OrganizationMembership), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Changing { organization_id, who, role, most }, unknown }: ChangingBody,
) -> Result<Changed<OrganizationMembership>, Plain> {
    let (mut change, known) = managed(&app, &actor, &organization_id).await?;
    let before = named(&mut change, &actor, known, who).await?;
    let now = moment::now();
    let mut member = OrganizationMember { role: role.unwrap_or(before.role), ..before.clone() };
    set_budget(&mut change, &mut member, most, now).await?;
    if member != before {
        member.updated_at = now;
        put(&mut change, Some(&before), &member).await?;
    }
    let view = view::memberships(change.db(), vec![member]).await?.pop().ok_or(OrganizationError::NotMember)?;
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

/// Takes a member out of an organization. Their keys and teams stay.
#[utoipa::path(
    delete,
    path = "/organization/member_delete",
    tag = "organizations",
    params(Wait),
    request_body = LeavingBody,
    responses((status = 200, body = OrganizationMembership), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Leaving { organization_id, who }, unknown }: LeavingBody,
) -> Result<Changed<OrganizationMembership>, Plain> {
    let (mut change, known) = managed(&app, &actor, &organization_id).await?;
    let member = named(&mut change, &actor, known, who).await?;
    roster::remove(change.db(), &organization_id, &member.user_id).await?;
    change.note(Entry {
        action: Action::Updated,
        noun: Noun::Organization,
        id: organization_id,
        before: Some(view::member_for_audit(&member)),
        after: Some(Value::Object(Map::new())),
    });
    let view = view::memberships(change.db(), vec![member]).await?.pop().ok_or(OrganizationError::NotMember)?;
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

/// The members of the organization, which is locked, if the actor manages it.
async fn managed(
    app: &App,
    actor: &Actor,
    organization_id: &str,
) -> Result<(Change, Vec<OrganizationMember>), AdminError> {
    actor.may(Permission::ManageOrganization, &Subject::Organization(organization_id))?;
    let mut change = Change::begin(app, actor).await?;
    let ids = [organization_id.to_owned()];
    if store::locked(change.db(), &ids).await?.is_empty() {
        return Err(OrganizationError::NotFound(organization_id.to_owned()).into());
    }
    let members = roster::of(change.db(), &ids).await?;
    Ok((change, members))
}

/// The user who is to join, made where nobody knows them.
async fn joined(
    change: &mut Change,
    actor: &Actor,
    who: Who,
    role: OrganizationRole,
    now: OffsetDateTime,
) -> Result<String, AdminError> {
    let Some(user) = users::named(change.db(), who.user_id.as_deref(), who.email.as_deref()).await? else {
        if let (Some(user_id), false) = (&who.user_id, actor.is_admin()) {
            let text = format!("Only proxy admins can add somebody who is no user yet. user_id={user_id}");
            return Err(AccessError::Forbidden(text).into());
        }
        let role = match role {
            OrganizationRole::InternalUserViewer => Role::InternalUserViewer,
            OrganizationRole::OrgAdmin | OrganizationRole::InternalUser => Role::InternalUser,
        };
        return Ok(users::add_named(change, who.user_id, who.email, role.name(), now).await?);
    };
    if let (Some(said), Some(known)) = (&who.email, &user.email)
        && !said.eq_ignore_ascii_case(known)
    {
        return Err(OrganizationError::OtherAddress(user.user_id).into());
    }
    check_global_role(actor, &user.role)?;
    Ok(user.user_id)
}

/// The member who is meant.
async fn named(
    change: &mut Change,
    actor: &Actor,
    known: Vec<OrganizationMember>,
    who: Who,
) -> Result<OrganizationMember, AdminError> {
    let user = users::named(change.db(), who.user_id.as_deref(), who.email.as_deref()).await?;
    if let Some(user) = &user {
        check_global_role(actor, &user.role)?;
    }
    // A member whose user was deleted is named by id.
    let user_id = user.map(|user| user.user_id).or(who.user_id).ok_or(OrganizationError::NotMember)?;
    let found = known.into_iter().find(|member| member.user_id == user_id);
    Ok(found.ok_or(OrganizationError::NotMember)?)
}

/// What a proxy admin is in an organization is for proxy admins to say.
fn check_global_role(actor: &Actor, role: &str) -> Result<(), OrganizationError> {
    match !actor.is_admin() && Role::named(Some(role)) == Role::ProxyAdmin {
        true => {
            let text = "Only proxy admins change what a proxy admin is in an organization.";
            Err(OrganizationError::NotAllowed(text.to_owned()))
        }
        false => Ok(()),
    }
}

/// Makes the member's budget what was said of it.
async fn set_budget(
    change: &mut Change,
    member: &mut OrganizationMember,
    most: Patch<f64>,
    now: OffsetDateTime,
) -> Result<(), AdminError> {
    if most.is_said() {
        let said = Wanted::own(BudgetPatch { max_budget: most, ..BudgetPatch::default() });
        let row = budgets::linked(change, member.budget_id.as_deref(), said, now).await?;
        member.budget_id = row.map(|row| row.budget_id);
    }
    Ok(())
}

async fn put(
    change: &mut Change,
    before: Option<&OrganizationMember>,
    member: &OrganizationMember,
) -> Result<(), AdminError> {
    roster::put(change.db(), member).await?;
    change.note(Entry {
        action: Action::Updated,
        noun: Noun::Organization,
        id: member.organization_id.clone(),
        before: before.map(view::member_for_audit),
        after: Some(view::member_for_audit(member)),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn world_of_one() -> (World, String) {
        let world = World::new().await;
        world.post("/organization/new", json!({"organization_id": "o", "organization_alias": "acme"})).await.ok();
        let boss = world.user("boss", "internal_user").await;
        let member = json!({"organization_id": "o", "member": {"role": "org_admin", "user_id": "boss"}});
        world.post("/organization/member_add", member).await.ok();
        (world, boss)
    }

    fn roles(list: &Value) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let members = list["members"].as_array().unwrap();
        members.iter().map(|one| (text(&one["user_id"]), text(&one["user_role"]))).collect()
    }

    #[tokio::test]
    async fn members_join_change_and_leave() {
        let (world, boss) = world_of_one().await;
        world.post("/user/new", json!({"user_id": "ada", "user_email": "ada@b.c"})).await.ok();
        let members = json!([{"role": "internal_user", "user_email": "ADA@b.c"}, {"role": "internal_user_viewer", "user_email": "new@b.c"}]);
        let body = json!({"organization_id": "o", "member": members, "max_budget_in_organization": 5});
        let grown = world.post_as(&boss, "/organization/member_add", body).await.ok();
        let joined = &grown["updated_organization_memberships"];
        assert_eq!(
            (&joined[0]["user_id"], &joined[0]["litellm_budget_table"]["max_budget"]),
            (&json!("ada"), &json!(5.0))
        );
        assert_eq!(grown["updated_users"], json!([]), "only proxy admins see users");
        assert_eq!(world.count("users where email = 'new@b.c' and role = 'internal_user_viewer'").await, 1);

        let body = json!({"organization_id": "o", "user_email": "ada@b.c", "role": "org_admin", "max_budget_in_organization": 7});
        let changed = world.send_as(&boss, "PATCH", "/organization/member_update", body).await.ok();
        assert_eq!(
            (&changed["user_role"], &changed["litellm_budget_table"]["max_budget"]),
            (&json!("org_admin"), &json!(7.0))
        );
        assert_eq!(world.count("budgets b join organization_members m using (budget_id)").await, 2);

        let body = json!({"organization_id": "o", "user_id": "ada"});
        let left = world.send_as(&boss, "DELETE", "/organization/member_delete", body.clone()).await.ok();
        assert_eq!(left["user_id"], "ada");
        assert_eq!(world.send("DELETE", "/organization/member_delete", body).await.status, 400);
        let shown = world.get("/organization/info?organization_id=o").await.ok();
        assert!(roles(&shown).contains(&("boss".to_owned(), "org_admin".to_owned())), "{shown}");
        world.post("/user/delete", json!({"user_ids": ["boss"]})).await.ok();
        assert_eq!(world.count("organization_members").await, 1);
    }

    #[tokio::test]
    async fn who_does_not_manage_it_changes_nothing_and_bad_input_is_told() {
        let (world, boss) = world_of_one().await;
        let plain = world.user("plain", "internal_user").await;
        world.user("root", "proxy_admin").await;
        let joins = |user: &str| json!({"organization_id": "o", "member": {"role": "org_admin", "user_id": user}});
        let error = world.post_as(&plain, "/organization/member_add", joins("plain")).await.refused(401);
        assert_eq!(error["type"], "auth_error");
        let member = json!({"organization_id": "o", "member": {"role": "internal_user", "user_id": "plain"}});
        world.post("/organization/member_add", member.clone()).await.ok();
        let error = world.post_as(&plain, "/organization/member_add", joins("boss")).await.refused(401);
        assert!(error["message"].as_str().unwrap().contains("/organization/member_add"), "{error}");
        assert_eq!(world.post("/organization/member_add", member).await.refused(400)["type"], "auth_error");
        world.post_as(&boss, "/organization/member_add", joins("nobody")).await.refused(403);
        world.post_as(&boss, "/organization/member_add", joins("root")).await.refused(403);
        world
            .post(
                "/organization/member_add",
                json!({"organization_id": "none", "member": {"role": "org_admin", "user_id": "x"}}),
            )
            .await
            .refused(404);
        for (body, place) in [
            (json!({"organization_id": "o"}), json!(["body", "member"])),
            (json!({"organization_id": "o", "member": []}), json!(["body", "member"])),
            (json!({"organization_id": "o", "member": "ada"}), json!(["body", "member"])),
            (
                json!({"organization_id": "o", "member": {"role": "boss", "user_id": "a"}}),
                json!(["body", "member", "role"]),
            ),
            (json!({"organization_id": "o", "member": {"role": "org_admin"}}), json!(["body", "member", "user_id"])),
            (json!({"member": {"role": "org_admin", "user_id": "a"}}), json!(["body", "organization_id"])),
        ] {
            assert_eq!(world.post("/organization/member_add", body.clone()).await.issues(), [place], "{body}");
        }
        let mut dear = joins("ada");
        dear["max_budget_in_organization"] = json!(-1);
        world.post("/organization/member_add", dear).await.refused(400);
        let body = json!({"organization_id": "o", "user_id": "nobody", "role": "org_admin"});
        assert_eq!(world.send("PATCH", "/organization/member_update", body).await.status, 400);
        assert_eq!(
            (world.count("organization_members").await, world.count("users where user_id = 'ada'").await),
            (2, 0)
        );
    }
}
