//! [`Inside`]: a network namespace, looked at and used from within by a thread that enters it.

mod ipv6;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Slice, Icmpv4Type};
use netns::interface::InterfaceInfo;
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::sockopt::{ReceiveTimeout, SetBool};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, UnknownCmsg,
    bind, recvfrom, recvmsg, send, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use sha2::{Digest, Sha256};
use sim::AddressState;

use super::PATIENCE;
use crate::lab::{NetError, Transferred};

/// How long an answer to an echo request may take.
pub const ECHO_PATIENCE: Duration = Duration::from_secs(3);
/// `sll_pkttype` of what this namespace itself has sent (linux/if_packet.h).
const OUTGOING: u8 = 4;

/// A network namespace.
pub struct Inside {
    namespace: PathBuf,
}

/// A packet socket that hears what comes in by one interface.
pub struct Ear {
    socket: OwnedFd,
    index: usize,
}

impl Inside {
    /// The one that this thread is in.
    pub fn here() -> Self {
        Inside { namespace: PathBuf::from("/proc/thread-self/ns/net") }
    }

    /// That of a process.
    pub fn of(pid: i32) -> Self {
        Inside { namespace: PathBuf::from(format!("/proc/{pid}/ns/net")) }
    }

    /// One that a file stands for.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Inside { namespace: path.into() }
    }

    /// Does something in there. What is made there (a socket, a process) stays there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(&self.namespace);
        let namespace = namespace.unwrap_or_else(|why| panic!("open {}: {why}", self.namespace.display()));
        std::thread::scope(|scope| {
            let entered = scope.spawn(move || {
                setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter a network namespace");
                work()
            });
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub fn interfaces(&self) -> Vec<InterfaceInfo> {
        self.enter(|| netns::linux::interfaces().expect("list the interfaces"))
    }

    pub fn ifindex(&self, name: &str) -> u32 {
        self.enter(|| nix::net::if_::if_nametoindex(name).unwrap_or_else(|why| panic!("{name}: {why}")))
    }

    /// From /proc/net/route, where numbers are hexadecimal and in the machine's byte order.
    pub fn default_route(&self) -> Option<Ipv4Addr> {
        let table = self.enter(|| std::fs::read_to_string("/proc/thread-self/net/route").expect("read the routes"));
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, "00000000", gateway, _, _, _, _, "00000000", ..] = fields.as_slice() else { return None };
            u32::from_str_radix(gateway, 16).ok().map(|gateway| Ipv4Addr::from(gateway.to_ne_bytes()))
        })
    }

    /// `ip` of iproute2, by hand.
    pub fn ip(&self, words: &[&str]) {
        let output = self.enter(|| Command::new("ip").args(words).output()).expect("run ip");
        assert!(output.status.success(), "ip {}: {}", words.join(" "), super::text(&output.stderr));
    }

    /// One echo request (RFC 792), and whether its answer came back whole.
    pub fn ping(&self, to: Ipv4Addr, size: usize) -> bool {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let echo = IcmpEchoHeader { id: std::process::id() as u16, seq: NEXT.fetch_add(1, Ordering::Relaxed) };
        let payload = crate::frames::pattern(size);
        self.enter(|| exchange_echo(to, echo, &payload))
    }

    /// The same by IPv6 (RFC 4443).
    pub fn ping6(&self, to: Ipv6Addr, size: usize) -> bool {
        self.enter(|| ipv6::exchange_echo(to, &crate::frames::pattern(size)))
    }

    pub fn enable_ipv6(&self, interface: &str) {
        self.enter(|| ipv6::enable(interface));
    }

    pub fn ipv6_addresses(&self, interface: &str) -> BTreeMap<Ipv6Addr, AddressState> {
        self.enter(|| ipv6::addresses(interface))
    }

    pub fn listen(&self, port: u16) -> Result<TcpListener, NetError> {
        self.enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(|why| net_error(&why)))
    }

    pub fn connect(&self, to: Ipv4Addr, port: u16) -> Result<(), NetError> {
        let connected = self.enter(|| TcpStream::connect_timeout(&SocketAddrV4::new(to, port).into(), PATIENCE));
        connected.map(drop).map_err(|why| net_error(&why))
    }

    /// Sends a datagram to a server; its answer.
    pub fn ask(&self, server: Ipv4Addr, port: u16, query: &[u8]) -> Option<Vec<u8>> {
        self.ask_within(PATIENCE, server, port, query)
    }

    /// The same for those who expect none.
    pub fn ask_within(&self, limit: Duration, server: Ipv4Addr, port: u16, query: &[u8]) -> Option<Vec<u8>> {
        let socket = self.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).expect("bind");
        socket.set_read_timeout(Some(limit)).expect("set a deadline");
        socket.connect((server, port)).ok()?;
        socket.send(query).ok()?;
        let mut answer = vec![0; 1 << 16];
        let length = socket.recv(&mut answer).ok()?;
        answer.truncate(length);
        Some(answer)
    }

    /// Serves a port by TCP and UDP until this process ends, as [`crate::lab::Lab::serve`] says.
    pub fn serve(&self, port: u16) {
        let listener = self.listen(port).expect("listen");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that has gone is no reason to serve no other.
                std::thread::spawn(move || stream.and_then(answer));
            }
        });
        let socket = self.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).expect("bind");
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let told = [&buffer[..length], format!(" from {}", peer.ip()).as_bytes()].concat();
                let _ = socket.send_to(&told, peer);
            }
        });
    }

    /// Says something to such a server, and that this is all; what is heard until that is all.
    pub fn tell(&self, to: Ipv4Addr, port: u16, text: &str) -> Result<String, NetError> {
        let to = SocketAddrV4::new(to, port).into();
        let talk = || {
            let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(text.as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            let mut told = String::new();
            stream.read_to_string(&mut told)?;
            Ok(told)
        };
        self.enter(talk).map_err(|why: std::io::Error| net_error(&why))
    }

    pub fn inject(&self, interface: &str, frame: &[u8]) {
        self.enter(|| {
            // Protocol 0: it hears nothing.
            let socket = packet_socket(None);
            bind(socket.as_raw_fd(), &link_address(interface)).expect("bind a packet socket");
            let sent = send(socket.as_raw_fd(), frame, MsgFlags::empty());
            assert_eq!(sent, Ok(frame.len()), "send a frame out of {interface}");
        });
    }

    /// Sends frames as they are out of an interface. What it has no room for is lost, as it is to any sender.
    pub fn inject_all(&self, interface: &str, frames: &mut dyn Iterator<Item = Vec<u8>>) {
        let socket = self.enter(|| {
            let socket = packet_socket(None);
            bind(socket.as_raw_fd(), &link_address(interface)).expect("bind a packet socket");
            socket
        });
        for frame in frames {
            match send(socket.as_raw_fd(), &frame, MsgFlags::empty()) {
                Ok(_) | Err(Errno::ENOBUFS) => {}
                Err(why) => panic!("send a frame out of {interface}: {why}"),
            }
        }
    }

    /// Sends a frame by a packet socket that has an offload header before it, whatever that says.
    pub fn inject_with_header(&self, interface: &str, header: &[u8], frame: &[u8]) -> nix::Result<()> {
        self.enter(|| {
            let socket = packet_socket(None);
            setsockopt(&socket, PacketVnetHdr, &true).expect("ask for offload headers");
            bind(socket.as_raw_fd(), &link_address(interface)).expect("bind a packet socket");
            send(socket.as_raw_fd(), &[header, frame].concat(), MsgFlags::empty()).map(drop)
        })
    }

    pub fn sniff(&self, interface: &str) -> Ear {
        self.enter(|| {
            let socket = packet_socket(Some(SockProtocol::EthAll));
            setsockopt(&socket, PacketAuxdata, &true).expect("ask for tags");
            Ear { socket, index: link_address(interface).ifindex() }
        })
    }
}

