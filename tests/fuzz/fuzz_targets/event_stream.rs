//! A provider's event stream, cut into reads anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dialects::fuzzing::event_stream(data));
