//! `POST /model/new`.

use axum::extract::State;
use serde_json::{Map, Value};

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::change::{Change, Wait};
use crate::error::AuthStyle;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional, required};
use crate::http::moment;
use crate::models::making::{self, Wanted};
use crate::models::row::{self, ModelRow};
use crate::models::{ModelError, check, store};
use crate::teams;

/// What `POST /model/new` asks for.
pub(super) struct NewModel {
    model_name: String,
    params: Map<String, Value>,
    model_info: Map<String, Value>,
}

impl Request for NewModel {
    const NAME: &'static str = "NewModel";
    const FIELDS: &'static [&'static [Field]] = &[&[
        required("model_name", Shape::Text, "What clients ask for."),
        required(
            "litellm_params",
            Shape::Object,
            "How it is called, as in `model_list` of config.yaml. Secrets are sealed.",
        ),
        optional(
            "model_info",
            Shape::Object,
            "`id` (absent: a random one), `team_id` (only this team may call it), `access_groups`, `mode`, prices and \
             whatever else is to be shown.",
        ),
    ]];
    const SEALED: &'static [&'static str] = &["litellm_params"];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            model_name: form.take("model_name").given().unwrap_or_default(),
            params: form.take("litellm_params").given().unwrap_or_default(),
            model_info: form.take("model_info").given().unwrap_or_default(),
        })
    }
}

type NewModelBody = Body<NewModel>;

