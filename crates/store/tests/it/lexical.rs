//! Search by words.

use loomgate_domain::vector_store::Attributes;

use crate::{
    documents::{
        attach, chunks_of, complete, create, found, indexed, library, put, search, tagged, take,
        terms, texts_of, write, year_of,
    },
    fixtures::{id, ws},
    home::Home,
};

on_both_engines! {
    rare_words_weigh_more_than_common_ones,
    more_of_a_word_and_fewer_others_rank_higher,
    a_search_stays_within_its_stores,
    a_filter_looks_as_far_as_it_has_to,
    words_of_all_scripts_are_found,
    words_are_made_anew_once,
    a_hit_tells_which_words_it_has,
    nothing_in_a_query_is_more_than_a_word,
    an_index_in_pieces_is_put_together,
}

async fn rare_words_weigh_more_than_common_ones(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    let common = "the loom is in the room";
    let mut texts = vec![common; 20];
    texts.push("a shuttle is here too");
    indexed(&store, put(&[1]), &texts).await;
    let hits = search(&store, "the shuttle").await;
    assert_eq!(
        texts_of(&store, &hits[..1]).await,
        ["a shuttle is here too"]
    );
    assert_eq!(hits.len(), 10);
    assert!(
        hits[0].score > hits[1].score && hits[9].score > 0.0,
        "{hits:?}"
    );
}

async fn more_of_a_word_and_fewer_others_rank_higher(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    let long = format!("weft {}", "padding ".repeat(60));
    indexed(
        &store,
        put(&[1]),
        &[&long, "weft and weft again", "weft and warp again", "none"],
    )
    .await;
    let texts = found(&store, "Weft").await;
    assert_eq!(texts, ["weft and weft again", "weft and warp again", &long]);
}

async fn a_search_stays_within_its_stores(home: Home) {
    let (_home, store) = library(home);
    for n in 1..=3 {
        create(&store, n, &[n]).await;
        let guard = take(&store).await;
        assert!(write(&store, &guard, &[&format!("yarn of store {n}")]).await);
        assert!(complete(&store, &guard, 1).await);
    }
    let of = async |stores: &[u32]| {
        let stores: Vec<_> = stores.iter().map(|n| id(*n)).collect();
        let hits = store
            .chunks()
            .lexical(&ws(), &stores, (terms("yarn"), 10), |_| true)
            .await;
        let mut texts = texts_of(&store, &hits.unwrap()).await;
        texts.sort();
        texts
    };
    assert_eq!(of(&[2]).await, ["yarn of store 2"]);
    assert_eq!(of(&[1, 3, 9]).await, ["yarn of store 1", "yarn of store 3"]);
    assert_eq!(of(&[]).await, Vec::<String>::new());
    // Its mark is no word.
    assert_eq!(found(&store, "s1 /s1").await, Vec::<String>::new());
}

async fn a_filter_looks_as_far_as_it_has_to(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    let texts = vec!["silk silk silk"; 40];
    indexed(&store, tagged(1, 2001), &texts).await;
    indexed(
        &store,
        tagged(2, 2002),
        &["silk among many other words of a long text"],
    )
    .await;
    let accept = |attributes: &Attributes| *attributes == year_of(2002);
    let hits = store
        .chunks()
        .lexical(&ws(), &[id(1)], (terms("silk"), 3), accept)
        .await;
    let hits = hits.unwrap();
    assert_eq!(hits.len(), 1);
    assert_eq!(chunks_of(&store, &hits).await[0].file_id, id(2));
    let all = store
        .chunks()
        .lexical(&ws(), &[id(1)], (terms("silk"), 36), |_| true)
        .await;
    assert_eq!(all.unwrap().len(), 36);
}

async fn words_of_all_scripts_are_found(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    let texts = ["refund of an order", "größe 東京 привет"];
    indexed(&store, put(&[1]), &texts).await;
    for (text, words) in [
        (texts[0], ["refund", "order", "an"]),
        (texts[1], ["größe", "東京", "привет"]),
    ] {
        for word in words {
            assert_eq!(found(&store, word).await, [text], "{word}");
        }
    }
    assert_eq!(
        found(&store, "refunds").await,
        [""; 0],
        "forms are known to whoever writes words"
    );
}

