//! `turnpike-data-plane --help` says all there is; a wrong flag says what is wrong. (That this test exists also makes
//! `cargo test` build the binary, which the stories in `tests/` start.)

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_turnpike-data-plane")).args(arguments).env_clear().output()
}

#[test]
fn help_names_every_flag_and_its_variable() {
    let help = run(&["--help"]).unwrap();
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    let flags = [
        ("--control-plane", "TURNPIKE_CONTROL_PLANE"),
        ("--join-token-file", "TURNPIKE_JOIN_TOKEN_FILE"),
        ("--state-dir", "TURNPIKE_STATE_DIR"),
        ("--state-key-file", "TURNPIKE_STATE_KEY_FILE"),
        ("--host", "HOST"),
        ("--port", "PORT"),
        ("--threads", "TURNPIKE_THREADS"),
        ("--forward-admin", "TURNPIKE_FORWARD_ADMIN"),
        ("--metrics-port", "TURNPIKE_METRICS_PORT"),
        ("--redis-url", "REDIS_URL"),
        ("--spool-max-mb", "TURNPIKE_SPOOL_MAX_MB"),
        ("--spool-full", "TURNPIKE_SPOOL_FULL"),
    ];
    for (flag, variable) in flags {
        assert!(text.contains(flag) && text.contains(&format!("[env: {variable}")), "{flag} {variable}\n{text}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let refused = run(&["--port", "4000"]).unwrap();
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("--control-plane") && text.contains("--state-dir"), "{text}");
}

#[test]
fn an_address_without_a_token_is_refused_with_what_to_do() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    let refused =
        run(&["--control-plane", "https://127.0.0.1:1", "--state-dir", state, "--port", "0", "--host", "127.0.0.1"])
            .unwrap();
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("--join-token-file"), "{text}");
}
