//! One JSON document posted to an address of the operator's: no credentials, no redirects, a few tries.

use super::transport::{install_cryptography, root_cause};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use reqwest::header::CONTENT_TYPE;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Of one try as a whole.
const TIMEOUT: Duration = Duration::from_secs(20);
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Posts a document. What failed on the way, and statuses from 500 on, are tried again.
///
/// # Errors
/// No try was answered with 2xx. The error does not show the address.
pub async fn post_json(url: &Secret, document: String) -> Result<()> {
    install_cryptography();
    let failed = |message: &str| Error::new(Kind::Network, message.to_owned());
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("pintail/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| failed("the HTTP client can't be set up").source(root_cause(&e)))?;
    let mut tried = 1;
    loop {
        let request = client.post(url.expose()).header(CONTENT_TYPE, "application/json").body(document.clone());
        let (error, may_help) = match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let error = failed("the address answered with an error").with("status", status.as_u16());
                (error, status.is_server_error())
            }
            Err(e) => (failed("the address did not answer").source(root_cause(&e)), true),
        };
        if tried == TRIES || !may_help {
            return Err(error.with("tries", tried));
        }
        tried += 1;
        tokio::time::sleep(PAUSE).await;
    }
}
