//! What every admin call shares.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use sqlx::PgPool;

use crate::access::MasterKey;
use crate::prices;
use crate::publish::Publisher;

/// The control plane as its endpoints see it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

/// What the control plane is made of.
pub(crate) struct Parts {
    pub(crate) db: PgPool,
    pub(crate) publisher: Publisher,
    pub(crate) master: MasterKey,
    pub(crate) prices: &'static prices::Table,
    pub(crate) started: Instant,
}

impl From<Parts> for App {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
