//! Where the service is, and how it is talked to.

use std::time::Duration;

use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use crate::attempts::{Attempts, end_after, in_time};
use crate::batch::UNARY_BYTES;
use crate::v1::loss_service_client::LossServiceClient;
use crate::{Client, Error};

const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A service that is cut off is noticed within the sum of these.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("lossmeter-client-rust/", env!("CARGO_PKG_VERSION"));

/// The settings of a [`Client`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use lossmeter_client::{Client, Error};
#[cfg_attr(feature = "tls", doc = "use lossmeter_client::Tls;")]
///
/// async fn connected() -> Result<Client, Error> {
///     Client::builder("losses.example:8081")
#[cfg_attr(feature = "tls", doc = "        .tls(Tls::system())")]
///         .token("…")
///         .timeout(Duration::from_secs(10))
///         .connect()
///         .await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    target: String,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    token: Option<String>,
    timeout: Option<Duration>,
    unary_bytes: usize,
}

impl Builder {
    pub(crate) fn new(target: String) -> Self {
        Self {
            target,
            #[cfg(feature = "tls")]
            tls: None,
            token: None,
            timeout: Some(TIMEOUT),
            unary_bytes: UNARY_BYTES,
        }
    }

    /// Encrypts the connection.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sends a bearer token with every call; do so over TLS alone.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The time that a call may take, all its attempts together; 60 s, or without end if `None`. A
    /// stream takes as long as its batches do.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// The largest batch in bytes that is sent as one message; 4 MiB.
    pub fn unary_bytes(mut self, bytes: usize) -> Self {
        self.unary_bytes = bytes;
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if nobody answers, through all attempts; [`Error::InvalidRequest`] if
    /// a setting is wrong.
    pub async fn connect(self) -> Result<Client, Error> {
        let (endpoint, end) = (self.endpoint()?, end_after(self.timeout));
        let mut attempts = Attempts::until(end);
        loop {
            let connected = async { Ok(endpoint.connect().await.map_err(unreached)?) };
            match in_time(end, connected).await {
                Ok(channel) => return self.client(channel),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// A client that connects with its first call; to be made within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if a setting is wrong.
    pub fn connect_lazy(self) -> Result<Client, Error> {
        let channel = self.endpoint()?.connect_lazy();
        self.client(channel)
    }

    fn client(self, channel: Channel) -> Result<Client, Error> {
        let bearer = |token| format!("Bearer {token}").parse::<MetadataValue<Ascii>>();
        let token = self.token.map(bearer).transpose();
        Ok(Client {
            stub: LossServiceClient::new(channel)
                // The service says what is too large, with a reason.
                .max_decoding_message_size(usize::MAX)
                .max_encoding_message_size(usize::MAX),
            token: token.map_err(|_| wrong("the token has characters that no header may have"))?,
            timeout: self.timeout,
            stream_timeout: None,
            unary_bytes: self.unary_bytes,
        })
    }

    fn endpoint(&self) -> Result<Endpoint, Error> {
        #[cfg(feature = "tls")]
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        #[cfg(not(feature = "tls"))]
        let scheme = "http";
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.target))
            .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
            .map_err(|_| wrong("the target is no host and port"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return endpoint
                .tls_config(tls.0.clone())
                .map_err(|_| wrong("the certificates or the key cannot be read"));
        }
        Ok(endpoint)
    }
}

fn unreached(error: tonic::transport::Error) -> Status {
    Status::from_error(error.into())
}

fn wrong(detail: &str) -> Error {
    Error::invalid("", "", detail)
}

#[cfg(feature = "tls")]
pub use tls::Tls;

#[cfg(feature = "tls")]
mod tls {
    use tonic::transport::{Certificate, ClientTlsConfig, Identity};

    /// Whom an encrypted connection trusts, and who it says the client is.
    ///
    /// ```no_run
    /// # fn made() -> std::io::Result<()> {
    /// use lossmeter_client::Tls;
    ///
    /// let mutual = Tls::authority(std::fs::read("ca.pem")?)
    ///     .identity(std::fs::read("client.pem")?, std::fs::read("client.key")?);
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Debug)]
    pub struct Tls(pub(super) ClientTlsConfig);

    impl Tls {
        /// Trusts the authorities of the system.
        pub fn system() -> Self {
            Self(ClientTlsConfig::new().with_native_roots())
        }

        /// Trusts the authorities of a PEM file alone.
        pub fn authority(pem: impl AsRef<[u8]>) -> Self {
            Self(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
        }

        /// Shows the service this certificate of the client's, with its key, both PEM.
        pub fn identity(self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
            Self(self.0.identity(Identity::from_pem(certificate, key)))
        }

        /// Expects the certificate of this name, where the service is reached by another.
        pub fn domain(self, name: impl Into<String>) -> Self {
            Self(self.0.domain_name(name))
        }
    }
}
