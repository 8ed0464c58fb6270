//! Bulk transfers and datagrams from one place to another, and who answers them there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sha2::{Digest, Sha256};
use sim::net::{TcpListener, UdpSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::words::there;
use super::{PATIENCE, Sim};
use crate::lab::{Place, Transferred};

impl Sim {
    pub(super) fn transfer_to(&mut self, from: Place<'_>, to: Place<'_>, at: IpAddr, length: u64) -> Transferred {
        let length = usize::try_from(length).expect("a transfer fits into memory");
        let sent = crate::frames::pattern(length);
        let port = 5001;
        let listener = self.world.listen(&there(to), any_of(at), port).expect("listen");
        let received = self.world.transfer(&there(from), at, port, &sent).expect("the transfer comes to its end");
        self.world.close(listener);
        Transferred { sent: digest(&sent), received: digest(&received), length: received.len() as u64 }
    }

    pub(super) fn udp_to(&mut self, from: Place<'_>, to: Place<'_>, at: IpAddr, payload: &[u8]) -> Vec<u8> {
        let port = 5001;
        let receiver = self.world.udp_bind(&there(to), any_of(at), port).expect("bind");
        let sender = self.world.udp_bind(&there(from), any_of(at), 0).expect("bind");
        self.world.udp_send(sender, SocketAddr::new(at, port), payload).expect("send");
        let (_, arrived) = self.world.udp_recv(receiver, PATIENCE).expect("the datagram arrives");
        self.world.close(sender);
        self.world.close(receiver);
        arrived
    }
}

/// Answers each connection, when it has said all.
pub(super) async fn serve_connections(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    loop {
        let (mut stream, peer) = listener.accept().await?;
        sim::task::spawn(async move {
            let mut told = String::new();
            stream.read_to_string(&mut told).await?;
            stream.write_all(format!("{told} from {}", peer.ip()).as_bytes()).await?;
            stream.shutdown().await
        });
    }
}

pub(super) async fn serve_datagrams(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await?;
        let told = [&buffer[..length], format!(" from {}", peer.ip()).as_bytes()].concat();
        socket.send_to(&told, peer).await?;
    }
}

/// All addresses of the same family.
fn any_of(ip: IpAddr) -> IpAddr {
    if ip.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
