//! Where the bytes of files are kept, and who may have them back.

use loomgate_blobs::{Bucket, Credentials};
use secrecy::SecretString;

use super::{ConfigError, Environment, raw::RawS3};

/// What the config says of files.
#[derive(Debug, Clone)]
pub struct Files {
    /// Where their bytes are.
    pub place: FilesPlace,
    /// Whether the content of every file may be fetched, also where the original kept it back.
    pub download_all: bool,
}

/// Where the bytes of files are.
#[derive(Debug, Clone)]
pub enum FilesPlace {
    /// In the folder `files` of the data folder.
    Local,
    /// In a bucket.
    Bucket(Box<Bucket>),
}

impl Files {
    pub(super) fn check(
        place: Option<&str>,
        download: Option<&str>,
        s3: RawS3,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let download_all = match download {
            None | Some("original") => false,
            Some("all") => true,
            Some(other) => {
                let known = &["original", "all"];
                return Err(ConfigError::unknown_value("files_download", other, known));
            }
        };
        let place = match place {
            None | Some("local") => {
                if s3.endpoint.is_some() || s3.region.is_some() {
                    return Err(ConfigError::new("`s3`: the files are not in a bucket")
                        .help("set `files = \"s3://BUCKET/PREFIX\"`"));
                }
                FilesPlace::Local
            }
            Some(url) => match url.strip_prefix("s3://") {
                Some(rest) => FilesPlace::Bucket(Box::new(bucket(rest, s3, environment)?)),
                None => {
                    return Err(
                        ConfigError::new(format!("`files`: unknown value \"{url}\"")).help(
                            "known: \"local\", a folder in data_dir, or \"s3://BUCKET/PREFIX\"",
                        ),
                    );
                }
            },
        };
        Ok(Self {
            place,
            download_all,
        })
    }
}

fn bucket(rest: &str, s3: RawS3, environment: &Environment) -> Result<Bucket, ConfigError> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if name.is_empty() {
        return Err(
            ConfigError::new("`files`: the name of the bucket is missing")
                .help("for example \"s3://BUCKET/PREFIX\""),
        );
    }
    let first = |names: &[&str]| {
        let set = names.iter().find_map(|name| environment.get(name));
        set.map(str::to_owned)
    };
    let key = (
        first(&["AWS_ACCESS_KEY_ID"]),
        first(&["AWS_SECRET_ACCESS_KEY"]),
    );
    let credentials = match key {
        (Some(access_key_id), Some(secret)) => Some(Credentials {
            access_key_id,
            secret_access_key: SecretString::from(secret),
            session_token: first(&["AWS_SESSION_TOKEN"]).map(SecretString::from),
        }),
        (None, None) => None,
        _ => {
            return Err(ConfigError::new(
                "`files`: of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY one is set, and the other \
                 is not",
            ));
        }
    };
    Ok(Bucket {
        name: name.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        endpoint: s3
            .endpoint
            .or_else(|| first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])),
        region: s3
            .region
            .or_else(|| first(&["AWS_REGION", "AWS_DEFAULT_REGION"])),
        credentials,
    })
}
