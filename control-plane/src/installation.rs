//! One database, and the control planes that share it: connecting, migrating, and agreeing on one master key.

use std::time::Duration;

use proto::KeyHash;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use tokio_util::sync::CancellationToken;

use crate::access::MasterKey;
use crate::publish::feed::{self, Change, Kind};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Held in share by each live control plane.
const LIVE: i64 = 0x7475_726e_6c69_7601;

/// How long a database may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between looks whether others are gone.
const AGAIN: Duration = Duration::from_millis(100);

/// Between tries to connect.
const RETRY: Duration = Duration::from_secs(1);

/// Between looks whether our lock still holds.
const WATCH: Duration = Duration::from_secs(5);

/// A database that does not answer within this is away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How long a control plane with another master key may take to be gone: a database notices some time after it ended.
const OTHERS: Duration = Duration::from_secs(10);

/// How long one statement may wait for a lock.
const LOCK_TIMEOUT: &str = "30s";

/// The control plane cannot work with this database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallationError {
    #[error("the database {place} cannot be reached: {source}. Check DATABASE_URL, and that Postgres runs there")]
    Unreachable { place: String, source: sqlx::Error },
    #[error("the database's schema cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error(
        "another control plane runs on this database with another master key: start all of them with the same \
         LITELLM_MASTER_KEY, or stop the others first"
    )]
    OtherMasterKey,
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
}

/// Connects; a database that is still coming up gets a minute.
pub(crate) async fn connect(options: &PgConnectOptions, connections: u32) -> Result<PgPool, InstallationError> {
    let options = options.clone().application_name("turnpike-control-plane").options([("lock_timeout", LOCK_TIMEOUT)]);
    let options = options.log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(5));
    let pool = pool(connections);
    let began = tokio::time::Instant::now();
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Ok(pool) => return Ok(pool),
            Err(error) if comes_up(&error) && began.elapsed() < PATIENCE => {
                tracing::warn!(place = place(&options), %error, "the database cannot be reached yet");
                tokio::time::sleep(RETRY).await;
            }
            Err(source) => return Err(InstallationError::Unreachable { place: place(&options), source }),
        }
    }
}

/// How connections are kept and handed out.
///
/// A call that is dropped while its `begin` is on the way leaves the connection inside a transaction that sqlx 0.9 does not
/// know of, and whoever gets it next would write into that one, or be refused by a read-only one. So each connection is
/// asked, in place of the usual ping, whether it is outside of transactions; one that is not is closed.
pub(crate) fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            // Sent as a simple query: only there does a lone statement's transaction begin when the statement does.
            let asked = sqlx::raw_sql("select now() = statement_timestamp()").fetch_one(connection);
            Box::pin(async { asked.await?.try_get(0) })
        })
}

/// Brings the schema up to date. Several control planes may try at once: one works, the others wait.
pub(crate) async fn migrate(db: &PgPool) -> Result<(), InstallationError> {
    Ok(MIGRATIONS.run(db).await?)
}

/// Our place among the live control planes of a database. Lost when the connection is.
pub(crate) struct Place {
    connection: PgConnection,
    options: PgConnectOptions,
    master: Option<KeyHash>,
}

impl Place {
    /// Takes a place. Refused while others live that have another master key; where there are no others, ours counts
    /// from now on.
    pub(crate) async fn take(db: &PgPool, master: &MasterKey) -> Result<Self, InstallationError> {
        Self::take_within(OTHERS, db, master).await
    }

    async fn take_within(patience: Duration, db: &PgPool, master: &MasterKey) -> Result<Self, InstallationError> {
        let options = (*db.connect_options()).clone();
        let mut connection = options.connect().await?;
        let master = master.digest();
        let began = tokio::time::Instant::now();
        loop {
            match claim(&mut connection, master).await {
                Err(InstallationError::OtherMasterKey) if began.elapsed() < patience => {
                    tokio::time::sleep(AGAIN).await;
                }
                claimed => break claimed?,
            }
        }
        Ok(Self { connection, options, master })
    }

    /// Holds the place until the shutdown; takes it anew when the connection was lost. Another master key that has come
    /// up meanwhile ends this control plane.
    pub(crate) async fn hold(mut self, shutdown: CancellationToken) -> Result<(), InstallationError> {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(WATCH) => {}
            }
            let alive = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                alive = tokio::time::timeout(ANSWERS_WITHIN, self.connection.ping()) => matches!(alive, Ok(Ok(()))),
            };
            if alive {
                continue;
            }
            let connected = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                connected = tokio::time::timeout(ANSWERS_WITHIN, self.options.connect()) => connected,
            };
            let Ok(Ok(mut connection)) = connected else { continue };
            match claim(&mut connection, self.master).await {
                Ok(()) => {
                    tracing::info!("the place among the control planes was taken anew");
                    self.connection = connection;
                }
                Err(InstallationError::OtherMasterKey) => return Err(InstallationError::OtherMasterKey),
                Err(error) => tracing::warn!(%error, "the place among the control planes is not taken"),
            }
        }
    }
}

