//! Who may come in on the gRPC listener.
//!
//! Everything behind the door is for enrolled data planes: the two gRPC services and, at the caller's choice, the
//! admin router for calls that a data plane forwards.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use proto::channel::{JOIN_TOKEN_HEADER, JoinTokenDigest};
use sqlx::PgPool;

use crate::intake::Intake;
use crate::publish::Publisher;

/// How a listener knows data planes.
#[derive(Debug, Clone, Copy)]
pub enum Admission {
    /// Whoever can open the socket: standalone's Unix socket, which only its owner can.
    Local,
    /// Whoever shows the join token, over TLS.
    Token(JoinTokenDigest),
}

/// The caller did not show the join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// There was no token.
    #[error("send the join token in the header {JOIN_TOKEN_HEADER}")]
    NoToken,
    /// It was another one.
    #[error("this is not the join token of this installation: take the one that `turnpike-control-plane init` wrote")]
    WrongToken,
}

impl Admission {
    /// Whether a request with these headers comes from a data plane.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), NotAdmitted> {
        match self {
            Self::Local => Ok(()),
            Self::Token(digest) => {
                let token = headers.get(JOIN_TOKEN_HEADER).and_then(|value| value.to_str().ok());
                let token = token.ok_or(NotAdmitted::NoToken)?;
                if digest.admits(token) { Ok(()) } else { Err(NotAdmitted::WrongToken) }
            }
        }
    }
}

/// The gRPC services `Snapshots` and `Usage`. They are not guarded yet: pass them, together with whatever else the
/// listener serves, through [`guarded`].
pub(crate) fn grpc_router(publisher: &Publisher, db: PgPool) -> Router {
    tonic::service::Routes::new(publisher.snapshots())
        .add_service(Intake::until(db, publisher.stopping()).service())
        .into_axum_router()
}

/// Refuses requests that `admission` does not admit. The token goes no further than here.
pub(crate) fn guarded(router: Router, admission: Admission) -> Router {
    router.layer(middleware::from_fn_with_state(admission, refuse_strangers))
}

async fn refuse_strangers(State(admission): State<Admission>, mut request: Request, next: Next) -> Response {
    match admission.check(request.headers()) {
        Ok(()) => {
            request.headers_mut().remove(JOIN_TOKEN_HEADER);
            next.run(request).await
        }
        Err(refusal) => {
            tracing::warn!(%refusal, path = request.uri().path(), "a caller was refused on the data planes' listener");
            let type_of_body = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
            match type_of_body.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
                true => tonic::Status::unauthenticated(refusal.to_string()).into_http(),
                false => (StatusCode::UNAUTHORIZED, refusal.to_string()).into_response(),
            }
        }
    }
}
