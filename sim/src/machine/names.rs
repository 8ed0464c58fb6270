//! Who answers for names on the host: sockets of the daemon's at the gateways' addresses.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use netns::backend::BackendError;
use netns::names::{NameTable, Response, Transport, unavailable};

use super::{DAEMON, HOST, Machine};

/// The port of name servers (RFC 1035).
const DOMAIN: u16 = 53;

/// Answers for names on one network.
#[derive(Debug)]
pub(super) struct Responder {
    socket: u64,
    table: NameTable,
}

impl Machine {
    /// Answers for names at a gateway's address from now on, or from another table.
    pub(crate) fn serve_names(&mut self, key: &str, gateway: Ipv4Addr, table: NameTable) -> Result<(), BackendError> {
        if let Some(responder) = self.responders.get_mut(key) {
            responder.table = table;
            return Ok(());
        }
        let socket = self.new_socket();
        let bound = self.namespace(HOST).bind_datagrams(socket, DAEMON, SocketAddrV4::new(gateway, DOMAIN));
        bound.map_err(|why| BackendError::Failed {
            operation: "listen for questions at",
            object: gateway.to_string(),
            cause: why.to_string(),
            hint: None,
        })?;
        self.responders.insert(key.to_owned(), Responder { socket, table });
        Ok(())
    }

    /// Answers for names no more.
    pub(crate) fn stop_names(&mut self, key: &str) {
        let now = self.clock.now();
        if let Some(responder) = self.responders.remove(key) {
            self.namespace(HOST).close(responder.socket, now);
        }
    }

    /// Answers the questions that have come. There is nobody behind the host to pass any on to.
    pub(crate) fn answer_names(&mut self) {
        let now = self.clock.now();
        let Machine { responders, namespaces, turn, .. } = self;
        let Some(host) = namespaces.get_mut(&HOST) else { return };
        for responder in responders.values() {
            while let Ok(Some((from, _, query))) = host.stack.receive_datagram(responder.socket) {
                let SocketAddr::V4(from) = from else { continue };
                if !responder.table.serves(*from.ip()) {
                    continue;
                }
                *turn += 1;
                let beside = responder.table.beside.get(from.ip()).map_or(&[][..], Vec::as_slice);
                let others: Vec<&NameTable> =
                    beside.iter().filter_map(|key| responders.get(key)).map(|other| &other.table).collect();
                let answer = match responder.table.respond_beside(&others, &query, Transport::Udp, *turn) {
                    Response::Answer(answer) => Some(answer),
                    Response::Forward => unavailable(&query),
                    Response::Ignore => None,
                };
                if let Some(answer) = answer {
                    // Who has no route back gets no answer.
                    let _ = host.send_datagram(responder.socket, from, &answer, now);
                }
            }
        }
    }

    /// They are threads of the daemon.
    pub(super) fn end_responders(&mut self) {
        let keys: Vec<String> = self.responders.keys().cloned().collect();
        keys.iter().for_each(|key| self.stop_names(key));
    }
}
