//! Events of strangers: read or refused; what was read has the same id when it is written and read
//! again, and its tags and dates can be looked at.

#![no_main]

use bigbrotr_core::event::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(event) = Event::from_json(text) {
        let again = Event::from_json(&event.to_json()).expect("what was written can be read");
        assert_eq!(again, event);
        assert_eq!(again.compute_id(), event.compute_id());
        let _ = (event.expiration(), event.is_protected(), event.d_tag(), event.class());
    }
});
