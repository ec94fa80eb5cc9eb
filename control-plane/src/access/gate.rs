//! The gate of the admin API: the same questions that data planes ask ([`crate::publish::gate`]), of calls that end here.
//!
//! A call that a data plane forwards comes with the address of whoever called it, and with the headers that they sent.

use std::net::IpAddr;

use http::header::HeaderMap;
use http::{Extensions, HeaderValue};
use litellm_config::reference::resolve_all;
use proto::address::{self, FORWARDED_FOR, Network};
use proto::routes::{Reach, any_covers};
use proto::v1 as pb;
use serde_json::Value;
use sqlx::PgConnection;

use super::authenticate::AccessError;
use super::{Role, store};
use crate::http::caller::ClientAddress;
use crate::publish::gate::gate;

/// Where the caller is, as far as it is known: behind proxies that are believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallerAddress(pub(crate) Option<IpAddr>);

/// What is asked of callers, and where they carry their key.
pub(super) struct Gate {
    asks: pb::Gate,
    /// The one header that the operator has named to carry keys.
    pub(super) key_header: Option<String>,
}

impl Gate {
    /// As the settings have it.
    pub(super) async fn read(db: &mut PgConnection) -> sqlx::Result<Self> {
        let settings = store::general_settings(db).await?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let general = |name: &str| settings.get(name).map_or(Value::Null, |value| resolve_all(value, &variable));
        let key_header = match general("litellm_key_header_name") {
            Value::String(name) => Some(name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()),
            _ => None,
        };
        Ok(Self { asks: gate(general, |_| Value::Null).unwrap_or_default(), key_header })
    }

    /// Where the caller is.
    pub(super) fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> CallerAddress {
        let peer = extensions.get::<ClientAddress>().and_then(|client| client.0);
        let values = headers.get_all(FORWARDED_FOR).iter().rev().map(HeaderValue::as_bytes);
        let hops = usize::try_from(self.asks.forwarded_hops).unwrap_or(usize::MAX);
        CallerAddress(peer.and_then(|peer| address::client(peer, values, hops)))
    }

    /// Refuses callers from elsewhere than the operator lets in, and routes that the operator closed.
    pub(super) fn enter(&self, CallerAddress(caller): CallerAddress, route: &str) -> Result<(), AccessError> {
        let allowed = &self.asks.allowed_ips;
        if !allowed.is_empty() && !caller.is_some_and(|caller| is_among(allowed, caller)) {
            let address = caller.map_or_else(|| "unknown".to_owned(), |caller| caller.to_string());
            return Err(AccessError::Address { address });
        }
        let open = &self.asks.allowed_routes;
        match open.is_empty() || covers(open, route) {
            true => Ok(()),
            false => Err(AccessError::Closed { route: route.to_owned() }),
        }
    }

    /// Whether the operator opened the route to those without a key.
    pub(super) fn is_public(&self, route: &str) -> bool {
        covers(&self.asks.public_routes, route)
    }

    /// Refuses whoever is no proxy admin a route for those.
    pub(super) fn check_role(&self, role: Role, route: &str) -> Result<(), AccessError> {
        match role != Role::ProxyAdmin && covers(&self.asks.admin_only_routes, route) {
            true => Err(AccessError::AdminOnlyRoute { route: route.to_owned() }),
            false => Ok(()),
        }
    }
}

/// Whether a list of addresses and networks holds the address. An entry that is neither holds none.
pub(crate) fn is_among(allowed: &[String], address: IpAddr) -> bool {
    allowed.iter().filter_map(|text| text.parse::<Network>().ok()).any(|network| network.holds(address))
}

fn covers(entries: &[String], route: &str) -> bool {
    any_covers(entries.iter().map(String::as_str), route, Reach::Itself)
}
