//! Who may do what. Pure: what the decision needs is in the actor and the subject.

use super::authenticate::AccessError;
use super::{Actor, Role};
use crate::keys::Key;
use crate::organizations::OrganizationRole;
use crate::teams::{Standing, Team};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    CreateKey,
    ReadKey,
    ChangeKey,
    DeleteKey,
    BlockKey,
    /// Give it another value.
    RegenerateKey,
    /// What was spent with it.
    ResetKeySpend,
    /// Many of them at once.
    ChangeKeys,
    CreateTeam,
    ReadTeam,
    ChangeTeam,
    /// Where its calls are logged, with references to the environment of the server.
    ChangeTeamLogging,
    DeleteTeam,
    BlockTeam,
    /// Its roster.
    ManageTeam,
    /// By themselves, a team that is open to users.
    JoinTeam,
    CreateOrganization,
    ReadOrganization,
    /// All of them, or one's own.
    ListOrganizations,
    ChangeOrganization,
    /// Who is in it.
    ManageOrganization,
    DeleteOrganization,
    CreateUser,
    ReadUser,
    ChangeUser,
    DeleteUser,
    /// All of them, a page at a time.
    ListUsers,
    /// Many of them at once.
    ChangeUsers,
    ReadModel,
    /// Where its calls go, and with which credential.
    ChangeModel,
    BlockModel,
    ReadCredential,
    ChangeCredential,
    /// Which models a name in a key's list stands for.
    ReadAccessGroup,
    ChangeAccessGroup,
    ReadSpend,
    ReadBudget,
    ChangeBudget,
    ReadCustomer,
    ChangeCustomer,
    ReadTag,
    /// Of all tags, or one's own.
    ListTags,
    ChangeTag,
    ReadFleet,
    ChangeFleet,
    /// From where callers are let in.
    ReadAddresses,
    ChangeAddresses,
    /// How the control plane is, beyond what strangers are told.
    ReadHealth,
    /// Of the product.
    ReadSettings,
}

