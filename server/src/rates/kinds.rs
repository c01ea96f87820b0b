//! Which call draws from which bucket.

use crate::rates::{Rate, RateLimits};

/// What is counted for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceRate {
    Sends,
    Posts,
    PrekeyFetches,
    Uploads,
    Acknowledgements,
    Calls,
}

/// What is counted for a network address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressRate {
    Connections,
    Calls,
    Registrations,
    SignIns,
    SealedSends,
    PrekeyFetches,
    RecoveryFetches,
}

/// What is counted for the account that a call is about. Only its handler knows which that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountRate {
    SealedSends,
    PrekeyFetches,
    RecoveryFetches,
}

impl DeviceRate {
    pub(crate) const ALL: [Self; 6] = [
        Self::Sends,
        Self::Posts,
        Self::PrekeyFetches,
        Self::Uploads,
        Self::Acknowledgements,
        Self::Calls,
    ];

    /// What a call with a token draws from. Frames of a `Connect` stream are drawn for as they come.
    pub(crate) fn of_call(path: &str) -> Self {
        match path {
            "/sottovoce.v1.MailboxService/Send" | "/sottovoce.v1.MailboxService/SendBatch" => Self::Sends,
            "/sottovoce.v1.MailboxService/Acknowledge" => Self::Acknowledgements,
            "/sottovoce.v1.ChannelService/CreateChannel"
            | "/sottovoce.v1.ChannelService/AppendRosterEntry"
            | "/sottovoce.v1.ChannelService/Post" => Self::Posts,
            "/sottovoce.v1.PrekeyService/FetchPrekeyBundles" => Self::PrekeyFetches,
            "/sottovoce.v1.BlobService/BeginUpload"
            | "/sottovoce.v1.BlobService/UploadPart"
            | "/sottovoce.v1.BlobService/FinishUpload"
            | "/sottovoce.v1.BlobService/DownloadBlob"
            | "/sottovoce.v1.BlobService/RetainBlob"
            | "/sottovoce.v1.BlobService/ReleaseBlob" => Self::Uploads,
            _ => Self::Calls,
        }
    }

    pub(crate) fn of(self, limits: &RateLimits) -> Rate {
        match self {
            Self::Sends => limits.sends_per_device,
            Self::Posts => limits.posts_per_device,
            Self::PrekeyFetches => limits.prekey_fetches_per_device,
            Self::Uploads => limits.uploads_per_device,
            Self::Acknowledgements => limits.acknowledgements_per_device,
            Self::Calls => limits.calls_per_device,
        }
    }
}

impl AddressRate {
    pub(crate) const ALL: [Self; 7] = [
        Self::Connections,
        Self::Calls,
        Self::Registrations,
        Self::SignIns,
        Self::SealedSends,
        Self::PrekeyFetches,
        Self::RecoveryFetches,
    ];

    /// What a call without a token draws from, beside what every call does.
    pub(crate) fn of_call(path: &str) -> Option<Self> {
        match path {
            "/sottovoce.v1.AccountService/Register" => Some(Self::Registrations),
            "/sottovoce.v1.AccountService/UpdateManifest"
            | "/sottovoce.v1.AuthService/BeginAuthentication"
            | "/sottovoce.v1.AuthService/CompleteAuthentication"
            | "/sottovoce.v1.AuthService/RefreshTokens" => Some(Self::SignIns),
            "/sottovoce.v1.AccountService/FetchRecoveryBlob" => Some(Self::RecoveryFetches),
            "/sottovoce.v1.MailboxService/SendSealed" => Some(Self::SealedSends),
            "/sottovoce.v1.PrekeyService/FetchPrekeyBundles" => Some(Self::PrekeyFetches),
            _ => None,
        }
    }

    pub(crate) fn of(self, limits: &RateLimits) -> Rate {
        match self {
            Self::Connections => limits.connections_per_address,
            Self::Calls => limits.calls_per_address,
            Self::Registrations => limits.registrations_per_address,
            Self::SignIns => limits.sign_ins_per_address,
            Self::SealedSends => limits.sealed_sends_per_address,
            Self::PrekeyFetches => limits.prekey_fetches_per_address,
            Self::RecoveryFetches => limits.recovery_fetches_per_address,
        }
    }
}

impl AccountRate {
    pub(crate) const ALL: [Self; 3] = [Self::SealedSends, Self::PrekeyFetches, Self::RecoveryFetches];

    pub(crate) fn of(self, limits: &RateLimits) -> Rate {
        match self {
            Self::SealedSends => limits.sealed_sends_per_recipient,
            Self::PrekeyFetches => limits.prekey_fetches_per_recipient,
            Self::RecoveryFetches => limits.recovery_fetches_per_recipient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Call, Token};

    #[test]
    fn a_kind_is_found_where_it_stands() {
        for (place, kind) in DeviceRate::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
        for (place, kind) in AddressRate::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
        for (place, kind) in AccountRate::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }

    #[test]
    fn every_path_named_here_is_a_call_of_the_protocol() {
        let source = include_str!("kinds.rs");
        for (at, prefix) in source.match_indices("\"/sottovoce.v1.") {
            let path = source[at + 1..].split('"').next().unwrap();
            // The search above finds itself.
            if path.len() >= prefix.len() {
                assert!(Call::at(path).is_some(), "{path}");
            }
        }
        let drawn = |token, path: &str| {
            let call = Call::at(path).unwrap();
            assert_ne!(call.token, token, "{path}");
        };
        drawn(Token::Needed, "/sottovoce.v1.AccountService/Register");
        drawn(Token::Ignored, "/sottovoce.v1.MailboxService/Send");
    }
}
