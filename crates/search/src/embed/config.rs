//! What a model's folder says about the model.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::ModelError;

/// The shape of a model, checked.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) vocabulary: usize,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) intermediate: usize,
    pub(super) positions: usize,
    pub(super) epsilon: f32,
    /// The longest input, its two marks included.
    pub(super) max_tokens: usize,
    pub(super) lowercase: bool,
    pub(super) strip_accents: bool,
    pub(super) split_chinese: bool,
}

/// A JSON file of the folder.
struct Json {
    path: PathBuf,
    value: Value,
}

impl Config {
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let bert = Json::read(folder.join("config.json"))?;
        bert.expect("model_type", &["bert"])?;
        bert.expect("hidden_act", &["gelu"])?;
        bert.expect("position_embedding_type", &["absolute"])?;
        let hidden = bert.size("hidden_size")?;
        let heads = bert.size("num_attention_heads")?;
        if hidden % heads != 0 {
            return Err(bert.unfit("hidden_size is no multiple of num_attention_heads"));
        }
        let positions = bert.size("max_position_embeddings")?;
        let sentence = Json::read_if_there(folder.join("sentence_bert_config.json"))?;
        let max_tokens = match &sentence {
            Some(sentence) => sentence.size("max_seq_length")?,
            None => positions,
        };
        if !(8..=positions).contains(&max_tokens) {
            let sentence = sentence.as_ref().unwrap_or(&bert);
            return Err(sentence.unfit(&format!(
                "the model reads between 8 and {positions} tokens, not {max_tokens}"
            )));
        }
        check_pooling(folder)?;
        let tokenizer = Json::read_if_there(folder.join("tokenizer_config.json"))?;
        let flag = |name: &str| {
            tokenizer
                .as_ref()
                .and_then(|tokenizer| tokenizer.value[name].as_bool())
        };
        let lowercase = flag("do_lower_case").unwrap_or(true);
        #[expect(clippy::cast_possible_truncation, reason = "a number like 1e-12")]
        let epsilon = bert.value["layer_norm_eps"].as_f64().unwrap_or(1e-12) as f32;
        Ok(Self {
            vocabulary: bert.size("vocab_size")?,
            hidden,
            layers: bert.size("num_hidden_layers")?,
            heads,
            intermediate: bert.size("intermediate_size")?,
            positions,
            epsilon,
            max_tokens,
            lowercase,
            strip_accents: flag("strip_accents").unwrap_or(lowercase),
            split_chinese: flag("tokenize_chinese_chars").unwrap_or(true),
        })
    }
}

/// A sentence encoder says how it makes one vector of many; only the mean is built.
fn check_pooling(folder: &Path) -> Result<(), ModelError> {
    let Some(pooling) = Json::read_if_there(folder.join("1_Pooling/config.json"))? else {
        return Ok(());
    };
    let on = |mode: &&str| pooling.value[format!("pooling_mode_{mode}")] == true;
    let modes = [
        "cls_token",
        "max_tokens",
        "mean_sqrt_len_tokens",
        "weightedmean_tokens",
        "lasttoken",
    ];
    match modes.iter().find(|mode| on(mode)) {
        Some(mode) => Err(pooling.unfit(&format!(
            "pooling_mode_{mode} is not supported, only pooling_mode_mean_tokens is"
        ))),
        None => Ok(()),
    }
}

impl Json {
    fn read(path: PathBuf) -> Result<Self, ModelError> {
        let text = read(&path)?;
        match serde_json::from_slice(&text) {
            Ok(value) => Ok(Self { path, value }),
            Err(error) => Err(unfit(
                &path,
                &format!("this is no JSON: {error}. Download the file again"),
            )),
        }
    }

    fn read_if_there(path: PathBuf) -> Result<Option<Self>, ModelError> {
        if path.exists() {
            Self::read(path).map(Some)
        } else {
            Ok(None)
        }
    }

    fn size(&self, name: &str) -> Result<usize, ModelError> {
        let size = self.value[name]
            .as_u64()
            .and_then(|size| usize::try_from(size).ok());
        match size {
            Some(size @ 1..=10_000_000) => Ok(size),
            _ => Err(self.unfit(&format!("{name} is {}, and not a size", self.value[name]))),
        }
    }

    /// A field that is absent is what BERT has.
    fn expect(&self, name: &str, known: &[&str]) -> Result<(), ModelError> {
        let value = &self.value[name];
        if value.is_null() || value.as_str().is_some_and(|value| known.contains(&value)) {
            return Ok(());
        }
        let known = known.join(" or ");
        Err(self.unfit(&format!(
            "{name} is {value}, only {known} is supported. Use a model of the BERT family, such as all-MiniLM-L6-v2, or a provider's embeddings"
        )))
    }

    fn unfit(&self, problem: &str) -> ModelError {
        unfit(&self.path, problem)
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|source| ModelError::Read {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn unfit(path: &Path, problem: &str) -> ModelError {
    ModelError::Unfit {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
