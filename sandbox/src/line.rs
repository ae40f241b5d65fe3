//! One connection's line: what a server of HTTP never does with it by itself.
//!
//! Written on the plain socket rather than through hyper: closing without a byte or in the middle of
//! the headers, resetting, interim answers that nobody asked for, and not hearing the next request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Marks an answer that is never sent: the connection ends instead.
#[derive(Clone, Default)]
pub(crate) struct Farewell {
    last: Vec<u8>,
    reset: bool,
}

impl Farewell {
    /// Closes without a byte.
    pub fn silent() -> Response {
        Farewell::default().answer()
    }

    /// Resets the connection (RST) without a byte.
    pub fn reset() -> Response {
        Farewell {
            last: Vec::new(),
            reset: true,
        }
        .answer()
    }

    /// Closes after these bytes.
    pub fn with(last: Vec<u8>) -> Response {
        Farewell { last, reset: false }.answer()
    }

    fn answer(self) -> Response {
        let mut answer = Response::new(Body::empty());
        answer.extensions_mut().insert(self);
        answer
    }
}

/// Marks an answer before which these bytes are written.
#[derive(Clone, Copy)]
pub(crate) struct Before(pub &'static [u8]);

/// Marks an answer after which the connection hears no further request.
#[derive(Clone, Copy)]
pub(crate) struct Deaf;

/// A socket, shared between hyper, which serves it, and whoever ends it.
#[derive(Clone)]
pub(crate) struct Line {
    stream: Arc<TcpStream>,
    orders: Arc<Mutex<Orders>>,
}

#[derive(Default)]
struct Orders {
    /// Still to be written before anything else.
    first: Vec<u8>,
    deaf: bool,
    farewell: Option<Farewell>,
}

impl Line {
    pub fn new(stream: TcpStream) -> Line {
        // A lookalike that waits for Nagle's algorithm would make benches measure the kernel.
        let _ = stream.set_nodelay(true);
        Line {
            stream: Arc::new(stream),
            orders: Arc::default(),
        }
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_deaf(&self) -> bool {
        self.orders().deaf
    }

    /// Takes an answer's marks to heart. `None` when it is not to be sent at all.
    pub fn mark(&self, answer: Response) -> Option<Response> {
        let mut orders = self.orders();
        let marks = answer.extensions();
        if let Some(farewell) = marks.get::<Farewell>() {
            orders.farewell = Some(farewell.clone());
            return None;
        }
        if let Some(Before(bytes)) = marks.get() {
            orders.first = bytes.to_vec();
        }
        orders.deaf |= marks.get::<Deaf>().is_some();
        drop(orders);
        Some(answer)
    }

    /// Ends the line as the last answer wanted it. What cannot be written any more is nobody's loss.
    pub async fn end(self) {
        let Some(farewell) = self.orders().farewell.take() else {
            return;
        };
        let mut rest = &farewell.last[..];
        while !rest.is_empty() && self.stream.writable().await.is_ok() {
            match self.stream.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        if farewell.reset {
            let _ = self.stream.set_zero_linger();
        }
    }

    /// Writes what comes first; ready when there is nothing of it left.
    fn poll_first(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut orders = self.orders();
            if orders.first.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match self.stream.try_write(&orders.first) {
                Ok(written) => drop(orders.first.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    drop(orders);
                    ready!(self.stream.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_first(cx))?;
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_first(cx))?;
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The socket closes when its last holder lets go of it, after [`Line::end`].
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
