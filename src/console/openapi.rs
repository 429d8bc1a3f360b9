//! What the API is, for programs that speak to it: an OpenAPI 3.1 document, made of the routes themselves.

use super::Console;
use super::api::routes;
use super::route::{Form, Route};
use crate::access::Right;
use axum::Json;
use axum::http::{Method, StatusCode};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The route of the document.
pub(super) fn own() -> Vec<Route> {
    vec![Route::get(
        "/api/v1/openapi.json",
        Right::Open,
        ("接口说明（OpenAPI 3.1）", "this description of the API, as OpenAPI 3.1"),
        answer,
    )]
}

/// It is made once: routes do not change while the gateway runs.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&routes()));

async fn answer(_: axum::extract::State<Console>) -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// Describes routes.
pub(super) fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut forms = settings.into_generator();
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(plain(route.path)).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation(route, &mut forms));
        }
    }
    let mut schemas: Map<String, Value> = forms.take_definitions(true);
    schemas.insert("Problem".into(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Schoolgate 校门",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "校园边缘网关接口 The API of a school's edge gateway",
            "description": "时间为 1970 年起的毫秒数（UTC），时长以 _secs 结尾。Times are milliseconds since 1970 UTC, \
                            spans of time end in _secs. x-right is what whoever asks must be allowed to do.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Problem": {
                    "description": "为何不能照办 Why it is not answered as asked (RFC 9457)",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                },
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "令牌 a token of a program"},
                "cookie": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-sg",
                    "description": "登录会话 a person who signed in; what changes anything also needs X-CSRF",
                },
            },
        },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "detail_zh": {"type": "string"},
        },
        "required": ["type", "title", "status", "detail", "detail_zh"],
    })
}

/// The path as OpenAPI writes it: a gap that takes the rest of the path is a gap like others.
fn plain(path: &str) -> String {
    path.replace("{*", "{")
}

/// The names of a path's gaps.
fn gaps(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name.trim_start_matches('*'))
}

fn operation(route: &Route, forms: &mut SchemaGenerator) -> Value {
    let path = route.path;
    let mut parameters: Vec<Value> = gaps(path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    parameters.extend(route.spoken.asks.map(|form| query(form, forms)).unwrap_or_default());
    let words: Vec<&str> = path
        .split(['/', '{', '}', '.', '-', '*'])
        .filter(|word| !word.is_empty() && *word != "api")
        .collect();
    let tag = path.strip_prefix("/api/v1/").and_then(|rest| rest.split(['/', '.']).next()).unwrap_or("pages");
    let method = route.method.as_str().to_ascii_lowercase();
    let mut operation = json!({
        "operationId": format!("{method}_{}", words.join("_")),
        "summary": route.about.en,
        "description": route.about.zh,
        "tags": [tag],
        "x-right": route.right.as_str(),
        "parameters": parameters,
        "responses": responses(route, forms),
        "security": if route.right == Right::Open { json!([]) } else { json!([{"bearer": []}, {"cookie": []}]) },
    });
    let takes = route.method == Method::POST || route.method == Method::PUT;
    if let (true, Some(fields)) = (takes, operation.as_object_mut()) {
        let schema =
            route.spoken.takes.map_or_else(|| json!({"type": "object"}), |form| form(forms).to_value());
        let body = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        fields.insert("requestBody".into(), body);
    }
    operation
}

/// The properties of the query's form, each a parameter.
fn query(form: Form, forms: &mut SchemaGenerator) -> Vec<Value> {
    let form = form(forms).to_value();
    let required: Vec<&str> = form
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = form.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let about = schema.as_object_mut().and_then(|fields| fields.remove("description"));
            let needed = required.contains(&name.as_str());
            let mut parameter =
                json!({"name": name, "in": "query", "required": needed, "schema": plain_form(schema)});
            if let (Some(about), Some(fields)) = (about, parameter.as_object_mut()) {
                fields.insert("description".into(), about);
            }
            parameter
        })
        .collect()
}

/// A parameter that is not there is left out: it is never null.
fn plain_form(mut schema: Value) -> Value {
    let Some(fields) = schema.as_object_mut() else { return schema };
    fields.remove("default");
    if let Some(Value::Array(kinds)) = fields.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            fields.insert("type".into(), kind);
        }
    }
    if let Some(Value::Array(any)) = fields.get_mut("anyOf") {
        any.retain(|one| one.get("type").and_then(Value::as_str) != Some("null"));
        if let [one] = any.as_slice() {
            return one.clone();
        }
    }
    schema
}

fn responses(route: &Route, forms: &mut SchemaGenerator) -> Value {
    let spoken = &route.spoken;
    let mut content = Map::new();
    if spoken.gives.is_some() || spoken.media.is_empty() {
        let schema = spoken.gives.map_or_else(|| json!({"type": "object"}), |form| form(forms).to_value());
        content.insert("application/json".into(), json!({"schema": schema}));
    }
    for media in spoken.media {
        content.entry(*media).or_insert_with(|| json!({}));
    }
    let status = spoken.status.unwrap_or(StatusCode::OK);
    let mut good = json!({"description": route.about.en});
    if let (false, Some(fields)) = (status == StatusCode::NO_CONTENT, good.as_object_mut()) {
        fields.insert("content".into(), Value::Object(content));
    }
    json!({ status.as_str(): good, "default": {"$ref": "#/components/responses/Problem"} })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_with_its_gaps_its_right_and_what_it_takes() {
        let routes = routes();
        let document = document(&routes);
        let mut ids = BTreeSet::new();
        for route in &routes {
            let method = route.method.as_str().to_ascii_lowercase();
            let said = &document["paths"][plain(route.path)][&method];
            let what = format!("{method} {}", route.path);
            assert_eq!(said["x-right"], route.right.as_str(), "{what}");
            assert_eq!(said["summary"], route.about.en, "{what}");
            assert!(
                ids.insert(said["operationId"].to_string()),
                "{what}: {} is there twice",
                said["operationId"]
            );
            let names = |place: &str| -> Vec<&str> {
                let all = said["parameters"].as_array().unwrap().iter();
                all.filter(|one| one["in"] == place).map(|one| one["name"].as_str().unwrap()).collect()
            };
            assert_eq!(names("path"), gaps(route.path).collect::<Vec<_>>(), "{what}");
            assert_eq!(route.spoken.asks.is_some(), !names("query").is_empty(), "{what}");
            let takes = matches!(route.method, Method::POST | Method::PUT);
            assert_eq!(said["requestBody"].is_object(), takes, "{what}");
            assert!(said["responses"]["default"].is_object(), "{what}");
            assert_eq!(
                said["security"],
                if route.right == Right::Open { json!([]) } else { json!([{"bearer": []}, {"cookie": []}]) }
            );
        }
    }

    /// What handlers read has to be in the description: every structure that is read from a query or a body.
    #[test]
    fn every_structure_that_is_read_from_a_query_or_a_body_is_described() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console");
        let mut missing = Vec::new();
        let mut files = vec![std::path::PathBuf::from(dir)];
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            // What is read from files and from other servers is none of the API's.
            if !text.contains("Route::") {
                continue;
            }
            for (_, rest) in text.match_indices("Deserialize").map(|(at, _)| text.split_at(at)) {
                let Some((derives, rest)) = rest.split_once("struct ") else { continue };
                // Only of the structure that the derive stands before.
                if derives.contains([';', '}', '{']) {
                    continue;
                }
                let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                if !derives.contains("JsonSchema") {
                    missing.push(format!("{}: {name} does not derive JsonSchema", path.display()));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
