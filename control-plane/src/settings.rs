//! Settings of the process, read once: from flags, the environment and, for what LiteLLM keeps there, the configuration.
//!
//! Flags are in [`crate::flags`]; standalone has flags of its own and gives what it knows as [`Given`].

use std::num::NonZeroU32;
use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;

use crate::configuration::{self, Configuration, ConfigurationError};
use crate::secret::Secret;

/// Connections to the database where nothing is said.
pub const DATABASE_CONNECTIONS: u32 = 20;

/// Listening, three jobs with a lock and a query each, and some for calls.
const LEAST_CONNECTIONS: u32 = 12;

/// What the control plane needs to know of its process.
#[derive(Debug)]
pub struct Settings {
    /// Where the database is, and who we are there.
    pub database: PgConnectOptions,
    /// Most connections to it.
    pub database_connections: u32,
    /// Most admin calls a second from one address; not limited by default.
    pub admin_calls_per_second: Option<NonZeroU32>,
    /// The key that may do everything; nothing only with [`Authentication::Off`].
    pub master_key: Option<Secret>,
    /// Whether callers are asked for a key.
    pub authentication: Authentication,
    /// What provider credentials are sealed with.
    pub vault_secret: Secret,
    /// The configuration file, where there is one.
    pub configuration: Option<Configuration>,
}

/// Whether callers of the admin API are asked for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// They are.
    On,
    /// Everybody is a proxy admin (`--insecure-no-auth`).
    Off,
}

