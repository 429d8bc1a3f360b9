//! How servers are reached over HTTP, and the two kinds of channel that are nothing but a request.

use super::super::attached::certificates_opt;
use super::super::fields::{is_loopback, number, quiet, url};
use super::template::{Escape, template, template_opt};
use super::{
    Around, Charset, Content, Method, Piece, Success, Template, Templated, Web, Webhook, is_plain, listed,
    listed_persons, secret_at, secret_at_opt,
};
use crate::document::Reader;
use crate::model::Secret;
use url::Url;

/// Most headers of a request.
const MAX_HEADERS: usize = 16;
/// Headers that the request itself has.
const OWN_HEADERS: &[&str] =
    &["connection", "content-length", "content-type", "expect", "host", "te", "transfer-encoding", "upgrade"];

/// `ca_file` and `proxy`.
pub(super) fn web(reader: &Reader<'_>, around: &Around<'_>) -> Web {
    // Known also where nothing is plain.
    reader.flag_opt("allow_plain_http");
    let ca_pem = certificates_opt(reader, "ca_file", around.sources);
    let proxy = if reader.has("proxy") {
        url(reader, "proxy", "http://192.168.1.1:3128")
    } else {
        reader.text_opt("proxy").and(None)
    };
    Web { ca_pem, proxy }
}

/// Whether an address is encrypted, stays on this machine, or plain HTTP is allowed on purpose; noted if not.
pub(super) fn encrypted(reader: &Reader<'_>, key: &str, url: &Url) -> bool {
    let allowed = reader.flag_opt("allow_plain_http").unwrap_or(false);
    let good = url.scheme() == "https" || allowed || is_loopback(url);
    if !good {
        reader.problem(
            key,
            (
                format!("'{key}' 没有加密：发出的内容途中可能被看到或改动"),
                format!("'{key}' is not encrypted: what is sent there can be read and changed on the way"),
            ),
            (
                "写 https://；对方确实没有 TLS 时，加上 `allow_plain_http = true`",
                "write https://; where the server really has no TLS, add `allow_plain_http = true`",
            ),
        );
    }
    good
}

