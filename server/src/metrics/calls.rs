//! The answers to each call, counted by their status.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Histogram, Label, counter, histogram};
use tonic::Code;

use super::table;

/// Status codes there are in gRPC.
pub(super) const CODES: usize = 17;

/// The name of every call that is not one of ours: health, reflection, nonsense.
pub(super) const OTHER: &str = "other";

/// The answers to one call.
pub(super) struct CallCounts {
    pub(super) path: &'static str,
    pub(super) by_code: [AtomicU64; CODES],
    pub(super) seconds: Histogram,
}

impl CallCounts {
    pub(super) fn new(path: &'static str) -> Self {
        Self {
            path,
            by_code: std::array::from_fn(|_| AtomicU64::new(0)),
            seconds: histogram!(table::CALL_SECONDS, vec![Label::new("call", name(path))]),
        }
    }

    /// Only answers that were given: seventeen lines for each call would be mostly zeros.
    pub(super) fn publish(&self) {
        for (code, answers) in (0..).zip(&self.by_code) {
            let answers = answers.load(Ordering::Relaxed);
            if answers > 0 {
                counter!(table::CALLS, "call" => name(self.path), "code" => code_name(code))
                    .absolute(answers);
            }
        }
    }
}

/// `MailboxService/Send` of `/sottovoce.v1.MailboxService/Send`.
fn name(path: &'static str) -> &'static str {
    path.trim_start_matches("/sottovoce.v1.")
}

/// A status as the gRPC specification writes it.
fn code_name(code: i32) -> &'static str {
    match Code::from_i32(code) {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
