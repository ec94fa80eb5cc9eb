//! The dialect of OpenAI, which most providers speak and every client of LiteLLM does.
//!
//! Both sides of the gateway are usually this one: then a call passes through as bytes, and these modules only find and
//! change what a gateway must. Facts of the format: OpenAI's API reference; what LiteLLM adds: its documentation.

pub mod answer;
pub mod fault;
pub mod mock;
pub mod models;
pub mod request;
pub mod stream;
mod tokens;

pub use tokens::ESTIMATE_METHOD;
