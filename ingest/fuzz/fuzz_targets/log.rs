#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| liftgate_ingest::fuzz_log(bytes));
