//! The most that a key may have: `upperbound_key_generate_params`, for everybody, also for proxy admins.

use proto::NanoUsd;
use time::OffsetDateTime;

use crate::http::fields::Patch;
use crate::keys::patch::{self, KeyPatch};
use crate::keys::{Key, KeyError, NewKey, duration};
use crate::operator::{OperatorError, Part};

/// What becomes of a new key that asks for more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Above {
    /// It gets the most.
    #[default]
    Clamped,
    /// It is refused (`litellm_settings.on_upperbound: reject`).
    Refused,
}

/// The most of each; nothing: no bound.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    max_budget: Option<NanoUsd>,
    budget_duration: Option<String>,
    duration: Option<String>,
    max_parallel_requests: Option<i64>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    above: Above,
}

impl Bounds {
    pub(super) fn read(litellm: &Part<'_>) -> Result<Self, OperatorError> {
        const SWITCH: &str = "on_upperbound";
        let above = match litellm.text(SWITCH)?.as_deref() {
            None | Some("clamp") => Above::Clamped,
            Some("reject") => Above::Refused,
            Some(other) => return Err(litellm.wrong(SWITCH, format_args!("must be clamp or reject, and is {other}"))),
        };
        let Some(part) = litellm.part("upperbound_key_generate_params")? else { return Ok(Self::default()) };
        Ok(Self {
            max_budget: part.usd("max_budget")?,
            budget_duration: part.window("budget_duration")?,
            duration: part.span("duration")?,
            max_parallel_requests: part.whole("max_parallel_requests")?,
            tpm_limit: part.whole("tpm_limit")?,
            rpm_limit: part.whole("rpm_limit")?,
            above,
        })
    }

    /// Bounds a new key. What it leaves open gets the most, because nothing said is more than any bound.
    pub(in crate::keys) fn fit(&self, new: &mut NewKey, now: OffsetDateTime) -> Result<(), KeyError> {
        let usd = self.max_budget.map(NanoUsd::to_usd);
        self.fit_one("max_budget", &mut new.max_budget, usd, |wanted, most| Ok(wanted > most))?;
        let limits = [
            ("max_parallel_requests", &mut new.max_parallel_requests, self.max_parallel_requests),
            ("tpm_limit", &mut new.tpm_limit, self.tpm_limit),
            ("rpm_limit", &mut new.rpm_limit, self.rpm_limit),
        ];
        for (name, place, most) in limits {
            self.fit_one(name, place, most, |wanted, most| Ok(wanted > most))?;
        }
        let window = self.budget_duration.clone();
        let is_longer = |wanted: &String, most: &String| ends_later("budget_duration", wanted, most, now);
        self.fit_one("budget_duration", &mut new.budget_duration, window, is_longer)?;
        let is_longer = |wanted: &String, most: &String| ends_later("duration", wanted, most, now);
        self.fit_one("duration", &mut new.duration, self.duration.clone(), is_longer)
    }

    fn fit_one<T: Clone + std::fmt::Display>(
        &self,
        name: &'static str,
        place: &mut Option<T>,
        most: Option<T>,
        is_above: impl FnOnce(&T, &T) -> Result<bool, KeyError>,
    ) -> Result<(), KeyError> {
        let Some(most) = most else { return Ok(()) };
        let is_above = match place.as_ref() {
            None => true,
            Some(wanted) => is_above(wanted, &most)?,
        };
        match (is_above, self.above, place.as_ref()) {
            (true, Above::Refused, Some(wanted)) => Err(over(name, wanted, &most)),
            (true, Above::Clamped | Above::Refused, _) => {
                *place = Some(most);
                Ok(())
            }
            (false, ..) => Ok(()),
        }
    }

