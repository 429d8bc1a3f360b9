//! Writes SOAP 1.2 requests with WS-Addressing and WS-Security headers, and opens replies: body or fault.

use crate::config::Login;
use crate::model::Wall;
use crate::notice::xml::{BadXml, Node};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use quick_xml::escape::escape;
use sha1::{Digest as _, Sha1};
use std::fmt::Write as _;

/// One operation of a service.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Its name, for messages.
    pub name: &'static str,
    /// Its SOAP action.
    pub action: &'static str,
    /// Whether it needs the login.
    pub signed: bool,
}

const ENVELOPE: &str = concat!(
    r#"<?xml version="1.0" encoding="utf-8"?>"#,
    r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope""#,
    r#" xmlns:wsa="http://www.w3.org/2005/08/addressing""#,
    r#" xmlns:tds="http://www.onvif.org/ver10/device/wsdl""#,
    r#" xmlns:trt="http://www.onvif.org/ver10/media/wsdl""#,
    r#" xmlns:tr2="http://www.onvif.org/ver20/media/wsdl""#,
    r#" xmlns:tev="http://www.onvif.org/ver10/events/wsdl""#,
    r#" xmlns:tt="http://www.onvif.org/ver10/schema""#,
    r#" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"><s:Header>"#
);

const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const DIGEST: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest";
const BASE64_BINARY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";

/// A UsernameToken to be: nonce and time of creation by the camera's clock.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// Whose.
    pub login: &'a Login,
    /// Sixteen random bytes: longer ones are refused by some cameras.
    pub nonce: [u8; 16],
    /// The camera's time.
    pub created: Wall,
}

/// Base64(SHA-1(nonce + created + password)) (WS-Security UsernameToken Profile 1.0, section 3.1).
fn password_digest(nonce: &[u8], created: &str, password: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(nonce);
    hash.update(created.as_bytes());
    hash.update(password.as_bytes());
    BASE64.encode(hash.finalize())
}

/// The whole request. `references` are header elements of the receiver's own, echoed as they are.
#[must_use]
pub fn request(
    operation: Operation,
    to: &str,
    message_id: [u8; 16],
    references: &[String],
    token: Option<Token<'_>>,
    body: &str,
) -> String {
    let mut out = String::with_capacity(2048);
    out.push_str(ENVELOPE);
    let (action, to) = (escape(operation.action), escape(to));
    let written = write!(
        out,
        "<wsa:Action>{action}</wsa:Action><wsa:MessageID>urn:uuid:{}</wsa:MessageID><wsa:ReplyTo>\
         <wsa:Address>http://www.w3.org/2005/08/addressing/anonymous</wsa:Address></wsa:ReplyTo><wsa:To>{to}</wsa:To>",
        uuid(message_id)
    );
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
    references.iter().for_each(|r| out.push_str(r));
    if let Some(token) = token {
        out.push_str(&security(token));
    }
    out.push_str("</s:Header><s:Body>");
    out.push_str(body);
    out.push_str("</s:Body></s:Envelope>");
    out
}

fn security(token: Token<'_>) -> String {
    let created = token.created.to_string();
    let digest = password_digest(&token.nonce, &created, token.login.password.expose());
    let (user, nonce) = (escape(token.login.username.as_str()), BASE64.encode(token.nonce));
    format!(
        r#"<wsse:Security s:mustUnderstand="1" xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}"><wsse:UsernameToken><wsse:Username>{user}</wsse:Username><wsse:Password Type="{DIGEST}">{digest}</wsse:Password><wsse:Nonce EncodingType="{BASE64_BINARY}">{nonce}</wsse:Nonce><wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security>"#
    )
}

/// A random (version 4) UUID from sixteen random bytes.
fn uuid(random: [u8; 16]) -> String {
    let mut bits = u128::from_be_bytes(random);
    bits = (bits & !(0xf << 76)) | (0x4 << 76);
    bits = (bits & !(0x3 << 62)) | (0x2 << 62);
    let (a, b) = (bits >> 96, (bits >> 80) & 0xffff);
    let (c, d) = ((bits >> 64) & 0xffff, (bits >> 48) & 0xffff);
    format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{:012x}", bits & 0xffff_ffff_ffff)
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The first element of the body.
    Body(Node),
    /// The camera refuses.
    Fault(SoapFault),
}

/// A SOAP fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoapFault {
    /// The most particular code, without prefix: `NotAuthorized`, `ActionNotSupported` …
    pub code: String,
    /// The reason as the camera words it, at most 200 characters.
    pub text: String,
}

impl SoapFault {
    /// Whether the login is what it objects to (ONVIF Core Specification, section 5.8.2.3, and WS-Security 12).
    ///
    /// Some devices say so in the text only. Taking too much for a refused login costs half an hour; too little costs
    /// the account.
    #[must_use]
    pub fn about_login(&self) -> bool {
        const CODES: [&str; 4] =
            ["notauthorized", "failedauthentication", "invalidsecurity", "senderunauthorized"];
        let (code, text) = (self.code.to_ascii_lowercase(), self.text.to_ascii_lowercase());
        CODES.contains(&code.as_str())
            || matches!(code.as_str(), "sender" | "client" | "fault")
                && ["authoriz", "authentic", "password"].iter().any(|word| text.contains(word))
    }
}

