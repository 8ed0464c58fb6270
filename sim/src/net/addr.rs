//! [`ToSocketAddrs`]: what says where to connect or to bind.

use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::resolve;

/// What says where to connect or to bind: an address, or a name with a port, which is looked up as the container would: in its
/// `/etc/hosts`, then with the servers of its `/etc/resolv.conf`.
pub trait ToSocketAddrs {
    /// The addresses, in the order in which they are to be tried. Those of IPv6 that a name server knows are not among them.
    #[doc(hidden)]
    fn to_socket_addrs(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;
}

/// The addresses of a name.
///
/// # Errors
/// If it has none, or no server answers.
pub async fn lookup_host<A: ToSocketAddrs>(host: A) -> io::Result<impl Iterator<Item = SocketAddr>> {
    Ok(host.to_socket_addrs().await?.into_iter())
}

/// At least one address.
pub(super) async fn addresses(addr: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    let all = addr.to_socket_addrs().await?;
    if all.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any address"));
    }
    Ok(all)
}

async fn named(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = resolve::resolve(host).await?;
    Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

impl ToSocketAddrs for str {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(addr) = self.parse() {
            return Ok(vec![addr]);
        }
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (host, port) = self.rsplit_once(':').ok_or_else(|| invalid("invalid socket address"))?;
        named(host, port.parse().map_err(|_| invalid("invalid port value"))?).await
    }
}

impl ToSocketAddrs for String {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_socket_addrs().await
    }
}

impl ToSocketAddrs for (&str, u16) {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        named(self.0, self.1).await
    }
}

impl ToSocketAddrs for (String, u16) {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        named(&self.0, self.1).await
    }
}

impl ToSocketAddrs for [SocketAddr] {
    fn to_socket_addrs(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
        ready(Ok(self.to_vec()))
    }
}

impl<A: ToSocketAddrs + ?Sized> ToSocketAddrs for &A {
    fn to_socket_addrs(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
        (**self).to_socket_addrs()
    }
}

macro_rules! addresses {
    ($($kind:ty),*) => {$(
        impl ToSocketAddrs for $kind {
            fn to_socket_addrs(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
                ready(Ok(vec![SocketAddr::from(*self)]))
            }
        }
    )*};
}

addresses!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));
