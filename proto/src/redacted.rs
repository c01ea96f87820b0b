//! `Debug` for the messages that hold secrets, so that no log line ever does.

use core::fmt;

use crate::{content, v1};

macro_rules! redacted {
    ($($message:ty),+ $(,)?) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), " { [redacted] }"))
            }
        }
    )+};
}

redacted!(
    v1::CompleteAuthenticationResponse,
    v1::FetchPrekeyBundlesRequest,
    v1::FetchRecoveryBlobRequest,
    v1::GetAccountRequest,
    v1::RefreshTokensRequest,
    v1::RefreshTokensResponse,
    v1::RegisterRequest,
    v1::SendSealedRequest,
    content::Content,
    content::ManifestView,
    content::ChannelInvitation,
    content::SenderKey,
    content::SentCopy,
    content::SessionRenewal,
    content::Text,
    content::content::Body,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_words_are_not_printed() {
        let token = v1::CompleteAuthenticationResponse {
            access_token: "hush-hush".into(),
            ..Default::default()
        };
        assert_eq!(
            format!("{token:?}"),
            "v1::CompleteAuthenticationResponse { [redacted] }"
        );
        let text = content::Text {
            body: "hush-hush".into(),
        };
        assert_eq!(format!("{text:?}"), "content::Text { [redacted] }");
    }
}
