//! The budget that a key shares (`budget_id`): which limits of it are the key's, and what follows when it changes.
//!
//! Whoever writes a linked key holds the budget's row together with others, and who changes the budget holds it alone. So
//! neither needs the other's rows locked.

use proto::{KeyHash, NanoUsd};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{Key, KeyError, NewKey};
use crate::budgets::{self, Budget, BudgetRow};
use crate::limits::LimitError;

/// Models with a budget of their own.
const MODELS: &str = "model_max_budget";

/// The budget that a key is to share, which nobody changes until the transaction ends.
pub(super) async fn of(db: &mut PgConnection, key: &Key) -> Result<Option<BudgetRow>, KeyError> {
    let Some(id) = &key.budget_id else { return Ok(None) };
    let row = budgets::shared(db, id).await?;
    row.map(Some).ok_or_else(|| KeyError::UnknownBudget(id.clone()))
}

/// The key with what it has from the budget that it shares, as a reader of limits sees it.
pub(super) async fn effective(db: &mut PgConnection, key: &Key) -> sqlx::Result<Key> {
    let mut key = key.clone();
    let Some(id) = &key.budget_id else { return Ok(key) };
    let Some(row) = budgets::shared(db, id).await? else { return Ok(key) };
    key.max_budget = key.max_budget.or(row.max_budget);
    key.budget_duration = key.budget_duration.or(row.budget_duration);
    key.rpm_limit = key.rpm_limit.or(row.rpm_limit);
    key.tpm_limit = key.tpm_limit.or(row.tpm_limit);
    key.max_parallel_requests = key.max_parallel_requests.or(row.max_parallel_requests);
    if let Some(models) = row.model_max_budget.filter(|_| !has_models(&key.more)) {
        key.more.insert(MODELS.to_owned(), Value::Object(models));
    }
    Ok(key)
}

/// Puts the budget's limits where a new key says none, so that they are held to what the key may have.
pub(super) fn lend(new: &mut NewKey, row: &BudgetRow) {
    new.max_budget = new.max_budget.or(row.max_budget.map(NanoUsd::to_usd));
    new.budget_duration = new.budget_duration.take().or_else(|| row.budget_duration.clone());
    new.rpm_limit = new.rpm_limit.or(row.rpm_limit);
    new.tpm_limit = new.tpm_limit.or(row.tpm_limit);
    new.max_parallel_requests = new.max_parallel_requests.or(row.max_parallel_requests);
}

/// Takes back what [`lend`] put there and nothing made smaller: the key has it from the budget, also when that changes.
pub(super) fn take_back(new: &mut NewKey, row: &BudgetRow) {
    fn unless<T: PartialEq>(place: &mut Option<T>, lent: Option<T>) {
        if lent.is_some() && *place == lent {
            *place = None;
        }
    }
    unless(&mut new.max_budget, row.max_budget.map(NanoUsd::to_usd));
    unless(&mut new.budget_duration, row.budget_duration.clone());
    unless(&mut new.rpm_limit, row.rpm_limit);
    unless(&mut new.tpm_limit, row.tpm_limit);
    unless(&mut new.max_parallel_requests, row.max_parallel_requests);
}

fn has_models(kept: &Map<String, Value>) -> bool {
    kept.get(MODELS).and_then(Value::as_object).is_some_and(|models| !models.is_empty())
}

/// How much may be spent with a key: of everything, by window and by model.
pub(super) fn budgets(key: &Key, shared: Option<&BudgetRow>) -> Result<Vec<Budget>, LimitError> {
    with(key.max_budget, key.budget_duration.as_deref(), &key.more, shared)
}