/// Why a text is no SOAP reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSoap {
    /// Not XML that can be read.
    #[error(transparent)]
    Xml(#[from] BadXml),
    /// XML, but something else.
    #[error("the reply is <{0}>, not a SOAP envelope with a body")]
    Other(String),
}

/// Opens a reply.
///
/// # Errors
/// [`NotSoap`] when there is no envelope with a body.
pub fn open(text: &str) -> Result<Reply, NotSoap> {
    let mut root = Node::parse(text)?;
    let name: String = root.local().chars().take(60).collect();
    if name != "Envelope" {
        return Err(NotSoap::Other(name));
    }
    let Some(mut body) = root.take_child("Body").map(|b| b.detached_from(&root)) else {
        return Err(NotSoap::Other(name));
    };
    if let Some(fault) = body.child("Fault") {
        return Ok(Reply::Fault(read_fault(fault)));
    }
    match body.take_first_child() {
        Some(first) => Ok(Reply::Body(first.detached_from(&body))),
        None => Err(NotSoap::Other(name)),
    }
}

/// SOAP 1.2 (`Code/Value`, nested `Subcode`, `Reason/Text`) and 1.1 (`faultcode`, `faultstring`).
fn read_fault(fault: &Node) -> SoapFault {
    let mut code = fault.text_at(&["faultcode"]);
    let mut level = fault.child("Code");
    while let Some(node) = level {
        code = node.text_at(&["Value"]).or(code);
        level = node.child("Subcode");
    }
    let code = code.unwrap_or("Fault");
    let code = code.rsplit_once(':').map_or(code, |(_, local)| local);
    let text = fault.text_at(&["Reason", "Text"]).or_else(|| fault.text_at(&["faultstring"]));
    SoapFault {
        code: code.chars().take(60).collect(),
        text: text.unwrap_or("no reason given").chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    const PULL: Operation = Operation { name: "PullMessages", action: "urn:pull", signed: true };

    #[test]
    fn signs_like_the_onvif_programmers_guide() {
        let nonce = BASE64.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        assert_eq!(
            password_digest(&nonce, "2010-09-16T07:50:45Z", "userpassword"),
            "tuOSpGlFlIXsozq4HFNeeGeFLEI="
        );
    }

    #[test]
    fn a_request_is_well_formed_whatever_the_names_contain() {
        let login = Login { username: "a<&\"b".into(), password: Secret::from_file_text("p") };
        let token = Token { login: &login, nonce: [7; 16], created: Wall(1_609_430_400_000) };
        let echoed = vec!["<x:Id xmlns:x=\"urn:x\">5</x:Id>".to_owned()];
        let text =
            request(PULL, "http://h/?a=1&b=2", [0xff; 16], &echoed, Some(token), "<tev:PullMessages/>");
        let root = Node::parse(&text).unwrap();
        let header = root.child("Header").unwrap();
        assert_eq!(header.text_at(&["To"]), Some("http://h/?a=1&b=2"));
        assert_eq!(header.text_at(&["Action"]), Some("urn:pull"));
        assert_eq!(header.text_at(&["MessageID"]), Some("urn:uuid:ffffffff-ffff-4fff-bfff-ffffffffffff"));
        assert_eq!(header.text_at(&["Id"]), Some("5"));
        let token = header.path(&["Security", "UsernameToken"]).unwrap();
        assert_eq!(token.text_at(&["Username"]), Some("a<&\"b"));
        assert_eq!(token.text_at(&["Created"]), Some("2020-12-31T16:00:00.000Z"));
        assert_eq!(token.text_at(&["Nonce"]).map(str::len), Some(24), "sixteen bytes");
        assert!(root.path(&["Body", "PullMessages"]).is_some());
    }

    #[test]
    fn reads_faults_of_both_soap_versions() {
        let v12 = r#"<e:Envelope xmlns:e="x"><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>ter:NotAuthorized</e:Value></e:Subcode></e:Code><e:Reason><e:Text xml:lang="en">Sender not authorized</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>"#;
        let v11 = "<Envelope><Body><Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>no such method</faultstring></Fault></Body></Envelope>";
        let text_only = "<E:Envelope><Body><Fault><Code><Value>E:Sender</Value></Code><Reason><Text>Authentication failed</Text></Reason></Fault></Body></E:Envelope>";
        let bare = "<Envelope><Body><Fault/></Body></Envelope>";
        for (text, code, reason, login) in [
            (v12, "NotAuthorized", "Sender not authorized", true),
            (v11, "Client", "no such method", false),
            (text_only, "Sender", "Authentication failed", true),
            (bare, "Fault", "no reason given", false),
        ] {
            let Ok(Reply::Fault(fault)) = open(text) else { panic!("{text}") };
            assert_eq!((fault.code.as_str(), fault.text.as_str()), (code, reason));
            assert_eq!(fault.about_login(), login);
        }
    }

    #[test]
    fn what_is_no_envelope_is_named() {
        assert_eq!(open("<ResponseStatus/>"), Err(NotSoap::Other("ResponseStatus".into())));
        assert_eq!(open("<Envelope><Header/></Envelope>"), Err(NotSoap::Other("Envelope".into())));
        assert_eq!(open("<Envelope><Body/></Envelope>"), Err(NotSoap::Other("Envelope".into())));
        assert_eq!(open("<html>"), Err(NotSoap::Xml(BadXml::Html)));
    }
}
