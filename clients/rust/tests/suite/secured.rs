//! TLS: whom the client trusts, and who it says it is.

use std::time::Duration;

use lossmeter_client::{Client, Error, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::played::{Played, number, small};

/// An authority, made for a test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of this name, and its key.
    fn signed(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (
            params.signed_by(&key, &self.0).unwrap().pem(),
            key.serialize_pem(),
        )
    }

    fn server(&self, name: &str) -> ServerTlsConfig {
        let (certificate, key) = self.signed(name);
        ServerTlsConfig::new().identity(Identity::from_pem(certificate, key))
    }
}

async fn asked(target: &str, tls: Tls) -> Result<f64, Error> {
    let settings = Client::builder(target)
        .tls(tls)
        .timeout(Duration::from_secs(10));
    let client = settings.connect_lazy()?;
    let answer = client.evaluate("huber", small()).await?;
    Ok(answer.value.number().unwrap())
}

async fn listens(tls: ServerTlsConfig) -> String {
    Played::answering(number(2.5)).listens(Some(tls)).await
}

#[tokio::test]
async fn an_authority_of_a_file_is_trusted_alone() {
    let authority = Authority::new();
    let target = listens(authority.server("localhost")).await;
    assert_eq!(
        asked(&target, Tls::authority(authority.pem()))
            .await
            .unwrap(),
        2.5
    );
    for strangers in [Tls::authority(Authority::new().pem()), Tls::system()] {
        let error = asked(&target, strangers).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_needs_to_be_expected() {
    let authority = Authority::new();
    let target = listens(authority.server("losses.example")).await;
    let tls = Tls::authority(authority.pem());
    assert!(asked(&target, tls.clone()).await.is_err());
    assert_eq!(
        asked(&target, tls.domain("losses.example")).await.unwrap(),
        2.5
    );
}

#[tokio::test]
async fn a_service_may_ask_who_the_client_is() {
    let authority = Authority::new();
    let known = Certificate::from_pem(authority.pem());
    let target = listens(authority.server("localhost").client_ca_root(known)).await;
    let tls = Tls::authority(authority.pem());
    assert!(asked(&target, tls.clone()).await.is_err());
    let (certificate, key) = authority.signed("client");
    assert_eq!(
        asked(&target, tls.identity(certificate, key))
            .await
            .unwrap(),
        2.5
    );
}
