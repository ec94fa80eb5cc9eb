//! `POST /add/allowed_ip`.

use axum::Extension;
use axum::extract::State;
use proto::address::Network;

use super::{AllowedIp, AllowedIpBody, ChangedList};
use crate::access::{Actor, CallerAddress, Permission, Subject};
use crate::addresses::{AddressError, place, put, to_change};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;

/// Lets callers from an address or a network in. The first one keeps all others out, so it has to be the caller's own.
#[utoipa::path(
    post,
    path = "/add/allowed_ip",
    tag = "settings",
    params(Wait),
    request_body = AllowedIpBody,
    responses((status = 200, body = ChangedList), crate::error::Refusals),
)]
pub(super) async fn add(
    State(app): State<App>,
    actor: Actor,
    Extension(own): Extension<CallerAddress>,
    wait: Wait,
    Body { asked: AllowedIp { ip }, unknown }: AllowedIpBody,
) -> Result<Changed<ChangedList>, Generic> {
    actor.may(Permission::ChangeAddresses, &Subject::Anything)?;
    let network: Network = ip.parse().map_err(AddressError::from)?;
    let mut change = Change::begin(&app, &actor).await?;
    let before = to_change(&mut change).await?;
    if place(&before, network).is_some() {
        return Err(AddressError::Exists.into());
    }
    let ip = ip.trim().to_owned();
    let after = [&before[..], std::slice::from_ref(&ip)].concat();
    put(&mut change, &before, &after, own).await?;
    let published = change.commit(wait).await?;
    let view = ChangedList { message: format!("IP {ip} address added successfully"), status: "success" };
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::{Answer, MASTER, World};

    /// A call of the master key from an address.
    async fn from(world: &World, address: &str, path: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {MASTER}");
        let headers = [("authorization", bearer.as_str()), (proto::channel::CLIENT_IP_HEADER, address)];
        match body {
            Value::Null => world.call("GET", path, &headers, "").await,
            body => world.call("POST", path, &headers, body.to_string()).await,
        }
    }

    #[tokio::test]
    async fn a_list_grows_shrinks_and_keeps_others_out_and_nobody_locks_themselves_out() {
        let world = World::new().await;
        let (add, delete, get) = ("/add/allowed_ip", "/delete/allowed_ip", "/get/allowed_ips");
        let home = "192.0.2.7";
        assert_eq!(from(&world, home, get, Value::Null).await.ok(), json!({"data": null}));
        let refused = from(&world, home, add, json!({"ip": "10.0.0.2"})).await;
        assert_eq!(refused.status, 400);
        assert!(refused.body["detail"].as_str().unwrap().contains("your own address (192.0.2.7)"), "{}", refused.body);
        assert_eq!(world.post(add, json!({"ip": "192.0.2.7"})).await.status, 400, "nobody knows where they are");
        assert_eq!(world.revision().await, 0, "nothing changed");

        let added = from(&world, home, add, json!({"ip": "192.0.2.0/24"})).await.ok();
        assert_eq!(added, json!({"message": "IP 192.0.2.0/24 address added successfully", "status": "success"}));
        from(&world, home, add, json!({"ip": " 2001:db8::1 "})).await.ok();
        assert_eq!(from(&world, home, get, Value::Null).await.ok(), json!({"data": ["192.0.2.0/24", "2001:db8::1"]}));
        let error = from(&world, "10.0.0.1", get, Value::Null).await.refused(403);
        assert_eq!(error["message"], "Access forbidden: IP address 10.0.0.1 not allowed.");
        assert_eq!((&error["type"], &error["param"]), (&json!("auth_error"), &json!("None")));
        assert!(world.get(get).await.refused(403)["message"].as_str().unwrap().contains("address unknown"));
        world.call("GET", "/health/liveliness", &[], "").await.ok();

        for (body, status) in [
            (json!({"ip": "192.0.2.9/24"}), 400),
            (json!({"ip": "2001:DB8:0::1"}), 400),
            (json!({"ip": "office"}), 400),
            (json!({"ip": ""}), 400),
            (json!({"ip": 7}), 422),
            (json!({}), 422),
        ] {
            assert_eq!(from(&world, home, add, body.clone()).await.status, status, "{body}");
        }
        assert_eq!(from(&world, home, delete, json!({"ip": "10.0.0.0/8"})).await.status, 404);
        assert_eq!(from(&world, home, delete, json!({"ip": "192.0.2.0/24"})).await.status, 400, "it is their own");
        from(&world, home, delete, json!({"ip": "2001:db8:0::1"})).await.ok();
        from(&world, home, delete, json!({"ip": "192.0.2.0/24"})).await.ok();
        assert_eq!(from(&world, "10.0.0.1", get, Value::Null).await.ok(), json!({"data": null}));
        assert_eq!(world.count("audit_log where noun = 'config' and object_id = 'general_settings'").await, 4);
        assert_eq!(world.count("change_log where kind = 'settings'").await, 4);
    }

    #[tokio::test]
    async fn a_list_in_the_file_is_changed_there_and_a_trusted_proxy_says_where_a_caller_is() {
        let world = World::new().await;
        let file = json!({"allowed_ips": ["192.0.2.7"], "use_x_forwarded_for": true, "x_forwarded_for_hops": 1});
        sqlx::query("insert into settings (section, origin, value) values ('general_settings', 'file', $1)")
            .bind(file)
            .execute(&world.db())
            .await
            .unwrap();
        let bearer = format!("Bearer {MASTER}");
        let through = async |forwarded: &str, method: &str, path: &str, body: &str| {
            let headers = [
                ("authorization", bearer.as_str()),
                (proto::channel::CLIENT_IP_HEADER, "10.0.0.1"),
                ("x-forwarded-for", forwarded),
            ];
            world.call(method, path, &headers, body.to_owned()).await
        };
        let shown = through("6.6.6.6, 192.0.2.7", "GET", "/get/allowed_ips", "").await.ok();
        assert_eq!(shown, json!({"data": ["192.0.2.7"]}));
        through("192.0.2.7, 6.6.6.6", "GET", "/get/allowed_ips", "").await.refused(403);
        let fixed = through("192.0.2.7", "POST", "/add/allowed_ip", "{\"ip\": \"10.0.0.2\"}").await;
        assert_eq!((fixed.status, fixed.body["detail"].as_str().unwrap().contains("config.yaml")), (400, true));
        assert_eq!(world.count("settings where origin = 'api'").await, 0, "no partial change");
    }

    #[tokio::test]
    async fn only_proxy_admins_change_the_list_and_viewers_see_it() {
        let world = World::new().await;
        let viewer = world.user("v", "proxy_admin_viewer").await;
        let user = world.user("u", "internal_user").await;
        world.get_as(&viewer, "/get/allowed_ips").await.ok();
        world.get_as(&user, "/get/allowed_ips").await.refused(401);
        for key in [viewer, user] {
            for path in ["/add/allowed_ip", "/delete/allowed_ip"] {
                world.post_as(&key, path, json!({"ip": "10.0.0.1"})).await.refused(401);
            }
        }
    }
}
