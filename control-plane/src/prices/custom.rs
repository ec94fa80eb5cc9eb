//! Prices that an admin set for a deployment.

use proto::v1::Price;
use serde_json::{Map, Value};

use super::fields;
use super::sheet::{self, Crossing, Sheet};

/// What `Price::source` says of such a price.
const SOURCE: &str = "custom";

/// The deployment's own price, where `litellm_params` or `model_info` holds any price field; the former goes first.
/// Whatever they leave open is filled from `base`, the price that would hold without them. `None`: none is set.
///
/// Input and output both set to 0 make the deployment free, whatever the base charges for caching or long context.
pub fn custom(params: &Map<String, Value>, model_info: &Map<String, Value>, base: Option<&Price>) -> Option<Price> {
    let set: Map<String, Value> = model_info
        .iter()
        .chain(params)
        .filter(|(name, value)| fields::is_price(name) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if set.is_empty() {
        return None;
    }
    let mut sheet = Sheet::read(&set, Crossing::Above);
    sheet::report(&sheet.unreadable, "a deployment's own prices");
    if let Some(base) = base {
        sheet.fill_from(base);
    }
    Some(sheet.into_price(SOURCE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::price::{Cost, Measure, cost};
    use proto::v1::{PriceState, ServiceTier, Tokens};
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no object"),
        }
    }

    fn set(params: Value, base: Option<&Price>) -> Option<Price> {
        custom(&object(params), &Map::new(), base)
    }

    fn nanos(price: &Price, tokens: Tokens) -> Option<i64> {
        match cost(&tokens, Measure::of_one_call(2_000), price, ServiceTier::Standard) {
            Cost::Known(amount) => Some(amount.nanos()),
            Cost::Free => Some(0),
            Cost::Unknown => None,
        }
    }

    /// 1 and 4 USD per million, cached input 0.1.
    fn base() -> Price {
        let fields =
            json!({ "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6, "cache_read_input_token_cost": 1e-7 });
        Sheet::read(&object(fields), Crossing::Above).into_price("base")
    }

    const CALL: Tokens = Tokens {
        prompt: 10,
        completion: 1,
        total: 11,
        cache_read: 4,
        cache_write: 0,
        cache_write_1h: 0,
        input_audio: 0,
        output_audio: 0,
        reasoning: 0,
        input_image: 0,
        output_image: 0,
    };

    #[test]
    fn a_deployment_without_price_fields_has_no_price_of_its_own() {
        assert_eq!(
            set(json!({ "model": "openai/gpt-4o", "rpm": 5, "input_cost_per_token": null }), Some(&base())),
            None
        );
    }

    #[test]
    fn what_is_not_set_comes_from_the_base() {
        let price = set(json!({ "input_cost_per_token": 2e-6 }), Some(&base())).expect("set");
        assert_eq!(nanos(&price, CALL), Some(6 * 2_000 + 4 * 100 + 4_000));
        assert_eq!(price.source, "custom");
    }

    #[test]
    fn params_go_before_model_info() {
        let params = object(json!({ "input_cost_per_token": 3e-6 }));
        let info = object(json!({ "input_cost_per_token": 9e-6, "output_cost_per_token": "5e-06" }));
        let price = custom(&params, &info, None).expect("set");
        assert_eq!(nanos(&price, CALL), Some(10 * 3_000 + 5_000));
    }

    #[test]
    fn half_a_price_without_a_base_stays_unknown_for_the_other_half() {
        let price = set(json!({ "input_cost_per_token": 3e-6 }), None).expect("set");
        assert_eq!(nanos(&price, CALL), None);
        assert_eq!(nanos(&price, Tokens { completion: 0, ..CALL }), Some(30_000));
    }

    #[test]
    fn both_set_to_zero_is_free_whatever_the_base_charges() {
        let price = set(json!({ "input_cost_per_token": 0, "output_cost_per_token": 0 }), Some(&base())).expect("set");
        assert_eq!(price.state(), PriceState::Free);
    }

    #[test]
    fn a_price_by_the_second_replaces_the_base_price_by_the_token() {
        let price = set(json!({ "input_cost_per_second": 0.001 }), Some(&base())).expect("set");
        assert_eq!(nanos(&price, CALL), Some(2_000_000));
    }

    #[test]
    fn a_price_of_something_we_do_not_count_leaves_a_model_unknown() {
        let price = set(json!({ "output_cost_per_image": 0.04 }), None).expect("set");
        assert_eq!(price.state(), PriceState::Unknown);
    }
}
