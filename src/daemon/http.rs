//! HTTP/1.1 for the daemon's sockets: a conversation over any stream, bounded whichever way.
//!
//! * A [`Site`] is what there is to be asked for. Its answers are made at once, from values; nothing here knows what they are.
//! * A head has at most [`HEAD`] bytes and a body [`BODY`]; whoever takes longer than [`PATIENCE`] for either, or to say
//!   anything at all, or to read what was answered, is shown the door.
//! * A conversation over the control socket has its client's thread; those over TCP share one, and are at most [`TOGETHER`].
//! * What is no HTTP is 400, what is not there 404 with what is, another method 405.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio_io_timeout::TimeoutStream;

/// The longest head of a request, in bytes.
const HEAD: usize = 16 << 10;
/// The longest body of a request, in bytes.
const BODY: usize = 1 << 20;
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many conversations there may be over TCP at once; further ones wait at the door.
const TOGETHER: usize = 64;

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// What there is to be asked for.
#[derive(Default)]
pub(super) struct Site {
    routes: Vec<Route>,
}

/// What makes an answer of the head of a request and its body.
type Answering = dyn Fn(&Parts, Bytes) -> Answer + Send + Sync;

struct Route {
    method: Method,
    path: &'static str,
    answer: Box<Answering>,
}

impl Site {
    /// The same with one thing more. What may be had by GET may be asked about by HEAD.
    #[must_use]
    pub(super) fn with(
        mut self,
        method: Method,
        path: &'static str,
        answer: impl Fn(&Parts, Bytes) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.routes.push(Route { method, path, answer: Box::new(answer) });
        self
    }

    fn answer(&self, parts: &Parts, body: Bytes) -> Answer {
        let path = parts.uri.path();
        let there = || self.routes.iter().filter(|route| route.path == path);
        if let Some(route) = there().find(|route| route.takes(&parts.method)) {
            return (route.answer)(parts, body);
        }
        let methods: Vec<&str> = there().flat_map(Route::methods).collect();
        if methods.is_empty() {
            let all: Vec<String> =
                self.routes.iter().map(|route| format!("{} {}\n", route.method, route.path)).collect();
            return text(StatusCode::NOT_FOUND, format!("There is no {path} here. There is:\n{}", all.concat()));
        }
        let methods = methods.join(", ");
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, format!("{path} takes {methods}.\n"));
        refused.headers_mut().extend(HeaderValue::from_str(&methods).ok().map(|methods| (ALLOW, methods)));
        refused
    }
}

impl Route {
    fn takes(&self, method: &Method) -> bool {
        self.methods().any(|own| own == method.as_str())
    }

    fn methods(&self) -> impl Iterator<Item = &str> {
        let head = (self.method == Method::GET).then_some("HEAD");
        std::iter::once(self.method.as_str()).chain(head)
    }
}

/// An answer in words.
pub(super) fn text(status: StatusCode, words: impl Into<String>) -> Answer {
    of_type(status, "text/plain; charset=utf-8", words)
}

/// An answer of a type.
pub(super) fn of_type(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.into())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Whether who connected speaks HTTP: it begins with a method, where a request of our own begins with a brace. Waits for the first byte,
/// as long as the socket is set to.
pub(super) fn is_spoken_on(stream: &UnixStream) -> bool {
    let mut first = [0; 1];
    let peeked = rustix::io::retry_on_intr(|| rustix::net::recv(stream, &mut first, RecvFlags::PEEK));
    matches!(peeked, Ok((1, _))) && first[0].is_ascii_uppercase()
}

/// A conversation over the control socket, in this thread, to its end.
///
/// # Errors
/// If there are no descriptors for it.
pub(super) fn serve(stream: UnixStream, site: Site) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    runtime()?.block_on(async {
        converse(tokio::net::UnixStream::from_std(stream)?, Arc::new(site)).await;
        Ok(())
    })
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

async fn converse(stream: impl AsyncRead + AsyncWrite, site: Arc<Site>) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_read_timeout(Some(PATIENCE));
    stream.set_write_timeout(Some(PATIENCE));
    let answer = service_fn(move |request: Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { Ok::<_, std::convert::Infallible>(carry_out(&site, request).await) }
    });
    let mut server = http1::Builder::new();
    server.max_buf_size(HEAD).timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(why) = server.serve_connection(TokioIo::new(Box::pin(stream)), answer).await {
        tracing::debug!("a client over HTTP: {why}");
    }
}

async fn carry_out(site: &Site, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let too_long = || text(StatusCode::PAYLOAD_TOO_LARGE, format!("At most {BODY} bytes may be said.\n"));
    // One that says so before is not waited for.
    if body.size_hint().lower() > BODY as u64 {
        return too_long();
    }
    match tokio::time::timeout(PATIENCE, Limited::new(body, BODY).collect()).await {
        Ok(Ok(body)) => site.answer(&parts, body.to_bytes()),
        Ok(Err(why)) if why.is::<LengthLimitError>() => too_long(),
        Ok(Err(_)) => text(StatusCode::BAD_REQUEST, "The request can not be understood.\n"),
        Err(_) => text(StatusCode::REQUEST_TIMEOUT, "The request did not come to an end.\n"),
    }
}

/// A TCP port that is served until this is dropped; then nothing holds it any more.
#[derive(Debug)]
pub(super) struct Served {
    /// `None` only while it is being dropped.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Serves a port in a thread of its own.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn new(listener: TcpListener, site: Site) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = runtime()?;
        let (end, ended) = oneshot::channel();
        let serve = move || {
            let listener = {
                let _guard = runtime.enter();
                tokio::net::TcpListener::from_std(listener)
            };
            match listener {
                Ok(listener) => runtime.block_on(let_in(listener, Arc::new(site), ended)),
                Err(why) => tracing::error!("serve HTTP: {why}"),
            }
        };
        let thread = std::thread::Builder::new().name("pontoon-http".to_owned()).spawn(serve)?;
        Ok(Served { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.end.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that serves HTTP had panicked");
        }
    }
}

async fn let_in(listener: tokio::net::TcpListener, site: Arc<Site>, mut ended: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(TOGETHER));
    loop {
        let come = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            _ = &mut ended => return,
            come = come => come,
        };
        match accepted {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    converse(stream, site).await;
                    drop(place);
                });
            }
            Err(why) => {
                // Most likely there are no descriptors left.
                tracing::warn!("let in who asks over HTTP: {why}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
