//! What belongs to an organization, and what its own admins may do with it.

use serde_json::{Value, json};

use crate::fixture::World;

/// Two organizations, one of them with an admin: their key.
async fn world_of_two() -> (World, String) {
    let world = World::new().await;
    let body = json!({
        "organization_id": "o", "organization_alias": "acme", "models": ["m", "openai/*"], "max_budget": 10, "rpm_limit": 100,
        "tpm_limit": 1000,
    });
    world.post("/organization/new", body).await.ok();
    world.post("/organization/new", json!({"organization_id": "p", "organization_alias": "other"})).await.ok();
    let boss = world.user("boss", "internal_user").await;
    let member = json!({"organization_id": "o", "member": {"role": "org_admin", "user_id": "boss"}});
    world.post("/organization/member_add", member).await.ok();
    (world, boss)
}

#[tokio::test]
async fn a_team_has_no_more_than_its_organization_and_says_of_which_it_is() {
    let (world, _boss) = world_of_two().await;
    let error = world.post("/team/new", json!({"team_id": "t", "organization_id": "none"})).await.refused(400);
    assert!(error["message"].as_str().unwrap().starts_with("Organization not found"), "{error}");
    for (said, kind) in [
        (json!({"models": ["n"]}), "org_model_access_denied"),
        (json!({"models": ["all-proxy-models"]}), "org_model_access_denied"),
        (json!({"model_aliases": {"m": "n"}}), "org_model_access_denied"),
        (json!({"max_budget": 11}), "internal_server_error"),
        (json!({"rpm_limit": 101}), "internal_server_error"),
        (json!({"tpm_limit": 1001}), "internal_server_error"),
    ] {
        let mut body = json!({"team_id": "t", "organization_id": "o"});
        body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        assert_eq!(world.post("/team/new", body).await.refused(400)["type"], kind, "{said}");
    }
    assert_eq!(world.count("teams").await, 0);
    let body = json!({"team_id": "t", "organization_id": "o", "models": ["m", "openai/x"], "max_budget": 10, "rpm_limit": 100});
    assert_eq!(world.post("/team/new", body).await.ok()["organization_id"], "o");
    world.post("/team/update", json!({"team_id": "t", "max_budget": 11})).await.refused(400);
    world.send("PATCH", "/team/t", json!({"models": ["n"]})).await.refused(400);
    assert_eq!(world.post("/team/model/add", json!({"team_id": "t", "models": ["n"]})).await.status, 400);
    // What is not about the organization can be changed though the team has too much of it by now.
    let less = json!({"organization_id": "o", "models": ["m"], "max_budget": 1});
    world.send("PATCH", "/organization/update", less).await.ok();
    world.post("/team/update", json!({"team_id": "t", "team_alias": "new name"})).await.ok();
    world.post("/team/update", json!({"team_id": "t", "max_budget": 9})).await.refused(400);
}

#[tokio::test]
async fn a_key_belongs_to_the_organization_of_its_team_and_moves_with_it() {
    let (world, _boss) = world_of_two().await;
    world.post("/team/new", json!({"team_id": "t", "organization_id": "o"})).await.ok();
    world.post("/team/new", json!({"team_id": "free"})).await.ok();
    for body in [
        json!({"organization_id": "none"}),
        json!({"organization_id": "p", "team_id": "t"}),
        json!({"organization_id": "o", "models": ["n"]}),
        json!({"team_id": "t", "models": ["n"]}),
    ] {
        world.post("/key/generate", body.clone()).await.refused(400);
    }
    let key = world.key(json!({"team_id": "t"})).await;
    let own = world.key(json!({"organization_id": "o", "models": ["m"]})).await;
    let organization =
        async |key: &str| world.get(&format!("/key/info?key={key}")).await.ok()["info"]["organization_id"].clone();
    assert_eq!((organization(&key).await, organization(&own).await), (json!("o"), json!("o")));
    for body in [
        json!({"key": own, "organization_id": "none"}),
        json!({"key": own, "models": ["n"]}),
        json!({"key": key, "organization_id": "p"}),
    ] {
        world.post("/key/update", body.clone()).await.refused(400);
        world.post("/key/regenerate", body).await.refused(400);
    }
    let published = world.count("change_log where kind = 'key'").await;
    world.post("/team/update", json!({"team_id": "t", "organization_id": "p"})).await.ok();
    assert_eq!(organization(&key).await, "p");
    assert_eq!(world.count("change_log where kind = 'key'").await, published + 1);
    world.post("/key/update", json!({"key": key, "team_id": "free"})).await.ok();
    assert_eq!(organization(&key).await, Value::Null);
    world.post("/key/update", json!({"key": own, "organization_id": null})).await.ok();
    assert_eq!(organization(&own).await, Value::Null);
    let again = world.post("/key/regenerate", json!({"key": key, "team_id": "t"})).await.ok();
    assert_eq!(again["organization_id"], "p", "another value does not leave it behind");
    world.post("/team/update", json!({"team_id": "t", "organization_id": ""})).await.ok();
    assert_eq!(world.count("teams where organization_id is null").await, 2);
}

