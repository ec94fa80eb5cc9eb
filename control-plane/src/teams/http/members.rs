//! `POST /team/member_add`, `/team/member_update` and `/team/member_delete`.

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::managed::begin;
use crate::access::{AccessError, Actor, Permission, Subject};
use crate::app::App;
use crate::change::{Change, Published, Wait};
use crate::error::{AdminError, Generic};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional, required};
use crate::http::moment;
use crate::keys;
use crate::teams::view::{self, Membership, TeamView};
use crate::teams::{Member, MemberRole, Team, TeamError, member_from, note_update, store};
use crate::users::{self, UserView};

/// What a member may have beside a role. Until members have budgets, saying it is refused and not forgotten.
pub(super) const ACCOUNT: &[Field] = &[
    optional("max_budget_in_team", Shape::Usd, "Refused until members have budgets."),
    optional("budget_duration", Shape::Text, "Refused until members have budgets."),
    optional("tpm_limit", Shape::Whole, "Refused until members have limits."),
    optional("rpm_limit", Shape::Whole, "Refused until members have limits."),
    optional("allowed_models", Shape::Texts, "Refused until members have models of their own."),
    optional("temp_budget_increase", Shape::Usd, "Refused until members have budgets."),
    optional("temp_budget_expiry", Shape::Text, "Refused until members have budgets."),
];

pub(super) fn check_account(form: &Form) -> Result<(), Vec<Issue>> {
    match ACCOUNT.iter().find(|field| form.says(field.name)) {
        Some(field) => {
            let msg = "Budgets, limits and models of members are not kept yet: leave it out";
            Err(vec![Issue::of_field("value_error", field.name, msg, Value::Null)])
        }
        None => Ok(()),
    }
}

/// Who joins which team.
#[derive(Debug)]
pub(super) struct Joining {
    team_id: String,
    members: Vec<Member>,
}

impl Request for Joining {
    const NAME: &'static str = "NewMembers";
    const FIELDS: &'static [&'static [Field]] = &[
        &[
            required("team_id", Shape::Text, "The team."),
            required("member", Shape::Any, "`{role: admin|user, user_id|user_email}`, or a list of them."),
        ],
        ACCOUNT,
    ];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        check_account(&form)?;
        let said = form.take::<Value>("member").given().unwrap_or_default();
        let items = if let Value::Array(items) = said { items } else { vec![said] };
        let member = |item: &Value| item.as_object().and_then(member_from);
        let Some(members) = items.iter().map(member).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty()) else {
            let msg = "Input should be a member with a user_id or a user_email, or a list of them";
            return Err(vec![Issue::of_field("value_error", "member", msg, Value::Null)]);
        };
        Ok(Self { team_id: form.take("team_id").given().unwrap_or_default(), members })
    }
}

/// A member of a team, and what becomes of them.
#[derive(Debug)]
pub(super) struct Named {
    team_id: String,
    who: Member,
}

const WHO: &[Field] = &[
    required("team_id", Shape::Text, "The team."),
    optional("user_id", Shape::Text, "The member. Or name `user_email`."),
    optional("user_email", Shape::Text, "The member's e-mail address."),
];

fn named(form: &mut Form) -> Result<Named, Vec<Issue>> {
    let texts = ["user_id", "user_email", "role"].map(|name| (name.to_owned(), form.take::<Value>(name).given()));
    let texts: Map<String, Value> = texts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let who = member_from(&texts).ok_or_else(|| vec![Issue::missing("user_id")])?;
    Ok(Named { team_id: form.take("team_id").given().unwrap_or_default(), who })
}

/// Who leaves which team.
#[derive(Debug)]
pub(super) struct Leaving(Named);

impl Request for Leaving {
    const NAME: &'static str = "DeletedMember";
    const FIELDS: &'static [&'static [Field]] = &[WHO];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        named(&mut form).map(Self)
    }
}

/// Which member becomes what.
#[derive(Debug)]
pub(super) struct Changing(Named);

impl Request for Changing {
    const NAME: &'static str = "ChangedMember";
    const FIELDS: &'static [&'static [Field]] =
        &[WHO, &[required("role", Shape::Choice(&["admin", "user"]), "What the member may do.")], ACCOUNT];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        check_account(&form)?;
        named(&mut form).map(Self)
    }
}

