//! Every call of the protocol: whether it needs a token, and how large its request may be.

use crate::limits::{
    MAX_BATCH_PARTS, MAX_FRAME_LEN, MAX_GRANT_REQUEST_LEN, MAX_MAILBOX_REQUEST_LEN, MAX_PART_REQUEST_LEN,
    MAX_POST_REQUEST_LEN, MAX_PREKEYS_REQUEST_LEN, MAX_REQUEST_LEN, MAX_REQUEST_PARTS,
};

/// One call of the protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// `/package.Service/Method`.
    pub(crate) path: &'static str,
    pub(crate) token: Token,
    /// Largest request message, in bytes.
    pub(crate) max_request: usize,
    /// Most fields of a request message, each element of a repeated one counted, also within those named
    /// in `within`.
    pub(crate) max_parts: usize,
    /// Numbers of the fields that are messages which repeat something themselves.
    pub(crate) within: &'static [u32],
    /// The request is a stream of messages, each at most that long.
    pub(crate) streamed: bool,
}

/// What a call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A token, which is checked before anything is read.
    Needed,
    /// None; one that comes along is not looked at.
    Ignored,
    /// A token, which is then checked as ever, or a capability in the request.
    Optional,
}

impl Call {
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        CALLS.iter().find(|call| call.path == path)
    }
}