nix::setsockopt_impl!(PacketVnetHdr, libc::SOL_PACKET, libc::PACKET_VNET_HDR, bool, SetBool);

#[derive(Clone, Copy)]
struct PacketVnetHdr;

nix::setsockopt_impl!(PacketAuxdata, libc::SOL_PACKET, libc::PACKET_AUXDATA, bool, SetBool);

#[derive(Clone, Copy)]
struct PacketAuxdata;

impl Ear {
    /// What has come in by the interface, up to and with `last`.
    pub fn heard_until(&mut self, last: &[u8]) -> Vec<Vec<u8>> {
        setsockopt(&self.socket, ReceiveTimeout, &TimeVal::seconds(PATIENCE.as_secs().cast_signed()))
            .expect("set a deadline");
        let mut heard: Vec<Vec<u8>> = Vec::new();
        let mut buffer = vec![0; 1 << 17];
        while heard.last().is_none_or(|frame| frame != last) {
            match self.next(&mut buffer) {
                Ok(Some(frame)) => heard.push(frame),
                Ok(None) => {}
                Err(why) => panic!("the frame {last:02x?} does not come ({why}); heard: {heard:02x?}"),
            }
        }
        heard
    }

    /// The next frame, if it came in by the interface. Its outer tag, which the kernel has taken out, is put in again.
    fn next(&self, buffer: &mut [u8]) -> nix::Result<Option<Vec<u8>>> {
        let mut space = nix::cmsg_space!([u8; AUXDATA]);
        let mut pieces = [IoSliceMut::new(buffer)];
        let message = recvmsg::<LinkAddr>(self.socket.as_raw_fd(), &mut pieces, Some(&mut space), MsgFlags::empty())?;
        let is_ours = |from: LinkAddr| from.ifindex() == self.index && from.pkttype() != OUTGOING;
        let tag = message.cmsgs()?.find_map(|told| match told {
            ControlMessageOwned::Unknown(told) => tag_in(&told),
            _ => None,
        });
        let (length, is_ours) = (message.bytes, message.address.is_some_and(is_ours));
        let (addresses, rest) = buffer[..length].split_at(12.min(length));
        Ok(is_ours.then(|| [addresses, tag.unwrap_or_default().as_slice(), rest].concat()))
    }
}