type JoiningBody = Body<Joining>;
type LeavingBody = Body<Leaving>;
type ChangingBody = Body<Changing>;

/// A team that has grown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GrownTeam {
    #[serde(flatten)]
    team: TeamView,
    /// For admins: team admins do not see users of other teams.
    updated_users: Vec<UserView>,
    updated_team_memberships: Vec<Membership>,
}

/// A member as they are now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedMember {
    team_id: String,
    user_id: Option<String>,
    user_email: Option<String>,
    role: MemberRole,
}

/// Puts users on a team's roster. Who is there already is passed over, unless all are. An address that nobody knows makes a
/// user; so does an id, for admins.
#[utoipa::path(
    post,
    path = "/team/member_add",
    tag = "teams",
    params(Wait),
    request_body = JoiningBody,
    responses((status = 200, body = GrownTeam), crate::error::Refusals),
)]
pub(super) async fn add(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Joining { team_id, members }, unknown }: JoiningBody,
) -> Result<Changed<GrownTeam>, Generic> {
    let now = moment::now();
    let (mut change, before) = match joins_alone(&app, &actor, &team_id, &members).await? {
        Some(joining) => joining,
        None => managed(&app, &actor, &team_id).await?,
    };
    for member in &members {
        check_member(change.db(), &actor, member).await?;
    }
    let joined = users::join(&mut change, members, &team_id, now).await?;
    let mut team = before.clone();
    let added: Vec<Member> = joined.iter().filter(|member| team.add((*member).clone())).cloned().collect();
    if added.is_empty() {
        let name = joined.into_iter().next().and_then(|member| member.user_id).unwrap_or_default();
        return Err(TeamError::AlreadyMember(name).into());
    }
    let ids: Vec<String> = added.into_iter().filter_map(|member| member.user_id).collect();
    // What else there is of a user is not for who adds them to a team.
    let updated_users = match actor.sees_all() {
        true => users::views_of(change.db(), &ids).await?,
        false => Vec::new(),
    };
    let (team, published) = finish(change, &before, team, now, wait).await?;
    let mut updated_team_memberships = team.memberships();
    updated_team_memberships.retain(|account| ids.contains(&account.user_id));
    Ok(Changed { view: GrownTeam { team, updated_users, updated_team_memberships }, published, unknown })
}

/// Gives a member another role.
#[utoipa::path(
    post,
    path = "/team/member_update",
    tag = "teams",
    params(Wait),
    request_body = ChangingBody,
    responses((status = 200, body = ChangedMember), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Changing(Named { team_id, who }), unknown }: ChangingBody,
) -> Result<Changed<ChangedMember>, Generic> {
    let (change, before) = managed(&app, &actor, &team_id).await?;
    let mut team = before.clone();
    let member = team.members.iter_mut().find(|member| is_same(member, &who)).ok_or(TeamError::NotMember)?;
    member.role = who.role;
    let Member { role, user_id, user_email } = member.clone();
    let (_, published) = finish(change, &before, team, moment::now(), wait).await?;
    Ok(Changed { view: ChangedMember { team_id, user_id, user_email, role }, published, unknown })
}

/// Takes a member off a team's roster, with the keys that they have in it. The keys go to the archive.
#[utoipa::path(
    post,
    path = "/team/member_delete",
    tag = "teams",
    params(Wait),
    request_body = LeavingBody,
    responses((status = 200, body = TeamView), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Leaving(Named { team_id, who }), unknown }: LeavingBody,
) -> Result<Changed<TeamView>, Generic> {
    let (mut change, before) = managed(&app, &actor, &team_id).await?;
    let mut team = before.clone();
    let at = team.members.iter().position(|member| is_same(member, &who)).ok_or(TeamError::NotMember)?;
    let gone = team.members.remove(at);
    if let Some(user_id) = &gone.user_id {
        users::leave_one(change.db(), user_id, &team_id).await?;
        keys::remove_of_member(&mut change, user_id, &team_id).await?;
    }
    let (team, published) = finish(change, &before, team, moment::now(), wait).await?;
    Ok(Changed { view: team, published, unknown })
}