pub(crate) const CALLS: &[Call] = &[
    without_token("/sottovoce.v1.AccountService/Register", MAX_REQUEST_LEN),
    either_way("/sottovoce.v1.AccountService/GetAccount", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.AccountService/GetManifestHistory", MAX_REQUEST_LEN),
    without_token("/sottovoce.v1.AccountService/UpdateManifest", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.AccountService/ListDevices", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.AccountService/SetAccessKey", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.AccountService/DeleteAccount", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.AccountService/PutRecoveryBlob", MAX_REQUEST_LEN),
    without_token("/sottovoce.v1.AccountService/FetchRecoveryBlob", MAX_REQUEST_LEN),
    with_token(
        "/sottovoce.v1.AccountService/PutLinkingGrant",
        MAX_GRANT_REQUEST_LEN,
    ),
    without_token("/sottovoce.v1.AccountService/FetchLinkingGrants", MAX_REQUEST_LEN),
    without_token("/sottovoce.v1.AuthService/BeginAuthentication", MAX_REQUEST_LEN),
    without_token(
        "/sottovoce.v1.AuthService/CompleteAuthentication",
        MAX_REQUEST_LEN,
    ),
    without_token("/sottovoce.v1.AuthService/RefreshTokens", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.AuthService/ListSessions", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.AuthService/RevokeSession", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.BlobService/BeginUpload", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.BlobService/UploadPart", MAX_PART_REQUEST_LEN),
    with_token("/sottovoce.v1.BlobService/FinishUpload", MAX_REQUEST_LEN),
    either_way("/sottovoce.v1.BlobService/DownloadBlob", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.BlobService/RetainBlob", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.BlobService/ReleaseBlob", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.ChannelService/CreateChannel", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.ChannelService/AppendRosterEntry", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.ChannelService/GetRosterEntries", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.ChannelService/ListChannels", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.ChannelService/Post", MAX_POST_REQUEST_LEN),
    with_token("/sottovoce.v1.MailboxService/Send", MAX_MAILBOX_REQUEST_LEN),
    without_token("/sottovoce.v1.MailboxService/SendSealed", MAX_MAILBOX_REQUEST_LEN),
    Call {
        max_parts: MAX_BATCH_PARTS,
        within: &[1],
        ..with_token("/sottovoce.v1.MailboxService/SendBatch", MAX_MAILBOX_REQUEST_LEN)
    },
    with_token("/sottovoce.v1.MailboxService/CancelScheduled", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.MailboxService/Subscribe", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.MailboxService/Acknowledge", MAX_REQUEST_LEN),
    Call {
        within: &[1, 2],
        streamed: true,
        ..with_token("/sottovoce.v1.MailboxService/Connect", MAX_FRAME_LEN)
    },
    with_token(
        "/sottovoce.v1.PrekeyService/PublishPrekeys",
        MAX_PREKEYS_REQUEST_LEN,
    ),
    either_way("/sottovoce.v1.PrekeyService/FetchPrekeyBundles", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.PrekeyService/CountPrekeys", MAX_REQUEST_LEN),
    without_token("/sottovoce.v1.ServerService/GetServerInfo", MAX_REQUEST_LEN),
];

const fn without_token(path: &'static str, max_request: usize) -> Call {
    call(path, Token::Ignored, max_request)
}

const fn with_token(path: &'static str, max_request: usize) -> Call {
    call(path, Token::Needed, max_request)
}

const fn either_way(path: &'static str, max_request: usize) -> Call {
    call(path, Token::Optional, max_request)
}

const fn call(path: &'static str, token: Token, max_request: usize) -> Call {
    Call {
        path,
        token,
        max_request,
        max_parts: MAX_REQUEST_PARTS,
        within: &[],
        streamed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost_types::field_descriptor_proto::{Label, Type};
    use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

    fn protocol() -> Vec<FileDescriptorProto> {
        FileDescriptorSet::decode(sottovoce_proto::FILE_DESCRIPTOR_SET)
            .unwrap()
            .file
    }

    fn message(files: &[FileDescriptorProto], name: &str) -> DescriptorProto {
        let named = |message: &&DescriptorProto| name == format!(".sottovoce.v1.{}", message.name());
        let mut messages = files.iter().flat_map(|file| &file.message_type);
        messages.find(named).unwrap().clone()
    }

    #[test]
    fn every_call_of_the_protocol_is_listed_and_in_its_table() {
        let table = include_str!("../../proto/PROTOCOL.md");
        let mut paths = 0;
        for service in protocol().iter().flat_map(|file| &file.service) {
            for method in &service.method {
                let (service, method) = (service.name(), method.name());
                let call = Call::at(&format!("/sottovoce.v1.{service}/{method}")).expect(method);
                let token = match call.token {
                    Token::Needed => "yes",
                    Token::Ignored => "no",
                    Token::Optional => "either",
                };
                let largest = match call.max_request {
                    MAX_REQUEST_LEN => "16 KiB",
                    MAX_PREKEYS_REQUEST_LEN => "128 KiB",
                    MAX_GRANT_REQUEST_LEN => "80 KiB",
                    MAX_PART_REQUEST_LEN => "1025 KiB",
                    MAX_POST_REQUEST_LEN => "136 KiB",
                    MAX_FRAME_LEN => "256 KiB",
                    _ => "16 × (128 KiB + 64 B) + 1 KiB",
                };
                let row = format!("| `{service}/{method}` | {token} | {largest} |");
                assert!(table.contains(&row), "{row}");
                paths += 1;
            }
        }
        assert_eq!(paths, CALLS.len());
    }

    /// What `body::parts` rests on: it counts at the top level, and one level below where it is told to.
    #[test]
    fn whatever_a_message_inside_a_request_repeats_is_counted() {
        let files = protocol();
        let repeats = |field: &FieldDescriptorProto| field.label() == Label::Repeated;
        for service in files.iter().flat_map(|file| &file.service) {
            for method in &service.method {
                let path = format!("/sottovoce.v1.{}/{}", service.name(), method.name());
                let mut within = Vec::new();
                for field in message(&files, method.input_type()).field {
                    if field.r#type() != Type::Message {
                        continue;
                    }
                    let inner = message(&files, field.type_name()).field;
                    if inner.iter().any(repeats) {
                        within.push(u32::try_from(field.number()).unwrap());
                    }
                    for deeper in inner.iter().filter(|field| field.r#type() == Type::Message) {
                        for deepest in message(&files, deeper.type_name()).field {
                            assert!(!repeats(&deepest), "{path}");
                            assert_ne!(deepest.r#type(), Type::Message, "{path}");
                        }
                    }
                }
                assert_eq!(Call::at(&path).unwrap().within, within, "{path}");
            }
        }
    }
}
