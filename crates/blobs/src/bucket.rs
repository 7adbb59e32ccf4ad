//! Objects in an S3-compatible bucket: `PREFIX/OWNER/ID`.

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore,
    ObjectStoreExt as _, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    Error, Key, Listed,
    reader::{Part, Reader},
};

/// The size of the parts in which a large object goes over, in bytes; smaller ones go over as one.
/// Buckets take 10,000 parts: that makes 80 GiB.
pub(crate) const PART_BYTES: usize = 8 * 1024 * 1024;

/// How long a bucket is asked again that does not answer, or is overloaded.
const RETRY: Duration = Duration::from_secs(30);

/// Which bucket, and how to get at it.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What all keys begin with; may be empty.
    pub prefix: String,
    /// `http://host:port` of a server that speaks S3; none: Amazon's.
    pub endpoint: Option<String>,
    /// The region; none: `us-east-1`.
    pub region: Option<String>,
    /// Who asks; none: as the machine's role says.
    pub credentials: Option<Credentials>,
}

/// An access key.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: SecretString,
    /// The token that belongs to one that is only lent.
    pub session_token: Option<SecretString>,
}

/// The objects of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    store: Arc<AmazonS3>,
    prefix: Path,
}

impl Objects {
    pub(crate) fn open(bucket: &Bucket) -> Result<Self, Error> {
        // What speaks TLS for the bucket's client asks for the process's own way to do it.
        static RING: Once = Once::new();
        RING.call_once(|| {
            // Where somebody else has set it, theirs is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: 5,
                retry_timeout: RETRY,
            })
            .with_client_options(
                // Of one request; a part takes as long as it takes to send 8 MiB.
                ClientOptions::new()
                    .with_timeout(Duration::from_mins(5))
                    .with_connect_timeout(Duration::from_secs(10)),
            );
        if let Some(region) = &bucket.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &bucket.endpoint {
            let is_plain = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint).with_allow_http(is_plain);
        }
        if let Some(credentials) = &bucket.credentials {
            builder = builder
                .with_access_key_id(&credentials.access_key_id)
                .with_secret_access_key(credentials.secret_access_key.expose_secret());
            if let Some(token) = &credentials.session_token {
                builder = builder.with_token(token.expose_secret());
            }
        }
        let settings = |error| Error::Settings(Arc::new(error));
        let prefix = Path::parse(&bucket.prefix);
        Ok(Self {
            store: Arc::new(builder.build().map_err(settings)?),
            prefix: prefix.map_err(|error| settings(error.into()))?,
        })
    }

    fn path(&self, key: &Key) -> Path {
        self.prefix.clone().join(key.owner()).join(key.id())
    }

    pub(crate) fn create(&self, key: &Key) -> Unfinished {
        Unfinished {
            store: Arc::clone(&self.store),
            path: self.path(key),
            parts: None,
        }
    }

    pub(crate) async fn read(&self, key: &Key, part: Part) -> Result<Reader, Error> {
        let range = part.range.clone().map(GetRange::Bounded);
        // An empty range is none that a bucket knows.
        let is_empty =
            part.bytes == 0 || part.range.as_ref().is_some_and(std::ops::Range::is_empty);
        let options = GetOptions {
            range: range.filter(|_| !is_empty),
            ..GetOptions::default()
        };
        let found = self.store.get_opts(&self.path(key), options).await?;
        let bytes = found.meta.size;
        let pieces = if is_empty && part.bytes > 0 {
            futures::stream::empty().boxed()
        } else {
            found.into_stream().map_err(Error::from).boxed()
        };
        Reader::of_stream(pieces, key.to_string(), bytes, part)
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<(), Error> {
        match self
            .store
            .delete(&self.path(key))
            .await
            .map_err(Error::from)
        {
            Err(Error::Missing { .. }) => Ok(()),
            other => other,
        }
    }

    pub(crate) fn list(&self) -> BoxStream<'static, Result<Listed, Error>> {
        let prefix = self.prefix.clone();
        let listed = self.store.list(Some(&self.prefix));
        let listed = listed.map_err(Error::from).try_filter_map(move |meta| {
            let parts = meta.location.prefix_match(&prefix);
            let parts: Option<Vec<_>> = parts.map(|parts| {
                let owned = parts.map(|part| part.as_ref().to_owned());
                owned.collect()
            });
            let key = match parts.as_deref() {
                Some([owner, id]) => Key::new(owner, id).ok(),
                _ => None,
            };
            let written_at = meta.last_modified.timestamp();
            futures::future::ready(Ok(key.map(|key| Listed { key, written_at })))
        });
        listed.boxed()
    }
}

/// An object in the making: as one where it is small, else in parts, one after the other.
pub(crate) struct Unfinished {
    store: Arc<AmazonS3>,
    path: Path,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Unfinished {
    pub(crate) async fn write(&mut self, pieces: Vec<Bytes>, is_last: bool) -> Result<(), Error> {
        let payload: PutPayload = pieces.into_iter().collect();
        if is_last && self.parts.is_none() {
            self.store.put(&self.path, payload).await?;
            return Ok(());
        }
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => none.insert(self.store.put_multipart(&self.path).await?),
        };
        if payload.content_length() == 0 {
            return Ok(());
        }
        Ok(parts.put_part(payload).await?)
    }

    pub(crate) async fn finish(mut self) -> Result<(), Error> {
        if let Some(parts) = &mut self.parts {
            parts.complete().await?;
        }
        Ok(())
    }

    pub(crate) async fn abort(mut self) {
        if let Some(parts) = &mut self.parts {
            // What stays behind is removed by the bucket's rule for unfinished uploads.
            let _ = parts.abort().await;
        }
    }
}

impl std::fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unfinished").finish_non_exhaustive()
    }
}
