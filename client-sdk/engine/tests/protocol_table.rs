//! The protocol's tables of client rules and tests, held to what they say.
#![allow(clippy::expect_used, reason = "a failing test is supposed to stop there")]
