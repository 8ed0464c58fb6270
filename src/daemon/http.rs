//! HTTP/1.1 for the daemon's sockets: a conversation over any stream, bounded whichever way.
//!
//! * A [`Site`] is what there is to be asked for. Its answers are made at once, from values, or apart, in a thread of a bounded pool, if
//!   they take their time; nothing here knows what they are. Where there is none the conversation ends without one.
//! * A head has at most [`HEAD`] bytes and a body [`BODY`]; whoever takes longer than [`PATIENCE`] for either, or to say
//!   anything at all, or to read what was answered, is shown the door.
//! * A conversation over the control socket has its client's thread; those at a [`Door`] of their own share one, and are bounded in number.
//! * Where too many converse whoever has been silent for longest makes way ([`places`]).
//! * What is no HTTP is 400, what is not there 404 with what is, another method 405.

mod places;

use std::io;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
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
use tokio::sync::oneshot;
use tokio_io_timeout::TimeoutStream;

use self::places::{Pace, Places};

/// The longest head of a request, in bytes.
const HEAD: usize = 16 << 10;
/// The longest body of a request, in bytes.
const BODY: usize = 1 << 20;
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many answers are made apart at once; further ones wait.
const APART: usize = 16;

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// What there is to be asked for.
pub(super) struct Site {
    routes: Vec<Route>,
    /// Whether answers take their time.
    is_slow: bool,
    refuse: Refusing,
}

/// What makes an answer of the head of a request and its body, if there is one.
type Answering = dyn Fn(&Parts, Bytes) -> Option<Answer> + Send + Sync;
/// What makes an answer of the reason why there is no better one.
type Refusing = fn(StatusCode, String) -> Answer;

/// Nobody answers any more.
#[derive(Debug)]
struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nobody answers any more")
    }
}

impl std::error::Error for NoAnswer {}

impl Default for Site {
    fn default() -> Self {
        Site { routes: Vec::new(), is_slow: false, refuse: text }
    }
}

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
        self.routes.push(Route { method, path, answer: Box::new(move |parts, body| Some(answer(parts, body))) });
        self
    }

    /// The same with one thing more, of which the answer may take its time, or not come.
    #[must_use]
    pub(super) fn with_slow(
        mut self,
        method: Method,
        path: &'static str,
        answer: impl Fn(&Parts, Bytes) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        self.routes.push(Route { method, path, answer: Box::new(answer) });
        self.is_slow = true;
        self
    }

    /// The same where what can not be answered is told in another form.
    #[must_use]
    pub(super) fn refusing(mut self, refuse: Refusing) -> Self {
        self.refuse = refuse;
        self
    }

    fn answer(&self, parts: &Parts, body: Bytes) -> Option<Answer> {
        let path = parts.uri.path();
        let there = || self.routes.iter().filter(|route| route.path == path);
        if let Some(route) = there().find(|route| route.takes(&parts.method)) {
            return (route.answer)(parts, body);
        }
        let methods: Vec<&str> = there().flat_map(Route::methods).collect();
        if methods.is_empty() {
            let all: Vec<String> =
                self.routes.iter().map(|route| format!("{} {}\n", route.method, route.path)).collect();
            return Some((self.refuse)(
                StatusCode::NOT_FOUND,
                format!("There is no {path} here. There is:\n{}", all.concat()),
            ));
        }
        let methods = methods.join(", ");
        let mut refused = (self.refuse)(StatusCode::METHOD_NOT_ALLOWED, format!("{path} takes {methods}.\n"));
        refused.headers_mut().extend(HeaderValue::from_str(&methods).ok().map(|methods| (ALLOW, methods)));
        Some(refused)
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
        converse(tokio::net::UnixStream::from_std(stream)?, Arc::new(site), Arc::default()).await;
        Ok(())
    })
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().max_blocking_threads(APART).build()
}

