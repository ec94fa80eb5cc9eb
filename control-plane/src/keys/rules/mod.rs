//! What the operator wants of new keys: `default_key_generate_params` ([`Defaults`]), `upperbound_key_generate_params`
//! ([`Bounds`]), `key_generation_settings` ([`Makers`]), and which aliases and values there may be.
//!
//! Whoever makes or changes a key reads them in the transaction that does it. What the holder of a key may do is
//! [`super::rights`]'s business and comes on top.

mod alias;
mod bounds;
mod defaults;
mod makers;

pub(crate) use bounds::Bounds;

use alias::Aliases;
pub(super) use defaults::Defaults;
pub(super) use makers::{Makers, Teams};

use super::KeyError;
use crate::change::Change;
use crate::operator::OperatorError;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(super) defaults: Defaults,
    pub(crate) bounds: Bounds,
    pub(super) makers: Makers,
    pub(super) aliases: Aliases,
    pub(super) values: Values,
}

/// Whether a caller chooses the value of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Values {
    #[default]
    Chosen,
    /// `general_settings.disable_custom_api_keys`.
    RandomOnly,
}

impl Rules {
    /// What holds in this change.
    pub(crate) async fn read(change: &mut Change) -> Result<Self, OperatorError> {
        let said = change.operator().await?;
        let (litellm, general) = (said.litellm(), said.general());
        Ok(Self {
            defaults: Defaults::read(&litellm)?,
            bounds: Bounds::read(&litellm)?,
            makers: Makers::read(&litellm, &general)?,
            aliases: Aliases::read(&litellm)?,
            values: match general.flag("disable_custom_api_keys")? {
                true => Values::RandomOnly,
                false => Values::Chosen,
            },
        })
    }
}

impl Values {
    /// Refuses a value that a caller chose where there are only random ones.
    pub(super) fn check(self, chosen: Option<&str>) -> Result<(), KeyError> {
        match (self, chosen) {
            (Self::RandomOnly, Some(_)) => Err(KeyError::ChosenValue),
            (Self::RandomOnly, None) | (Self::Chosen, _) => Ok(()),
        }
    }
}
