//! Keys kept for messages that are late: records apart from the session they belong to.

use js_sys::{Array, Object};
use sottovoce_crypto as crypto;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, object};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** A key kept for a message that is late. */
export interface SkippedKeyRecord {
    /** What to keep it under, unique within its session; 36 bytes, not secret. */
    readonly id: Uint8Array;
    /** What to keep, and to pass to `Session.fromBytes`. Secret: seal it. */
    readonly bytes: Uint8Array;
}

/** What a message did to its session's skipped keys. Save it together with the session. */
export interface SkippedChanges {
    /** Records to keep. */
    readonly added: SkippedKeyRecord[];
    /** The ids of records to erase. One that was never kept may be among them. */
    readonly removed: Uint8Array[];
}
"#;

/// Hands out records.
pub(crate) fn records(records: impl IntoIterator<Item = crypto::SkippedKeyRecord>) -> Result<Array, JsValue> {
    let list = Array::new();
    for record in records {
        list.push(&record_object(&record)?);
    }
    Ok(list)
}

/// Hands out changes.
pub(crate) fn changes(changes: crypto::SkippedChanges) -> Result<Object, JsValue> {
    let removed = Array::new();
    for id in changes.removed {
        removed.push(&array(&id.to_bytes()));
    }
    object([
        ("added", records(changes.added)?.into()),
        ("removed", removed.into()),
    ])
}

fn record_object(record: &crypto::SkippedKeyRecord) -> Result<JsValue, JsValue> {
    let object = object([
        ("id", array(&record.id.to_bytes()).into()),
        ("bytes", array(&record.bytes).into()),
    ])?;
    Ok(object.into())
}
