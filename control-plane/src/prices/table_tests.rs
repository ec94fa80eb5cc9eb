//! The shipped table is whole, and its prices are those that providers publish.

use std::collections::BTreeMap;

use proto::price::{Cost, Measure, cost};
use proto::v1::{ServiceTier, Tokens, Unit};

use super::super::{fields, figure};
use super::*;

fn rate(price: &Price, unit: Unit, above_tokens: u64, tier: ServiceTier) -> Option<u64> {
    let wanted =
        |rate: &&proto::v1::Rate| rate.unit() == unit && rate.above_tokens == above_tokens && rate.tier() == tier;
    price.rates.iter().find(wanted).map(|rate| rate.femto_usd)
}

fn source(provider: &str, model: &str, base: Option<&str>) -> Option<String> {
    Table::bundled().find(provider, model, base).map(|price| price.source)
}

#[test]
fn the_table_is_sorted_and_has_every_model_once() {
    let names: Vec<&str> = BUNDLED.lines().filter_map(|line| line.strip_prefix('"')?.split('"').next()).collect();
    assert!(names.is_sorted_by(|before, after| before < after));
    assert_eq!(names.len(), 4_241);
    assert_eq!(Table::read(BUNDLED).expect("readable").entries.len(), names.len());
}

#[test]
fn every_charged_figure_is_exact_in_femto_dollars() {
    let raw: BTreeMap<&str, BTreeMap<&str, &RawValue>> = serde_json::from_str(BUNDLED).expect("objects");
    let mut figures = 0;
    for (model, entry) in &raw {
        let sheet =
            Sheet::read(&serde_json::from_str(&serde_json::to_string(entry).unwrap()).unwrap(), Crossing::Above);
        assert_eq!(sheet.unreadable, Vec::<String>::new(), "{model}");
        for (name, literal) in entry {
            if fields::slot(name).is_some() {
                let parsed = serde_json::from_str(literal.get()).ok().as_ref().and_then(figure::femto_usd);
                assert_eq!(parsed.map(u128::from), by_shifting(literal.get()), "{model}.{name}");
                figures += 1;
            }
        }
    }
    assert!(figures > 10_000, "{figures}");
}

