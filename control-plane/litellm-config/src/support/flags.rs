//! Command-line flags of LiteLLM's proxy, and what `turnpike` does with them.

use super::{Key, Shape, ignored, later, works};

const RUNTIME: &str = "there are no Python workers; a data plane runs one runtime per core";
const LOGS: &str = "the log level is a setting of the process";
const ONE_MODEL: &str = "models stand in the config file";
const SCHEMA: &str = "migrations are built in and run at the start";
const TOOL: &str = "a helper of LiteLLM's command line";

/// The flags.
pub static FLAGS: &[Key] = &[
    works("--config", Shape::Text),
    works("--host", Shape::Text),
    works("--port", Shape::Whole),
    works("--version", Shape::Flag),
    ignored("--num_workers", Shape::Whole, RUNTIME),
    ignored("--run_gunicorn", Shape::Flag, RUNTIME),
    ignored("--run_hypercorn", Shape::Flag, RUNTIME),
    ignored("--max_requests_before_restart", Shape::Whole, RUNTIME),
    ignored(
        "--keepalive_timeout",
        Shape::Seconds,
        "idle connections are kept as long as the client keeps them, up to the listener's own limit",
    ),
    ignored("--debug", Shape::Flag, LOGS),
    ignored("--detailed_debug", Shape::Flag, LOGS),
    ignored("--log_config", Shape::Text, LOGS),
    ignored("--telemetry", Shape::Flag, "nothing is ever sent home"),
    ignored("--use_prisma_migrate", Shape::Flag, SCHEMA),
    ignored("--use_prisma_db_push", Shape::Flag, SCHEMA),
    ignored("--enforce_prisma_migration_check", Shape::Flag, SCHEMA),
    later(
        "--skip_server_startup",
        Shape::Flag,
        "running migrations alone by this flag; see `turnpike-control-plane migrate`",
    ),
    later("--ssl_keyfile_path", Shape::Text, "TLS towards clients; put a reverse proxy in front"),
    later("--ssl_certfile_path", Shape::Text, "TLS towards clients; put a reverse proxy in front"),
    later("--iam_token_db_auth", Shape::Flag, "database sign-in by IAM tokens"),
    ignored("--model", Shape::Text, ONE_MODEL),
    ignored("--alias", Shape::Text, ONE_MODEL),
    ignored("--api_base", Shape::Text, ONE_MODEL),
    ignored("--api_version", Shape::Text, ONE_MODEL),
    ignored("--headers", Shape::Text, ONE_MODEL),
    ignored("--temperature", Shape::Number, ONE_MODEL),
    ignored("--max_tokens", Shape::Whole, ONE_MODEL),
    ignored("--request_timeout", Shape::Seconds, ONE_MODEL),
    ignored("--drop_params", Shape::Flag, ONE_MODEL),
    later("--max_budget", Shape::Amount, "a budget for everything: set `litellm_settings.max_budget`"),
    ignored("--add_function_to_prompt", Shape::Flag, ONE_MODEL),
    ignored("--save", Shape::Flag, TOOL),
    ignored("--test", Shape::Flag, TOOL),
    ignored("--test_async", Shape::Flag, TOOL),
    ignored("--health", Shape::Flag, TOOL),
    ignored("--local", Shape::Flag, TOOL),
    ignored("--use_queue", Shape::Flag, TOOL),
];