/// The length of `struct tpacket_auxdata` (linux/if_packet.h).
const AUXDATA: usize = 20;

/// The tag that `struct tpacket_auxdata` tells of, as it stood in the frame.
fn tag_in(told: &UnknownCmsg) -> Option<Vec<u8>> {
    const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
    let UnknownCmsg { cmsg_header, data_bytes: data } = told;
    if (cmsg_header.cmsg_level, cmsg_header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    let status = u32::from_ne_bytes(data.get(..4)?.try_into().ok()?);
    let number = |at: usize| Some(u16::from_ne_bytes([*data.get(at)?, *data.get(at + 1)?]).to_be_bytes());
    if status & TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let (control, protocol) = (number(16)?, number(18)?);
    Some([protocol, control].concat())
}

fn exchange_echo(to: Ipv4Addr, echo: IcmpEchoHeader, payload: &[u8]) -> bool {
    let socket = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)
        .expect("make a raw socket");
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(ECHO_PATIENCE.as_secs().cast_signed()))
        .expect("set a deadline");
    let header = Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), payload);
    let request = [&header.to_bytes()[..], payload].concat();
    let [a, b, c, d] = to.octets();
    if sendto(socket.as_raw_fd(), &request, &SockaddrIn::new(a, b, c, d, 0), MsgFlags::empty()).is_err() {
        return false;
    }
    let mut packet = vec![0; 1 << 16];
    loop {
        // What else of ICMP reaches this namespace comes as well: the request itself, if it goes by `lo`.
        let Ok((length, _)) = recvfrom::<SockaddrIn>(socket.as_raw_fd(), &mut packet) else { return false };
        let header_length = usize::from(packet[0] & 0x0f) * 4;
        let message = packet.get(header_length..length).and_then(|bytes| Icmpv4Slice::from_slice(bytes).ok());
        if message
            .is_some_and(|message| message.icmp_type() == Icmpv4Type::EchoReply(echo) && message.payload() == payload)
        {
            return true;
        }
    }
}

/// An open connection to a listener made for it: the end that opened it, and the other.
pub fn connection(from: &Inside, to: &Inside, at: Ipv4Addr) -> (TcpStream, TcpStream) {
    let listener = to.listen(0).expect("listen");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let to = SocketAddrV4::new(at, port).into();
    let near = from.enter(|| TcpStream::connect_timeout(&to, PATIENCE)).expect("connect");
    let (far, _) = listener.accept().expect("accept");
    far.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
    near.set_write_timeout(Some(PATIENCE)).expect("set a deadline");
    (near, far)
}

