//! Which key usage is booked on: late usage under a value that was replaced is the new value's.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::event::Booking;
use crate::keys::replaced;

/// The keys of a batch that were replaced, each with the newest.
#[derive(Default)]
pub(super) struct Newest(HashMap<Vec<u8>, Vec<u8>>);

impl Newest {
    /// Asks once for all of these.
    pub(super) async fn of<'a>(
        db: &mut PgConnection,
        bookings: impl Iterator<Item = &'a Booking>,
    ) -> sqlx::Result<Self> {
        let mut hashes: Vec<Vec<u8>> = bookings.filter_map(|booking| booking.key_hash.clone()).collect();
        hashes.sort_unstable();
        hashes.dedup();
        Ok(Self(replaced::newest(db, &hashes).await?.into_iter().collect()))
    }

    /// The hash of the key that this is booked on.
    pub(super) fn hash<'a>(&'a self, booking: &'a Booking) -> Option<&'a [u8]> {
        let hash = booking.key_hash.as_ref()?;
        Some(self.0.get(hash).unwrap_or(hash))
    }
}
