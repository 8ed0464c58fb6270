//! The connections that a load is put on.

use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// A connection.
pub fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let failed = |why: std::io::Error| format!("connect to {address}: {why}");
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    be_patient(&stream).map_err(failed)?;
    Ok(stream)
}

/// No small segment waits for company, and nothing waits for ever.
pub fn be_patient(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}