/// The address that a secret file holds; what is wrong is noted without showing it.
pub(super) fn secret_url(reader: &Reader<'_>, key: &str, text: &Secret) -> Option<Url> {
    let parsed = Url::parse(text.expose().trim()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    let Some(url) = parsed else {
        reader.problem(
            key,
            (format!("'{key}' 的文件里没有地址"), format!("the file of '{key}' holds no address")),
            (
                "把完整地址写在第一行：https://…，不带用户名、密码和 '#'",
                "put the whole address on its first line: https://…, without user name, password and '#'",
            ),
        );
        return None;
    };
    encrypted(reader, key, &url).then_some(url)
}

/// `ok_pointer` and `ok_values`, or `ok_contains`.
pub(super) fn success(reader: &Reader<'_>) -> Option<Success> {
    let before = reader.problems().len();
    let advice = (
        "写 JSON 指针（RFC 6901），如 \"/code\" 或 \"/result/status\"",
        "write a JSON pointer (RFC 6901) such as \"/code\" or \"/result/status\"",
    );
    let pointer = reader.parsed_opt("ok_pointer", advice, |text| {
        let good = text.starts_with('/') && is_plain(text, 200);
        if good { Ok(text.to_owned()) } else { Err(("这不是 JSON 指针", "this is no JSON pointer")) }
    });
    let advice = ("写 1 到 100 个字的文本", "write a text of 1 to 100 characters");
    let values = listed(reader, "ok_values", advice, |text| is_plain(text, 100));
    let advice = ("写成功的应答里会有的文字", "write what a good answer has in it");
    let contains = reader.parsed_opt("ok_contains", advice, |text| match text.len() {
        1..=200 => Ok(text.to_owned()),
        _ => Err(("应有 1 到 200 字节", "it has 1 to 200 bytes")),
    });
    if reader.has("ok_pointer") != reader.has("ok_values") || (reader.has("ok_values") && values.is_empty()) {
        let key = if reader.has("ok_pointer") { "ok_pointer" } else { "ok_values" };
        reader.problem(
            key,
            (
                "'ok_pointer' 说看应答的哪里，'ok_values' 说那里是什么才算成功",
                "'ok_pointer' says where an answer says that it is one, and 'ok_values' what it says there",
            ),
            (
                "两个都写：`ok_pointer = \"/code\"` 和 `ok_values = [\"0\"]`",
                "write both: `ok_pointer = \"/code\"` and `ok_values = [\"0\"]`",
            ),
        );
    } else if reader.has("ok_pointer") && reader.has("ok_contains") {
        reader.problem(
            "ok_contains",
            (
                "应答要么按 'ok_pointer' 判断，要么按 'ok_contains'",
                "an answer is judged by 'ok_pointer' or by 'ok_contains'",
            ),
            ("删去其中一个", "remove one of them"),
        );
    }
    if reader.problems().len() > before {
        return None;
    }
    Some(match (pointer, contains) {
        (Some(pointer), _) => Success::Pointer { pointer, values },
        (None, Some(text)) => Success::Contains(text),
        (None, None) => Success::Status,
    })
}

/// `kind = "webhook"`.
pub(super) fn webhook(reader: &Reader<'_>, around: &Around<'_>) -> Option<Webhook> {
    let url = whole_url(reader, around);
    let web = web(reader, around);
    let token = secret_at_opt(reader, "token_file", around.sources);
    let secret = secret_at_opt(reader, "secret_file", around.sources);
    let advice =
        ("写请求头的名称，如 \"X-Signature\"", "write the name of a header, such as \"X-Signature\"");
    let header = reader.parsed_opt("signature_header", advice, header_name);
    if reader.has("signature_header") && !reader.has("secret_file") {
        reader.problem(
            "signature_header",
            (
                "写了 'signature_header'，却没有签名用的密钥",
                "'signature_header' is there, but no key to sign with",
            ),
            (
                "加上 `secret_file = \"secrets/…\"`，或删去这一行",
                "add `secret_file = \"secrets/…\"`, or remove the line",
            ),
        );
    }
    let success = success(reader);
    let signature = secret.map(|secret| (header.unwrap_or_else(|| "X-Schoolgate-Signature".into()), secret));
    Some(Webhook { url: Secret::from_file_text(url?.as_str()), web, token, signature, success: success? })
}

/// `url`, or `url_file` where the address itself is a secret.
fn whole_url(reader: &Reader<'_>, around: &Around<'_>) -> Option<Url> {
    if reader.has("url") && reader.has("url_file") {
        reader.problem(
            "url_file",
            (
                "'url' 和 'url_file' 的文件里都有地址",
                "the address stands in 'url' and in the file of 'url_file'",
            ),
            ("删去其中一个", "remove one of them"),
        );
        return None;
    }
    if reader.has("url_file") {
        let text = secret_at(reader, "url_file", around.sources)?;
        return secret_url(reader, "url_file", &text);
    }
    if !reader.has("url") {
        reader.problem(
            "url",
            ("缺少 'channel.url'", "'channel.url' is missing"),
            (
                "加上 `url = \"https://…\"`；知道地址就能使用的，写 `url_file = \"secrets/…\"`",
                "add `url = \"https://…\"`, or `url_file = \"secrets/…\"` where whoever knows the address may use it",
            ),
        );
        return None;
    }
    let url = url(reader, "url", "https://notify.example.cn/hook")?;
    encrypted(reader, "url", &url).then_some(url)
}

/// `kind = "http"`.
pub(super) fn templated(reader: &Reader<'_>, around: &Around<'_>) -> Option<Templated> {
    let before = reader.problems().len();
    let words = [("GET", Method::Get), ("POST", Method::Post), ("PUT", Method::Put)];
    let method = if reader.has("method") { reader.word("method", &words) } else { Some(Method::Post) };
    let secret = secret_at_opt(reader, "secret_file", around.sources);
    let url = template(reader, "url", Escape::Url);
    let url_good = url.as_ref().is_some_and(|url| template_url(reader, url));
    let headers = headers(reader);
    let words = [("json", Content::Json), ("form", Content::Form), ("text", Content::Text)];
    let content = reader.word_opt("content", &words).unwrap_or(Content::Json);
    let words = [("utf-8", Charset::Utf8), ("gb18030", Charset::Gb18030)];
    let charset = reader.word_opt("charset", &words).unwrap_or(Charset::Utf8);
    let escape = match content {
        Content::Json => Escape::Json,
        Content::Form => Escape::Url,
        Content::Text => Escape::Plain,
    };
    let body = template_opt(reader, "body", escape);
    if method == Some(Method::Get) && reader.has("body") {
        let advice = (
            "写 `method = \"POST\"`，或把内容放进地址",
            "write `method = \"POST\"`, or put it into the address",
        );
        reader.problem("body", ("GET 没有正文", "a GET has no body"), advice);
    } else if matches!(method, Some(Method::Post | Method::Put)) && !reader.has("body") {
        reader.problem(
            "method",
            ("缺少 'channel.body'", "'channel.body' is missing"),
            ("加上 `body = '…'`，或写 `method = \"GET\"`", "add `body = '…'`, or write `method = \"GET\"`"),
        );
    }
    let advice = ("写号码或账号，1 到 64 个字符", "write a number or id of 1 to 64 characters");
    let recipients = listed_persons(reader, "recipients", advice, |text| is_plain(text, 64));
    let max_chars = number(reader, "max_chars", (10, 2000), 200);
    let web = web(reader, around);
    let success = success(reader);
    let by_status = reader.flag_opt("ok_by_status").unwrap_or(false);
    if success == Some(Success::Status) && !by_status {
        reader.problem(
            "url",
            (
                "没有写怎样的应答算成功：多数短信网关没有发出也回 200",
                "nothing says which answer means success: most gateways answer 200 to what they did not send, too",
            ),
            (
                "加上 `ok_pointer` 和 `ok_values`，或 `ok_contains`；只看状态码就够的，写 `ok_by_status = true`",
                "add `ok_pointer` and `ok_values`, or `ok_contains`; where the status says all, `ok_by_status = true`",
            ),
        );
    }
    // What only follows from a broken template is not told.
    if url.is_some() && body.is_some() == reader.has("body") {
        let all = [url.as_ref(), body.as_ref()].into_iter().flatten().chain(headers.iter().map(|(_, t)| t));
        check_gaps(reader, &all.collect::<Vec<_>>(), !recipients.is_empty());
    }
    let templated = Templated {
        method: method?,
        url: url.filter(|_| url_good)?,
        headers,
        body,
        content,
        charset,
        secret,
        recipients,
        max_chars: usize::try_from(max_chars).unwrap_or(usize::MAX),
        web,
        success: success?,
    };
    (reader.problems().len() == before).then_some(templated)
}

/// Whether the address is one when its gaps are filled.
fn template_url(reader: &Reader<'_>, template: &Template) -> bool {
    let filled = template.filled(|_| "x");
    match Url::parse(&filled) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && server_is_fixed(template) =>
        {
            encrypted(reader, "url", &url)
        }
        _ => {
            quiet(
                reader,
                "url",
                ("'url' 不是地址", "'url' is no address"),
                (
                    "写地址，如 \"https://sms.example.cn/send?to={recipient}\"，不带用户名和密码；服务器不能是占位符",
                    "write one such as \"https://sms.example.cn/send?to={recipient}\", without user name and \
                     password; its server cannot be a gap",
                ),
            );
            false
        }
    }
}

