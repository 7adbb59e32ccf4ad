//! Providers that a caller names, with what they want.

use super::ApiError;
use crate::account::AccountError;

impl From<AccountError> for ApiError {
    /// 400. Clients match on the text about the provider (contract portkey.md section 1).
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::UnknownProvider => Self::invalid(error.to_string()),
            AccountError::NoKey(_) => Self::invalid(format!(
                "{error}: send yours in the header 'Authorization', or name a virtual key."
            ))
            .code("missing_provider_key"),
            AccountError::NoAddress(_) | AccountError::BaseUrl(_) | AccountError::ResourceName => {
                Self::invalid(error.to_string()).param(error.option())
            }
        }
    }
}
