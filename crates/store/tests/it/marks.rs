//! Marks: the first one stays until it is replaced.

use crate::home::Home;

on_both_engines! {
    the_first_mark_stays_until_it_is_replaced,
}

async fn the_first_mark_stays_until_it_is_replaced(home: Home) {
    let store = home.open();
    let marks = store.marks();
    for mark in ["one", "two"] {
        assert_eq!(marks.keep("a", mark.into()).await.unwrap(), "one");
    }
    marks.replace("a", "two".into()).await.unwrap();
    marks.replace("b", "three".into()).await.unwrap();
    assert_eq!(marks.keep("a", "four".into()).await.unwrap(), "two");
    assert_eq!(marks.keep("b", "four".into()).await.unwrap(), "three");
}
