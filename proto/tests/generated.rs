//! Keeps `src/gen` equal to what the `.proto` files say, without a protobuf compiler.
//!
//! `TURNPIKE_REGENERATE=1 cargo test -p proto --test generated` (or `make proto`) writes it anew.

use std::fs;
use std::path::Path;

const FILES: [&str; 2] = ["gateway/v1/snapshot.proto", "gateway/v1/usage.proto"];

#[test]
fn generated_code_is_what_the_proto_files_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(FILES, [root]).unwrap();
    let mut config = tonic_prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]);
    tonic_prost_build::configure()
        .out_dir(scratch.path())
        .bytes(".")
        .compile_fds_with_config(descriptors, config)
        .unwrap();

    let fresh = fs::read_to_string(scratch.path().join("gateway.v1.rs")).unwrap();
    let committed = root.join("src/gen/gateway.v1.rs");
    if std::env::var_os("TURNPIKE_REGENERATE").is_some() {
        fs::write(&committed, &fresh).unwrap();
    }
    let stands = fs::read_to_string(&committed).unwrap_or_default();
    assert!(stands == fresh, "proto/src/gen is stale: run `make proto` and commit the result");
}
