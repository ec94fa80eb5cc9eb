//! `turnpike-control-plane`: the command line, and nothing else.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use control_plane::flags::{Command, Flags, Serve};
use control_plane::takeover::flags::Import;
use control_plane::{GrpcListener, Listeners, Settings, enrol, settings, telemetry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let flags = Flags::parse();
    telemetry::init(&flags.log);
    let done = match flags.command {
        Some(Command::Check { config }) => return control_plane::check(&config),
        Some(Command::Init { out, hosts }) => init(&out, &hosts),
        Some(Command::Import { import: what, database_url }) => import(&what, database_url),
        Some(Command::Migrate { database_url }) => migrate(database_url),
        Some(Command::Serve(serve)) => start(&serve),
        None => start(&flags.serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "the answer of `init` is for people")]
fn init(out: &std::path::Path, hosts: &[String]) -> anyhow::Result<()> {
    let written = enrol::init(out, hosts)?;
    println!("certificate   {}  (for {})", written.server.display(), written.names.join(", "));
    println!("its key       {}", written.server_key.display());
    println!("join token    {}  (give it to data planes: --join-token-file)", written.join_token.display());
    println!("authority     {}", written.ca.display());
    println!("its key       {}  (needed only for more certificates: keep it elsewhere)", written.ca_key.display());
    println!("start with    turnpike-control-plane --tls-dir {}", out.display());
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the report is what `import` is asked for")]
fn import(what: &Import, database_url: Option<String>) -> anyhow::Result<()> {
    let database = settings::database_at(database_url)?;
    let vault_secret = settings::vault_secret(None)?;
    let report = runtime()?.block_on(what.run(&database, &vault_secret))?;
    println!("{}", report.trim_end());
    Ok(())
}

fn migrate(database_url: Option<String>) -> anyhow::Result<()> {
    let database = settings::database_at(database_url)?;
    runtime()?.block_on(control_plane::migrate(&database))?;
    tracing::info!("the database's schema is up to date");
    Ok(())
}

fn start(serve: &Serve) -> anyhow::Result<()> {
    let settings = Settings::gather(serve.given())?;
    let enrolment = serve.enrolment()?;
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        telemetry::on_signal(shutdown.clone())?;
        let admin = bind(SocketAddr::new(serve.host, serve.admin_port), "the admin API").await?;
        let listener = bind(SocketAddr::new(serve.host, serve.grpc_port), "data planes").await?;
        let grpc = GrpcListener::Tcp { listener, identity: enrolment.identity, join_token: enrolment.join_token };
        Box::pin(control_plane::run(settings, Listeners { admin: Some(admin), grpc }, shutdown)).await
    })
}

async fn bind(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} for {what}"))?;
    tracing::info!(%address, "listening for {what}");
    Ok(listener)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
