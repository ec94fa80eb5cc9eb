//! The body of a model call, and what is sent upstream of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dialects::fuzzing::request(data));
