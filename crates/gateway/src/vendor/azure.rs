//! Azure OpenAI: OpenAI's own JSON at other addresses.
//!
//! The rules are those of Portkey's gateway (`contract/portkey.md`, section 5): model calls go
//! below `deployments/{name}`, everything else (threads, files, vector stores) directly below
//! `/openai`, all with an `api-version`, which the caller's query may set itself. The version `v1`
//! is Azure's newer form, `/openai/v1/...`, where the body names the deployment.

use url::{Url, form_urlencoded};

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
    /// Where a request goes, below the base and behind its `?`. `path` is OpenAI's, without a version:
    /// `chat/completions`, `threads/thread_1/runs`; `query` is the caller's: both stay byte for byte.
    /// `model` is the deployment where the account has none of its own.
    pub(crate) fn place(
        &self,
        path: &str,
        query: Option<&str>,
        model: Option<&str>,
    ) -> (String, Option<String>) {
        let is_v1 = self.api_version.as_deref() == Some("v1");
        let already_v1 = self.base.path().trim_end_matches('/').ends_with("/v1");
        let deployment = self.deployment.as_deref().or(model);
        let place = if already_v1 {
            path.to_owned()
        } else if is_v1 {
            format!("v1/{path}")
        } else if is_of_a_deployment(path)
            && let Some(deployment) = deployment.and_then(|name| self.segment(name))
        {
            format!("deployments/{deployment}/{path}")
        } else {
            path.to_owned()
        };
        let query = query.filter(|query| !query.is_empty());
        let mut names = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        if is_v1 || already_v1 || names.any(|(name, _)| name == "api-version") {
            return (place, query.map(str::to_owned));
        }
        let version = self.api_version.as_deref().unwrap_or(API_VERSION);
        let version: String = form_urlencoded::byte_serialize(version.as_bytes()).collect();
        let own = query.map_or_else(String::new, |query| format!("{query}&"));
        (place, Some(format!("{own}api-version={version}")))
    }

    /// A name as one segment of a path; `None` where it would be another one.
    fn segment(&self, name: &str) -> Option<String> {
        let mut url = self.base.clone();
        url.path_segments_mut().ok()?.clear().push(name);
        let segment = url.path().trim_start_matches('/');
        (!segment.is_empty()).then(|| segment.to_owned())
    }
}

fn is_of_a_deployment(path: &str) -> bool {
    let path = path.trim_matches('/');
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
