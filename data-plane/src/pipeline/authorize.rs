//! Which model the caller means, and whether they may use it. Asks the snapshot only.
//!
//! Names are rewritten in LiteLLM's order (admin_api.md 4.6), each table once; access is checked by one
//! algorithm for key, team, user and customer in turn (4.5).

use std::borrow::Cow;
use std::sync::Arc;

use proto::routes;
use proto::v1::OwnerKind;
use smallvec::SmallVec;

use super::authenticate::{Caller, Identity};
use super::customer;
use super::decode::Call;
use crate::snapshot::{Deployment, Models, Names, Settings, Snapshot, Standing, models};

/// What the caller may do: use these deployments under this name.
pub(crate) struct Grant {
    pub(crate) caller: Caller,
    /// The public name after aliases.
    pub(crate) group: String,
    pub(crate) candidates: Vec<Arc<Deployment>>,
}

/// Why a caller may not use a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorizeError {
    #[error("{who} not allowed to access model. This {noun} can only access models={allowed}. Tried to access {model}", who = .owner.who(), noun = .owner.noun())]
    Model { owner: Owner, model: String, allowed: String },
    #[error(
        "Virtual key is not allowed to call this route. Only allowed to call routes: {allowed}. Tried to call route: {route}"
    )]
    Route { allowed: String, route: String },
    #[error("Authentication Error, a `{role}` may not call models")]
    Role { role: String },
    #[error(
        "{route}: Invalid model name passed in model={model}. Call `/v1/models` to view available models for your key."
    )]
    Unknown { route: &'static str, model: String },
    #[error("Model is blocked. Model={model}")]
    Blocked { model: String },
    #[error("No deployment of {model} is known to be in the region `{region}`, which this customer is bound to")]
    Region { region: String, model: String },
    #[error("User blocked from making LLM API Calls. User={id}")]
    CustomerBlocked { id: String },
}

/// Whose list of models refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Key,
    Team,
    /// A user in a team.
    Member,
    User,
    Customer,
    Organization,
}

impl Owner {
    fn who(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::Member => "team member",
            Self::User => "user",
            Self::Customer => "customer",
            Self::Organization => "organization",
        }
    }

    fn noun(self) -> &'static str {
        self.who()
    }

    /// LiteLLM's error type.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::Key => "key_model_access_denied",
            Self::Team | Self::Member => "team_model_access_denied",
            Self::User => "user_model_access_denied",
            Self::Customer => "customer_model_access_denied",
            Self::Organization => "org_model_access_denied",
        }
    }
}

/// Resolves the model the call names and lets the caller use it, or says what they may not.
pub(crate) fn authorize(snapshot: &Snapshot, caller: Caller, call: &Call) -> Result<Grant, AuthorizeError> {
    let name = resolve(&snapshot.settings, &caller, &call.asked);
    let mut scopes = check_access(snapshot, &caller, &name)?;
    scopes.extend(check_customer(snapshot, call, &name)?);
    let mut candidates = candidates(&snapshot.models, &caller, name.group);
    // Who was let in by an access group sees the deployments of that group alone.
    candidates.retain(|deployment| scopes.iter().all(|scope| scope.holds(deployment)));
    if candidates.is_empty() {
        return Err(AuthorizeError::Unknown { route: call.task.route(), model: call.asked.clone() });
    }
    candidates.retain(|deployment| !deployment.blocked);
    let group = name.group.to_owned();
    drop(name);
    if candidates.is_empty() {
        return Err(AuthorizeError::Blocked { model: call.asked.clone() });
    }
    customer::keep_to_region(snapshot, call, &mut candidates)?;
    Ok(Grant { caller, group, candidates })
}

/// Lets the caller use a path of ours, or says which ones their key may call.
pub(crate) fn check_route(caller: &Caller, path: &str) -> Result<(), AuthorizeError> {
    let Identity::Key { key, .. } = &caller.identity else { return Ok(()) };
    let allowed = key.allowed_routes();
    match allowed.is_empty() || routes::any_covers(allowed.iter(), path, routes::Reach::Below) {
        true => Ok(()),
        false => Err(AuthorizeError::Route { allowed: shown(allowed), route: path.to_owned() }),
    }
}

/// The caller may see this model: what `/v1/models` lists by.
pub(crate) fn may_use(snapshot: &Snapshot, caller: &Caller, model: &str) -> bool {
    let name = resolve(&snapshot.settings, caller, model);
    check_access(snapshot, caller, &name).is_ok()
}

