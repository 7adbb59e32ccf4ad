//! The client against servers on loopback that are read byte by byte.

mod connections;
mod guarded;

use std::{
    collections::VecDeque,
    future::pending,
    io,
    net::{Ipv4Addr, Ipv6Addr},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::egress::Refusal;

/// A resolver with its answers written down; each is given once, in order. Without any left it
/// never answers.
#[derive(Default)]
struct Script(Mutex<VecDeque<Vec<SocketAddr>>>);

impl Script {
    fn of(answers: &[&[SocketAddr]]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        Arc::new(Self(Mutex::new(answers)))
    }

    fn left(&self) -> usize {
        self.0.lock().len()
    }
}

impl Resolve for Script {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let answer = self.0.lock().pop_front();
        Box::pin(async move {
            match answer {
                Some(addresses) => Ok(addresses),
                None => pending().await,
            }
        })
    }
}

fn client_with(
    exceptions: &[String],
    own: &[SocketAddr],
    resolver: Arc<dyn Resolve>,
) -> HttpClient {
    HttpClient::new(ClientSettings {
        connect_timeout: Duration::from_secs(5),
        exceptions: Exceptions::parse(exceptions).unwrap(),
        own_addresses: own.to_vec(),
        resolver,
    })
    .unwrap()
}

/// A client without exceptions that knows no name.
fn client() -> HttpClient {
    client_with(&[], &[], Script::of(&[]))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Whether nobody has connected. Loopback connects at once, so there is nothing to wait for.
fn untouched(listener: TcpListener) -> bool {
    let listener = listener.into_std().unwrap();
    let accepted = listener.accept();
    matches!(accepted, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn get(url: &str) -> Request<Body> {
    Request::get(url).body(Body::Empty).unwrap()
}

fn post(url: &str, body: &'static str) -> Request<Body> {
    let body = Body::from(Bytes::from_static(body.as_bytes()));
    Request::post(url).body(body).unwrap()
}

/// Reads one request: to the end of its head, and then as many bytes as `body`.
async fn read_request(stream: &mut TcpStream, body: usize) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.unwrap());
    }
    let mut rest = vec![0; body];
    stream.read_exact(&mut rest).await.unwrap();
    read.extend(rest);
    String::from_utf8(read).unwrap()
}

/// Takes one connection and answers one request on it; gives the request.
async fn serve_once(listener: &TcpListener, body: usize, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let request = read_request(&mut stream, body).await;
    stream.write_all(answer.as_bytes()).await.unwrap();
    request
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

async fn text(answer: Response<Incoming>) -> String {
    let body = answer.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn nothing_is_on_the_wire_but_the_request_its_host_and_its_length() {
    let (listener, address) = listen().await;
    let mut request = post(&format!("http://{address}/v1/chat?a=b"), "{}");
    request
        .headers_mut()
        .insert("x-mine", HeaderValue::from_static("1"));
    let client = client();
    let (sent, answer) = tokio::join!(
        serve_once(&listener, 2, OK),
        client.send(Trust::Trusted, request)
    );
    let expected = format!(
        "POST /v1/chat?a=b HTTP/1.1\r\nx-mine: 1\r\nhost: {address}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    assert_eq!(sent, expected);
    assert_eq!(text(answer.unwrap()).await, "hi");
    let request = get(&format!("http://{address}/"));
    let (sent, _answer) = tokio::join!(
        serve_once(&listener, 0, OK),
        client.send(Trust::Trusted, request)
    );
    assert_eq!(sent, format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n"));
}

#[tokio::test]
async fn what_belongs_to_another_connection_does_not_go_out() {
    let (listener, address) = listen().await;
    let mut request = post(&format!("http://{address}/"), "{}");
    *request.version_mut() = Version::HTTP_2;
    for (name, value) in [
        ("host", "inside.example"),
        ("content-length", "900"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("transfer-encoding", "chunked"),
        ("te", "trailers"),
        ("keep-alive", "timeout=9"),
        ("proxy-connection", "close"),
    ] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let client = client();
    let (sent, _answer) = tokio::join!(
        serve_once(&listener, 2, OK),
        client.send(Trust::Trusted, request)
    );
    let expected = format!("POST / HTTP/1.1\r\nhost: {address}\r\ncontent-length: 2\r\n\r\n{{}}");
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn bodies_are_counted_or_chunked() {
    let (listener, address) = listen().await;
    let url = format!("http://{address}/");
    let client = client();
    let (sent, _answer) = tokio::join!(
        serve_once(&listener, 0, OK),
        client.send(Trust::Trusted, post(&url, ""))
    );
    let expected = format!("POST / HTTP/1.1\r\ncontent-length: 0\r\nhost: {address}\r\n\r\n");
    assert_eq!(sent, expected);

    let pieces = || {
        let pieces = ["one", "two"].map(|piece| Ok::<_, BoxError>(Bytes::from(piece)));
        let frames = pieces.map(|piece| piece.map(http_body::Frame::data));
        Body::stream(http_body_util::StreamBody::new(futures::stream::iter(
            frames,
        )))
    };
    let chunked = "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
    let request = Request::post(&url).body(pieces()).unwrap();
    let (sent, _answer) = tokio::join!(
        serve_once(&listener, chunked.len(), OK),
        client.send(Trust::Trusted, request)
    );
    assert!(sent.contains("transfer-encoding: chunked\r\n"), "{sent}");
    assert!(sent.ends_with(chunked), "{sent}");

    let request = Request::post(&url).header("content-length", "6");
    let request = request.body(pieces()).unwrap();
    let (sent, _answer) = tokio::join!(
        serve_once(&listener, 6, OK),
        client.send(Trust::Trusted, request)
    );
    assert!(sent.contains("content-length: 6\r\n"), "{sent}");
    assert!(sent.ends_with("\r\n\r\nonetwo"), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let ((listener, address), (second, hidden)) = (listen().await, listen().await);
    let location = format!("http://{hidden}/secret");
    let redirect =
        format!("HTTP/1.1 307 Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let request = get(&format!("http://{address}/"));
    let client = client_with(&[address.to_string()], &[], Script::of(&[]));
    let (_sent, answer) = tokio::join!(
        serve_once(&listener, 0, &redirect),
        client.send(Trust::Guarded, request)
    );
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.headers()["location"], location.as_str());
    assert!(untouched(second));
}

#[tokio::test]
async fn an_answer_with_two_lengths_keeps_the_one_that_holds() {
    let (listener, address) = listen().await;
    let client = client();
    for lengths in [
        "content-length: 1\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 1",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        let request = get(&format!("http://{address}/"));
        let (_sent, answer) = tokio::join!(
            serve_once(&listener, 0, &answer),
            client.send(Trust::Trusted, request)
        );
        let answer = answer.unwrap();
        assert_eq!(answer.headers().get("content-length"), None);
        assert_eq!(text(answer).await, "hi");
    }
}

#[tokio::test]
async fn another_protocol_is_no_answer() {
    let (listener, address) = listen().await;
    let switch = "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let request = get(&format!("http://{address}/"));
    let client = client();
    let (_sent, answer) = tokio::join!(
        serve_once(&listener, 0, switch),
        client.send(Trust::Trusted, request)
    );
    let error = answer.unwrap_err();
    assert!(matches!(error, SendError::Broken(_)), "{error}");
}

#[test]
fn debug_output_has_no_body() {
    let body = Body::from(Bytes::from_static(b"a prompt"));
    assert_eq!(format!("{body:?}"), "Full(8 bytes)");
}
