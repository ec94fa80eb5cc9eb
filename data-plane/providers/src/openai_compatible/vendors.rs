//! Vendors with an address of their own.
//!
//! Addresses and key names are those of LiteLLM, so that a configuration without `api_base` reaches the same place.
//! A vendor that speaks OpenAI is one constant here and one line in `table`.

use dialects::Task;

use super::{BaseEnds, ModelNames, OpenAiCompatible, vendor};
use crate::description::{Addition, HeaderDefault};
use crate::refusal::Rules;

/// The old name of the completion-token limit, the only one that some vendors know.
const MAX_TOKENS: &[(&str, &str)] = &[("max_completion_tokens", "max_tokens")];

/// Mistral's spelling.
const MISTRAL_RENAMES: &[(&str, &str)] = &[("max_completion_tokens", "max_tokens"), ("seed", "random_seed")];

/// Members of OpenAI's chat that Mistral answers with 422.
const MISTRAL_DROPS: &[&str] = &["stream_options", "user"];

pub(crate) static AI21_CHAT: OpenAiCompatible =
    vendor("ai21_chat", "AI21", "https://api.ai21.com/studio/v1", &["AI21_API_KEY"], &["AI21_CHAT_API_BASE"]);

pub(crate) static AIML: OpenAiCompatible =
    vendor("aiml", "AI/ML API", "https://api.aimlapi.com/v1", &["AIML_API_KEY"], &["AIML_API_BASE"]);

pub(crate) static ANYSCALE: OpenAiCompatible = vendor(
    "anyscale",
    "Anyscale",
    "https://api.endpoints.anyscale.com/v1",
    &["ANYSCALE_API_KEY"],
    &["ANYSCALE_API_BASE"],
);

pub(crate) static BASETEN: OpenAiCompatible =
    vendor("baseten", "Baseten", "https://inference.baseten.co/v1", &["BASETEN_API_KEY"], &["BASETEN_API_BASE"]);

pub(crate) static CEREBRAS: OpenAiCompatible =
    vendor("cerebras", "Cerebras", "https://api.cerebras.ai/v1", &["CEREBRAS_API_KEY"], &["CEREBRAS_API_BASE"])
        .renames(MAX_TOKENS);

pub(crate) static CODESTRAL: OpenAiCompatible = vendor(
    "codestral",
    "Codestral",
    "https://codestral.mistral.ai/v1",
    &["CODESTRAL_API_KEY"],
    &["CODESTRAL_API_BASE"],
)
.only(&[Task::Chat])
.renames(MISTRAL_RENAMES)
.drops(MISTRAL_DROPS)
.without_stream_usage();

pub(crate) static DASHSCOPE: OpenAiCompatible = vendor(
    "dashscope",
    "DashScope",
    "https://dashscope.aliyuncs.com/compatible-mode/v1",
    &["DASHSCOPE_API_KEY"],
    &["DASHSCOPE_API_BASE"],
);

pub(crate) static DEEPINFRA: OpenAiCompatible = vendor(
    "deepinfra",
    "DeepInfra",
    "https://api.deepinfra.com/v1/openai",
    &["DEEPINFRA_API_KEY"],
    &["DEEPINFRA_API_BASE"],
);

/// The beta address, as LiteLLM: it takes all that the plain one takes, and prefixes and strict tools as well.
pub(crate) static DEEPSEEK: OpenAiCompatible =
    vendor("deepseek", "DeepSeek", "https://api.deepseek.com/beta", &["DEEPSEEK_API_KEY"], &["DEEPSEEK_API_BASE"]);

pub(crate) static EDENAI: OpenAiCompatible =
    vendor("edenai", "Eden AI", "https://api.edenai.run/v3", &["EDENAI_API_KEY"], &["EDENAI_API_BASE"]);

pub(crate) static EMPOWER: OpenAiCompatible =
    vendor("empower", "Empower", "https://app.empower.dev/api/v1", &["EMPOWER_API_KEY"], &["EMPOWER_API_BASE"]);

pub(crate) static FEATHERLESS_AI: OpenAiCompatible = vendor(
    "featherless_ai",
    "Featherless AI",
    "https://api.featherless.ai/v1",
    &["FEATHERLESS_AI_API_KEY"],
    &["FEATHERLESS_AI_API_BASE"],
);

pub(crate) static FIREWORKS_AI: OpenAiCompatible = vendor(
    "fireworks_ai",
    "Fireworks AI",
    "https://api.fireworks.ai/inference/v1",
    &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"],
    &["FIREWORKS_AI_API_BASE"],
)
.models(ModelNames::Fireworks)
.renames(MAX_TOKENS);

pub(crate) static FRIENDLIAI: OpenAiCompatible = vendor(
    "friendliai",
    "FriendliAI",
    "https://api.friendli.ai/serverless/v1",
    &["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"],
    &["FRIENDLIAI_API_BASE"],
);