/// The team, locked, if the actor manages it.
async fn managed(app: &App, actor: &Actor, team_id: &String) -> Result<(Change, Team), AdminError> {
    begin(app, actor, Permission::ManageTeam, team_id).await
}

/// The team, locked, if it is open to users and one puts nobody but themselves on its roster, as no more than a member.
async fn joins_alone(
    app: &App,
    actor: &Actor,
    team_id: &String,
    members: &[Member],
) -> Result<Option<(Change, Team)>, AdminError> {
    let oneself = Member { role: MemberRole::User, user_id: actor.user_id.clone(), user_email: None };
    if actor.is_admin() || members != [oneself] || actor.may(Permission::JoinTeam, &Subject::Anything).is_err() {
        return Ok(None);
    }
    let mut change = Change::begin(app, actor).await?;
    if !store::open_to_users(change.db()).await?.contains(team_id) {
        return Ok(None);
    }
    let team = store::locked(change.db(), std::slice::from_ref(team_id)).await?.pop();
    Ok(team.map(|team| (change, team)))
}

/// Whether somebody can be added: as a user whom there is, unless an admin adds them, and under their own address.
pub(super) async fn check_member(db: &mut PgConnection, actor: &Actor, member: &Member) -> Result<(), AdminError> {
    let Some(user_id) = &member.user_id else { return Ok(()) };
    let user = users::find(db, user_id).await?;
    let email = user.as_ref().and_then(|user| user.email.as_deref()).zip(member.user_email.as_deref());
    if email.is_some_and(|(known, said)| !known.eq_ignore_ascii_case(said)) {
        return Err(TeamError::OtherAddress(user_id.clone()).into());
    }
    if user.is_none() && !actor.is_admin() {
        let text = format!("Only proxy admins can add somebody who is no user yet. user_id={user_id}");
        return Err(AccessError::Forbidden(text).into());
    }
    Ok(())
}

fn is_same(member: &Member, who: &Member) -> bool {
    match (&who.user_id, &who.user_email) {
        (Some(user_id), _) => member.user_id.as_ref() == Some(user_id),
        (None, Some(email)) => member.user_email.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(email)),
        (None, None) => false,
    }
}

