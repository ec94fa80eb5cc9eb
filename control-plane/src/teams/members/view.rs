//! Members' accounts as the API shows them.

use std::collections::{BTreeSet, HashMap};

use proto::owner::member_id;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{DEFAULT_BUDGET, store};
use crate::budgets::{self, BudgetRow, BudgetView};
use crate::spend::{self, Owner};
use crate::teams::TeamView;

/// A member's account in a team.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Membership {
    pub(crate) user_id: String,
    team_id: String,
    /// US dollars in the budget's current window.
    spend: f64,
    /// US dollars ever.
    total_spend: f64,
    budget_id: Option<String>,
    /// The member's own budget, or the team's for all members.
    litellm_budget_table: Option<BudgetView>,
}

/// The accounts of the members of these teams who are known by id, by team.
pub(crate) async fn memberships(
    db: &mut PgConnection,
    teams: &[TeamView],
) -> sqlx::Result<HashMap<String, Vec<Membership>>> {
    let known = |team: &TeamView| -> Vec<String> {
        team.members_with_roles.iter().filter_map(|member| member.user_id.clone()).collect()
    };
    let ids: Vec<String> =
        teams.iter().flat_map(|team| known(team).into_iter().map(|user| member_id(&user, &team.team_id))).collect();
    let totals = spend::totals(db, Owner::Member, &ids).await?;
    let links = store::among(db, &ids).await?;
    let budgets = rows(db, links.values().cloned().collect()).await?;
    let of_team = |team: &TeamView| {
        let account = |user_id: String| {
            let id = member_id(&user_id, &team.team_id);
            let total = totals.get(&id).copied().unwrap_or_default();
            let budget = links.get(&id).and_then(|budget_id| budgets.get(budget_id)).cloned();
            Membership {
                user_id,
                team_id: team.team_id.clone(),
                spend: total.window.to_usd(),
                total_spend: total.ever.to_usd(),
                budget_id: budget.as_ref().map(|row| row.budget_id.clone()),
                litellm_budget_table: budget.map(|row| BudgetView::of(row, total.resets_at)),
            }
        };
        (team.team_id.clone(), known(team).into_iter().map(account).collect())
    };
    Ok(teams.iter().map(of_team).collect())
}

/// The budgets that teams with these metadata give to members without one, by id.
pub(crate) async fn default_budgets<'a>(
    db: &mut PgConnection,
    metadata: impl Iterator<Item = &'a Map<String, Value>>,
) -> sqlx::Result<HashMap<String, BudgetRow>> {
    let ids = metadata.filter_map(|metadata| metadata.get(DEFAULT_BUDGET)?.as_str()).map(str::to_owned);
    rows(db, ids.collect()).await
}

async fn rows(db: &mut PgConnection, ids: BTreeSet<String>) -> sqlx::Result<HashMap<String, BudgetRow>> {
    let ids: Vec<String> = ids.into_iter().collect();
    let rows = budgets::among(db, &ids).await?;
    Ok(rows.into_iter().map(|row| (row.budget_id.clone(), row)).collect())
}