pub(crate) static GALADRIEL: OpenAiCompatible =
    vendor("galadriel", "Galadriel", "https://api.galadriel.com/v1", &["GALADRIEL_API_KEY"], &["GALADRIEL_API_BASE"]);

/// `api_key` is an access token: fetching one with client credentials takes a call of its own.
pub(crate) static GIGACHAT: OpenAiCompatible = vendor(
    "gigachat",
    "GigaChat",
    "https://gigachat.devices.sberbank.ru/api/v1",
    &["GIGACHAT_API_KEY"],
    &["GIGACHAT_API_BASE"],
);

pub(crate) static GITHUB: OpenAiCompatible = vendor(
    "github",
    "GitHub Models",
    "https://models.inference.ai.azure.com",
    &["GITHUB_API_KEY"],
    &["GITHUB_API_BASE"],
);

pub(crate) static GRADIENT_AI: OpenAiCompatible = vendor(
    "gradient_ai",
    "DigitalOcean Gradient AI",
    "https://inference.do-ai.run",
    &["GRADIENT_AI_API_KEY"],
    &["GRADIENT_AI_API_BASE"],
)
.base_ends(BaseEnds::InV1);

pub(crate) static GROQ: OpenAiCompatible =
    vendor("groq", "Groq", "https://api.groq.com/openai/v1", &["GROQ_API_KEY"], &["GROQ_API_BASE"]).only(&[Task::Chat]);

/// The router; a dedicated endpoint is an `api_base`. Embeddings have a format of their own.
pub(crate) static HUGGINGFACE: OpenAiCompatible = vendor(
    "huggingface",
    "Hugging Face",
    "https://router.huggingface.co",
    &["HF_TOKEN", "HUGGINGFACE_API_KEY"],
    &["HF_API_BASE", "HUGGINGFACE_API_BASE"],
)
.base_ends(BaseEnds::InV1)
.models(ModelNames::HuggingFace)
.only(&[Task::Chat])
.rules(Rules::HuggingFace);

pub(crate) static HYPERBOLIC: OpenAiCompatible = vendor(
    "hyperbolic",
    "Hyperbolic",
    "https://api.hyperbolic.xyz/v1",
    &["HYPERBOLIC_API_KEY"],
    &["HYPERBOLIC_API_BASE"],
);

pub(crate) static INCEPTION: OpenAiCompatible = vendor(
    "inception",
    "Inception Labs",
    "https://api.inceptionlabs.ai/v1",
    &["INCEPTION_API_KEY"],
    &["INCEPTION_API_BASE"],
);

pub(crate) static LAMBDA_AI: OpenAiCompatible =
    vendor("lambda_ai", "Lambda", "https://api.lambda.ai/v1", &["LAMBDA_AI_API_KEY"], &["LAMBDA_AI_API_BASE"]);

pub(crate) static MANUS: OpenAiCompatible =
    vendor("manus", "Manus", "https://api.manus.im", &["MANUS_API_KEY"], &["MANUS_API_BASE"]);

pub(crate) static META: OpenAiCompatible =
    vendor("meta", "Meta", "https://api.meta.ai/v1", &["META_API_KEY"], &["META_API_BASE"]);

pub(crate) static META_LLAMA: OpenAiCompatible = vendor(
    "meta_llama",
    "Meta Llama API",
    "https://api.llama.com/compat/v1",
    &["LLAMA_API_KEY"],
    &["META_LLAMA_API_BASE"],
);

/// Refuses what it does not know, usage requests on streams among them: its last chunk counts usage unasked.
pub(crate) static MISTRAL: OpenAiCompatible = vendor(
    "mistral",
    "Mistral AI",
    "https://api.mistral.ai/v1",
    &["MISTRAL_AZURE_API_KEY", "MISTRAL_API_KEY"],
    &["MISTRAL_AZURE_API_BASE", "MISTRAL_API_BASE"],
)
.base_ends(BaseEnds::InV1)
.only(&[Task::Chat, Task::Embedding])
.renames(MISTRAL_RENAMES)
.drops(MISTRAL_DROPS)
.without_stream_usage();

pub(crate) static MODELSCOPE: OpenAiCompatible = vendor(
    "modelscope",
    "ModelScope",
    "https://api-inference.modelscope.cn/v1",
    &["MODELSCOPE_API_KEY"],
    &["MODELSCOPE_API_BASE"],
);

pub(crate) static MOONSHOT: OpenAiCompatible =
    vendor("moonshot", "Moonshot AI", "https://api.moonshot.ai/v1", &["MOONSHOT_API_KEY"], &["MOONSHOT_API_BASE"]);

pub(crate) static MORPH: OpenAiCompatible =
    vendor("morph", "Morph", "https://api.morphllm.com/v1", &["MORPH_API_KEY"], &["MORPH_API_BASE"]);

