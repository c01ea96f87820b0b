//! Holds the tables of `OPERATING.md` to the code they are made of.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::config::Config;

/// Set to anything, has the tests write the tables instead of comparing them.
const WRITE: &str = "SOTTOVOCE_TEST_WRITE";

/// Compares what stands between the manual's marks for `table` with `text`.
#[track_caller]
pub(crate) fn holds(table: &str, text: &str) {
    // Several tests write it.
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("OPERATING.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {table} -->\n"),
        format!("<!-- end of {table} -->\n"),
    );
    let (before, rest) = manual.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (old, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, format!("{before}{begin}{text}{end}{after}")).unwrap();
    } else {
        assert_eq!(old, text, "run this test with {WRITE}=1 to write the table");
    }
}

/// A field as its source has it.
struct Field {
    key: String,
    about: String,
    kind: String,
}

/// The public structs of a source and their fields, in order.
fn structs(source: &str) -> HashMap<String, Vec<Field>> {
    let mut found = HashMap::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let head = line
            .strip_prefix("pub struct ")
            .or_else(|| line.strip_prefix("pub(super) struct "));
        let Some(name) = head.and_then(|rest| rest.strip_suffix(" {")) else {
            continue;
        };
        let (mut fields, mut about, mut renamed) = (Vec::new(), String::new(), None);
        for line in lines.by_ref().map(str::trim).take_while(|line| *line != "}") {
            if let Some(doc) = line.strip_prefix("/// ") {
                about.push_str(if about.is_empty() { "" } else { " " });
                about.push_str(doc);
            } else if let Some(rest) = line.strip_prefix("#[serde(rename = \"") {
                renamed = rest.split('"').next().map(str::to_owned);
            } else if let Some((name, kind)) =
                line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "))
            {
                fields.push(Field {
                    key: renamed.take().unwrap_or_else(|| name.to_owned()),
                    about: without_default(&std::mem::take(&mut about)),
                    kind: kind.trim_end_matches(',').to_owned(),
                });
            }
        }
        found.insert(name.to_owned(), fields);
    }
    found
}

/// A sentence that says no more than the default does has its own column.
fn without_default(about: &str) -> String {
    let kept: Vec<_> = about
        .split_inclusive(". ")
        .filter(|sentence| !sentence.starts_with("Default ") || sentence.contains([':', ';']))
        .collect();
    kept.concat().trim_end().to_owned()
}

/// One setting.
struct Row {
    key: String,
    default: String,
    about: String,
    kind: String,
}

fn rows() -> Vec<Row> {
    let mut sources = structs(include_str!("config.rs"));
    sources.extend(structs(include_str!("config/parts.rs")));
    let mut storage = structs(include_str!("config/storage.rs"));
    // In memory it is of another shape.
    sources.extend(
        storage
            .remove("StorageSettings")
            .map(|fields| ("StorageConfig".to_owned(), fields)),
    );
    sources.extend(structs(include_str!("limits.rs")));
    let mut rows = Vec::new();
    let defaults = serde_json::to_value(Config::default()).unwrap();
    collect(&sources, "Config", "", &defaults, &mut rows);
    rows
}

fn collect(
    sources: &HashMap<String, Vec<Field>>,
    name: &str,
    prefix: &str,
    defaults: &Value,
    rows: &mut Vec<Row>,
) {
    let fields = &sources[name];
    let known: Vec<_> = fields.iter().map(|field| field.key.as_str()).collect();
    for key in defaults.as_object().unwrap().keys() {
        assert!(
            known.contains(&key.as_str()),
            "{name} has {key}, its source as read here does not"
        );
    }
    for field in fields {
        let default = &defaults[&field.key];
        let key = format!("{prefix}{}", field.key);
        assert!(!field.about.is_empty(), "{key} is not documented");
        if field.kind == "RateLimits" {
            // Their table says more of them, and is held to the code by a test of its own.
            continue;
        }
        if let Some(inner) = field
            .kind
            .strip_prefix("Option<")
            .and_then(|kind| kind.strip_suffix('>'))
            && let Some(parts) = sources.get(inner)
        {
            rows.extend(parts.iter().map(|part| Row {
                key: format!("{key}.{}", part.key),
                default: written(&Value::Null),
                about: part.about.clone(),
                kind: part.kind.clone(),
            }));
            continue;
        }
        if sources.contains_key(&field.kind) {
            collect(sources, &field.kind, &format!("{key}."), default, rows);
            continue;
        }
        let mut push = |key: String, default: &Value| {
            rows.push(Row {
                key,
                default: written(default),
                about: field.about.clone(),
                kind: field.kind.clone(),
            });
        };
        match default {
            Value::Object(parts) => parts
                .iter()
                .for_each(|(part, default)| push(format!("{key}.{part}"), default)),
            default => push(key, default),
        }
    }
}

fn written(default: &Value) -> String {
    match default {
        Value::Null => "unset".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        other => other.to_string(),
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = "| setting | default | what it is |\n|---|---|---|\n".to_owned();
    for row in rows {
        text.push_str(&format!(
            "| `{}` | {} | {} |\n",
            row.key,
            row.default,
            row.about.replace('|', "\\|")
        ));
    }
    text
}

#[test]
fn the_tables_of_settings_and_limits_are_those_of_the_code() {
    let (limits, settings): (Vec<_>, Vec<_>) =
        rows().into_iter().partition(|row| row.key.starts_with("limits."));
    assert!(settings.len() > 10 && limits.len() > 20);
    for row in &limits {
        assert!(
            !row.key.ends_with(".secs"),
            "{}: a duration needs `#[serde(with = \"seconds\")]`",
            row.key
        );
    }
    holds("settings", &table(&settings));
    holds("limits", &table(&limits));
}

#[test]
fn what_is_text_is_known_as_text() {
    for row in rows() {
        let is_text = [
            "ServerName",
            "String",
            "Option<String>",
            "Option<Secret>",
            "Option<NatsUrl>",
            "Database",
        ]
        .contains(&row.kind.as_str());
        assert_eq!(
            crate::config::TEXT.contains(&row.key.as_str()),
            is_text,
            "{}",
            row.key
        );
    }
}
