#![no_main]
//! Runs `sottovoce_fuzz::account` on what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| sottovoce_fuzz::account(data));
