//! Turnpike's control plane: it decides.
//!
//! **A change's way.** A call comes in on a listener ([`listen`]) and through the rim (`http`): who asks becomes an
//! actor (`access`), what is asked becomes a checked request (`http::fields`). The slice (`keys`, `teams`, `models`)
//! asks whether the actor may, decides by pure rules, and writes rows as one `change`: rows, audit and revision in one
//! transaction. The commit is the only hand-over: `publish` sees the revision and pushes what changed to every
//! connected data plane, and the answer waits for them a moment.
//!
//! **A cent's way.** Data planes report usage to `intake`, which books each event once; `spend` shows it.
//!
//! `config.yaml` comes in through `import`, what lay in LiteLLM's database through [`takeover`]. Periodic work is in `jobs`. Settings of the process are [`settings`]'s.

mod access;
mod access_groups;
mod addresses;
mod app;
mod audit;
mod budgets;
mod change;
pub mod configuration;
mod configured;
mod credentials;
mod customers;
pub mod enrol;
mod error;
#[cfg(test)]
mod fixture;
pub mod flags;
mod health;
mod http;
mod import;
mod installation;
mod intake;
mod jobs;
mod keys;
mod limits;
pub mod listen;
mod models;
mod operator;
mod organizations;
mod patience;
pub mod prices;
mod publish;
pub mod secret;
pub mod settings;
mod spend;
mod tags;
pub mod takeover;
mod teams;
pub mod telemetry;
mod users;
mod vault;

use std::time::Instant;

use anyhow::Context as _;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub use configuration::check;
pub use listen::{GrpcListener, Listeners};
pub use settings::Settings;

use access::{DEFAULT_USER_ID, MasterKey};
use app::{App, Parts};
use enrol::Admission;
use publish::{Environment, PublishedSettings, Publisher};
use vault::Vault;

/// Runs the control plane until `shutdown`: migrates, imports the configuration, serves. Returns when calls have ended.
///
/// # Errors
/// A database that cannot be used, another control plane with another master key, or a configuration that clashes with
/// what the API made: each says what to do.
pub async fn run(settings: Settings, listeners: Listeners, shutdown: CancellationToken) -> anyhow::Result<()> {
    let ready = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        ready = prepare(&settings) => ready?,
    };
    let Prepared { app, place } = ready;
    let stop = shutdown.child_token();
    let admission = match &listeners.grpc {
        GrpcListener::Tcp { join_token, .. } => Admission::Token(*join_token),
        GrpcListener::Unix(_) => Admission::Local,
    };
    let admin = http::admin_router(app.clone(), settings.admin_calls_per_second);
    let grpc = enrol::grpc_router(&app.publisher, app.db.clone());
    let for_data_planes = enrol::guarded(grpc.fallback_service(admin.clone()), admission);

    let publishing = tokio::spawn(app.publisher.clone().run(stop.clone()));
    let jobs = tokio::spawn(jobs::run(app.db.clone(), stop.clone()));
    let data_planes = tokio::spawn(listen::data_planes(listeners.grpc, for_data_planes, stop.clone()));
    let admins = listeners.admin.map(|listener| tokio::spawn(listen::admin(listener, admin, stop.clone())));
    tracing::info!("the control plane is ready");

    // Ends with the shutdown, or with another master key.
    let held = place.hold(stop.clone()).await;
    stop.cancel();
    data_planes.await.context("the data planes' listener")?;
    if let Some(admins) = admins {
        admins.await.context("the admin listener")?;
    }
    publishing.await.context("publishing")?;
    jobs.await.context("jobs")?;
    app.db.close().await;
    Ok(held?)
}

/// Brings the database's schema up to date.
///
/// # Errors
/// A database that cannot be reached, or that is not ours.
pub async fn migrate(database: &sqlx::postgres::PgConnectOptions) -> anyhow::Result<()> {
    let db = installation::connect(database, 2).await?;
    installation::migrate(&db).await?;
    db.close().await;
    Ok(())
}

struct Prepared {
    app: App,
    place: installation::Place,
}

/// Everything that must be right before the first call.
async fn prepare(settings: &Settings) -> anyhow::Result<Prepared> {
    let db = installation::connect(&settings.database, settings.database_connections).await?;
    installation::migrate(&db).await?;
    let master = match &settings.master_key {
        Some(key) => MasterKey::of(key.expose()),
        None => {
            tracing::warn!(
                "NO AUTHENTICATION (--insecure-no-auth): whoever reaches this control plane may do everything"
            );
            MasterKey::NoAuth
        }
    };
    warn_of_weak_keys(settings);
    let place = installation::Place::take(&db, &master).await?;
    let vault = Vault::from_secret(settings.vault_secret.expose().as_bytes());
    import_configuration(settings, &db, &vault).await?;
    let prices = prices::Table::bundled();
    let published = PublishedSettings {
        master_key_sha256: master.digest().map(|digest| digest.as_bytes().to_vec()).unwrap_or_default(),
        master_user_id: DEFAULT_USER_ID.to_owned(),
        no_auth: settings.authentication == settings::Authentication::Off,
    };
    let publisher = Publisher::new(db.clone(), vault.clone(), prices, Environment::of_process(), published);
    let app = App::from(Parts { db, publisher, master, prices, started: Instant::now() });
    Ok(Prepared { app, place })
}

async fn import_configuration(settings: &Settings, db: &PgPool, vault: &Vault) -> anyhow::Result<()> {
    let Some(configuration) = &settings.configuration else { return Ok(()) };
    for finding in &configuration.findings {
        match finding.severity {
            litellm_config::Severity::Note => tracing::info!("{finding}"),
            litellm_config::Severity::Warning | litellm_config::Severity::Error => tracing::warn!("{finding}"),
        }
    }
    import::apply(db, vault, &configuration.config, configuration.sha256).await?;
    Ok(())
}

/// Keys that can be guessed open everything.
fn warn_of_weak_keys(settings: &Settings) {
    let short = |secret: &secret::Secret| secret.expose().len() < 20;
    if settings.master_key.as_ref().is_some_and(short) {
        tracing::warn!("the master key is short enough to be guessed: use `sk-` and at least 32 random characters");
    }
    if short(&settings.vault_secret) {
        tracing::warn!("the vault key is short enough to be guessed: use at least 32 random characters");
    }
}