    /// Refuses a change beyond the bounds: it is not made smaller silently. Nothing is filled in.
    pub(in crate::keys) fn check(&self, patch: &KeyPatch, before: &Key, now: OffsetDateTime) -> Result<(), KeyError> {
        let usd = self.max_budget.map(NanoUsd::to_usd);
        let has = before.max_budget.is_some();
        check_one("max_budget", &patch.max_budget, has, usd.as_ref(), |wanted, most| Ok(wanted > most))?;
        for (name, wanted, has, most) in [
            (
                "max_parallel_requests",
                &patch.max_parallel_requests,
                before.max_parallel_requests,
                self.max_parallel_requests,
            ),
            ("tpm_limit", &patch.tpm_limit, before.tpm_limit, self.tpm_limit),
            ("rpm_limit", &patch.rpm_limit, before.rpm_limit, self.rpm_limit),
        ] {
            check_one(name, wanted, has.is_some(), most.as_ref(), |wanted, most| Ok(wanted > most))?;
        }
        let has = before.budget_duration.is_some();
        let is_longer = |wanted: &String, most: &String| ends_later("budget_duration", wanted, most, now);
        check_one("budget_duration", &patch.budget_duration, has, self.budget_duration.as_ref(), is_longer)?;
        let has = before.expires_at.is_some();
        let is_longer = |wanted: &String, most: &String| ends_later("duration", wanted, most, now);
        check_one("duration", &patch.duration, has, self.duration.as_ref(), is_longer)
    }
}

/// A bound is gone around by no `null` either: what a key had is not taken away.
fn check_one<T: std::fmt::Display>(
    name: &'static str,
    wanted: &Patch<T>,
    has: bool,
    most: Option<&T>,
    is_above: impl FnOnce(&T, &T) -> Result<bool, KeyError>,
) -> Result<(), KeyError> {
    let Some(most) = most else { return Ok(()) };
    match wanted {
        Patch::Keep => Ok(()),
        Patch::Clear if has => Err(over(name, &"None", most)),
        Patch::Clear => Ok(()),
        Patch::To(wanted) => match is_above(wanted, most)? {
            true => Err(over(name, wanted, most)),
            false => Ok(()),
        },
    }
}

/// Whether what lasts `wanted` ends later than what lasts `most`. `-1` never ends.
fn ends_later(name: &'static str, wanted: &str, most: &str, now: OffsetDateTime) -> Result<bool, KeyError> {
    let read = |text: &str| match name {
        "duration" => patch::expiry(text, now),
        _ => duration::end(text, now)
            .map(Some)
            .map_err(|source| crate::limits::LimitError::Duration { field: name, source }.into()),
    };
    Ok(match (read(wanted)?, read(most)?) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(wanted), Some(most)) => wanted > most,
    })
}

