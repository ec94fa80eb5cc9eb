//! An organization as the API shows it.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::Organization;
use super::roster::{self, OrganizationMember, OrganizationRole};
use crate::access::Actor;
use crate::budgets::{self, BudgetRow, BudgetView};
use crate::http::moment::Moment;
use crate::spend::{self, Owner, Total};
use crate::teams::{self, TeamView};

/// An organization.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct OrganizationView {
    pub(super) organization_id: String,
    organization_alias: String,
    budget_id: Option<String>,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    models: Vec<String>,
    /// US dollars in the budget's current window.
    spend: f64,
    #[schema(value_type = Object)]
    model_spend: Map<String, Value>,
    object_permission_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    object_permission: Option<Map<String, Value>>,
    litellm_budget_table: Option<BudgetView>,
    created_at: Moment,
    created_by: String,
    updated_at: Moment,
    updated_by: String,
}

/// An organization with who and what is in it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WholeOrganization {
    #[serde(flatten)]
    row: OrganizationView,
    members: Vec<OrganizationMembership>,
    teams: Vec<TeamView>,
}

/// A member of an organization.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct OrganizationMembership {
    pub(super) user_id: String,
    organization_id: String,
    user_role: OrganizationRole,
    /// US dollars. Spend is not counted by members of organizations: always 0.
    spend: f64,
    budget_id: Option<String>,
    litellm_budget_table: Option<BudgetView>,
    created_at: Moment,
    updated_at: Moment,
}

impl WholeOrganization {
    pub(super) fn id(&self) -> &str {
        &self.row.organization_id
    }
}

impl OrganizationView {
    fn of(row: Organization, budget: Option<BudgetRow>, total: Total) -> Self {
        Self {
            organization_id: row.organization_id,
            organization_alias: row.alias,
            budget_id: row.budget_id,
            metadata: row.metadata,
            models: row.models,
            spend: total.window.to_usd(),
            model_spend: Map::new(),
            object_permission_id: None,
            object_permission: row.object_permission,
            litellm_budget_table: budget.map(|budget| BudgetView::of(budget, total.resets_at)),
            created_at: Moment(row.created_at),
            created_by: row.created_by,
            updated_at: Moment(row.updated_at),
            updated_by: row.updated_by,
        }
    }
}

/// Organizations with their budgets and what they spent.
pub(super) async fn views(db: &mut PgConnection, rows: Vec<Organization>) -> sqlx::Result<Vec<OrganizationView>> {
    let ids: Vec<String> = rows.iter().map(|row| row.organization_id.clone()).collect();
    let mut totals = spend::totals(db, Owner::Organization, &ids).await?;
    let budgets = budget_rows(db, rows.iter().filter_map(|row| row.budget_id.clone())).await?;
    let view = |row: Organization| {
        let budget = row.budget_id.as_deref().and_then(|id| budgets.get(id)).cloned();
        let total = totals.remove(&row.organization_id).unwrap_or_default();
        OrganizationView::of(row, budget, total)
    };
    Ok(rows.into_iter().map(view).collect())
}

/// One organization with this budget.
pub(super) async fn view(
    db: &mut PgConnection,
    row: Organization,
    budget: Option<BudgetRow>,
) -> sqlx::Result<OrganizationView> {
    let total = spend::total(db, Owner::Organization, &row.organization_id).await?;
    Ok(OrganizationView::of(row, budget, total))
}

/// Organizations with who and what is in them, as far as the actor may see it: who is only a member sees no more than that.
pub(super) async fn whole_for(
    db: &mut PgConnection,
    actor: &Actor,
    rows: Vec<Organization>,
) -> sqlx::Result<Vec<WholeOrganization>> {
    let ids: Vec<String> = rows.iter().map(|row| row.organization_id.clone()).collect();
    let is_open = |id: &str| actor.sees_all() || actor.administers(id);
    let is_own = |member: &OrganizationMember| Some(&member.user_id) == actor.user_id.as_ref();
    let mut members = roster::of(db, &ids).await?;
    members.retain(|member| is_open(&member.organization_id) || is_own(member));
    let ids: Vec<String> = ids.into_iter().filter(|id| is_open(id)).collect();
    let mut members_of: HashMap<String, Vec<OrganizationMembership>> = HashMap::new();
    for member in memberships(db, members).await? {
        members_of.entry(member.organization_id.clone()).or_default().push(member);
    }
    let teams = teams::of_organizations(db, &ids).await?;
    let organization_of: HashMap<String, String> =
        teams.iter().filter_map(|team| Some((team.team_id.clone(), team.organization_id.clone()?))).collect();
    let mut teams_of: HashMap<String, Vec<TeamView>> = HashMap::new();
    for team in teams::views(db, teams).await? {
        if let Some(id) = organization_of.get(&team.team_id) {
            teams_of.entry(id.clone()).or_default().push(team);
        }
    }
    let whole = |row: OrganizationView| WholeOrganization {
        members: members_of.remove(&row.organization_id).unwrap_or_default(),
        teams: teams_of.remove(&row.organization_id).unwrap_or_default(),
        row,
    };
    Ok(views(db, rows).await?.into_iter().map(whole).collect())
}

/// Members with their budgets.
pub(super) async fn memberships(
    db: &mut PgConnection,
    members: Vec<OrganizationMember>,
) -> sqlx::Result<Vec<OrganizationMembership>> {
    let budgets = budget_rows(db, members.iter().filter_map(|member| member.budget_id.clone())).await?;
    let view = |member: OrganizationMember| OrganizationMembership {
        user_id: member.user_id,
        organization_id: member.organization_id,
        user_role: member.role,
        spend: 0.0,
        litellm_budget_table: member
            .budget_id
            .as_deref()
            .and_then(|id| budgets.get(id))
            .map(|row| BudgetView::of(row.clone(), None)),
        budget_id: member.budget_id,
        created_at: Moment(member.created_at),
        updated_at: Moment(member.updated_at),
    };
    Ok(members.into_iter().map(view).collect())
}

async fn budget_rows(
    db: &mut PgConnection,
    ids: impl Iterator<Item = String>,
) -> sqlx::Result<HashMap<String, BudgetRow>> {
    let ids: Vec<String> = ids.collect::<BTreeSet<_>>().into_iter().collect();
    let rows = budgets::among(db, &ids).await?;
    Ok(rows.into_iter().map(|row| (row.budget_id.clone(), row)).collect())
}

/// What audit rows keep of an organization.
pub(super) fn for_audit(row: &Organization) -> Value {
    json!({
        "organization_id": row.organization_id,
        "organization_alias": row.alias,
        "budget_id": row.budget_id,
        "metadata": row.metadata,
        "models": row.models,
        "object_permission": row.object_permission,
        "updated_at": Moment(row.updated_at).text(),
        "updated_by": row.updated_by,
    })
}

/// What audit rows keep of a member.
pub(super) fn member_for_audit(member: &OrganizationMember) -> Value {
    json!({
        "organization_id": member.organization_id,
        "user_id": member.user_id,
        "user_role": member.role.name(),
        "budget_id": member.budget_id,
    })
}
