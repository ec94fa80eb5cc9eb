//! What is asked of callers beyond a good key, as the settings have it: for data planes, and for the admin API itself.

use proto::v1 as pb;
use serde_json::Value;

use super::resource::flag;
use super::sections::{text, whole};

/// The gate that these settings describe; nothing where they ask nothing. Both give a member with its references resolved.
pub(crate) fn gate(general: impl Fn(&str) -> Value, litellm: impl Fn(&str) -> Value) -> Option<pb::Gate> {
    let hops = whole(&general("x_forwarded_for_hops")).unwrap_or(0);
    let of_services = general("service_account_settings");
    let gate = pb::Gate {
        allowed_ips: texts(&general("allowed_ips")),
        // Without a number of proxies nobody knows which of the addresses a client wrote itself.
        forwarded_hops: if flag(Some(&general("use_x_forwarded_for"))) { hops } else { 0 },
        allowed_routes: texts(&general("allowed_routes")),
        admin_only_routes: texts(&general("admin_only_routes")),
        public_routes: texts(&general("public_routes")),
        enforced_params: texts(&general("enforced_params")),
        service_account_params: texts(of_services.get("enforced_params").unwrap_or(&Value::Null)),
        enforce_user_param: flag(Some(&general("enforce_user_param"))),
        customer_headers: customer_headers(&general("user_header_mappings"), &general("user_header_name")),
        blocked_customers: texts(&litellm("blocked_user_list")),
    };
    (gate != pb::Gate::default()).then_some(gate)
}

/// The texts of a list, or the one that stands in its place. What is no text becomes an empty one: as an entry of a list
/// that restricts it lets nothing through, where left out it might let everything through.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(|item| text(item).unwrap_or_default().trim().to_owned()).collect(),
        one => vec![text(one).unwrap_or_default().trim().to_owned()],
    }
}

/// Headers that name customers: the mapped ones before the single one, which is LiteLLM's older way to say it.
fn customer_headers(mappings: &Value, name: &Value) -> Vec<String> {
    let single = [mappings.clone()];
    let mappings = match mappings {
        Value::Array(mappings) => mappings.as_slice(),
        Value::Object(_) => &single,
        _ => &[],
    };
    let customers =
        mappings.iter().filter(|mapping| mapping.get("litellm_user_role").and_then(Value::as_str) == Some("customer"));
    let mapped = customers.filter_map(|mapping| text(mapping.get("header_name")?));
    let names = mapped.chain(text(name)).map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| http::HeaderName::try_from(name.as_str()).is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(general: &Value) -> Option<pb::Gate> {
        let general = |name: &str| general.get(name).cloned().unwrap_or_default();
        gate(general, |_| Value::Null)
    }

    #[test]
    fn settings_that_ask_nothing_make_no_gate() {
        assert_eq!(of(&json!({"allowed_ips": [], "allowed_routes": null, "enforce_user_param": false})), None);
        assert_eq!(of(&json!({"x_forwarded_for_hops": 2})), None, "the header is not used");
        assert_eq!(of(&json!({"use_x_forwarded_for": true})), None, "nobody says how many proxies there are");
    }

    #[test]
    fn every_member_finds_its_place() {
        let general = json!({
            "allowed_ips": ["10.0.0.0/8", 7], "use_x_forwarded_for": true, "x_forwarded_for_hops": "2",
            "allowed_routes": ["/chat/completions"], "admin_only_routes": ["/key/*"], "public_routes": "/v1/models",
            "enforced_params": ["user"], "service_account_settings": {"enforced_params": ["metadata.job"]},
            "user_header_mappings": [
                {"header_name": "X-Who", "litellm_user_role": "customer"},
                {"header_name": "X-Staff", "litellm_user_role": "internal_user"},
                {"header_name": "no header", "litellm_user_role": "customer"},
            ],
            "user_header_name": "X-Old",
        });
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let expected = pb::Gate {
            allowed_ips: list(&["10.0.0.0/8", "7"]),
            forwarded_hops: 2,
            allowed_routes: list(&["/chat/completions"]),
            admin_only_routes: list(&["/key/*"]),
            public_routes: list(&["/v1/models"]),
            enforced_params: list(&["user"]),
            service_account_params: list(&["metadata.job"]),
            enforce_user_param: false,
            customer_headers: list(&["x-who", "x-old"]),
            blocked_customers: Vec::new(),
        };
        assert_eq!(of(&general), Some(expected));
    }

    #[test]
    fn an_entry_that_is_no_text_lets_nothing_through() {
        assert_eq!(texts(&json!([null, ["a"], {}, "b"])), ["", "", "", "b"]);
        assert_eq!(texts(&json!({"a": 1})), [""]);
        let unset = of(&json!({"allowed_ips": [null]})).unwrap();
        assert_eq!(unset.allowed_ips, [""], "a reference to nothing is no open gate");
    }
}
