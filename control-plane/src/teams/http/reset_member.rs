//! `POST /team/{team_id}/member/{user_id}/reset_spend`.

use axum::extract::State;
use proto::NanoUsd;
use proto::owner::member_id;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::managed::begin;
use crate::access::{Actor, Permission};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::budgets;
use crate::change::Wait;
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment::Moment;
use crate::http::path::Names;
use crate::limits;
use crate::spend::{self, Owner};
use crate::teams::TeamError;

/// What the member is to have spent.
#[derive(Debug)]
pub(super) struct Wanted {
    reset_to: f64,
}

impl Request for Wanted {
    const NAME: &'static str = "ResetMemberSpend";
    const FIELDS: &'static [&'static [Field]] =
        &[&[optional("reset_to", Shape::Number, "US dollars, from 0 to what is spent now. Absent: 0.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { reset_to: form.take("reset_to").given().unwrap_or(0.0) })
    }
}

type ResetMemberSpend = Body<Wanted>;

/// What became of the member's spend in the team.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberSpendReset {
    team_id: String,
    user_id: String,
    spend: f64,
    previous_spend: f64,
    budget_reset_at: Option<Moment>,
}

/// Says that a member spent less in the current windows of their budget in a team. What was spent ever stays known.
#[utoipa::path(
    post,
    path = "/team/{team_id}/member/{user_id}/reset_spend",
    tag = "teams",
    params(
        ("team_id" = String, Path, description = "The team."),
        ("user_id" = String, Path, description = "The member."),
        Wait,
    ),
    request_body = ResetMemberSpend,
    responses((status = 200, body = MemberSpendReset), crate::error::Refusals),
)]
pub(super) async fn reset(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    names: Names<2>,
    Body { asked: Wanted { reset_to }, unknown }: ResetMemberSpend,
) -> Result<Changed<MemberSpendReset>, Plain> {
    let Names([team_id, user_id]) = names;
    let (mut change, team) = begin(&app, &actor, Permission::ManageTeam, &team_id).await?;
    if team.members.iter().all(|member| member.user_id.as_ref() != Some(&user_id)) {
        return Err(TeamError::NotMember.into());
    }
    let id = member_id(&user_id, &team_id);
    let wanted = limits::usd("reset_to", Some(reset_to)).map_err(TeamError::from)?.unwrap_or(NanoUsd::ZERO);
    budgets::lock(change.db(), Owner::Member, &id).await?;
    let before = spend::total(change.db(), Owner::Member, &id).await?;
    if wanted > before.window {
        return Err(TeamError::ResetAbove { wanted: reset_to, most: before.window.to_usd() }.into());
    }
    if budgets::reset_spent(change.db(), Owner::Member, &id, wanted.nanos()).await? > 0 {
        let spent = |amount: NanoUsd| Some(json!({"spend": amount.to_usd()}));
        let (before, after) = (spent(before.window), spent(wanted));
        change.note(Entry { action: Action::Updated, noun: Noun::Member, id, before, after });
    }
    let published = change.commit(wait).await?;
    let view = MemberSpendReset {
        team_id,
        user_id,
        spend: wanted.to_usd(),
        previous_spend: before.window.to_usd(),
        budget_reset_at: before.resets_at.map(Moment),
    };
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    const PATH: &str = "/team/t/member/ada/reset_spend";

    #[tokio::test]
    async fn a_member_has_spent_no_more_than_is_said_and_nobody_else_says_it() {
        let world = World::new().await;
        let (boss, ada) = (world.user("boss", "internal_user").await, world.user("ada", "internal_user").await);
        let members = json!([{"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "ada"}]);
        let team = json!({"team_id": "t", "members_with_roles": members, "team_member_budget": 5});
        world.post("/team/new", team).await.ok();
        sqlx::query(
            "update spend_totals set cost_nano_usd = 4000000000, total_nano_usd = 4000000000 where kind = 'member'",
        )
        .execute(&world.db())
        .await
        .unwrap();
        world.post_as(&ada, PATH, json!({})).await.refused(401);
        for (path, body, status) in [
            (PATH, json!({"reset_to": 4.5}), 400),
            (PATH, json!({"reset_to": -1}), 400),
            ("/team/t/member/nobody/reset_spend", json!({}), 400),
            ("/team/none/member/ada/reset_spend", json!({}), 404),
        ] {
            assert_eq!(world.post(path, body).await.status, status, "{path}");
        }
        assert_eq!(world.post(PATH, json!({"reset_to": "much"})).await.issues(), [json!(["body", "reset_to"])]);
        let reset = world.post_as(&boss, PATH, json!({"reset_to": 1.5})).await.ok();
        assert_eq!((&reset["spend"], &reset["previous_spend"]), (&json!(1.5), &json!(4.0)));
        assert_eq!(world.post_as(&boss, PATH, json!({})).await.ok()["spend"], 0.0);
        let shown = world.get("/team/info?team_id=t").await.ok();
        let accounts: Vec<_> = shown["team_memberships"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["spend"].clone(), one["total_spend"].clone()))
            .collect();
        assert_eq!(accounts[1], (json!(0.0), json!(4.0)), "{shown}");
        assert_eq!(accounts[0].0, 4.0, "others spent what they spent");
    }
}
