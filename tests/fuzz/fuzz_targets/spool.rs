//! A segment of the spool, foreign or damaged.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| data_plane::fuzzing::spool(data));
