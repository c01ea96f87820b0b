//! How objects are named. Nothing in a name comes from a client, and nobody who sees one can ask for the
//! blob: its id is another.

use object_store::path::Path;

/// Names the objects of one blob: 16 random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StorageKey(pub(crate) [u8; 16]);

impl StorageKey {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// `a5/a5…`: spread over 256 folders, so that none holds too many and a listing can go one by one.
    pub(super) fn folder(self) -> Path {
        let name = self.hex();
        let shelf = name.get(..SHELF_LEN).unwrap_or_default().to_owned();
        Path::from_iter([shelf, name])
    }

    /// `a5/a5…/00000000`.
    pub(super) fn part(self, index: u64) -> Path {
        self.folder().join(format!("{index:08}"))
    }

    fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key that a folder is of; none if it is not one of ours.
    pub(super) fn of_folder(path: &Path) -> Option<Self> {
        let mut parts = path.parts();
        let (shelf, name) = (parts.next()?, parts.next()?);
        let key = Self::from_hex(name.as_ref())?;
        (parts.next().is_none() && name.as_ref().get(..SHELF_LEN) == Some(shelf.as_ref())).then_some(key)
    }

    /// The key and index that an object is of; none if it is not one of ours.
    pub(super) fn of_part(path: &Path) -> Option<(Self, u64)> {
        let name = path.filename()?;
        let index = name.parse().ok()?;
        let key = Self::of_folder(&path.parts().take(2).collect())?;
        (key.part(index) == *path).then_some((key, index))
    }

    fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        if text.len() != 2 * bytes.len()
            || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// Whether a folder at the top is one of ours: two hexadecimal digits.
pub(super) fn is_shelf(path: &Path) -> bool {
    let name = path.as_ref();
    name.len() == SHELF_LEN && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

const SHELF_LEN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_it_was_written_and_nothing_else_is() {
        let key = StorageKey([0xa5; 16]);
        let folder = "a5/a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";
        assert_eq!(key.folder().as_ref(), folder);
        assert_eq!(StorageKey::of_folder(&key.folder()), Some(key));
        assert_eq!(key.part(12).as_ref(), format!("{folder}/00000012"));
        assert_eq!(StorageKey::of_part(&key.part(12)), Some((key, 12)));
        for foreign in [
            "a5",
            "a6/a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
            "a5/A5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
            "a5/a5a5",
            "photos/2024",
            "x/a5/a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
        ] {
            assert_eq!(StorageKey::of_folder(&Path::from(foreign)), None, "{foreign}");
        }
        for foreign in ["12", "000000012", "+0000012", "0000001x"] {
            let path = Path::from(format!("{folder}/{foreign}"));
            assert_eq!(StorageKey::of_part(&path), None, "{foreign}");
        }
        assert!(is_shelf(&Path::from("0f")) && !is_shelf(&Path::from("0F")) && !is_shelf(&Path::from("0f0")));
    }
}
