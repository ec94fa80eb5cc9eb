//! `POST /team/bulk_member_add`.

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::managed;
use super::members::check_member;
use crate::access::{AccessError, Actor, Permission};
use crate::app::App;
use crate::budgets::BudgetPatch;
use crate::change::Wait;
use crate::error::{AdminError, Generic};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional, required};
use crate::http::moment;
use crate::teams::members::{self, ACCOUNT, Membership};
use crate::teams::view::TeamView;
use crate::teams::{Member, MemberRole, TeamError, member_from};
use crate::users::{self, UserView};

/// Most members of one call.
const MEMBERS: usize = 500;

/// Who joins which team.
#[derive(Debug)]
pub(super) struct Joining {
    team_id: String,
    /// Nobody in particular: all users.
    members: Option<Vec<Member>>,
    account: BudgetPatch,
}

impl Request for Joining {
    const NAME: &'static str = "ManyNewMembers";
    const FIELDS: &'static [&'static [Field]] = &[
        &[
            required("team_id", Shape::Text, "The team."),
            optional("members", Shape::Objects, "Up to 500 of `{role: admin|user, user_id|user_email}`."),
            optional("all_users", Shape::Truth, "Whether to add all users instead, as plain members."),
        ],
        ACCOUNT,
    ];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let named = form.take::<Vec<Map<String, Value>>>("members").given().filter(|members| !members.is_empty());
        let named = match (named, form.take("all_users").given().unwrap_or(false)) {
            (Some(named), false) => Some(read_members(&named)?),
            (None, true) => None,
            (None, false) => return Err(vec![Issue::missing("members")]),
            (Some(_), true) => {
                let msg = "Give either `members` or `all_users: true`";
                return Err(vec![Issue::of_field("value_error", "all_users", msg, true.into())]);
            }
        };
        let account = members::read_account(&mut form);
        Ok(Self { team_id: form.take("team_id").given().unwrap_or_default(), members: named, account })
    }
}

fn read_members(named: &[Map<String, Value>]) -> Result<Vec<Member>, Vec<Issue>> {
    let mut members = Vec::with_capacity(named.len());
    for (index, item) in named.iter().enumerate() {
        let Some(member) = member_from(item) else {
            return Err(vec![Issue {
                kind: "value_error",
                loc: vec!["body".into(), "members".into(), index.into()],
                msg: "Input should be a member with a user_id or a user_email".to_owned(),
                input: Value::Object(item.clone()),
            }]);
        };
        members.push(member);
    }
    Ok(members)
}

type JoiningBody = Body<Joining>;

/// A team that has grown, and who joined it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Grown {
    team_id: String,
    results: Vec<Outcome>,
    total_requested: usize,
    successful_additions: usize,
    failed_additions: usize,
    updated_team: TeamView,
}

/// What became of one member.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcome {
    user_id: Option<String>,
    user_email: Option<String>,
    success: bool,
    /// Why they did not join.
    error: Option<String>,
    /// For admins: team admins do not see users of other teams.
    updated_user: Option<UserView>,
    updated_team_membership: Option<Membership>,
}

