//! The folder of everything that is kept, and the three secrets in it.

mod master_key;

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use loomgate_domain::IdGen;
use loomgate_store::failpoint;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

pub(crate) use master_key::{MasterKeyLock, master_keys_of, newest};

use crate::auth::KeyHasher;

const DATABASE: &str = "loomgate.db";
const API_KEY: &str = "api-key";
const HASH_KEY: &str = "hash-key";
const MASTER_KEY: &str = "master-key";
const HASH_KEY_BYTES: usize = 32;

/// The folder. Nobody but its owner can enter it.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// Makes the folder where it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file of the API key that was made at the first start.
    pub fn api_key_file(&self) -> PathBuf {
        self.0.join(API_KEY)
    }

    /// The API key that was made at the first start.
    pub fn api_key(&self) -> io::Result<Option<SecretString>> {
        let key = read(&self.api_key_file())?;
        Ok(key.map(|key| SecretString::from(key.trim())))
    }

    /// Keeps the API key that was made at the first start.
    pub fn keep_api_key(&self, key: &SecretString) -> io::Result<()> {
        write(&self.api_key_file(), &format!("{}\n", key.expose_secret()))
    }

    /// The hasher of API keys: with the secret that is given, else with the one that is kept here,
    /// which is made at the first start.
    pub fn key_hasher(
        &self,
        given: Option<&SecretString>,
        ids: &dyn IdGen,
    ) -> io::Result<KeyHasher> {
        let path = self.0.join(HASH_KEY);
        let text = match (given, read(&path)?) {
            (Some(given), _) => given.clone(),
            (None, Some(kept)) => SecretString::from(kept.trim()),
            (None, None) => {
                let mut secret = [0; HASH_KEY_BYTES];
                ids.fill(&mut secret);
                let text = blake3::Hash::from(secret).to_hex().to_string();
                write(&path, &format!("{text}\n"))?;
                SecretString::from(text)
            }
        };
        let secret = blake3::Hash::from_hex(text.expose_secret()).map_err(|_| {
            let text = "the hash key is not 64 hexadecimal digits";
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        Ok(KeyHasher::new(secret.into()))
    }
}

/// The file of the records in a data folder, where they are kept in one.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join(DATABASE)
}

/// The folder of the bytes of files in a data folder, where they are kept in one.
pub(crate) fn files(folder: &Path) -> PathBuf {
    folder.join("files")
}

/// Secrets by the names of their files.
pub(crate) type Secrets = Vec<(&'static str, Zeroizing<String>)>;

/// The secrets that are kept in a data folder.
pub(crate) fn secret_files(folder: &Path) -> io::Result<Secrets> {
    let mut found = Vec::new();
    for name in [API_KEY, HASH_KEY, MASTER_KEY] {
        found.extend(read(&folder.join(name))?.map(|text| (name, Zeroizing::new(text))));
    }
    Ok(found)
}

/// Keeps one of them in another folder.
pub(crate) fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    write(path, text)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The whole file or none of it, readable for its owner alone. It is there after a loss of power,
/// too: what it opens may be on the disk at once.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let name = path.file_name().unwrap_or_default().display();
    write_draft(&draft, text)?;
    failpoint::point(format_args!("file {name} drafted"));
    fs::rename(&draft, path)?;
    failpoint::point(format_args!("file {name} renamed"));
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write_draft(draft: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::ids::SystemIds;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_made_once_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let ids = SystemIds::new().unwrap();
        let data = DataDir::open(&folder.path().join("a/b")).unwrap();
        assert_eq!(mode(data.path()), 0o700);
        let first = data.key_hasher(None, &ids).unwrap();
        let second = data.key_hasher(None, &ids).unwrap();
        assert_eq!(first.hex("lg-x"), second.hex("lg-x"));
        assert_eq!(mode(&data.path().join(HASH_KEY)), 0o600);

        assert!(data.api_key().unwrap().is_none());
        data.keep_api_key(&SecretString::from("lg-made-up"))
            .unwrap();
        assert_eq!(mode(&data.api_key_file()), 0o600);
        let kept = data.api_key().unwrap().unwrap();
        assert_eq!(kept.expose_secret(), "lg-made-up");
    }

    #[test]
    fn a_given_hash_key_wins_and_has_to_be_one() {
        let folder = tempfile::tempdir().unwrap();
        let ids = SystemIds::new().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let given = SecretString::from("5".repeat(64));
        let hasher = data.key_hasher(Some(&given), &ids).unwrap();
        let kept = data.key_hasher(None, &ids).unwrap();
        assert_ne!(hasher.hex("lg-x"), kept.hex("lg-x"));
        let error = data.key_hasher(Some(&SecretString::from("xyz")), &ids);
        assert!(error.unwrap_err().to_string().contains("64 hexadecimal"));
    }
}
