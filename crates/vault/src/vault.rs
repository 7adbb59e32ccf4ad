//! Sealing and opening.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::keys::{MasterKeys, parse_version};

/// Bytes of a nonce: enough that random ones do not meet.
const NONCE_BYTES: usize = 24;

/// Seals secrets with XChaCha20-Poly1305. What was sealed is text, `v{version}:{base64url}`; the
/// base64 holds the nonce (24 bytes), the ciphertext, and the tag (16 bytes).
#[derive(Debug)]
pub struct Vault {
    keys: MasterKeys,
}

/// Why something sealed does not open. Tells nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed with a master key that is not there (any more).
    #[error("there is no master key of version {0}")]
    UnknownVersion(u32),
    /// It was changed, sealed with another key, or sealed for another context.
    #[error("the sealed text was changed, or belongs to another record or key")]
    Tampered,
    /// It is nothing that was ever sealed.
    #[error("this is no sealed text")]
    Malformed,
}

impl Vault {
    /// A vault that seals with the newest of these keys.
    pub fn new(keys: MasterKeys) -> Self {
        Self { keys }
    }

    /// Seals a secret for a context, the name of the record it belongs to:
    /// `virtual_key:ws_x/slug`. `random` fills what it is given with random bytes; it must not
    /// repeat itself.
    ///
    /// # Panics
    /// Never, short of a secret of 256 GB.
    pub fn seal(&self, context: &str, secret: &str, random: &mut dyn FnMut(&mut [u8])) -> String {
        let version = self.keys.current_version();
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce);
        let payload = Payload {
            msg: secret.as_bytes(),
            aad: context.as_bytes(),
        };
        #[expect(
            clippy::expect_used,
            reason = "there is a key of the current version, and no secret has 256 GB"
        )]
        let ciphertext = self
            .cipher(version)
            .and_then(|cipher| cipher.encrypt(&XNonce::from(nonce), payload).ok())
            .expect("the current key seals");
        let sealed = [&nonce, ciphertext.as_slice()].concat();
        format!("v{version}:{}", BASE64.encode(sealed))
    }

    /// Opens what [`Self::seal`] gave for the same context.
    pub fn open(&self, context: &str, sealed: &str) -> Result<SecretString, OpenError> {
        let (version, text) = split(sealed).ok_or(OpenError::Malformed)?;
        let bytes = BASE64.decode(text).map_err(|_| OpenError::Malformed)?;
        let (nonce, ciphertext) = bytes
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(OpenError::Malformed)?;
        let cipher = self.cipher(version);
        let cipher = cipher.ok_or(OpenError::UnknownVersion(version))?;
        let payload = Payload {
            msg: ciphertext,
            aad: context.as_bytes(),
        };
        let secret = cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| OpenError::Tampered)?;
        let secret = Zeroizing::new(secret);
        let secret = str::from_utf8(&secret).map_err(|_| OpenError::Malformed)?;
        Ok(SecretString::from(secret))
    }

    /// Whether something was sealed with the newest key; if not, it is to be sealed again.
    pub fn is_current(&self, sealed: &str) -> bool {
        split(sealed).is_some_and(|(version, _)| version == self.current_version())
    }

    /// The version of the key that seals.
    pub fn current_version(&self) -> u32 {
        self.keys.current_version()
    }

    fn cipher(&self, version: u32) -> Option<XChaCha20Poly1305> {
        let key = self.keys.get(version)?;
        XChaCha20Poly1305::new_from_slice(key).ok()
    }
}

