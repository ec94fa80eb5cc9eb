//! `model_list[].model_info`: what is known of a deployment beside how to call it.

use super::{Key, Shape, Table, Unknown, later, open_door, unenforced, works};

const SHOWN: &str = "shown by `/model/info`";
const HEALTH: &str = "health checks";

const KEYS: &[Key] = &[
    works("id", Shape::Text)
        .note("without it the id is a hash over the parameters as written, so rotating a key behind a reference keeps it (LiteLLM hashes the resolved values); generated ids differ from LiteLLM's"),
    works("mode", Shape::Text),
    works("base_model", Shape::Text).note("the price entry where the deployment's name is arbitrary"),
    works("access_groups", Shape::Texts),
    works("team_id", Shape::Text),
    works("team_public_model_name", Shape::Text),
    works("blocked", Shape::Flag),
    works("max_tokens", Shape::Whole).note(SHOWN),
    works("max_input_tokens", Shape::Whole).note(SHOWN),
    works("max_output_tokens", Shape::Whole).note(SHOWN),
    works("supports_*", Shape::Any).note(SHOWN),
    works("tier", Shape::Text).note(SHOWN),
    works("description", Shape::Text).note(SHOWN),
    works("litellm_provider", Shape::Text).note(SHOWN),
    works("created_at", Shape::Text).note(SHOWN),
    works("created_by", Shape::Text).note(SHOWN),
    works("updated_at", Shape::Text).note(SHOWN),
    works("updated_by", Shape::Text).note(SHOWN),
    works("db_model", Shape::Flag).note("set by the gateway: whether the deployment came through the API"),
    unenforced("supported_environments", Shape::Texts, "the deployment serves in every environment"),
    unenforced("access_windows", Shape::Maps, "the deployment serves everybody at all times"),
    open_door("enable_tag_filtering", Shape::Flag, "any deployment of the model serves"),
    later("allow_fail_open", Shape::Flag, "routing by tags"),
    later("allowed_fails", Shape::Whole, "cooldowns"),
    later("allowed_fails_policy", Shape::Map, "cooldowns"),
    later("cooldown_time", Shape::Seconds, "cooldowns"),
    later("health_check_model", Shape::Text, HEALTH),
    later("health_check_timeout", Shape::Seconds, HEALTH),
    later("health_check_max_tokens", Shape::Whole, HEALTH),
    later("health_check_voice", Shape::Text, HEALTH),
    later("disable_background_health_check", Shape::Flag, HEALTH),
];

pub(super) const TABLE: Table = Table { section: "model_list[].model_info", keys: KEYS, unknown: Unknown::Free };
