//! `/health/…` and `/fleet`: one file per endpoint.

mod details;
mod fleet;
mod liveness;
mod readiness;
mod test;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(liveness::liveliness))
        .routes(routes!(liveness::liveness))
        .routes(routes!(readiness::readiness))
        .routes(routes!(details::details))
        .routes(routes!(test::test))
        .routes(routes!(fleet::fleet))
        .routes(routes!(fleet::confirm_shrink))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn health_is_for_everybody_and_readiness_is_the_databases() {
        let world = World::new().await;
        for path in ["/health/liveliness", "/health/liveness"] {
            assert_eq!(world.call("GET", path, &[], "").await.ok(), "I'm alive!");
        }
        let ready = world.call("GET", "/health/readiness", &[], "").await.ok();
        assert_eq!((&ready["status"], &ready["db"]), (&json!("healthy"), &json!("connected")));
        world.db().close().await;
        let answer = world.call("GET", "/health/readiness", &[], "").await;
        assert_eq!((answer.status, &answer.body["db"]), (503, &json!("Not connected")));
        let error = world.get("/key/list").await.refused(503);
        assert_eq!(error["type"], "no_db_connection");
    }

    #[tokio::test]
    async fn details_are_for_whoever_has_a_key_and_a_test_is_for_everybody() {
        let world = World::new().await;
        let key = world.key(json!({})).await;
        let details = world.get_as(&key, "/health/readiness/details").await.ok();
        assert_eq!(
            (&details["status"], &details["db"], &details["cache"]),
            (&json!("healthy"), &json!("connected"), &json!(null))
        );
        assert_eq!((&details["success_callbacks"], &details["data_planes"]), (&json!([]), &json!(0)));
        assert_eq!(details["litellm_version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(world.call("GET", "/health/readiness/details", &[], "").await.status, 401);
        assert_eq!(world.call("GET", "/test", &[], "").await.ok(), json!({"route": "/test"}));
        world.db().close().await;
    }

    #[tokio::test]
    async fn the_routes_are_listed_for_everybody() {
        let world = World::new().await;
        let routes = world.call("GET", "/routes", &[], "").await.ok()["routes"].clone();
        let routes = routes.as_array().unwrap();
        let has = |path: &str, method: &str| {
            routes.iter().any(|route| route["path"] == path && route["methods"] == json!([method]))
        };
        assert!(has("/key/generate", "POST") && has("/key/info", "GET") && has("/routes", "GET"), "{routes:?}");
        assert!(
            routes.iter().all(|route| route["name"].is_string() && route["endpoint"] == route["name"]),
            "{routes:?}"
        );
    }

    #[tokio::test]
    async fn the_fleet_is_shown_to_admins_with_the_newest_revision() {
        let world = World::new().await;
        let key = world.key(json!({})).await;
        let fleet = world.get("/fleet").await.ok();
        assert_eq!((&fleet["revision"], &fleet["data_planes"]), (&json!(1), &json!([])));
        world.get_as(&key, "/fleet").await.refused(401);
    }

    #[tokio::test]
    async fn only_an_admin_confirms_that_less_is_meant() {
        let world = World::new().await;
        let key = world.key(json!({})).await;
        let confirmed = world.post("/fleet/confirm_shrink", json!({})).await.ok();
        assert_eq!(confirmed, json!({ "data_planes": [] }));
        world.post_as(&key, "/fleet/confirm_shrink", json!({})).await.refused(401);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found() {
        let world = World::new().await;
        let answer = world.get("/nowhere").await;
        assert_eq!((answer.status, answer.body), (404, json!({"detail": "Not Found"})));
        let answer = world.get("/key/generate").await;
        assert_eq!((answer.status, answer.body), (405, json!({"detail": "Method Not Allowed"})));
    }
}
