//! What differs from LiteLLM beside keys and endpoints, on purpose or so far.
//!
//! Only a list for readers. Where LiteLLM's behaviour is unsafe or loses money, the safe one is chosen.

use super::endpoints::State;

/// One behaviour.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// What it is about.
    pub topic: &'static str,
    /// What LiteLLM does; empty where nothing is to be compared.
    pub litellm: &'static str,
    /// How far ours is there; for those that differ, what we do and why.
    pub state: State,
}

const fn differs(topic: &'static str, litellm: &'static str, ours: &'static str) -> Behaviour {
    Behaviour { topic, litellm, state: State::Differs(ours) }
}

const fn works(topic: &'static str, litellm: &'static str) -> Behaviour {
    Behaviour { topic, litellm, state: State::Works }
}

const fn later(topic: &'static str, litellm: &'static str, ours: &'static str) -> Behaviour {
    Behaviour { topic, litellm, state: State::NotYet(ours) }
}

/// All behaviours worth naming.
pub static BEHAVIOURS: &[Behaviour] = &[
    // A call.
    differs(
        "Malformed JSON with a wrong key",
        "400 for the JSON",
        "401: the key is looked at first, and the body of somebody unknown is not read",
    ),
    differs(
        "Duplicate keys in a body",
        "the last one counts",
        "400 for those that the gateway reads and for `metadata`'s own, because gateway and provider could read different ones",
    ),
    differs(
        "Requests with two readings (length beside encoding, repeated `Authorization`, bare line feeds, dot segments)",
        "read one way or another",
        "400 and the connection is closed: a proxy in front could read them the other way",
    ),
    differs("Compressed request bodies", "depends on the server in front", "415: send them as they are"),
    differs(
        "Credentials in `metadata.logging`, `config` and other objects of keys, teams and users",
        "stored as they are, and shown",
        "400, unless they are references such as `os.environ/NAME`: what these carry is stored and shown as it came",
    ),
    differs(
        "`mock_testing_*` from clients",
        "400 unless a setting allows them",
        "400 always; a deployment's `mock_response` works, a caller's own where key or team metadata allows it",
    ),
    differs(
        "Headers about spend and limits of a key",
        "`x-litellm-key-spend`, `x-litellm-key-max-budget`, `x-ratelimit-*` of the gateway",
        "as there, but `x-litellm-key-spend` and `x-litellm-key-max-budget` only of keys with a budget of everything: of others a \
         data plane counts no spend; before a stream its own cost is not in it; the provider's own `x-ratelimit-*` are passed on",
    ),
    differs(
        "Cost that a provider reports",
        "taken for OpenRouter and some others",
        "the price table's, so that all spend is counted alike; the reported figure is not used yet",
    ),
    differs(
        "Failed attempts",
        "one row for the call",
        "a row of its own for each call to a provider, refused ones at no cost",
    ),
    differs(
        "A timeout or a connection that breaks after the call was sent",
        "booked as nothing",
        "booked with an estimate of the prompt, flagged, because the provider may have worked on it",
    ),
    differs("`/metrics`", "on the main port", "on a port of its own, `--metrics-port`, off unless given"),
    differs(
        "An error within a stream",
        "an event in the envelope, no `[DONE]`",
        "the same; what the provider said is scrubbed of credentials first",
    ),
    // Administration.
    differs(
        "A key that a user below admin makes",
        "without a list of models it may call what the user may",
        "inherits the list, the budget and the routes of the key that made it: nobody grants what they do not have",
    ),
    differs(
        "Keys that a team admin makes for somebody else",
        "act with that user's role",
        "only for members of the team, and they call models only: a key for a proxy admin would be a proxy admin",
    ),
    differs(
        "How long a key of a user lives",
        "as asked",
        "no longer than the key that made it, nor faster than its limits",
    ),
    differs("A key without an owner", "may make keys", "may not: there is nobody whose rights would bound them"),
    differs(
        "A team whose last model is taken away",
        "may call all models",
        "may call none: its list becomes `no-default-models` until a model is added",
    ),
    differs(
        "Models that a team's admin adds to it",
        "are added",
        "403: only proxy admins widen what a team may call; its admins may take models away",
    ),
    differs(
        "Teams that users may join by themselves (`available_teams`)",
        "shown whole; anybody joins",
        "shown without roster, budgets and metadata; users join as plain members under their own id, viewers do not",
    ),
    differs(
        "A member of a team, seen by its admin in `/v2/user/info`",
        "all of them",
        "without metadata, and of their teams those that the admin has",
    ),
    differs("`/spend/logs` with one date", "both dates or neither", "the one date filters"),
    differs("Keys in `/user/info` and `/team/info`", "all", "the first 1,000"),
    differs(
        "`allowed_routes` of a key",
        "refused with `detail` alone",
        "the same rules and text; on model calls in the envelope",
    ),
    differs(
        "A team's admin who adds a model for the team",
        "allowed with a licence",
        "403: who names a host and a reference such as `os.environ/NAME` is sent what the variable holds; proxy admins add \
         models of teams",
    ),
    differs(
        "A model that is added through the API and cannot be called as written",
        "stored, and its calls fail",
        "400 with the place, by the rules of `config.yaml`: unknown provider, misspelt name, wrong type, unusable address",
    ),
    differs(
        "The last model of a team's own that is deleted",
        "",
        "leaves the team's list of models too; a list that would be empty, and so allow everything, gets `no-default-models`",
    ),
    differs(
        "`***` in a change of a model",
        "",
        "400: it is what answers show in a secret's place; left out, the secret stays",
    ),
    differs(
        "A model that names a credential which does not exist",
        "stored; its calls fail",
        "400; where the credential is deleted later, the model is left out with a reason until there is one again",
    ),
    // The file.
    differs(
        "A key that nobody knows",
        "ignored",
        "named with its path and the nearest known name, because a typo in a limit is an open door",
    ),
    differs(
        "A setting without effect",
        "",
        "named at the start, with the reason; one that restricts and is not enforced stops the start unless `general_settings.allow_unenforced` is set",
    ),
    differs(
        "An entry of `model_list` that cannot be served",
        "skipped with a log line",
        "stops the start, with all problems listed at once",
    ),
    differs(
        "A deployment whose key is not set",
        "calls fail",
        "the deployment is left out, with a warning, until the variable is set",
    ),
    differs(
        "Numbers and words in YAML",
        "`yes`, `no`, `on`, `off` are flags and `1e-6` is text (YAML 1.1)",
        "YAML 1.2: `1e-6` is a number; the four words are flags only where a flag is expected",
    ),
    differs(
        "A key given twice in one mapping",
        "the last one counts",
        "an error, because one of the two was meant to be something else",
    ),
    differs(
        "Generated deployment ids",
        "a hash over the resolved parameters",
        "a hash over the parameters as written, so rotating a key behind a reference keeps the id; the ids are not LiteLLM's",
    ),
    differs(
        "An `organization` list",
        "several deployments share one id",
        "each has its own id: the first as generated, the others with an index behind it",
    ),
    differs("Two equal entries of `model_list`", "share one id", "each has its own id, and its share of the calls"),
    works("References", "`os.environ/NAME` as a whole value, anywhere"),
    works("`include`", "lists are appended, other keys overwritten"),
    works("Bare model names", "`gpt-4o` is OpenAI's"),
    later(
        "Providers that do not speak OpenAI's API",
        "about a hundred",
        "Anthropic, Bedrock, Gemini, Vertex AI, Cohere and others stop the start, named as not built yet",
    ),
    // Keys.
    works("Stored keys", "SHA-256 in hex of `sk-…`; imported keys keep working"),
    differs(
        "Moving in: `turnpike import --from postgresql://…`",
        "a database is moved by whoever runs it",
        "copies keys, teams, users, customers, budgets, models, credentials, tags and what was spent out of a LiteLLM database, \
         as often as one likes: what changed there is taken again, what changed here is left, and everything that is left is \
         named with its reason. A key that shares a budget gets its limits as its own; logging settings with secrets, passwords, organizations, \
         budgets of members and single calls stay behind",
    ),
    differs(
        "A short master key such as `sk-1234`",
        "refuses to start",
        "starts with a loud warning, because every tutorial uses it; no master key at all takes the flag `--insecure-no-auth`",
    ),
    differs(
        "A change or a block of a key, team or model",
        "takes effect when caches expire, up to a minute",
        "holds on every connected data plane within a second, and a new key works on its first use",
    ),
    differs(
        "A model that a key or team may not use",
        "",
        "403 `key_model_access_denied` or `team_model_access_denied`, and the message names the allowed models",
    ),
    differs(
        "A key that is regenerated",
        "its limits begin anew where the new value is counted on its own",
        "limits per minute, calls under way and budgets go on: the new value takes over what was counted for the old one",
    ),
    differs("Licence", "paid features ask for one", "every feature is included; licence keys are accepted and ignored"),
    differs(
        "A value above `upperbound_key_generate_params`",
        "refused with 400",
        "a new key gets the bound and shows it; with `litellm_settings.on_upperbound: reject` 400. A change is refused with 400, \
         also one that takes a bounded value away with `null`",
    ),
    differs(
        "Bounds and aliases of the key that `/user/new` makes",
        "are not looked at",
        "are those of every key, so that bounds have no way around them",
    ),
    differs(
        "A rule for new keys, users or teams that cannot be read",
        "passed over, or an error somewhere",
        "500 that names the place, and nothing is made that it would decide; `check` finds most before the start",
    ),
    differs(
        "A key that somebody who is no proxy admin makes or changes",
        "has no more `max_budget` than the key that asks; most other fields are free",
        "has no more of anything: limits, windows, models, the end, tags, guardrails, enforced parameters and limits of models \
         of the key that asks are handed on, and its holder can tighten them; `access_group_ids`, `allowed_passthrough_routes` and \
         `disable_global_guardrails` are proxy admins' to set. So a team's admin or member who may make keys hands out no more \
         than they have",
    ),
    later(
        "Rotation of keys by schedule (`auto_rotate`, `rotation_interval`)",
        "a worker gives the key another value, which a secret manager or an e-mail brings to its owner",
        "both fields are kept and shown, and keys stay as they are: there is no way yet to bring the new value to its owner, and a \
         key that nobody knows locks them out. `/key/regenerate` with `grace_period` does it by hand",
    ),
    // Calls.
    differs(
        "`api_base` and other upstream-choosing parameters from clients",
        "`api_key` is accepted, others on opt-in",
        "refused: a client cannot choose host, credential or path",
    ),
    differs(
        "The database is away",
        "calls may fail",
        "data planes serve from their snapshot, also after a restart of their own",
    ),
    works(
        "Response headers",
        "`x-litellm-model-id`, `x-litellm-model-api-base`, `x-litellm-response-cost`, `x-litellm-call-id` and others",
    ),
    works("Error envelope", "`error` with `message`, `type`, `param`, `code`"),
    works("Unknown fields of requests and answers", "pass through"),
    differs(
        "Usage in streams",
        "asked for only by setting",
        "always asked for where the provider accepts it, and hidden from clients that did not ask, so that spend is exact",
    ),
    differs(
        "A client that leaves",
        "spend is lost or estimated",
        "the provider is read on for a bounded time, then tokens are estimated and the row flagged",
    ),
    later("Fallbacks and cooldowns", "", "a failed call is retried on other deployments of the same model"),
    later(
        "Routing by tags",
        "an unknown tag falls to `default`",
        "a tag that only unusable deployments carry will be refused, never served by another pool; callers will narrow their team's pool, never leave it",
    ),
    later(
        "Response cache",
        "entries are shared between tenants",
        "entries will be separate per tenant unless `cache_params.shared: true`",
    ),
    // Money.
    differs(
        "A model without a known price",
        "booked as zero",
        "booked as unknown, and shown so; `general_settings.on_unknown_price: deny` refuses the call, because zero hides money",
    ),
    differs(
        "Spend after a crash",
        "what was queued in memory is lost",
        "every call is booked exactly once, from a spool on disk",
    ),
    differs("Money", "floats", "whole billionths of a dollar; the API shows floats"),
    differs(
        "A budget under parallel calls",
        "checked against what was written so far, with a reservation where all parts are new enough",
        "each call reserves what it may cost (its prompt by size, and its answer up to `reserve_output_tokens`) of all budgets \
         that it is under, or of none; one that may cost more than what is left goes through alone, or with `strict_budgets: \
         true` not at all",
    ),
    differs(
        "A stream whose budget is spent meanwhile",
        "goes on to its end, whatever it costs",
        "reserves more as it grows; when there is no more it ends with an error event of type `budget_exceeded` and no `[DONE]`, \
         booked as far as it came",
    ),
    differs(
        "Budgets over several data planes",
        "each process counts for itself and reads the database now and then, unless there is Redis",
        "with Redis, one call there before each call of a model: what is spent, unbooked and reserved by all counts, and no more \
         is let through than is left. Without it, each data plane may spend its part of what is left, as it was booked a second \
         ago; near the end of a budget each may let one call through",
    ),
    differs(
        "When budgets begin anew",
        "a job looks every ten minutes",
        "within a second or two of the moment, on data planes also while the control plane is away (once, until it is back). A \
         model's budget (`model_max_budget`) begins anew by the calendar like all others, not at its first use",
    ),
    differs(
        "`budget_limits` and `model_max_budget` that nobody can read",
        "are stored, and fail or are passed over when calls are made",
        "are refused with 400 when they are set; in a database from elsewhere they refuse calls",
    ),
    // Limits and guards.
    differs(
        "Rate limits of keys, users, teams, customers and tags, and of models per key and team",
        "fixed minutes that begin with the first call; under usage-based routing a limit of N admits N-1; `retry-after` is always 60",
        "no minute, wherever it begins, has more than the limit; N admits N; `retry-after` is how long it takes",
    ),
    differs(
        "Rate limits over several processes",
        "each counts for itself, unless there is Redis",
        "with Redis, the limit is one for all. Without it, each data plane admits its part, one at least, so that together they \
         keep the limit (while a data plane comes or goes, up to a part more); one that loses the control plane keeps the part \
         it had",
    ),
    differs(
        "Redis slow, away, or empty",
        "calls wait for its time-out, of seconds; limits then are those of each process",
        "it has 20 ms (`TURNPIKE_REDIS_PATIENCE_MS`); after five failures in ten seconds it is not asked until it answers again. \
         `TURNPIKE_ON_REDIS_DOWN`: `local_share` (each data plane admits its part), `allow`, or `deny` (503). What was used \
         meanwhile is told to it when it is back, and one that came up empty is not believed for 65 s",
    ),
    differs(
        "Budgets of team members",
        "two checks with two texts; the first leaves a budget of 0 to the second",
        "one check, with the text of the first; a member's own budget of 0 allows nothing, the team's for all of 0 is no limit",
    ),
    differs(
        "Models of organizations",
        "checked when teams and keys are made and changed, and never per call",
        "checked per call too: 403 `org_model_access_denied`; where an alias of a team or key leads counts, not its name",
    ),
    differs(
        "Teams and keys of organizations",
        "a team that moves leaves its keys with the organization that it had",
        "its keys move with it; a key in a team belongs to the team's organization, and another `organization_id` is a 400",
    ),
    differs(
        "What an organization's admin may say of its teams",
        "everything within the organization's limits",
        "everything within them but what reaches beyond it: `logging`, `secret_manager_settings`, pass-through routes, \
         `disable_global_guardrails`, `object_permission`, `router_settings`, `policies`, `access_group_ids`; users are made \
         and changed by proxy admins",
    ),
    differs(
        "`enforced_params`",
        "500, and one key's list leaks to others; names with more than two parts are ignored",
        "401 with the documented message; each list holds for its own calls; names of any depth hold; teams may have a list too \
         (`metadata.enforced_params`); nothing is taken from budgets and limits before",
    ),
    differs(
        "`enforced_params` of a key that a user below admin holds",
        "changed by whoever may change the key",
        "stay as an admin set them, and keys made with that key get the same",
    ),
    differs(
        "Blocked customers",
        "enforced only with a callback and only where the body names them, unblocked only in memory",
        "enforced always, wherever the call names them, and unblocked in the database; those of `blocked_user_list` are blocked \
         until the config says otherwise",
    ),
    differs(
        "`allowed_model_region` of a customer",
        "asked where `router_settings.enable_pre_call_checks` is on",
        "always: deployments whose `region_name` is that region (`eu`, `eu-west-1`) serve them, those without one do not; none: 403",
    ),
    works(
        "Who the customer of a call is",
        "headers, then `user`, `litellm_metadata.user`, `metadata.user_id`, `safety_identifier`",
    ),
    differs(
        "A budget that several customers, tags or keys are linked to",
        "its window is the budget's own; a change reaches owners as their caches end",
        "each owner has a window and an account of their own under it; all follow at the revision of the change",
    ),
    differs(
        "Deleting a customer",
        "forgets what was spent",
        "keeps it: who is made again goes on where they were, so that deleting empties no budget",
    ),
    differs(
        "Models of a tag",
        "`/tag/new` and `/tag/update` write the tag into any deployment",
        "into those that the API owns; one in config.yaml is a 400. Deployments never lose a tag by `/tag/…`: without one they would \
         serve calls that they did not serve before",
    ),
    later("`hide_secrets`", "replaces with `[REDACTED]`", "will do the same"),
    differs(
        "`LiteLLMRoutes.<group>`, names of groups and `*` in lists of routes",
        "not understood everywhere: `allowed_routes` and `admin_only_routes` of the config are compared letter by letter",
        "understood everywhere; a plain path is still compared letter by letter there, and covers what is below it in a key's list",
    ),
    differs(
        "Public routes",
        "take any call without a key, also those of models",
        "take those that only read; calls of models ask for a key, since nobody would pay for them",
    ),
    later("`default_team_settings` for a team without a row", "", "will hold"),
    differs(
        "IP allow-list",
        "exact texts; with `use_x_forwarded_for` the whole header has to be one of them, and is believed whoever sent it",
        "addresses and networks, on data planes and on the admin API; the header is read from the right, as many places as \
         `x_forwarded_for_hops` says, and a call whose header has fewer is refused",
    ),
    differs(
        "Changing the IP allow-list through the API",
        "an admin may lock themselves out; without the last address nobody comes in",
        "400 for a change that would keep out who makes it: the first address has to cover their own; without the last one everybody \
         comes in again. A change holds within a second and does not need `store_model_in_db`",
    ),
];
