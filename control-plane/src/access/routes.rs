//! A key's own list of routes.

use super::authenticate::AccessError;

/// The groups by which a list may name admin routes. A name that stands for none of ours allows none of ours.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "management_routes",
        &["/key/*", "/team/*", "/v2/team/list", "/user/*", "/model/*", "/v1/model/*", "/v2/model/*", "/spend/*"],
    ),
    ("key_management_routes", &["/key/*", "/spend/logs"]),
    ("spend_tracking_routes", &["/spend/*"]),
    (
        "info_routes",
        &[
            "/key/info",
            "/key/health",
            "/key/list",
            "/v2/key/info",
            "/team/info",
            "/team/list",
            "/v2/team/list",
            "/team/available",
            "/user/info",
            "/v2/user/info",
            "/model/info",
            "/v1/model/info",
            "/v2/model/info",
            "/model_group/info",
            "/health",
        ],
    ),
    ("model_info_routes", &["/model/info", "/v1/model/info", "/model_group/info"]),
];

/// Whether a key with this list may call `route`. An empty list allows every route.
pub(super) fn permit(allowed: &[String], route: &str) -> Result<(), AccessError> {
    let matches = |entry: &String| {
        let group = GROUPS.iter().find(|(name, _)| entry.trim_start_matches("LiteLLMRoutes.") == *name);
        match group {
            Some((_, members)) => members.iter().any(|member| covers(member, route)),
            None => covers(entry, route),
        }
    };
    match allowed.is_empty() || allowed.iter().any(matches) {
        true => Ok(()),
        false => Err(AccessError::RouteNotAllowed { route: route.to_owned(), allowed: allowed.to_vec() }),
    }
}

/// The route itself, everything below it, or everything that begins like it (`…*`).
fn covers(entry: &str, route: &str) -> bool {
    if let Some(start) = entry.strip_suffix('*') {
        return route.starts_with(start);
    }
    let entry = entry.trim_end_matches('/');
    !entry.is_empty() && route.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entries: &[&str], route: &str) -> bool {
        permit(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>(), route).is_ok()
    }

    #[test]
    fn an_empty_list_allows_all_and_any_other_only_what_it_covers() {
        assert!(allows(&[], "/key/info"));
        assert!(allows(&["/key"], "/key/info"));
        assert!(allows(&["/key/*"], "/key/info"));
        assert!(allows(&["management_routes"], "/team/new"));
        assert!(allows(&["LiteLLMRoutes.info_routes"], "/key/info"));
        assert!(!allows(&["/key/in"], "/key/info"));
        assert!(!allows(&["info_routes"], "/key/generate"));
        assert!(!allows(&["llm_api_routes"], "/key/info"));
        assert!(!allows(&[""], "/key/info"));
    }
}
