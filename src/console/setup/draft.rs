//! What the wizard gathered, as the files of a configuration; each line knows which field it came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most entries of a list.
const MAX_ENTRIES: usize = 2000;
/// Longest name of a secret's file, in characters.
const MAX_NAME_CHARS: usize = 64;

/// A table of the configuration with its keys as docs/configuration.md has them.
pub(super) type Table = Map<String, Value>;

/// The first configuration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// `[site]`.
    pub(super) site: Table,
    /// `[[place]]`.
    #[serde(default)]
    pub(super) places: Vec<Table>,
    /// `[[bus]]`; a `password` is sealed into a file of its own.
    #[serde(default)]
    pub(super) buses: Vec<Table>,
    /// `[[device]]`.
    #[serde(default)]
    pub(super) devices: Vec<Table>,
    /// `[[rule]]`.
    #[serde(default)]
    pub(super) rules: Vec<Table>,
    /// `[[destination]]`, if there is one already; its `secret` is sealed into a file of its own.
    #[serde(default)]
    pub(super) destination: Option<Table>,
}

/// Something to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Wrong {
    /// Where: `site.name`, `devices[2].address`.
    pub(super) field: String,
    /// What, in Chinese.
    pub(super) zh: String,
    /// What, and what to write instead.
    pub(super) en: String,
}

impl Wrong {
    pub(super) fn new(field: impl Into<String>, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { field: field.into(), zh: zh.into(), en: en.into() }
    }
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// Its path below the directory of the configuration.
    pub(super) name: &'static str,
    pub(super) text: String,
    /// The field of each line.
    fields: Vec<String>,
}

impl Sheet {
    fn line(&mut self, field: &str, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.fields.push(field.to_owned());
    }

    /// The field of a line, counted from 1.
    pub(super) fn field(&self, line: usize) -> &str {
        line.checked_sub(1).and_then(|at| self.fields.get(at)).map_or("", String::as_str)
    }
}

/// A secret that was typed, and where it goes below the directory of the configuration.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) file: String,
    pub(super) secret: crate::model::Secret,
}

/// What is written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) sheets: Vec<Sheet>,
    pub(super) secrets: Vec<Typed>,
    pub(super) wrong: Vec<Wrong>,
}

impl Draft {
    /// The files; `own` are the tables that setup itself decides.
    pub(super) fn written(&self, own: &str) -> Written {
        let mut written = Written::default();
        let mut main = Sheet { name: "gateway.toml", ..Sheet::default() };
        written.table(&mut main, "[site]", "site", &self.site, None);
        for line in own.lines() {
            main.line("", line);
        }
        let mut field = Sheet { name: "conf.d/20-devices.toml", ..Sheet::default() };
        written.list(&mut field, ("[[place]]", "places"), &self.places, None);
        written.list(&mut field, ("[[bus]]", "buses"), &self.buses, Some("password"));
        written.list(&mut field, ("[[device]]", "devices"), &self.devices, None);
        let mut rules = Sheet { name: "conf.d/40-rules.toml", ..Sheet::default() };
        written.list(&mut rules, ("[[rule]]", "rules"), &self.rules, None);
        let mut platforms = Sheet { name: "conf.d/50-platforms.toml", ..Sheet::default() };
        if let Some(destination) = &self.destination {
            written.table(&mut platforms, "[[destination]]", "destination", destination, Some("secret"));
        }
        written.sheets.extend([main, field, rules, platforms]);
        written
    }
}

impl Written {
    fn list(
        &mut self,
        sheet: &mut Sheet,
        (head, name): (&str, &str),
        tables: &[Table],
        secret: Option<&str>,
    ) {
        if tables.len() > MAX_ENTRIES {
            let (zh, en) = (format!("最多 {MAX_ENTRIES} 条"), format!("at most {MAX_ENTRIES} entries"));
            self.wrong.push(Wrong::new(name, zh, en));
        }
        for (at, table) in tables.iter().take(MAX_ENTRIES).enumerate() {
            self.table(sheet, head, &format!("{name}[{at}]"), table, secret);
        }
    }

