//! What comes of one comparison.

use std::fmt;

use sottovoce_benches::ratio;

/// One line of the result.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Medians in nanoseconds, ours and the peer's.
    pub(crate) medians_ns: (u128, u128),
    /// The largest ratio that will do.
    pub(crate) mark: f64,
    pub(crate) ours: Sizes,
    pub(crate) peer: Sizes,
}

/// What it costs besides time, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// One message.
    pub(crate) wire: usize,
    /// What has to be saved after it.
    pub(crate) state: usize,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours_ns, peer_ns) = self.medians_ns;
        write!(
            f,
            "ROW name={} ours_ns={ours_ns} peer_ns={peer_ns} ratio={:.2} mark={:.2} wire_bytes={} \
             peer_wire_bytes={} state_bytes={} peer_state_bytes={}",
            self.name,
            ratio(ours_ns, peer_ns),
            self.mark,
            self.ours.wire,
            self.peer.wire,
            self.ours.state,
            self.peer.state,
        )
    }
}
