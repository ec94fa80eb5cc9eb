//! Moving in from LiteLLM: copies what lies in the database of its proxy into ours, as often as one likes.
//!
//! Rows are read at one moment of that database ([`source`]) and put by the rules of the admin API: each kind in its
//! slice (`takeover.rs` there), in an order in which what is referred to comes first ([`run`]). What was taken is remembered
//! ([`memory`]), so that a second import takes what changed there, brings what was spent there since, and leaves what was
//! changed here ([`take`]). Keys keep working: both sides know them by the same SHA-256. What LiteLLM sealed is opened with
//! its salt key ([`seals`]) and sealed again by our vault. The report says everything that was left ([`report`]).
//!
//! `config.yaml` is not this module's: see [`crate::import`].

pub mod flags;
mod memory;
mod record;
mod report;
mod seals;
mod source;
mod take;
#[cfg(test)]
mod tests;

use std::time::Instant;

use serde_json::Value;
use sqlx::PgPool;

pub(crate) use record::Record;
pub(crate) use seals::{OldKeys, Reading};
pub(crate) use take::{Hands, Kind, Unfit};

use crate::access::{Actor, Credential, MasterKey, Role, SaysChangedBy};
use crate::app::{App, Parts};
use crate::budgets::{self, takeover::Budgets};
use crate::change::{Change, Wait};
use crate::credentials::{self, takeover::Credentials};
use crate::customers::takeover::Customers;
use crate::keys::takeover::Keys;
use crate::models::{self, takeover::Models};
use crate::publish::{Environment, PublishedSettings, Publisher};
use crate::secret::Secret;
use crate::spend::{self, Owner};
use crate::tags::takeover::Tags;
use crate::teams::takeover::Teams;
use crate::users::takeover::Users;
use crate::vault::Vault;
use crate::{http::moment, installation, prices};
use memory::Memory;
use report::{NotImported, Report};
use source::{Source, SourceError};

/// The user under whose name LiteLLM counts what everybody together spent.
pub(crate) const PROXY_USER: &str = "litellm-proxy-budget";

/// Who the audit log says it was.
const AUTHOR: &str = "litellm-import";

/// Two imports at once would take the same rows.
const LOCK: i64 = 0x7475_726e_7461_6b65;

/// Why an import ends early. What whole pages brought before stays, and the next import goes on from there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeoverError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(
        "{sealed} values in the database to import from are sealed, and none opens: give the LITELLM_SALT_KEY of that proxy \
         or, if it had none, its master key, with --salt-key-file or in TURNPIKE_IMPORT_SALT_KEY. To import everything but models and \
         credentials: --without-models"
    )]
    SaltKey { sealed: u64 },
    #[error(
        "what is sealed in our database does not open with this vault key: give the one that the control planes have, \
         TURNPIKE_VAULT_KEY (or TURNPIKE_VAULT_KEY_FILE, LITELLM_SALT_KEY), or they could not read what is imported"
    )]
    VaultKey,
    #[error("another import into this database is running: wait for its end")]
    Running,
    #[error("what was imported cannot be written here")]
    Ours(#[from] sqlx::Error),
    #[error("checking what is imported: {0}")]
    Rule(String),
}

/// What to import, and how.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) from: Secret,
    pub(crate) keys: Vec<Secret>,
    pub(crate) mode: Mode,
    pub(crate) models: Part,
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    /// Everything is done, and undone at the end.
    Try,
}

/// Whether models and their credentials are imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    With,
    Without,
}

/// An import that is under way.
struct Run {
    app: App,
    actor: Actor,
    source: Source,
    old: OldKeys,
    report: Report,
    mode: Mode,
    /// The one change of a try, which is never committed.
    held: Option<Change>,
}

/// Imports, in the order in which rows need each other.
pub(crate) async fn run(db: PgPool, vault: Vault, order: Order) -> Result<Report, TakeoverError> {
    let source = Source::open(&order.from).await?;
    let mut lock = db.acquire().await?;
    if !sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "taken!""#, LOCK).fetch_one(&mut *lock).await? {
        return Err(TakeoverError::Running);
    }
    let report = Report::of(source.place().to_owned(), order.mode == Mode::Try);
    let (app, actor) = (app(db.clone(), vault), author());
    let mut run = Run { app, actor, source, old: OldKeys::of(order.keys), report, mode: order.mode, held: None };
    let imported = run.everything(order.models).await;
    // The connection goes back to the pool, and would keep the lock there.
    sqlx::query_scalar!(r#"select pg_advisory_unlock($1) as "was_held!""#, LOCK).fetch_one(&mut *lock).await?;
    imported.map(|()| run.report)
}

