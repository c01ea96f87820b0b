#![no_main]
//! Runs `sottovoce_fuzz::sealed_envelope` on what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| sottovoce_fuzz::sealed_envelope(data));
