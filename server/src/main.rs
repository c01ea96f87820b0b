//! `sottovoce-server`: the command line of the reference server.

fn main() {}