/// The version and the base64 of a sealed text.
fn split(sealed: &str) -> Option<(u32, &str)> {
    let (version, text) = sealed.strip_prefix('v')?.split_once(':')?;
    Some((parse_version(version)?, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    const CONTEXT: &str = "virtual_key:ws_1/main";

    /// Bytes that are different at each call.
    fn counting() -> impl FnMut(&mut [u8]) {
        let mut next = 0_u8;
        move |bytes| {
            next += 1;
            bytes.fill(next);
        }
    }

    fn vault() -> Vault {
        Vault::new(MasterKeys::generate(&mut counting()))
    }

    fn opened(vault: &Vault, context: &str, sealed: &str) -> Result<String, OpenError> {
        let secret = vault.open(context, sealed)?;
        Ok(secret.expose_secret().to_owned())
    }

    #[test]
    fn the_form_is_the_version_and_base64_of_nonce_ciphertext_and_tag() {
        let sealed = vault().seal(CONTEXT, "sk-12", &mut |bytes| bytes.fill(0xff));
        let text = sealed.strip_prefix("v1:").unwrap();
        let bytes = BASE64.decode(text).unwrap();
        assert_eq!(bytes.len(), 24 + 5 + 16);
        assert_eq!(bytes[..24], [0xff; 24]);
        assert_eq!(text[..32], "_".repeat(32), "the alphabet for URLs");
    }

    /// The vector of the cipher's specification (draft-irtf-cfrg-xchacha, A.3.1).
    #[test]
    fn the_cipher_is_the_one_of_the_specification() {
        let key = "1:808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
        let vault = Vault::new(MasterKeys::parse(key).unwrap());
        let secret = "Ladies and Gentlemen of the class of '99: If I could offer you \
                      only one tip for the future, sunscreen would be it.";
        let nonce: [u8; 24] = std::array::from_fn(|i| 0x40 + u8::try_from(i).unwrap());
        // The additional data of the vector is no UTF-8, and a context is: so without any.
        let sealed = vault.seal("", secret, &mut |bytes| bytes.copy_from_slice(&nonce));
        let bytes = BASE64.decode(&sealed[3..]).unwrap();
        assert_eq!(
            bytes[24..40],
            [
                0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b, 0x95, 0x76, 0x57, 0x94, 0x93, 0xc0,
                0xe9, 0x39
            ]
        );
    }

    #[test]
    fn two_sealings_of_one_secret_differ() {
        let (vault, mut random) = (vault(), counting());
        let first = vault.seal(CONTEXT, "sk-1", &mut random);
        assert_ne!(first, vault.seal(CONTEXT, "sk-1", &mut random));
    }

    #[test]
    fn old_secrets_open_after_a_rotation_and_new_ones_use_the_new_key() {
        let mut random = counting();
        let mut keys = MasterKeys::generate(&mut random);
        let first = Vault::new(MasterKeys::parse(keys.to_text().expose_secret()).unwrap());
        let old = first.seal(CONTEXT, "sk-old", &mut random);
        keys.rotate(&mut random);
        let vault = Vault::new(keys);
        assert_eq!(vault.current_version(), 2);
        assert_eq!(opened(&vault, CONTEXT, &old).unwrap(), "sk-old");
        assert!(first.is_current(&old) && !vault.is_current(&old));
        let new = vault.seal(CONTEXT, "sk-new", &mut random);
        assert!(new.starts_with("v2:") && vault.is_current(&new));
        let error = opened(&first, CONTEXT, &new).unwrap_err();
        assert_eq!(error, OpenError::UnknownVersion(2));
        let renamed = old.replace("v1:", "v2:");
        let error = opened(&vault, CONTEXT, &renamed).unwrap_err();
        assert_eq!(error, OpenError::Tampered);
    }

    #[test]
    fn what_was_never_sealed_is_malformed() {
        let vault = vault();
        for text in [
            "",
            "v",
            "v1",
            "v1:",
            ":",
            "sk-1",
            "v0:AAAA",
            "v01:AAAA",
            "v+1:AAAA",
            "v1:AAAA",
            "v1:=",
            "v4294967296:AAAA",
            "V1:AAAA",
        ] {
            let error = opened(&vault, CONTEXT, text).unwrap_err();
            assert_eq!(error, OpenError::Malformed, "{text}");
        }
        assert!(!vault.is_current("v01:AAAA"));
    }

    #[test]
    fn debug_output_of_a_vault_has_no_key() {
        let keys = MasterKeys::parse(&format!("1:{}", "ab".repeat(32))).unwrap();
        let shown = format!("{:?}", Vault::new(keys));
        assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
    }

    proptest! {
        #[test]
        fn a_sealed_secret_opens_for_its_context_only(
            secret in "\\PC{0,80}", context in "[a-z:/_]{0,20}", other in "[a-z:/_]{0,20}"
        ) {
            let vault = vault();
            let sealed = vault.seal(&context, &secret, &mut counting());
            prop_assert_eq!(opened(&vault, &context, &sealed).unwrap(), &*secret);
            if other != context {
                prop_assert_eq!(opened(&vault, &other, &sealed).unwrap_err(), OpenError::Tampered);
            }
        }

        #[test]
        fn a_sealed_text_does_not_contain_the_secret(secret in "[A-Za-z0-9_-]{8,60}") {
            let sealed = vault().seal(CONTEXT, &secret, &mut counting());
            prop_assert!(!sealed.contains(&secret));
            prop_assert!(!sealed.contains(&BASE64.encode(&secret)));
        }

        #[test]
        fn any_change_of_any_byte_fails(
            secret in "\\PC{0,40}", place in any::<prop::sample::Index>(), byte in 0_u8..128
        ) {
            let vault = vault();
            let sealed = vault.seal(CONTEXT, &secret, &mut counting());
            let mut bytes = sealed.clone().into_bytes();
            let place = place.index(bytes.len());
            prop_assume!(bytes[place] != byte);
            bytes[place] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(opened(&vault, CONTEXT, &changed).is_err());
            let cut = &sealed[..place];
            prop_assert!(opened(&vault, CONTEXT, cut).is_err());
        }

        #[test]
        fn an_unknown_version_is_told(version in 2..=u32::MAX) {
            let vault = vault();
            let sealed = vault.seal(CONTEXT, "sk", &mut counting());
            let sealed = sealed.replace("v1:", &format!("v{version}:"));
            let error = opened(&vault, CONTEXT, &sealed).unwrap_err();
            prop_assert_eq!(error, OpenError::UnknownVersion(version));
        }

        #[test]
        fn any_text_is_opened_or_refused_without_a_panic(text in "v?[0-9]{0,12}:?[A-Za-z0-9_=-]{0,120}") {
            prop_assert!(opened(&vault(), CONTEXT, &text).is_err());
        }
    }
}