/// Adds a model. Data planes serve it when this answers.
#[utoipa::path(
    post,
    path = "/model/new",
    tag = "models",
    params(Wait),
    request_body = NewModelBody,
    responses((status = 200, body = ModelRow), crate::error::Refusals),
)]
pub(super) async fn new(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: NewModel { model_name, params, model_info }, unknown }: NewModelBody,
) -> Result<Changed<ModelRow>, AuthStyle> {
    actor.may(Permission::ChangeModel, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let now = moment::now();
    let wanted = Wanted { model_name: Some(model_name), params, model_info, blocked: None };
    let mut row = making::make(wanted, &change.author().changed_by, now)?;
    if let Some(team_id) = row.team_id().map(str::to_owned)
        && !teams::open_to(&mut change, &team_id, &row.public_name(), now).await?
    {
        return Err(ModelError::UnknownTeam(team_id).into());
    }
    check(&app, change.db(), &row).await?;
    row.seal(app.publisher.vault());
    let inserted = store::insert(change.db(), &row).await;
    inserted.map_err(|error| ModelError::from_insert(error, &row.id))?;
    change.note(Entry {
        action: Action::Created,
        noun: Noun::Model,
        id: row.id.clone(),
        before: None,
        after: Some(row::for_audit(&row)),
    });
    let published = change.commit(wait).await?;
    Ok(Changed { view: ModelRow::of(&row), published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    #[tokio::test]
    async fn a_model_is_stored_audited_and_shown_without_its_secrets() {
        let world = World::new().await;
        let body = json!({
            "model_name": "smart",
            "litellm_params": {
                "model": "openai/gpt-4o", "api_key": "sk-provider-secret", "rpm": 5,
                "extra_headers": {"Authorization": "Bearer hidden-too"},
            },
            "model_info": {"id": "one", "access_groups": ["beta"], "db_model": false},
            "odd": 1,
        });
        let answer = world.post("/model/new", body).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
        assert_eq!(answer.header("x-turnpike-revision"), Some("1"));
        let row = answer.ok();
        assert_eq!((&row["model_id"], &row["model_name"]), (&json!("one"), &json!("smart")));
        assert_eq!(row["litellm_params"], json!({"model": "openai/gpt-4o", "rpm": 5}));
        assert_eq!(row["model_info"], json!({"access_groups": ["beta"], "id": "one", "db_model": true}));
        assert_eq!(world.count("change_log where kind = 'deployment' and object_id = 'one'").await, 1);
        assert_eq!(world.count("audit_log where noun = 'model' and action = 'created' and object_id = 'one'").await, 1);

        let everything: String = sqlx::query_scalar(
            "select string_agg(t, ' ') from (select d::text as t from deployments d union all
             select a::text from audit_log a) rows",
        )
        .fetch_one(&world.db())
        .await
        .unwrap();
        for secret in ["sk-provider-secret", "hidden-too"] {
            assert!(!everything.contains(secret) && !everything.contains(&hex::encode(secret)), "{secret} lies open");
        }
        let info = world.get("/model/info").await.ok();
        assert_eq!(info["data"][0]["model_info"]["db_model"], true);
        assert_eq!(info["data"][0]["model_info"].get("unavailable"), None, "its key is there");
        assert!(!info.to_string().contains("sk-provider-secret"));
    }

    #[tokio::test]
    async fn a_reference_stays_one_and_the_model_waits_for_it() {
        let world = World::new().await;
        let params = json!({"model": "openai/gpt-4o", "api_key": "os.environ/NOT_SET_YET"});
        let row = world.post("/model/new", json!({"model_name": "m", "litellm_params": params})).await.ok();
        assert!(!row.to_string().contains("NOT_SET_YET"), "{row}");
        assert_eq!(world.count("deployments where params->>'api_key' = 'os.environ/NOT_SET_YET'").await, 1);
        assert_eq!(world.count("audit_log where audit_log::text like '%NOT_SET_YET%'").await, 0);
        let info = world.get("/model/info").await.ok();
        assert!(info["data"][0]["model_info"]["unavailable"].as_str().unwrap().contains("NOT_SET_YET"));
    }

    #[tokio::test]
    async fn what_cannot_be_called_as_written_is_refused_and_nothing_is_stored() {
        let world = World::new().await;
        let at = |base: &str| json!({"model": "openai/x", "api_key": "k", "api_base": base});
        for (params, named) in [
            (json!({}), "model"),
            (json!({"model": "nobody/x"}), "nobody"),
            (json!({"model": "no-provider"}), "no-provider"),
            (json!({"model": "anthropic/claude"}), "anthropic"),
            (json!({"model": ["openai/x"]}), "litellm_params.model"),
            (json!({"model": "openai/x", "modle": "y"}), "litellm_params.modle"),
            (json!({"model": "openai/x", "apikey": "k"}), "litellm_params.apikey"),
            (json!({"model": "openai/x", "rpm": -1}), "litellm_params.rpm"),
            (json!({"model": "openai/x", "timeout": "soon"}), "litellm_params.timeout"),
            (json!({"model": "openai/x", "input_cost_per_token": -1}), "input_cost_per_token"),
            (json!({"model": "openai/x", "max_budget": 5}), "max_budget"),
            (json!({"model": "openai/x", "organization": ["a", "b"]}), "organization"),
            (json!({"model": "openai/x", "mock_response": 5}), "mock_response"),
            (json!({"model": "openai/x", "api_key": "***"}), "litellm_params.api_key"),
            (json!({"model": "openai/x", "litellm_credential_name": "nobodys"}), "nobodys"),
            (at("nonsense"), "called"),
            (at("ftp://host.example"), "called"),
            (at("https://user:hunter2@host.example"), "called"),
        ] {
            let error =
                world.post("/model/new", json!({"model_name": "m", "litellm_params": params})).await.refused(400);
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(named), "{params}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
            assert_eq!(error["type"], "auth_error");
        }
        let good = json!({"model": "openai/x", "api_key": "k"});
        for (info, named) in [
            (json!({"id": 5}), "model_info.id"),
            (json!({"id": "x".repeat(257)}), "model_info.id"),
            (json!({"team_id": "nobody"}), "nobody"),
            (json!({"team_id": 5}), "team_id"),
            (json!({"team_public_model_name": "m"}), "team_public_model_name"),
            (json!({"acess_groups": ["a"]}), "acess_groups"),
            (json!({"access_groups": "a"}), "access_groups"),
            (json!({"blocked": "maybe"}), "blocked"),
        ] {
            let body = json!({"model_name": "m", "litellm_params": good, "model_info": info});
            let error = world.post("/model/new", body).await.refused(400);
            assert!(error["message"].as_str().unwrap().contains(named), "{info}: {error}");
        }
        world.post("/model/new", json!({"model_name": " ", "litellm_params": good})).await.refused(400);
        let secret_info = json!({"model_name": "m", "litellm_params": good, "model_info": {"api_key": "sk-x"}});
        world.post("/model/new", secret_info).await.refused(400);
        let issues = |body: Value| async { world.post("/model/new", body).await.issues() };
        assert_eq!(issues(json!({})).await, [json!(["body", "model_name"]), json!(["body", "litellm_params"])]);
        let wrong = json!({"model_name": 5, "litellm_params": [], "model_info": "x"});
        assert_eq!(issues(wrong).await.len(), 3);
        assert_eq!((world.count("deployments").await, world.revision().await), (0, 0));
        assert_eq!(world.count("audit_log").await, 0);
    }

    #[tokio::test]
    async fn a_taken_id_is_refused_whoever_owns_it() {
        let world = World::new().await;
        let insert = "insert into deployments (id, model_name, params, origin) values ('of-file', 'm', '{}', 'file')";
        sqlx::query(insert).execute(&world.db()).await.unwrap();
        let body = |id: &str| json!({"model_name": "m", "litellm_params": {"model": "openai/x", "mock_response": "hi"}, "model_info": {"id": id}});
        world.post("/model/new", body("mine")).await.ok();
        for id in ["of-file", "mine"] {
            let error = world.post("/model/new", body(id)).await.refused(400);
            assert!(error["message"].as_str().unwrap().contains(id), "{error}");
        }
        assert_eq!((world.count("deployments").await, world.revision().await), (2, 1));
    }

    #[tokio::test]
    async fn only_admins_choose_where_calls_go() {
        let world = World::new().await;
        let body = json!({"model_name": "m", "litellm_params": {"model": "openai/x", "api_key": "os.environ/ANY"}});
        let user = world.user("u1", "internal_user").await;
        world.post_as(&user, "/model/new", body.clone()).await.refused(403);
        for role in ["proxy_admin_viewer", "internal_user_viewer"] {
            let key = world.user(role, role).await;
            world.post_as(&key, "/model/new", body.clone()).await.refused(401);
        }
        let roster = json!([{"role": "admin", "user_id": "u1"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        let mut of_team = body;
        of_team["model_info"] = json!({"team_id": "t"});
        world.post_as(&user, "/model/new", of_team).await.refused(403);
        assert_eq!(world.count("deployments").await, 0);
    }

    #[tokio::test]
    async fn a_team_s_model_has_a_name_of_its_own_and_opens_the_team_s_list() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "narrow", "models": ["cheap"]})).await.ok();
        world.post("/team/new", json!({"team_id": "open"})).await.ok();
        let params = json!({"model": "openai/x", "mock_response": "hi"});
        for (id, team) in [("a", "narrow"), ("b", "narrow"), ("c", "open")] {
            let info = json!({"id": id, "team_id": team});
            let body = json!({"model_name": "smart", "litellm_params": params, "model_info": info});
            let row = world.post("/model/new", body).await.ok();
            assert!(row["model_name"].as_str().unwrap().starts_with(&format!("model_name_{team}_")), "{row}");
            assert_eq!(row["model_info"]["team_public_model_name"], "smart");
        }
        let world = &world;
        let models = |team: &'static str| async move {
            world.get(&format!("/team/info?team_id={team}")).await.ok()["team_info"]["models"].clone()
        };
        assert_eq!((models("narrow").await, models("open").await), (json!(["cheap", "smart"]), json!([])));
        world.post("/model/delete", json!({"id": "a"})).await.ok();
        assert_eq!(models("narrow").await, json!(["cheap", "smart"]), "another one is called so");
        world.post("/model/delete", json!({"id": "b"})).await.ok();
        assert_eq!(models("narrow").await, json!(["cheap"]));
        let pattern = json!({"model_name": "openai/*", "litellm_params": params, "model_info": {"team_id": "open"}});
        world.post("/model/new", pattern).await.refused(400);
    }

    #[tokio::test]
    async fn a_team_whose_last_model_goes_is_not_open_to_all() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t", "models": ["smart"]})).await.ok();
        let params = json!({"model": "openai/x", "mock_response": "hi"});
        let body = json!({"model_name": "smart", "litellm_params": params, "model_info": {"id": "a", "team_id": "t"}});
        world.post("/model/new", body).await.ok();
        world.post("/model/delete", json!({"id": "a"})).await.ok();
        let team = world.get("/team/info?team_id=t").await.ok();
        assert_eq!(team["team_info"]["models"], json!(["no-default-models"]));
    }
}