/// The literal times 10^15, by moving its point. `None` if something is left behind the point.
fn by_shifting(literal: &str) -> Option<u128> {
    let (mantissa, exponent) = literal.split_once('e').unwrap_or((literal, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let places = exponent.parse::<i64>().ok()? + 15 - fraction.len() as i64;
    let mut digits = format!("{whole}{fraction}");
    for _ in 0..places.max(0) {
        digits.push('0');
    }
    for _ in 0..(-places).max(0) {
        if digits.pop().unwrap_or('0') != '0' {
            return None;
        }
    }
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

#[test]
fn gpt_4o_costs_what_openai_publishes() {
    let price = Table::bundled().find("openai", "gpt-4o", None).expect("in the table");
    assert_eq!((price.state(), price.source.as_str()), (PriceState::Known, "gpt-4o"));
    assert_eq!(rate(&price, Unit::InputToken, 0, ServiceTier::Standard), Some(2_500_000_000));
    assert_eq!(rate(&price, Unit::OutputToken, 0, ServiceTier::Standard), Some(10_000_000_000));
    assert_eq!(rate(&price, Unit::CacheReadToken, 0, ServiceTier::Standard), Some(1_250_000_000));
    assert_eq!(rate(&price, Unit::InputToken, 0, ServiceTier::Priority), Some(4_250_000_000));
    assert_eq!(rate(&price, Unit::OutputToken, 0, ServiceTier::Batch), Some(5_000_000_000));

    let tokens = Tokens { prompt: 1_000, completion: 200, total: 1_200, cache_read: 400, ..Tokens::default() };
    let call = cost(&tokens, Measure::of_one_call(900), &price, ServiceTier::Standard);
    assert_eq!(call, Cost::Known(proto::NanoUsd::from_nanos(1_500_000 + 500_000 + 2_000_000)));
}

#[test]
fn claude_charges_for_writing_to_the_cache() {
    let price = Table::bundled().find("anthropic", "claude-sonnet-4-5", None).expect("in the table");
    assert_eq!(rate(&price, Unit::InputToken, 0, ServiceTier::Standard), Some(3_000_000_000));
    assert_eq!(rate(&price, Unit::CacheReadToken, 0, ServiceTier::Standard), Some(300_000_000));
    assert_eq!(rate(&price, Unit::CacheWriteToken, 0, ServiceTier::Standard), Some(3_750_000_000));
    assert_eq!(rate(&price, Unit::CacheWrite1hToken, 0, ServiceTier::Standard), Some(6_000_000_000));
}

#[test]
fn gemini_charges_more_for_long_prompts() {
    let price = Table::bundled().find("gemini", "gemini-2.5-pro", None).expect("in the table");
    let nanos = |prompt| {
        let tokens = Tokens { prompt, completion: 1_000, ..Tokens::default() };
        cost(&tokens, Measure::default(), &price, ServiceTier::Standard).amount().nanos()
    };
    assert_eq!(nanos(200_000), 200_000 * 1_250 + 1_000 * 10_000);
    assert_eq!(nanos(200_001), 200_001 * 2_500 + 1_000 * 15_000);
}

#[test]
fn ranges_of_prompt_length_are_thresholds() {
    let price = Table::bundled().find("dashscope", "qwen-flash", None).expect("in the table");
    assert_eq!(rate(&price, Unit::InputToken, 0, ServiceTier::Standard), Some(50_000_000));
    assert_eq!(rate(&price, Unit::InputToken, 256_000, ServiceTier::Standard), Some(250_000_000));
    assert_eq!(rate(&price, Unit::OutputToken, 256_000, ServiceTier::Standard), Some(2_000_000_000));
}

#[test]
fn names_are_found_with_and_without_their_provider() {
    assert_eq!(source("azure", "gpt-4o", None).as_deref(), Some("azure/gpt-4o"));
    assert_eq!(source("openai", "openai/gpt-4o", None).as_deref(), Some("gpt-4o"));
    assert_eq!(source("openai", "GPT-4o", None).as_deref(), Some("gpt-4o"));
    assert_eq!(source("openai", "ft:gpt-4o-2024-08-06:acme::8xY", None).as_deref(), Some("ft:gpt-4o-2024-08-06"));
    assert_eq!(source("vertex_ai", "gemini-2.5-flash", None).as_deref(), Some("gemini-2.5-flash"));
    assert_eq!(source("openai", "gpt-nobody-made", None), None);
}

#[test]
fn the_base_model_goes_before_the_name() {
    assert_eq!(source("azure", "our-deployment", Some("azure/gpt-4o")).as_deref(), Some("azure/gpt-4o"));
    assert_eq!(source("azure", "gpt-4o-mini", Some("gpt-4o")).as_deref(), Some("azure/gpt-4o"));
    assert_eq!(source("hosted_vllm", "ours", Some("gpt-4o")).as_deref(), Some("gpt-4o"));
    assert_eq!(source("azure", "gpt-4o", Some("nothing-of-the-kind")).as_deref(), Some("azure/gpt-4o"));
}

#[test]
fn a_model_of_somebody_else_is_no_price() {
    assert_eq!(source("hosted_vllm", "gpt-4o", None), None);
    assert_eq!(source("openai", "azure/gpt-4o", None), None);
    assert_eq!(source("litellm_proxy", "gpt-4o", None).as_deref(), Some("gpt-4o"));
}

#[test]
fn free_and_unknown_are_told_apart() {
    let state = |provider, model| Table::bundled().find(provider, model, None).map(|price| price.state());
    assert_eq!(state("ollama", "llama2"), Some(PriceState::Free));
    assert_eq!(state("github_copilot", "text-embedding-3-small"), Some(PriceState::Unknown));
}

#[test]
fn a_wildcard_gets_every_priced_model_of_its_provider() {
    let azure: BTreeMap<&str, Price> = Table::bundled().of_provider("azure").collect();
    assert_eq!(azure.get("gpt-4o").map(|price| price.source.as_str()), Some("azure/gpt-4o"));
    assert!(azure.values().all(|price| price.state() != PriceState::Unknown));
    assert!(azure.len() > 100, "{}", azure.len());
    assert_eq!(Table::bundled().of_provider("nobody").count(), 0);
}

#[test]
fn facts_beside_the_price_are_kept() {
    let facts = Table::bundled().entry("openai", "gpt-4o").expect("in the table");
    assert_eq!((facts.name, facts.litellm_provider(), facts.mode()), ("gpt-4o", Some("openai"), Some("chat")));
    assert_eq!(
        (facts.max_input_tokens(), facts.max_output_tokens(), facts.max_tokens()),
        (Some(128_000), Some(16_384), Some(16_384))
    );
    assert_eq!(facts.fields().get("input_cost_per_token"), Some(&serde_json::json!(2.5e-6)));
    assert_eq!(facts.fields().get("supports_vision"), Some(&Value::Bool(true)));
    assert!(Table::bundled().entry("openai", "gpt-nobody-made").is_none());
}
