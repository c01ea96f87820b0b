//! Why a call was refused, and how that is told: a gRPC status with a `google.rpc.ErrorInfo` in its
//! details. PROTOCOL.md has the same table for those who read it from outside.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use prost_types::Any;
use sottovoce_proto::ERROR_DOMAIN;
use sottovoce_proto::v1::{DeviceMismatch, ErrorReason, Refused};
use tonic::{Code, Status};
use tonic_types::pb;

use crate::store::ReadError;

/// A refusal: its reason, and what may be said about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    reason: ErrorReason,
    field: Option<&'static str>,
    limit: Option<u64>,
    /// Decimal numbers that go with some reasons, by name.
    number: Option<(&'static str, u64)>,
    retry_after: Option<Duration>,
    /// In a box: refusals are returned everywhere, and few have it.
    mismatch: Option<Box<DeviceMismatch>>,
}

impl Refusal {
    pub(crate) fn because(reason: ErrorReason) -> Self {
        Self {
            reason,
            field: None,
            limit: None,
            number: None,
            retry_after: None,
            mismatch: None,
        }
    }

    /// A field is absent, of the wrong length, out of range or malformed.
    pub(crate) fn field(field: &'static str) -> Self {
        Self::because(ErrorReason::FieldInvalid).at(field)
    }

    pub(crate) fn too_large(field: &'static str, limit: usize) -> Self {
        Self::because(ErrorReason::TooLarge).at(field).limit(limit as u64)
    }

    pub(crate) fn mismatch(mismatch: DeviceMismatch) -> Self {
        Self {
            mismatch: Some(Box::new(mismatch)),
            ..Self::because(ErrorReason::DevicesMismatch)
        }
    }

    pub(crate) fn at(self, field: &'static str) -> Self {
        Self {
            field: Some(field),
            ..self
        }
    }

    pub(crate) fn limit(self, limit: u64) -> Self {
        Self {
            limit: Some(limit),
            ..self
        }
    }

    /// A number that the metadata of some reasons hold beside `limit`.
    pub(crate) fn number(self, name: &'static str, value: u64) -> Self {
        Self {
            number: Some((name, value)),
            ..self
        }
    }

    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    /// The refusal as one answer among several.
    pub(crate) fn into_message(self) -> Refused {
        Refused {
            reason: self.reason.into(),
            field: self.field.unwrap_or_default().to_owned(),
            limit: self.limit.unwrap_or_default(),
            retry_after_ms: self.retry_after.map(crate::clock::millis).unwrap_or_default(),
            mismatch: self.mismatch.map(|mismatch| *mismatch),
        }
    }

    fn details(&self) -> Vec<Any> {
        let mut metadata = HashMap::new();
        if let Some(field) = self.field {
            metadata.insert("field".to_owned(), field.to_owned());
        }
        if let Some(limit) = self.limit {
            metadata.insert("limit".to_owned(), limit.to_string());
        }
        if let Some((name, value)) = self.number {
            metadata.insert(name.to_owned(), value.to_string());
        }
        let info = pb::ErrorInfo {
            reason: self.reason.as_reason().to_owned(),
            domain: ERROR_DOMAIN.to_owned(),
            metadata,
        };
        let mismatch = self.mismatch.as_ref().map(|mismatch| Any {
            type_url: "type.googleapis.com/sottovoce.v1.DeviceMismatch".to_owned(),
            value: mismatch.encode_to_vec(),
        });
        let info = Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
            value: info.encode_to_vec(),
        };
        let retry = self.retry_after.map(|wait| Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: pb::RetryInfo {
                retry_delay: prost_types::Duration::try_from(wait).ok(),
            }
            .encode_to_vec(),
        });
        std::iter::once(info).chain(retry).chain(mismatch).collect()
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = code_and_message(refusal.reason);
        let details = pb::Status {
            code: code as i32,
            message: message.to_owned(),
            details: refusal.details(),
        };
        Self::with_details(code, message, details.encode_to_vec().into())
    }
}

impl From<ReadError> for Refusal {
    fn from(_: ReadError) -> Self {
        Self::because(ErrorReason::Internal)
    }
}

