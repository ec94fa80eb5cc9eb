//! Organizations and members of teams: what is set for them holds for calls of their keys, whichever team or key pays beside.

use std::time::Duration;

use acceptance::client::Client;
use acceptance::planes::chat;
use acceptance::price::{STORY, Tokens, usd};
use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::{EMBEDDING, MODEL, running};

const PATH: &str = "/v1/chat/completions";
const WITHIN: Duration = Duration::from_secs(20);

/// A call whose cost is known before.
fn call() -> Value {
    let mut call = chat(MODEL, "[[fake prompt=10 completion=5]]");
    call["max_tokens"] = json!(5);
    call
}

fn pays_for(calls: u64) -> f64 {
    usd(calls * STORY.of(&Tokens { prompt: 10, completion: 5, ..Tokens::default() }))
}

/// Calls until one is refused with this status, whose message says so; gives how many were served.
async fn until_refused(client: &Client, status: u16, says: &str) -> anyhow::Result<usize> {
    for served in 0..20 {
        let reply = client.post(PATH, &call()).await?;
        if reply.status != 200 {
            let refusal = reply.refusal(status)?;
            ensure!(refusal.message.contains(says), "{refusal:?} instead of {says}");
            return Ok(served);
        }
    }
    anyhow::bail!("twenty calls were served")
}

#[tokio::test]
async fn a_member_is_refused_while_others_of_the_team_go_on() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let admin = planes.admin();
    let members = json!([{ "user_id": "ada" }, { "user_id": "bob" }]);
    let team = json!({ "team_id": "t", "members_with_roles": members, "team_member_budget": pays_for(2) });
    admin.post("/team/new?wait=applied", &team).await?.ok()?;
    let of =
        async |user: &str| anyhow::Ok(planes.at(0, &planes.new_key(json!({ "user_id": user, "team_id": "t" })).await?));
    let (ada, bob) = (of("ada").await?, of("bob").await?);
    let says = "Budget has been exceeded! TeamMember=ada:t Current cost: ";
    ensure!(until_refused(&ada, 422, says).await? == 2);
    bob.post(PATH, &call()).await?.ok()?;
    // It is their account in the team that is spent, not their own.
    let alone = planes.at(0, &planes.new_key(json!({ "user_id": "ada" })).await?);
    alone.post(PATH, &call()).await?.ok()?;

    // More money of their own, or less spent, acts at once.
    let own = json!({ "team_id": "t", "user_id": "ada", "max_budget_in_team": pays_for(3) });
    admin.post("/team/member_update?wait=applied", &own).await?.ok()?;
    ensure!(until_refused(&ada, 422, says).await? == 1);
    ensure!(until_refused(&bob, 422, "TeamMember=bob:t").await? == 1);
    planes.booked(6, WITHIN).await?;
    admin.post("/team/t/member/bob/reset_spend?wait=applied", &json!({})).await?.ok()?;
    bob.post(PATH, &call()).await?.ok()?;

    let slow = json!({ "team_id": "t", "member": { "user_id": "cy" }, "rpm_limit": 1, "max_budget_in_team": 1 });
    admin.post("/team/member_add?wait=applied", &slow).await?.ok()?;
    ensure!(until_refused(&of("cy").await?, 429, "Rate limit exceeded for team_member: cy:t").await? == 1);
    let kept = json!({ "team_id": "t", "member": { "user_id": "dee" }, "allowed_models": [EMBEDDING] });
    admin.post("/team/member_add?wait=applied", &kept).await?.ok()?;
    let refusal = of("dee").await?.post(PATH, &call()).await?.refusal(403)?;
    ensure!(refusal.kind == "team_model_access_denied", "{refusal:?}");
    planes.end()
}

#[tokio::test]
async fn the_budget_and_the_models_of_an_organization_hold_for_all_of_its_teams_and_keys() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let admin = planes.admin();
    let acme = json!({
        "organization_id": "o", "organization_alias": "acme", "max_budget": pays_for(4), "models": [MODEL, EMBEDDING],
    });
    admin.post("/organization/new?wait=applied", &acme).await?.ok()?;
    for team in ["one", "two"] {
        let body = json!({ "team_id": team, "organization_id": "o", "model_aliases": { "theirs": MODEL } });
        admin.post("/team/new?wait=applied", &body).await?.ok()?;
    }
    let of = async |wishes: Value| anyhow::Ok(planes.at(0, &planes.new_key(wishes).await?));
    let one = of(json!({ "team_id": "one" })).await?;
    let two = of(json!({ "team_id": "two" })).await?;
    let alone = of(json!({ "organization_id": "o" })).await?;
    let outside = of(json!({})).await?;
    let says = "Budget has been exceeded! Organization=o Current cost: ";
    for client in [&one, &two, &alone] {
        client.post(PATH, &call()).await?.ok()?;
    }
    ensure!(until_refused(&one, 422, says).await? == 1);
    ensure!(until_refused(&two, 422, says).await? == 0);
    ensure!(until_refused(&alone, 422, says).await? == 0);
    outside.post(PATH, &call()).await?.ok()?;

    // What it may call is asked at each call, under whatever name a team gives it.
    let less = json!({ "organization_id": "o", "max_budget": 1, "models": [EMBEDDING] });
    admin.patch("/organization/update?wait=applied", &less).await?.ok()?;
    let mut aliased = call();
    aliased["model"] = json!("theirs");
    for (client, call) in [(&one, call()), (&alone, call()), (&two, aliased)] {
        let refusal = client.post(PATH, &call).await?.refusal(403)?;
        ensure!(refusal.kind == "org_model_access_denied", "{refusal:?}");
    }
    let listed = one.get("/v1/models").await?.ok()?.to_string();
    ensure!(!listed.contains(&format!("\"{MODEL}\"")) && listed.contains(EMBEDDING), "{listed}");

    let all = json!({ "organization_id": "o", "models": [], "rpm_limit": 1 });
    admin.patch("/organization/update?wait=applied", &all).await?.ok()?;
    // The minute has the calls that were made in it.
    let refusal = until_refused(&two, 429, "Rate limit exceeded for organization: o").await?;
    ensure!(refusal <= 1, "{refusal}");

    // A team that leaves takes its keys along.
    let free = json!({ "team_id": "two", "organization_id": "" });
    admin.post("/team/update?wait=applied", &free).await?.ok()?;
    two.post(PATH, &call()).await?.ok()?;
    ensure!(until_refused(&one, 429, "organization: o").await? <= 1);
    planes.end()
}
