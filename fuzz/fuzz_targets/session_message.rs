#![no_main]
//! Runs `sottovoce_fuzz::session_message` on what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| sottovoce_fuzz::session_message(data));