    fn table(&mut self, sheet: &mut Sheet, head: &str, name: &str, table: &Table, secret: Option<&str>) {
        sheet.line(name, head);
        for (key, value) in table {
            let field = format!("{name}.{key}");
            if !is_key(key) || key.ends_with("_file") {
                // Whoever sets up chooses no files of this machine.
                self.wrong.push(Wrong::new(
                    field,
                    "向导里不能写这个键",
                    "this key cannot be written by the wizard",
                ));
                continue;
            }
            if secret == Some(key.as_str()) {
                let id =
                    table.get("id").and_then(Value::as_str).filter(|id| is_name(id)).unwrap_or("unnamed");
                let file = format!("secrets/{id}-{key}");
                sheet.line(&field, &format!("{key}_file = \"{file}\""));
                match value.as_str().filter(|text| !text.trim().is_empty()) {
                    Some(text) => {
                        let secret = crate::model::Secret::from_file_text(text);
                        self.secrets.push(Typed { file, secret });
                    }
                    None => self.wrong.push(Wrong::new(field, "请填写密码", "write the secret")),
                }
                continue;
            }
            if let Some(text) = toml_of(value) {
                sheet.line(&field, &format!("{key} = {text}"));
            }
        }
        sheet.line(name, "");
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= MAX_NAME_CHARS && !text.starts_with('.') && text.chars().all(plain)
}

/// A value on one line; nothing for what was left empty.
fn toml_of(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(several) => {
            format!("[{}]", several.iter().filter_map(toml_of).collect::<Vec<_>>().join(", "))
        }
        Value::Object(table) => {
            let pairs = table
                .iter()
                .filter_map(|(key, value)| Some(format!("{} = {}", quoted(key), toml_of(value)?)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
    })
}

/// A basic string: one line, whatever is in it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn draft(value: Value) -> Draft {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_was_typed_comes_back_out_and_every_line_knows_its_field() {
        let nasty = "王\"老\\师\n[[rule]]\u{1}#";
        let draft = draft(json!({
            "site": {"gateway": "gw-1", "name": nasty, "school_code": null},
            "buses": [{"id": "b", "kind": "mqtt", "port": 1883, "password": "s3cret"}],
            "devices": [{"id": "d", "at": [0.25, 0.5]}, {"id": "e", "deep": {"a b": true}}],
        }));
        let written = draft.written("[store]\ndir = \"x\"\n");
        assert_eq!(written.wrong, []);
        let main: toml::Table = written.sheets[0].text.parse().unwrap();
        assert_eq!(main["site"]["name"].as_str(), Some(nasty));
        assert!(main.contains_key("store") && !main.contains_key("rule"));
        let field: toml::Table = written.sheets[1].text.parse().unwrap();
        assert_eq!(field["bus"][0]["password_file"].as_str(), Some("secrets/b-password"));
        assert_eq!(field["device"][1]["deep"]["a b"].as_bool(), Some(true));
        assert_eq!(written.secrets[0].secret.expose(), "s3cret");
        assert!(written.sheets.iter().all(|sheet| !sheet.text.contains("s3cret")));
        for sheet in &written.sheets {
            assert_eq!(sheet.text.lines().count(), sheet.fields.len());
        }
        let line = written.sheets[1].text.lines().position(|line| line.starts_with("at =")).unwrap() + 1;
        assert_eq!(written.sheets[1].field(line), "devices[0].at");
    }

    #[test]
    fn the_wizard_names_no_files_and_no_keys_that_are_none() {
        let draft = draft(json!({
            "site": {"gateway": "g", "a = 1\nb": 2},
            "destination": {"id": "../../x", "secret_file": "/etc/shadow", "secret": ""},
        }));
        let written = draft.written("");
        let fields: Vec<&str> = written.wrong.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(fields, ["site.a = 1\nb", "destination.secret", "destination.secret_file"]);
        assert!(!written.sheets.iter().any(|sheet| sheet.text.contains("shadow")));
    }
}
