//! Whether a deployment can be called: that its references are set, and that it has the key and address it needs.

use providers::{Field, Provider};

use crate::reader::{At, Reader};
use crate::reference::Value;

/// Credentials and addresses of a deployment, as the file gives them.
#[derive(Default)]
pub(super) struct Access {
    pub(super) api_base: Option<Value>,
    pub(super) api_key: Option<Value>,
    pub(super) azure_ad_token: Option<Value>,
    pub(super) api_version: Option<Value>,
    pub(super) organization: Option<Value>,
}

impl Access {
    fn slot(&mut self, name: &str) -> Option<&mut Option<Value>> {
        match name {
            "api_base" => Some(&mut self.api_base),
            "api_key" => Some(&mut self.api_key),
            "azure_ad_token" => Some(&mut self.azure_ad_token),
            "api_version" => Some(&mut self.api_version),
            "organization" => Some(&mut self.organization),
            _ => None,
        }
    }

    /// Fills what the file leaves open from the environment variables that the provider reads.
    pub(super) fn complete(&mut self, provider: &dyn Provider, at: &At<'_>, reader: &mut Reader<'_>) {
        let defaults = provider.defaults();
        let named_base = self.api_base.is_some();
        let named_key = self.api_key.is_some();
        fill(&mut self.api_base, defaults.base_env, reader);
        fill(&mut self.api_key, defaults.key_env, reader);
        for field in provider.fields() {
            if let Some(slot) = self.slot(field.name) {
                fill(slot, field.env, reader);
            }
        }
        if let (true, false, Some(Value::Environment(name))) = (named_base, named_key, &self.api_key)
            && defaults.key_required
            && defaults.base.is_some()
        {
            reader.note(at, format!("the key in `{name}` is sent to the `api_base` given here"));
        }
    }

    /// What keeps the deployment from being called, if anything does: the reason, completing "is left out until …".
    pub(super) fn missing(&mut self, provider: &dyn Provider, reader: &Reader<'_>) -> Option<String> {
        for value in [&self.api_base, &self.api_key, &self.azure_ad_token] {
            match value {
                Some(Value::Environment(variable)) if reader.variable(variable).is_none() => {
                    return Some(format!("`{variable}` is set"));
                }
                Some(Value::Literal(text)) if text.starts_with("oidc/") => {
                    return Some("`oidc/` references are supported".to_owned());
                }
                _ => {}
            }
        }
        let defaults = provider.defaults();
        if defaults.key_required
            && self.api_key.is_none()
            && self.azure_ad_token.is_none()
            && (self.api_base.is_none() || defaults.base.is_none())
        {
            return Some(until("api_key", defaults.key_env));
        }
        if defaults.base.is_none() && self.api_base.is_none() {
            return Some(until("api_base", defaults.base_env));
        }
        let required = |field: &&Field| field.required && !matches!(field.name, "api_key" | "api_base");
        for field in provider.fields().iter().filter(required) {
            if self.slot(field.name).is_some_and(|slot| slot.is_none()) {
                return Some(until(field.name, field.env));
            }
        }
        None
    }
}

fn until(key: &str, variables: &[&str]) -> String {
    match variables {
        [] => format!("`{key}` is given"),
        [first, ..] => format!("`{first}` is set, or `{key}` given"),
    }
}

/// The first variable that is set stands in for an absent value. A reference to a variable that is not set stays.
fn fill(slot: &mut Option<Value>, variables: &[&str], reader: &Reader<'_>) {
    if slot.is_none() {
        let set = variables.iter().find(|name| reader.variable(name).is_some());
        *slot = set.map(|name| Value::Environment((*name).to_owned()));
    }
}
