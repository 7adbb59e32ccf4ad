use std::{fs, sync::LazyLock};

use loomgate_testkit::embeddings::model;
use serde_json::Value;

use super::*;
use crate::vector::cosine;

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::load(&model()).unwrap());

#[test]
fn embeddings_are_those_of_another_implementation() {
    let golden: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/golden/minilm.json")).unwrap();
    let texts: Vec<&str> = golden
        .iter()
        .map(|case| case["text"].as_str().unwrap())
        .collect();
    let found = MODEL.embed(&texts);
    assert_eq!((MODEL.dimensions(), MODEL.max_tokens()), (384, 256));
    for (case, found) in golden.iter().zip(found) {
        let tokens: Vec<u32> = serde_json::from_value(case["tokens"].clone()).unwrap();
        let text = case["text"].as_str().unwrap();
        assert_eq!(MODEL.wordpiece.windows(text, 256), [tokens], "{text}");
        let exact: Vec<f32> = serde_json::from_value(case["embedding"].clone()).unwrap();
        let similarity = cosine(&found, &exact).unwrap();
        assert!(similarity >= 0.99999, "{similarity} to {text:?}");
        let length: f32 = found.iter().map(|number| number * number).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
}

#[test]
fn long_texts_are_read_to_their_end() {
    let beginning = "The quick brown fox jumps over the lazy dog. ".repeat(60);
    let one = format!("{beginning}Refunds are paid in a fortnight.");
    let other = format!("{beginning}Octopuses have got three hearts.");
    let windows = MODEL.embed_windows(&[&one, "short", &other]);
    assert_eq!(windows.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 3]);
    assert!(cosine(&windows[0][0], &windows[2][0]).unwrap() > 0.9999);
    let ends = cosine(&windows[0][2], &windows[2][2]).unwrap();
    assert!(ends < 0.999, "{ends}");
    let combined = MODEL.embed(&[&one, &other]);
    let similarity = cosine(&combined[0], &combined[1]).unwrap();
    assert!(similarity < 0.9999, "{similarity}");
    let length: f32 = combined[0].iter().map(|number| number * number).sum();
    assert!((length - 1.0).abs() < 1e-5);
}

#[test]
fn windows_hold_all_tokens_and_split_no_word() {
    let wordpiece = &MODEL.wordpiece;
    for text in [
        "internationalization of unbelievable heterogeneities ".repeat(90),
        "a ".repeat(1000),
        "x".repeat(99),
        "é".repeat(5000),
    ] {
        let whole = wordpiece.windows(&text, usize::MAX - 2).concat();
        for most in [8, 17, 256] {
            let windows = wordpiece.windows(&text, most);
            assert!(windows.iter().all(|window| window.len() <= most), "{most}");
            let inside: Vec<u32> = windows
                .iter()
                .flat_map(|window| &window[1..window.len() - 1])
                .copied()
                .collect();
            assert_eq!(inside, whole[1..whole.len() - 1]);
            if most == 256 {
                let continues = |id: &u32| wordpiece.next.values().any(|next| next == id);
                assert!(windows.iter().all(|window| !continues(&window[1])));
                let lengths = windows.iter().map(Vec::len);
                assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() < 30);
            }
        }
    }
}

#[test]
fn a_batch_gives_what_each_text_alone_gives() {
    let texts = [
        "one",
        "two words and a few more",
        "",
        "third text, with a number: 3.14",
    ];
    for (text, together) in texts.iter().zip(MODEL.embed(&texts)) {
        assert!(cosine(&MODEL.embed(&[text])[0], &together).unwrap() > 0.999_999);
    }
    assert!(MODEL.embed(&[]).is_empty());
}

#[test]
fn a_vocabulary_from_json_is_that_of_the_list() {
    let (plain, json) = (tempfile::tempdir().unwrap(), model());
    fs::copy(
        json.join("tokenizer.json"),
        plain.path().join("tokenizer.json"),
    )
    .unwrap();
    let config = Config::read(&json).unwrap();
    let one = WordPiece::read(plain.path(), &config).unwrap();
    assert_eq!(
        (&one.first, &one.next),
        (&MODEL.wordpiece.first, &MODEL.wordpiece.next)
    );
}

#[test]
fn a_wrong_folder_says_what_is_wrong() {
    let good = model();
    let problem = |change: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "vocab.txt", "sentence_bert_config.json"] {
            fs::copy(good.join(name), folder.path().join(name)).unwrap();
        }
        fs::write(
            folder.path().join("model.safetensors"),
            "version https://git-lfs.github.com/spec/v1",
        )
        .unwrap();
        change(folder.path());
        let error = Model::load(folder.path()).err().unwrap().to_string();
        error.replace(folder.path().to_str().unwrap(), "DIR")
    };
    let config = |from: &str, to: &str| {
        let text = fs::read_to_string(good.join("config.json")).unwrap();
        assert!(text.contains(from));
        let changed = text.replace(from, to);
        problem(&|folder| fs::write(folder.join("config.json"), &changed).unwrap())
    };
    let missing = problem(&|folder| fs::remove_file(folder.join("config.json")).unwrap());
    assert!(
        missing.starts_with("DIR/config.json can not be read: No such file"),
        "{missing}"
    );
    assert!(
        missing.contains("model.safetensors, and vocab.txt"),
        "{missing}"
    );
    let kind = config("\"bert\"", "\"mistral\"");
    assert!(
        kind.contains("model_type is \"mistral\", only bert is supported"),
        "{kind}"
    );
    let size = config("384", "0");
    assert!(size.contains("hidden_size is 0, and not a size"), "{size}");
    let heads = config("\"num_attention_heads\": 12", "\"num_attention_heads\": 7");
    assert!(heads.contains("no multiple"), "{heads}");
    let vocabulary = config("30522", "30000");
    assert!(
        vocabulary
            .contains("DIR/vocab.txt: the vocabulary has 30522 tokens, config.json says 30000"),
        "{vocabulary}"
    );
    let pointer = problem(&|_| ());
    assert!(
        pointer.contains("DIR/model.safetensors: this is no safetensors file"),
        "{pointer}"
    );
    let json = problem(&|folder| fs::write(folder.join("config.json"), "{").unwrap());
    assert!(json.contains("DIR/config.json: this is no JSON"), "{json}");
    let length = problem(&|folder| {
        fs::write(
            folder.join("sentence_bert_config.json"),
            r#"{"max_seq_length":9999}"#,
        )
        .unwrap();
    });
    assert!(
        length.contains("between 8 and 512 tokens, not 9999"),
        "{length}"
    );
    let pooling = problem(&|folder| {
        fs::create_dir(folder.join("1_Pooling")).unwrap();
        fs::write(
            folder.join("1_Pooling/config.json"),
            r#"{"pooling_mode_cls_token":true}"#,
        )
        .unwrap();
    });
    assert!(
        pooling.contains("pooling_mode_cls_token is not supported"),
        "{pooling}"
    );
    let words =
        problem(&|folder| fs::write(folder.join("vocab.txt"), "[UNK]\n[CLS]\nword\n").unwrap());
    assert!(words.contains("the vocabulary has no [SEP]"), "{words}");
    let empty =
        safetensors::serialize::<&str, safetensors::tensor::TensorView<'_>, _>([], None).unwrap();
    let tensors = problem(&|folder| fs::write(folder.join("model.safetensors"), &empty).unwrap());
    assert!(
        tensors.contains("there is no tensor embeddings."),
        "{tensors}"
    );
}

#[test]
fn a_model_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Model>();
    shared::<crate::vector::Index>();
}
