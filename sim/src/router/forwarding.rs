//! [`Forwarding`]: the sysctls of a namespace that say whether it passes on what is not for itself.
//!
//! The rules it keeps, all of them those of Linux' `net.ipv4` (`inet_forward_change` in net/ipv4/devinet.c):
//!
//! * To switch `ip_forward` switches every interface and those to come, and turns `accept_redirects` round.
//! * What counts is the switch of the interface by which a packet comes in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What says whether a namespace forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forwarding {
    /// `ip_forward`.
    on: bool,
    /// `conf/all/accept_redirects`.
    accept_redirects: bool,
    /// `conf/default/forwarding`: of interfaces to come.
    default: bool,
    /// `conf/INTERFACE/forwarding`, where that is not as the default.
    interfaces: BTreeMap<String, bool>,
}

impl Default for Forwarding {
    fn default() -> Self {
        Forwarding { on: false, accept_redirects: true, default: false, interfaces: BTreeMap::new() }
    }
}

impl Forwarding {
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Writes `ip_forward`. What is so already changes nothing else.
    pub(crate) fn set(&mut self, on: bool) {
        if self.on != on {
            *self = Forwarding { on, accept_redirects: !on, default: on, interfaces: BTreeMap::new() };
        }
    }

    /// Writes the switch of one interface.
    pub(crate) fn set_interface(&mut self, interface: &str, on: bool) {
        if on == self.default {
            self.interfaces.remove(interface);
        } else {
            self.interfaces.insert(interface.to_owned(), on);
        }
    }

    /// Whether what comes in by an interface is passed on.
    pub(crate) fn of(&self, interface: &str) -> bool {
        self.interfaces.get(interface).copied().unwrap_or(self.default)
    }

    /// An interface has gone, and its switch with it.
    pub(crate) fn forget(&mut self, interface: &str) {
        self.interfaces.remove(interface);
    }

    /// The interfaces that forward though the host as a whole does not.
    pub(crate) fn forwarded(&self) -> Vec<String> {
        let own = self.interfaces.iter().filter(|(_, forwards)| **forwards && !self.on);
        own.map(|(name, _)| name.clone()).collect()
    }

    /// Puts all of it back as it was. An interface that came in between is as the default.
    pub(crate) fn restore(&mut self, before: &Forwarding) {
        if !before.on {
            self.clone_from(before);
        }
    }

    /// In words that [`Forwarding::from_words`] understands. An interface's name has no blanks.
    pub(crate) fn to_words(&self) -> String {
        let digit = u8::from;
        let mut words = format!(
            "on={} accept_redirects={} default={}",
            digit(self.on),
            digit(self.accept_redirects),
            digit(self.default)
        );
        for (name, forwards) in &self.interfaces {
            // To a string nothing can fail to be written.
            let _ = write!(words, " {name}={}", digit(*forwards));
        }
        words
    }

    pub(crate) fn from_words(words: &str) -> Option<Self> {
        let mut pairs = words.split(' ').map(|word| {
            let (name, value) = word.rsplit_once('=')?;
            match value {
                "0" => Some((name.to_owned(), false)),
                "1" => Some((name.to_owned(), true)),
                _ => None,
            }
        });
        let mut next = |expected: &str| pairs.next()?.filter(|(name, _)| name == expected).map(|(_, value)| value);
        let (on, accept_redirects, default) = (next("on")?, next("accept_redirects")?, next("default")?);
        Some(Forwarding { on, accept_redirects, default, interfaces: pairs.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_is_put_back_whatever_came_between() {
        let mut forwarding = Forwarding::default();
        forwarding.set_interface("uplink0", true);
        forwarding.set_interface("a=b", true);
        let before = Forwarding::from_words(&forwarding.to_words()).expect("its own words");
        assert_eq!(before, forwarding);
        assert_eq!(before.forwarded(), ["a=b", "uplink0"]);
        forwarding.set(true);
        assert!(forwarding.of("eth1") && forwarding.is_on() && forwarding.forwarded().is_empty());
        forwarding.set_interface("uplink0", false);
        forwarding.restore(&before);
        assert_eq!(forwarding, before);
        assert!(forwarding.of("uplink0") && !forwarding.of("eth1"));
        assert_eq!(Forwarding::from_words("on=2"), None);
    }
}