impl Run {
    async fn everything(&mut self, models: Part) -> Result<(), TakeoverError> {
        self.check_the_tables()?;
        self.try_the_vault().await?;
        if models == Part::With {
            self.try_the_keys().await?;
        }
        take::take::<Budgets>(self).await?;
        if models == Part::With {
            take::take::<Credentials>(self).await?;
        }
        take::take::<Users>(self).await?;
        take::take::<Teams>(self).await?;
        if models == Part::With {
            take::take::<Models>(self).await?;
        }
        take::take::<Keys>(self).await?;
        take::take::<Customers>(self).await?;
        take::take::<Tags>(self).await?;
        self.bring_the_proxys_spend().await?;
        self.name_what_is_left(models).await
    }

    /// What no kind could be read by is told before any is.
    fn check_the_tables(&self) -> Result<(), TakeoverError> {
        fn place<K: Kind>() -> (&'static str, &'static str) {
            (K::TABLE, K::ID)
        }
        let places = [
            place::<Budgets>(),
            place::<Credentials>(),
            place::<Users>(),
            place::<Teams>(),
            place::<Models>(),
            place::<Keys>(),
            place::<Customers>(),
            place::<Tags>(),
        ];
        for (table, column) in places.into_iter().filter(|(table, _)| self.source.has(table)) {
            self.source.must_have(table, column)?;
        }
        Ok(())
    }

    /// Tries our vault on what is sealed here: control planes have to open what we seal.
    async fn try_the_vault(&mut self) -> Result<(), TakeoverError> {
        let mut db = self.app.db.acquire().await?;
        let vault = self.app.publisher.vault();
        let models = models::all(&mut db).await?;
        let credentials = credentials::by_name(&mut db).await?;
        let opens = models.iter().all(|row| row.opened(vault).is_ok())
            && credentials.values().all(|row| row.opened(vault).is_ok());
        if opens { Ok(()) } else { Err(TakeoverError::VaultKey) }
    }

    /// Tries the keys on everything that is sealed, before anything is written.
    async fn try_the_keys(&mut self) -> Result<(), TakeoverError> {
        let (mut sealed, mut opened) = (0, 0);
        for (table, id, column) in
            [(Models::TABLE, Models::ID, "litellm_params"), (Credentials::TABLE, Credentials::ID, "credential_values")]
        {
            let mut after: Option<String> = None;
            while self.source.has(table) {
                let page = self.source.page(table, id, after.as_deref(), 100).await?;
                for value in page.iter().flat_map(|row| row.object(column)).map(|(_, value)| value) {
                    match value.as_str().map_or(Reading::Plain, |text| self.old.read(text)) {
                        Reading::Plain => {}
                        Reading::Opened(_) => (sealed, opened) = (sealed + 1, opened + 1),
                        Reading::Closed => sealed += 1,
                    }
                }
                after = page.last().and_then(|row| row.text(id)).map(str::to_owned);
                if after.is_none() {
                    break;
                }
            }
        }
        match sealed > 0 && opened == 0 {
            true => Err(TakeoverError::SaltKey { sealed }),
            false => Ok(()),
        }
    }

    /// What everybody together spent.
    async fn bring_the_proxys_spend(&mut self) -> Result<(), TakeoverError> {
        let proxy = Owner::Proxy.kind();
        let Some(record) = self.source.among(Users::TABLE, Users::ID, &[PROXY_USER.to_owned()]).await?.pop() else {
            return Ok(());
        };
        let mut change = self.begin().await?;
        let id = spend::PROXY.to_owned();
        let known = memory::of(change.db(), proxy, std::slice::from_ref(&id)).await?.remove(&id);
        let (is_new, now) = (known.is_none(), moment::now());
        let digest = self.app.publisher.vault().fingerprint(proxy.as_bytes()).to_vec();
        let mut latest = known.unwrap_or(Memory {
            id,
            source_digest: digest,
            written_at: now,
            spent_nano_usd: 0,
            total_nano_usd: 0,
        });
        if let Some(brought) = latest.bring(&record, is_new) {
            budgets::bring(change.db(), Owner::Proxy, &[brought]).await?;
            memory::keep(change.db(), proxy, &[latest], now).await?;
        }
        self.end(change).await
    }

