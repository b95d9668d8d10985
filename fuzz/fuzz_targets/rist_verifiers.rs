//! A file of users and their verifiers, as `ristsrppasswd` prints it: what is taken is taken line by line, in any order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_media::rist::auth::{Verifiers, VerifiersError};

fuzz_target!(|text: &str| {
    let alone = |line: &str| Verifiers::parse(line);
    let count = text.lines().filter(|line| !line.trim().is_empty()).count();
    match Verifiers::parse(text) {
        Ok(_) => {
            assert!(count > 0);
            assert!(text.lines().filter(|line| !line.trim().is_empty()).all(|line| alone(line).is_ok()));
            let backwards: Vec<_> = text.lines().rev().collect();
            assert!(Verifiers::parse(&backwards.join("\n")).is_ok());
        }
        Err(VerifiersError::Line { line, reason }) => {
            let named = text.lines().nth(line - 1).expect("a line that is there");
            let same = VerifiersError::Line { line: 1, reason };
            assert_eq!(alone(named).expect_err("the line that is wrong"), same);
        }
        Err(error) => assert_eq!(matches!(error, VerifiersError::Empty), count == 0),
    }
});