/// A name on its way through the alias tables. Every step of it stands in one of them, so nothing is copied.
struct Name<'a> {
    group: &'a str,
    /// Every name that may stand in a list of allowed models.
    candidates: SmallVec<[&'a str; 4]>,
    /// Those of them that no alias of a key or a team made up: whoever may write one chooses its name.
    targets: SmallVec<[&'a str; 3]>,
    /// A team alias was used: the team's admin has said yes.
    by_team_alias: bool,
}

fn resolve<'a>(settings: &'a Settings, caller: &'a Caller, asked: &'a str) -> Name<'a> {
    let team_aliases = caller.team.as_ref().map_or(&[][..], |(_, team)| &team.model_aliases);
    let by_key = |name: &str| match &caller.identity {
        Identity::Key { key, .. } => key.model_behind(name),
        Identity::Master { .. } => None,
    };
    let by_team = team_aliases.iter().find(|(alias, _)| alias.as_ref() == asked).map(|(_, model)| model.as_ref());
    let by_team_alias = by_team.is_some();
    let mut name = by_team.unwrap_or(asked);
    let mut by_key_alias = false;
    if let Some(target) = by_key(name) {
        (name, by_key_alias) = (target, true);
    }
    let before_map = name;
    if let Some(target) = settings.model_alias_map.get(name) {
        name = target;
    }
    if let Some(target) = by_key(name) {
        (name, by_key_alias) = (target, true);
    }
    let group = settings.group_aliases.get(name).map_or(name, |alias| &alias.model);
    let mut candidates = SmallVec::from_slice(&[name, group]);
    let mut targets = SmallVec::from_slice(&[name, group]);
    if !by_key_alias {
        candidates.extend([before_map, asked]);
        targets.push(before_map);
    }
    candidates.dedup();
    // What the team's admin said yes to is the alias's target, not wherever a key alias leads from there.
    Name { group, candidates, targets, by_team_alias: by_team_alias && !by_key_alias }
}

/// The access groups by which somebody was let in, where nothing else did.
struct Scope(Vec<Box<str>>);

impl Scope {
    fn holds(&self, deployment: &Deployment) -> bool {
        deployment.access_groups.iter().any(|group| self.0.contains(group))
    }
}

fn check_access(snapshot: &Snapshot, caller: &Caller, name: &Name<'_>) -> Result<Vec<Scope>, AuthorizeError> {
    let Identity::Key { key, .. } = &caller.identity else { return Ok(Vec::new()) };
    let mut scopes = Vec::new();
    let mut allows_any = |allowed: Names<'_>, names: &[&str]| match access(&snapshot.models, allowed, names) {
        Access::Denied => false,
        Access::Free => true,
        Access::ByGroups(groups) => {
            scopes.push(Scope(groups));
            true
        }
    };
    let mut allows = |allowed: Names<'_>| allows_any(allowed, &name.candidates);
    let team = caller.team.as_ref().map(|(_, team)| team);
    let refuse = |owner: Owner, allowed: Names<'_>| {
        let model = name.candidates.last().copied().unwrap_or_default().to_owned();
        Err(AuthorizeError::Model { owner, model, allowed: shown(allowed) })
    };
    let team_models = Names::Boxed(team.map_or(&[], |team| &team.models));

    let is_whole_team = key.models().iter().any(|model| model == "all-team-models");
    let key_list = if is_whole_team { team_models } else { key.models() };
    if !key.rights.any_model && !name.by_team_alias && !allows(key_list) {
        return refuse(Owner::Key, key_list);
    }
    if team.is_some() && !name.by_team_alias && !allows(team_models) {
        return refuse(Owner::Team, team_models);
    }
    let (member, organization) = others(snapshot, caller);
    if let Some(models) = member.filter(|_| !name.by_team_alias)
        && !allows(models)
    {
        return refuse(Owner::Member, models);
    }
    if let Some(user) = &caller.user {
        if user.role.as_ref() == "proxy_admin_viewer" {
            return Err(AuthorizeError::Role { role: user.role.to_string() });
        }
        let has_none = user.models.iter().any(|model| model.as_ref() == "no-default-models");
        if has_none {
            return refuse(Owner::Key, Names::Boxed(&user.models));
        }
        if !allows(Names::Boxed(&user.models)) {
            return refuse(Owner::User, Names::Boxed(&user.models));
        }
    }
    // Where a team's own alias leads is the team's to say, within what the organization lets its teams call.
    if let Some(models) = organization
        && !allows_any(models, &name.targets)
    {
        return refuse(Owner::Organization, models);
    }
    Ok(scopes)
}

/// The lists of models of the user as a member of the key's team, and of the organization of the key, else of the team.
fn others<'a>(snapshot: &'a Snapshot, caller: &'a Caller) -> (Option<Names<'a>>, Option<Names<'a>>) {
    let Identity::Key { key, .. } = &caller.identity else { return (None, None) };
    if snapshot.owners.is_empty() {
        return (None, None); // nearly every call of nearly every gateway
    }
    let models = |kind, id: &str| snapshot.owner(kind, id).map(|owner| Names::Boxed(&owner.models));
    let team = caller.team.as_ref();
    let member = key
        .user_id()
        .zip(team)
        .and_then(|(user_id, (team_id, _))| models(OwnerKind::Member, &proto::owner::member_id(user_id, team_id)));
    let of_team = team.and_then(|(_, team)| team.organization_id.as_deref());
    let organization = key.organization_id().or(of_team).and_then(|id| models(OwnerKind::Organization, id));
    (member, organization)
}