pub(crate) static NEBIUS: OpenAiCompatible =
    vendor("nebius", "Nebius AI Studio", "https://api.studio.nebius.ai/v1", &["NEBIUS_API_KEY"], &["NEBIUS_API_BASE"]);

pub(crate) static NOVITA: OpenAiCompatible =
    vendor("novita", "Novita AI", "https://api.novita.ai/v3/openai", &["NOVITA_API_KEY"], &["NOVITA_API_BASE"]);

pub(crate) static NSCALE: OpenAiCompatible =
    vendor("nscale", "Nscale", "https://inference.api.nscale.com/v1", &["NSCALE_API_KEY"], &["NSCALE_API_BASE"]);

pub(crate) static NVIDIA_NIM: OpenAiCompatible = vendor(
    "nvidia_nim",
    "NVIDIA NIM",
    "https://integrate.api.nvidia.com/v1",
    &["NVIDIA_NIM_API_KEY"],
    &["NVIDIA_NIM_API_BASE"],
);

pub(crate) static OPENAI: OpenAiCompatible = vendor(
    "openai",
    "OpenAI",
    "https://api.openai.com/v1",
    &["OPENAI_API_KEY"],
    &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
)
.organization_env(&["OPENAI_ORGANIZATION"])
.rules(Rules::OpenAi);

/// Says what a call cost when asked to, and lists apps by the headers `HTTP-Referer` and `X-Title`.
pub(crate) static OPENROUTER: OpenAiCompatible = vendor(
    "openrouter",
    "OpenRouter",
    "https://openrouter.ai/api/v1",
    &["OPENROUTER_API_KEY", "OR_API_KEY"],
    &["OPENROUTER_API_BASE"],
)
.adds(&[Addition { name: "usage", json: r#"{"include":true}"# }])
.headers(&[
    HeaderDefault { name: "http-referer", value: None, env: &["OR_SITE_URL"] },
    HeaderDefault { name: "x-title", value: Some("Turnpike"), env: &["OR_APP_NAME"] },
]);

/// Every chunk counts usage unasked.
pub(crate) static PERPLEXITY: OpenAiCompatible = vendor(
    "perplexity",
    "Perplexity",
    "https://api.perplexity.ai",
    &["PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"],
    &["PERPLEXITY_API_BASE"],
)
.only(&[Task::Chat])
.without_stream_usage();

pub(crate) static SAMBANOVA: OpenAiCompatible =
    vendor("sambanova", "SambaNova", "https://api.sambanova.ai/v1", &["SAMBANOVA_API_KEY"], &["SAMBANOVA_API_BASE"]);

pub(crate) static TENCENT: OpenAiCompatible = vendor(
    "tencent",
    "Tencent",
    "https://tokenhub-intl.tencentcloudmaas.com/v1",
    &["TENCENT_API_KEY"],
    &["TENCENT_API_BASE"],
);

pub(crate) static TEXT_COMPLETION_OPENAI: OpenAiCompatible = vendor(
    "text-completion-openai",
    "OpenAI text completion",
    "https://api.openai.com/v1",
    &["OPENAI_API_KEY"],
    &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
)
.only(&[Task::Completion])
.organization_env(&["OPENAI_ORGANIZATION"])
.rules(Rules::OpenAi);

pub(crate) static TOGETHER_AI: OpenAiCompatible = vendor(
    "together_ai",
    "Together AI",
    "https://api.together.ai/v1",
    &["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"],
    &["TOGETHER_AI_API_BASE"],
)
.rules(Rules::Together);

pub(crate) static V0: OpenAiCompatible = vendor("v0", "v0", "https://api.v0.dev/v1", &["V0_API_KEY"], &["V0_API_BASE"]);

pub(crate) static VERCEL_AI_GATEWAY: OpenAiCompatible = vendor(
    "vercel_ai_gateway",
    "Vercel AI Gateway",
    "https://ai-gateway.vercel.sh/v1",
    &["VERCEL_AI_GATEWAY_API_KEY"],
    &["VERCEL_AI_GATEWAY_API_BASE"],
);

pub(crate) static VOLCENGINE: OpenAiCompatible = vendor(
    "volcengine",
    "Volcengine",
    "https://ark.cn-beijing.volces.com/api/v3",
    &["VOLCENGINE_API_KEY"],
    &["VOLCENGINE_API_BASE"],
);

pub(crate) static WANDB: OpenAiCompatible =
    vendor("wandb", "Weights & Biases", "https://api.inference.wandb.ai/v1", &["WANDB_API_KEY"], &["WANDB_API_BASE"]);

pub(crate) static XAI: OpenAiCompatible =
    vendor("xai", "xAI", "https://api.x.ai/v1", &["XAI_API_KEY"], &["XAI_API_BASE"]);

pub(crate) static ZAI: OpenAiCompatible =
    vendor("zai", "Z.AI", "https://api.z.ai/api/paas/v4", &["ZAI_API_KEY"], &["ZAI_API_BASE"]);
