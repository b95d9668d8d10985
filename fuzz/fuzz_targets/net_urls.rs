//! What somebody types to say where a stream goes or comes from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_media::net::RistUrls;
use strata_media::net::url::Use;

fuzz_target!(|text: &str| {
    match text.parse::<RistUrls>() {
        Ok(urls) => {
            assert_eq!(urls.to_string().parse::<RistUrls>().expect("what was written can be read"), urls);
            let _ = (urls.sender(), urls.receiver(), urls.unused(Use::Sender), urls.unused(Use::Receiver));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