/// Whether no gap can decide which server a message goes to.
fn server_is_fixed(template: &Template) -> bool {
    match template.0.as_slice() {
        [Piece::Plain(_)] => true,
        [Piece::Plain(begin), ..] => {
            begin.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?']))
        }
        _ => false,
    }
}

/// What the templates ask for must be there, and what is there must be asked for.
fn check_gaps(reader: &Reader<'_>, templates: &[&Template], recipients: bool) {
    let used = |piece: &Piece| templates.iter().any(|template| template.0.contains(piece));
    for (piece, key, there) in [
        (Piece::Recipient, "recipients", recipients),
        (Piece::Secret, "secret_file", reader.has("secret_file")),
    ] {
        let gap = if key == "recipients" { "{recipient}" } else { "{secret}" };
        if used(&piece) && !there {
            let message = (
                format!("要填 {gap}，却没有写 '{key}'"),
                format!("{gap} is to be filled, but there is no '{key}'"),
            );
            let advice = (format!("加上 `{key}`，或删去 {gap}"), format!("add `{key}`, or remove {gap}"));
            reader.problem("url", message, advice);
        } else if there && !used(&piece) {
            reader.problem(
                key,
                (
                    format!("写了 '{key}'，却没有用到 {gap}"),
                    format!("'{key}' is there, but {gap} is nowhere"),
                ),
                (format!("在要用的地方写 {gap}"), format!("put {gap} where it belongs")),
            );
        }
    }
    let says = [Piece::Title, Piece::Text, Piece::Place, Piece::Priority];
    if !templates.is_empty() && !says.iter().any(used) {
        reader.problem(
            "url",
            ("请求里没有通知的内容", "the message is nowhere in the request"),
            ("在 `body` 或 `url` 里写 {text} 或 {title}", "put {text} or {title} into `body` or `url`"),
        );
    }
}

fn headers(reader: &Reader<'_>) -> Vec<(String, Template)> {
    let Some(table) = reader.table_opt("headers") else { return Vec::new() };
    let mut found = Vec::new();
    for key in table.keys() {
        if header_name(key).is_err() || OWN_HEADERS.contains(&key.to_ascii_lowercase().as_str()) {
            table.text_opt(key);
            table.problem(
                key,
                (format!("这里不能写 '{key}'"), format!("'{key}' cannot be written here")),
                ("写请求头的名称，自动设置的除外", "write the name of a header that is not set by itself"),
            );
        } else {
            found
                .extend(template_opt(&table, key, Escape::Header).map(|template| (key.to_owned(), template)));
        }
    }
    if found.len() > MAX_HEADERS {
        reader.problem(
            "headers",
            (format!("有 {} 个请求头", found.len()), format!("there are {} headers", found.len())),
            (format!("最多写 {MAX_HEADERS} 个"), format!("write at most {MAX_HEADERS}")),
        );
    }
    table.finish();
    found
}

fn header_name(text: &str) -> Result<String, (&'static str, &'static str)> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if (1..=64).contains(&text.len()) && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err(("这不是请求头的名称", "this is no name of a header"))
    }
}
