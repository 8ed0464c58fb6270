//! [`Token`]: what a descriptor in the publisher's loop stands for, in the 64 bits that epoll keeps of it.
//!
//! Numbers of connections and clients are never given twice, so that what epoll still tells of one that has gone is
//! nobody else's.

/// What is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The container has ended.
    Shim,
    /// A client wants to connect to the listener of this index.
    Listener(usize),
    /// One end of a connection.
    Connection(u64, usize),
    /// Clients sent datagrams to the port of this index.
    Port(usize),
    /// The container answered a client of the port of this index.
    Client(usize, u64),
}

/// Bits of the kind, and of the index of a port.
const KIND: u32 = 3;
const INDEX: u32 = 11;

impl Token {
    pub(super) fn encode(self) -> u64 {
        match self {
            Token::Shim => 0,
            Token::Listener(index) => (index as u64) << KIND | 1,
            Token::Connection(number, 0) => number << KIND | 2,
            Token::Connection(number, _) => number << KIND | 3,
            Token::Port(index) => (index as u64) << KIND | 4,
            Token::Client(index, number) => (number << INDEX | index as u64) << KIND | 5,
        }
    }

    pub(super) fn decode(bits: u64) -> Self {
        let number = bits >> KIND;
        match bits & ((1 << KIND) - 1) {
            1 => Token::Listener(number as usize),
            2 => Token::Connection(number, 0),
            3 => Token::Connection(number, 1),
            4 => Token::Port(number as usize),
            5 => Token::Client((number & ((1 << INDEX) - 1)) as usize, number >> INDEX),
            _ => Token::Shim,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::MAX_PORTS;

    #[test]
    fn decodes_what_it_encodes() {
        let (index, number) = (MAX_PORTS - 1, 1 << 48);
        let tokens = [
            Token::Shim,
            Token::Listener(0),
            Token::Listener(index),
            Token::Connection(number, 0),
            Token::Connection(0, 1),
            Token::Port(index),
            Token::Client(index, number),
            Token::Client(0, 7),
        ];
        for token in tokens {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
