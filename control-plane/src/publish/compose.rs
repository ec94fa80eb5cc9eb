//! The whole snapshot of one moment.
//!
//! All rows are read in one repeatable-read transaction together with the revision that they belong to. They stream
//! from the database in the order in which they lie there, and are packed page by page meanwhile: the rows of a
//! large installation never lie in memory all at once.
//! Changes are [`super::delta`]'s.

use std::pin::pin;

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use futures_util::stream::TryChunksError;
use proto::v1 as pb;
use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::chunks::{Packer, Whole};
use super::resource::Upsert;
use super::source::{ComposeError, Source};
use super::{Version, feed, sections};
use crate::{customers, keys, models, organizations, tags, teams, users};

/// Rows that are encoded together.
const PAGE: usize = 5_000;

/// Pages between reading and packing.
const PAGES_WAITING: usize = 2;

/// Reads and encodes everything.
pub(crate) async fn whole(source: &Source) -> Result<Whole, ComposeError> {
    let mut tx = source.one_moment().await?;
    let (epoch, revision) = feed::current(&mut *tx).await?;
    let mut packer = Packer::new(Version { epoch, revision });
    let (pages, mut waiting) = mpsc::channel::<Vec<Upsert>>(PAGES_WAITING);
    // Encoding and compressing keep a core busy: not one that serves.
    let packed = tokio::task::spawn_blocking(move || {
        while let Some(page) = waiting.blocking_recv() {
            for upsert in &page {
                packer.push(&upsert.resource)?;
            }
        }
        packer.finish()
    });
    let read = read(&mut tx, source, &pages).await;
    drop(pages);
    // A packer that failed closed the channel, and knows better why.
    let whole = packed.await??;
    read?;
    tx.commit().await?;
    Ok(whole)
}

/// Sends all resources, until there are no more or nobody takes them.
async fn read(tx: &mut PgConnection, source: &Source, pages: &mpsc::Sender<Vec<Upsert>>) -> Result<(), ComposeError> {
    let sections = sections::read(tx, &source.vault).await?;
    let deployments = models::all(tx).await?;
    let resolver = models::publish::Resolver::new(source, &sections);
    let mut page = vec![Upsert::of(pb::resource::Body::Settings(sections.settings(source)), false)];
    page.extend(deployments.iter().filter_map(|deployment| resolver.publish(deployment)));
    if pages.send(page).await.is_err() {
        return Ok(());
    }
    send_all(customers::publish::all(tx), pages).await?;
    send_all(tags::publish::all(tx), pages).await?;
    send_all(organizations::publish::all(tx), pages).await?;
    send_all(teams::members::publish::all(tx), pages).await?;
    send_all(users::publish::all(tx), pages).await?;
    send_all(teams::publish::all(tx), pages).await?;
    send_all(keys::publish::all(tx), pages).await
}

async fn send_all(
    resources: impl Stream<Item = sqlx::Result<Upsert>>,
    pages: &mpsc::Sender<Vec<Upsert>>,
) -> Result<(), ComposeError> {
    let mut filled = pin!(resources.try_chunks(PAGE));
    while let Some(page) = filled.try_next().await.map_err(|TryChunksError(_read, error)| error)? {
        if pages.send(page).await.is_err() {
            break;
        }
    }
    Ok(())
}
