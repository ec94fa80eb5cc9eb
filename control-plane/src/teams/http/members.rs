//! `POST /team/member_add`, `/team/member_update` and `/team/member_delete`.

use axum::extract::State;
use proto::NanoUsd;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::managed::{begin, finish, put};
use crate::access::{AccessError, Actor, Permission, Subject};
use crate::app::App;
use crate::budgets::BudgetPatch;
use crate::change::{Change, Wait};
use crate::error::{AdminError, Generic};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional, required};
use crate::http::moment::{self, Moment};
use crate::keys;
use crate::teams::members::{self, ACCOUNT, Membership};
use crate::teams::view::TeamView;
use crate::teams::{Member, MemberRole, Team, TeamError, member_from, store};
use crate::users::{self, UserView};

/// Who joins which team.
#[derive(Debug)]
pub(super) struct Joining {
    team_id: String,
    members: Vec<Member>,
    account: BudgetPatch,
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
        let said = form.take::<Value>("member").given().unwrap_or_default();
        let items = if let Value::Array(items) = said { items } else { vec![said] };
        let member = |item: &Value| item.as_object().and_then(member_from);
        let Some(members) = items.iter().map(member).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty()) else {
            let msg = "Input should be a member with a user_id or a user_email, or a list of them";
            return Err(vec![Issue::of_field("value_error", "member", msg, Value::Null)]);
        };
        let account = members::read_account(&mut form);
        Ok(Self { team_id: form.take("team_id").given().unwrap_or_default(), members, account })
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
    let texts = ["user_id", "user_email"].map(|name| (name.to_owned(), form.take::<Value>(name).given()));
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
pub(super) struct Changing {
    named: Named,
    role: Option<MemberRole>,
    account: BudgetPatch,
}

