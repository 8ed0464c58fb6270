//! The engine's own API, asked over its socket: what it says is bounded in length, and it has a limited time to say it.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes: some thousands of containers.
const LONGEST: usize = 32 << 20;

/// What is at a path of the engine's.
pub(super) async fn get(api: &Path, path: &str) -> io::Result<Vec<u8>> {
    let (status, body) = look(api, path).await?;
    if status == StatusCode::OK { Ok(body) } else { Err(refused(path, status)) }
}

/// What is answered at a path of the engine's, whatever it is.
pub(super) async fn look(api: &Path, path: &str) -> io::Result<(StatusCode, Vec<u8>)> {
    let got = async {
        let (answer, conversation) = said(api, path).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(io::Error::other);
        conversation.abort();
        Ok((status, body?.to_bytes().to_vec()))
    };
    timeout(PATIENCE, got).await?
}

/// The beginning of what is there, and what has to be kept until its end.
pub(super) async fn asked(api: &Path, path: &str) -> io::Result<(Incoming, JoinHandle<hyper::Result<()>>)> {
    let (answer, conversation) = timeout(PATIENCE, said(api, path)).await??;
    if answer.status() == StatusCode::OK {
        return Ok((answer.into_body(), conversation));
    }
    conversation.abort();
    Err(refused(path, answer.status()))
}

async fn said(api: &Path, path: &str) -> io::Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>)> {
    let stream = UnixStream::connect(api).await?;
    let (mut asking, conversation) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let conversation = tokio::spawn(conversation);
    let request = Request::get(path).header("Host", "docker").body(Empty::<Bytes>::new());
    let answer = asking.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
    Ok((answer, conversation))
}

fn refused(path: &str, status: StatusCode) -> io::Error {
    io::Error::other(format!("{path}: {status}"))
}
