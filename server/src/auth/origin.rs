//! The web origin a token is bound to: a token that a page has lost is of no use to another page, nor to
//! a program that does not pretend to be that page's browser.

use http::HeaderMap;
use http::header::ORIGIN;
use sha2::{Digest, Sha256};

/// Before what stands for an origin, so that it stands for nothing else.
const LABEL: &[u8] = b"Sottovoce-v1 web origin";

/// What stands for the origin of a call; none when no web page makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin(pub(crate) Option<[u8; 32]>);

impl Origin {
    /// The origin that the browser says, in the one spelling browsers have for it (RFC 6454, section 6.2).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get(ORIGIN).map(|origin| {
            Sha256::new()
                .chain_update(LABEL)
                .chain_update(origin.as_bytes())
                .finalize()
                .into()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_the_same_when_their_text_is_and_no_origin_is_none_of_them() {
        let of = |text: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = text {
                headers.insert(ORIGIN, text.parse().unwrap());
            }
            Origin::of(&headers)
        };
        let here = of(Some("https://chat.example"));
        assert_eq!(here, of(Some("https://chat.example")));
        for other in [None, Some(""), Some("null"), Some("https://chat.example:8443")] {
            assert_ne!(here, of(other), "{other:?}");
        }
        assert_ne!(of(None), of(Some("")));
    }
}
