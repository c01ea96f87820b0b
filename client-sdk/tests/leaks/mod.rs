//! What is said and done with a server, and what of it must not be found there.

pub(crate) mod needles;
pub(crate) mod postgres;
pub(crate) mod secrets;
pub(crate) mod talk;

use std::path::Path;

pub(crate) fn everything_in(folder: &Path) -> Vec<u8> {
    let mut everything = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let kind = entry.file_type().expect("it has one");
        if kind.is_dir() {
            everything.extend(everything_in(&entry.path()));
        } else if kind.is_file() {
            // The socket that commands come in by is no file, and holds nothing.
            everything.extend(std::fs::read(entry.path()).expect("a file"));
        }
    }
    everything
}