/// With what.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// Not known yet: whether there is anything of the kind with which the actor may.
    Anything,
    /// A key, and its team where that has a row.
    Key(&'a Key, Option<&'a Team>),
    /// A key to be made for this user, and its team where that has a row.
    NewKey {
        user_id: Option<&'a str>,
        team: Option<&'a Team>,
    },
    Team(&'a Team),
    /// A team to be made in this organization.
    NewTeam {
        organization_id: Option<&'a str>,
    },
    Organization(&'a str),
    User(&'a str),
}

impl Actor {
    /// Whether the actor may do this with that.
    pub(crate) fn may(&self, permission: Permission, subject: &Subject<'_>) -> Result<(), AccessError> {
        match self.role {
            Role::ProxyAdmin => Ok(()),
            Role::ProxyAdminViewer if permission.reads() => Ok(()),
            Role::ProxyAdminViewer => Err(self.admins_only()),
            Role::InternalUserViewer if !permission.reads() => Err(self.admins_only()),
            Role::InternalUser | Role::InternalUserViewer => self.may_as_user(permission, subject),
        }
    }

    /// The refusal of a route that the role cannot call at all.
    pub(crate) fn admins_only(&self) -> AccessError {
        AccessError::AdminsOnly { route: self.route.clone(), role: self.role, user_id: self.user_id.clone() }
    }

    fn may_as_user(&self, permission: Permission, subject: &Subject<'_>) -> Result<(), AccessError> {
        match permission {
            Permission::CreateTeam => match subject {
                Subject::NewTeam { organization_id: Some(id) } if !self.organizations.is_empty() => {
                    self.must_administer(id)
                }
                Subject::NewTeam { organization_id: None } if !self.organizations.is_empty() => {
                    Err(AccessError::Organization(format!(
                        "Your teams belong to an organization: pass the organization_id of one that you administer. \
                         Route={}",
                        self.route
                    )))
                }
                _ => Err(self.admins_only()),
            },
            Permission::ChangeOrganization | Permission::ManageOrganization => match subject {
                Subject::Organization(id) => self.must_administer(id),
                _ => Err(self.admins_only()),
            },
            Permission::ReadOrganization => match subject {
                Subject::Organization(id) if self.role_in(id).is_some() => Ok(()),
                Subject::Organization(id) => self.must_administer(id),
                _ => Err(self.admins_only()),
            },
            Permission::CreateOrganization
            | Permission::DeleteOrganization
            | Permission::CreateUser
            | Permission::DeleteUser
            | Permission::BlockModel
            | Permission::ReadCredential
            | Permission::ChangeCredential
            | Permission::ReadAccessGroup
            | Permission::ChangeAccessGroup
            | Permission::ChangeUsers
            | Permission::ReadBudget
            | Permission::ChangeBudget
            | Permission::ReadCustomer
            | Permission::ChangeCustomer
            | Permission::ReadTag
            | Permission::ChangeTag
            | Permission::ReadFleet
            | Permission::ChangeFleet
            | Permission::ReadAddresses
            | Permission::ChangeAddresses
            | Permission::ReadSettings => Err(self.admins_only()),
            // Nor a team's admin for the team: who names a host and a reference to the environment is told what it holds.
            Permission::ChangeModel => Err(AccessError::Forbidden(format!(
                "Only proxy admins add and change models. Route={}. Your role={}. Your user_id={}",
                self.route,
                self.role.name(),
                self.user_id.as_deref().unwrap_or("None"),
            ))),
            Permission::ChangeKeys => Err(AccessError::Forbidden(
                "Only proxy admins can change keys in bulk. Use /key/update for each of your own.".to_owned(),
            )),
            Permission::ListUsers => {
                Err(AccessError::Forbidden("Only proxy admins can list users. Use /user/info for your own.".to_owned()))
            }
            Permission::DeleteTeam | Permission::BlockTeam | Permission::ManageTeam => match subject {
                Subject::Team(team) if self.stands_in(team) == Standing::Admin => Ok(()),
                _ => Err(self.admins_only()),
            },
            Permission::ReadModel
            | Permission::JoinTeam
            | Permission::ListTags
            | Permission::ListOrganizations
            | Permission::ReadHealth => Ok(()),
            Permission::ReadSpend => match subject {
                Subject::Team(team) => self.may_see_spend_of(team),
                _ => Ok(()),
            },
            Permission::CreateKey
            | Permission::ReadKey
            | Permission::ChangeKey
            | Permission::DeleteKey
            | Permission::BlockKey
            | Permission::RegenerateKey
            | Permission::ResetKeySpend
            | Permission::ReadTeam
            | Permission::ChangeTeam
            | Permission::ChangeTeamLogging
            | Permission::ReadUser
            | Permission::ChangeUser => match subject {
                Subject::Anything => Ok(()),
                Subject::Key(key, team) => self.may_with_key(permission, key, *team),
                Subject::NewKey { user_id, team } => self.may_make_key(*user_id, *team),
                Subject::Team(team) => self.may_with_team(permission, team),
                Subject::User(user_id) => self.may_see_user(user_id),
                Subject::NewTeam { .. } | Subject::Organization(_) => Err(self.admins_only()),
            },
        }
    }

    fn may_with_key(&self, permission: Permission, key: &Key, team: Option<&Team>) -> Result<(), AccessError> {
        let own = self.user_id.is_some() && key.user_id == self.user_id;
        let made = self.user_id.is_some() && key.created_by == self.user_id;
        let of_organization = || key.organization_id.as_deref().is_some_and(|id| self.administers(id));
        let standing = match team {
            Some(team) => self.stands_in(team),
            None if of_organization() => Standing::Admin,
            None => Standing::Outside,
        };
        let allowed = match permission {
            Permission::ReadKey => own || self.key_hash() == Some(key.hash) || standing != Standing::Outside,
            Permission::ChangeKey => match key.team_id {
                Some(_) => standing == Standing::Admin || self.granted(team, "/key/update"),
                None => own && made,
            },
            Permission::DeleteKey => own || standing == Standing::Admin || self.granted(team, "/key/delete"),
            Permission::RegenerateKey => match key.team_id {
                Some(_) => {
                    let routes = ["/key/regenerate", "/key/{key_id}/regenerate"];
                    standing == Standing::Admin || routes.into_iter().any(|route| self.granted(team, route))
                }
                None => own,
            },
            Permission::BlockKey | Permission::ResetKeySpend => standing == Standing::Admin,
            _ => false,
        };
        match allowed {
            true => Ok(()),
            false => Err(AccessError::Forbidden(format!(
                "You are not allowed to access this key. Route={}. Your role={}. Your user_id={}",
                self.route,
                self.role.name(),
                self.user_id.as_deref().unwrap_or("None"),
            ))),
        }
    }

    fn may_make_key(&self, user_id: Option<&str>, team: Option<&Team>) -> Result<(), AccessError> {
        let Some(own) = self.user_id.as_deref() else {
            return Err(AccessError::Forbidden(
                "A key that belongs to no user cannot create keys. Use a key with a user_id, or the master key."
                    .to_owned(),
            ));
        };
        if let Some(team) = team {
            return match self.stands_in(team) {
                // For themselves, for members, or for nobody: never in the name of somebody who has no part in the team.
                Standing::Admin if user_id.is_none_or(|id| id == own || team.standing(id) != Standing::Outside) => {
                    Ok(())
                }
                Standing::Member if user_id == Some(own) && self.granted(Some(team), "/key/generate") => Ok(()),
                Standing::Admin | Standing::Member | Standing::Outside => {
                    Err(AccessError::TeamPermission { route: self.route.clone(), team_id: team.team_id.clone() })
                }
            };
        }
        match user_id == Some(own) {
            true => Ok(()),
            false => Err(AccessError::Forbidden(format!(
                "User can only create keys for themselves. Got user_id={}, Your ID={own}",
                user_id.unwrap_or("None"),
            ))),
        }
    }

    fn may_with_team(&self, permission: Permission, team: &Team) -> Result<(), AccessError> {
        let in_team = self.key().is_some_and(|key| key.team_id.as_deref() == Some(&team.team_id));
        let allowed = match permission {
            Permission::ReadTeam => in_team || self.stands_in(team) != Standing::Outside,
            Permission::ChangeTeam => team.organization_id.as_deref().is_some_and(|id| self.administers(id)),
            // Team admins may change the fields that the operator lists (`team_admin_editable_team_fields`). That list
            // is empty until the setting is honoured.
            _ => false,
        };
        match allowed {
            true => Ok(()),
            false => Err(self.no_access_to_team(&team.team_id)),
        }
    }

    /// The refusal of a team, whether there is one with this id or not.
    pub(crate) fn no_access_to_team(&self, team_id: &str) -> AccessError {
        AccessError::Forbidden(format!(
            "You are not allowed to access this team. Route={}. team_id={team_id}. Your role={}",
            self.route,
            self.role.name(),
        ))
    }

    fn may_see_spend_of(&self, team: &Team) -> Result<(), AccessError> {
        match self.stands_in(team) == Standing::Admin || self.granted(Some(team), "/spend/logs") {
            true => Ok(()),
            false => Err(AccessError::Forbidden(format!("You may not see the spend of team_id={}.", team.team_id))),
        }
    }

    fn may_see_user(&self, user_id: &str) -> Result<(), AccessError> {
        match self.user_id.as_deref() == Some(user_id) {
            true => Ok(()),
            false => Err(AccessError::Forbidden(format!(
                "key not allowed to access this user's info. user_id={user_id}, key's user_id={}",
                self.user_id.as_deref().unwrap_or("None"),
            ))),
        }
    }

    /// Refuses who does not administer this organization, in LiteLLM's three cases.
    fn must_administer(&self, organization_id: &str) -> Result<(), AccessError> {
        let route = &self.route;
        match self.role_in(organization_id) {
            Some(OrganizationRole::OrgAdmin) => Ok(()),
            Some(role) => Err(AccessError::Organization(format!(
                "Your role in organization_id={organization_id} is {}; only an org_admin may call {route}.",
                role.name(),
            ))),
            None => Err(AccessError::Organization(format!(
                "You have no role in organization_id={organization_id}. Route={route}. Your role={}",
                self.role.name(),
            ))),
        }
    }

    /// What the actor is in a team. Whoever administers its organization administers it.
    fn stands_in(&self, team: &Team) -> Standing {
        if team.organization_id.as_deref().is_some_and(|id| self.administers(id)) {
            return Standing::Admin;
        }
        self.user_id.as_deref().map_or(Standing::Outside, |user_id| team.standing(user_id))
    }

    /// Whether the team lets its members do this with its keys, and the actor is one.
    fn granted(&self, team: Option<&Team>, route: &str) -> bool {
        team.is_some_and(|team| self.stands_in(team) != Standing::Outside && team.grants_members(route))
    }
}

impl Permission {
    fn reads(self) -> bool {
        match self {
            Self::ReadKey
            | Self::ReadTeam
            | Self::ReadUser
            | Self::ReadModel
            | Self::ReadCredential
            | Self::ReadAccessGroup
            | Self::ListUsers
            | Self::ReadSpend
            | Self::ReadBudget
            | Self::ReadCustomer
            | Self::ReadTag
            | Self::ListTags
            | Self::ReadAddresses
            | Self::ReadOrganization
            | Self::ListOrganizations
            | Self::ReadFleet
            | Self::ReadHealth
            | Self::ReadSettings => true,
            Self::CreateKey
            | Self::ChangeKey
            | Self::DeleteKey
            | Self::BlockKey
            | Self::RegenerateKey
            | Self::ResetKeySpend
            | Self::ChangeKeys
            | Self::CreateOrganization
            | Self::ChangeOrganization
            | Self::ManageOrganization
            | Self::DeleteOrganization
            | Self::CreateTeam
            | Self::ChangeTeam
            | Self::ChangeTeamLogging
            | Self::DeleteTeam
            | Self::BlockTeam
            | Self::ManageTeam
            | Self::JoinTeam
            | Self::CreateUser
            | Self::ChangeUser
            | Self::DeleteUser
            | Self::ChangeModel
            | Self::BlockModel
            | Self::ChangeCredential
            | Self::ChangeAccessGroup
            | Self::ChangeUsers
            | Self::ChangeBudget
            | Self::ChangeCustomer
            | Self::ChangeTag
            | Self::ChangeAddresses
            | Self::ChangeFleet => false,
        }
    }
}
