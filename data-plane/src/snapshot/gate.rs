//! What is asked of callers beyond a good key: where they call from, which routes are open, what their calls must have.

use std::collections::HashSet;

use http::HeaderName;
use proto::address::Network;
use proto::v1 as pb;

use super::decode::boxed;

/// The gate, where the operator set one up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    /// None: callers from everywhere.
    pub(crate) allowed_ips: Option<Box<[Network]>>,
    /// Proxies in front of this data plane whose word about the client's address is believed.
    pub(crate) forwarded_hops: usize,
    /// Empty: all.
    pub(crate) allowed_routes: Box<[Box<str>]>,
    pub(crate) admin_only_routes: Box<[Box<str>]>,
    pub(crate) public_routes: Box<[Box<str>]>,
    /// What every call of a model must have: `user`, `metadata.job`.
    pub(crate) enforced_params: Box<[Box<str>]>,
    pub(crate) service_account_params: Box<[Box<str>]>,
    pub(crate) user: UserParam,
    /// These name the customer before the body does.
    pub(crate) customer_headers: Box<[HeaderName]>,
    pub(crate) blocked_customers: HashSet<Box<str>>,
}

/// Whether every call must say `user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UserParam {
    #[default]
    Optional,
    Required,
}

impl Gate {
    /// The gate that the control plane describes, or why it cannot be kept.
    pub(super) fn of(gate: pb::Gate) -> Result<Self, String> {
        let header = |name: &String| {
            HeaderName::try_from(name.as_str()).map_err(|_invalid| format!("`{name}` is not a header name"))
        };
        Ok(Self {
            allowed_ips: (!gate.allowed_ips.is_empty())
                // What cannot be read lets nobody in; the others are let in all the same.
                .then(|| gate.allowed_ips.iter().filter_map(|text| text.parse().ok()).collect()),
            forwarded_hops: usize::try_from(gate.forwarded_hops).unwrap_or(usize::MAX),
            allowed_routes: boxed(gate.allowed_routes),
            admin_only_routes: boxed(gate.admin_only_routes),
            public_routes: boxed(gate.public_routes),
            enforced_params: boxed(gate.enforced_params),
            service_account_params: boxed(gate.service_account_params),
            user: if gate.enforce_user_param { UserParam::Required } else { UserParam::Optional },
            customer_headers: gate.customer_headers.iter().map(header).collect::<Result<_, _>>()?,
            blocked_customers: gate.blocked_customers.into_iter().map(Box::from).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_read_lets_nobody_in_and_takes_nothing_from_the_others() {
        let of = |ips: &[&str]| {
            let allowed_ips = ips.iter().map(|text| (*text).to_owned()).collect();
            Gate::of(pb::Gate { allowed_ips, ..pb::Gate::default() }).unwrap().allowed_ips
        };
        assert_eq!(of(&[]), None, "everybody");
        assert_eq!(of(&["office"]).unwrap().len(), 0, "nobody");
        let two = of(&["10.0.0.0/8", "", "::1"]).unwrap();
        assert_eq!(two.len(), 2);
        assert!(two[0].holds([10, 1, 2, 3].into()) && !two[1].holds([10, 1, 2, 3].into()));
    }

    #[test]
    fn a_header_that_can_be_none_is_said_back() {
        let gate = pb::Gate { customer_headers: vec!["x user".into()], ..pb::Gate::default() };
        assert!(Gate::of(gate).unwrap_err().contains("`x user`"));
    }
}
