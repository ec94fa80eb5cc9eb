//! Routes as lists of them are written: a path, a beginning with `*`, or one of LiteLLM's groups by name.
//!
//! Both planes ask here, so that a list means the same on either. The groups are those of `admin_api.md` 2.3, with routes that
//! nobody serves yet: a list that names a group must not have to be written anew when a route comes.

mod groups;

use groups::GROUPS;

/// What of a group's name may stand before it, as LiteLLM's documents have it.
const ENUM: &str = "LiteLLMRoutes.";

/// How far an entry reaches that is a plain path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// That path, in its very letters.
    Itself,
    /// It and everything below it.
    Below,
}

/// Whether an entry of a list covers a route.
pub fn covers(entry: &str, route: &str, reach: Reach) -> bool {
    let name = entry.strip_prefix(ENUM).unwrap_or(entry);
    if !name.starts_with('/')
        && let Some(group) = GROUPS.iter().find(|group| group.name == name)
    {
        return group.holds(route);
    }
    if let Some(start) = entry.strip_suffix('*') {
        return route.starts_with(start);
    }
    match reach {
        Reach::Itself => entry == route,
        Reach::Below => {
            let entry = entry.trim_end_matches('/');
            !entry.is_empty() && route.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

/// Whether any of the entries does.
pub fn any_covers<'e>(entries: impl IntoIterator<Item = &'e str>, route: &str, reach: Reach) -> bool {
    entries.into_iter().any(|entry| covers(entry, route, reach))
}

/// Routes under one name.
struct Group {
    name: &'static str,
    /// `{x}` stands for one segment, `{x:path}` for several, a `*` at the end for any end.
    routes: &'static [&'static str],
    /// Names of groups whose routes are in it too.
    groups: &'static [&'static str],
}

impl Group {
    fn holds(&self, route: &str) -> bool {
        self.routes.iter().any(|pattern| fits(pattern, route))
            || self.groups.iter().any(|name| GROUPS.iter().any(|group| group.name == *name && group.holds(route)))
    }
}

fn fits(pattern: &str, route: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('{') else {
        return match pattern.strip_suffix('*') {
            Some(start) => route.starts_with(start),
            None => pattern == route,
        };
    };
    let Some((placeholder, after)) = rest.split_once('}') else { return false };
    let Some(tail) = route.strip_prefix(before) else { return false };
    let takes_slashes = placeholder.ends_with(":path");
    // It stands for something: one character at least.
    let ends = tail.char_indices().map(|(at, letter)| (at + letter.len_utf8(), letter));
    let mut ends = ends.take_while(|(_, letter)| takes_slashes || *letter != '/');
    ends.any(|(end, _)| tail.get(end..).is_some_and(|rest| fits(after, rest)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_path_a_beginning_and_a_group_cover_what_they_say() {
        assert!(covers("/key/info", "/key/info", Reach::Itself) && !covers("/key", "/key/info", Reach::Itself));
        assert!(covers("/key", "/key/info", Reach::Below) && !covers("/key/in", "/key/info", Reach::Below));
        assert!(covers("/key/*", "/key/info", Reach::Itself) && !covers("/key/*", "/keys", Reach::Itself));
        assert!(covers("*", "/anything", Reach::Itself));
        assert!(!covers("", "/key/info", Reach::Below) && !covers("/", "/key/info", Reach::Below));
        for name in ["info_routes", "LiteLLMRoutes.info_routes"] {
            assert!(
                covers(name, "/key/info", Reach::Itself) && !covers(name, "/key/generate", Reach::Itself),
                "{name}"
            );
        }
        assert!(!covers("no_such_routes", "/key/info", Reach::Below));
        assert!(!covers("LiteLLMRoutes.no_such_routes", "/key/info", Reach::Below));
    }

    #[test]
    fn what_calls_models_is_in_the_group_of_model_calls_in_every_spelling() {
        for route in [
            "/v1/chat/completions",
            "/chat/completions",
            "/engines/gpt-4o/completions",
            "/openai/deployments/meta/llama-3/chat/completions",
            "/v1/embeddings",
            "/v1/models",
            "/v1/models/vendor/model",
            "/v1/responses/resp_1/input_items",
            "/v1beta/models/gemini:generateContent",
            "/v1/messages/count_tokens",
            "/bedrock/model/x/converse",
        ] {
            assert!(covers("llm_api_routes", route, Reach::Below), "{route}");
        }
        for route in ["/key/generate", "/v1/chat/completionss", "/spend/logs", "/", "/engines//completions"] {
            assert!(!covers("llm_api_routes", route, Reach::Below), "{route}");
        }
    }

    #[test]
    fn groups_hold_the_routes_of_the_groups_in_them() {
        for route in ["/team/new", "/key/generate", "/key/sk-1/regenerate", "/model/new"] {
            assert!(covers("management_routes", route, Reach::Below), "{route}");
        }
        assert!(!covers("management_routes", "/spend/keys", Reach::Below));
        assert!(covers("internal_user_routes", "/spend/keys", Reach::Below));
        assert!(covers("org_admin_allowed_routes", "/organization/info", Reach::Below));
        assert!(covers("public_routes", "/health/liveliness", Reach::Itself));
        assert!(!covers("master_key_only_routes", "/key/info", Reach::Below));
    }

    #[test]
    fn a_placeholder_takes_a_segment_or_with_path_several() {
        assert!(fits("/a/{x}/b", "/a/1/b") && !fits("/a/{x}/b", "/a/1/2/b") && !fits("/a/{x}/b", "/a//b"));
        assert!(fits("/a/{x:path}/b", "/a/1/2/b") && !fits("/a/{x:path}/b", "/a/b"));
        assert!(fits("/a/{x}", "/a/é") && !fits("/a/{x}", "/a/"));
        assert!(fits("/m/{m:path}:count", "/m/a/b:count"));
    }

    #[test]
    fn every_group_stands_once_and_names_groups_that_there_are_without_going_round() {
        let names: BTreeSet<&str> = GROUPS.iter().map(|group| group.name).collect();
        assert_eq!(names.len(), GROUPS.len());
        for (place, group) in GROUPS.iter().enumerate() {
            for name in group.groups {
                let inner = GROUPS.iter().position(|other| other.name == *name);
                assert!(inner.is_some_and(|inner| inner < place), "{} names {name} before it is there", group.name);
            }
        }
    }
}
