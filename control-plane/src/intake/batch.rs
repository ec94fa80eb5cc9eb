//! A batch on its way into the books: retried while the database has a bad moment, halved around what it refuses.

use std::time::Duration;

use prost::Message as _;
use proto::v1 as pb;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::book;
use super::event::{self, Arrived, Booking, Poison};
use super::receipt;

/// Events in one transaction.
const PIECE: usize = 1_000;

/// Tries of one transaction before the data plane is asked to come back. It keeps the batch.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) inserted: usize,
    pub(super) known: usize,
    pub(super) dead_lettered: usize,
}

/// The batch, or a part of it, is not booked: it must come again. What was booked already is then known.
#[derive(Debug, thiserror::Error)]
#[error("a usage batch could not be booked")]
pub(super) struct NotNow(#[from] sqlx::Error);

/// Books a batch. Sent again, it changes nothing.
pub(super) async fn take_in(
    db: &PgPool,
    data_plane_id: &str,
    events: Vec<Arrived>,
) -> Result<(Outcome, Vec<pb::Total>), NotNow> {
    let mut outcome = Outcome::default();
    let mut bookings = Vec::with_capacity(events.len());
    for event in events {
        let event = match event {
            Arrived::Event(event) => event,
            Arrived::Unreadable(bytes) => {
                keep_aside(db, data_plane_id, &[], &bytes, &Poison::Unreadable).await?;
                outcome.dead_lettered += 1;
                continue;
            }
        };
        match event::check(*event) {
            Ok(booking) => bookings.push(booking),
            Err(refused) => {
                let (event, poison) = *refused;
                put_aside(db, data_plane_id, &event, &poison).await?;
                outcome.dead_lettered += 1;
            }
        }
    }
    bookings.sort_by_key(|booking| (booking.day, booking.id));
    let (bookings, repeated) = told_apart(bookings);
    outcome.known = repeated.len();

    // Pieces yet to be booked. A refused one comes back as two halves; one event alone is the poison.
    let mut pieces: Vec<&[Booking]> = bookings.chunks(PIECE).rev().collect();
    while let Some(piece) = pieces.pop() {
        match with_retries(db, data_plane_id, piece).await {
            Ok(inserted) => {
                outcome.inserted += inserted;
                outcome.known += piece.len() - inserted;
            }
            Err(error) if !is_poison(&error) => return Err(NotNow(error)),
            Err(error) => match piece {
                [] => {}
                [alone] => {
                    put_aside(db, data_plane_id, &alone.event, &Poison::Database(error.to_string())).await?;
                    outcome.dead_lettered += 1;
                }
                several => {
                    let (first, second) = several.split_at(several.len() / 2);
                    pieces.extend([second, first]);
                }
            },
        }
    }
    Ok((outcome, receipt::totals(db, bookings.iter().chain(&repeated)).await?))
}

/// Sorted events, each once, and the copies. A data plane that holds an event twice counts it twice until both are answered.
fn told_apart(bookings: Vec<Booking>) -> (Vec<Booking>, Vec<Booking>) {
    let mut repeated = Vec::new();
    let mut once: Vec<Booking> = Vec::with_capacity(bookings.len());
    for booking in bookings {
        match once.last().is_some_and(|last| last.id == booking.id) {
            true => repeated.push(booking),
            false => once.push(booking),
        }
    }
    (once, repeated)
}

async fn with_retries(db: &PgPool, data_plane_id: &str, piece: &[Booking]) -> sqlx::Result<usize> {
    let mut wait = FIRST_WAIT;
    for _ in 1..TRIES {
        match book::book(db, data_plane_id, piece).await {
            Err(error) if is_passing(&error) => {
                tracing::debug!(%error, "booking again after {wait:?}");
                tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.5))).await;
                wait *= 3;
            }
            done => return done,
        }
    }
    book::book(db, data_plane_id, piece).await
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// Deadlock, serialisation, lock time-out, shutdown, broken or exhausted connections: worth another try at once.
fn is_passing(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        Some(code) => {
            matches!(code.as_str(), "40P01" | "40001" | "55P03" | "57P01" | "57P02" | "57P03") || code.starts_with("08")
        }
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_)),
    }
}

/// Data exceptions, violated constraints, exceeded limits: this data will never go in.
fn is_poison(error: &sqlx::Error) -> bool {
    let code = sqlstate(error);
    let of_data = |code: String| ["22", "23", "54"].iter().any(|class| code.starts_with(class));
    matches!(error, sqlx::Error::Encode(_)) || code.is_some_and(of_data)
}

/// Keeps an event that cannot be booked, with the reason, for people to look at.
async fn put_aside(db: &PgPool, data_plane_id: &str, event: &pb::UsageEvent, poison: &Poison) -> Result<(), NotNow> {
    keep_aside(db, data_plane_id, &event.event_id, &event.encode_to_vec(), poison).await
}

async fn keep_aside(db: &PgPool, data_plane_id: &str, id: &[u8], bytes: &[u8], poison: &Poison) -> Result<(), NotNow> {
    // An id that is none gets one that is the same each time the event comes.
    let id = Uuid::from_slice(id).unwrap_or_else(|_malformed| {
        let digest = Sha256::digest(bytes);
        uuid::Builder::from_custom_bytes(digest.first_chunk().copied().unwrap_or_default()).into_uuid()
    });
    let data_plane_id = data_plane_id.replace('\0', "\u{FFFD}");
    tracing::error!(event_id = %id, data_plane = data_plane_id, reason = %poison, "usage put aside: it cannot be booked");
    sqlx::query!(
        "insert into spend_dead_letters (event_id, data_plane_id, reason, event) values ($1, $2, $3, $4)
         on conflict (event_id) do nothing",
        id,
        data_plane_id,
        poison.to_string(),
        bytes,
    )
    .execute(db)
    .await?;
    Ok(())
}
