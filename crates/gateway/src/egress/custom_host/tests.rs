use proptest::prelude::*;

use super::*;

fn checked(text: &str) -> Result<String, InvalidHost> {
    checked_with(text, &[])
}

fn checked_with(text: &str, exceptions: &[&str]) -> Result<String, InvalidHost> {
    let exceptions: Vec<_> = exceptions.iter().map(|&text| text.to_owned()).collect();
    let exceptions = Exceptions::parse(&exceptions).unwrap();
    check_url(text, &exceptions).map(String::from)
}

#[test]
fn public_hosts_pass() {
    for text in [
        "https://api.openai.com/v1",
        "http://a.example.com:8080/v1?version=1",
        "https://8.8.8.8/v1",
        "https://[2606:4700::6812:6c0]:8443/v1",
        "https://a.b.c.d.e.f.g.h.example.com/",
    ] {
        assert_eq!(checked(text).as_deref(), Ok(text));
    }
    let case = checked("HTTPS://Api.OpenAI.com/V1#part");
    assert_eq!(case.as_deref(), Ok("https://api.openai.com/V1"));
}

#[test]
fn what_is_no_plain_web_address_is_refused() {
    use InvalidHost::{Characters, Credentials, Host, Length, Port, Scheme};
    for (text, expected) in [
        ("", Length),
        ("https://a.example.com/ v1", Characters),
        (" https://a.example.com/v1", Characters),
        ("https://a.example.com\t/v1", Characters),
        ("https://a.example.com/\0", Characters),
        ("https://a.example.com\\@b.example.com", Characters),
        ("https://{host}/v1", Characters),
        ("https://a.example.com/`", Characters),
        ("api.openai.com/v1", Scheme),
        ("//api.openai.com/v1", Scheme),
        ("https:api.openai.com", Scheme),
        ("https:/api.openai.com", Scheme),
        ("file:///etc/passwd", Scheme),
        ("data://text/plain,x", Scheme),
        ("gopher://a.example.com/", Scheme),
        ("ftp://a.example.com/", Scheme),
        ("ftps://a.example.com/", Scheme),
        ("ws://a.example.com/", Scheme),
        ("https://user:password@a.example.com/", Credentials),
        ("https://a.example.com@127.0.0.1/", Credentials),
        ("https://a.example.com/@", Credentials),
        ("https:///v1", Host),
        ("https://", Host),
        ("https://:80/", Host),
        ("https://a.example.com./v1", Host),
        ("https://a..example.com/v1", Host),
        ("https://a_b.example.com/v1", Host),
        ("https://a%2eexample.com/v1", Host),
        ("https://%31%32%37.0.0.1/v1", Host),
        ("https://b\u{fc}cher.example.com/v1", Host),
        ("https://\u{ff11}27.0.0.1/v1", Host),
        ("https://a.b.c.d.e.f.g.h.i.example.com/", Host),
        ("https://[::1/v1", Host),
        ("https://[fe80::1%25eth0]/v1", Host),
        ("https://a.example.com:/v1", Port),
        ("https://a.example.com:0/v1", Port),
        ("https://a.example.com:65536/v1", Port),
        ("https://a.example.com:8o/v1", Port),
    ] {
        assert_eq!(checked(text), Err(expected), "{text:?}");
    }
    let long = format!("https://a.example.com/{}", "v".repeat(MAX_BYTES));
    assert_eq!(checked(&long), Err(Length));
    let label = format!("https://{}.example.com/", "a".repeat(64));
    assert_eq!(checked(&label), Err(Host));
}

#[test]
fn local_and_metadata_hosts_are_refused() {
    for host in [
        "localhost",
        "a.localhost",
        "metadata",
        "instance-data",
        "metadata.google.internal",
        "metadata.azure.com",
        "printer.local",
        "a.localdomain",
        "a.internal",
        "a.intranet",
        "a.lan",
        "a.home",
        "a.home.arpa",
        "a.corp",
        "a.test",
        "a.invalid",
        "a.onion",
        "api.portkey.ai",
        "host.docker.internal",
        "ollama",
        "METADATA.Google.Internal",
    ] {
        let text = format!("http://{host}:8080/v1");
        assert_eq!(checked(&text), Err(InvalidHost::Reserved), "{host}");
    }
}

#[test]
fn addresses_that_are_not_public_are_refused_in_every_form() {
    for host in [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "[::1]",
        "[::]",
        "[fd00::1]",
        "[fe80::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
    ] {
        let text = format!("http://{host}/v1");
        assert_eq!(checked(&text), Err(InvalidHost::NotPublic), "{host}");
    }
    for host in [
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "134744072",
        "8.8.2056",
        "0x8.8.8.8",
        "010.8.8.8",
    ] {
        let text = format!("http://{host}/v1");
        assert_eq!(checked(&text), Err(InvalidHost::Host), "{host}");
    }
}

#[test]
fn exceptions_pass() {
    let exceptions = [
        "localhost",
        "127.0.0.1:8000",
        "[::1]:9000",
        "gpu.internal:8000",
        "ollama",
    ];
    for text in [
        "http://localhost:1234/v1",
        "http://127.0.0.1:8000/v1",
        "http://[::1]:9000/v1",
        "http://gpu.internal:8000/v1",
        "http://ollama/v1",
    ] {
        assert_eq!(checked_with(text, &exceptions).as_deref(), Ok(text));
    }
    for text in [
        "http://127.0.0.1:8001/v1",
        "http://[::1]/v1",
        "http://2130706433:8000/v1",
    ] {
        assert!(checked_with(text, &exceptions).is_err(), "{text}");
    }
    let other_port = checked_with("https://gpu.internal/v1", &exceptions);
    assert_eq!(other_port, Err(InvalidHost::Reserved));
}

#[test]
fn the_message_is_portkeys_whatever_the_reason() {
    let error = checked("http://127.0.0.1/v1").unwrap_err();
    assert_eq!(error.to_string(), "Invalid custom host");
    assert_eq!(error.reason(), "its address is not public");
}

proptest! {
    #[test]
    fn whatever_passes_leads_to_one_public_looking_host(
        text in "https?://(\\PC{0,30}|[0-9a-fx.:\\[\\]%@]{0,30}|[a-z0-9.-]{1,20})(:[0-9]{0,6})?(/\\PC{0,10})?"
    ) {
        if let Ok(url) = check_url(&text, &Exceptions::default()) {
            prop_assert!(url.username().is_empty() && url.password().is_none());
            prop_assert!(text.to_ascii_lowercase().contains("://"));
            match url.host().unwrap() {
                Host::Domain(name) => prop_assert!(name.contains('.') && name.is_ascii()),
                Host::Ipv4(address) => prop_assert!(is_public(address.into())),
                Host::Ipv6(address) => prop_assert!(is_public(address.into())),
            }
        }
    }
}
