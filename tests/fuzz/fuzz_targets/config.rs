//! A `config.yaml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| litellm_config::fuzzing::config(data));
