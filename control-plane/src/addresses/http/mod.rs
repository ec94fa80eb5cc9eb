//! `/get/allowed_ips`, `/add/allowed_ip` and `/delete/allowed_ip`: one file per endpoint.

mod add;
mod delete;
mod list;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(add::add)).routes(routes!(delete::delete))
}

/// Which address is meant.
#[derive(Debug)]
struct AllowedIp {
    ip: String,
}

impl Request for AllowedIp {
    const NAME: &'static str = "AllowedIp";
    const FIELDS: &'static [&'static [Field]] =
        &[&[required("ip", Shape::Text, "An address such as `192.0.2.7`, or a network such as `10.0.0.0/8`.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { ip: form.take("ip").given().unwrap_or_default() })
    }
}

type AllowedIpBody = Body<AllowedIp>;

/// What became of the list.
#[derive(Debug, Serialize, ToSchema)]
struct ChangedList {
    message: String,
    status: &'static str,
}
