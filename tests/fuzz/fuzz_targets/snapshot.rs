//! Two deltas of the control plane, one after the other.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| data_plane::fuzzing::snapshot(data));
