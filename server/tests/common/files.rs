//! What a server has written to its folder.

use std::path::Path;

/// All that the server has written to its data folder and those in it.
pub(crate) fn files(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(files(&path));
        } else if path.is_file() {
            // Not the socket for orders, which holds nothing.
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    bytes
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