/// What was said on the command line. The rest comes from the environment and the configuration.
#[derive(Debug, Default)]
pub struct Given {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--database-url`, or the URL of a private server.
    pub database_url: Option<Secret>,
    /// Most connections to the database.
    pub database_connections: Option<u32>,
    /// Most admin calls a second from one address.
    pub admin_calls_per_second: Option<NonZeroU32>,
    /// A vault key from elsewhere, where the environment has none.
    pub vault_key: Option<Secret>,
    /// `--insecure-no-auth`.
    pub insecure_no_auth: bool,
}

/// Settings that the control plane does not start with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// There is no database.
    #[error(
        "no database: set DATABASE_URL (postgresql://user:password@host:5432/name), or DATABASE_HOST, DATABASE_NAME, \
         DATABASE_USERNAME and DATABASE_PASSWORD, or general_settings.database_url"
    )]
    NoDatabase,
    /// The database's address cannot be read. Never repeats it: it holds a password.
    #[error("the database's address is no Postgres URL: {0}")]
    Database(String),
    /// There is no master key.
    #[error(
        "no master key: set LITELLM_MASTER_KEY (or general_settings.master_key) to `sk-` and at least 32 random \
         characters. To let everybody do everything, on a machine that nobody else reaches: --insecure-no-auth"
    )]
    NoMasterKey,
    /// The master key is no key.
    #[error("LITELLM_MASTER_KEY must start with `sk-`")]
    MasterKeyForm,
    /// There is nothing to seal credentials with.
    #[error(
        "no vault key: set TURNPIKE_VAULT_KEY, or TURNPIKE_VAULT_KEY_FILE to a file that holds it (or LITELLM_SALT_KEY), \
         to at least 32 random characters. It seals provider credentials in the database; keep it, and do not use the \
         master key for it"
    )]
    NoVaultKey,
    /// The vault key is the master key.
    #[error("the vault key is the master key: make another one, so that who has one does not have both")]
    VaultIsMaster,
    /// More than one thing.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<SettingsError>),
    /// The file with the vault key cannot be read.
    #[error("TURNPIKE_VAULT_KEY_FILE {}: {source}", path.display())]
    VaultKeyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Settings {
    /// Puts together what was said, what the environment says and what the configuration says.
    pub fn gather(given: Given) -> Result<Self, SettingsError> {
        Self::gather_from(given, &|name| std::env::var(name).ok())
    }

    fn gather_from(given: Given, process: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let set = |name: &str| process(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let configuration = given.config.as_deref().map(|path| configuration::read_in(path, process)).transpose()?;
        let config = configuration.as_ref().map(|configuration| &configuration.config);
        let in_file = |value: Option<&litellm_config::reference::Value>| {
            let config = config?;
            value?.resolve(&|name| config.variable(name, process)).filter(|text| !text.is_empty())
        };

        let authentication = if given.insecure_no_auth { Authentication::Off } else { Authentication::On };
        let from_file = in_file(config.and_then(|config| config.general.master_key.as_ref()));
        let master_key = master_key(authentication, from_file.or_else(|| set("LITELLM_MASTER_KEY")));
        let vault_secret = vault_key(given.vault_key, &set);
        let url = given.database_url.map(|url| url.expose().to_owned()).or_else(|| set("DATABASE_URL"));
        let url = url.or_else(|| in_file(config.and_then(|config| config.general.database_url.as_ref())));
        let (master_key, vault_secret, database) = all(master_key, vault_secret, database(url, &set))?;
        if master_key.as_ref() == Some(&vault_secret) {
            return Err(SettingsError::VaultIsMaster);
        }
        Ok(Self {
            database,
            database_connections: given.database_connections.unwrap_or(DATABASE_CONNECTIONS).max(LEAST_CONNECTIONS),
            admin_calls_per_second: given.admin_calls_per_second,
            master_key,
            authentication,
            vault_secret,
            configuration,
        })
    }
}

/// All three, or everything that is wrong with them.
fn all<A, B, C>(
    a: Result<A, SettingsError>,
    b: Result<B, SettingsError>,
    c: Result<C, SettingsError>,
) -> Result<(A, B, C), SettingsError> {
    match (a, b, c) {
        (Ok(a), Ok(b), Ok(c)) => Ok((a, b, c)),
        (a, b, c) => Err(SettingsError::Several([a.err(), b.err(), c.err()].into_iter().flatten().collect())),
    }
}

fn master_key(authentication: Authentication, said: Option<String>) -> Result<Option<Secret>, SettingsError> {
    match (authentication, said) {
        (Authentication::Off, _) => Ok(None),
        (Authentication::On, None) => Err(SettingsError::NoMasterKey),
        (Authentication::On, Some(key)) if !key.starts_with("sk-") => Err(SettingsError::MasterKeyForm),
        (Authentication::On, Some(key)) => Ok(Some(Secret::new(key))),
    }
}

/// The database at a URL; without one, where the environment says.
///
/// # Errors
/// There is none, or its address cannot be read.
pub fn database_at(url: Option<String>) -> Result<PgConnectOptions, SettingsError> {
    database(url, &|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
}

/// What seals credentials, as the environment says; `given` where it does not.
///
/// # Errors
/// There is none, or its file cannot be read.
pub fn vault_secret(given: Option<Secret>) -> Result<Secret, SettingsError> {
    vault_key(given, &|name| {
        std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    })
}

/// The database at a URL, or in the parts that LiteLLM's environment names.
fn database(url: Option<String>, set: &dyn Fn(&str) -> Option<String>) -> Result<PgConnectOptions, SettingsError> {
    if let Some(url) = url {
        return url.parse().map_err(|error: sqlx::Error| SettingsError::Database(error.to_string()));
    }
    let (Some(host), Some(name)) = (set("DATABASE_HOST"), set("DATABASE_NAME")) else {
        return Err(SettingsError::NoDatabase);
    };
    let mut options = PgConnectOptions::new_without_pgpass().host(&host).database(&name);
    if let Some(user) = set("DATABASE_USERNAME") {
        options = options.username(&user);
    }
    if let Some(password) = set("DATABASE_PASSWORD") {
        options = options.password(&password);
    }
    match set("DATABASE_PORT").map(|port| port.parse()) {
        None => Ok(options),
        Some(Ok(port)) => Ok(options.port(port)),
        Some(Err(_)) => Err(SettingsError::Database("DATABASE_PORT is no port number".to_owned())),
    }
}

fn vault_key(given: Option<Secret>, set: &dyn Fn(&str) -> Option<String>) -> Result<Secret, SettingsError> {
    if let Some(key) = set("TURNPIKE_VAULT_KEY") {
        return Ok(Secret::new(key));
    }
    if let Some(path) = set("TURNPIKE_VAULT_KEY_FILE").map(PathBuf::from) {
        return match std::fs::read_to_string(&path) {
            Ok(key) if !key.trim().is_empty() => Ok(Secret::new(key.trim())),
            Ok(_) => Err(SettingsError::NoVaultKey),
            Err(source) => Err(SettingsError::VaultKeyFile { path, source }),
        };
    }
    set("LITELLM_SALT_KEY")
        .map(Secret::new)
        .or(given.filter(|key| !key.expose().is_empty()))
        .ok_or(SettingsError::NoVaultKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: (&str, &str) = ("LITELLM_MASTER_KEY", "sk-0123456789abcdef");
    const VAULT: (&str, &str) = ("TURNPIKE_VAULT_KEY", "some-vault-key");
    const DATABASE: (&str, &str) = ("DATABASE_URL", "postgresql://u:p@db.example:5433/turnpike");

    fn gather(given: Given, environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let find =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        Settings::gather_from(given, &find)
    }

    #[test]
    fn what_is_missing_is_named() {
        let nothing = gather(Given::default(), &[]).unwrap_err().to_string();
        assert!(["LITELLM_MASTER_KEY", "TURNPIKE_VAULT_KEY", "DATABASE_URL"].iter().all(|name| nothing.contains(name)));
        let missing = |environment: &[_]| gather(Given::default(), environment).unwrap_err().to_string();
        assert!(missing(&[VAULT, DATABASE]).contains("LITELLM_MASTER_KEY"));
        assert!(missing(&[MASTER, DATABASE]).contains("TURNPIKE_VAULT_KEY"));
        assert!(missing(&[MASTER, VAULT]).contains("DATABASE_URL"));
        assert!(missing(&[("LITELLM_MASTER_KEY", "secret"), VAULT, DATABASE]).contains("sk-"));
        assert!(missing(&[MASTER, DATABASE, ("LITELLM_SALT_KEY", MASTER.1)]).contains("master key"));
    }

    #[test]
    fn the_database_may_come_in_parts_and_no_error_repeats_a_password() {
        let parts = [MASTER, VAULT, ("DATABASE_HOST", "h"), ("DATABASE_NAME", "n"), ("DATABASE_PASSWORD", "hush")];
        let settings = gather(Given::default(), &parts).unwrap();
        assert_eq!((settings.database.get_host(), settings.database.get_database()), ("h", Some("n")));
        let bad = gather(Given::default(), &[MASTER, VAULT, ("DATABASE_URL", "mysql://u:hush@h:x/n")]).unwrap_err();
        assert!(!bad.to_string().contains("hush"), "{bad}");
        let shown = format!("{settings:?}");
        assert!(!shown.contains("0123456789abcdef") && !shown.contains("some-vault-key"), "{shown}");
    }

    #[test]
    fn the_configuration_has_the_master_key_that_litellm_would_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        let text = "model_list:\n- model_name: m\n  litellm_params: {model: openai/m, mock_response: hi}\n\
                    general_settings: {master_key: os.environ/OTHER_KEY}\n";
        std::fs::write(&path, text).unwrap();
        let given = Given { config: Some(path), ..Given::default() };
        let found = gather(given, &[MASTER, VAULT, DATABASE, ("OTHER_KEY", "sk-from-elsewhere")]).unwrap();
        assert_eq!(found.master_key.unwrap().expose(), "sk-from-elsewhere");
    }
}
