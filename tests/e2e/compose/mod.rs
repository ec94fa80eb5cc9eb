//! The compose file starts: every service's own command and environment, as child processes on this machine.
//!
//! No container engine is at hand. What a container would give is mapped by a table: names of services become 127.0.0.1,
//! ports become free ones, paths of mounts become scratch folders, the image's entry point becomes our program.

mod file;
mod mapped;

use std::fs;
use std::time::Duration;

use acceptance::database::Database;
use acceptance::planes::{Key, chat};
use acceptance::process::Process;
use acceptance::story::Story;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::json;

use self::file::{Compose, interpolated};
use self::mapped::Machine;

/// One-shots end and services get healthy within this time.
const WITHIN: Duration = Duration::from_secs(40);

fn keys() -> Vec<(&'static str, String)> {
    vec![
        ("LITELLM_MASTER_KEY", acceptance::planes::secret("sk-")),
        ("TURNPIKE_VAULT_KEY", acceptance::planes::secret("")),
        ("POSTGRES_PASSWORD", acceptance::planes::secret("")),
    ]
}

#[tokio::test]
async fn every_service_starts_by_its_own_command_and_gets_healthy() -> anyhow::Result<()> {
    let story = Story::begin()?;
    let database = Database::fresh().await?;
    let keys = keys();
    let compose = Compose::read(&keys)?;
    let machine = Machine::prepare(&story, database.url())?;

    for once in ["init", "migrate"] {
        let output = machine.recipe(&compose.service(once)?)?.run(WITHIN).await?;
        ensure!(output.status.success(), "{once}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    // Once more, as at every `up`: it must keep what is there.
    let token = fs::read(machine.path("/etc/turnpike/join/join-token"))?;
    ensure!(machine.recipe(&compose.service("init")?)?.run(WITHIN).await?.status.success());
    ensure!(fs::read(machine.path("/etc/turnpike/join/join-token"))? == token, "init made a new join token");

    let control = compose.service("control-plane")?;
    let data = compose.service("data-plane")?;
    let second = machine.another("4000")?;
    let mut running = Vec::new();
    for (name, service, machine) in
        [("control-plane", &control, &machine), ("data-plane-1", &data, &machine), ("data-plane-2", &data, &second)]
    {
        running.push(Process::start(name, &machine.recipe(service)?, &story.logs())?);
        let process = running.last_mut().context("just started")?;
        let check = machine.health_check(service)?;
        eventually(&format!("{name} is healthy"), WITHIN, async || {
            process.must_run()?;
            let output = check.run(Duration::from_secs(5)).await?;
            Ok(output.status.success().then_some(()))
        })
        .await?;
    }

    let master = keys.first().map(|(_, key)| key.clone()).unwrap_or_default();
    let one = machine.client("4000").with_key(&master);
    let key = Key::generate(&one, json!({})).await.context("a key through the first data plane")?;
    let models = one.get("/v1/models").await?.ok()?;
    ensure!(models["data"].is_array(), "{models}");
    let other = second.client("4000").with_key(&key.secret);
    other.get("/v1/models").await?.ok().context("the key on the second data plane")?;
    other.post("/v1/chat/completions", &chat("no-such-model", "Hello")).await?.refusal(400)?;
    machine.client("4001").with_key(&master).get("/key/list").await?.ok().context("the control plane's own port")?;
    drop(running);
    story.end()
}

#[tokio::test]
async fn keys_that_everybody_knows_start_nothing() -> anyhow::Result<()> {
    let story = Story::begin()?;
    let machine = Machine::prepare(&story, "postgres://nowhere/none")?;
    for (name, known) in [
        ("LITELLM_MASTER_KEY", "sk-1234"),
        ("LITELLM_MASTER_KEY", "sk-change-me-please-now"),
        ("TURNPIKE_VAULT_KEY", "short"),
    ] {
        let mut keys = keys();
        keys.iter_mut().filter(|(key, _)| *key == name).for_each(|(_, value)| *value = known.to_owned());
        let output = machine.recipe(&Compose::read(&keys)?.service("init")?)?.run(WITHIN).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && said.contains(name), "{name}={known}: {}: {said}", output.status);
    }
    story.end()
}

#[test]
fn an_empty_key_is_refused_before_anything_starts() -> anyhow::Result<()> {
    for name in ["LITELLM_MASTER_KEY", "TURNPIKE_VAULT_KEY", "POSTGRES_PASSWORD"] {
        let mut keys = keys();
        keys.retain(|(key, _)| *key != name);
        let refused = Compose::read(&keys).err().with_context(|| format!("{name} may be missing"))?;
        ensure!(format!("{refused:#}").contains(name), "{refused:#}");
        keys.push((name, String::new()));
        ensure!(Compose::read(&keys).is_err(), "{name} may be empty");
    }
    Ok(())
}

#[test]
fn the_example_of_the_environment_names_every_variable_and_holds_no_key() -> anyhow::Result<()> {
    let folder = acceptance::binaries::repository().join("deploy/compose");
    let text = fs::read_to_string(folder.join("compose.yaml"))?;
    let example = fs::read_to_string(folder.join(".env.example"))?;
    let said: Vec<(&str, &str)> = example.lines().filter_map(|line| line.split_once('=')).collect();
    for name in file::variables(&text) {
        let value = said.iter().find(|(said, _)| *said == name).map(|(_, value)| *value);
        ensure!(value.is_some() || name == "TURNPIKE_TAG", "{name} is not in .env.example");
        ensure!(!name.ends_with("KEY") && !name.ends_with("PASSWORD") || value == Some(""), "{name} has a value");
    }
    Ok(())
}

#[test]
fn data_planes_hold_no_credentials_of_the_database() -> anyhow::Result<()> {
    let service = Compose::read(&keys())?.service("data-plane")?;
    for (name, value) in &service.environment {
        ensure!(!name.contains("DATABASE") && !name.contains("KEY") && !value.contains("db:5432"), "{name}");
    }
    ensure!(service.volumes.iter().all(|volume| !volume.contains("/etc/turnpike/tls")), "{:?}", service.volumes);
    Ok(())
}

#[test]
fn interpolation_is_that_of_compose() -> anyhow::Result<()> {
    let set = [("SET", "value".to_owned()), ("EMPTY", String::new())];
    ensure!(interpolated("a ${SET} $$b ${EMPTY:-c} ${UNSET:-d}", &set)? == "a value $b c d");
    ensure!(interpolated("${EMPTY:?say why}", &set).is_err_and(|error| error.to_string().contains("say why")));
    ensure!(interpolated("${UNSET:?make one with $(echo x)}", &set).is_err());
    Ok(())
}
