//! Which manifest somebody has seen, in few enough bytes to say in every message.

use sottovoce_statements::{DeviceManifest, ManifestHash, Verified};

/// Names one manifest of an account: its version, and the hash of its statement. Every message says
/// which manifests of both sides its sender has, so that a server which shows people different ones is
/// found out by the first message that gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestView {
    /// The version, from 1.
    pub version: u64,
    /// SHA-256 of the statement.
    pub hash: ManifestHash,
}

impl ManifestView {
    /// The view of somebody who has this manifest.
    #[must_use]
    pub fn of(manifest: &Verified<DeviceManifest>) -> Self {
        Self {
            version: manifest.version,
            hash: manifest.hash(),
        }
    }

    /// Holds what somebody reports of the same account, in a message that authenticated, against this
    /// view, which is ours.
    #[must_use]
    pub fn compare(&self, reported: &Self) -> ReportedView {
        if reported.version > self.version {
            ReportedView::Newer
        } else if reported.version < self.version {
            ReportedView::Older
        } else if reported.hash == self.hash {
            ReportedView::Same
        } else {
            ReportedView::Conflict
        }
    }

    /// Whether `next` can be what an account that was seen here has become: the same manifest, the next
    /// in the chain, or a later one. Between this and a later one the chain cannot be followed, because
    /// only the newest manifest is served; that the account key signed it is what vouches for it.
    pub(super) fn precedes(&self, next: &Verified<DeviceManifest>) -> Step {
        match next.version.checked_sub(self.version) {
            None => Step::Back,
            Some(0) if next.hash() == self.hash => Step::Stay,
            Some(1) if next.previous == self.hash => Step::Forward,
            Some(0 | 1) => Step::Fork,
            Some(_) => Step::Forward,
        }
    }
}

/// What a reported view means. Nothing of it changes what is trusted: a report is a reason to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedView {
    /// They have what we have.
    Same,
    /// They, or the message, are behind. Nothing to do.
    Older,
    /// They know of a manifest that we have not been shown. Fetch the account; if the server does not
    /// show one at least as new, it keeps it back. Of our own account it means that somebody else makes
    /// manifests under our account key.
    Newer,
    /// The same version, and another manifest: somebody signed two, and shows each to some.
    Conflict,
}

/// Where one manifest stands to another of the same account key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The very same.
    Stay,
    /// Newer, and nothing contradicts it.
    Forward,
    /// Older.
    Back,
    /// Of the same version, or of the next, and not of the same chain.
    Fork,
}
