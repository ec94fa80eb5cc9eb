//! Vendors whose address this page does not know: every deployment names its `api_base`.
//!
//! They are here for their names, key variables and renames. A vendor whose address becomes known moves to `vendors`.

use super::{OpenAiCompatible, anywhere};

/// The old name of the completion-token limit, the only one that some vendors know.
const MAX_TOKENS: &[(&str, &str)] = &[("max_completion_tokens", "max_tokens")];

pub(crate) static ABLITERATION: OpenAiCompatible =
    anywhere("abliteration", "Abliteration", &["ABLITERATION_API_KEY"], &["ABLITERATION_API_BASE"]);

pub(crate) static AIHUBMIX: OpenAiCompatible =
    anywhere("aihubmix", "AIHubMix", &["AIHUBMIX_API_KEY"], &["AIHUBMIX_API_BASE"]);

pub(crate) static APERTIS: OpenAiCompatible =
    anywhere("apertis", "Apertis", &["STIMA_API_KEY"], &["APERTIS_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static ASSEMBLYAI: OpenAiCompatible =
    anywhere("assemblyai", "AssemblyAI", &["ASSEMBLYAI_API_KEY"], &["ASSEMBLYAI_API_BASE"]);

/// The address holds the AWS region: `https://bedrock-mantle.{region}.api.aws/v1`.
pub(crate) static BEDROCK_MANTLE: OpenAiCompatible =
    anywhere("bedrock_mantle", "Bedrock Mantle", &["BEDROCK_MANTLE_API_KEY"], &["BEDROCK_MANTLE_API_BASE"]);

pub(crate) static CHARITY_ENGINE: OpenAiCompatible =
    anywhere("charity_engine", "Charity Engine", &["CHARITY_ENGINE_API_KEY"], &["CHARITY_ENGINE_API_BASE"])
        .renames(MAX_TOKENS);

pub(crate) static CHUTES: OpenAiCompatible =
    anywhere("chutes", "Chutes", &["CHUTES_API_KEY"], &["CHUTES_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static COGNITION: OpenAiCompatible =
    anywhere("cognition", "Cognition", &["COGNITION_API_KEY"], &["COGNITION_API_BASE"]);

pub(crate) static CORTECS: OpenAiCompatible =
    anywhere("cortecs", "Cortecs", &["CORTECS_API_KEY"], &["CORTECS_API_BASE"]);

pub(crate) static CRUSOE: OpenAiCompatible =
    anywhere("crusoe", "Crusoe", &["CRUSOE_API_KEY"], &["CRUSOE_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static DARKBLOOM: OpenAiCompatible =
    anywhere("darkbloom", "Darkbloom", &["DARKBLOOM_API_KEY"], &["DARKBLOOM_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static EMPIRIOLABS: OpenAiCompatible =
    anywhere("empiriolabs", "Empirio Labs", &["EMPIRIOLABS_API_KEY"], &["EMPIRIOLABS_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static GMI: OpenAiCompatible = anywhere("gmi", "GMI Cloud", &["GMI_API_KEY"], &["GMI_API_BASE"]);

pub(crate) static HELICONE: OpenAiCompatible =
    anywhere("helicone", "Helicone", &["HELICONE_API_KEY"], &["HELICONE_API_BASE"]);

pub(crate) static LIBERTAI: OpenAiCompatible =
    anywhere("libertai", "LibertAI", &["LIBERTAI_API_KEY"], &["LIBERTAI_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static LLAMAGATE: OpenAiCompatible =
    anywhere("llamagate", "LlamaGate", &["LLAMAGATE_API_KEY"], &["LLAMAGATE_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static NANO_GPT: OpenAiCompatible =
    anywhere("nano-gpt", "NanoGPT", &["NANOGPT_API_KEY"], &["NANO_GPT_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static NEOSANTARA: OpenAiCompatible =
    anywhere("neosantara", "Neosantara", &["NEOSANTARA_API_KEY"], &["NEOSANTARA_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static PARASAIL: OpenAiCompatible =
    anywhere("parasail", "Parasail", &["PARASAIL_API_KEY"], &["PARASAIL_API_BASE"]);

pub(crate) static PINSTRIPES: OpenAiCompatible =
    anywhere("pinstripes", "Pinstripes", &["PINSTRIPES_API_KEY"], &["PINSTRIPES_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static POE: OpenAiCompatible =
    anywhere("poe", "Poe", &["POE_API_KEY"], &["POE_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static PRISM: OpenAiCompatible = anywhere("prism", "Prism", &["PRISM_API_KEY"], &["PRISM_API_BASE"]);

pub(crate) static PUBLICAI: OpenAiCompatible =
    anywhere("publicai", "PublicAI", &["PUBLICAI_API_KEY"], &["PUBLICAI_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static QWENCLOUD: OpenAiCompatible =
    anywhere("qwencloud", "Qwen Cloud", &["QWENCLOUD_API_KEY"], &["QWENCLOUD_API_BASE"]);

pub(crate) static REKA: OpenAiCompatible = anywhere("reka", "Reka", &["REKA_API_KEY"], &["REKA_API_BASE"]);

pub(crate) static SAIL: OpenAiCompatible = anywhere("sail", "Sail", &["SAIL_API_KEY"], &["SAIL_API_BASE"]);

/// Reads the key from a header of its own.
pub(crate) static SARVAM: OpenAiCompatible = anywhere("sarvam", "Sarvam", &["SARVAM_API_KEY"], &["SARVAM_API_BASE"])
    .renames(MAX_TOKENS)
    .second_key_header("api-subscription-key");

pub(crate) static SCALEWAY: OpenAiCompatible =
    anywhere("scaleway", "Scaleway", &["SCW_SECRET_KEY"], &["SCALEWAY_API_BASE"]);

pub(crate) static SCX_AI: OpenAiCompatible =
    anywhere("scx-ai", "SCX.ai", &["SCX_AI_API_KEY"], &["SCX_AI_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static SYNTHETIC: OpenAiCompatible =
    anywhere("synthetic", "Synthetic", &["SYNTHETIC_API_KEY"], &["SYNTHETIC_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static TENSORMESH: OpenAiCompatible =
    anywhere("tensormesh", "Tensormesh", &["TENSORMESH_API_KEY"], &["TENSORMESH_API_BASE"]).renames(MAX_TOKENS);

pub(crate) static VENICEAI: OpenAiCompatible =
    anywhere("veniceai", "Venice AI", &["VENICE_AI_API_KEY"], &["VENICEAI_API_BASE"]);

pub(crate) static XIAOMI_MIMO: OpenAiCompatible =
    anywhere("xiaomi_mimo", "Xiaomi MiMo", &["XIAOMI_MIMO_API_KEY"], &["XIAOMI_MIMO_API_BASE"]).renames(MAX_TOKENS);
