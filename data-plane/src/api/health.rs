//! Probes. Readiness asks for a snapshot and, for two seconds after a start, whether the control plane has a newer
//! one; nothing else: a control plane, a database or a Redis that is away must not take the fleet out.

use std::rc::Rc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::body::{AnswerBody, json};
use crate::gateway::Core;

/// `GET /health/liveliness`: the process answers.
pub(super) fn liveliness() -> Response<AnswerBody> {
    json(StatusCode::OK, Bytes::from_static(b"\"I'm alive!\""))
}

/// `GET /health/readiness`: calls can be served.
pub(super) fn readiness(core: &Rc<Core>) -> Response<AnswerBody> {
    if core.gateway.is_stopping() {
        return json(StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(br#"{"status":"shutting_down"}"#));
    }
    let Some(snapshot) = core.snapshot() else {
        let waiting = br#"{"status":"waiting","reason":"no snapshot yet: the control plane has not been reached"}"#;
        return json(StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(waiting));
    };
    let gateway = &core.gateway;
    if !gateway.snapshots.is_settled() {
        let asking = br#"{"status":"waiting","reason":"serving from the disk copy: asking the control plane for what is newer"}"#;
        return json(StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(asking));
    }
    let confirmed = gateway.snapshots.confirmed_at_ms();
    let age = if confirmed == 0 { "null".to_owned() } else { (gateway.clock.now_ms() - confirmed).to_string() };
    let body = format!(
        r#"{{"status":"healthy","revision":{},"models":{},"confirmed_ms_ago":{age},"spool_events":{},"spool_bytes":{}}}"#,
        snapshot.version.revision,
        snapshot.models.names().count(),
        gateway.ledger.waiting(),
        gateway.ledger.bytes(),
    );
    json(StatusCode::OK, body.into())
}
