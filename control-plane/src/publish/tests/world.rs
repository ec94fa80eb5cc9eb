//! A database, a source, and a data plane reduced to what the contract says of it.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::v1 as pb;
use sqlx::PgPool;

use crate::fixture;
use crate::prices;
use crate::publish::feed::{self, Change, Kind};
use crate::publish::resource::id_of;
use crate::publish::source::Source;
use crate::publish::{Environment, PublishedSettings, Publisher, Version, chunks, session};
use crate::vault::Vault;

pub(in crate::publish) struct World {
    _database: fixture::TestDatabase,
    pub(super) db: PgPool,
    pub(in crate::publish) source: Source,
}

fn extras() -> PublishedSettings {
    PublishedSettings { master_key_sha256: vec![9; 32], master_user_id: "default_user_id".into(), no_auth: false }
}

pub(super) fn environment() -> Environment {
    Environment::new(|name| (name == "OPENAI_API_KEY").then(|| "sk-from-environment".to_owned()))
}

impl World {
    pub(in crate::publish) async fn new() -> Self {
        let database = fixture::database().await;
        let db = database.pool();
        let source = Source {
            db: db.clone(),
            vault: Vault::from_secret(b"test"),
            prices: prices::Table::bundled(),
            environment: environment(),
            extras: extras(),
        };
        Self { _database: database, db, source }
    }

    pub(super) fn publisher(&self) -> Publisher {
        self.publisher_that_waits(session::ACK_WITHIN)
    }

    pub(super) fn publisher_that_waits(&self, for_acknowledgements: Duration) -> Publisher {
        let source = Source {
            db: self.db.clone(),
            vault: self.source.vault.clone(),
            prices: self.source.prices,
            environment: environment(),
            extras: extras(),
        };
        Publisher::with_patience(source, for_acknowledgements)
    }

    /// Runs one statement and records what it changed, as an admin's transaction does.
    pub(super) async fn change(&self, statement: &'static str, id: &str, changes: &[(Kind, &str)]) -> u64 {
        let mut tx = self.db.begin().await.unwrap();
        sqlx::query(statement).bind(id).execute(&mut *tx).await.unwrap();
        let changes: Vec<Change> =
            changes.iter().map(|(kind, id)| Change { kind: *kind, id: (*id).to_owned() }).collect();
        let revision = feed::record(&mut tx, &changes).await.unwrap();
        tx.commit().await.unwrap();
        revision
    }

    /// Makes a key whose hash is `seed` over and over.
    pub(super) async fn add_key(&self, seed: u8) -> u64 {
        let id = hex::encode([seed; 32]);
        self.change("insert into keys (hash) values (decode($1, 'hex'))", &id, &[(Kind::Key, &id)]).await
    }

    pub(super) async fn block_key(&self, seed: u8) -> u64 {
        let id = hex::encode([seed; 32]);
        let statement = "update keys set blocked = true, updated_at = clock_timestamp() where hash = decode($1, 'hex')";
        self.change(statement, &id, &[(Kind::Key, &id)]).await
    }
}

/// What a data plane holds.
#[derive(Debug, Default, Clone)]
pub(super) struct Replica {
    pub(super) resources: BTreeMap<(i32, String), pb::Resource>,
    pub(super) version: Option<Version>,
}

impl Replica {
    pub(super) fn of(whole: &chunks::Whole) -> Self {
        let mut replica = Self { version: Some(whole.version), ..Self::default() };
        chunks::unpack(whole).into_iter().for_each(|resource| replica.put(resource));
        replica
    }

    pub(super) fn put(&mut self, resource: pb::Resource) {
        let (kind, id) = id_of(resource.body.as_ref().unwrap());
        self.resources.insert((kind.into(), id), resource);
    }

    /// Applies a delta; it must follow what is held.
    pub(super) fn apply(&mut self, delta: &pb::Delta) {
        let held = self.version.unwrap();
        assert_eq!((delta.epoch.as_ref(), delta.from), (&held.epoch.as_bytes()[..], held.revision));
        assert!(delta.to > delta.from);
        for id in &delta.removals {
            self.resources.remove(&(id.kind, id.id.clone()));
        }
        delta.upserts.iter().cloned().for_each(|resource| self.put(resource));
        self.version = Some(Version { revision: delta.to, ..held });
    }

    pub(super) fn key(&self, seed: u8) -> Option<&pb::Key> {
        let resource = self.resources.get(&(pb::Kind::Key.into(), hex::encode([seed; 32])))?;
        match &resource.body {
            Some(pb::resource::Body::Key(key)) => Some(key),
            _ => None,
        }
    }
}
