//! Whether a deployment could be called, asked before it is kept.

use dialects::Task;
use wire::Secret;

use crate::{AddressError, Provider, Target};

/// Makes every address that calls to `target` with `key` would need, and drops them.
///
/// # Errors
/// The first that cannot be made, as [`Provider::address`] says it. Texts hold no secrets.
pub fn try_addresses(provider: &dyn Provider, target: Target<'_>, key: &str) -> Result<(), AddressError> {
    let key = Some(key).filter(|key| !key.is_empty()).map(|key| Secret::new(key.to_owned()));
    let target = Target { api_key: key.as_ref(), ..target };
    let offered = [Task::Chat, Task::Completion, Task::Embedding];
    offered.into_iter().filter(|task| provider.dialect(*task).is_some()).try_for_each(|task| {
        provider.address(&target, task)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_found_before_any_call() {
        let provider = crate::find("openai").unwrap();
        let at = |base| try_addresses(provider, Target { api_base: Some(base), ..Target::of("m") }, "sk-x");
        assert!(at("https://host.example/v1").is_ok());
        for base in ["nonsense", "ftp://host.example", "https://user:hunter2@host.example", "https://"] {
            assert!(at(base).is_err(), "{base}");
        }
    }
}
