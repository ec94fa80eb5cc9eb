//! A key row as a snapshot resource.

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use proto::v1 as pb;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::budgets::publish::{Extra, budgets};
use crate::publish::gate::texts;
use crate::publish::resource::{Upsert, ceilings, flag, model_ceilings, name_map, strings};

/// All keys, in no order; among them values that were replaced, which have the rights of the new one until they end.
pub(crate) fn all(db: &mut PgConnection) -> impl Stream<Item = sqlx::Result<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select shown_hash as "hash!", shown_masked as masked, acts_as, alias, user_id, team_id, organization_id,
                  models as "models!", nullif(aliases, '{}') as aliases,
                  jsonb_typeof(config) = 'object' and config <> '{}' as "overrides!", metadata -> 'tags' as tags,
                  metadata -> 'allow_client_mock_response' as mock, metadata -> 'enforced_params' as enforced,
                  coalesce(metadata ? 'service_account_id', false) as "service!", blocked, least(expires_at, revoke_at) as expires_at,
                  coalesce(shown.max_budget_nano_usd, b.max_budget_nano_usd) as max_budget_nano_usd,
                  metadata -> 'temp_budget_increase' as extra, metadata -> 'temp_budget_expiry' as extra_until,
                  metadata -> 'model_rpm_limit' as model_rpm, metadata -> 'model_tpm_limit' as model_tpm,
                  nullif(jsonb_strip_nulls(jsonb_build_object('budget_limits', more -> 'budget_limits',
                      'model_max_budget', coalesce(nullif(more -> 'model_max_budget', '{}'), b.model_max_budget))), '{}')
                      as more_budgets,
                  coalesce(shown.budget_duration, b.budget_duration) as budget_duration,
                  allowed_routes as "allowed_routes!", coalesce(shown.rpm_limit, b.rpm_limit) as rpm_limit,
                  coalesce(shown.tpm_limit, b.tpm_limit) as tpm_limit,
                  coalesce(shown.max_parallel_requests, b.max_parallel_requests) as max_parallel_requests,
                  b.budget_id is not null as "shares!", shown.created_at as "created_at!",
                  shown.updated_at as "updated_at!"
           from (select hash as shown_hash, masked as shown_masked, null::bytea as acts_as,
                     null::timestamptz as revoke_at, k.* from keys k
                 union all
                 select r.old_hash, r.masked, r.new_hash, r.revoke_at, k.*
                 from replaced_keys r join keys k on k.hash = r.new_hash where r.published) shown
               left join budgets b on b.budget_id = shown.budget_id"#,
    );
    rows.fetch(db).map_ok(Row::into_upsert)
}

/// The keys among these hashes (lower-case hex) that exist.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Upsert>> {
    let hashes: Vec<Vec<u8>> = ids.iter().filter_map(|id| hex::decode(id).ok()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"select shown_hash as "hash!", shown_masked as masked, acts_as, alias, user_id, team_id, organization_id,
                  models as "models!", nullif(aliases, '{}') as aliases,
                  jsonb_typeof(config) = 'object' and config <> '{}' as "overrides!", metadata -> 'tags' as tags,
                  metadata -> 'allow_client_mock_response' as mock, metadata -> 'enforced_params' as enforced,
                  coalesce(metadata ? 'service_account_id', false) as "service!", blocked, least(expires_at, revoke_at) as expires_at,
                  coalesce(shown.max_budget_nano_usd, b.max_budget_nano_usd) as max_budget_nano_usd,
                  metadata -> 'temp_budget_increase' as extra, metadata -> 'temp_budget_expiry' as extra_until,
                  metadata -> 'model_rpm_limit' as model_rpm, metadata -> 'model_tpm_limit' as model_tpm,
                  nullif(jsonb_strip_nulls(jsonb_build_object('budget_limits', more -> 'budget_limits',
                      'model_max_budget', coalesce(nullif(more -> 'model_max_budget', '{}'), b.model_max_budget))), '{}')
                      as more_budgets,
                  coalesce(shown.budget_duration, b.budget_duration) as budget_duration,
                  allowed_routes as "allowed_routes!", coalesce(shown.rpm_limit, b.rpm_limit) as rpm_limit,
                  coalesce(shown.tpm_limit, b.tpm_limit) as tpm_limit,
                  coalesce(shown.max_parallel_requests, b.max_parallel_requests) as max_parallel_requests,
                  b.budget_id is not null as "shares!", shown.created_at as "created_at!",
                  shown.updated_at as "updated_at!"
           from (select hash as shown_hash, masked as shown_masked, null::bytea as acts_as,
                     null::timestamptz as revoke_at, k.* from keys k
                 union all
                 select r.old_hash, r.masked, r.new_hash, r.revoke_at, k.*
                 from replaced_keys r join keys k on k.hash = r.new_hash where r.published) shown
               left join budgets b on b.budget_id = shown.budget_id where shown_hash = any($1)"#,
        &hashes,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Row::into_upsert).collect())
}

