//! Chat, completions and embeddings: one way in, and a panic in one call is a 500 for that call only.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use dialects::Task;
use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;

use super::body::{AnswerBody, RequestBody};
use crate::error::ProxyError;
use crate::gateway::Core;
use crate::pipeline::detach::{Detachable, Presence};
use crate::pipeline::{self, Inbound};

/// Carries a model call through the pipeline.
pub(super) async fn call(
    core: &Rc<Core>,
    client_ip: Rc<str>,
    request: Request<Incoming>,
    task: Task,
    path_model: Option<String>,
    call_id: String,
) -> Result<Response<AnswerBody>, ProxyError> {
    #[cfg(test)]
    let id = call_id.clone();
    let (head, body) = request.into_parts();
    let body = RequestBody::new(body);
    let inbound = Inbound { head, body, task, path_model, client_ip, call_id };
    let presence = Presence::default();
    let served = pipeline::serve(Rc::clone(core), inbound, presence.clone());
    #[cfg(test)]
    let served = served.map(move |answer| {
        super::fault::in_call(&id);
        answer
    });
    let caught = AssertUnwindSafe(served).catch_unwind();
    Detachable::new(Rc::clone(core), presence, caught).await.unwrap_or_else(|_panic| {
        tracing::error!("a call panicked: it was answered with 500");
        Err(ProxyError::Panicked)
    })
}