fn with(
    most: Option<NanoUsd>,
    window: Option<&str>,
    kept: &Map<String, Value>,
    shared: Option<&BudgetRow>,
) -> Result<Vec<Budget>, LimitError> {
    let Some(shared) = shared else { return budgets::read(Budget::of_all(most, window), kept) };
    let of_all = Budget::of_all(most.or(shared.max_budget), window.or(shared.budget_duration.as_deref()));
    match &shared.model_max_budget {
        Some(models) if !has_models(kept) => {
            let mut kept = kept.clone();
            kept.insert(MODELS.to_owned(), Value::Object(models.clone()));
            budgets::read(of_all, &kept)
        }
        Some(_) | None => budgets::read(of_all, kept),
    }
}

/// A key that shares a budget, as far as budgets go.
pub(crate) struct Linked {
    /// In lower-case hex, as accounts name it.
    pub(crate) id: String,
    most: Option<NanoUsd>,
    window: Option<String>,
    kept: Map<String, Value>,
}

impl Linked {
    /// How much may be spent with it; nothing where its row is such as nobody could set today.
    pub(crate) fn budgets(&self, shared: Option<&BudgetRow>) -> Option<Vec<Budget>> {
        with(self.most, self.window.as_deref(), &self.kept, shared).ok()
    }
}

