//! A virtual key, as calls need to know it: small, because there may be a million.
//!
//! All texts lie in one run of bytes ([`super::names`]). What no call asks for (the masked form) is not kept.

use std::num::NonZeroI64;

use proto::{KeyHash, v1 as pb};

use super::names::{Names, Packed, Packing};
use super::{Rights, Standing};
use crate::limits::budget::Budgets;
use crate::limits::{Allowance, Ceilings};

/// A virtual key.
#[derive(PartialEq)]
pub(crate) struct Key {
    pub(super) hash: KeyHash,
    /// Four texts (alias, user, team, organization) and five lists (models, routes, tags, aliases and their targets
    /// in turn, enforced parameters: few keys have any, and the last list is not there where it is empty). The empty text
    /// is none.
    packed: Box<[u8]>,
    expires_at_ms: Option<NonZeroI64>,
    /// Limits, and budgets unless there is only one, of everything: this is how most keys have none of it or little.
    allowance: Option<Box<Allowance>>,
    /// The key that took this one's place: calls with this one are that one's.
    acts_as: Option<Box<KeyHash>>,
    /// That one budget, in billionths of a US dollar; less than 0: none.
    only_budget: i64,
    pub(crate) standing: Standing,
    pub(crate) rights: Rights,
    /// It belongs to a program and not to somebody.
    pub(crate) is_service_account: bool,
    /// Its list of enforced parameters is there.
    enforces: bool,
}

impl Key {
    /// The key that the control plane describes. `standing` holds unless it is blocked.
    pub(super) fn new(hash: KeyHash, key: &pb::Key, standing: Standing) -> Self {
        let allowance = Allowance::of(key.limits.as_ref(), &key.budgets).with_models(&key.model_limits);
        let acts_as = KeyHash::try_from(key.acts_as.as_ref()).ok();
        // One that acts as nobody knows whom would have limits of its own.
        let is_understood = key.acts_as.is_empty() || acts_as.is_some();
        let standing = if is_understood { standing } else { Standing::NotUnderstood };
        let mut packing = Packing::default();
        for text in [&key.alias, &key.user_id, &key.team_id, &key.organization_id] {
            packing.text(text);
        }
        for list in [&key.models, &key.allowed_routes, &key.tags] {
            packing.list(list.iter());
        }
        packing.list(key.aliases.iter().flat_map(|(alias, model)| [alias, model]));
        if !key.enforced_params.is_empty() {
            packing.list(key.enforced_params.iter());
        }
        Self {
            hash,
            packed: packing.packed(),
            expires_at_ms: NonZeroI64::new(key.expires_at_ms),
            acts_as: acts_as.map(Box::new),
            only_budget: allowance.only_budget().unwrap_or(-1),
            allowance: (!allowance.is_none() && allowance.only_budget().is_none()).then(|| Box::new(allowance)),
            standing: if key.blocked { Standing::Blocked } else { standing },
            rights: Rights { mock_response: key.allow_client_mock_response, any_model: key.config_override },
            is_service_account: key.service_account,
            enforces: !key.enforced_params.is_empty(),
        }
    }

    pub(crate) fn alias(&self) -> Option<&str> {
        self.text(0)
    }

    pub(crate) fn user_id(&self) -> Option<&str> {
        self.text(1)
    }

    pub(crate) fn team_id(&self) -> Option<&str> {
        self.text(2)
    }

    pub(crate) fn organization_id(&self) -> Option<&str> {
        self.text(3)
    }