/// Puts many users on a team's roster, as `/team/member_add` does one. Who cannot join is named, and the others do.
#[utoipa::path(
    post,
    path = "/team/bulk_member_add",
    tag = "teams",
    params(Wait),
    request_body = JoiningBody,
    responses((status = 200, body = Grown), crate::error::Refusals),
)]
pub(super) async fn add(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Joining { team_id, members, account }, unknown }: JoiningBody,
) -> Result<Changed<Grown>, Generic> {
    let (mut change, before) = managed::begin(&app, &actor, Permission::ManageTeam, &team_id).await?;
    let members = match members {
        Some(members) => members,
        None if actor.is_admin() => {
            let ids = users::ids(change.db(), i64::try_from(MEMBERS + 1).unwrap_or(i64::MAX)).await?;
            let member = |user_id| Member { role: MemberRole::User, user_id: Some(user_id), user_email: None };
            ids.into_iter().map(member).collect()
        }
        None => return Err(AccessError::Forbidden("Only proxy admins can add all users.".to_owned()).into()),
    };
    if members.len() > MEMBERS {
        return Err(TeamError::TooManyMembers(MEMBERS).into());
    }
    // All who can join do so at once, in the order in which everybody locks users.
    let mut results = Vec::with_capacity(members.len());
    let mut able = Vec::new();
    for member in members {
        let error = match check_member(change.db(), &actor, &member).await {
            Ok(()) => None,
            Err(AdminError::Database(error)) => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        };
        let Member { user_id, user_email, .. } = member.clone();
        if error.is_none() {
            able.push(member);
        }
        let (updated_user, updated_team_membership) = (None, None);
        let success = error.is_none();
        results.push(Outcome { user_id, user_email, success, error, updated_user, updated_team_membership });
    }
    let joined = users::join(&mut change, able, &team_id, moment::now()).await?;
    let mut team = before.clone();
    for (outcome, member) in results.iter_mut().filter(|outcome| outcome.success).zip(joined) {
        (outcome.user_id, outcome.user_email) = (member.user_id.clone(), member.user_email.clone());
        outcome.success = team.add(member);
        if !outcome.success {
            let name = outcome.user_id.clone().unwrap_or_default();
            outcome.error = Some(TeamError::AlreadyMember(name).to_string());
        }
    }
    let added: Vec<String> =
        results.iter().filter(|outcome| outcome.success).filter_map(|outcome| outcome.user_id.clone()).collect();
    let mut users = match actor.sees_all() {
        true => users::views_of(change.db(), &added).await?,
        false => Vec::new(),
    }
    .into_iter();
    let updated_team = managed::put(&mut change, &before, team, &account).await?;
    let of_team = members::memberships(change.db(), std::slice::from_ref(&updated_team)).await?;
    let published = change.commit(wait).await?;

    let accounts: Vec<Membership> = of_team.into_values().flatten().collect();
    for outcome in results.iter_mut().filter(|outcome| outcome.success) {
        outcome.updated_user = users.next();
        let is_theirs = |account: &&Membership| Some(&account.user_id) == outcome.user_id.as_ref();
        outcome.updated_team_membership = accounts.iter().find(is_theirs).cloned();
    }
    let (total_requested, successful_additions) = (results.len(), added.len());
    let failed_additions = total_requested - successful_additions;
    let view = Grown { team_id, results, total_requested, successful_additions, failed_additions, updated_team };
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    const PATH: &str = "/team/bulk_member_add";

    async fn world_with_team() -> (World, String) {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let members = json!([{"role": "admin", "user_id": "boss"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": members})).await.ok();
        world.post("/user/new", json!({"user_id": "u1", "user_email": "a@b.c"})).await.ok();
        (world, boss)
    }

    fn figures(answer: &Value) -> [Value; 3] {
        ["total_requested", "successful_additions", "failed_additions"].map(|name| answer[name].clone())
    }

    #[tokio::test]
    async fn who_can_join_does_and_the_others_are_told_why_not() {
        let (world, boss) = world_with_team().await;
        let before = world.revision().await;
        let members = json!([
            {"role": "admin", "user_id": "u1"}, {"user_email": "new@b.c"}, {"user_id": "boss"}, {"user_email": "A@b.c"},
            {"user_id": "u1", "user_email": "other@b.c"}, {"user_id": "nobody"},
        ]);
        let grown = world.post_as(&boss, PATH, json!({"team_id": "t", "members": members})).await.ok();
        assert_eq!(figures(&grown), [json!(6), json!(2), json!(4)]);
        let worked: Vec<_> = grown["results"].as_array().unwrap().iter().map(|one| one["success"].clone()).collect();
        assert_eq!(worked, [json!(true), json!(true), json!(false), json!(false), json!(false), json!(false)]);
        let first = &grown["results"][0];
        assert_eq!(
            (&first["updated_user"], &first["error"]),
            (&json!(null), &json!(null)),
            "a team admin sees no users"
        );
        assert_eq!(first["updated_team_membership"]["user_id"], "u1");
        assert!(grown["results"][5]["error"].as_str().unwrap().contains("nobody"));
        let roster = grown["updated_team"]["members_with_roles"].as_array().unwrap().len();
        assert_eq!(roster, 4, "the maker, the boss, and two who joined");
        assert_eq!(world.revision().await, before + 1);
        assert_eq!(world.count("users where user_id in ('nobody')").await, 0);
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'team'").await, 1);
    }

    #[tokio::test]
    async fn where_nobody_can_join_nothing_changes() {
        let (world, boss) = world_with_team().await;
        let before = world.revision().await;
        let body = json!({"team_id": "t", "members": [{"user_id": "boss"}]});
        assert_eq!(figures(&world.post_as(&boss, PATH, body).await.ok()), [json!(1), json!(0), json!(1)]);
        assert_eq!(world.revision().await, before);
    }

    #[tokio::test]
    async fn many_who_join_have_a_budget_each() {
        let (world, _boss) = world_with_team().await;
        let before = world.post(PATH, json!({"team_id": "t", "members": [{"user_id": "u1"}], "rpm_limit": -1})).await;
        before.refused(400);
        let members = json!([{"user_id": "u1"}, {"user_id": "u2"}, {"user_id": "boss"}]);
        let body = json!({"team_id": "t", "members": members, "max_budget_in_team": 5, "budget_duration": "1d"});
        let grown = world.post(PATH, body).await.ok();
        let account = |at: usize| &grown["results"][at]["updated_team_membership"];
        assert_eq!(account(0)["litellm_budget_table"]["max_budget"], 5.0);
        assert_ne!(account(0)["budget_id"], account(1)["budget_id"]);
        assert_eq!(account(2), &json!(null), "who was there keeps what they had");
        assert_eq!(world.count("team_members").await, 2);
        assert_eq!(world.count("spend_totals where kind = 'member' and budgeted and budget_window = '1d'").await, 2);
    }

    #[tokio::test]
    async fn admins_add_all_users_and_those_whom_nobody_knows() {
        let (world, boss) = world_with_team().await;
        world.post_as(&boss, PATH, json!({"team_id": "t", "all_users": true})).await.refused(403);
        let grown = world.post(PATH, json!({"team_id": "t", "all_users": true})).await.ok();
        assert_eq!(figures(&grown), [json!(2), json!(1), json!(1)]);
        let grown = world.post(PATH, json!({"team_id": "t", "members": [{"user_id": "new"}]})).await.ok();
        assert_eq!(grown["results"][0]["updated_user"]["user_id"], "new");
    }

    #[tokio::test]
    async fn strangers_add_nobody_and_bad_input_says_where_it_is_bad() {
        let (world, boss) = world_with_team().await;
        let stranger = world.user("u2", "internal_user").await;
        let body = json!({"team_id": "t", "members": [{"role": "admin", "user_id": "u2"}]});
        world.post_as(&stranger, PATH, body).await.refused(401);
        let of_none = json!({"team_id": "none", "members": [{"user_id": "u2"}]});
        world.post_as(&boss, PATH, of_none.clone()).await.refused(401);
        world.post(PATH, of_none).await.refused(404);
        let many: Vec<_> = (0..501).map(|number| json!({"user_id": format!("x{number}")})).collect();
        world.post(PATH, json!({"team_id": "t", "members": many})).await.refused(400);
        for (body, place) in [
            (json!({"team_id": "t"}), json!(["body", "members"])),
            (json!({"team_id": "t", "members": []}), json!(["body", "members"])),
            (json!({"team_id": "t", "members": [{"user_id": "u1"}, {"role": "user"}]}), json!(["body", "members", 1])),
            (json!({"team_id": "t", "members": ["u1"]}), json!(["body", "members", 0])),
            (json!({"members": [{"user_id": "u1"}]}), json!(["body", "team_id"])),
            (json!({"team_id": "t", "members": [{"user_id": "u1"}], "all_users": true}), json!(["body", "all_users"])),
            (
                json!({"team_id": "t", "all_users": true, "max_budget_in_team": "much"}),
                json!(["body", "max_budget_in_team"]),
            ),
        ] {
            assert_eq!(world.post(PATH, body.clone()).await.issues(), [place], "{body}");
        }
        assert_eq!(world.count("audit_log where action = 'updated'").await, 0);
        assert_eq!(world.count("users").await, 3);
    }
}
