//! A filter and a frame: any text is a filter or an error within it, any filter prints as a text that is the same filter, and any
//! frame is judged.
//!
//! An input is a text, a zero, and a frame.

#![no_main]

use capture::filter::{Filter, FilterError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (text, frame) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text) else { return };
    match Filter::parse(text) {
        Ok(filter) => {
            let matches = filter.matches(frame, frame.len());
            let printed = filter.to_string();
            match Filter::parse(&printed) {
                Ok(again) => {
                    assert_eq!(again, filter, "{printed}");
                    assert_eq!(again.matches(frame, frame.len()), matches);
                }
                // What is said in full may be longer than a filter may be.
                Err(FilterError { message, .. }) => assert!(message.ends_with("4096 bytes"), "{printed}: {message}"),
            }
        }
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{:?} of {text:?}", error.at);
            assert_eq!(error.render(text).lines().count(), 2, "{text:?}");
        }
    }
});
