//! The master keys, which seal providers' secrets: the file that they are kept in, and their
//! rotation.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
};

use loomgate_domain::IdGen;
use loomgate_vault::{MasterKeys, MasterKeysError};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{DataDir, MASTER_KEY, read, write};

const LOCK: &str = "master-key.lock";
const KEY_DIGITS: usize = 64;

/// Whoever holds it is alone with the file of the master keys; so is whoever seals with them beside
/// a server. Let go when it is dropped.
#[derive(Debug)]
pub(crate) struct MasterKeyLock {
    _file: File,
}

impl DataDir {
    /// The keys that seal secrets: those that are given, else those that are kept here, of which
    /// the first is made when there is none.
    pub fn master_keys(
        &self,
        given: Option<&SecretString>,
        ids: &dyn IdGen,
    ) -> io::Result<MasterKeys> {
        if let Some(given) = given {
            return master_keys_of(given).map_err(|error| invalid(&error));
        }
        if let Some(kept) = self.kept_master_keys()? {
            return Ok(kept);
        }
        let lock = self.lock_master_keys()?;
        // Another process may have been faster.
        if let Some(kept) = self.kept_master_keys()? {
            return Ok(kept);
        }
        let keys = MasterKeys::generate(&mut |bytes| ids.fill(bytes));
        self.keep_master_keys(&keys, &lock)?;
        Ok(keys)
    }

    /// Waits until nobody else holds the lock.
    pub(crate) fn lock_master_keys(&self) -> io::Result<MasterKeyLock> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path().join(LOCK))?;
        file.lock()?;
        Ok(MasterKeyLock { _file: file })
    }

    /// Replaces the file. Only who holds the lock may.
    pub(crate) fn keep_master_keys(
        &self,
        keys: &MasterKeys,
        _lock: &MasterKeyLock,
    ) -> io::Result<()> {
        let text = keys.to_text();
        write(&self.path().join(MASTER_KEY), text.expose_secret())
    }

    fn kept_master_keys(&self) -> io::Result<Option<MasterKeys>> {
        let Some(text) = read(&self.path().join(MASTER_KEY))? else {
            return Ok(None);
        };
        let text = Zeroizing::new(text);
        let keys = MasterKeys::parse(&text).map_err(|error| invalid(&error))?;
        Ok(Some(keys))
    }
}

/// Reads keys as the environment gives them: `1:HEX` and `2:HEX`, in lines or with commas between
/// them, or the 64 hexadecimal digits of version 1 alone.
pub(crate) fn master_keys_of(given: &SecretString) -> Result<MasterKeys, MasterKeysError> {
    let text = given.expose_secret().trim();
    let is_bare = text.len() == KEY_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let text = if is_bare {
        Zeroizing::new(format!("1:{text}"))
    } else {
        Zeroizing::new(text.replace(',', "\n"))
    };
    MasterKeys::parse(&text)
}

/// Only the newest of these keys: for when nothing is sealed with the others any more.
pub(crate) fn newest(keys: &MasterKeys) -> Result<MasterKeys, MasterKeysError> {
    let text = keys.to_text();
    let start = format!("{}:", keys.current_version());
    let mut lines = text.expose_secret().lines();
    MasterKeys::parse(
        lines
            .find(|line| line.starts_with(&start))
            .unwrap_or_default(),
    )
}

fn invalid(error: &MasterKeysError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("master key: {error}"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use loomgate_vault::{OpenError, Vault};

    use super::*;
    use crate::ids::SystemIds;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn given(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn the_first_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let ids = SystemIds::new().unwrap();
        let made = data.master_keys(None, &ids).unwrap();
        let again = data.master_keys(None, &ids).unwrap();
        assert_eq!(
            made.to_text().expose_secret(),
            again.to_text().expose_secret()
        );
        let file = folder.path().join(MASTER_KEY);
        let permissions = fs::metadata(&file).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        fs::write(&file, "nonsense").unwrap();
        let error = data.master_keys(None, &ids).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        assert!(!error.contains("nonsense"), "{error}");
    }

    #[test]
    fn keys_of_the_environment_win_and_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let ids = SystemIds::new().unwrap();
        let keys = data.master_keys(Some(&given(ONE)), &ids).unwrap();
        assert_eq!(keys.current_version(), 1);
        assert!(!folder.path().join(MASTER_KEY).exists());
        assert!(data.master_keys(Some(&given("xyz")), &ids).is_err());
    }

    #[test]
    fn keys_are_given_bare_in_lines_or_with_commas() {
        let two = ONE.replace("00", "ff");
        for (text, current) in [
            (format!(" {ONE}\n"), 1),
            (format!("1:{ONE},2:{two}"), 2),
            (format!("# the old one\n1:{ONE}\n3:{two}\n"), 3),
        ] {
            let keys = master_keys_of(&given(&text)).unwrap();
            assert_eq!(keys.current_version(), current, "{text}");
        }
        for text in [&ONE[1..], "1:", &format!("1:{ONE};2:{two}")] {
            assert!(master_keys_of(&given(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_newest_key_is_left_when_the_others_are_done_with() {
        let two = ONE.replace("00", "ff");
        let keys = || master_keys_of(&given(&format!("1:{ONE},12:{two}"))).unwrap();
        let mut zeros = |bytes: &mut [u8]| bytes.fill(0);
        let old = master_keys_of(&given(ONE)).unwrap();
        let old = Vault::new(old).seal("x", "secret", &mut zeros);
        let new = Vault::new(keys()).seal("x", "secret", &mut zeros);
        let left = Vault::new(newest(&keys()).unwrap());
        assert_eq!(left.current_version(), 12);
        assert!(left.open("x", &new).is_ok());
        let error = left.open("x", &old).unwrap_err();
        assert_eq!(error, OpenError::UnknownVersion(1));
    }
}
