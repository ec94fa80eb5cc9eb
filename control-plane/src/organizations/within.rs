//! What a team or a key may have of its organization: no more than there is (admin_api.md 3.2, 4.5).
//!
//! Data planes hold calls to the organization's budget, limits and models as well; here it is said when somebody writes what
//! could never be used.

use proto::NanoUsd;
use sqlx::PgConnection;

use super::{Organization, OrganizationError, store};
use crate::budgets;

/// What is to be within an organization.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part<'a> {
    /// `team` or `key`.
    pub(crate) noun: &'static str,
    pub(crate) models: &'a [String],
    pub(crate) max_budget: Option<NanoUsd>,
    pub(crate) tpm_limit: Option<i64>,
    pub(crate) rpm_limit: Option<i64>,
}

/// Checks that the organization exists and has what its part is to have. It is not deleted until the transaction ends.
pub(crate) async fn check_part(
    db: &mut PgConnection,
    organization_id: &str,
    part: &Part<'_>,
) -> Result<(), OrganizationError> {
    let found = store::shared(db, organization_id).await?;
    let organization = found.ok_or_else(|| OrganizationError::Unknown(organization_id.to_owned()))?;
    check_models(&organization, part)?;
    let Some(budget_id) = &organization.budget_id else { return Ok(()) };
    let Some(budget) = budgets::among(db, std::slice::from_ref(budget_id)).await?.pop() else { return Ok(()) };
    let above = |what, wanted: String, most: String| {
        Err(OrganizationError::Above {
            what,
            noun: part.noun,
            organization_id: organization.organization_id.clone(),
            wanted,
            most,
        })
    };
    if let (Some(wanted), Some(most)) = (part.max_budget, budget.max_budget)
        && wanted > most
    {
        return above("max_budget", wanted.to_usd().to_string(), most.to_usd().to_string());
    }
    for (what, wanted, most) in
        [("tpm_limit", part.tpm_limit, budget.tpm_limit), ("rpm_limit", part.rpm_limit, budget.rpm_limit)]
    {
        if let (Some(wanted), Some(most)) = (wanted, most)
            && wanted > most
        {
            return above(what, wanted.to_string(), most.to_string());
        }
    }
    Ok(())
}

/// A part that lists no models lists none that its organization lacks: it may call what that may.
fn check_models(organization: &Organization, part: &Part<'_>) -> Result<(), OrganizationError> {
    match lacking(&organization.models, part.models) {
        None => Ok(()),
        Some(model) => Err(OrganizationError::Model {
            noun: part.noun,
            model: model.to_owned(),
            organization_id: organization.organization_id.clone(),
            models: organization.models.join(", "),
        }),
    }
}

/// The first of `wanted` that a list of models does not hold. An empty list holds all.
pub(super) fn lacking<'a>(all: &[String], wanted: &'a [String]) -> Option<&'a str> {
    let everything = ["*", "all-proxy-models"];
    if all.is_empty() || all.iter().any(|entry| everything.contains(&entry.as_str())) {
        return None;
    }
    // These two name no model: what a team may, and nothing.
    let names_none = |model: &str| matches!(model, "all-team-models" | "no-default-models");
    let has = |model: &str| {
        all.iter().any(|entry| entry == model || entry.strip_suffix('*').is_some_and(|start| model.starts_with(start)))
    };
    wanted.iter().map(String::as_str).find(|model| !names_none(model) && !has(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_names_no_model_that_the_whole_lacks() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let of = |all: &[&str], wanted: &[&str]| lacking(&texts(all), &texts(wanted)).map(str::to_owned);
        assert_eq!(of(&[], &["m"]), None);
        assert_eq!(of(&["m"], &[]), None);
        assert_eq!(of(&["m"], &["m", "all-team-models", "no-default-models"]), None);
        assert_eq!(of(&["openai/*"], &["openai/gpt-4o", "openai/*"]), None);
        assert_eq!(of(&["all-proxy-models"], &["anything"]), None);
        assert_eq!(of(&["m"], &["m", "n"]), Some("n".to_owned()));
        assert_eq!(of(&["m"], &["all-proxy-models"]), Some("all-proxy-models".to_owned()));
        assert_eq!(of(&["openai/*"], &["*"]), Some("*".to_owned()));
    }
}
