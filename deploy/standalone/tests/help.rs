//! `turnpike --help` says all there is; a typo in the config is told. (That this test exists also makes `cargo test` build
//! the binary, which the stories in `tests/` start.)

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_turnpike")).args(arguments).env_clear().output()
}

#[test]
fn help_names_every_flag_and_its_variable() {
    let help = run(&["--help"]).unwrap();
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    let flags = [
        ("--config", "CONFIG_FILE_PATH"),
        ("--port", "PORT"),
        ("--host", "HOST"),
        ("--data-dir", "TURNPIKE_DATA_DIR"),
        ("--database-url", "DATABASE_URL"),
        ("--threads", "TURNPIKE_THREADS"),
        ("--num_workers", "NUM_WORKERS"),
    ];
    for (flag, variable) in flags {
        assert!(text.contains(flag) && text.contains(&format!("[env: {variable}")), "{flag} {variable}\n{text}");
    }
    assert!(text.contains("check"), "{text}");
}

#[test]
fn check_prints_every_finding_with_its_path_and_fails() {
    let scratch = tempfile::tempdir().unwrap();
    let config = scratch.path().join("config.yaml");
    std::fs::write(
        &config,
        "model_list:\n  - model_name: a\n    litelm_params: {model: openai/gpt-4o}\nrouter_setings: {}\n",
    )
    .unwrap();
    let checked = run(&["check", config.to_str().unwrap()]).unwrap();
    assert!(!checked.status.success());
    let text = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert!(text.contains("model_list[0]") && text.contains("litellm_params"), "{text}");
    assert!(text.contains("router_settings"), "{text}");
}