    /// Names the tables with something in them that stays behind.
    async fn name_what_is_left(&mut self, models: Part) -> Result<(), TakeoverError> {
        let left_out = (models == Part::Without).then_some([
            (Models::TABLE, None, "left out as was asked for (--without-models)"),
            (Credentials::TABLE, None, "left out as was asked for (--without-models)"),
        ]);
        let unknown = [
            ("LiteLLM_OrganizationTable", None, "organizations are not imported; teams and keys keep their ids"),
            ("LiteLLM_TeamMembership", Some("budget_id"), "budgets of single members are not imported: set them again"),
            ("LiteLLM_DeprecatedVerificationToken", None, "old values of regenerated keys do not work here"),
            ("LiteLLM_AccessGroupTable", None, "access groups of this kind are not imported"),
            ("LiteLLM_ProjectTable", None, "projects are not imported; keys keep their ids"),
            ("LiteLLM_ObjectPermissionTable", None, "permissions for MCP servers, agents and stores are not imported"),
            ("LiteLLM_Config", None, "settings of the proxy: put them into config.yaml"),
            ("LiteLLM_SpendLogs", None, "single calls stay where they are; totals are imported"),
            ("LiteLLM_AuditLog", None, "what was changed before stays where it is"),
        ];
        for (table, column, why) in left_out.into_iter().flatten().chain(unknown) {
            let rows = self.source.count(table, column).await?;
            if rows > 0 {
                self.report.not_imported.push(NotImported { table, rows, why });
            }
        }
        Ok(())
    }

    /// Begins a page.
    async fn begin(&mut self) -> sqlx::Result<Change> {
        match self.held.take() {
            Some(change) => Ok(change),
            None => Change::begin(&self.app, &self.actor).await,
        }
    }

    /// Ends a page: commits it, or keeps it for the next page to be tried on.
    async fn end(&mut self, mut change: Change) -> Result<(), TakeoverError> {
        match self.mode {
            Mode::Write => _ = change.commit(Wait::None).await?,
            Mode::Try => {
                change.forget();
                self.held = Some(change);
            }
        }
        Ok(())
    }
}

/// A control plane that serves nobody, for its rules.
fn app(db: PgPool, vault: Vault) -> App {
    let published = PublishedSettings { master_key_sha256: Vec::new(), master_user_id: String::new(), no_auth: false };
    let prices = prices::Table::bundled();
    let publisher = Publisher::new(db.clone(), vault, prices, Environment::of_process(), published);
    App::from(Parts { db, publisher, master: MasterKey::NoAuth, prices, started: Instant::now() })
}

/// Who owns the command line may do everything.
pub(crate) fn author() -> Actor {
    Actor {
        credential: Credential::Nothing,
        role: Role::ProxyAdmin,
        user_id: Some(AUTHOR.to_owned()),
        route: String::new(),
        says_changed_by: None,
        may_say_changed_by: SaysChangedBy::Ignored,
        organizations: Vec::new(),
    }
}

/// Takes out of `metadata` what may not lie in the clear, and says so. Logging services' secrets were sealed there.
pub(crate) fn without_secrets(record: &mut Record, notes: &mut Vec<String>) {
    let mut metadata = record.object("metadata");
    for name in ["logging", "callback_settings"] {
        let holds_some = metadata.get(name).is_some_and(holds_text_of_callbacks);
        if holds_some {
            metadata.shift_remove(name);
            notes.push(format!("metadata.{name} was left out: what it holds would lie in the clear. Set it again, with references to the environment"));
        }
    }
    loop {
        let found = crate::http::credentials::place_of_one(&serde_json::json!({"metadata": metadata}), &[]);
        let Some(place) = found else { break };
        let member = place.split(['.', '[']).nth(1).unwrap_or_default().to_owned();
        if metadata.shift_remove(&member).is_none() {
            break;
        }
        notes.push(format!("metadata.{member} was left out: it holds a credential in the clear"));
    }
    record.set("metadata", metadata);
}

/// Whether settings of logging services hold anything but references.
fn holds_text_of_callbacks(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| match (name.as_str(), value) {
            ("callback_vars", Value::Object(vars)) => vars
                .values()
                .any(|value| value.as_str().is_some_and(|text| !text.is_empty() && !text.starts_with("os.environ/"))),
            (_, value) => holds_text_of_callbacks(value),
        }),
        Value::Array(items) => items.iter().any(holds_text_of_callbacks),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Migrates our database, imports, and gives the report as text.
pub(crate) async fn from_the_command_line(
    database: &sqlx::postgres::PgConnectOptions,
    vault: Vault,
    order: Order,
    form: flags::ReportForm,
) -> anyhow::Result<String> {
    let db = installation::connect(database, 4).await?;
    installation::migrate(&db).await?;
    let report = run(db.clone(), vault, order).await?;
    db.close().await;
    Ok(match form {
        flags::ReportForm::Text => report.to_string(),
        flags::ReportForm::Json => report.json(),
    })
}
