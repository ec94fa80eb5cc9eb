//! One admin change: rows, audit and revision in one transaction, then the news.
//!
//! A handler begins a change, writes rows through it, notes each changed object, and commits. Committing writes the audit
//! rows, moves the revision and tells the publisher, so none of them can be forgotten.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use proto::owner;
use proto::v1::OwnerKind;
use serde_json::Value;
use sqlx::{PgConnection, PgTransaction};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::access::Actor;
use crate::app::App;
use crate::audit::{self, Author, Entry, Noun};
use crate::error::InputError;
use crate::http::fields::{Field, Issue, Shape, optional, parameters};
use crate::operator::{self, OperatorError};
use crate::publish::feed::{self, Kind};

/// A change that is being made. Dropped without [`Change::commit`], nothing happened.
pub(crate) struct Change {
    app: App,
    author: Author,
    tx: PgTransaction<'static>,
    entries: Vec<Entry>,
    /// Objects that are published anew and did not change themselves.
    touched: Vec<feed::Change>,
}

/// What became of a change.
#[derive(Debug)]
pub(crate) struct Published {
    /// The revision at which it is in force.
    pub(crate) revision: u64,
    /// Connected data planes that did not have it when we stopped waiting, where the caller asked for their names.
    pub(crate) late: Vec<String>,
}

/// How long an answer waits for the data planes: `?wait=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    None,
    /// Up to half a second, which is plenty for those that are well.
    Usual,
    /// Up to two seconds, and names those that are late.
    Applied,
}

impl Change {
    /// Begins a change of this actor.
    pub(crate) async fn begin(app: &App, actor: &Actor) -> sqlx::Result<Self> {
        let tx = app.db.begin().await?;
        Ok(Self { app: app.clone(), author: Author::of(actor), tx, entries: Vec::new(), touched: Vec::new() })
    }

    /// The transaction.
    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// What the operator set, for the rules that decide about this change.
    pub(crate) async fn operator(&mut self) -> Result<operator::Said, OperatorError> {
        operator::Said::read(&mut self.tx, &self.app.publisher).await
    }

    /// Who makes the change.
    pub(crate) fn author(&self) -> &Author {
        &self.author
    }

    /// Notes an object that this change makes, changes or removes.
    pub(crate) fn note(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Publishes objects anew: something that they are linked to changes.
    pub(crate) fn publish(&mut self, noun: Noun, ids: Vec<String>) {
        self.touched.extend(ids.into_iter().filter_map(|id| resource(noun, id)));
    }

    /// Forgets what was noted: this change is only tried, and never committed.
    pub(crate) fn forget(&mut self) {
        self.entries.clear();
        self.touched.clear();
    }

    /// Commits, and waits for the data planes.
    pub(crate) async fn commit(mut self, wait: Wait) -> sqlx::Result<Published> {
        if self.entries.is_empty() {
            // Nothing changed: a revision without a change would make every data plane read everything anew.
            let (_, revision) = feed::current(&mut *self.tx).await?;
            self.tx.commit().await?;
            return Ok(Published { revision, late: Vec::new() });
        }
        let mut changes: Vec<_> =
            self.entries.iter().filter_map(|entry| resource(entry.noun, entry.id.clone())).collect();
        let touched: Vec<_> = self.touched.drain(..).filter(|touched| !changes.contains(touched)).collect();
        changes.extend(touched);
        if changes.is_empty() {
            // Nothing that data planes hold changed.
            let (_, revision) = feed::current(&mut *self.tx).await?;
            audit::note(&mut self.tx, &self.author, &self.entries, revision).await?;
            self.tx.commit().await?;
            return Ok(Published { revision, late: Vec::new() });
        }
        // From here on other changes wait for this one, so that revisions are in the order of commits.
        let revision = feed::record(&mut self.tx, &changes).await?;
        audit::note(&mut self.tx, &self.author, &self.entries, revision).await?;
        self.tx.commit().await?;
        self.app.publisher.hint(revision);
        let late = match wait {
            Wait::None => Vec::new(),
            Wait::Usual => {
                self.app.publisher.applied(revision, Duration::from_millis(500)).await;
                Vec::new()
            }
            Wait::Applied => self.app.publisher.applied(revision, Duration::from_secs(2)).await,
        };
        Ok(Published { revision, late })
    }
}

/// What data planes hold of an object; nothing of budgets, which they get with the owners.
fn resource(noun: Noun, id: String) -> Option<feed::Change> {
    let (kind, id) = match noun {
        Noun::Key => (Kind::Key, id),
        Noun::Team => (Kind::Team, id),
        Noun::User => (Kind::User, id),
        Noun::Model => (Kind::Deployment, id),
        Noun::Customer => (Kind::Owner, owner::resource_id(OwnerKind::Customer, &id)),
        Noun::Tag => (Kind::Owner, owner::resource_id(OwnerKind::Tag, &id)),
        Noun::Member => (Kind::Owner, owner::resource_id(OwnerKind::Member, &id)),
        Noun::Organization => (Kind::Owner, owner::resource_id(OwnerKind::Organization, &id)),
        Noun::Budget => return None,
        // A credential is in every deployment that names it, and a change of settings publishes all deployments anew.
        Noun::Config | Noun::Credential => (Kind::Settings, feed::SETTINGS_ID.to_owned()),
    };
    Some(feed::Change { kind, id })
}

const WAIT: &[&[Field]] = &[&[optional(
    "wait",
    Shape::Choice(&["none", "applied"]),
    "How long to wait for the data planes. `none`: not at all. `applied`: up to 2 s, naming late ones in the header \
     `x-turnpike-late`. Absent: up to 0.5 s.",
)]];

impl<S: Sync> FromRequestParts<S> for Wait {
    type Rejection = InputError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, InputError> {
        let said = parts.uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("wait="));
        match said {
            None | Some("") => Ok(Self::Usual),
            Some("none") => Ok(Self::None),
            Some("applied") => Ok(Self::Applied),
            Some(other) => Err(InputError::Fields(vec![Issue {
                kind: "literal_error",
                loc: vec!["query".into(), "wait".into()],
                msg: "Input should be 'none' or 'applied'".to_owned(),
                input: Value::String(other.to_owned()),
            }])),
        }
    }
}

impl IntoParams for Wait {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        parameters(WAIT)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn an_answer_waits_as_it_is_told() {
        let world = World::new().await;
        for (query, status) in [("", 200), ("?wait=none", 200), ("?wait=applied", 200), ("?wait=forever", 422)] {
            let answer = world.post(&format!("/key/generate{query}"), json!({})).await;
            assert_eq!(answer.status, status, "{query}");
            assert_eq!(answer.header("x-turnpike-revision").is_some(), status == 200);
            assert_eq!(answer.header("x-turnpike-late"), None, "nobody is connected");
        }
    }

    #[tokio::test]
    async fn every_change_has_one_revision_and_one_audit_row_per_object() {
        let world = World::new().await;
        let changes = (0..20).map(|number| world.post("/team/new", json!({"team_id": format!("t{number}")})));
        let answers = futures_util::future::join_all(changes).await;
        let mut revisions: Vec<u64> =
            answers.iter().map(|answer| answer.header("x-turnpike-revision").unwrap().parse().unwrap()).collect();
        revisions.sort_unstable();
        assert_eq!(revisions, (1..=20).collect::<Vec<_>>());
        assert_eq!(
            world.count("audit_log a join change_log c on a.revision = c.revision and a.object_id = c.object_id").await,
            20
        );
    }
}
