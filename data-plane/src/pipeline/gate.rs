//! Who comes in at all, and with what: the questions that operators may ask beyond a good key ([`crate::snapshot::gate`]).
//!
//! [`enter`] comes before anybody is asked for a key, [`check_role`] knows whose it is, [`check_call`] has read the call
//! (admin_api.md 4.1.2 and 4.8). Where nothing is asked, each is one look at an empty place.

use std::net::IpAddr;
use std::rc::Rc;

use dialects::json::{key_is, members};
use http::HeaderMap;
use http::request::Parts;
use proto::address::{self, FORWARDED_FOR};
use proto::routes::{Reach, any_covers};

use super::authenticate::{Caller, Identity};
use super::decode::Call;
use crate::snapshot::gate::UserParam;
use crate::snapshot::{Gate, Snapshot};

/// Why somebody stays outside.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    #[error("Access forbidden: IP address {address} not allowed.")]
    Address { address: String },
    #[error("Access forbidden: Route {route} not allowed")]
    Route { route: String },
    #[error("user not allowed to access this route. Route={route} is an admin only route")]
    AdminOnly { route: String },
    #[error("Authentication Error, 'user' param not passed in. 'enforce_user_param'=True")]
    User,
    #[error("Authentication Error, BadRequest please pass param={param} in request body. This is a required param")]
    Param { param: String },
    #[error("User blocked from making LLM API Calls. User={id}")]
    Customer { id: String },
}

/// Lets a call to the gate, and says whose address it has there; refuses one from elsewhere, or to a closed route.
pub(crate) fn enter(snapshot: &Snapshot, head: &Parts, peer: &Rc<str>) -> Result<Rc<str>, GateError> {
    match &snapshot.settings.gate {
        None => Ok(Rc::clone(peer)),
        Some(gate) => ask(gate, &head.headers, head.uri.path(), peer),
    }
}

fn ask(gate: &Gate, headers: &HeaderMap, path: &str, peer: &Rc<str>) -> Result<Rc<str>, GateError> {
    let at_peer: Option<IpAddr> = peer.parse().ok();
    let values = || headers.get_all(FORWARDED_FOR).iter().rev().map(http::HeaderValue::as_bytes);
    let address = at_peer.and_then(|peer| address::client(peer, values(), gate.forwarded_hops));
    let is_in = |address| gate.allowed_ips.iter().flatten().any(|network| network.holds(address));
    if gate.allowed_ips.is_some() && !address.is_some_and(is_in) {
        let shown = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
        return Err(GateError::Address { address: shown });
    }
    let open = &gate.allowed_routes;
    if !open.is_empty() && !any_covers(open.iter().map(AsRef::as_ref), path, Reach::Itself) {
        return Err(GateError::Route { route: path.to_owned() });
    }
    Ok(match address {
        Some(address) if at_peer != Some(address) => address.to_string().into(),
        Some(_) | None => Rc::clone(peer),
    })
}

/// Whether the operator opened this route to those without a key, and did not close it to all but admins.
pub(crate) fn is_public(snapshot: &Snapshot, path: &str) -> bool {
    let covers = |routes: &[Box<str>]| any_covers(routes.iter().map(AsRef::as_ref), path, Reach::Itself);
    let gate = snapshot.settings.gate.as_ref();
    gate.is_some_and(|gate| covers(&gate.public_routes) && !covers(&gate.admin_only_routes))
}

/// Refuses whoever is no proxy admin a route for those.
pub(crate) fn check_role(snapshot: &Snapshot, caller: &Caller, path: &str) -> Result<(), GateError> {
    let Some(gate) = &snapshot.settings.gate else { return Ok(()) };
    let is_closed = any_covers(gate.admin_only_routes.iter().map(AsRef::as_ref), path, Reach::Itself);
    match is_closed && !is_admin(snapshot, caller) {
        true => Err(GateError::AdminOnly { route: path.to_owned() }),
        false => Ok(()),
    }
}

