//! `[console]`: where people reach the gateway over TLS, and who vouches for them besides their own accounts.

use super::attached::{certificates_opt, secret};
use super::fields::{finish, is_loopback, name_opt, number, url};
use super::listener::{PAIR, listen_advice, with_port};
use super::resolve::Sources;
use super::{ListenTls, server_tls};
use crate::access::Role;
use crate::document::Reader;
use crate::model::Secret;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// Most names by which the gateway is asked.
const MAX_NAMES: usize = 16;
/// Most values of the claim that give a role.
const MAX_CLAIMS: usize = 64;
/// Longest client id, claim or claim's value, in characters.
const MAX_WORD_CHARS: usize = 200;

/// The console.
#[derive(Debug, Clone)]
pub struct Console {
    /// Where it listens, over TLS always.
    pub listen: SocketAddr,
    /// Names and addresses by which it is asked, besides those that it knows itself.
    pub names: Vec<String>,
    /// Its certificate.
    pub certificate: Certificate,
    /// Most connections at a time. 512 unless told otherwise.
    pub max_connections: usize,
    /// A sign-in elsewhere that counts here.
    pub oidc: Option<Oidc>,
}

/// Where a certificate is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// The gateway makes it.
    Own,
    /// Somebody else does; both files are read anew when they change.
    Files(CertificateFiles),
}

/// A certificate with its chain, and its key; both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The directory of the configuration.
    pub base: PathBuf,
    /// The directory of the data, where the key of sealed secrets is.
    pub data_dir: PathBuf,
    /// The certificate, and those between it and its root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A provider of OpenID Connect.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// Who it is; its discovery document is below this.
    pub issuer: Url,
    /// What it calls the gateway.
    pub client_id: String,
    /// What the gateway proves that by.
    pub client_secret: Secret,
    /// What the button says.
    pub name: String,
    /// The claim of the ID token that gives the role; a text or a list of texts.
    pub role_claim: String,
    /// Which value of it gives which role.
    pub roles: BTreeMap<String, Role>,
    /// Certificates that are trusted besides the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
}

/// Reads `[console]`; without it nothing but loopback is served.
pub(super) fn console(reader: Option<Reader<'_>>, data_dir: &Path, sources: &Sources<'_>) -> Option<Console> {
    let reader = reader?;
    let listen = reader.parsed("listen", listen_advice("0.0.0.0:8443"), with_port);
    let names = names(&reader);
    let certificate = certificate(&reader, listen, (data_dir, sources));
    let max_connections = number(&reader, "max_connections", (16, 4096), 512);
    let oidc = reader.table_opt("oidc").map(|table| oidc(table, sources));
    finish(reader, None);
    Some(Console {
        listen: listen?,
        names,
        certificate: certificate?,
        max_connections: usize::try_from(max_connections).unwrap_or(usize::MAX),
        oidc: match oidc {
            None => None,
            Some(oidc) => Some(oidc?),
        },
    })
}

fn names(reader: &Reader<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for (text, spot) in reader.texts("names") {
        if is_name(&text) {
            names.push(text.to_ascii_lowercase());
        } else {
            reader.problems().at(
                &spot,
                (
                    "'names' 里有一项既不是主机名也不是地址",
                    "an entry of 'names' is no host name and no address",
                ),
                (
                    "写名称，如 \"gateway.school.example\" 或 \"192.168.1.5\"，不带 https:// 和端口",
                    "write names such as \"gateway.school.example\" or \"192.168.1.5\", without https:// and port",
                ),
            );
        }
    }
    if names.len() > MAX_NAMES {
        let count = names.len();
        let message = (format!("有 {count} 个名称"), format!("there are {count} names"));
        let advice = (format!("最多留 {MAX_NAMES} 个"), format!("keep at most {MAX_NAMES}"));
        reader.problem("names", message, advice);
    }
    names
}

/// Whether people could write this into the address line: an address, or a name of letters, digits, `-` and `.`.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    text.parse::<IpAddr>().is_ok()
        || (text.len() <= 253 && text.chars().all(plain) && matches!(Host::parse(text), Ok(Host::Domain(_))))
}