async fn a_hit_tells_which_words_it_has(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    indexed(&store, put(&[1]), &["wool silk", "silk", "flax"]).await;
    let mut words = vec!["flax".to_owned(), "no/word".to_owned()];
    words.extend((2..61).map(|n| format!("absent{n}")));
    words.extend(["silk", "cotton", "wool", "linen"].map(str::to_owned));
    let chunks = store.chunks();
    let hits = chunks.lexical(&ws(), &[id(1)], (words, 10), |_| true).await;
    let hits = hits.unwrap();
    let texts = texts_of(&store, &hits).await.into_iter();
    let mut held: Vec<_> = texts.zip(hits.iter().map(|hit| hit.held)).collect();
    held.sort();
    let expected = [
        ("flax", 1),
        ("silk", 1 << 61),
        ("wool silk", 1 << 61 | 1 << 63),
    ];
    assert_eq!(
        held,
        expected.map(|(text, held): (&str, u64)| (text.to_owned(), held))
    );
}

async fn words_are_made_anew_once(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    let texts = ["one wool", "two silk", "three flax"];
    indexed(&store, put(&[1]), &texts).await;
    let other: fn(&str) -> String = |text| text.replace(' ', "x");
    let chunks = store.chunks();
    assert_eq!(
        chunks.renew_words(other, 2).await.unwrap(),
        0,
        "nobody asked"
    );
    let marks = store.marks();
    marks.replace("words_from", "0".into()).await.unwrap();
    for (done, old, new) in [(2, 0, 1), (1, 0, 1), (0, 0, 1), (0, 0, 1)] {
        assert_eq!(chunks.renew_words(other, 2).await.unwrap(), done);
        assert_eq!(found(&store, "wool").await.len(), old);
        assert_eq!(found(&store, "onexwool").await.len(), new);
    }
    assert_eq!(found(&store, "threexflax").await, [texts[2]]);
}

async fn nothing_in_a_query_is_more_than_a_word(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    indexed(&store, put(&[1]), &["and or not near wool"]).await;
    let of = async |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let chunks = store.chunks();
        let hits = chunks.lexical(&ws(), &[id(1)], (words, 10), |_| true).await;
        hits.unwrap().len()
    };
    for word in [
        "\"",
        "'",
        "wool*",
        "/s1",
        "s1",
        "a b",
        "\\",
        "wool' | '",
        "",
        "\u{0}",
        ":*",
    ] {
        assert_eq!(of(&[word]).await, 0, "{word}");
        assert_eq!(of(&[word, "wool"]).await, 1, "{word}");
    }
    for word in ["and", "or", "not", "near"] {
        assert_eq!(of(&[word]).await, 1, "{word}");
    }
    assert_eq!(of(&[]).await, 0);
}

async fn an_index_in_pieces_is_put_together(home: Home) {
    let is_sqlite = !matches!(home, Home::Postgres(_));
    let (home, store) = library(home.kept());
    if is_sqlite {
        // Pieces of a test are so small that SQLite would merge all of them at once.
        home.execute("INSERT INTO chunk_terms (chunk_terms, rank) VALUES ('automerge', 0)");
    }
    create(&store, 1, &[]).await;
    attach(&store, put(&[1])).await;
    let guard = take(&store).await;
    for n in 0..10 {
        assert!(write(&store, &guard, &[&format!("wool word{n}")]).await);
    }
    assert!(complete(&store, &guard, 100).await);
    let before = search(&store, "wool word7").await;
    let merges = async |pieces| {
        let swept = store.vector_stores().sweep(100, pieces).await.unwrap();
        assert_eq!(swept.rows, 0);
        swept.is_merged
    };
    assert!(!merges(Some(11)).await, "so many are none");
    assert!(!merges(None).await, "nobody asked");
    let mut steps = 0;
    while merges(Some(2)).await {
        steps += 1;
    }
    assert_eq!(steps > 0, is_sqlite);
    assert_eq!(search(&store, "wool word7").await, before);
    // What comes behind it is found, too.
    indexed(&store, put(&[2]), &["wool word31"]).await;
    assert_eq!(found(&store, "word31").await, ["wool word31"]);
    assert_eq!(merges(Some(2)).await, is_sqlite);
}