async fn converse(stream: impl AsyncRead + AsyncWrite, site: Arc<Site>, pace: Arc<Pace>) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_read_timeout(Some(PATIENCE));
    stream.set_write_timeout(Some(PATIENCE));
    let answer = service_fn(move |request: Request<Incoming>| {
        let (site, pace) = (Arc::clone(&site), Arc::clone(&pace));
        async move { carry_out(site, request, &pace).await }
    });
    let mut server = http1::Builder::new();
    server.max_buf_size(HEAD).timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(why) = server.serve_connection(TokioIo::new(Box::pin(stream)), answer).await {
        tracing::debug!("a client over HTTP: {why}");
    }
}

async fn carry_out(site: Arc<Site>, request: Request<Incoming>, pace: &Pace) -> Result<Answer, NoAnswer> {
    let (parts, body) = request.into_parts();
    let refuse = site.refuse;
    let too_long = || Ok(refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("At most {BODY} bytes may be said.\n")));
    // One that says so before is not waited for.
    if body.size_hint().lower() > BODY as u64 {
        return too_long();
    }
    let body = match tokio::time::timeout(PATIENCE, Limited::new(body, BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(why)) if why.is::<LengthLimitError>() => return too_long(),
        Ok(Err(_)) => return Ok(refuse(StatusCode::BAD_REQUEST, "The request can not be understood.\n".to_owned())),
        Err(_) => return Ok(refuse(StatusCode::REQUEST_TIMEOUT, "The request did not come to an end.\n".to_owned())),
    };
    pace.is_answering(true);
    let answer = if site.is_slow {
        // One that panicked was told to the log.
        tokio::task::spawn_blocking(move || site.answer(&parts, body)).await.unwrap_or(None)
    } else {
        site.answer(&parts, body)
    };
    pace.is_answering(false);
    answer.ok_or(NoAnswer)
}

/// A socket at which a site is to be had.
#[derive(Debug)]
pub(super) enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The same for the thread that serves it.
enum Open {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// Who has come.
enum Caller {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Door {
    fn open(self) -> io::Result<Open> {
        Ok(match self {
            Door::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Open::Tcp(tokio::net::TcpListener::from_std(listener)?)
            }
            Door::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Open::Unix(tokio::net::UnixListener::from_std(listener)?)
            }
        })
    }
}

impl Open {
    async fn accept(&self) -> io::Result<Caller> {
        Ok(match self {
            Open::Tcp(listener) => Caller::Tcp(listener.accept().await?.0),
            Open::Unix(listener) => Caller::Unix(listener.accept().await?.0),
        })
    }
}

impl Caller {
    async fn converse(self, site: Arc<Site>, pace: Arc<Pace>) {
        match self {
            Caller::Tcp(stream) => converse(stream, site, pace).await,
            Caller::Unix(stream) => converse(stream, site, pace).await,
        }
    }
}

/// A door that is served until this is dropped; then nothing holds it any more. What was being carried out then is.
#[derive(Debug)]
pub(super) struct Served {
    /// `None` only while it is being dropped.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Serves a door in a thread of its own, `together` conversations at once. For a further one that which
    /// has been silent for longest ends; if none has, it waits.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn new(door: Door, site: Site, together: usize) -> io::Result<Self> {
        let runtime = runtime()?;
        let door = {
            let _guard = runtime.enter();
            door.open()?
        };
        let (end, ended) = oneshot::channel();
        let serve = move || runtime.block_on(let_in(door, Arc::new(site), together, ended));
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

async fn let_in(door: Open, site: Arc<Site>, together: usize, mut ended: oneshot::Receiver<()>) {
    let mut places = Places::new(together);
    loop {
        let come = async {
            let caller = door.accept().await?;
            Ok((caller, places.find().await))
        };
        let come: io::Result<_> = tokio::select! {
            _ = &mut ended => return,
            come = come => come,
        };
        match come {
            Ok((caller, place)) => {
                let (site, pace) = (Arc::clone(&site), Arc::<Pace>::default());
                let conversation = caller.converse(site, Arc::clone(&pace));
                let task = tokio::spawn(async move {
                    conversation.await;
                    drop(place);
                });
                places.are_taken_by(pace, task.abort_handle());
            }
            Err(why) => {
                // Most likely there are no descriptors left.
                tracing::warn!("let in who asks over HTTP: {why}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