async fn claim(connection: &mut PgConnection, master: Option<KeyHash>) -> Result<(), InstallationError> {
    let alone = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "alone!""#, LIVE);
    if alone.fetch_one(&mut *connection).await? {
        set_master(connection, master).await?;
        // Both kinds are ours for a moment, so that nobody comes in between.
        sqlx::query!("select pg_advisory_lock_shared($1)", LIVE).fetch_one(&mut *connection).await?;
        sqlx::query!("select pg_advisory_unlock($1)", LIVE).fetch_one(&mut *connection).await?;
        return Ok(());
    }
    sqlx::query!("select pg_advisory_lock_shared($1)", LIVE).fetch_one(&mut *connection).await?;
    let theirs = sqlx::query_scalar!("select master_key_sha256 from installation").fetch_one(&mut *connection).await?;
    match theirs.as_deref() == master.as_ref().map(|digest| &digest.as_bytes()[..]) {
        true => Ok(()),
        false => {
            sqlx::query!("select pg_advisory_unlock_shared($1)", LIVE).fetch_one(connection).await?;
            Err(InstallationError::OtherMasterKey)
        }
    }
}

/// Makes ours the master key, and publishes it where it is new.
async fn set_master(connection: &mut PgConnection, master: Option<KeyHash>) -> sqlx::Result<()> {
    let digest = master.as_ref().map(|digest| &digest.as_bytes()[..]);
    let mut tx = connection.begin().await?;
    let changed = sqlx::query!(
        "update installation set master_key_sha256 = $1 where master_key_sha256 is distinct from $1",
        digest,
    )
    .execute(&mut *tx)
    .await?;
    if changed.rows_affected() > 0 {
        feed::record(&mut tx, &[Change { kind: Kind::Settings, id: feed::SETTINGS_ID.to_owned() }]).await?;
    }
    tx.commit().await
}

/// Whether a database that says this may yet come up.
fn comes_up(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // Starting up, shutting down, too many connections.
        other => {
            let code = other.as_database_error().and_then(|error| error.code());
            matches!(code.as_deref(), Some("57P03" | "57P01" | "53300"))
        }
    }
}

/// Where the database is, without the password.
fn place(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    format!("{} at {host}", options.get_database().unwrap_or(options.get_username()))
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use crate::fixture;

    #[tokio::test]
    async fn control_planes_with_one_master_key_share_a_database_and_another_is_refused() {
        let database = fixture::database().await;
        let (ours, theirs) = (MasterKey::of("sk-one"), MasterKey::of("sk-other"));
        let first = Place::take(&database.pool(), &ours).await.unwrap();
        let second = Place::take(&database.pool(), &ours).await.unwrap();
        let soon = Duration::from_millis(200);
        let refused = Place::take_within(soon, &database.pool(), &theirs).await;
        assert!(matches!(refused, Err(InstallationError::OtherMasterKey)));
        let refused = Place::take_within(soon, &database.pool(), &MasterKey::NoAuth).await;
        assert!(matches!(refused, Err(InstallationError::OtherMasterKey)));
        for place in [first, second] {
            place.connection.close().await.unwrap();
        }
        Place::take(&database.pool(), &theirs).await.map(drop).unwrap();
    }

    #[tokio::test]
    async fn a_new_master_key_is_published_and_the_same_one_is_not() {
        let database = fixture::database().await;
        let mut revisions = Vec::new();
        for key in ["sk-one", "sk-one", "sk-two"] {
            let place = Place::take(&database.pool(), &MasterKey::of(key)).await.unwrap();
            place.connection.close().await.unwrap();
            revisions.push(feed::current(&database.pool()).await.unwrap().1);
        }
        assert_eq!(revisions, [1, 1, 2]);
    }

    #[test]
    fn an_unreachable_database_is_named_without_its_password() {
        let options: PgConnectOptions = "postgresql://u:hush@db.example:5433/name".parse().unwrap();
        assert_eq!(place(&options), "name at db.example:5433");
    }

    #[tokio::test]
    async fn a_begin_that_is_dropped_on_its_way_leaves_nobody_a_transaction() {
        let database = fixture::database().await;
        let options = (*database.pool().connect_options()).clone();
        let one = pool(1).connect_with(options).await.unwrap();
        for polls in 1..12 {
            // Dropped at each of the places where it waits for the database.
            let mut begin = Box::pin(one.begin_with("begin isolation level repeatable read, read only"));
            let mut left = polls;
            std::future::poll_fn(|cx| {
                left -= 1;
                if left == 0 || begin.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            drop(begin);
            sqlx::query("update installation set revision = revision").execute(&one).await.unwrap();
        }
    }
}
