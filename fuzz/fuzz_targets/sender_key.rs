#![no_main]
//! Runs `sottovoce_fuzz::sender_key` on what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| sottovoce_fuzz::sender_key(data));
