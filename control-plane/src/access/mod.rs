//! Who is asking, and what they may do.
//!
//! A request becomes an [`Actor`] ([`authenticate`]) behind the [`gate`], by what it presents ([`presented`]): the master key or
//! a virtual key. What an actor may do is decided in one place ([`permission`]). Slices ask and never look at roles.

mod authenticate;
mod gate;
mod master;
mod permission;
mod presented;
mod store;
#[cfg(test)]
mod tests;

use proto::KeyHash;

pub(crate) use authenticate::AccessError;
pub(crate) use gate::{CallerAddress, is_among};
pub(crate) use master::{DEFAULT_USER_ID, MASTER_KEY_ALIAS, MasterKey};
pub(crate) use permission::{Permission, Subject};

use crate::keys::Key;
use crate::organizations::OrganizationRole;

/// Who is asking.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) credential: Credential,
    pub(crate) role: Role,
    /// The user behind the credential. A key may have none.
    pub(crate) user_id: Option<String>,
    /// The path that was called, for messages.
    pub(crate) route: String,
    /// What the header `litellm-changed-by` says, whether it is believed or not.
    pub(crate) says_changed_by: Option<String>,
    /// Whether the key or its team may say so.
    pub(crate) may_say_changed_by: SaysChangedBy,
    /// What the user is in which organizations. Empty for those who may everything anyway.
    pub(crate) organizations: Vec<(String, OrganizationRole)>,
}

/// What an actor showed.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    Master,
    Key(Box<Key>),
    /// Nothing: the control plane runs without authentication, or the route is open to everybody.
    Nothing,
}

/// Whether the header `litellm-changed-by` of an actor is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaysChangedBy {
    Believed,
    Ignored,
}

/// What a user is. Somebody without a known role is an internal user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    ProxyAdmin,
    ProxyAdminViewer,
    InternalUser,
    InternalUserViewer,
}

impl Role {
    /// All roles, as the API spells them.
    pub(crate) const NAMES: &'static [&'static str] =
        &["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"];

    /// The role under this name; an unknown one has the fewest rights that LiteLLM gives to a user.
    pub(crate) fn named(name: Option<&str>) -> Self {
        match name {
            Some("proxy_admin") => Self::ProxyAdmin,
            Some("proxy_admin_viewer") => Self::ProxyAdminViewer,
            Some("internal_user_viewer") => Self::InternalUserViewer,
            Some(_) | None => Self::InternalUser,
        }
    }

    /// The name of the role.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ProxyAdmin => "proxy_admin",
            Self::ProxyAdminViewer => "proxy_admin_viewer",
            Self::InternalUser => "internal_user",
            Self::InternalUserViewer => "internal_user_viewer",
        }
    }
}

impl Actor {
    /// Whether everything is allowed.
    pub(crate) fn is_admin(&self) -> bool {
        self.role == Role::ProxyAdmin
    }

    /// Whether everything may be seen.
    pub(crate) fn sees_all(&self) -> bool {
        matches!(self.role, Role::ProxyAdmin | Role::ProxyAdminViewer)
    }

    /// Whether the actor administers this organization.
    pub(crate) fn administers(&self, organization_id: &str) -> bool {
        self.role_in(organization_id) == Some(OrganizationRole::OrgAdmin)
    }

    /// The organizations that the actor administers.
    pub(crate) fn administered(&self) -> impl Iterator<Item = &str> {
        let own = self.organizations.iter().filter(|(_, role)| *role == OrganizationRole::OrgAdmin);
        own.map(|(id, _)| id.as_str())
    }

    /// What the actor is in this organization.
    pub(crate) fn role_in(&self, organization_id: &str) -> Option<OrganizationRole> {
        self.organizations.iter().find(|(id, _)| id == organization_id).map(|(_, role)| *role)
    }

    /// The virtual key that was presented.
    pub(crate) fn key(&self) -> Option<&Key> {
        match &self.credential {
            Credential::Key(key) => Some(key),
            Credential::Master | Credential::Nothing => None,
        }
    }

    /// The hash of the virtual key that was presented.
    pub(crate) fn key_hash(&self) -> Option<KeyHash> {
        self.key().map(|key| key.hash)
    }
}
