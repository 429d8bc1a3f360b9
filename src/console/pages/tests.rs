//! Every file by its name, in the form that the browser wants, and nothing by any other name.

use super::*;
use axum::body::to_bytes;

fn pages() -> Pages {
    let files: [(&str, &[u8]); 8] = [
        ("index.html", b"<!doctype html>"),
        ("index.html.br", b"br of index"),
        ("index.html.gz", b"gz of index"),
        ("assets/main-Dx3_9aZq.js", b"script"),
        ("assets/main-Dx3_9aZq.js.br", b"br of script"),
        ("assets/overview.css", b"style"),
        ("favicon.svg", b"<svg/>"),
        ("sounds/critical.wav", b"RIFF"),
    ];
    Pages::of(files.into_iter().map(|(name, bytes)| (name.to_owned(), Cow::Borrowed(bytes))))
}

fn ask(pages: &Pages, path: &str, headers: &[(HeaderName, &str)]) -> Result<Response, StatusCode> {
    ask_by(pages, &Method::GET, path, headers)
}

fn ask_by(
    pages: &Pages,
    method: &Method,
    path: &str,
    headers: &[(HeaderName, &str)],
) -> Result<Response, StatusCode> {
    let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
    pages.answer(method, path, &headers).map_err(|problem| problem.status)
}

fn header_of(response: &Response, name: HeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1000).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn every_file_has_its_type_its_caching_and_the_policy() {
    let pages = pages();
    for (path, kind, cache, body) in [
        ("/", "text/html; charset=utf-8", "no-cache", "<!doctype html>"),
        ("/assets/main-Dx3_9aZq.js", "text/javascript; charset=utf-8", FOR_EVER, "script"),
        ("/assets/overview.css", "text/css; charset=utf-8", "no-cache", "style"),
        ("/favicon.svg", "image/svg+xml", "no-cache", "<svg/>"),
        ("/sounds/critical.wav", "audio/wav", "no-cache", "RIFF"),
    ] {
        let answer = ask(&pages, path, &[]).unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(header_of(&answer, header::CONTENT_TYPE), kind, "{path}");
        assert_eq!(header_of(&answer, header::CACHE_CONTROL), cache, "{path}");
        assert_eq!(header_of(&answer, header::CONTENT_SECURITY_POLICY), POLICY, "{path}");
        assert_eq!(header_of(&answer, header::CONTENT_LENGTH), body.len().to_string(), "{path}");
        assert_eq!(text(answer).await, body, "{path}");
        let head = ask_by(&pages, &Method::HEAD, path, &[]).unwrap();
        assert_eq!(header_of(&head, header::CONTENT_LENGTH), body.len().to_string(), "{path}");
        assert_eq!(text(head).await, "", "{path}");
    }
}

#[tokio::test]
async fn a_browser_gets_the_smallest_form_that_it_takes() {
    let pages = pages();
    for (accepted, path, coding, body) in [
        ("gzip, deflate, br", "/", "br", "br of index"),
        ("gzip, deflate", "/", "gzip", "gz of index"),
        ("br;q=0, gzip;q=0.5", "/", "gzip", "gz of index"),
        ("BR", "/", "br", "br of index"),
        ("*", "/", "br", "br of index"),
        ("*, br;q=0", "/", "gzip", "gz of index"),
        ("*;q=0", "/", "", "<!doctype html>"),
        ("identity", "/", "", "<!doctype html>"),
        ("gzip", "/assets/main-Dx3_9aZq.js", "", "script"),
        ("br", "/assets/overview.css", "", "style"),
    ] {
        let answer = ask(&pages, path, &[(header::ACCEPT_ENCODING, accepted)]).unwrap();
        assert_eq!(header_of(&answer, header::CONTENT_ENCODING), coding, "{accepted} {path}");
        assert_eq!(header_of(&answer, header::VARY), "accept-encoding");
        let etag = header_of(&answer, header::ETAG).to_owned();
        assert_eq!(text(answer).await, body, "{accepted} {path}");
        let again = [(header::ACCEPT_ENCODING, accepted), (header::IF_NONE_MATCH, etag.as_str())];
        let again = ask(&pages, path, &again).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{accepted} {path}");
        assert_eq!(text(again).await, "");
        let other = [(header::ACCEPT_ENCODING, accepted), (header::IF_NONE_MATCH, "\"0000000000000000\"")];
        assert_eq!(ask(&pages, path, &other).unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn the_paths_of_pages_give_the_index_and_no_other_path_gives_anything() {
    let pages = pages();
    for path in
        ["/", "/devices", "/alarms/17", "/rules/", "/places/%E6%A0%A1%E9%97%A8", "/a-b_c~d", "/apical"]
    {
        let answer = ask(&pages, path, &[]).unwrap_or_else(|status| panic!("{path}: {status}"));
        assert_eq!(text(answer).await, "<!doctype html>", "{path}");
    }
    let outside = [
        "/api",
        "/api/",
        "/api/v2/alarms",
        "/index.html",
        "/index.html.br",
        "/assets/main-Dx3_9aZq.js.br",
        "/assets/other-Dx3_9aZq.js",
        "/assets/",
        "/assets/page",
        "/missing.txt",
        "/../etc/passwd",
        "/..",
        "/.",
        "/%2e%2e/etc/passwd",
        "/%2E%2E%2Fetc%2Fpasswd",
        "/assets/../index.html",
        "/assets/..%2findex.html",
        "/assets/%2e%2e/favicon.svg",
        "/assets//main-Dx3_9aZq.js",
        "/assets\\main-Dx3_9aZq.js",
        "/..\\..\\windows\\win.ini",
        "/..%5c..%5cwindows",
        "/%5c%5cserver%5cshare",
        "//etc/passwd",
        "/etc//passwd",
        "/etc/passwd%00",
        "/favicon.svg%00.html",
        "/favicon%2esvg",
        "/page\0",
        "/page%00",
        "/page%0d%0aSet-Cookie:a",
        "/page%",
        "/page%8",
        "/page%8g",
        "/file:///etc/passwd",
        "/C:/windows",
        "/%c0%ae%c0%ae/%c0%af.",
        "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q",
    ];
    for path in outside {
        assert_eq!(ask(&pages, path, &[]).err(), Some(StatusCode::NOT_FOUND), "{path:?}");
    }
}

#[tokio::test]
async fn a_program_without_pages_says_so() {
    let answer = ask(&Pages::default(), "/", &[]).unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED);
    assert_eq!(header_of(&answer, header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(header_of(&answer, header::CONTENT_SECURITY_POLICY), POLICY);
    assert!(text(answer).await.contains("without its pages"));
    assert_eq!(ask(&Pages::default(), "/assets/main.js", &[]).err(), Some(StatusCode::NOT_FOUND));
}

#[test]
fn a_hash_in_a_name_is_told_from_a_word() {
    for (name, hashed) in [
        ("assets/index-Dx3_9aZq.js", true),
        ("assets/index-B-_dEf0g.css", true),
        ("assets/alarm-desk-C2kf9sLm.js.map", true),
        ("assets/my-overview.js", false),
        ("assets/-Dx3_9aZq.js", false),
        ("assets/Dx3_9aZq.js", false),
        ("assets/a.js", false),
        ("assets/校门-Dx3_9aZq.js", true),
        ("assets/校门校门.js", false),
        ("index-Dx3_9aZq.js", false),
    ] {
        assert_eq!(is_hashed(name), hashed, "{name}");
    }
}
