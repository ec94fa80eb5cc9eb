//! From where callers are let in: the addresses and networks of `general_settings.allowed_ips`, as the API changes them.
//!
//! Where the file has the list, the list is the file's. Who may come in is decided at the gates ([`crate::access`], and on
//! data planes); here nobody is locked out who makes the change.

pub(crate) mod http;
mod store;

use std::net::IpAddr;

use proto::address::{Network, NotANetwork};
use serde_json::json;

use crate::access::{CallerAddress, is_among};
use crate::audit::{Entry, Noun};
use crate::change::Change;

/// Why a request about addresses is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("ip: {0}")]
    NotOne(#[from] NotANetwork),
    #[error("IP address already exists")]
    Exists,
    #[error("IP address not found")]
    Absent,
    #[error("general_settings.allowed_ips stands in config.yaml: change it there")]
    OfFile,
    #[error(
        "this would lock you out: your own address ({}) would not be in the list. Add it first",
        .own.map_or_else(|| "unknown".to_owned(), |own| own.to_string())
    )]
    LocksOut { own: Option<IpAddr> },
    #[error("storing addresses")]
    Database(#[from] sqlx::Error),
}

/// The list as it is, to be changed; nobody else changes it until the transaction ends.
async fn to_change(change: &mut Change) -> Result<Vec<String>, AddressError> {
    let store::Stored { of_file, of_api } = store::locked(change.db()).await?;
    match of_file {
        Some(_) => Err(AddressError::OfFile),
        None => Ok(of_api.unwrap_or_default()),
    }
}

/// Puts another list in place of the one that was, unless that would lock out who does so.
async fn put(
    change: &mut Change,
    before: &[String],
    after: &[String],
    CallerAddress(own): CallerAddress,
) -> Result<(), AddressError> {
    let stays = after.is_empty() || own.is_some_and(|own| is_among(after, own));
    if !stays {
        return Err(AddressError::LocksOut { own });
    }
    store::put(change.db(), after).await?;
    let (before, after) = (json!({"allowed_ips": before}), json!({"allowed_ips": after}));
    change.note(Entry::updated(Noun::Config, "general_settings", before, after));
    Ok(())
}

/// The place in a list of what names the same addresses, however it is written.
fn place(list: &[String], wanted: Network) -> Option<usize> {
    list.iter().position(|entry| entry.parse() == Ok(wanted))
}
