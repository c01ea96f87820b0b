//! Error reasons as they travel: the enum's names, without the prefix protobuf wants on them.

use crate::v1::ErrorReason;

const PREFIX: &str = "ERROR_REASON_";

impl ErrorReason {
    /// The reason as `google.rpc.ErrorInfo` carries it, for example `FIELD_INVALID`.
    #[must_use]
    pub fn as_reason(&self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix(PREFIX).unwrap_or(name)
    }

    /// Reads a reason as `google.rpc.ErrorInfo` carries it; `None` when this version does not know it.
    #[must_use]
    pub fn from_reason(reason: &str) -> Option<Self> {
        let mut name = String::with_capacity(PREFIX.len() + reason.len().min(64));
        name.push_str(PREFIX);
        name.push_str(reason.get(..64).unwrap_or(reason));
        Self::from_str_name(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_survives_the_journey() {
        for value in 0..=45 {
            let reason = ErrorReason::try_from(value).unwrap();
            assert_eq!(ErrorReason::from_reason(reason.as_reason()), Some(reason));
        }
        assert_eq!(ErrorReason::FieldInvalid.as_reason(), "FIELD_INVALID");
        assert_eq!(ErrorReason::from_reason("SOMETHING_NEW"), None);
    }
}
