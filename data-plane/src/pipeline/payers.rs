//! Who pays for a call: everybody whose limits and budgets it counts against, in the order of [`Owner`].

use proto::v1::OwnerKind;
use smallvec::SmallVec;

use super::authenticate::Identity;
use super::authorize::Grant;
use super::decode::Call;
use super::refused::AdmitError;
use crate::limits::budget::Budgets;
use crate::limits::local::Demand;
use crate::limits::{EVERYBODY, Owner};
use crate::snapshot::{self, Snapshot, Standing};

pub(super) type Demands<'a> = SmallVec<[Demand<'a>; 4]>;

/// Those who limit anything. An owner whose rules we cannot read pays for nothing.
pub(super) fn demands<'a>(snapshot: &'a Snapshot, grant: &'a Grant, call: &'a Call) -> Result<Demands<'a>, AdmitError> {
    let mut demands = Demands::new();
    let team = grant.caller.team.as_ref().map(|(id, team)| (&**id, team));
    let mut organization = team.and_then(|(_, team)| team.organization_id.as_deref());
    let mut of_models: SmallVec<[Demand<'a>; 1]> = SmallVec::new();
    if let Identity::Key { hash, key } = &grant.caller.identity {
        organization = key.organization_id().or(organization);
        let of_key = Demand::new(Owner::Key, "", key.ceilings(), key.budgets());
        if !of_key.is_none() {
            demands.push(Demand { id: hash.to_string().into(), ..of_key });
        }
        let user_id = key.user_id();
        let user = user_id.and_then(|id| grant.caller.user.as_ref().or_else(|| snapshot.users.get(id)));
        if let Some((id, user)) = user_id.zip(user) {
            // A user's budget is for keys of their own; what they spend in a team counts against it all the same.
            let is_held = team.is_none() || snapshot.settings.team_keys_use_user_budgets;
            push(&mut demands, Demand { is_held, ..Demand::of(Owner::User, id, &user.allowance) });
        }
        if let Some((id, team)) = team {
            push(&mut demands, Demand::of(Owner::Team, id, &team.allowance));
        }
        if let Some((user_id, (team_id, _))) = user_id.zip(team).filter(|_| !snapshot.owners.is_empty()) {
            let id = proto::owner::member_id(user_id, team_id);
            push_other(&mut demands, snapshot.owner(OwnerKind::Member, &id), |member| {
                Demand::of(Owner::Member, id, &member.allowance)
            })?;
        }
        let model = &grant.group;
        if let Some(ceilings) = key.ceilings_of(model) {
            of_models.push(Demand::new(Owner::KeyModel, format!("{hash}:{model}"), ceilings, Budgets::default()));
        }
        if let Some((id, ceilings)) = team.and_then(|(id, team)| Some((id, team.allowance.of_model(model)?))) {
            of_models.push(Demand::new(Owner::TeamModel, format!("{id}:{model}"), ceilings, Budgets::default()));
        }
    }
    let others = [
        (OwnerKind::Customer, Owner::Customer, call.end_user.as_deref()),
        (OwnerKind::Organization, Owner::Organization, organization),
    ];
    for (kind, owner, id) in others {
        if owner == Owner::Organization {
            demands.extend(of_models.drain(..));
        }
        let Some(id) = id else { continue };
        push_other(&mut demands, snapshot.owner(kind, id), |rules| Demand::of(owner, id, &rules.allowance))?;
    }
    for tag in &call.tags {
        let known = snapshot.owner(OwnerKind::Tag, tag);
        push_other(&mut demands, known, |rules| Demand::of(Owner::Tag, tag.as_str(), &rules.allowance))?;
    }
    push(&mut demands, Demand::of(Owner::Proxy, EVERYBODY, &snapshot.settings.everybody));
    // Two calls with the same tags in another order must not wait for each other.
    demands.sort_by(|one, other| (one.owner, &one.id).cmp(&(other.owner, &other.id)));
    // Nor a call for itself.
    demands.dedup_by(|one, other| (one.owner, &one.id) == (other.owner, &other.id));
    Ok(demands)
}

fn push<'a>(demands: &mut Demands<'a>, demand: Demand<'a>) {
    if !demand.is_none() {
        demands.push(demand);
    }
}

fn push_other<'a>(
    demands: &mut Demands<'a>,
    owner: Option<&'a snapshot::Owner>,
    demand: impl FnOnce(&'a snapshot::Owner) -> Demand<'a>,
) -> Result<(), AdmitError> {
    let Some(owner) = owner else { return Ok(()) };
    let demand = demand(owner);
    if owner.standing == Standing::NotUnderstood {
        return Err(AdmitError::NotUnderstood { owner: demand.owner.descriptor(), id: demand.id.into_owned() });
    }
    push(demands, demand);
    Ok(())
}
