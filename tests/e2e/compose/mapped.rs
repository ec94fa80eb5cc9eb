//! This machine in the place of containers: what a command says about its container, as it is here.

use std::fs;
use std::path::PathBuf;

use acceptance::binaries::{binary, repository};
use acceptance::client::Client;
use acceptance::ports;
use acceptance::process::Recipe;
use acceptance::story::Story;
use anyhow::{Context, ensure};

use super::file::Service;

/// Container text and what stands for it here; the first that fits is taken at each place.
#[derive(Clone)]
pub(super) struct Machine {
    table: Vec<(String, String)>,
}

impl Machine {
    /// Folders, ports and programs in the place of volumes, networks and images.
    pub(super) fn prepare(story: &Story, database_url: &str) -> anyhow::Result<Self> {
        let mut table = vec![("/etc/turnpike/config.yaml".to_owned(), example()?.display().to_string())];
        for mount in ["/etc/turnpike/tls", "/etc/turnpike/join", "/var/lib/turnpike"] {
            let folder = story.path().join("mounts").join(mount.trim_start_matches('/'));
            fs::create_dir_all(&folder)?;
            table.push((mount.to_owned(), folder.display().to_string()));
        }
        for port in ["4000", "4001", "4002", "6379"] {
            let free = ports::free()?.to_string();
            // Only where a port stands: behind `:`, `=` or `/`.
            table.extend([":", "=", "/"].map(|before| (format!("{before}{port}"), format!("{before}{free}"))));
        }
        table.push(("@database".to_owned(), database_url.to_owned()));
        Ok(Self { table })
    }

    /// The same machine with another port in the place of `port`, and a folder of its own for state: for a second replica.
    pub(super) fn another(&self, port: &str) -> anyhow::Result<Self> {
        let free = ports::free()?.to_string();
        let mut another = self.clone();
        for (container, here) in &mut another.table {
            if let Some(before) = container.strip_suffix(port).filter(|before| before.len() == 1) {
                *here = format!("{before}{free}");
            }
            if container == "/var/lib/turnpike" {
                here.push_str("-second");
                fs::create_dir_all(&here)?;
            }
        }
        Ok(another)
    }

    /// A service as a process. Its program must be one that its image has.
    pub(super) fn recipe(&self, service: &Service) -> anyhow::Result<Recipe> {
        let image = match service.name.as_str() {
            "data-plane" => "turnpike-data-plane",
            _ => "turnpike-control-plane",
        };
        let (program, leading) = match service.entrypoint.split_first() {
            None => (binary(image)?, &[][..]),
            Some((program, leading)) => (PathBuf::from(program), leading),
        };
        ensure!(!service.command.is_empty(), "{} has no command", service.name);
        let mut recipe = Recipe::of(program);
        for argument in leading.iter().chain(&service.command) {
            recipe = recipe.arg(self.here(argument));
        }
        for (name, value) in &service.environment {
            recipe = recipe.env(name, self.here(value));
        }
        let folder = binary(image)?.parent().context("a program in no folder")?.display().to_string();
        Ok(recipe.env("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin")))
    }

    /// A service's health check as a process.
    pub(super) fn health_check(&self, service: &Service) -> anyhow::Result<Recipe> {
        let (kind, command) = service.health_check.split_first().context("no health check")?;
        ensure!(kind == "CMD", "{} checks by {kind}", service.name);
        let (program, arguments) = command.split_first().context("an empty health check")?;
        let recipe = Recipe::of(PathBuf::from(program));
        Ok(arguments.iter().fold(recipe, |recipe, argument| recipe.arg(self.here(argument))))
    }

    /// Calls the port that stands for `port`.
    pub(super) fn client(&self, port: &str) -> Client {
        Client::of(format!("http://127.0.0.1{}", self.here(&format!(":{port}"))))
    }

    /// The folder that stands for a mount, or a file in it.
    pub(super) fn path(&self, container: &str) -> PathBuf {
        PathBuf::from(self.here(container))
    }

    fn here(&self, text: &str) -> String {
        let text = match text.find("postgresql://llmproxy:") {
            // The whole address at once: user, password and database are those of the private server.
            Some(_) => "@database".to_owned(),
            None => text
                .replace("0.0.0.0", "127.0.0.1")
                .replace("//control-plane:", "//127.0.0.1:")
                .replace("//redis:", "//127.0.0.1:"),
        };
        let text = text.replace("--host control-plane", "--host 127.0.0.1");
        let mut here = String::new();
        let mut rest = text.as_str();
        'text: while let Some(first) = rest.chars().next() {
            for (container, stands_for) in &self.table {
                if let Some(after) = rest.strip_prefix(container.as_str()) {
                    here.push_str(stands_for);
                    rest = after;
                    continue 'text;
                }
            }
            here.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
        here
    }
}

/// The configuration that the compose file mounts unless told otherwise.
fn example() -> anyhow::Result<PathBuf> {
    let path = repository().join("deploy/examples/split.yaml");
    ensure!(path.is_file(), "{} is missing", path.display());
    Ok(path)
}
