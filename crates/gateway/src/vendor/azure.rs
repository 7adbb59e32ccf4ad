//! Azure OpenAI: OpenAI's own JSON at other addresses.
//!
//! The rules are those of Portkey's gateway (`contract/portkey.md`, section 5): model calls go
//! below `deployments/{name}`, everything else (threads, files, vector stores) directly below
//! `/openai`, all with an `api-version`, which the caller's query may set itself. The version `v1`
//! is Azure's newer form, `/openai/v1/...`, where the body names the deployment.

use url::Url;

/// What goes below a deployment: the beginning of the path.
const OF_A_DEPLOYMENT: &[&str] = &[
    "chat/completions",
    "completions",
    "embeddings",
    "images",
    "audio",
];

/// Sent where neither the operator nor the caller names a version: the last stable one of the form
/// with dates.
const API_VERSION: &str = "2024-10-21";

/// One Azure account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Azure {
    /// `https://{resource}.openai.azure.com/openai`, or what the operator says instead.
    pub(crate) base: Url,
    /// Where model calls go; the request's model where there is none.
    pub(crate) deployment: Option<String>,
    /// `2024-10-21`, or `v1`.
    pub(crate) api_version: Option<String>,
}

/// How an account is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A key of the resource.
    ApiKey,
    /// A token of Entra ID ("AD token").
    AdToken,
}

impl Credential {
    /// The header, and what stands before the secret in it.
    pub(crate) fn header(self) -> (&'static str, &'static str) {
        match self {
            Self::ApiKey => ("api-key", ""),
            Self::AdToken => ("authorization", "Bearer "),
        }
    }
}

impl Azure {
    /// Where a request goes. `path` is OpenAI's, without a version: `chat/completions`,
    /// `threads/thread_1/runs`; `query` is the caller's; `model` is the deployment where the account
    /// has none of its own.
    pub(crate) fn url(&self, path: &str, query: Option<&str>, model: Option<&str>) -> Url {
        let mut url = self.base.clone();
        let path = path.trim_matches('/');
        let is_v1 = self.api_version.as_deref() == Some("v1");
        let already_v1 = url.path().trim_end_matches('/').ends_with("/v1");
        let mut segments: Vec<&str> = Vec::new();
        if is_v1 || already_v1 {
            segments.extend((!already_v1).then_some("v1"));
        } else if is_of_a_deployment(path)
            && let Some(deployment) = self.deployment.as_deref().or(model)
        {
            segments.extend(["deployments", deployment]);
        }
        segments.extend(path.split('/'));
        if let Ok(mut end) = url.path_segments_mut() {
            // Dots would climb out of the base.
            end.pop_if_empty().extend(
                segments
                    .into_iter()
                    .filter(|part| !matches!(*part, "." | "..")),
            );
        }
        url.set_query(query.filter(|query| !query.is_empty()));
        let has_version = url.query_pairs().any(|(name, _)| name == "api-version");
        if !(is_v1 || already_v1 || has_version) {
            let version = self.api_version.as_deref().unwrap_or(API_VERSION);
            url.query_pairs_mut().append_pair("api-version", version);
        }
        url
    }
}

fn is_of_a_deployment(path: &str) -> bool {
    OF_A_DEPLOYMENT.iter().any(|start| {
        path.strip_prefix(start)
            // `chat/completions/{id}` is a stored completion.
            .is_some_and(|rest| {
                rest.is_empty() || (!start.ends_with("completions") && rest.starts_with('/'))
            })
    })
}

#[cfg(test)]
mod tests;
