//! Whatever a runtime says to `pontoon-cni`.
//!
//! An input is the command, `CNI_ARGS`, the container's id and the interface's name, a line each, and then standard input. It is a call
//! or an error with a code and a message; a previous result that was understood says the same in the call's own version.

#![no_main]

use cni::{Call, Outcome, read};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(5, |byte| *byte == b'\n');
    let mut word = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let [command, arguments, container, ifname] = [word(), word(), word(), word()];
    let stdin = parts.next().unwrap_or_default();
    let variable = |name: &str| {
        Some(match name {
            "CNI_COMMAND" => command.clone(),
            "CNI_ARGS" => arguments.clone(),
            "CNI_CONTAINERID" => container.clone(),
            "CNI_IFNAME" => ifname.clone(),
            "CNI_NETNS" => "/run/netns/a".to_owned(),
            _ => "/opt/cni/bin".to_owned(),
        })
    };
    match read(variable, stdin) {
        Err(refused) => {
            let told = refused.to_json();
            assert!(
                told["code"].as_u64().is_some_and(|code| code > 0)
                    && told["msg"].as_str().is_some_and(|msg| !msg.is_empty())
            );
        }
        Ok(Call::Add(subject, _) | Call::Check(subject, _)) => {
            let key = subject.attachment.key();
            assert_eq!(cni::call::Attachment::of_key(&key).as_ref(), Some(&subject.attachment));
            if let Some(previous) = &subject.configuration.previous {
                let version = subject.configuration.version;
                let told = previous.to_json(version);
                let again = Outcome::deserialize(&told).expect("a result of ours");
                assert_eq!(again.to_json(version), told);
            }
        }
        Ok(Call::Version(_) | Call::Del(..) | Call::Gc(..) | Call::Status(..)) => {}
    }
});
