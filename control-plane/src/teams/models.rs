//! The list of models that a team may call: how it grows and shrinks. Pure.
//!
//! An empty list allows everything, so a list that shrinks never becomes empty: what is left of it then says that there is
//! nothing to call.

use super::{Team, TeamError};

/// In a list: everything may be called.
const EVERYTHING: [&str; 2] = ["all-proxy-models", "*"];

/// Alone in a list: nothing may be called.
const NOTHING: &str = "no-default-models";

/// Adds models. One that may call everything goes on to.
pub(super) fn add(team: &mut Team, models: Vec<String>) {
    if team.models.is_empty() {
        team.models.push(EVERYTHING[0].to_owned());
    }
    team.models.retain(|model| model != NOTHING);
    for model in models {
        if !team.models.contains(&model) {
            team.models.push(model);
        }
    }
}

/// Takes models out of the list. Where everything may be called all the same, that is told and not passed over.
pub(super) fn remove(team: &mut Team, models: &[String]) -> Result<(), TeamError> {
    if team.models.is_empty() {
        return Err(TeamError::AllModels(team.team_id.clone()));
    }
    team.models.retain(|model| !models.contains(model));
    if team.models.is_empty() {
        team.models.push(NOTHING.to_owned());
    }
    match team.models.iter().any(|model| EVERYTHING.contains(&model.as_str())) {
        true => Err(TeamError::AllModels(team.team_id.clone())),
        false => Ok(()),
    }
}
