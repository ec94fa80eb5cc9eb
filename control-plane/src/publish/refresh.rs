//! Resolves references anew, and publishes if something came out differently.
//!
//! References are stored, values are not: another environment, master key or release changes what data planes
//! should hold although no admin changed anything. Done at each start, and whenever the operator asks.

use prost::Message as _;
use sqlx::PgConnection;

use super::feed::{self, Change, Kind};
use super::sections;
use super::source::{ComposeError, Source};
use crate::spend::{self, Owner};
use crate::{budgets, models};

/// The revision that was published, if anything differed from what was resolved last.
pub(super) async fn refresh(source: &Source) -> Result<Option<u64>, ComposeError> {
    let mut tx = source.db.begin().await?;
    // Locks out other changes from here to the commit, so that the fingerprint is of what is published.
    let known = sqlx::query_scalar!("select published_fingerprint from installation for update");
    let known = known.fetch_one(&mut *tx).await?;
    let found = fingerprint(&mut tx, source).await?;
    if known.as_deref() == Some(&found[..]) {
        return Ok(None);
    }
    let proxy: Vec<_> = sections::read(&mut tx, &source.vault).await?.proxy_budget(source).into_iter().collect();
    budgets::keep(&mut tx, Owner::Proxy, spend::PROXY, &proxy).await?;
    sqlx::query!("update installation set published_fingerprint = $1", &found[..]).execute(&mut *tx).await?;
    // A change of settings makes every delta carry all deployments.
    let change = Change { kind: Kind::Settings, id: "settings".to_owned() };
    let revision = feed::record(&mut tx, &[change]).await?;
    tx.commit().await?;
    Ok(Some(revision))
}

async fn fingerprint(tx: &mut PgConnection, source: &Source) -> Result<[u8; 32], ComposeError> {
    let sections = sections::read(tx, &source.vault).await?;
    let mut encoded = sections.settings(source).encode_length_delimited_to_vec();
    let resolver = models::publish::Resolver::new(source, &sections);
    for row in models::all(tx).await? {
        match resolver.resolve(&row) {
            Ok(deployment) => encoded.extend(deployment.encode_length_delimited_to_vec()),
            Err(reason) => encoded.extend(format!("{} {reason}", row.id).bytes()),
        }
    }
    Ok(source.vault.fingerprint(&encoded))
}