fn is_admin(snapshot: &Snapshot, caller: &Caller) -> bool {
    let Identity::Key { key, .. } = &caller.identity else { return true };
    let user = key.user_id().and_then(|id| snapshot.users.get(id));
    user.is_some_and(|user| user.role.as_ref() == "proxy_admin")
}

/// Refuses a call that lacks what calls must have, or that is for somebody who is blocked.
pub(crate) fn check_call(snapshot: &Snapshot, caller: &Caller, call: &Call) -> Result<(), GateError> {
    if let Some(gate) = &snapshot.settings.gate {
        check_settings(gate, caller, call)?;
    }
    let Identity::Key { key, .. } = &caller.identity else { return Ok(()) };
    let of_team = caller.team.iter().flat_map(|(_, team)| &team.enforced_params).map(AsRef::as_ref);
    check_params(key.enforced_params().iter().chain(of_team), call)
}

fn check_settings(gate: &Gate, caller: &Caller, call: &Call) -> Result<(), GateError> {
    if gate.user == UserParam::Required && !has(call, "user") {
        return Err(GateError::User);
    }
    check_params(gate.enforced_params.iter().map(AsRef::as_ref), call)?;
    if matches!(&caller.identity, Identity::Key { key, .. } if key.is_service_account) {
        check_params(gate.service_account_params.iter().map(AsRef::as_ref), call)?;
    }
    match call.end_user.as_deref().filter(|id| gate.blocked_customers.contains(*id)) {
        Some(id) => Err(GateError::Customer { id: id.to_owned() }),
        None => Ok(()),
    }
}

fn check_params<'n>(mut names: impl Iterator<Item = &'n str>, call: &Call) -> Result<(), GateError> {
    match names.find(|name| !has(call, name)) {
        None => Ok(()),
        Some(name) => Err(GateError::Param { param: shown(name) }),
    }
}

/// `user` as it is, `metadata.job` as `[metadata][job]`.
fn shown(name: &str) -> String {
    match name.contains('.') {
        false => name.to_owned(),
        true => name.split('.').map(|part| format!("[{part}]")).collect(),
    }
}

/// Whether the body has a parameter, whatever it says. A name that is empty stands for a list that nobody could read.
fn has(call: &Call, name: &str) -> bool {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    let nested = match first {
        "" => return false,
        // Clients may send these as texts that hold an object.
        "metadata" => call.request.metadata.as_ref(),
        "litellm_metadata" => call.request.litellm_metadata.as_ref(),
        _ => None,
    };
    let value = match nested {
        Some(nested) => Some(nested.json(&call.body)),
        None => call.request.head.value(&call.body, first),
    };
    let below = |object, part| members(object).find(|(key, _)| key_is(key, part)).map(|(_, value)| value);
    value.and_then(|value| parts.try_fold(value, below)).is_some()
}

#[cfg(test)]
mod tests {
    use proto::{KeyHash, v1 as pb};

    use super::*;
    use crate::pipeline::authenticate::authenticate;
    use crate::pipeline::decode::tests::call_of;
    use crate::snapshot::Version;
    use crate::snapshot::decode::Changes;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn snapshot_of(gate: Option<pb::Gate>, others: Vec<pb::resource::Body>) -> Snapshot {
        let version = Version { epoch: [1; 16], revision: 1 };
        let master_key_sha256 = KeyHash::of("sk-master").as_bytes().to_vec().into();
        let settings = pb::Settings { gate, master_key_sha256, ..pb::Settings::default() };
        let mut changes = Changes::new();
        for body in others.into_iter().chain([pb::resource::Body::Settings(settings)]) {
            changes.put(pb::Resource { required_features: Vec::new(), body: Some(body) });
        }
        assert!(changes.rejections.is_empty(), "{:?}", changes.rejections);
        changes.apply(&Snapshot::empty(version), version)
    }

