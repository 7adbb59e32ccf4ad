//! A line to PostgreSQL that can be cut: at once, or at a certain word.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{Database, base_url};

/// A proxy in front of the server, on a port of its own.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    state: Arc<State>,
}

/// Where a line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before the server has read the word.
    Before,
    /// After the server has done what it says; the client never hears of it.
    After,
    /// Before the server has read the word, too, but the connection stays open. Neither side hears
    /// of the other any more.
    Silence,
}

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Swallow,
    /// The connection ends.
    End,
}

#[derive(Debug, Default)]
struct State {
    open: Mutex<Vec<TcpStream>>,
    is_closed: AtomicBool,
    trap: Mutex<Option<(Vec<u8>, Cut)>>,
    refused: Mutex<u64>,
    was_refused: Condvar,
}

impl Line {
    /// A line to the server that all tests share.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub fn new() -> Self {
        let server = base_url().split('@').nth(1).unwrap();
        let server: SocketAddr = server.split('/').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let line = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                line.take(client.unwrap(), server);
            }
        });
        Self { address, state }
    }

    /// A database, along this line.
    ///
    /// # Panics
    ///
    /// Never: URLs of databases have a host.
    pub fn to(&self, database: &Database) -> String {
        let (start, rest) = database.url().split_once('@').unwrap();
        let (_, end) = rest.split_once('/').unwrap();
        format!("{start}@{}/{end}", self.address)
    }

    /// Cuts all connections that are open.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn cut(&self) {
        for stream in self.state.open.lock().unwrap().drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The same, and lets nobody connect.
    pub fn close(&self) {
        self.state.is_closed.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Lets everybody connect again.
    pub fn open(&self) {
        self.state.is_closed.store(false, Ordering::SeqCst);
    }

    /// Cuts the connection on which this text comes from the client, once.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn cut_at(&self, text: &str, cut: Cut) {
        *self.state.trap.lock().unwrap() = Some((text.as_bytes().to_vec(), cut));
    }

    /// Whether the line was cut at the text.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn was_cut(&self) -> bool {
        self.state.trap.lock().unwrap().is_none()
    }

    /// Waits until somebody was not let in.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn refused(&self) {
        let refused = self.state.refused.lock().unwrap();
        let waited = |refused: &mut u64| *refused == 0;
        drop(self.state.was_refused.wait_while(refused, waited).unwrap());
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn take(self: &Arc<Self>, client: TcpStream, server: SocketAddr) {
        if self.is_closed.load(Ordering::SeqCst) {
            *self.refused.lock().unwrap() += 1;
            self.was_refused.notify_all();
            return;
        }
        let server = TcpStream::connect(server).unwrap();
        // A test that is about time would wait for acknowledgements otherwise.
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let both = [client.try_clone().unwrap(), server.try_clone().unwrap()];
        self.open.lock().unwrap().extend(both);
        let answers = Arc::new(Mutex::new(Fate::Pass));
        let (state, fate) = (Arc::clone(self), Arc::clone(&answers));
        let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || {
            pump(ends.0, ends.1, |bytes| {
                match state.sprung(bytes) {
                    Some(Cut::Before) => return Fate::End,
                    Some(Cut::After) => *fate.lock().unwrap() = Fate::End,
                    Some(Cut::Silence) => *fate.lock().unwrap() = Fate::Swallow,
                    None => {}
                }
                match *fate.lock().unwrap() {
                    Fate::Swallow => Fate::Swallow,
                    Fate::Pass | Fate::End => Fate::Pass,
                }
            });
        });
        thread::spawn(move || pump(server, client, |_| *answers.lock().unwrap()));
    }

    /// Whether the trap is for what is on its way. It springs once.
    fn sprung(&self, bytes: &[u8]) -> Option<Cut> {
        let mut trap = self.trap.lock().unwrap();
        let (text, cut) = trap.as_ref()?;
        let here = bytes.windows(text.len()).any(|window| window == text);
        let cut = here.then_some(*cut);
        if here {
            *trap = None;
        }
        cut
    }
}

/// Hands bytes on until one side ends, or `fate` says so; then both end.
fn pump(mut from: TcpStream, mut to: TcpStream, fate: impl Fn(&[u8]) -> Fate) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..length];
        match fate(bytes) {
            Fate::Pass if to.write_all(bytes).is_ok() => {}
            Fate::Swallow => {}
            Fate::Pass | Fate::End => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