fn code_and_message(reason: ErrorReason) -> (Code, &'static str) {
    use ErrorReason as R;
    match reason {
        R::FieldInvalid => (Code::InvalidArgument, "a field is absent or malformed"),
        R::TooLarge => (Code::InvalidArgument, "larger than the server accepts"),
        R::SignatureInvalid => (Code::InvalidArgument, "a signature does not verify"),
        R::AddressTaken => (Code::AlreadyExists, "the address belongs to another account"),
        R::IdentityTaken => (
            Code::AlreadyExists,
            "a key or device id is in use by another account",
        ),
        R::ServerNotLocal => (Code::InvalidArgument, "the address names another server"),
        R::AccountUnknown => (Code::NotFound, "no such account"),
        R::DeviceUnknown => (Code::NotFound, "no such device"),
        R::ChallengeExpired => (Code::Unauthenticated, "the challenge has expired: begin again"),
        R::ChallengeInvalid => (
            Code::Unauthenticated,
            "not a challenge of this server for this device",
        ),
        R::ChallengeUsed => (Code::Unauthenticated, "the challenge has been used: begin again"),
        R::TokenMissing => (Code::Unauthenticated, "the call needs an access token"),
        R::TokenInvalid => (
            Code::Unauthenticated,
            "the access token is not good: authenticate again",
        ),
        R::PrekeyConflict => (Code::AlreadyExists, "a prekey id is in use with another key"),
        R::PrekeyLimit => (Code::ResourceExhausted, "more prekeys than the server keeps"),
        R::PrekeysMissing => (
            Code::FailedPrecondition,
            "a device has not published all that a session needs",
        ),
        R::DevicesMismatch => (Code::FailedPrecondition, "not exactly the recipient's devices"),
        R::MessageIdConflict => (Code::AlreadyExists, "the message id was used for another request"),
        R::MailboxFull => (
            Code::ResourceExhausted,
            "the recipient's mailbox is full: try later",
        ),
        R::ServerFull => (Code::ResourceExhausted, "the server is full: try later"),
        R::RegistrationClosed => (Code::PermissionDenied, "the server takes no new accounts"),
        R::ShuttingDown => (
            Code::Unavailable,
            "the server is stopping: reconnect with backoff",
        ),
        R::StreamDisplaced => (Code::Aborted, "a newer stream of this device took its place"),
        R::DeadlineExceeded => (Code::DeadlineExceeded, "out of time: repeat with the same ids"),
        R::Unsupported => (Code::Unimplemented, "the server has no such call or encoding"),
        R::RateLimited => (Code::ResourceExhausted, "too many in too short a time: wait"),
        R::Blocked => (Code::PermissionDenied, "the network address is blocked here"),
        R::InviteInvalid => (
            Code::PermissionDenied,
            "the server wants an invite, and this is not one",
        ),
        R::ManifestConflict => (Code::Aborted, "another manifest is the newest"),
        R::AccessDenied => (Code::PermissionDenied, "no such account, or another access key"),
        R::RefreshInvalid => (
            Code::Unauthenticated,
            "the refresh token is not good: authenticate again",
        ),
        R::RefreshReused => (
            Code::Unauthenticated,
            "the refresh token was used before: the session has ended",
        ),
        R::OriginMismatch => (Code::Unauthenticated, "the token is for another origin"),
        R::SessionUnknown => (Code::NotFound, "no such session"),
        R::DeviceBlocked => (Code::PermissionDenied, "the device is shut out"),
        R::ChannelUnknown => (Code::NotFound, "no such channel, or not a member"),
        R::RosterConflict => (Code::Aborted, "the entry does not follow the head"),
        R::RosterRefused => (Code::InvalidArgument, "the entry breaks a rule"),
        R::RosterStale => (Code::FailedPrecondition, "posted under an older roster"),
        R::BlobUnknown => (Code::NotFound, "no such blob or upload"),
        R::UploadOffset => (Code::OutOfRange, "not where the upload ends"),
        R::QuotaExceeded => (Code::ResourceExhausted, "the account's share is used up"),
        R::RecoveryUnknown => (Code::NotFound, "no such recovery blob, or another token"),
        R::SignInThrottled => (Code::ResourceExhausted, "signing in failed too often: wait"),
        R::Internal | R::Unspecified => (Code::Internal, "the server failed: repeat with the same ids"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    #[test]
    fn a_refusal_tells_any_grpc_client_its_reason_and_field() {
        let status = Status::from(Refusal::too_large("messages", 16));
        let info = status.get_error_details().error_info().cloned().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("TOO_LARGE", "sottovoce.v1")
        );
        assert_eq!(info.metadata["field"], "messages");
        assert_eq!(info.metadata["limit"], "16");
    }

    #[test]
    fn the_protocols_table_has_every_reason_with_its_code() {
        let protocol = include_str!("../../proto/PROTOCOL.md");
        for value in 1..=45 {
            let reason = ErrorReason::try_from(value).unwrap();
            let code = format!("{:?}", code_and_message(reason).0);
            let row = protocol
                .lines()
                .find_map(|line| line.strip_prefix(&format!("| `{}` | `", reason.as_reason())))
                .unwrap_or_else(|| panic!("{} is not in the table", reason.as_reason()));
            let written = row.split('`').next().unwrap().replace('_', "");
            assert_eq!(written, code.to_uppercase(), "{}", reason.as_reason());
        }
        assert!(ErrorReason::try_from(46).is_err(), "a new reason: count further");
    }

    #[test]
    fn only_failures_of_the_server_itself_are_internal() {
        for value in 1..=45 {
            let reason = ErrorReason::try_from(value).unwrap();
            let internal = code_and_message(reason).0 == Code::Internal;
            assert_eq!(internal, reason == ErrorReason::Internal);
        }
    }
}