/// The keys that share a budget. The budget's row must be locked.
pub(crate) async fn linked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Vec<Linked>> {
    let rows = sqlx::query!(
        r#"select hash, max_budget_nano_usd, budget_duration,
                  nullif(jsonb_strip_nulls(jsonb_build_object('budget_limits', more -> 'budget_limits',
                      'model_max_budget', more -> 'model_max_budget')), '{}') as kept
           from keys where budget_id = $1 order by hash"#,
        budget_id,
    )
    .fetch_all(db)
    .await?;
    let read = |hash: &[u8]| KeyHash::try_from(hash).map_err(|error| sqlx::Error::Decode(Box::new(error)));
    let linked = rows.into_iter().map(|row| {
        let kept = match row.kept {
            Some(Value::Object(kept)) => kept,
            _ => Map::new(),
        };
        let most = row.max_budget_nano_usd.map(NanoUsd::from_nanos);
        Ok(Linked { id: read(&row.hash)?.to_string(), most, window: row.budget_duration, kept })
    });
    linked.collect()
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn told(world: &World, key: &str) -> proto::v1::Key {
        let mut db = world.db().acquire().await.unwrap();
        let rows = crate::keys::publish::among(&mut db, &[KeyHash::of(key).to_string()]).await.unwrap();
        let Some(proto::v1::resource::Body::Key(key)) = rows.into_iter().next().unwrap().resource.body else {
            panic!("a key")
        };
        key
    }

    #[tokio::test]
    async fn a_key_has_from_its_budget_what_it_has_none_of_itself() {
        let world = World::new().await;
        let models = json!({"gpt-4": {"max_budget": 2, "budget_duration": "1d"}});
        let budget = json!({
            "budget_id": "b", "max_budget": 10, "budget_duration": "30d", "rpm_limit": 7, "tpm_limit": 70,
            "max_parallel_requests": 3, "model_max_budget": models,
        });
        world.post("/budget/new", budget).await.ok();
        let made = world.post("/key/generate", json!({"budget_id": "b", "tpm_limit": 5})).await.ok();
        assert_eq!((&made["budget_id"], &made["litellm_budget_table"]["max_budget"]), (&json!("b"), &json!(10.0)));
        assert_eq!(
            (&made["max_budget"], &made["tpm_limit"]),
            (&Value::Null, &json!(5)),
            "its own, as LiteLLM shows them"
        );
        assert!(made["budget_reset_at"].is_string(), "by the schedule of the budget");
        let key = made["key"].as_str().unwrap();
        let known = told(&world, key).await;
        let limits = known.limits.unwrap();
        assert_eq!((limits.requests_per_minute, limits.tokens_per_minute, limits.at_once), (Some(7), Some(5), Some(3)));
        let budgets: Vec<_> = known.budgets.iter().map(|one| (one.scope.as_str(), one.most_nano_usd)).collect();
        assert_eq!(budgets, [("", 10_000_000_000), ("model:gpt-4", 2_000_000_000)]);
        let accounts = "spend_totals where kind = 'key' and budgeted and window_ends_at is not null";
        assert_eq!(world.count(accounts).await, 2);

        let own = json!({"key": key, "max_budget": 20, "rpm_limit": 9});
        world.post("/key/update", own).await.ok();
        let known = told(&world, key).await;
        assert_eq!((known.budgets[0].most_nano_usd, known.budgets[0].window.as_str()), (20_000_000_000, "30d"));
        assert_eq!(known.limits.unwrap().requests_per_minute, Some(9));
        let info = world.get(&format!("/key/info?key={key}")).await.ok()["info"].clone();
        assert_eq!(info["litellm_budget_table"]["budget_id"], "b");
        let listed = world.get("/key/list?return_full_object=true").await.ok();
        assert_eq!(listed["keys"][0]["litellm_budget_table"]["rpm_limit"], 7);
    }

    #[tokio::test]
    async fn a_changed_budget_changes_every_key_that_shares_it_and_a_deleted_one_lets_them_go() {
        let world = World::new().await;
        world.post("/budget/new", json!({"budget_id": "b", "max_budget": 10, "rpm_limit": 7})).await.ok();
        let (plain, own) =
            (world.key(json!({"budget_id": "b"})).await, world.key(json!({"budget_id": "b", "max_budget": 3})).await);
        let before = world.revision().await;
        world.post("/budget/update", json!({"budget_id": "b", "max_budget": 5, "rpm_limit": 2})).await.ok();
        assert_eq!(world.revision().await, before + 1);
        let changed = "change_log where kind = 'key' and revision = (select max(revision) from change_log)";
        assert_eq!(world.count(changed).await, 2);
        let most = |key: &proto::v1::Key| key.budgets[0].most_nano_usd;
        assert_eq!(most(&told(&world, &plain).await), 5_000_000_000);
        assert_eq!(most(&told(&world, &own).await), 3_000_000_000);
        assert_eq!(told(&world, &own).await.limits.unwrap().requests_per_minute, Some(2));

        world.post("/budget/delete", json!({"id": "b"})).await.ok();
        let known = told(&world, &plain).await;
        assert!(known.budgets.is_empty() && known.limits.is_none(), "{known:?}");
        assert_eq!(most(&told(&world, &own).await), 3_000_000_000);
        let info = world.get(&format!("/key/info?key={plain}")).await.ok()["info"].clone();
        assert_eq!((&info["budget_id"], &info["litellm_budget_table"]), (&Value::Null, &Value::Null));
        assert_eq!(world.count("spend_totals where kind = 'key' and budgeted").await, 1);
    }

    #[tokio::test]
    async fn a_budget_that_is_not_there_is_none_and_null_leaves_it() {
        let world = World::new().await;
        world.post("/budget/new", json!({"budget_id": "b", "max_budget": 10})).await.ok();
        world.post("/key/generate", json!({"budget_id": "none"})).await.refused(400);
        assert_eq!(world.count("keys").await, 0);
        let key = world.key(json!({"budget_id": ""})).await;
        world.post("/key/update", json!({"key": key, "budget_id": "none", "rpm_limit": 1})).await.refused(400);
        let changed = world.post("/key/update", json!({"key": key, "budget_id": "b"})).await.ok();
        assert_eq!((&changed["budget_id"], &changed["rpm_limit"]), (&json!("b"), &Value::Null));
        let new = world.post("/key/regenerate", json!({"key": key})).await.ok()["key"].as_str().unwrap().to_owned();
        assert_eq!(told(&world, &new).await.budgets[0].most_nano_usd, 10_000_000_000);
        let changed = world.post("/key/update", json!({"key": new, "budget_id": null})).await.ok();
        assert_eq!(changed["litellm_budget_table"], Value::Null);
        assert!(told(&world, &new).await.budgets.is_empty());
        assert_eq!(world.count("spend_totals where kind = 'key' and budgeted").await, 0);
    }
}
