//! `/config/…`, for admins to read: one file per endpoint.

mod info;
mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(info::info))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn configured() -> World {
        let world = World::new().await;
        let vault = crate::vault::Vault::from_secret(b"test");
        let place = crate::publish::sections::place("general_settings", "file");
        let sealed = vault.seal(&place, json!({"alerting_token": "hunter2"}).to_string().as_bytes());
        sqlx::query(
            "insert into settings (section, origin, value, sealed_value) values
                 ('general_settings', 'file', '{\"completion_model\": \"smart\", \"on_unknown_price\": \"deny\"}', $1),
                 ('general_settings', 'api', '{\"completion_model\": \"smarter\"}', null)",
        )
        .bind(sealed)
        .execute(&world.db())
        .await
        .unwrap();
        world
    }

    fn field<'a>(list: &'a Value, name: &str) -> &'a Value {
        list.as_array().unwrap().iter().find(|field| field["field_name"] == name).unwrap()
    }

    #[tokio::test]
    async fn fields_are_listed_with_what_is_set_and_where_it_was_said() {
        let world = configured().await;
        let list = world.get("/config/list?config_type=general_settings").await.ok();
        let model = field(&list, "completion_model");
        assert_eq!((&model["field_value"], &model["stored_in_db"]), (&json!("smarter"), &json!(true)));
        let price = field(&list, "on_unknown_price");
        assert_eq!((&price["field_value"], &price["stored_in_db"]), (&json!("deny"), &json!(false)));
        let unset = field(&list, "always_include_stream_usage");
        assert_eq!(
            (&unset["field_value"], &unset["stored_in_db"], &unset["field_type"]),
            (&json!(null), &json!(null), &json!("Boolean"))
        );
        assert!(list.as_array().unwrap().iter().all(|field| field["field_name"] != "master_key"), "{list}");
        assert!(!list.to_string().contains("hunter2"), "{list}");
        for query in ["", "?config_type=", "?config_type=litellm_settings"] {
            assert_eq!(world.get(&format!("/config/list{query}")).await.issues(), [json!(["query", "config_type"])]);
        }
    }

    #[tokio::test]
    async fn a_field_is_shown_masked_where_it_is_secret_and_one_that_is_unset_is_a_400() {
        let world = configured().await;
        let shown = world.get("/config/field/info?field_name=on_unknown_price").await.ok();
        let expected =
            json!({"field_name": "on_unknown_price", "field_value": "deny", "source": "config", "editable": false});
        assert_eq!(shown, expected);
        let shown = world.get("/config/field/info?field_name=completion_model").await.ok();
        assert_eq!((&shown["field_value"], &shown["source"]), (&json!("smarter"), &json!("db")));
        assert_eq!(world.get("/config/field/info?field_name=alerting_token").await.ok()["field_value"], "***");
        for name in ["always_include_stream_usage", "no_such_field", "master_key"] {
            let answer = world.get(&format!("/config/field/info?field_name={name}")).await;
            assert_eq!(
                (answer.status, answer.body),
                (400, json!({"detail": {"error": format!("Field name={name} not in DB")}}))
            );
        }
        assert_eq!(world.get("/config/field/info").await.issues(), [json!(["query", "field_name"])]);
    }

    #[tokio::test]
    async fn settings_are_for_admins() {
        let world = configured().await;
        let (viewer, user) = (world.user("v", "proxy_admin_viewer").await, world.user("u", "internal_user").await);
        for path in ["/config/list?config_type=general_settings", "/config/field/info?field_name=completion_model"] {
            world.get_as(&viewer, path).await.ok();
            assert_eq!(world.get_as(&user, path).await.status, 401, "{path}");
        }
    }
}