impl Request for Changing {
    const NAME: &'static str = "ChangedMember";
    const FIELDS: &'static [&'static [Field]] =
        &[WHO, &[optional("role", Shape::Choice(&["admin", "user"]), "What the member may do.")], ACCOUNT];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let role = form.take::<String>("role").given().map(|role| match role.as_str() {
            "admin" => MemberRole::Admin,
            _ => MemberRole::User,
        });
        Ok(Self { role, account: members::read_account(&mut form), named: named(&mut form)? })
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
    /// Of the budget that the member has now, their own or the team's for all.
    max_budget_in_team: Option<f64>,
    budget_duration: Option<String>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    allowed_models: Option<Vec<String>>,
    temp_budget_increase: Option<f64>,
    temp_budget_expiry: Option<Moment>,
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
    Body { asked: Joining { team_id, members, account }, unknown }: JoiningBody,
) -> Result<Changed<GrownTeam>, Generic> {
    let now = moment::now();
    let (mut change, before) = match joins_alone(&app, &actor, &team_id, &members, &account).await? {
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
    let team = put(&mut change, &before, team, &account).await?;
    let of_team = members::memberships(change.db(), std::slice::from_ref(&team)).await?;
    let published = change.commit(wait).await?;
    let mut updated_team_memberships: Vec<Membership> = of_team.into_values().flatten().collect();
    updated_team_memberships.retain(|account| ids.contains(&account.user_id));
    Ok(Changed { view: GrownTeam { team, updated_users, updated_team_memberships }, published, unknown })
}

/// Gives a member another role, or a budget, limits and models of their own.
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
    Body { asked: Changing { named: Named { team_id, who }, role, account }, unknown }: ChangingBody,
) -> Result<Changed<ChangedMember>, Generic> {
    let (mut change, before) = managed(&app, &actor, &team_id).await?;
    let mut team = before.clone();
    let member = team.members.iter_mut().find(|member| is_same(member, &who)).ok_or(TeamError::NotMember)?;
    member.role = role.unwrap_or(member.role);
    let Member { role, user_id, user_email } = member.clone();
    let budget = match &user_id {
        Some(user_id) => members::change_account(&mut change, &team, user_id, account, moment::now()).await?,
        None if account.is_empty() => None,
        None => return Err(TeamError::NotMember.into()),
    };
    let (_, published) = finish(change, &before, team, wait).await?;
    let usd = |amount: Option<NanoUsd>| amount.map(NanoUsd::to_usd);
    let budget = budget.as_ref();
    let view = ChangedMember {
        team_id,
        user_id,
        user_email,
        role,
        max_budget_in_team: usd(budget.and_then(|row| row.max_budget)),
        budget_duration: budget.and_then(|row| row.budget_duration.clone()),
        tpm_limit: budget.and_then(|row| row.tpm_limit),
        rpm_limit: budget.and_then(|row| row.rpm_limit),
        allowed_models: budget.map(|row| row.allowed_models.clone()).filter(|models| !models.is_empty()),
        temp_budget_increase: usd(budget.and_then(|row| row.temp_increase)),
        temp_budget_expiry: budget.and_then(|row| row.temp_expires_at).map(Moment),
    };
    Ok(Changed { view, published, unknown })
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
    let (team, published) = finish(change, &before, team, wait).await?;
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
    account: &BudgetPatch,
) -> Result<Option<(Change, Team)>, AdminError> {
    let oneself = Member { role: MemberRole::User, user_id: actor.user_id.clone(), user_email: None };
    if actor.is_admin()
        || members != [oneself]
        || !account.is_empty()
        || actor.may(Permission::JoinTeam, &Subject::Anything).is_err()
    {
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
    async fn a_member_has_a_budget_of_their_own_or_the_teams() {
        let (world, boss) = world_with_team().await;
        let add =
            json!({"team_id": "t", "member": {"user_id": "u1"}, "max_budget_in_team": 5, "allowed_models": ["m"]});
        let grown = world.post("/team/member_add", add).await.ok();
        let table = &grown["updated_team_memberships"][0]["litellm_budget_table"];
        assert_eq!((&table["max_budget"], &table["allowed_models"]), (&json!(5.0), &json!(["m"])));
        world.post("/team/member_add", json!({"team_id": "t", "member": {"user_id": "u2"}})).await.ok();
        let all = json!({"team_id": "t", "team_member_budget": 3, "team_member_budget_duration": "1d", "metadata": {"team_member_budget_id": "x"}});
        let team = world.post("/team/update", all).await.ok();
        let default = team["data"]["team_member_budget_table"]["budget_id"].clone();
        assert_eq!((&team["data"]["metadata"]["team_member_budget_id"], default.is_string()), (&default, true));
        // Who has one of their own keeps it; whoever joins later gets the team's.
        world.post("/team/member_add", json!({"team_id": "t", "member": {"user_id": "u3"}})).await.ok();
        let of = async |user: &str| {
            let shown = world.get("/team/info?team_id=t").await.ok();
            let all = shown["team_memberships"].as_array().unwrap().clone();
            all.into_iter().find(|one| one["user_id"] == user).unwrap()
        };
        for (user, most) in [("u1", 5.0), ("u2", 3.0), ("u3", 3.0), ("boss", 3.0)] {
            assert_eq!(of(user).await["litellm_budget_table"]["max_budget"], most, "{user}");
        }
        assert_eq!(of("u2").await["budget_id"], default);

        // A change gives a member their own: the rest of it stays as the team's was.
        let body = json!({"team_id": "t", "user_id": "u2", "rpm_limit": 9});
        let changed = world.post_as(&boss, "/team/member_update", body).await.ok();
        assert_eq!((&changed["role"], &changed["rpm_limit"]), (&json!("user"), &json!(9)));
        assert_eq!((&changed["max_budget_in_team"], &changed["budget_duration"]), (&json!(3.0), &json!("1d")));
        assert_ne!(of("u2").await["budget_id"], default);
        let body = json!({"team_id": "t", "user_id": "u2", "max_budget_in_team": 7, "budget_duration": null});
        let changed = world.post("/team/member_update", body).await.ok();
        assert_eq!((&changed["max_budget_in_team"], &changed["budget_duration"]), (&json!(7.0), &Value::Null));
        assert_eq!(world.count("budgets").await, 3);
        let body = json!({"team_id": "t", "user_id": "u1", "allowed_models": []});
        assert_eq!(world.post("/team/member_update", body).await.ok()["allowed_models"], Value::Null);

        // Who leaves has no account any more, and what they spent stays known.
        world.post("/team/member_delete", json!({"team_id": "t", "user_id": "u2"})).await.ok();
        assert_eq!(world.count("team_members where user_id = 'u2'").await, 0);
        assert_eq!(world.count("spend_totals where owner_id = 'u2:t' and not budgeted").await, 1);
        world.post("/user/delete", json!({"user_ids": ["u3"]})).await.ok();
        assert_eq!(world.count("team_members where user_id in ('u1', 'boss')").await, 2);
        assert_eq!(world.count("team_members").await, 3, "the team's maker is the third");
    }

    #[tokio::test]
    async fn whoever_joins_may_call_the_models_that_the_team_gives_to_new_members() {
        let (world, boss) = world_with_team().await;
        world.post("/team/update", json!({"team_id": "t", "default_team_member_models": ["m"]})).await.ok();
        world.post("/team/member_add", json!({"team_id": "t", "member": {"user_id": "u1"}})).await.ok();
        let models = "budgets b join team_members m using (budget_id) where b.allowed_models = '{m}'";
        assert_eq!(world.count(models).await, 1);
        // It is a member's own, and the team's admin may say otherwise.
        let body = json!({"team_id": "t", "user_id": "u1", "allowed_models": ["m", "n"]});
        world.post_as(&boss, "/team/member_update", body).await.ok();
        assert_eq!(world.count(models).await, 0);
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
            (json!({"team_id": "t", "member": {"user_id": "u2"}, "max_budget_in_team": []}), "max_budget_in_team"),
            (json!({"team_id": "t", "member": {"user_id": "u2"}, "allowed_models": "m"}), "allowed_models"),
        ] {
            assert_eq!(world.post("/team/member_add", body).await.issues(), [json!(["body", field])]);
        }
        for said in [
            json!({"max_budget_in_team": -1}),
            json!({"rpm_limit": -1}),
            json!({"budget_duration": "soon"}),
            json!({"temp_budget_increase": 1, "temp_budget_expiry": "soon"}),
        ] {
            let mut joins = json!({"team_id": "t", "member": {"user_id": "u2"}});
            let mut changes = json!({"team_id": "t", "user_id": "boss"});
            for body in [&mut joins, &mut changes] {
                body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            }
            world.post("/team/member_add", joins).await.refused(400);
            world.post("/team/member_update", changes).await.refused(400);
        }
        assert_eq!(
            world.post("/team/member_delete", json!({"team_id": "t"})).await.issues(),
            [json!(["body", "user_id"])]
        );
        assert_eq!(roster(&world).await, before);
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'team'").await, 0);
    }
}
