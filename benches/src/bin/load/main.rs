//! Drives a server process over TLS.

fn main() {}
