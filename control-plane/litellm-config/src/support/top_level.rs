//! The top level of the file, and the entries of `model_list`.

use super::{Key, Shape, Table, Unknown, later, open_door, works};

const TOP: &[Key] = &[
    works("model_list", Shape::List),
    works("litellm_settings", Shape::Map),
    works("router_settings", Shape::Map),
    works("general_settings", Shape::Map),
    works("environment_variables", Shape::TextMap)
        .note("set before references are resolved, as in LiteLLM; settings of the process itself (addresses, database, certificates) are read from its real environment only"),
    works("include", Shape::TextOrTexts).note("lists are concatenated, other keys overwritten; a file may include others, each once"),
    later("credential_list", Shape::Maps, "named credentials; make them with `POST /credentials`, or write them into each deployment"),
    open_door("guardrails", Shape::List, "text passes unchecked"),
    open_door("policies", Shape::Any, "text passes unchecked"),
    open_door("policy_attachments", Shape::List, "text passes unchecked"),
    later("files_settings", Shape::List, "the files endpoints"),
    later("finetune_settings", Shape::List, "the fine-tuning endpoints"),
    later("assistant_settings", Shape::Any, "the assistants endpoints"),
    later("mcp_servers", Shape::Map, "MCP servers"),
    later("mcp_aliases", Shape::Map, "MCP servers"),
    later("search_tools", Shape::List, "the search endpoint"),
    later("vector_store_registry", Shape::List, "vector stores"),
    later("prompts", Shape::List, "prompt management"),
    later("default_vertex_config", Shape::Map, "the pass-through to Vertex AI"),
    later("callback_settings", Shape::Map, "callbacks"),
    later("worker_registry", Shape::Maps, "a dashboard over several installations"),
];

const ENTRY: &[Key] = &[
    works("model_name", Shape::Text).note("may hold `*`"),
    works("litellm_params", Shape::Map),
    works("model_info", Shape::Map),
    works("tpm", Shape::Whole),
    works("rpm", Shape::Whole),
];

pub(super) const TABLE: Table = Table { section: "", keys: TOP, unknown: Unknown::Mistake };
pub(super) const MODEL: Table = Table { section: "model_list[]", keys: ENTRY, unknown: Unknown::Mistake };
