//! What a team lets its members do with its keys. Pure.

use serde_json::Value;

use super::{Team, roster};

/// Everything that a team can let its members do: routes, and two words for what is no route.
pub(super) const ALL: &[&str] = &[
    "/key/generate",
    "/key/update",
    "/key/delete",
    "/key/info",
    "/key/regenerate",
    "/key/service-account/generate",
    "/key/{key_id}/regenerate",
    "/key/list",
    "/key/block",
    "/key/unblock",
    "/key/bulk_update",
    "/team/key/bulk_update",
    "/key/{key_id}/reset_spend",
    "/key/aliases",
    "/key/health",
    "/team/daily/activity",
    "/team/daily/activity/aggregated",
    "/spend/logs",
    "/spend/logs/v2",
    "/key/access_group_assignment",
    "/auto_router/manage",
];

/// Where a team keeps them.
const FIELD: &str = "team_member_permissions";

/// What members may do: what they always may, and what the team lets them.
pub(super) fn of(team: &Team) -> Vec<String> {
    let granted = team.more.get(FIELD).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut permissions: Vec<String> = Vec::new();
    for permission in roster::BASELINE.into_iter().chain(granted) {
        if permissions.iter().all(|known| known != permission) {
            permissions.push(permission.to_owned());
        }
    }
    permissions
}

/// Lets the members do this, and beside what they always may nothing else.
pub(super) fn set(team: &mut Team, permissions: Vec<String>) {
    team.more.insert(FIELD.to_owned(), permissions.into());
}
