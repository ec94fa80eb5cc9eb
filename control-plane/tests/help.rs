//! `turnpike-control-plane --help` says all there is. (That this test exists also makes `cargo test` build the binary,
//! which the stories in `tests/` start.)

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_turnpike-control-plane")).args(arguments).env_clear().output()
}

#[test]
fn help_names_every_command_and_flag() {
    let help = run(&["--help"]).unwrap();
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    for word in ["init", "check", "migrate", "--config", "--database-url", "--admin-port", "--grpc-port", "--tls-dir"] {
        assert!(text.contains(word), "{word}\n{text}");
    }
}

#[test]
fn without_a_database_it_says_what_to_set() {
    let refused = run(&[]).unwrap();
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("DATABASE_URL"), "{text}");
}
