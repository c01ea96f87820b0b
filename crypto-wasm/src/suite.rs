//! Suites by name.

use sottovoce_crypto::Suite;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/**
 * Which cryptography a session speaks: `"pqxdh"`, the default, withstands quantum computers; `"x3dh"`, for
 * peers that speak nothing else, does not. A later version may add suites.
 */
export type Suite = "pqxdh" | "x3dh";
"#;

pub(crate) fn suite_name(suite: Suite) -> String {
    let name = match suite {
        Suite::Pqxdh => "pqxdh",
        Suite::X3dh => "x3dh",
        _ => "unknown",
    };
    name.to_owned()
}
