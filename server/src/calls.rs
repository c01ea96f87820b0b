//! Every call of the protocol: whether it needs a token, and how large its request may be.

use crate::limits::{MAX_MAILBOX_REQUEST_LEN, MAX_PREKEYS_REQUEST_LEN, MAX_REQUEST_LEN};

/// One call of the protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// `/package.Service/Method`.
    pub(crate) path: &'static str,
    pub(crate) needs_token: bool,
    /// Largest request message, in bytes.
    pub(crate) max_request: usize,
}

impl Call {
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        CALLS.iter().find(|call| call.path == path)
    }
}

const CALLS: &[Call] = &[
    without_token("/sottovoce.v1.AccountService/Register"),
    with_token("/sottovoce.v1.AccountService/GetAccount", MAX_REQUEST_LEN),
    without_token("/sottovoce.v1.AuthService/BeginAuthentication"),
    without_token("/sottovoce.v1.AuthService/CompleteAuthentication"),
    with_token(
        "/sottovoce.v1.PrekeyService/PublishPrekeys",
        MAX_PREKEYS_REQUEST_LEN,
    ),
    with_token("/sottovoce.v1.PrekeyService/FetchPrekeyBundles", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.PrekeyService/CountPrekeys", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.MailboxService/Send", MAX_MAILBOX_REQUEST_LEN),
    with_token("/sottovoce.v1.MailboxService/Subscribe", MAX_REQUEST_LEN),
    with_token("/sottovoce.v1.MailboxService/Acknowledge", MAX_REQUEST_LEN),
];

const fn without_token(path: &'static str) -> Call {
    Call {
        path,
        needs_token: false,
        max_request: MAX_REQUEST_LEN,
    }
}

const fn with_token(path: &'static str, max_request: usize) -> Call {
    Call {
        path,
        needs_token: true,
        max_request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost_types::field_descriptor_proto::{Label, Type};
    use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};

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
                let token = if call.needs_token { "yes" } else { "no" };
                let largest = match call.max_request {
                    MAX_REQUEST_LEN => "16 KiB",
                    MAX_PREKEYS_REQUEST_LEN => "128 KiB",
                    _ => "16 × (128 KiB + 64 B) + 1 KiB",
                };
                let row = format!("| `{service}/{method}` | {token} | {largest} |");
                assert!(table.contains(&row), "{row}");
                paths += 1;
            }
        }
        assert_eq!(paths, CALLS.len());
    }

    /// What `body::parts` rests on: it counts at the top level only.
    #[test]
    fn no_message_inside_a_request_repeats_anything() {
        let files = protocol();
        let methods = files.iter().flat_map(|file| &file.service);
        for method in methods.flat_map(|service| &service.method) {
            let fields = message(&files, method.input_type()).field;
            for inner in fields.iter().filter(|field| field.r#type() == Type::Message) {
                for field in message(&files, inner.type_name()).field {
                    assert_ne!(field.label(), Label::Repeated, "{}", inner.type_name());
                    assert_ne!(field.r#type(), Type::Message, "{}", inner.type_name());
                }
            }
        }
    }
}
