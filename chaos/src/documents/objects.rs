//! The objects that servers have made: files below their data folder, or what is in a bucket. Read
//! from there, not through any code of theirs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// Where they are.
pub(super) enum Objects {
    /// The folder.
    Folder(PathBuf),
    /// `http://HOST:PORT/BUCKET` of a server that speaks S3 and asks nobody who they are, and what all
    /// names begin with.
    Bucket { url: String, prefix: String },
}

impl Objects {
    /// What tells a server where they are.
    pub(super) fn environment(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let Self::Bucket { url, prefix } = self else {
            return Ok(Vec::new());
        };
        let (endpoint, bucket) = url.rsplit_once('/').context("no http://HOST:PORT/BUCKET")?;
        Ok(vec![
            ("LOOMGATE_FILES", format!("s3://{bucket}/{prefix}")),
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_ACCESS_KEY_ID", "chaos".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "chaos".to_owned()),
        ])
    }

    /// The bytes of each, by `WORKSPACE/ID`.
    pub(super) async fn all(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        match self {
            Self::Folder(folder) => in_folder(&folder.join("objects")),
            Self::Bucket { url, prefix } => in_bucket(url, prefix).await,
        }
    }

    /// Files that are being written. A bucket shows none before they are whole.
    pub(super) fn unfinished(&self) -> anyhow::Result<Vec<PathBuf>> {
        match self {
            Self::Folder(folder) => children(&folder.join("unfinished")),
            Self::Bucket { .. } => Ok(Vec::new()),
        }
    }
}

/// The folder between a workspace and an object is only for the file system.
fn in_folder(folder: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut objects = BTreeMap::new();
    for owner in children(folder)? {
        for fan in children(&owner)? {
            for object in children(&fan)? {
                let name = |path: &Path| path.file_name().map(|it| it.display().to_string());
                let key = [name(&owner), name(&object)].map(Option::unwrap_or_default);
                objects.insert(key.join("/"), fs::metadata(&object)?.len());
            }
        }
    }
    Ok(objects)
}

fn children(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Page by page.
async fn in_bucket(url: &str, prefix: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut objects = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = format!("{url}?list-type=2&prefix={prefix}/&start-after={after}");
        let answer = client.get(page.parse()?).await?;
        if answer.status() != 200 {
            bail!("the bucket answers {}", answer.status());
        }
        let page = answer.into_body().collect().await?.to_bytes();
        let page = std::str::from_utf8(&page)?;
        for object in page.split("<Contents>").skip(1) {
            let key = between(object, "Key").context("an object without a key")?;
            let size = between(object, "Size").context("an object without a size")?;
            let name = key.strip_prefix(&format!("{prefix}/")).unwrap_or(key);
            objects.insert(name.to_owned(), size.parse()?);
            key.clone_into(&mut after);
        }
        if between(page, "IsTruncated") != Some("true") {
            return Ok(objects);
        }
    }
}

/// What stands in the first element of this name.
fn between<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text)
}
