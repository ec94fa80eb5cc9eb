//! `router_settings`: how calls spread over the deployments of a model.

use super::{Key, Shape, Table, Unknown, ignored, later, open_door, unenforced, works};

const FALLBACKS: &str = "fallbacks; a call is retried on other deployments of its own model only";
const COOLDOWN: &str = "cooldowns; a failing deployment is skipped within one call only";
const REDIS: &str = "data planes take Redis from their environment: `REDIS_URL`, or `REDIS_HOST` and the rest";

const KEYS: &[Key] = &[
    works("num_retries", Shape::Whole).note("default 2"),
    works("timeout", Shape::Seconds),
    works("stream_timeout", Shape::Seconds),
    works("routing_strategy", Shape::Text).note("`simple-shuffle` only so far; the others fall to it, with a warning"),
    works("model_group_alias", Shape::Map),
    later("routing_strategy_args", Shape::Map, "strategies other than the shuffle"),
    later("routing_groups", Shape::Maps, "routing groups"),
    later("max_fallbacks", Shape::Whole, FALLBACKS),
    later("fallbacks", Shape::List, FALLBACKS),
    later("context_window_fallbacks", Shape::List, FALLBACKS),
    later("content_policy_fallbacks", Shape::List, FALLBACKS),
    later("default_fallbacks", Shape::Texts, FALLBACKS),
    later("retry_after", Shape::Seconds, "a least pause between retries"),
    later("max_retries", Shape::Whole, "this older name of `num_retries`"),
    later("retry_policy", Shape::Map, "retry counts per kind of error"),
    later("model_group_retry_policy", Shape::Map, "retry counts per kind of error"),
    later("allowed_fails", Shape::Whole, COOLDOWN),
    later("allowed_fails_policy", Shape::Map, COOLDOWN),
    later("cooldown_time", Shape::Seconds, COOLDOWN),
    later("disable_cooldowns", Shape::Flag, COOLDOWN),
    open_door("enable_tag_filtering", Shape::Flag, "any deployment of the model serves"),
    later("tag_filtering_match_any", Shape::Flag, "routing by tags"),
    later("tag_routing_prefix", Shape::Text, "routing by tags"),
    open_door("required_tags", Shape::Texts, "any deployment of the model serves")
        .note("ours: tags that neither fallback nor retry drops"),
    open_door("provider_budget_config", Shape::Map, "spend above them goes through"),
    later("enable_pre_call_checks", Shape::Flag, "checks of context window and region before a call"),
    later("optional_pre_call_checks", Shape::Texts, "checks before a call"),
    later("enable_weighted_failover", Shape::Flag, FALLBACKS),
    unenforced("default_max_parallel_requests", Shape::Whole, "calls above it go through"),
    later("default_litellm_params", Shape::Map, "defaults for all deployments; write them into each"),
    later("default_priority", Shape::Whole, "the scheduler"),
    later("polling_interval", Shape::Seconds, "the scheduler"),
    later("cache_responses", Shape::Flag, "the response cache"),
    later("cache_kwargs", Shape::Map, "the response cache"),
    later("caching_groups", Shape::List, "the response cache"),
    later("client_ttl", Shape::Seconds, "the response cache"),
    ignored("redis_host", Shape::Text, REDIS),
    ignored("redis_port", Shape::Whole, REDIS),
    ignored("redis_password", Shape::Text, REDIS),
    ignored("redis_url", Shape::Text, REDIS),
    ignored("redis_*", Shape::Any, REDIS),
    later("deployment_affinity_ttl_seconds", Shape::Seconds, "deployment affinity"),
    later("model_group_affinity_config", Shape::Map, "deployment affinity"),
    later("enable_health_check_routing", Shape::Flag, "health checks"),
    later("health_check_staleness_threshold", Shape::Seconds, "health checks"),
    later("health_check_ignore_transient_errors", Shape::Flag, "health checks"),
    ignored(
        "ignore_invalid_deployments",
        Shape::Flag,
        "an entry that cannot be served stops the start, and one whose key is not set is left out",
    ),
    ignored("set_verbose", Shape::Flag, "the log level is a setting of the process"),
    ignored("debug_level", Shape::Text, "the log level is a setting of the process"),
    later("search_tools", Shape::List, "the search endpoint"),
    open_door("guardrail_list", Shape::List, "text passes unchecked"),
    later("assistants_config", Shape::Any, "the assistants endpoints"),
    later("alerting_config", Shape::Any, "alerting"),
];

pub(super) const TABLE: Table = Table { section: "router_settings", keys: KEYS, unknown: Unknown::Mistake };
