#![no_main]
//! Runs `sottovoce_fuzz::account_seals` on what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| sottovoce_fuzz::account_seals(data));
