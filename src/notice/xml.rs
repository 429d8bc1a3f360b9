//! Reads the XML that devices send into a small tree, with limits on everything, and writes the little that is echoed.
//!
//! Prefixes are chosen by the camera's maker and are often declared wrongly, so elements are found by local name.
//! A document type declaration is refused outright: it is the way entity bombs come in, and SOAP forbids it
//! (SOAP 1.2 Part 1, section 5).

use quick_xml::XmlVersion;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::QName;
use quick_xml::reader::Reader;

/// Largest reply that is read, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// Deepest nesting of elements.
pub const MAX_DEPTH: usize = 64;
/// Most elements in one reply.
pub const MAX_ELEMENTS: usize = 20_000;

/// Why a text is not the XML that was hoped for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadXml {
    /// The camera's web server answered with a page for people.
    #[error(
        "an HTML page came back, not SOAP: is the address the device service, as in http://<host>/onvif/device_service?"
    )]
    Html,
    /// It declares a document type.
    #[error("the reply declares a document type (DTD), which SOAP forbids")]
    Doctype,
    /// Elements are nested too deeply.
    #[error("elements are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// Too many elements.
    #[error("the reply has more than {MAX_ELEMENTS} elements")]
    TooMany,
    /// There is no element at all, or it never ends.
    #[error("the reply is empty or cut off")]
    Truncated,
    /// Not well-formed.
    #[error("the reply is not well-formed XML at byte {at}: {what}")]
    Malformed {
        /// Where, in bytes from the start.
        at: u64,
        /// What the parser says.
        what: String,
    },
}

/// One element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Name as written, with its prefix.
    name: String,
    /// Attributes as written, namespace declarations among them.
    attributes: Vec<(String, String)>,
    /// Elements inside.
    children: Vec<Node>,
    /// Text directly inside.
    text: String,
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

