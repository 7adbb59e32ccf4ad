//! Query strings.

use loomgate_domain::Order;
use loomgate_wire::request::{ListQuery, include_query, list_query, stream_place};

const CONTENT: &str = "step_details.tool_calls[*].file_search.results[*].content";

fn told(query: &str) -> String {
    list_query(Some(query), &["include"]).unwrap_err().message
}

#[test]
fn nothing_asked_is_the_default() {
    for query in [None, Some(""), Some("limit=&after=&x=1&purpose=y")] {
        assert_eq!(list_query(query, &[]), Ok(ListQuery::default()));
    }
    assert_eq!(ListQuery::default().limit, 20);
    assert_eq!(ListQuery::default().order, Order::Desc);
}

#[test]
fn everything_asked() {
    let query = "limit=100&order=asc&after=asst_1&before=asst%5F2&run_id=run_1&\
                 include%5B%5D=step_details.tool_calls%5B%2A%5D.file_search.results%5B%2A%5D.content";
    let read = list_query(Some(query), &["run_id", "include"]).unwrap();
    let expected = ListQuery {
        limit: 100,
        order: Order::Asc,
        after: Some("asst_1".into()),
        before: Some("asst_2".into()),
        purpose: None,
        run_id: Some("run_1".into()),
        filter: None,
        include: vec![CONTENT.into()],
    };
    assert_eq!(read, expected);
    let bare = list_query(Some(query), &[]).unwrap();
    assert_eq!((bare.run_id, bare.include), (None, Vec::new()));
    let plain = format!("include={CONTENT}");
    assert_eq!(include_query(Some(&plain)).unwrap(), [CONTENT]);
    assert_eq!(include_query(None).unwrap(), Vec::<String>::new());
}

#[test]
fn what_is_wrong_is_told() {
    for (query, text) in [
        (
            "limit=101",
            "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
        ),
        (
            "limit=99999999999999999999",
            "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 99999999999999999999 instead.",
        ),
        (
            "limit=0",
            "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        ),
        (
            "limit=-5",
            "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got -5 instead.",
        ),
        (
            "limit=ten",
            "Invalid type for 'limit': expected an integer, but got a string instead.",
        ),
        (
            "limit=1.5",
            "Invalid type for 'limit': expected an integer, but got a decimal instead.",
        ),
        (
            "order=up",
            "Invalid value: 'up'. Supported values are: 'asc' and 'desc'.",
        ),
        (
            "include[]=all",
            "Invalid value: 'all'. Supported values are: 'step_details.tool_calls[*].file_search.results[*].content'.",
        ),
    ] {
        assert_eq!(told(query), text);
    }
    assert!(include_query(Some("include=x")).is_err());
}

#[test]
fn a_stream_goes_on_where_header_and_parameter_say() {
    let read = |query: &str, header: Option<&str>| {
        let place = stream_place(Some(query), header).map_err(|problem| problem.message);
        place.map(|place| place.map(|place| (place.after.to_string(), place.field)))
    };
    let at = |id: &str, field| Ok(Some((id.to_owned(), field)));
    assert_eq!(read("", None), Ok(None));
    assert_eq!(read("starting_after=", Some("")), Ok(None));
    assert_eq!(read("", Some("1.57")), at("1.57", "Last-Event-ID"));
    assert_eq!(
        read("starting_after=1.57", None),
        at("1.57", "starting_after")
    );
    assert_eq!(
        read("starting_after=1%2E57", Some("1.57")),
        at("1.57", "Last-Event-ID")
    );
    for (query, header, text) in [
        (
            "starting_after=1.5",
            Some("1.6"),
            "Invalid 'starting_after': it names the event '1.5', but 'Last-Event-ID' names '1.6'.",
        ),
        (
            "starting_after=1.5&starting_after=1.6",
            None,
            "Invalid 'starting_after': it names the event '1.6', but 'starting_after' names '1.5'.",
        ),
        (
            "",
            Some("x"),
            "Invalid 'Last-Event-ID': 'x'. Expected the id of an event of this run's stream, such as '1.57'.",
        ),
        ("limit=3", None, "Unknown parameter: 'limit'."),
    ] {
        assert_eq!(read(query, header), Err(text.to_owned()));
    }
}
