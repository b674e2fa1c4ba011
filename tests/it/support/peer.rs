//! What the scripted peers share: threads of their own, a port that can be closed and opened again, and
//! sockets that end in each of the ways that a network has.
//!
//! Peers run beside the test's runtime, so a test that blocks its thread does not stop them.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};

/// The threads that all peers of this test binary run on.
static PEERS: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("peer")
        .enable_all()
        .build()
        .unwrap()
});

type Handler = dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// A TCP port on loopback, each connection of which is given to a handler. Dropping it cuts everything.
pub struct Port {
    address: SocketAddr,
    handler: Arc<Handler>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Port {
    /// Opens a free port.
    pub async fn open<F>(handler: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handler: Arc<Handler> = Arc::new(move |stream| Box::pin(handler(stream)));
        let (address, task) = listen(SocketAddr::from(([127, 0, 0, 1], 0)), &handler).await;
        Self { address, handler, accepting: Mutex::new(Some(task)) }
    }

    /// Where it listens (or listened, while closed).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener and cuts every open connection: from now on connecting is refused.
    pub async fn close(&self) {
        let task = lock(&self.accepting).take();
        if let Some(task) = task {
            task.abort();
            // Awaited so that the socket is really closed when this returns.
            assert!(task.await.is_err_and(|end| end.is_cancelled()), "the acceptor panicked");
        }
    }

    /// Listens again on the same port.
    pub async fn reopen(&self) {
        let (_, task) = listen(self.address, &self.handler).await;
        if let Some(old) = lock(&self.accepting).replace(task) {
            old.abort();
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.accepting).take() {
            task.abort();
        }
    }
}

/// Binds on the peers' runtime, so that the socket belongs to it and not to the test's.
async fn listen(address: SocketAddr, handler: &Arc<Handler>) -> (SocketAddr, JoinHandle<()>) {
    let handler = Arc::clone(handler);
    let (told, bound) = tokio::sync::oneshot::channel();
    let task = PEERS.spawn(async move {
        let listener = TcpListener::bind(address).await.unwrap();
        told.send(listener.local_addr().unwrap()).unwrap();
        // Aborting this task drops the set, which aborts each connection.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    // Peers answer in several small writes; none of them is to wait for an ACK.
                    stream.set_nodelay(true).unwrap();
                    connections.spawn(handler(stream));
                }
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        assert!(error.is_cancelled(), "a peer's connection panicked: {error}");
                    }
                }
            }
        }
    });
    (bound.await.unwrap(), task)
}

/// Closes a socket with a reset instead of an orderly end.
pub fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// Waits for ever: the peer has gone silent and keeps the socket open.
pub async fn hang() {
    std::future::pending::<()>().await;
}

/// Locks, whatever a panicking test left behind.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test]
async fn a_closed_port_refuses_and_cuts_and_a_reopened_one_accepts() {
    use tokio::io::AsyncReadExt;

    let port = Port::open(|_held| hang()).await;
    let mut open = TcpStream::connect(port.address()).await.unwrap();
    port.close().await;
    assert_eq!(open.read(&mut [0]).await.unwrap_or(0), 0);
    let refused = TcpStream::connect(port.address()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    port.reopen().await;
    TcpStream::connect(port.address()).await.unwrap();
}