#[tokio::test]
async fn its_admins_manage_its_teams_and_keys_and_no_others() {
    let (world, boss) = world_of_two().await;
    let plain = world.user("plain", "internal_user").await;
    let error = world.post_as(&boss, "/team/new", json!({"team_id": "x"})).await.refused(401);
    assert_eq!(error["type"], "auth_error");
    world.post_as(&boss, "/team/new", json!({"team_id": "x", "organization_id": "p"})).await.refused(401);
    world.post_as(&plain, "/team/new", json!({"team_id": "x", "organization_id": "o"})).await.refused(401);
    let stranger = json!({"team_id": "x", "organization_id": "o", "members_with_roles": [{"user_id": "nobody"}]});
    world.post_as(&boss, "/team/new", stranger).await.refused(403);
    world.post_as(&boss, "/team/new", json!({"team_id": "ours", "organization_id": "o"})).await.ok();
    world.post("/team/new", json!({"team_id": "theirs", "organization_id": "p"})).await.ok();
    world.post("/team/new", json!({"team_id": "free"})).await.ok();

    let changed = world.post_as(&boss, "/team/update", json!({"team_id": "ours", "max_budget": 5})).await.ok();
    assert_eq!(changed["data"]["max_budget"], 5.0);
    world.post_as(&boss, "/team/update", json!({"team_id": "ours", "max_budget": 11})).await.refused(400);
    for said in [json!({"organization_id": "p"}), json!({"organization_id": ""})] {
        let mut body = json!({"team_id": "ours"});
        body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        world.post_as(&boss, "/team/update", body).await.refused(401);
    }
    for said in [
        json!({"metadata": {"allow_client_mock_response": true}}),
        json!({"metadata": {"allow_litellm_changed_by_header": true}}),
        json!({"allowed_passthrough_routes": ["/x"]}),
        json!({"router_settings": {"fallbacks": []}}),
        json!({"object_permission": {"mcp_servers": ["x"]}}),
    ] {
        let answer = world.send_as(&boss, "PATCH", "/team/ours", said.clone()).await;
        assert_eq!(answer.status, 403, "{said}: {}", answer.body);
    }
    let logging = json!({"callback_name": "langfuse", "callback_vars": {"langfuse_host": "https://x.test"}});
    world.post_as(&boss, "/team/ours/callback", logging).await.refused(403);
    for team in ["theirs", "free"] {
        world.post_as(&boss, "/team/update", json!({"team_id": team, "max_budget": 5})).await.refused(403);
        world.post_as(&boss, "/team/block", json!({"team_id": team})).await;
        world.get_as(&boss, &format!("/team/info?team_id={team}")).await.refused(403);
        world.post_as(&boss, "/key/generate", json!({"team_id": team})).await.refused(401);
    }
    assert_eq!(world.count("teams where blocked").await, 0);
    let member = json!({"team_id": "ours", "member": {"user_id": "plain"}});
    world.post_as(&boss, "/team/member_add", member).await.ok();
    let key = world.post_as(&boss, "/key/generate", json!({"team_id": "ours", "user_id": "plain"})).await.ok();
    world.post_as(&boss, "/key/delete", json!({"keys": [key["key"]]})).await.ok();
    // A key of the organization that is in no team is theirs to see, to block and to delete.
    let (of_o, of_p) =
        (world.key(json!({"organization_id": "o"})).await, world.key(json!({"organization_id": "p"})).await);
    world.get_as(&boss, &format!("/key/info?key={of_o}")).await.ok();
    world.post_as(&boss, "/key/block", json!({"key": of_o})).await.ok();
    world.get_as(&boss, &format!("/key/info?key={of_p}")).await.refused(403);
    assert_eq!(world.post_as(&boss, "/key/block", json!({"key": of_p})).await.status, 403);
    world.post_as(&boss, "/key/update", json!({"key": of_o, "models": ["m"]})).await.refused(403);
    let list = world.get_as(&boss, "/team/list").await.ok();
    let teams: Vec<_> = list.as_array().unwrap().iter().map(|team| team["team_id"].clone()).collect();
    assert_eq!(teams, [json!("ours")]);
    assert_eq!(world.get_as(&boss, "/v2/team/list?organization_id=o").await.ok()["total"], 1);
    assert_eq!(world.get_as(&boss, "/v2/team/list?organization_id=p").await.status, 401);
    assert_eq!(world.get_as(&plain, "/team/list").await.status, 401);
    world.post_as(&boss, "/team/delete", json!({"team_ids": ["ours"]})).await.ok();

    // Who is no admin of it any more may no more.
    let body = json!({"organization_id": "o", "user_id": "boss", "role": "internal_user"});
    world.send("PATCH", "/organization/member_update", body).await.ok();
    world.post_as(&boss, "/team/new", json!({"team_id": "ours", "organization_id": "o"})).await.refused(401);
}
