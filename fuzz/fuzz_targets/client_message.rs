//! What clients say to the relay: any text is read or refused, never a panic; and what was read is
//! the same when it is written and read again.

#![no_main]

use bigbrotr_core::message::ClientMessage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(message) = ClientMessage::parse(text) {
        let written = message.to_json();
        let again = ClientMessage::parse(&written).expect("what was written can be read");
        assert_eq!(again.to_json(), written);
    }
});
