//! The test vectors: for each file of `tests/vectors` how it is made, and how it is checked by itself.
//!
//! An example program writes the files, a test checks them, and another example checks them as WebAssembly.

mod accounts;
mod attachments;
mod backups;
mod by_hand;
mod conversation;
mod draws;
mod handshake;
mod healing;
mod json;
mod linking;
mod padding;
mod people;
mod ratchet;
mod recovery;
mod replay;
mod roster;
mod roster_joining_refusals;
mod roster_people;
mod roster_refusals;
mod safety_numbers;
mod sealed_sender;
mod sender_key_refusals;
mod sender_keys;
mod session;
mod statement_refusals;
mod statements;
mod storage;
mod trace;
mod trust;

use serde_json::Value;

/// One file of vectors.
pub(crate) struct Vectors {
    /// Its name in `tests/vectors`.
    pub(crate) name: &'static str,
    /// What is in it.
    pub(crate) stored: &'static str,
    /// Plays everything anew and writes it down.
    pub(crate) generate: fn() -> Value,
    /// Takes what the file has through the library: what is good comes out as the file says, what is not is
    /// refused.
    pub(crate) check: fn(&Value),
}

impl Vectors {
    /// The file as it should be.
    pub(crate) fn text(&self) -> String {
        format!("{:#}\n", (self.generate)())
    }

    /// The file as it is.
    pub(crate) fn read(&self) -> Value {
        serde_json::from_str(self.stored).unwrap()
    }
}

macro_rules! vectors {
    ($($name:literal: $module:ident :: $generate:ident, $check:ident;)*) => {
        /// All of them.
        pub(crate) const ALL: &[Vectors] = &[$(Vectors {
            name: $name,
            stored: include_str!(concat!("../vectors/", $name)),
            generate: $module::$generate,
            check: $module::$check,
        }),*];
    };
}

vectors! {
    "session.json": session::generate, check;
    "handshake_x3dh.json": handshake::generate_x3dh, check;
    "handshake_pqxdh.json": handshake::generate_pqxdh, check;
    "ratchet.json": ratchet::generate, check;
    "healing.json": healing::generate, check;
    "padding.json": padding::generate, check;
    "storage.json": storage::generate, check;
    "statements.json": statements::generate, check;
    "attachments.json": attachments::generate, check;
    "sealed_sender.json": sealed_sender::generate, check;
    "sender_keys.json": sender_keys::generate, check;
    "roster.json": roster::generate, check;
    "accounts.json": accounts::generate, check;
    "linking.json": linking::generate, check;
    "recovery.json": recovery::generate, check;
}