    /// Empty: all.
    pub(crate) fn models(&self) -> Names<'_> {
        Names::Packed(self.list(4))
    }

    /// Paths, prefixes and route groups that the key may call. Empty: all.
    pub(crate) fn allowed_routes(&self) -> Names<'_> {
        Names::Packed(self.list(5))
    }

    pub(crate) fn tags(&self) -> Names<'_> {
        Names::Packed(self.list(6))
    }

    /// What `name` stands for when this key asks for it.
    pub(crate) fn model_behind(&self, name: &str) -> Option<&str> {
        let mut aliases = self.list(7);
        while let Some(alias) = aliases.next() {
            let model = aliases.next()?;
            if alias == name {
                return Some(model);
            }
        }
        None
    }

    /// What every call with it must have.
    pub(crate) fn enforced_params(&self) -> Names<'_> {
        if self.enforces { Names::Packed(self.list(8)) } else { Names::Boxed(&[]) }
    }

    /// None: never.
    pub(crate) fn expires_at_ms(&self) -> Option<i64> {
        self.expires_at_ms.map(NonZeroI64::get)
    }

    pub(crate) fn hash(&self) -> KeyHash {
        self.hash
    }

    /// The key that took this one's place.
    pub(crate) fn acts_as(&self) -> Option<KeyHash> {
        self.acts_as.as_deref().copied()
    }

    /// How many calls and tokens it may use.
    pub(crate) fn ceilings(&self) -> Ceilings {
        self.allowance.as_deref().map_or_else(Ceilings::default, |allowance| allowance.ceilings)
    }

    /// How much it may spend.
    pub(crate) fn budgets(&self) -> Budgets<'_> {
        match &self.allowance {
            Some(allowance) => allowance.budgets(),
            None => Budgets { of_all: Some(self.only_budget).filter(|most| *most >= 0), others: &[] },
        }
    }

    /// How many calls and tokens of one model it may use.
    pub(crate) fn ceilings_of(&self, model: &str) -> Option<Ceilings> {
        self.allowance.as_deref()?.of_model(model)
    }

    fn text(&self, position: usize) -> Option<&str> {
        Some(Packed::new(&self.packed).skip(position).text()).filter(|text| !text.is_empty())
    }

    fn list(&self, position: usize) -> Packed<'_> {
        Packed::new(&self.packed).skip(position).list()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("hash", &self.hash).field("standing", &self.standing).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A key of twelve fields: what the promise of 300 bytes is about. Every fourth has aliases.
    pub(in crate::snapshot) fn twelve_fields(number: u64) -> pb::Key {
        let aliases = number.is_multiple_of(4).then(|| ("fast".to_owned(), "gpt-4o-mini".to_owned()));
        pb::Key {
            hash: KeyHash::of(&format!("sk-{number}")).as_bytes().to_vec().into(),
            alias: format!("key-{number}"),
            user_id: format!("user-{}", number / 3),
            team_id: format!("team-{}", number % 5_000),
            organization_id: format!("org-{}", number % 50),
            models: vec!["gpt-4o".into(), "claude-sonnet".into()],
            aliases: aliases.into_iter().collect(),
            tags: vec!["production".into()],
            expires_at_ms: 1_900_000_000_000,
            budgets: vec![pb::Budget { most_nano_usd: 50_000_000_000, ..pb::Budget::default() }],
            masked: "sk-...wxyz".into(),
            ..pb::Key::default()
        }
    }

    #[test]
    fn a_key_says_what_the_control_plane_said() {
        let hash = KeyHash::of("sk-4");
        let key = Key::new(hash, &twelve_fields(4), Standing::Good);
        assert_eq!((key.alias(), key.user_id()), (Some("key-4"), Some("user-1")));
        assert_eq!((key.team_id(), key.organization_id()), (Some("team-4"), Some("org-4")));
        assert_eq!(key.models().iter().collect::<Vec<_>>(), ["gpt-4o", "claude-sonnet"]);
        assert_eq!(key.tags().iter().collect::<Vec<_>>(), ["production"]);
        assert!(key.allowed_routes().is_empty() && key.enforced_params().is_empty());
        let enforcing = pb::Key { enforced_params: vec!["user".into(), "metadata.job".into()], ..twelve_fields(4) };
        let enforcing = Key::new(hash, &enforcing, Standing::Good);
        assert_eq!(enforcing.enforced_params().iter().collect::<Vec<_>>(), ["user", "metadata.job"]);
        assert_eq!(enforcing.model_behind("fast"), Some("gpt-4o-mini"));
        assert_eq!((key.model_behind("fast"), key.model_behind("gpt-4o-mini")), (Some("gpt-4o-mini"), None));
        assert_eq!(key.expires_at_ms(), Some(1_900_000_000_000));
        assert_eq!(key.budgets(), Budgets { of_all: Some(50_000_000_000), others: &[] });

        assert_eq!(key.acts_as(), None);
        let newer = KeyHash::of("sk-5");
        let replaced = pb::Key { acts_as: newer.as_bytes().to_vec().into(), ..twelve_fields(4) };
        assert_eq!(Key::new(hash, &replaced, Standing::Good).acts_as(), Some(newer));
        let garbled = pb::Key { acts_as: vec![1, 2, 3].into(), ..twelve_fields(4) };
        assert_eq!(Key::new(hash, &garbled, Standing::Good).standing, Standing::NotUnderstood);

        let bare = Key::new(hash, &pb::Key { blocked: true, ..pb::Key::default() }, Standing::Good);
        assert_eq!((bare.alias(), bare.team_id(), bare.expires_at_ms()), (None, None, None));
        assert!(bare.models().is_empty() && bare.model_behind("fast").is_none());
        assert_eq!(bare.standing, Standing::Blocked);
    }

    #[test]
    fn what_is_not_understood_stays_denied_and_blocked_is_blocked() {
        let hash = KeyHash::of("sk-1");
        let key = |blocked| Key::new(hash, &pb::Key { blocked, ..pb::Key::default() }, Standing::NotUnderstood);
        assert_eq!((key(false).standing, key(true).standing), (Standing::NotUnderstood, Standing::Blocked));
    }

    #[test]
    fn a_key_of_twelve_fields_is_two_small_allocations() {
        let keys: Vec<Key> = (0..100)
            .map(|number| Key::new(KeyHash::of("sk-x"), &twelve_fields(1_000_000 + number), Standing::Good))
            .collect();
        // The counts of an Arc beside it, and what an allocator adds to each piece.
        let whole = |key: &Key| (size_of::<Key>() + 16 + 16) + (key.packed.len() + 16);
        let average = keys.iter().map(whole).sum::<usize>() / keys.len();
        assert!(average <= 260, "{average} bytes, before its place in the table");
    }
}