/// Stores the changed team and commits.
async fn finish(
    mut change: Change,
    before: &Team,
    mut team: Team,
    now: OffsetDateTime,
    wait: Wait,
) -> Result<(TeamView, Published), AdminError> {
    team.updated_at = now;
    store::update(change.db(), &team).await?;
    note_update(&mut change, before, &team);
    let view = view::view(change.db(), team).await?;
    let published = change.commit(wait).await?;
    Ok((view, published))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn roster(world: &World) -> Vec<(String, String)> {
        let team = world.get("/team/info?team_id=t").await.ok();
        let members = team["team_info"]["members_with_roles"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        members.iter().map(|member| (text(&member["user_id"]), text(&member["role"]))).collect()
    }

    async fn world_with_team() -> (World, String) {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let members = json!([{"role": "admin", "user_id": "boss"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": members})).await.ok();
        (world, boss)
    }

    #[tokio::test]
    async fn members_join_by_id_and_by_address_and_their_users_know_it() {
        let (world, boss) = world_with_team().await;
        world.post("/user/new", json!({"user_id": "u1", "user_email": "a@b.c"})).await.ok();
        let before = world.revision().await;
        let members = json!([{"role": "user", "user_id": "u1"}, {"role": "admin", "user_email": "new@b.c"}]);
        let grown = world.post_as(&boss, "/team/member_add", json!({"team_id": "t", "member": members})).await.ok();
        assert_eq!(world.revision().await, before + 1);
        assert_eq!(grown["updated_users"], json!([]), "a team admin does not see users");
        assert_eq!(grown["updated_team_memberships"][0]["team_id"], "t");
        let found = roster(&world).await;
        assert!(found.contains(&("u1".to_owned(), "user".to_owned())), "{found:?}");
        assert_eq!(world.count("users where 't' = any(teams)").await, 3);

        let more = json!({"team_id": "t", "member": {"user_id": "u3"}});
        let grown = world.post("/team/member_add", more).await.ok();
        assert_eq!(grown["updated_users"][0]["user_id"], "u3");
        let again = json!({"team_id": "t", "member": {"role": "user", "user_email": "A@B.C"}});
        let error = world.post("/team/member_add", again).await.refused(400);
        assert_eq!(error["type"], "team_member_already_in_team");
        let wrong = json!({"team_id": "t", "member": {"user_id": "u1", "user_email": "other@b.c"}});
        world.post("/team/member_add", wrong).await.refused(400);
    }

    #[tokio::test]
    async fn a_member_leaves_with_their_keys_of_the_team_and_no_others() {
        let (world, boss) = world_with_team().await;
        world.post("/team/member_add", json!({"team_id": "t", "member": {"user_id": "u1"}})).await.ok();
        let of_team = world.key(json!({"team_id": "t", "user_id": "u1"})).await;
        let own = world.key(json!({"user_id": "u1"})).await;
        let shared = world.key(json!({"team_id": "t"})).await;
        let left = world.post_as(&boss, "/team/member_delete", json!({"team_id": "t", "user_id": "u1"})).await.ok();
        assert!(!left["members_with_roles"].to_string().contains("u1"), "{left}");
        world.get_as(&of_team, "/key/info").await.refused(401);
        world.get_as(&own, "/key/info").await.ok();
        world.get_as(&shared, "/key/info").await.ok();
        assert_eq!(world.count("users where user_id = 'u1' and cardinality(teams) = 0").await, 1);
        let gone = json!({"team_id": "t", "user_id": "u1"});
        let error = world.post("/team/member_delete", gone).await.refused(400);
        assert_eq!(error["message"], "User not found in team");
    }

    #[tokio::test]
    async fn a_member_gets_another_role() {
        let (world, boss) = world_with_team().await;
        world.post("/team/member_add", json!({"team_id": "t", "member": {"user_id": "u1"}})).await.ok();
        let body = json!({"team_id": "t", "user_id": "u1", "role": "admin"});
        let changed = world.post_as(&boss, "/team/member_update", body).await.ok();
        assert_eq!((&changed["user_id"], &changed["role"]), (&json!("u1"), &json!("admin")));
        assert!(roster(&world).await.contains(&("u1".to_owned(), "admin".to_owned())));
        let body = json!({"team_id": "t", "user_id": "nobody", "role": "admin"});
        world.post("/team/member_update", body).await.refused(400);
    }

    #[tokio::test]
    async fn who_does_not_manage_the_team_changes_nothing_and_bad_input_is_told() {
        let (world, boss) = world_with_team().await;
        let stranger = world.user("u2", "internal_user").await;
        let before = roster(&world).await;
        let joins = json!({"team_id": "t", "member": {"role": "admin", "user_id": "u2"}});
        world.post_as(&stranger, "/team/member_add", joins.clone()).await.refused(401);
        let unknown = json!({"team_id": "t", "member": {"user_id": "nobody"}});
        world.post_as(&boss, "/team/member_add", unknown).await.refused(403);
        world.post_as(&stranger, "/team/member_delete", json!({"team_id": "t", "user_id": "boss"})).await.refused(401);
        let of_none = json!({"team_id": "none", "user_id": "boss"});
        world.post_as(&stranger, "/team/member_delete", of_none.clone()).await.refused(401);
        world.post("/team/member_delete", of_none).await.refused(404);
        for (body, field) in [
            (json!({"team_id": "t"}), "member"),
            (json!({"team_id": "t", "member": {}}), "member"),
            (json!({"team_id": "t", "member": []}), "member"),
            (json!({"member": {"user_id": "u2"}}), "team_id"),
            (json!({"team_id": "t", "member": {"user_id": "u2"}, "max_budget_in_team": 5}), "max_budget_in_team"),
        ] {
            assert_eq!(world.post("/team/member_add", body).await.issues(), [json!(["body", field])]);
        }
        assert_eq!(
            world.post("/team/member_delete", json!({"team_id": "t"})).await.issues(),
            [json!(["body", "user_id"])]
        );
        assert_eq!(roster(&world).await, before);
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'team'").await, 0);
    }
}
