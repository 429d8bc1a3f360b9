//! The pages, out of the program itself.
//!
//! A page is found by its whole name or not at all: no path is taken apart, so none leads anywhere else.

use super::Problem;
use super::api::not_found;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What `npm run build` made of `web/`; nothing where that was not run.
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Built;

static PAGES: LazyLock<Pages> = LazyLock::new(|| {
    let file = |name: Cow<'static, str>| Some((name.to_string(), Built::get(&name)?.data));
    Pages::of(Built::iter().filter_map(file))
});

const INDEX: &str = "index.html";
/// What stands below this is as it was built: a name that is not there is no page of the program either.
const ASSETS: &str = "assets/";
/// A page fetches nothing but from the gateway, runs nothing but its own scripts, and stands in no other's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; media-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'self'";
/// For names that change with their content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Characters of the hash in such a name.
const HASH: usize = 8;
const NOT_BUILT: &str = "<!doctype html><html lang=\"zh\"><meta charset=\"utf-8\"><title>Schoolgate</title>\
    <p>此程序编译时没有生成网页（需要 Node.js，见 CONTRIBUTING.md）；接口 /api/v1/ 照常可用。\
    <p>This program was built without its pages (they need Node.js, see CONTRIBUTING.md); the API under /api/v1/ works.";

/// The encodings that files are built in, the smallest first, with what their names end with.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// One form of a file.
#[derive(Debug)]
struct Form {
    bytes: Bytes,
    etag: String,
}

/// A file, as it is and as far as it was built in encodings.
#[derive(Debug)]
struct File {
    plain: Form,
    encoded: [Option<Form>; 2],
}

#[derive(Debug, Default)]
struct Pages(BTreeMap<String, File>);

/// Any path that is no route's.
pub(super) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return not_found("路径", "path").into_response();
    }
    PAGES.answer(&method, uri.path(), &headers).unwrap_or_else(IntoResponse::into_response)
}

impl Pages {
    fn of(files: impl Iterator<Item = (String, Cow<'static, [u8]>)>) -> Self {
        let form = |bytes: Cow<'static, [u8]>| {
            let sum = Sha256::digest(&bytes);
            let etag: String = sum.iter().take(HASH).map(|byte| format!("{byte:02x}")).collect();
            let bytes = match bytes {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => Bytes::from(bytes),
            };
            Form { bytes, etag: format!("\"{etag}\"") }
        };
        let mut forms: BTreeMap<String, Form> = files.map(|(name, bytes)| (name, form(bytes))).collect();
        let plain: Vec<String> = forms
            .keys()
            .filter(|name| ENCODINGS.iter().all(|(_, end)| !name.ends_with(end)))
            .cloned()
            .collect();
        let file = |name: String| {
            let encoded = ENCODINGS.map(|(_, end)| forms.remove(&format!("{name}{end}")));
            let plain = forms.remove(&name)?;
            Some((name, File { plain, encoded }))
        };
        Self(plain.into_iter().filter_map(file).collect())
    }

    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
        let name = path.strip_prefix('/').unwrap_or(path);
        if let Some(file) = self.0.get(name).filter(|_| name != INDEX) {
            return Ok(file.answer(method, name, headers));
        }
        if !is_page(name) {
            return Err(not_found("路径", "path"));
        }
        match self.0.get(INDEX) {
            Some(file) => Ok(file.answer(method, INDEX, headers)),
            None => Ok((StatusCode::NOT_IMPLEMENTED, [html(), policy()], NOT_BUILT).into_response()),
        }
    }
}

impl File {
    fn answer(&self, method: &Method, name: &str, headers: &HeaderMap) -> Response {
        let text =
            |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let accepted = text(header::ACCEPT_ENCODING);
        let fitting = ENCODINGS
            .iter()
            .zip(&self.encoded)
            .find(|((coding, _), form)| form.is_some() && accepts(accepted, coding));
        let (coding, form) = match fitting {
            Some(((coding, _), Some(form))) => (Some(*coding), form),
            _ => (None, &self.plain),
        };
        let known = text(header::IF_NONE_MATCH).split(',').any(|tag| tag.trim() == form.etag);
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else if method == Method::HEAD {
            Body::empty().into_response()
        } else {
            form.bytes.clone().into_response()
        };
        let cache = if is_hashed(name) { FOR_EVER } else { "no-cache" };
        let own = response.headers_mut();
        own.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        own.extend([policy()]);
        own.extend(HeaderValue::from_str(&form.etag).ok().map(|etag| (header::ETAG, etag)));
        if known {
            own.remove(header::CONTENT_TYPE);
            return response;
        }
        own.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
        own.extend(coding.map(|coding| (header::CONTENT_ENCODING, HeaderValue::from_static(coding))));
        own.insert(header::CONTENT_LENGTH, HeaderValue::from(form.bytes.len()));
        response
    }
}

fn html() -> (HeaderName, HeaderValue) {
    (header::CONTENT_TYPE, HeaderValue::from_static(media_type(INDEX)))
}

fn policy() -> (HeaderName, HeaderValue) {
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))
}

/// Whether a path is one of a page's own: letters, digits, `-`, `_` and `~` between single slashes, or what is not ASCII,
/// encoded. A dot is a file's.
fn is_page(name: &str) -> bool {
    let of_api = name == "api" || name.starts_with("api/");
    if of_api || name.starts_with(ASSETS) || name.split('/').count() > 16 {
        return false;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
    let part = |part: &str| {
        let mut bytes = part.bytes();
        while let Some(byte) = bytes.next() {
            let encoded = byte == b'%'
                && matches!(bytes.next(), Some(b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F'))
                && bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
            if !encoded && !plain(byte) {
                return false;
            }
        }
        !part.is_empty()
    };
    let trimmed = name.strip_suffix('/').unwrap_or(name);
    name.is_empty() || trimmed.split('/').all(part)
}

/// Whether a name changes with its content: `assets/<name>-<hash>.<end>`, as Vite writes it.
fn is_hashed(name: &str) -> bool {
    let Some(file) = name.strip_prefix(ASSETS) else { return false };
    let stem = file.split('.').next().unwrap_or(file);
    let Some((head, hash)) = stem.len().checked_sub(HASH).and_then(|at| stem.split_at_checked(at)) else {
        return false;
    };
    let of_hash = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    // A word of eight small letters is a word.
    let word = hash.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    head.len() > 1 && head.ends_with('-') && hash.bytes().all(of_hash) && !word
}

/// Whether a coding is accepted (RFC 9110, 12.5.3): named, or meant by `*`, and not with the weight 0.
fn accepts(accepted: &str, coding: &str) -> bool {
    let weight = |wanted: &str| {
        accepted.split(',').find_map(|item| {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            if !name.trim().eq_ignore_ascii_case(wanted) {
                return None;
            }
            let weight =
                parameters.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
            Some(weight.unwrap_or(1.0))
        })
    };
    weight(coding).or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