impl Node {
    /// Reads a whole document.
    ///
    /// # Errors
    /// [`BadXml`] when it is none or exceeds a limit.
    pub fn parse(text: &str) -> Result<Self, BadXml> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if looks_like_html(text) {
            return Err(BadXml::Html);
        }
        let mut reader = Reader::from_str(text);
        reader.config_mut().allow_dangling_amp = true;
        let mut open: Vec<Node> = Vec::new();
        let mut count = 0usize;
        loop {
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    return Err(BadXml::Malformed { at: reader.error_position(), what: error.to_string() });
                }
            };
            match event {
                Event::Start(tag) => {
                    count += 1;
                    check_limits(count, open.len())?;
                    open.push(Self::from_tag(&tag));
                }
                Event::Empty(tag) => {
                    count += 1;
                    check_limits(count, open.len())?;
                    let node = Self::from_tag(&tag);
                    match open.last_mut() {
                        Some(parent) => parent.children.push(node),
                        None => return Ok(node),
                    }
                }
                Event::End(_) => {
                    let node = open.pop().ok_or(BadXml::Truncated)?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(node),
                        None => return Ok(node),
                    }
                }
                Event::Text(text) => append(&mut open, &text.xml10_content()),
                Event::CData(text) => append(&mut open, &text.xml10_content()),
                Event::GeneralRef(reference) => append(&mut open, &resolve(&reference)),
                Event::DocType(_) => return Err(BadXml::Doctype),
                Event::Eof => return Err(BadXml::Truncated),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            }
        }
    }

    fn from_tag(tag: &BytesStart<'_>) -> Self {
        let attributes = tag
            .attributes()
            .with_checks(false)
            .flatten()
            .map(|a| {
                let value = a
                    .normalized_value(XmlVersion::Implicit1_0)
                    .map_or_else(|_| a.value.to_string(), std::borrow::Cow::into_owned);
                (a.key.into_inner().to_owned(), value)
            })
            .collect();
        let QName(name) = tag.name();
        Self { name: name.to_owned(), attributes, ..Self::default() }
    }

    /// Its name without the prefix.
    #[must_use]
    pub fn local(&self) -> &str {
        local(&self.name)
    }

    /// Its own text, trimmed.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// The attribute of this local name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| local(key) == name).map(|(_, value)| value.as_str())
    }

    /// The first element of this local name directly inside.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.local() == name)
    }

    /// Every element of this local name directly inside.
    pub fn each<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |c| c.local() == name)
    }

    /// The element at the end of a path of local names.
    #[must_use]
    pub fn path(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |node, name| node.child(name))
    }

    /// The text at the end of a path of local names, if there is any.
    #[must_use]
    pub fn text_at(&self, names: &[&str]) -> Option<&str> {
        self.path(names).map(Self::text).filter(|t| !t.is_empty())
    }

    /// Takes the first element of this local name directly inside.
    pub fn take_child(&mut self, name: &str) -> Option<Self> {
        self.children.iter_mut().find(|c| c.local() == name).map(std::mem::take)
    }

    /// Takes over the namespace declarations of the element it stood in, so that it can stand alone.
    #[must_use]
    pub fn detached_from(mut self, outer: &Self) -> Self {
        for (key, value) in outer.attributes.iter().filter(|(key, _)| is_declaration(key)) {
            if !self.attributes.iter().any(|(known, _)| known == key) {
                self.attributes.push((key.clone(), value.clone()));
            }
        }
        self
    }

    /// Takes the first element inside, whatever its name.
    pub fn take_first_child(&mut self) -> Option<Self> {
        self.children.first_mut().map(std::mem::take)
    }

    /// The children of the first element of this local name, written out again, each with every namespace
    /// declaration that is in force where it stands and marked `wsa:IsReferenceParameter`
    /// (WS-Addressing 1.0 SOAP Binding, section 3.3).
    #[must_use]
    pub fn echoed_children(&self, name: &str) -> Vec<String> {
        let mut out = Vec::new();
        self.echo_into(name, &[], &mut out);
        out
    }

    fn echo_into(&self, name: &str, outer: &[(String, String)], out: &mut Vec<String>) -> bool {
        let scope = self.scope(outer);
        if self.local() == name {
            for child in &self.children {
                let mut text = String::new();
                child.write(&mut text, Some(&child.scope(&scope)));
                out.push(text);
            }
            return true;
        }
        self.children.iter().any(|c| c.echo_into(name, &scope, out))
    }

    fn scope(&self, outer: &[(String, String)]) -> Vec<(String, String)> {
        let mut scope = outer.to_vec();
        for (key, value) in self.attributes.iter().filter(|(key, _)| is_declaration(key)) {
            scope.retain(|(known, _)| known != key);
            scope.push((key.clone(), value.clone()));
        }
        scope
    }

    /// `scope` is given for the outermost element only: its declarations replace the element's own.
    fn write(&self, out: &mut String, scope: Option<&[(String, String)]>) {
        out.push('<');
        out.push_str(&self.name);
        if let Some(scope) = scope {
            scope.iter().for_each(|(key, value)| write_attribute(out, key, value));
            const WSA: &str = "http://www.w3.org/2005/08/addressing";
            write_attribute(out, "xmlns:schoolgate-wsa", WSA);
            write_attribute(out, "schoolgate-wsa:IsReferenceParameter", "true");
        }
        for (key, value) in &self.attributes {
            let written = scope.is_some() && (is_declaration(key) || local(key) == "IsReferenceParameter");
            if !written {
                write_attribute(out, key, value);
            }
        }
        out.push('>');
        out.push_str(&escape(self.text.as_str()));
        self.children.iter().for_each(|c| c.write(out, None));
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

fn is_declaration(key: &str) -> bool {
    key == "xmlns" || key.starts_with("xmlns:")
}

fn write_attribute(out: &mut String, key: &str, value: &str) {
    out.push(' ');
    out.push_str(key);
    out.push_str("=\"");
    out.push_str(&escape(value));
    out.push('"');
}

fn looks_like_html(text: &str) -> bool {
    let head: String = text.chars().take(64).collect::<String>().to_ascii_lowercase();
    head.starts_with("<!doctype html") || head.starts_with("<html")
}

fn check_limits(count: usize, depth: usize) -> Result<(), BadXml> {
    if count > MAX_ELEMENTS {
        return Err(BadXml::TooMany);
    }
    if depth >= MAX_DEPTH {
        return Err(BadXml::TooDeep);
    }
    Ok(())
}

fn append(open: &mut [Node], text: &str) {
    if let Some(node) = open.last_mut() {
        node.text.push_str(text);
    }
}

/// An entity nobody declared is kept as it was written: better a strange name than no camera.
fn resolve(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return character.to_string();
    }
    let name = reference.xml10_content();
    resolve_predefined_entity(&name).map_or_else(|| format!("&{name};"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_hurt_and_says_why() {
        let deep = "<a>".repeat(65) + &"</a>".repeat(65);
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
        let bomb = r#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>"#;
        for (text, expected) in [
            (bomb, BadXml::Doctype),
            (&deep, BadXml::TooDeep),
            (&many, BadXml::TooMany),
            ("", BadXml::Truncated),
            ("   \n", BadXml::Truncated),
            ("<a><b></b>", BadXml::Truncated),
            ("401 Unauthorized", BadXml::Truncated),
            ("<!DOCTYPE html><html></html>", BadXml::Html),
            ("\u{feff}\r\n<HTML><body>login</body></HTML>", BadXml::Html),
        ] {
            assert_eq!(Node::parse(text), Err(expected), "{}", text.chars().take(60).collect::<String>());
        }
        for text in ["<a></b>", "<a b=", "<a><", "</a>", "<a><![CDATA[x</a>"] {
            assert!(Node::parse(text).is_err(), "{text}");
        }
        assert!(Node::parse(&("<a>".repeat(64) + &"</a>".repeat(64))).is_ok());
    }

    #[test]
    fn forgives_what_does_no_harm() {
        let node =
            Node::parse("<x:a k='1 &amp; 2'>A & B &lt;&#x95e8;&unknown; <![CDATA[<c>]]></x:a>").unwrap();
        assert_eq!(node.local(), "a");
        assert_eq!(node.attribute("k"), Some("1 & 2"));
        assert_eq!(node.text(), "A & B <门&unknown; <c>");
    }

    #[test]
    fn echoes_elements_with_the_declarations_in_force() {
        let text = r#"<s:E xmlns:s="soap" xmlns:t="urn:t"><r:ReferenceParameters xmlns:r="wsa"><t:Id k="a&amp;b">7 &lt; 8</t:Id><t:Two xmlns:t="urn:other"><t:In/></t:Two></r:ReferenceParameters></s:E>"#;
        let echoed = Node::parse(text).unwrap().echoed_children("ReferenceParameters");
        assert_eq!(echoed.len(), 2);
        let first = Node::parse(&echoed[0]).unwrap();
        assert_eq!((first.local(), first.text(), first.attribute("k")), ("Id", "7 < 8", Some("a&b")));
        assert_eq!(first.attribute("t"), Some("urn:t"));
        assert_eq!(first.attribute("IsReferenceParameter"), Some("true"));
        let second = Node::parse(&echoed[1]).unwrap();
        assert_eq!(second.attribute("t"), Some("urn:other"));
        assert!(second.child("In").is_some());
    }
}
