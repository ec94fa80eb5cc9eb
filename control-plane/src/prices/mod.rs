//! What models cost, and where that is known from.
//!
//! A price is the admin's own ([`custom`]) or stands in the table that ships with the build ([`Table`]); both are read by
//! one grammar of price fields (`fields`) into rates of whole femto-dollars (`sheet`). What a call then costs is
//! `proto::price`'s business. The table is `table.json`, made by `derive.py`; neither is read from disk when serving.

mod custom;
mod fields;
mod figure;
mod names;
mod sheet;
mod table;

pub use custom::custom;
pub use table::{ModelFacts, Table};
