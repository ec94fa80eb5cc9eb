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
fn help_says_every_limit_and_its_default() {
    let help = run(&["--help"]).unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    let limits = [
        ("head-seconds", "10"),
        ("idle-seconds", "75"),
        ("connection-age-seconds", "3600"),
        ("body-seconds", "60"),
        ("body-grace-seconds", "10"),
        ("body-bytes-per-second", "1024"),
        ("stall-seconds", "60"),
        ("max-headers", "100"),
        ("max-head-kb", "64"),
        ("max-uri-bytes", "8192"),
        ("max-connections", "10000"),
        ("max-connections-per-ip", "0"),
        ("max-in-flight", "5000"),
        ("max-body-mb", "100"),
    ];
    for (flag, default) in limits {
        let variable = format!("[env: TURNPIKE_{}=]", flag.to_uppercase().replace('-', "_"));
        let said = text.split_once(&variable).map(|(_, rest)| rest.split("--").next().unwrap_or_default());
        let said = said.unwrap_or_else(|| panic!("{flag} has no variable {variable}:\n{text}"));
        assert!(text.contains(&format!("--{flag} <")), "{flag}");
        assert!(said.contains(&format!("[default: {default}]")), "{flag}: {said}");
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
