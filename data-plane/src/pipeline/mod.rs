//! The stages of a model call. This page is the whole way; each stage is a file.

pub(crate) mod admit;
pub(crate) mod attempt;
pub(crate) mod authenticate;
pub(crate) mod authorize;
mod customer;
pub(crate) mod decode;
pub(crate) mod detach;
mod figures;
pub(crate) mod gate;
mod left;
mod mock;
mod payers;
pub(crate) mod provider_headers;
pub(crate) mod refused;
pub(crate) mod relay;
pub(crate) mod route;
pub(crate) mod settle;
pub(crate) mod stream;

use std::rc::Rc;

use dialects::Task;
use http::Response;

use crate::api::body::{AnswerBody, RequestBody};
use crate::error::ProxyError;
use crate::gateway::Core;

/// A call as it came in: its head, its unread body, and what the path said.
pub(crate) struct Inbound<B = RequestBody> {
    pub(crate) head: http::request::Parts,
    pub(crate) body: B,
    pub(crate) task: Task,
    /// The model that `/engines/{model}/…` or `/openai/deployments/{model}/…` names.
    pub(crate) path_model: Option<String>,
    pub(crate) client_ip: Rc<str>,
    pub(crate) call_id: String,
}

/// Carries one model call from the client's bytes to the answer's bytes.
pub(crate) async fn serve(
    core: Rc<Core>,
    inbound: Inbound,
    presence: detach::Presence,
) -> Result<Response<AnswerBody>, ProxyError> {
    let snapshot = core.snapshot().ok_or(ProxyError::NoSnapshot)?;

    let client_ip = gate::enter(&snapshot, &inbound.head, &inbound.client_ip)?;
    let inbound = Inbound { client_ip, ..inbound };
    let caller = authenticate::authenticate(&snapshot, &inbound.head.headers, core.gateway.clock.now_ms())?;
    authorize::check_route(&caller, inbound.head.uri.path())?;
    gate::check_role(&snapshot, &caller, inbound.head.uri.path())?;
    let call = Rc::new(decode::decode(&snapshot, &caller, inbound, &core.gateway.settings).await?);
    let grant = authorize::authorize(&snapshot, caller, &call)?;
    gate::check_call(&snapshot, &grant.caller, &call)?;
    let mut permit = admit::admit(&core, &snapshot, grant, &call).await?;
    let plan = route::route(&snapshot, &mut permit.grant, &call)?;
    let permit = Rc::new(permit);
    let answer = attempt::attempt(&core, &plan, &permit, &call, &presence).await?;

    Ok(relay::relay(core, answer, &permit))
}
