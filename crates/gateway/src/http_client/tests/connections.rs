//! How connections are made, kept and lost.

use tokio::net::UnixStream;

use super::*;

#[tokio::test]
async fn addresses_are_tried_in_order() {
    let ((listener, address), (gone, dead)) = (listen().await, listen().await);
    drop(gone);
    let client = client_with(&[], &[], Script::of(&[&[dead, address], &[dead], &[]]));
    let (_sent, answer) = tokio::join!(
        serve_once(&listener, 0, OK),
        client.send(Trust::Trusted, get("http://a.example/"))
    );
    assert_eq!(answer.unwrap().status(), 200);

    let error = client.send(Trust::Trusted, get("http://b.example/")).await;
    let error = error.unwrap_err();
    assert!(matches!(error, SendError::Connect(_)) && !error.was_sent());
    assert!(error.to_string().contains("refused"), "{error}");
    let error = client.send(Trust::Trusted, get("http://c.example/")).await;
    let error = error.unwrap_err();
    assert!(matches!(error, SendError::Dns(_)) && !error.was_sent());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_never_resolved_uses_up_the_connect_timeout() {
    let before = tokio::time::Instant::now();
    let error = client()
        .send(Trust::Trusted, get("http://a.example/"))
        .await;
    let error = error.unwrap_err();
    assert_eq!(error, SendError::ConnectTimeout);
    assert!(!error.was_sent());
    assert_eq!(before.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends_uses_up_the_connect_timeout() {
    let (_listener, address) = listen().await;
    let request = get(&format!("https://{address}/"));
    let error = client().send(Trust::Trusted, request).await.unwrap_err();
    assert_eq!(error, SendError::ConnectTimeout);
}

#[tokio::test]
async fn a_server_without_tls_is_told_apart() {
    let (listener, address) = listen().await;
    let request = get(&format!("https://{address}/"));
    let client = client();
    let (_server, answer) = tokio::join!(
        async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream
        },
        client.send(Trust::Trusted, request)
    );
    let error = answer.unwrap_err();
    assert_eq!(error, SendError::Tls);
    assert!(!error.was_sent());
}

/// The server closes an idle connection, and the client takes that very connection from its pool
/// before it has noticed.
#[tokio::test]
async fn a_request_that_meets_a_stale_connection_is_sent_on_a_new_one() {
    let (listener, address) = listen().await;
    let url = format!("http://{address}/");
    let client = client();
    let first = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream, 2).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
        stream
    };
    let call = async { text(client.send(Trust::Trusted, post(&url, "{}")).await.unwrap()).await };
    let (first, _answer) = tokio::join!(first, call);

    // The system tells of both with one wake-up, of the signal first: so this test runs before the
    // task that owns the client's end of the connection.
    let (signal, mut signaller) = UnixStream::pair().unwrap();
    signaller.write_all(b"!").await.unwrap();
    drop(first);
    signal.readable().await.unwrap();

    let server = serve_once(&listener, 2, OK);
    let call = client.send(Trust::Trusted, post(&url, "{}"));
    let answer = tokio::select! {
        biased;
        answer = call => answer,
        () = async { server.await; pending::<()>().await } => unreachable!(),
    };
    assert_eq!(text(answer.unwrap()).await, "hi");
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (listener, address) = listen().await;
    let url = format!("http://{address}/");
    let client = client();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            read_request(&mut stream, 0).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    };
    let calls = async {
        for _ in 0..3 {
            let answer = client.send(Trust::Trusted, get(&url)).await;
            assert_eq!(text(answer.unwrap()).await, "hi");
        }
    };
    tokio::join!(server, calls);
    assert!(untouched(listener));
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again() {
    let (listener, address) = listen().await;
    let url = format!("http://{address}/?key=secret");
    let client = client();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream, 2).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
        read_request(&mut stream, 2).await;
    };
    let calls = async {
        let answer = client.send(Trust::Trusted, post(&url, "{}")).await;
        assert_eq!(text(answer.unwrap()).await, "hi");
        client.send(Trust::Trusted, post(&url, "{}")).await
    };
    let ((), answer) = tokio::join!(server, calls);
    let error = answer.unwrap_err();
    assert!(matches!(error, SendError::Broken(_)), "{error:?}");
    assert!(error.was_sent());
    assert!(!format!("{error:?} {error}").contains("secret"));
    assert!(untouched(listener), "no second connection");
}

#[tokio::test]
async fn an_answer_that_is_no_http_breaks_the_request() {
    let (listener, address) = listen().await;
    let request = get(&format!("http://{address}/"));
    let client = client();
    let (_sent, answer) = tokio::join!(
        serve_once(&listener, 0, "sk-canary is not HTTP\r\n\r\n"),
        client.send(Trust::Trusted, request)
    );
    let error = answer.unwrap_err();
    assert!(matches!(error, SendError::Broken(_)) && error.was_sent());
    assert!(!format!("{error:?} {error}").contains("canary"));
}

#[tokio::test]
async fn what_is_no_web_request_is_not_sent() {
    let (listener, address) = listen().await;
    let client = client();
    let tunnel = Request::connect(address.to_string());
    for request in [
        get("/v1"),
        get(&format!("ftp://{address}/")),
        get(&format!("http://user:secret@{address}/")),
        tunnel.body(Body::Empty).unwrap(),
    ] {
        let error = client.send(Trust::Trusted, request).await.unwrap_err();
        assert!(matches!(error, SendError::Connect(_)), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("secret"));
    }
    assert!(untouched(listener));
}

#[tokio::test]
async fn dropping_an_answer_closes_its_connection() {
    let (listener, address) = listen().await;
    let client = client();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream, 0).await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.read(&mut [0; 1]).await.unwrap_or(0)
    };
    let call = async {
        let request = get(&format!("http://{address}/"));
        let mut answer = client.send(Trust::Trusted, request).await.unwrap();
        let piece = answer.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(piece.into_data().unwrap(), "one");
    };
    let (read, ()) = tokio::join!(server, call);
    assert_eq!(read, 0, "the end of the connection");
}
