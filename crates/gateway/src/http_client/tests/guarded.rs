//! Where guarded requests may go.

use super::*;
use crate::egress::SystemResolver;

/// The refusal of a guarded request. A connection would be waited for in vain: nobody answers.
async fn refused(client: &HttpClient, request: Request<Body>) -> Refusal {
    let answer = client.send(Trust::Guarded, request);
    let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
    match answer {
        Ok(Err(SendError::Refused(refusal))) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_guarded_request_does_not_reach_loopback_in_any_disguise() {
    let (listener, address) = listen().await;
    let client = client_with(&[], &[], Arc::new(SystemResolver::default()));
    let port = address.port();
    for host in [
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[::1]",
        "0.0.0.0",
        "[::]",
        "localhost",
        "2130706433",
        "0x7f.1",
    ] {
        let request = get(&format!("http://{host}:{port}/"));
        let refusal = refused(&client, request).await;
        assert!(matches!(refusal, Refusal::NotPublic(_)), "{host}");
    }
    assert!(untouched(listener));
}

#[tokio::test]
async fn an_exception_opens_its_port_only() {
    let ((listener, address), (closed, other)) = (listen().await, listen().await);
    let client = client_with(&[address.to_string()], &[], Script::of(&[]));
    let request = get(&format!("http://{address}/"));
    let (_sent, answer) = tokio::join!(
        serve_once(&listener, 0, OK),
        client.send(Trust::Guarded, request)
    );
    assert_eq!(text(answer.unwrap()).await, "hi");
    let request = get(&format!("http://{other}/"));
    refused(&client, request).await;
    assert!(untouched(closed));
}

#[tokio::test]
async fn a_name_that_is_excepted_may_resolve_to_anything() {
    let (listener, address) = listen().await;
    let exceptions = ["gpu.internal:8000".to_owned()];
    let script = Script::of(&[&[address], &[address]]);
    let client = client_with(&exceptions, &[], script);
    let request = get("http://gpu.internal:8000/v1");
    let (sent, answer) = tokio::join!(
        serve_once(&listener, 0, OK),
        client.send(Trust::Guarded, request)
    );
    assert_eq!(answer.unwrap().status(), 200);
    assert!(sent.contains("host: gpu.internal:8000\r\n"), "{sent}");
    let request = get("http://gpu.internal:8001/v1");
    refused(&client, request).await;
}

/// A name whose second answer is another one. The first stands for a public address here.
#[tokio::test]
async fn a_name_that_is_rebound_reaches_only_what_was_checked() {
    let ((public, first), (inside, second)) = (listen().await, listen().await);
    let script = Script::of(&[&[first], &[second]]);
    let resolver = Arc::clone(&script);
    let client = client_with(&[first.to_string()], &[], resolver);
    let request = post("http://rebound.example/", "{}");
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let (_sent, answered) = tokio::join!(
        serve_once(&public, 2, answer),
        client.send(Trust::Guarded, request)
    );
    assert_eq!(answered.unwrap().status(), 200);
    assert_eq!(script.left(), 1, "one lookup for one connection");
    let request = post("http://rebound.example/", "{}");
    refused(&client, request).await;
    assert_eq!(script.left(), 0);
    assert!(untouched(inside));
}

#[tokio::test]
async fn one_forbidden_address_among_several_refuses_the_host() {
    let ((public, first), (inside, second)) = (listen().await, listen().await);
    let script = Script::of(&[&[first, second]]);
    let client = client_with(&[first.to_string()], &[], script);
    let refusal = refused(&client, get("http://a.example/")).await;
    assert_eq!(refusal, Refusal::NotPublic(second.ip()));
    let error = SendError::Refused(refusal);
    assert!(!error.was_sent() && !error.to_string().contains("127."));
    assert!(untouched(public) && untouched(inside));
}

#[tokio::test]
async fn this_server_is_not_called_by_a_guarded_request() {
    let (listener, address) = listen().await;
    let exceptions = ["127.0.0.0/8".to_owned(), "me.example".to_owned()];
    let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, address.port()).into();
    let any_v6: SocketAddr = (Ipv6Addr::UNSPECIFIED, address.port()).into();
    for own in [address, any, any_v6] {
        for host in ["127.0.0.1", "me.example"] {
            let client = client_with(&exceptions, &[own], Script::of(&[&[address]]));
            let request = get(&format!("http://{host}:{}/", address.port()));
            let refusal = refused(&client, request).await;
            assert_eq!(refusal, Refusal::OwnAddress(address));
        }
    }
    assert!(untouched(listener));
}

#[tokio::test]
async fn a_trusted_connection_is_never_reused_for_a_guarded_request() {
    let (listener, address) = listen().await;
    let client = client();
    let url = format!("http://{address}/");
    // The connection stays open, idle in the pool of trusted ones.
    let (stream, answer) = tokio::join!(
        async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream, 0).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream
        },
        client.send(Trust::Trusted, get(&url))
    );
    assert_eq!(text(answer.unwrap()).await, "hi");
    refused(&client, get(&url)).await;
    assert!(untouched(listener));
    let nothing = stream.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
}