struct Row {
    hash: Vec<u8>,
    masked: Option<String>,
    /// The hash of the value that took its place.
    acts_as: Option<Vec<u8>>,
    alias: Option<String>,
    user_id: Option<String>,
    team_id: Option<String>,
    organization_id: Option<String>,
    models: Vec<String>,
    /// Nothing where there are none, as for most keys: there are millions.
    aliases: Option<Value>,
    overrides: bool,
    tags: Option<Value>,
    mock: Option<Value>,
    enforced: Option<Value>,
    service: bool,
    blocked: Option<bool>,
    expires_at: Option<OffsetDateTime>,
    max_budget_nano_usd: Option<i64>,
    extra: Option<Value>,
    extra_until: Option<Value>,
    model_rpm: Option<Value>,
    model_tpm: Option<Value>,
    /// `budget_limits` and `model_max_budget`; nothing where there are none.
    more_budgets: Option<Value>,
    budget_duration: Option<String>,
    allowed_routes: Vec<String>,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    /// Whether a budget that it shares is in what stands above.
    shares: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl Row {
    fn into_upsert(self) -> Upsert {
        let blocked = self.blocked.unwrap_or(false);
        // A budget changes without the key, and may take away.
        let untouched = self.created_at == self.updated_at && !blocked && !self.shares;
        let model_limits = model_ceilings(self.model_rpm.as_ref(), self.model_tpm.as_ref());
        let extra = Extra::read(self.extra.as_ref(), self.extra_until.as_ref());
        let key = pb::Key {
            hash: self.hash.into(),
            acts_as: self.acts_as.unwrap_or_default().into(),
            alias: self.alias.unwrap_or_default(),
            user_id: self.user_id.unwrap_or_default(),
            team_id: self.team_id.unwrap_or_default(),
            organization_id: self.organization_id.unwrap_or_default(),
            models: self.models,
            aliases: self.aliases.as_ref().map(name_map).unwrap_or_default(),
            tags: strings(self.tags.as_ref()),
            blocked,
            expires_at_ms: self.expires_at.map_or(0, expiry_ms),
            allow_client_mock_response: flag(self.mock.as_ref()),
            masked: self.masked.unwrap_or_default(),
            config_override: self.overrides,
            allowed_routes: self.allowed_routes,
            limits: ceilings(self.rpm_limit, self.tpm_limit, self.max_parallel_requests),
            model_limits,
            enforced_params: self.enforced.as_ref().map(texts).unwrap_or_default(),
            service_account: self.service,
            budgets: budgets(
                self.max_budget_nano_usd,
                self.budget_duration.as_deref(),
                self.more_budgets.as_ref(),
                extra,
            ),
        };
        Upsert::of(pb::resource::Body::Key(key), untouched)
    }
}

/// Milliseconds since 1970, never 0 (which means that a key does not expire) nor less.
fn expiry_ms(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_expiry_at_the_beginning_of_time_still_expires() {
        assert_eq!(expiry_ms(OffsetDateTime::UNIX_EPOCH), 1);
        assert_eq!(expiry_ms(OffsetDateTime::UNIX_EPOCH - time::Duration::days(1)), 1);
        assert_eq!(expiry_ms(OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(2)), 2_000);
    }

    #[test]
    fn only_a_key_that_was_never_changed_nor_blocked_is_a_pure_addition() {
        let row = |blocked, changed| Row {
            hash: vec![1; 32],
            masked: None,
            acts_as: None,
            alias: None,
            user_id: None,
            team_id: None,
            organization_id: None,
            models: vec![],
            aliases: None,
            overrides: false,
            tags: Some(serde_json::json!(["a", 1])),
            mock: Some(Value::Bool(true)),
            enforced: None,
            service: false,
            blocked,
            expires_at: None,
            max_budget_nano_usd: None,
            extra: None,
            extra_until: None,
            model_rpm: Some(serde_json::json!({"m": 1, "n": null})),
            model_tpm: Some(serde_json::json!({"m": "many"})),
            more_budgets: None,
            budget_duration: None,
            allowed_routes: vec![],
            rpm_limit: Some(7),
            tpm_limit: None,
            max_parallel_requests: None,
            shares: false,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(changed),
        };
        assert!(row(None, 0).into_upsert().untouched);
        assert!(!row(Some(true), 0).into_upsert().untouched);
        assert!(!row(Some(false), 1).into_upsert().untouched);
        let Some(pb::resource::Body::Key(key)) = row(None, 0).into_upsert().resource.body else { panic!("a key") };
        assert_eq!((key.tags, key.allow_client_mock_response), (vec!["a".to_owned()], true));
        assert_eq!((key.aliases, key.budgets), (BTreeMap::new(), vec![]));
        assert_eq!(key.limits, Some(pb::Ceilings { requests_per_minute: Some(7), ..pb::Ceilings::default() }));
        assert_eq!(
            row(None, 0).into_upsert().resource.required_features,
            [proto::channel::LIMITS, proto::channel::OWNERS]
        );
        let of_m = pb::Ceilings { requests_per_minute: Some(1), tokens_per_minute: Some(0), at_once: None };
        assert_eq!(key.model_limits, [pb::ModelCeilings { model: "m".to_owned(), limits: Some(of_m) }]);
    }
}