fn over(name: &'static str, wanted: &dyn std::fmt::Display, most: &dyn std::fmt::Display) -> KeyError {
    KeyError::AboveBound { name, wanted: wanted.to_string(), most: most.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    fn all() -> Value {
        json!({
            "max_budget": 100, "budget_duration": "30d", "duration": "90d", "max_parallel_requests": 10,
            "tpm_limit": 1000, "rpm_limit": "50",
        })
    }

    async fn bounded(switch: Option<&str>) -> World {
        let world = World::new().await;
        let set = json!({"upperbound_key_generate_params": all(), "on_upperbound": switch});
        world.set("litellm_settings", set).await;
        world
    }

    #[tokio::test]
    async fn a_new_key_gets_no_more_than_the_bounds_and_shows_what_it_got() {
        let world = bounded(None).await;
        let most = json!({
            "max_budget": 100.0, "budget_duration": "30d", "duration": "90d", "max_parallel_requests": 10,
            "tpm_limit": 1000, "rpm_limit": 50,
        });
        let too_much = json!({
            "max_budget": 200, "budget_duration": "60d", "duration": "-1", "max_parallel_requests": 11,
            "tpm_limit": 1001, "rpm_limit": 51,
        });
        for body in [json!({}), too_much, json!({"duration": "1000d", "max_budget": null})] {
            let made = world.post("/key/generate", body).await.ok();
            for (name, value) in most.as_object().unwrap() {
                assert_eq!(&made[name], value, "{name}");
            }
            assert!(made["expires"].is_string());
        }
        let less = json!({
            "max_budget": 1.0, "budget_duration": "1d", "duration": "1h", "max_parallel_requests": 1, "tpm_limit": 0,
            "rpm_limit": 3,
        });
        let made = world.post("/key/generate", less.clone()).await.ok();
        for (name, value) in less.as_object().unwrap() {
            assert_eq!(&made[name], value, "{name}");
        }
        for body in [json!({"max_budget": -1}), json!({"duration": "soon"}), json!({"budget_duration": "0d"})] {
            world.post("/key/generate", body).await.refused(400);
        }
    }

    #[tokio::test]
    async fn service_accounts_and_the_first_keys_of_users_are_bounded_too() {
        let world = bounded(None).await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let made = world.post("/key/service-account/generate", json!({"team_id": "t", "max_budget": 500})).await.ok();
        assert_eq!((&made["max_budget"], &made["rpm_limit"]), (&json!(100.0), &json!(50)));
        let made = world.post("/user/new", json!({"user_id": "u", "duration": "1000d"})).await.ok();
        assert_eq!(made["duration"], "90d");
        let info = world.get_as(made["key"].as_str().unwrap(), "/key/info").await.ok()["info"].clone();
        assert_eq!((&info["max_budget"], &info["tpm_limit"]), (&json!(100.0), &json!(1000)));
        let user = world.get("/user/info?user_id=u").await.ok();
        assert_eq!(user["user_info"]["max_budget"], Value::Null, "bounds are of keys");
    }

    #[tokio::test]
    async fn asked_to_reject_they_refuse_what_is_above_and_fill_in_what_is_missing() {
        let world = bounded(Some("reject")).await;
        for (body, says) in [
            (
                json!({"max_budget": 100.5}),
                "max_budget is over max limit set in config - user_value=100.5; max_value=100",
            ),
            (json!({"rpm_limit": 51}), "rpm_limit is over max limit set in config - user_value=51; max_value=50"),
            (json!({"duration": "-1"}), "duration is over max limit set in config - user_value=-1; max_value=90d"),
            (json!({"budget_duration": "31d"}), "user_value=31d; max_value=30d"),
        ] {
            let error = world.post("/key/generate", body).await.refused(400);
            assert!(error["message"].as_str().unwrap().contains(says), "{error}");
        }
        assert_eq!(world.count("keys").await, 0);
        let made = world.post("/key/generate", json!({"duration": "2160h"})).await.ok();
        assert_eq!((&made["duration"], &made["max_budget"]), (&json!("2160h"), &json!(100.0)));
    }

    #[tokio::test]
    async fn changes_beyond_the_bounds_are_refused_and_nothing_is_filled_in() {
        let world = World::new().await;
        let (old, free) = (world.key(json!({"max_budget": 500, "duration": "1d"})).await, world.key(json!({})).await);
        world.set("litellm_settings", json!({"upperbound_key_generate_params": all()})).await;
        for body in [
            json!({"max_budget": 101}),
            json!({"max_budget": null}),
            json!({"tpm_limit": 1001}),
            json!({"duration": "-1"}),
            json!({"duration": null}),
            json!({"duration": "91d"}),
            json!({"budget_duration": "2w", "rpm_limit": 51}),
            json!({"max_parallel_requests": 11}),
        ] {
            for path in ["/key/update", "/key/regenerate"] {
                let mut body = body.clone();
                body["key"] = json!(old);
                let error = world.post(path, body).await.refused(400);
                assert!(error["message"].as_str().unwrap().contains("is over max limit set in config"), "{error}");
            }
            let mut body = body.clone();
            body["key"] = json!(old);
            let answer = world.post("/key/bulk_update", json!({"keys": [body]})).await.ok();
            assert_eq!(answer["failed_updates"].as_array().unwrap().len(), 1);
        }
        let changed = world.post("/key/update", json!({"key": free, "max_budget": null, "rpm_limit": 5})).await.ok();
        assert_eq!((&changed["max_budget"], &changed["tpm_limit"]), (&Value::Null, &Value::Null));
        let changed = world.post("/key/update", json!({"key": old, "max_budget": 100, "duration": "90d"})).await.ok();
        assert_eq!(changed["max_budget"], 100.0);
    }

    #[tokio::test]
    async fn a_bound_that_cannot_be_read_makes_no_keys() {
        let world = World::new().await;
        let key = world.key(json!({})).await;
        for (wrong, place) in [
            (json!({"upperbound_key_generate_params": {"max_budget": "much"}}), "params.max_budget must be"),
            (json!({"upperbound_key_generate_params": {"duration": "30"}}), "params.duration is no length of time"),
            (json!({"upperbound_key_generate_params": [1]}), "upperbound_key_generate_params must be a mapping"),
            (json!({"on_upperbound": "explode"}), "on_upperbound must be clamp or reject"),
        ] {
            world.set("litellm_settings", wrong).await;
            let error = world.post("/key/generate", json!({})).await.refused(500);
            assert!(error["message"].as_str().unwrap().contains(place), "{error}");
            world.post("/key/update", json!({"key": key, "rpm_limit": 1})).await.refused(500);
        }
        assert_eq!((world.count("keys").await, world.count("users").await), (1, 0));
    }
}
