//! Admin paths on the data plane's port: forwarded to the control plane over the one connection to it.

use std::rc::Rc;
use std::time::Duration;

use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use proto::channel::REVISION_HEADER;
use tower::{Service as _, ServiceExt as _};

use super::body::AnswerBody;
use crate::control;
use crate::error::ProxyError;
use crate::gateway::Core;
use crate::settings::ForwardAdmin;

static REVISION: HeaderName = HeaderName::from_static(REVISION_HEADER);

/// A change is answered when this data plane holds it too, or after this long.
const HOLD: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Forwards `request` where the control plane said it takes such paths.
pub(super) async fn forward(
    core: &Rc<Core>,
    client_ip: &str,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, ProxyError> {
    let path = request.uri().path();
    let forwarding = core.gateway.forwarding.load();
    let not_found = || ProxyError::NotFound(format!("there is no route {path}"));
    if core.gateway.settings.forward_admin == ForwardAdmin::Off {
        return Err(not_found());
    }
    if forwarding.paths.is_empty() {
        return Err(ProxyError::ControlPlaneAway("it has not been reached since the start".to_owned()));
    }
    if !forwarding.paths.iter().any(|pattern| takes(pattern, path)) {
        return Err(not_found());
    }
    drop(forwarding);

    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let forwarded = outgoing(core, client_ip, request)?;
    let away = |error: &dyn std::error::Error| ProxyError::ControlPlaneAway(innermost(error));
    let mut channel = core.gateway.control.channel.clone();
    let answer = tokio::time::timeout(ANSWER_WITHIN, async { channel.ready().await?.call(forwarded).await });
    let answer = answer.await.map_err(|late| away(&late))?.map_err(|error| away(&error))?;
    if is_change {
        hold(core, &answer).await;
    }
    let (mut head, body) = answer.into_parts();
    for name in [&CONNECTION, &TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, AnswerBody::Forwarded(Box::new(body))))
}

/// The same call for the control plane: our identity on it, the client's address in a header that only this
/// channel is believed for.
fn outgoing(
    core: &Core,
    client_ip: &str,
    request: Request<Incoming>,
) -> Result<Request<tonic::body::Body>, ProxyError> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse::<Uri>().map_err(|_invalid| ProxyError::NotFound(format!("there is no route {path}")))?;
    head.version = http::Version::HTTP_2;
    for name in [&CONNECTION, &TRANSFER_ENCODING, &UPGRADE, &HOST] {
        head.headers.remove(name);
    }
    // Whatever a client says in our own name is not ours.
    let ours: Vec<HeaderName> =
        head.headers.keys().filter(|name| name.as_str().starts_with("x-turnpike-")).cloned().collect();
    for name in ours {
        head.headers.remove(name);
    }
    if let Ok(address) = HeaderValue::try_from(client_ip) {
        head.headers.insert(control::CLIENT_IP.clone(), address);
    }
    core.gateway.control.identity.sign(&mut head.headers);
    Ok(Request::from_parts(head, tonic::body::Body::new(body)))
}

/// Waits until this data plane holds the revision that the change made, so that a new key works at once.
async fn hold<B>(core: &Core, answer: &Response<B>) {
    let revision = answer.headers().get(&REVISION).and_then(|revision| revision.to_str().ok()?.parse().ok());
    if let Some(revision) = revision
        && tokio::time::timeout(HOLD, core.gateway.snapshots.reached(revision)).await.is_err()
    {
        tracing::warn!(revision, "a change was answered before this data plane holds it");
    }
}

/// Whether a pattern of the control plane covers `path`; a trailing `*` is any rest.
fn takes(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_its_prefix_and_a_plain_path_itself() {
        assert!(takes("/key/*", "/key/generate"));
        assert!(!takes("/key/*", "/keys"));
        assert!(takes("/", "/") && !takes("/", "/x"));
    }
}