    fn key(secret: &str, change: impl FnOnce(&mut pb::Key)) -> pb::resource::Body {
        let mut key = pb::Key { hash: KeyHash::of(secret).as_bytes().to_vec().into(), ..pb::Key::default() };
        change(&mut key);
        pb::resource::Body::Key(key)
    }

    fn caller(snapshot: &Snapshot, secret: &str) -> Caller {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {secret}").parse().unwrap());
        authenticate(snapshot, &headers, 0).unwrap()
    }

    fn entered(gate: pb::Gate, peer: &str, forwarded: &[&str], path: &str) -> Result<String, String> {
        let mut request = http::Request::post(path);
        for value in forwarded {
            request = request.header(FORWARDED_FOR, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let entered = enter(&snapshot_of(Some(gate), Vec::new()), &head, &peer.into());
        entered.map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_listed_addresses_come_in_and_a_header_counts_only_where_a_proxy_is_trusted() {
        let gate = |forwarded_hops| pb::Gate {
            allowed_ips: texts(&["192.0.2.7", "10.0.0.0/8"]),
            forwarded_hops,
            ..pb::Gate::default()
        };
        let path = "/v1/chat/completions";
        let refused = |ip: &str| Err(format!("Access forbidden: IP address {ip} not allowed."));
        assert_eq!(entered(gate(0), "10.1.1.1", &[], path), Ok("10.1.1.1".to_owned()));
        assert_eq!(entered(gate(0), "192.0.2.8", &[], path), refused("192.0.2.8"));
        assert_eq!(entered(gate(0), "192.0.2.8", &["10.1.1.1"], path), refused("192.0.2.8"), "it may be a lie");
        assert_eq!(entered(gate(1), "10.0.0.1", &["192.0.2.7"], path), Ok("192.0.2.7".to_owned()));
        assert_eq!(entered(gate(1), "10.0.0.1", &["10.1.1.1, 192.0.2.8"], path), refused("192.0.2.8"));
        assert_eq!(entered(gate(2), "10.0.0.1", &["10.1.1.1"], path), refused("unknown"), "a proxy was left out");
        assert_eq!(entered(gate(1), "10.0.0.1", &["hidden"], path), refused("unknown"));
        let open = pb::Gate { forwarded_hops: 1, ..pb::Gate::default() };
        assert_eq!(entered(open, "10.0.0.1", &["hidden"], path), Ok("10.0.0.1".to_owned()), "nobody asks");
    }

    #[test]
    fn only_listed_routes_are_open_in_their_very_letters() {
        let gate = pb::Gate { allowed_routes: texts(&["/chat/completions", "info_routes"]), ..pb::Gate::default() };
        let at = |path: &str| entered(gate.clone(), "10.1.1.1", &[], path).map(drop);
        assert_eq!((at("/chat/completions"), at("/v1/models")), (Ok(()), Ok(())));
        let says = "Access forbidden: Route /v1/chat/completions not allowed".to_owned();
        assert_eq!(at("/v1/chat/completions"), Err(says));
    }

    #[test]
    fn a_route_for_admins_is_closed_to_all_but_proxy_admins() {
        let gate = pb::Gate { admin_only_routes: texts(&["/v1/embeddings"]), ..pb::Gate::default() };
        let user = |user_id: &str, role: &str| {
            pb::resource::Body::User(pb::User { user_id: user_id.into(), role: role.into(), ..pb::User::default() })
        };
        let others = vec![
            user("boss", "proxy_admin"),
            user("ada", "internal_user"),
            key("sk-boss", |key| key.user_id = "boss".into()),
            key("sk-ada", |key| key.user_id = "ada".into()),
            key("sk-nobody", |_| {}),
        ];
        let snapshot = snapshot_of(Some(gate), others);
        for (secret, is_open) in [("sk-master", true), ("sk-boss", true), ("sk-ada", false), ("sk-nobody", false)] {
            let caller = caller(&snapshot, secret);
            assert_eq!(check_role(&snapshot, &caller, "/v1/embeddings").is_ok(), is_open, "{secret}");
            assert!(check_role(&snapshot, &caller, "/v1/chat/completions").is_ok());
        }
    }

    fn checked(snapshot: &Snapshot, secret: &str, body: &str) -> Result<(), String> {
        let caller = caller(snapshot, secret);
        let call = call_of(snapshot, &caller, body);
        check_call(snapshot, &caller, &call).map_err(|error| error.to_string())
    }

    #[test]
    fn each_list_of_parameters_holds_for_its_own_calls_and_for_no_others() {
        let gate = pb::Gate {
            enforced_params: texts(&["user"]),
            service_account_params: texts(&["metadata.job"]),
            ..pb::Gate::default()
        };
        let team = pb::Team { team_id: "t".into(), enforced_params: texts(&["n"]), ..pb::Team::default() };
        let others = vec![
            pb::resource::Body::Team(team),
            key("sk-plain", |_| {}),
            key("sk-service", |key| key.service_account = true),
            key("sk-own", |key| key.enforced_params = texts(&["metadata.a.b", "seed"])),
            key("sk-team", |key| key.team_id = "t".into()),
        ];
        let snapshot = snapshot_of(Some(gate), others);
        let lacks = |param: &str| {
            Err(format!(
                "Authentication Error, BadRequest please pass param={param} in request body. This is a required param"
            ))
        };
        let call = |more: &str| format!(r#"{{"model":"m","messages":[]{more}}}"#);
        for secret in ["sk-master", "sk-plain", "sk-service", "sk-own", "sk-team"] {
            assert_eq!(checked(&snapshot, secret, &call("")), lacks("user"), "{secret}");
        }
        let plain = call(r#","user":null"#);
        assert_eq!(checked(&snapshot, "sk-plain", &plain), Ok(()), "whatever it says");
        assert_eq!(checked(&snapshot, "sk-service", &plain), lacks("[metadata][job]"));
        assert_eq!(checked(&snapshot, "sk-own", &plain), lacks("[metadata][a][b]"));
        assert_eq!(checked(&snapshot, "sk-team", &plain), lacks("n"));
        assert_eq!(checked(&snapshot, "sk-service", &call(r#","user":"u","metadata":{"job":0}"#)), Ok(()));
        let as_text = call(r#","user":"u","metadata":"{\"job\":1}""#);
        assert_eq!(checked(&snapshot, "sk-service", &as_text), Ok(()));
        let own = call(r#","user":"u","seed":1,"metadata":{"a":{"b":[]}}"#);
        assert_eq!(checked(&snapshot, "sk-own", &own), Ok(()));
        let shallow = call(r#","user":"u","seed":1,"metadata":{"a":1}"#);
        assert_eq!(checked(&snapshot, "sk-own", &shallow), lacks("[metadata][a][b]"));
    }

    #[test]
    fn a_list_that_nobody_could_read_lets_no_call_through() {
        let snapshot = snapshot_of(None, vec![key("sk-odd", |key| key.enforced_params = texts(&[""]))]);
        assert!(checked(&snapshot, "sk-odd", r#"{"model":"m","messages":[],"":1}"#).is_err());
    }

    #[test]
    fn the_user_is_asked_for_and_the_blocked_are_refused_wherever_they_are_named() {
        let gate = pb::Gate { enforce_user_param: true, blocked_customers: texts(&["mallory"]), ..pb::Gate::default() };
        let snapshot = snapshot_of(Some(gate), vec![key("sk-plain", |_| {})]);
        let at = |more: &str| checked(&snapshot, "sk-plain", &format!(r#"{{"model":"m","messages":[]{more}}}"#));
        assert!(at("").unwrap_err().ends_with("'enforce_user_param'=True"));
        assert_eq!(at(r#","user":"ada""#), Ok(()));
        let says = "User blocked from making LLM API Calls. User=mallory".to_owned();
        assert_eq!(at(r#","user":"mallory""#), Err(says));
    }
}