/// Sends pseudo-random bytes by TCP to a listener made for it.
pub fn transfer(from: &Inside, to: &Inside, at: impl Into<IpAddr>, length: u64) -> Transferred {
    let at = at.into();
    let listener = to.enter(|| TcpListener::bind((any_of(at), 0))).expect("listen");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let receiver = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("accept");
        receive(stream)
    });
    let sent = from.enter(|| {
        let to = SocketAddr::new(at, port);
        let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap_or_else(|why| panic!("connect to {at}: {why}"));
        send_all(stream, length)
    });
    let (received, arrived) = receiver.join().expect("the receiver panicked");
    Transferred { sent, received, length: arrived }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut told = String::new();
    stream.read_to_string(&mut told)?;
    let peer = stream.peer_addr()?.ip();
    stream.write_all(format!("{told} from {peer}").as_bytes())
}

fn send_all(mut stream: TcpStream, length: u64) -> String {
    stream.set_write_timeout(Some(PATIENCE)).expect("set a deadline");
    let mut digest = Sha256::new();
    let mut source = Noise(0x2545_f491_4f6c_dd1d);
    let mut left = length;
    let mut chunk = vec![0; 1 << 16];
    while left > 0 {
        let take = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        source.fill(&mut chunk[..take]);
        stream.write_all(&chunk[..take]).expect("send");
        digest.update(&chunk[..take]);
        left -= take as u64;
    }
    stream.shutdown(Shutdown::Write).expect("say that this is all");
    format!("{:x}", digest.finalize())
}

fn receive(mut stream: TcpStream) -> (String, u64) {
    stream.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
    let mut digest = Sha256::new();
    let mut arrived = 0;
    let mut chunk = vec![0; 1 << 16];
    loop {
        match stream.read(&mut chunk).expect("receive") {
            0 => return (format!("{:x}", digest.finalize()), arrived),
            length => {
                digest.update(&chunk[..length]);
                arrived += length as u64;
            }
        }
    }
}

/// Sends one datagram to a socket made for it; what arrives.
pub fn datagram(from: &Inside, to: &Inside, at: impl Into<IpAddr>, payload: &[u8]) -> Vec<u8> {
    let at = at.into();
    let receiver = to.enter(|| UdpSocket::bind((any_of(at), 0))).expect("bind");
    receiver.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
    let port = receiver.local_addr().expect("a bound socket has an address").port();
    let sender = from.enter(|| UdpSocket::bind((any_of(at), 0))).expect("bind");
    sender.send_to(payload, (at, port)).expect("send");
    let mut arrived = vec![0; 1 << 16];
    let length = receiver.recv(&mut arrived).expect("receive");
    arrived.truncate(length);
    arrived
}

/// All addresses of the same family.
fn any_of(ip: IpAddr) -> IpAddr {
    if ip.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

/// Bytes that no switch can guess: xorshift, so that an error in them can be repeated.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
    }
}

fn packet_socket(protocol: Option<SockProtocol>) -> OwnedFd {
    socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).expect("make a packet socket")
}

/// Where frames of an interface go in and out.
fn link_address(interface: &str) -> LinkAddr {
    let all = nix::ifaddrs::getifaddrs().expect("list the interfaces");
    let of_it = |each: nix::ifaddrs::InterfaceAddress| {
        if each.interface_name != interface {
            return None;
        }
        each.address?.as_link_addr().copied()
    };
    all.into_iter().find_map(of_it).unwrap_or_else(|| panic!("there is no {interface}"))
}

fn net_error(why: &std::io::Error) -> NetError {
    match why.kind() {
        ErrorKind::AddrInUse => NetError::AddressInUse,
        ErrorKind::ConnectionRefused => NetError::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => NetError::TimedOut,
        // Who writes to one that was reset hears of a broken pipe, or that it is not connected.
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected => NetError::Reset,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => NetError::Unreachable,
        _ => panic!("{why}"),
    }
}
