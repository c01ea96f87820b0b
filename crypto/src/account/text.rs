//! Bytes as text that people type, read aloud and scan: base32 in Crockford's alphabet, which has no two
//! characters that look alike, with a checksum.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::primitives::kdf::sha256;

/// What a text is of: opens the checksum's input, so that one kind of text is never read as another.
pub(super) type TextLabel = &'static [u8];

/// Bytes of the checksum: one mistyped text in four billion passes.
const CHECKSUM_LEN: usize = 4;

/// Characters in a group, where text is grouped for typing.
pub(super) const GROUP_LEN: usize = 4;

/// Digits and capitals without `I`, `L`, `O` and `U`: in the alphanumeric mode of QR codes.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Bytes and their checksum as text, five bits a character, without groups. The last character is filled
/// up with zero bits.
pub(super) fn to_text(label: TextLabel, bytes: &[u8]) -> Zeroizing<String> {
    let checksum = checksum(label, bytes);
    let mut text = Zeroizing::new(String::with_capacity((bytes.len() + CHECKSUM_LEN) * 2));
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in bytes.iter().chain(&checksum) {
        bits = (bits << 8 | u32::from(*byte)) & 0xfff;
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(character(bits >> held));
        }
    }
    if held > 0 {
        text.push(character(bits << (5 - held)));
    }
    text
}

/// The same with `-` between groups of [`GROUP_LEN`].
pub(super) fn to_grouped_text(label: TextLabel, bytes: &[u8]) -> Zeroizing<String> {
    let plain = to_text(label, bytes);
    let mut text = Zeroizing::new(String::with_capacity(plain.len() + plain.len() / GROUP_LEN));
    for (place, character) in plain.chars().enumerate() {
        if place > 0 && place % GROUP_LEN == 0 {
            text.push('-');
        }
        text.push(character);
    }
    text
}

/// Reads a text of exactly `length` bytes. White space and hyphens are skipped, letters may be of
/// either case, and `O`, `I` and `L` are taken for the digits they look like.
pub(super) fn from_text(
    label: TextLabel,
    text: &str,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, TextError> {
    let whole = length + CHECKSUM_LEN;
    // Enough for a separator after every character; a longer text is not read at all.
    if text.len() > 4 * whole {
        return Err(TextError::NotText);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(whole + 1));
    let (mut bits, mut held) = (0_u32, 0_u32);
    for character in text.bytes().filter(|c| !c.is_ascii_whitespace() && *c != b'-') {
        bits = (bits << 5 | value(character).ok_or(TextError::NotText)?) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            if bytes.len() == whole {
                return Err(TextError::NotText);
            }
            bytes.push(u8::try_from(bits >> held & 0xff).map_err(|_| TextError::NotText)?);
        }
    }
    // What fills up the last character is zero, and less than a character.
    if bytes.len() != whole || held >= 5 || bits & ((1 << held) - 1) != 0 {
        return Err(TextError::NotText);
    }
    let (content, sum) = bytes.split_at_checked(length).ok_or(TextError::NotText)?;
    if sum != checksum(label, content) {
        return Err(TextError::Mistyped);
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Why a text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextError {
    /// Too long, too short, or with characters that are never in one.
    NotText,
    /// The checksum is not this text's.
    Mistyped,
}

fn checksum(label: TextLabel, bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let [a, b, c, d, ..] = sha256(&[label, bytes]);
    [a, b, c, d]
}

fn character(bits: u32) -> char {
    let value = usize::try_from(bits & 31).unwrap_or_default();
    ALPHABET.get(value).copied().map_or('0', char::from)
}

fn value(character: u8) -> Option<u32> {
    let character = match character.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    let place = ALPHABET.iter().position(|known| *known == character)?;
    u32::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    const LABEL: TextLabel = b"label";

    #[test]
    fn text_has_these_characters() {
        // SHA-256("label" || 00 44 32 14 c7) begins with the checksum.
        let text = to_text(LABEL, &[0x00, 0x44, 0x32, 0x14, 0xc7]);
        assert!(text.starts_with("01234567"));
        assert_eq!(text.len(), 15);
        let sum = sha256(&[LABEL, &[0x00, 0x44, 0x32, 0x14, 0xc7]]);
        assert_eq!(
            from_text(LABEL, &text, 5).unwrap().as_slice(),
            [0x00, 0x44, 0x32, 0x14, 0xc7]
        );
        assert_eq!(checksum(LABEL, &[0x00, 0x44, 0x32, 0x14, 0xc7]), sum[..4]);
    }

    #[test]
    fn text_is_read_however_it_is_typed() {
        let bytes = [0x07; 16];
        let text = to_grouped_text(LABEL, &bytes);
        assert_eq!(text.len(), 32 + 7);
        let typed = format!(" {}\n", text.to_lowercase().replace('-', "  "));
        assert_eq!(from_text(LABEL, &typed, 16).unwrap().as_slice(), bytes);
        let misread = text.replace('0', "O").replace('1', "l");
        assert_eq!(from_text(LABEL, &misread, 16).unwrap().as_slice(), bytes);
    }

    #[test]
    fn a_text_under_another_label_is_refused() {
        let text = to_text(LABEL, &[1; 16]);
        assert_eq!(from_text(b"other", &text, 16), Err(TextError::Mistyped));
    }

    #[test]
    fn spare_bits_have_one_value() {
        let text = to_text(LABEL, &[0xff; 5]);
        let last = value(*text.as_bytes().last().unwrap()).unwrap();
        assert_eq!(last & 7, 0);
        let mut other = text.clone();
        other.pop();
        other.push(character(last | 1));
        assert_eq!(from_text(LABEL, &other, 5), Err(TextError::NotText));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let plain = to_text(LABEL, &bytes);
            prop_assert_eq!(from_text(LABEL, &plain, bytes.len()).unwrap().to_vec(), bytes.clone());
            let grouped = to_grouped_text(LABEL, &bytes);
            prop_assert_eq!(from_text(LABEL, &grouped, bytes.len()).unwrap().to_vec(), bytes.clone());
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,80}", length in 0_usize..20) {
            let _ = from_text(LABEL, &text, length);
        }

        #[test]
        fn one_wrong_character_is_noticed(bytes in any::<[u8; 16]>(), place in 0_usize..32, by in 1_u32..32) {
            let text = to_text(LABEL, &bytes);
            let wrong: String = text
                .chars()
                .enumerate()
                .map(|(at, c)| if at == place { character(value(c as u8).unwrap() ^ by) } else { c })
                .collect();
            prop_assert!(from_text(LABEL, &wrong, 16).is_err());
        }
    }
}