fn certificate(
    reader: &Reader<'_>,
    listen: Option<SocketAddr>,
    (data_dir, sources): (&Path, &Sources<'_>),
) -> Option<Certificate> {
    if !reader.has("cert_file") && !reader.has("key_file") {
        return Some(Certificate::Own);
    }
    let path = |key: &str| Some(sources.base.join(Path::new(&reader.text(key)?)));
    let (cert, key) = (path("cert_file"), path("key_file"));
    let cert_pem = certificates_opt(reader, "cert_file", sources);
    let key_pem = if reader.has("key_file") { secret(reader, "key_file", sources) } else { None };
    let tls = ListenTls { listen: listen?, cert_pem: cert_pem?, key_pem: key_pem?, client_ca_pem: None };
    if let Err(wrong) = server_tls(&tls) {
        let message = (
            format!("控制台的证书不能用：{}", wrong.zh),
            format!("the console's certificate cannot be used: {}", wrong.en),
        );
        reader.problem("cert_file", message, PAIR);
        return None;
    }
    Some(Certificate::Files(CertificateFiles {
        base: sources.base.to_owned(),
        data_dir: data_dir.to_owned(),
        cert: cert?,
        key: key?,
    }))
}

fn oidc(reader: Reader<'_>, sources: &Sources<'_>) -> Option<Oidc> {
    let issuer = url(&reader, "issuer", "https://sso.example.cn/realms/schools");
    let issuer = issuer.filter(|issuer| {
        let safe = issuer.scheme() == "https" || is_loopback(issuer);
        if !safe {
            reader.problem(
                "issuer",
                (
                    "'issuer' 没有加密：途中的人可以冒充任何人登录",
                    "'issuer' is not encrypted: whoever is between could sign in as anybody",
                ),
                ("写 https://", "write https://"),
            );
        }
        safe
    });
    let word = |text: &str| {
        let plain = !text.trim().is_empty() && !text.contains(char::is_control);
        if plain && text.chars().count() <= MAX_WORD_CHARS {
            Ok(text.to_owned())
        } else {
            Err(("是空的或太长", "this is empty or too long"))
        }
    };
    let advice = ("写身份认证方给的客户端编号（client id）", "write the client id that the provider gave");
    let client_id = reader.parsed("client_id", advice, word);
    let client_secret = secret(&reader, "client_secret_file", sources);
    let name = name_opt(&reader, "name").unwrap_or_else(|| "统一身份认证 SSO".into());
    let advice = (
        "写说明一个人是什么身份的声明（claim），如 \"groups\"",
        "write the claim that tells what somebody is, such as \"groups\"",
    );
    let role_claim = reader.parsed("role_claim", advice, word);
    let ca_pem = certificates_opt(&reader, "ca_file", sources);
    let bad_ca = reader.has("ca_file") && ca_pem.is_none();
    let roles = roles(&reader);
    finish(reader, Some("client_secret_file"));
    if bad_ca {
        return None;
    }
    Some(Oidc {
        issuer: issuer?,
        client_id: client_id?,
        client_secret: client_secret?,
        name,
        role_claim: role_claim?,
        roles: roles?,
        ca_pem,
    })
}

/// Values of the claim, each with its role. The screen of a guard room is nobody's role: it signs in by itself.
fn roles(reader: &Reader<'_>) -> Option<BTreeMap<String, Role>> {
    let words: Vec<(&str, Role)> =
        Role::ALL.iter().filter(|role| **role != Role::Kiosk).map(|role| (role.as_str(), *role)).collect();
    let table = reader.table("roles")?;
    let roles: BTreeMap<String, Role> =
        table.keys().filter_map(|value| Some((value.to_owned(), table.word_opt(value, &words)?))).collect();
    let written = table.keys().count();
    if written == 0 || written > MAX_CLAIMS {
        let message = (
            format!("[console.oidc.roles] 有 {written} 行"),
            format!("[console.oidc.roles] has {written} lines"),
        );
        let advice = (
            format!("写 1 到 {MAX_CLAIMS} 行，如 `\"school-guards\" = \"guard\"`：没有这些值的人不能登录"),
            format!(
                "write 1 to {MAX_CLAIMS} lines such as `\"school-guards\" = \"guard\"`: whoever has none of \
                 these values is not let in"
            ),
        );
        reader.problem("roles", message, advice);
    }
    table.finish();
    Some(roles)
}
