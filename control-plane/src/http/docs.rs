//! The API's own documentation: OpenAPI at `/openapi.json`, and Swagger UI at `/` with assets out of this binary.

use std::sync::Arc;

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_swagger_ui::Config;

use crate::app::App;
use crate::error::{Envelope, ErrorBody, IssuesBody};

const SPECIFICATION: &str = "/openapi.json";
const ASSETS: &str = "/swagger-ui/";
const ROUTES: &str = "/routes";

/// What the document says before any route is in it.
pub(super) fn frame() -> OpenApi {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The master key, or a virtual key: `Authorization: Bearer sk-...`."))
        .build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Turnpike admin API")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some("Keys, teams, users, models and spend. The paths and bodies are LiteLLM's."))
                .build(),
        )
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("key", SecurityScheme::Http(scheme))
                // The refusals are no handler's body, so no route brings their schemas.
                .schema_from::<ErrorBody>()
                .schema_from::<IssuesBody>()
                .build(),
        ))
        .security(Some([SecurityRequirement::new("key", Vec::<String>::new())]))
        .build()
}

/// The routes that show the document.
pub(super) fn router(api: &OpenApi) -> Router<App> {
    let document = serde_json::to_value(api).unwrap_or_default();
    let routes = json!({ "routes": routes(&document) });
    Router::new()
        .route(ROUTES, get(async move || Json(routes)))
        .route(SPECIFICATION, get(async move || Json(document)))
        .route("/", get(page))
        .route("/swagger-ui", get(async || Redirect::to("/")))
        .route("/swagger-ui/{*file}", get(asset))
}

/// The routes of the admin API as LiteLLM lists them, this one among them.
fn routes(document: &Value) -> Vec<Value> {
    let of_path = |(path, operations): (&String, &Value)| {
        let operations = operations.as_object().into_iter().flatten();
        let route = |(method, operation): (&String, &Value)| {
            let name = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
            json!({ "path": path, "methods": [method.to_uppercase()], "name": name, "endpoint": name })
        };
        operations.map(route).collect::<Vec<_>>()
    };
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    let own = json!({ "path": ROUTES, "methods": ["GET"], "name": "routes", "endpoint": "routes" });
    paths.flat_map(of_path).chain([own]).collect()
}

/// Swagger UI's page, which expects its assets beside it; they lie in a folder of their own.
async fn page() -> Response {
    match read("index.html") {
        Some((_, bytes)) => {
            let html = String::from_utf8_lossy(&bytes);
            Html(html.replace("\"./", &format!("\"{ASSETS}")).replace("\"index.css", &format!("\"{ASSETS}index.css")))
                .into_response()
        }
        None => Envelope::broken().into_response(),
    }
}

async fn asset(Path(file): Path<String>) -> Response {
    match read(&file) {
        Some((kind, bytes)) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        None => Envelope::detail(StatusCode::NOT_FOUND, "Not Found").into_response(),
    }
}

fn read(file: &str) -> Option<(String, Vec<u8>)> {
    let config = Arc::new(Config::from(SPECIFICATION));
    match utoipa_swagger_ui::serve(file, config) {
        Ok(found) => found.map(|file| (file.content_type, file.bytes.into_owned())),
        Err(error) => {
            tracing::error!(error, file, "Swagger UI cannot be served");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_document_is_what_the_routes_say() {
        let (_, api) = crate::http::documented();
        let document = format!("{}\n", serde_json::to_string_pretty(&api).unwrap());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        if std::env::var_os("TURNPIKE_REGENERATE").is_some() {
            std::fs::write(&path, &document).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == document, "openapi.json is out of date: run the test with TURNPIKE_REGENERATE=1");
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let (_, api) = crate::http::documented();
        let document = serde_json::to_value(&api).unwrap();
        let text = document.to_string();
        let references: Vec<&str> =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > 20, "{references:?}");
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[tokio::test]
    async fn the_page_finds_all_of_its_assets_here() {
        let bytes = axum::body::to_bytes(page().await.into_body(), 1 << 20).await.unwrap();
        let html = String::from_utf8(bytes.to_vec()).unwrap();
        let links: Vec<&str> = html.split('"').filter(|part| part.ends_with(".js") || part.ends_with(".css")).collect();
        assert_eq!(links.len(), 5, "{html}");
        for link in links {
            let file = link.strip_prefix(ASSETS).expect("an asset of ours");
            assert!(read(file).is_some_and(|(_, bytes)| !bytes.is_empty()), "{link}");
        }
        let (_, script) = read("swagger-initializer.js").unwrap();
        assert!(String::from_utf8(script).unwrap().contains(SPECIFICATION));
    }
}
