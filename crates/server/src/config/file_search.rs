//! How files are searched.

use std::{path::PathBuf, sync::Arc};

use loomgate_gateway::{Api, Provider};
use loomgate_search::vector::MAX_DIMENSIONS;

use super::{ConfigError, VirtualKeys, raw::RawFileSearch};

/// What stands before the folder of a model.
const LOCAL: &str = "local:";
const RERANK: &str = "file_search.rerank_model";
const DEFAULT_MEMORY_MB: u64 = 512;

/// What the config says of searches.
#[derive(Debug, Clone)]
pub struct FileSearch {
    /// What makes vectors of texts; none: files are found by their words alone.
    pub embeddings: Option<Embeddings>,
    /// The most bytes of vectors that are kept in memory.
    pub vector_bytes: usize,
    /// What judges what was found; none: the fused ranking stands.
    pub rerank_model: Option<AccountModel>,
    /// What rewrites questions; none: `rewrite_query` is refused.
    pub rewrite_model: Option<AccountModel>,
}

/// What makes vectors of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Embeddings {
    /// A model in this folder.
    Local(PathBuf),
    /// A provider.
    Provider {
        /// Which model, of whom.
        model: AccountModel,
        /// How wide its vectors are to be; none: as it makes them.
        dimensions: Option<usize>,
    },
}

/// A model of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountModel {
    /// The virtual key, which stands in the configuration.
    pub account: Arc<str>,
    /// The model, as the provider calls it.
    pub model: String,
}

impl FileSearch {
    pub(super) fn check(
        raw: &RawFileSearch,
        virtual_keys: &VirtualKeys,
    ) -> Result<Self, ConfigError> {
        let memory_mb = match raw.memory_mb {
            Some(0) => return Err(ConfigError::at_least_one("file_search.memory_mb")),
            value => value.unwrap_or(DEFAULT_MEMORY_MB),
        };
        let model = |text: &Option<String>, option| {
            let text = text.as_deref();
            text.map(|text| account_model(text, option, virtual_keys))
                .transpose()
        };
        let rerank_model = model(&raw.rerank_model, RERANK)?;
        if let Some(model) = &rerank_model {
            may_rerank(model, virtual_keys)?;
        }
        Ok(Self {
            embeddings: embeddings(raw, virtual_keys)?,
            rerank_model,
            vector_bytes: usize::try_from(memory_mb << 20).unwrap_or(usize::MAX),
            rewrite_model: model(&raw.rewrite_model, "file_search.rewrite_model")?,
        })
    }
}

fn embeddings(
    raw: &RawFileSearch,
    virtual_keys: &VirtualKeys,
) -> Result<Option<Embeddings>, ConfigError> {
    const OPTION: &str = "file_search.embeddings";
    const WIDTH: &str = "file_search.embedding_dimensions";
    let is_account = raw
        .embeddings
        .as_ref()
        .is_some_and(|text| !text.starts_with(LOCAL));
    let dimensions = match raw.embedding_dimensions {
        Some(_) if !is_account => {
            return Err(ConfigError::new(format!(
                "`{WIDTH}` is for the model of an account, which `{OPTION}` does not name"
            ))
            .help("a model in a folder has one width: leave the option out"));
        }
        Some(width) if !(1..=MAX_DIMENSIONS as u64).contains(&width) => {
            return Err(ConfigError::new(format!(
                "`{WIDTH}` has to be between 1 and {MAX_DIMENSIONS}"
            )));
        }
        width => width.and_then(|width| usize::try_from(width).ok()),
    };
    let Some(text) = raw.embeddings.as_deref() else {
        return Ok(None);
    };
    if let Some(folder) = text.strip_prefix(LOCAL) {
        if folder.is_empty() {
            return Err(ConfigError::new(format!(
                "`{OPTION}`: the folder is missing behind `{LOCAL}`"
            ))
            .help("for example \"local:/var/lib/loomgate/all-MiniLM-L6-v2\""));
        }
        return Ok(Some(Embeddings::Local(PathBuf::from(folder))));
    }
    let model = account_model(text, OPTION, virtual_keys)?;
    let target = virtual_keys.get(&model.account).map(|key| &key.target);
    let has_none = target.is_some_and(|target| match &target.provider {
        Provider::Echo => true,
        Provider::Http(account) => account.api == Api::Anthropic,
    });
    if has_none {
        return Err(ConfigError::new(format!(
            "`{OPTION}`: the provider of the virtual key `{}` has no embeddings",
            model.account
        ))
        .help(
            "name the virtual key of another provider, or a model in a folder: \"local:FOLDER\"",
        ));
    }
    Ok(Some(Embeddings::Provider { model, dimensions }))
}

/// The form of `POST /rerank` is none of OpenAI's, but servers that speak its API have it.
fn may_rerank(model: &AccountModel, virtual_keys: &VirtualKeys) -> Result<(), ConfigError> {
    let target = virtual_keys.get(&model.account).map(|key| &key.target);
    let may = target.is_none_or(|target| match &target.provider {
        Provider::Echo => false,
        Provider::Http(account) => account.api == Api::OpenAi,
    });
    if may {
        return Ok(());
    }
    let account = &model.account;
    let problem =
        format!("`{RERANK}`: the provider of the virtual key `{account}` has no `POST /rerank`");
    Err(ConfigError::new(problem)
        .help("name the virtual key of a server that has it beside OpenAI's API, such as vLLM"))
}

fn account_model(
    text: &str,
    option: &str,
    virtual_keys: &VirtualKeys,
) -> Result<AccountModel, ConfigError> {
    match text.split_once('/') {
        Some((account, model)) if !account.is_empty() && !model.trim().is_empty() => {
            Ok(AccountModel {
                account: virtual_keys.expect(account, option)?,
                model: model.trim().to_owned(),
            })
        }
        _ => Err(ConfigError::new(format!(
            "`{option}`: \"{text}\" is not VIRTUAL_KEY/MODEL"
        ))
        .help("for example \"main/text-embedding-3-small\"; a model in a folder is \"local:FOLDER\"")),
    }
}

impl std::fmt::Display for AccountModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.account, self.model)
    }
}