/// Lets the customer use the model, if there is more to say of them than that they exist.
fn check_customer(snapshot: &Snapshot, call: &Call, name: &Name<'_>) -> Result<Option<Scope>, AuthorizeError> {
    let customer = call.end_user.as_deref().and_then(|id| Some((id, snapshot.owner(OwnerKind::Customer, id)?)));
    let Some((id, customer)) = customer else { return Ok(None) };
    if customer.standing == Standing::Blocked {
        return Err(AuthorizeError::CustomerBlocked { id: id.to_owned() });
    }
    let allowed = Names::Boxed(&customer.models);
    match access(&snapshot.models, allowed, &name.candidates) {
        Access::Free => Ok(None),
        Access::ByGroups(groups) => Ok(Some(Scope(groups))),
        Access::Denied => {
            let model = name.candidates.last().copied().unwrap_or_default().to_owned();
            Err(AuthorizeError::Model { owner: Owner::Customer, model, allowed: shown(allowed) })
        }
    }
}

/// How a list of allowed models lets a name through.
enum Access {
    Denied,
    Free,
    /// Only as a member of these groups.
    ByGroups(Vec<Box<str>>),
}

/// Whether a list of allowed models lets any of the names through. An empty list lets everything through.
fn access(models: &Models, allowed: Names<'_>, names: &[&str]) -> Access {
    let is_free = allowed.is_empty()
        || allowed.iter().any(|entry| match entry {
            "*" | "all-proxy-models" | "all-team-models" => true,
            entry => names.iter().any(|name| names_model(entry, name)),
        });
    if is_free {
        return Access::Free;
    }
    let opens = |group: &str| names.iter().any(|name| is_in_access_group(models, group, name));
    let groups: Vec<Box<str>> = allowed.iter().filter(|group| opens(group)).map(Box::from).collect();
    if groups.is_empty() { Access::Denied } else { Access::ByGroups(groups) }
}

/// Whether an entry is the name, or a pattern for it.
fn names_model(entry: &str, name: &str) -> bool {
    entry == name
        || (entry.contains('*')
            && (models::matches(entry, name) || with_provider(name).is_some_and(|full| models::matches(entry, &full))))
}

fn is_in_access_group(models: &Models, group: &str, name: &str) -> bool {
    let in_group = |deployment: &Arc<Deployment>| deployment.access_groups.iter().any(|other| other.as_ref() == group);
    match models.named(name) {
        [] => models.matching(name).iter().any(in_group),
        named => named.iter().any(in_group),
    }
}

/// `provider/name`, where the provider of a bare name can be inferred.
fn with_provider(name: &str) -> Option<String> {
    if name.contains('/') {
        return None;
    }
    let named = providers::infer(name, None, None).ok()?;
    Some(format!("{}/{name}", named.provider.id()))
}

/// Everybody who serves `group` for this caller, in the order of llm_path.md 4.3.
fn candidates(models: &Models, caller: &Caller, group: &str) -> Vec<Arc<Deployment>> {
    let team = caller.team.as_ref().map(|(id, _)| id.as_ref());
    let is_ours = |deployment: &&Arc<Deployment>| deployment.team_id.as_deref().is_none_or(|owner| Some(owner) == team);
    let ours = |deployments: &[Arc<Deployment>]| deployments.iter().filter(is_ours).cloned().collect::<Vec<_>>();

    if models.named(group).is_empty()
        && let Some(deployment) = models.by_id(group).filter(is_ours)
    {
        return vec![Arc::clone(deployment)];
    }
    let of_team = team.map(|team| models.of_team(team, group)).unwrap_or_default();
    let with_provider = || with_provider(group).map_or(Cow::Borrowed(""), Cow::Owned);
    let sources: [&dyn Fn() -> Vec<Arc<Deployment>>; 5] = [
        &|| of_team.to_vec(),
        &|| ours(models.named(group)),
        &|| ours(models.matching(group)),
        &|| ours(models.matching(&with_provider())),
        &|| ours(models.by_litellm_model(group)),
    ];
    sources.iter().map(|source| source()).find(|found| !found.is_empty()).unwrap_or_default()
}

fn shown(models: Names<'_>) -> String {
    let quoted: Vec<String> = models.iter().map(|model| format!("'{model}'")).collect();
    format!("[{}]", quoted.join(", "))
}
