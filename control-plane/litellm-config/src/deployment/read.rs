//! An entry of `model_list` to deployments.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::availability::Access;
use super::{Deployment, id};
use crate::check::model_ref::{self, ModelRef};
use crate::reader::{At, Reader};
use crate::reference::Value;
use crate::section::{Fields, walk};
use crate::support::is_request_default;
use crate::support::prices::{PriceName, classify};
use crate::yaml::{Kind, Node};

/// Reads the entry at `at`: several deployments where it lists organizations, none where it cannot be used.
pub(crate) fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Vec<Deployment> {
    let entry = walk(at, "model_list[]", reader);
    if !matches!(at.node.kind, Kind::Map(_)) {
        return Vec::new();
    }
    let params =
        entry.get("litellm_params").map(|at| walk(at, "model_list[].litellm_params", reader)).unwrap_or_default();
    let info = entry.get("model_info").map(|at| walk(at, "model_list[].model_info", reader)).unwrap_or_default();

    let model_name = required(at, &entry, "model_name", "give the name that clients ask for", reader);
    if entry.get("litellm_params").is_none() {
        if at.member("litellm_params").is_none_or(|params| params.node.kind == Kind::Null) {
            reader.error(
                at,
                "`litellm_params` is missing",
                "it says how the model is called; at least `model: provider/name`",
            );
        }
        return Vec::new();
    }
    let params_at = entry.get("litellm_params").unwrap_or(at);
    let model =
        required(params_at, &params, "model", "write `model: provider/name`, for example `openai/gpt-4o`", reader);
    let (Some(model_name), Some(model)) = (model_name, model) else { return Vec::new() };

    let api_base = api_base(&params, reader);
    let base_text = api_base.as_ref().and_then(|base| reader.resolve(base));
    let custom = params.node("custom_llm_provider").and_then(|node| reader.text(node));
    let model_at = params.get("model").unwrap_or(at).clone();
    let model_ref = match model_ref::resolve(&model, base_text.as_deref(), custom.as_deref()) {
        Ok(model_ref) => model_ref,
        Err(unresolved) => {
            reader.error(&model_at, unresolved.problem, &unresolved.hint);
            return Vec::new();
        }
    };
    let draft =
        Draft { at, entry: &entry, params: &params, info: &info, model_name, model: &model, model_ref, api_base };
    draft.deployments(reader)
}

/// A text that an entry cannot do without.
fn required(at: &At<'_>, fields: &Fields<'_>, name: &str, hint: &str, reader: &mut Reader<'_>) -> Option<String> {
    let Some(member) = fields.get(name) else {
        // A value of the wrong type has its finding already.
        if at.member(name).is_none_or(|member| member.node.kind == Kind::Null) {
            reader.error(at, format!("`{name}` is missing"), hint);
        }
        return None;
    };
    let text = reader.text(member.node);
    match &text {
        None => reader.error(member, format!("the variable that holds `{name}` is not set"), hint),
        Some(blank) if blank.trim().is_empty() => reader.error(member, format!("`{name}` is empty"), hint),
        Some(_) => {}
    }
    text.filter(|text| !text.trim().is_empty())
}

fn api_base(params: &Fields<'_>, reader: &Reader<'_>) -> Option<Value> {
    params.node("api_base").or_else(|| params.node("base_url")).and_then(|node| reader.value(node))
}

/// What is known of an entry once its model is.
struct Draft<'a> {
    at: &'a At<'a>,
    entry: &'a Fields<'a>,
    params: &'a Fields<'a>,
    info: &'a Fields<'a>,
    model_name: String,
    model: &'a str,
    model_ref: ModelRef<'a>,
    api_base: Option<Value>,
}

