//! `GET /user/available_roles`.

use std::collections::BTreeMap;

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Role};

/// What a role is, for people who choose one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoleView {
    description: &'static str,
    ui_label: &'static str,
}

/// Lists the roles that a user can have.
#[utoipa::path(
    get,
    path = "/user/available_roles",
    tag = "users",
    responses((status = 200, body = BTreeMap<String, RoleView>), crate::error::Refusals),
)]
pub(super) async fn available_roles(_actor: Actor) -> Json<BTreeMap<&'static str, RoleView>> {
    Json(Role::NAMES.iter().map(|name| (*name, shown(Role::named(Some(name))))).collect())
}

fn shown(role: Role) -> RoleView {
    let (ui_label, description) = match role {
        Role::ProxyAdmin => ("Admin", "Sees and changes everything"),
        Role::ProxyAdminViewer => ("Admin (view only)", "Sees everything and changes nothing"),
        Role::InternalUser => ("User", "Makes, changes and deletes their own keys, and sees their own spend"),
        Role::InternalUserViewer => ("User (view only)", "Sees their own keys and spend"),
    };
    RoleView { description, ui_label }
}

#[cfg(test)]
mod tests {
    use crate::fixture::World;

    #[tokio::test]
    async fn everybody_with_a_key_sees_the_four_roles() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        let roles = world.get_as(&key, "/user/available_roles").await.ok();
        let mut names: Vec<_> = roles.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["internal_user", "internal_user_viewer", "proxy_admin", "proxy_admin_viewer"]);
        assert!(roles["proxy_admin"]["ui_label"].is_string() && roles["proxy_admin"]["description"].is_string());
        world.get_as("sk-nobody-knows-me", "/user/available_roles").await.refused(401);
    }
}