impl Draft<'_> {
    /// One deployment, or one for each organization.
    fn deployments(self, reader: &mut Reader<'_>) -> Vec<Deployment> {
        let organizations: Vec<Option<Value>> = match self.params.node("organization").map(|node| (node, &node.kind)) {
            Some((_, Kind::List(items))) if !items.is_empty() => items.iter().map(|item| reader.value(item)).collect(),
            Some((node, _)) => vec![reader.value(node)],
            None => vec![None],
        };
        let first = self.deployment(reader);
        let id = first.id.clone();
        let several = organizations.len() > 1;
        let copies = organizations.into_iter().enumerate().map(|(index, organization)| {
            let mut copy = first.clone();
            if several {
                if index > 0 {
                    copy.id = format!("{id}-{index}");
                }
                if let Some(organization) = &organization {
                    copy.params.insert("organization".to_owned(), Json::String(organization.as_written()));
                }
            }
            copy.organization = organization.or(copy.organization);
            copy
        });
        copies.collect()
    }

    fn deployment(&self, reader: &mut Reader<'_>) -> Deployment {
        let (params, info) = (self.params, self.info);
        let provider = self.model_ref.provider;
        let written = self.written();
        let text = |fields: &Fields<'_>, name: &str| fields.node(name).and_then(|node| reader.text(node));
        let value = |name: &str| params.node(name).and_then(|node| reader.value(node));
        let seconds = |name: &str| params.node(name).and_then(|node| reader.seconds(node));
        let whole =
            |name: &str| params.node(name).or_else(|| self.entry.node(name)).and_then(|node| reader.whole(node));
        let retries = |name: &str| whole(name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));

        let mut access = Access {
            api_base: self.api_base.clone(),
            api_key: value("api_key"),
            azure_ad_token: value("azure_ad_token"),
            api_version: value("api_version"),
            organization: None,
        };
        let id =
            text(info, "id").filter(|id| !id.is_empty()).unwrap_or_else(|| id::generate(&self.model_name, &written));
        let mut deployment = Deployment {
            id,
            model_name: self.model_name.clone(),
            provider: provider.id(),
            upstream_model: self.model_ref.upstream.to_owned(),
            litellm_model: self.model.to_owned(),
            params: written,
            model_info: info.json(),
            api_base: None,
            api_key: None,
            azure_ad_token: None,
            api_version: None,
            organization: None,
            extra_headers: BTreeMap::new(),
            extra_body: params.get("extra_body").map(|at| crate::yaml::object(at.entries())).unwrap_or_default(),
            request_defaults: self.request_defaults(),
            timeout: seconds("timeout").or_else(|| seconds("request_timeout")),
            stream_timeout: seconds("stream_timeout"),
            max_retries: retries("num_retries").or_else(|| retries("max_retries")),
            weight: params.node("weight").and_then(|node| reader.number(node)),
            rpm: whole("rpm"),
            tpm: whole("tpm"),
            tags: params.node("tags").map(|node| reader.texts(node)).unwrap_or_default(),
            mock_response: params.node("mock_response").map(Node::json),
            prices: self.prices(reader),
            mode: text(info, "mode"),
            base_model: text(info, "base_model"),
            access_groups: info.node("access_groups").map(|node| reader.texts(node)).unwrap_or_default(),
            team_id: text(info, "team_id"),
            team_public_model_name: text(info, "team_public_model_name"),
            blocked: info.node("blocked").and_then(|node| reader.flag(node)).unwrap_or_default(),
            unavailable: None,
        };
        deployment.extra_headers = self.extra_headers(reader);
        // A mocked deployment calls nobody.
        if deployment.mock_response.is_none() {
            access.complete(provider, self.at, reader);
            deployment.unavailable = self.unavailable(&mut access, reader);
        }
        deployment.api_base = access.api_base;
        deployment.api_key = access.api_key;
        deployment.azure_ad_token = access.azure_ad_token;
        deployment.api_version = access.api_version;
        deployment.organization = access.organization;
        deployment
    }

    /// `litellm_params` as written, with the limits that the entry may also carry beside it.
    fn written(&self) -> Map<String, Json> {
        let mut written = self.params.json();
        for name in ["tpm", "rpm"] {
            if let Some(node) = self.entry.node(name)
                && self.params.node(name).is_none()
            {
                written.insert(name.to_owned(), node.json());
            }
        }
        written
    }

    fn unavailable(&self, access: &mut Access, reader: &mut Reader<'_>) -> Option<String> {
        let credential = self.params.node("litellm_credential_name");
        let reason = match access.missing(self.model_ref.provider, reader) {
            _ if credential.is_some() => "its credential is there, made with POST /credentials".to_owned(),
            Some(reason) => reason,
            None => return None,
        };
        reader.warning(self.at, format!("the deployment `{}` is left out until {reason}", self.model_name), "");
        Some(reason)
    }

    fn extra_headers(&self, reader: &mut Reader<'_>) -> BTreeMap<String, Value> {
        let mut headers = BTreeMap::new();
        for default in self.model_ref.provider.quirks().headers {
            if let Some(variable) = default.env.iter().find(|name| reader.variable(name).is_some()) {
                headers.insert(default.name.to_owned(), Value::Environment((*variable).to_owned()));
            }
        }
        // `extra_headers` wins over its other name.
        for section in ["headers", "extra_headers"].into_iter().filter_map(|name| self.params.get(name)) {
            for entry in section.entries() {
                let Some(value) = reader.value(&entry.value) else { continue };
                if let Value::Environment(variable) = &value
                    && reader.variable(variable).is_none()
                {
                    reader.warning(&section.key(entry), format!("`{variable}` is not set; the header is left out"), "");
                    continue;
                }
                headers.insert(entry.name.to_ascii_lowercase(), value);
            }
        }
        headers
    }

    /// Parameters that go into each body: those of OpenAI that have a row, and all that have none.
    fn request_defaults(&self) -> Map<String, Json> {
        let rows = self.params.known().filter(|(key, _)| is_request_default(key)).map(|(_, at)| at);
        let others = self.params.unknown();
        let named = rows.chain(others).filter(|at| at.node.kind != Kind::Null);
        named.map(|at| (at.name.to_owned(), at.node.json())).collect()
    }

    /// Custom prices: `litellm_params` before `model_info`.
    fn prices(&self, reader: &Reader<'_>) -> Map<String, Json> {
        let mut found = Map::new();
        for at in self.params.prices().chain(self.info.prices()) {
            let name = at.name;
            if classify(name) != Some(PriceName::Misspelt) && !found.contains_key(name) {
                let number = reader.number(at.node).and_then(serde_json::Number::from_f64).map(Json::Number);
                found.insert(name.to_owned(), number.unwrap_or_else(|| at.node.json()));
            }
        }
        found
    }
}
