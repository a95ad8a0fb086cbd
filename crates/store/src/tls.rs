//! TLS to PostgreSQL and Redis: what the URLs say about it, and what to do where it fails.
//!
//! PostgreSQL's URL carries `sslmode` and `sslrootcert`, Redis's says `rediss://` and may carry
//! `sslrootcert` too, under the same name: the file, in PEM, of the authorities that certificates
//! are checked by. For PostgreSQL they count beside those of the system, for Redis instead of them.
//!
//! A URL that looks as if it checked certificates, but would not, is refused: who names an authority
//! means it.

use redis::{Client, ErrorKind, IntoConnectionInfo, RedisError, TlsCertificates};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::StoreError;

/// The URL's parameter that names a file of authorities.
const AUTHORITIES: &str = "sslrootcert";

/// How rustls's errors begin that are about the server's certificate.
const CERTIFICATE_REFUSED: &str = "invalid peer certificate";
/// What to do about a server's certificate that is not accepted.
const CERTIFICATE_ADVICE: &str = "; the server's certificate is not accepted: name the file of the \
    authority that signed it by `sslrootcert=` in the URL, and the host as the certificate names it";
/// What to do about a server that speaks no TLS.
const NO_TLS_ADVICE: &str = "; it was asked for by `sslmode` in the URL: switch it on in the server \
    (`ssl = on` and a certificate), or write another server";

/// Refuses a URL that names authorities and then checks no certificate by them. libpq would check
/// them under `sslmode=require`; the driver does not.
pub(crate) fn check_postgres(url: &str, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let checks = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let named = parameters(url)
        .find(|(name, _)| [AUTHORITIES, "ssl-root-cert", "ssl-ca"].contains(name))
        .map(|(_, path)| percent_decoded(path));
    let Some(path) = named else { return Ok(()) };
    if !checks {
        return Err(sqlx::Error::Configuration(
            "the URL has an sslrootcert, but no sslmode by which certificates are checked; write \
             sslmode=verify-full (or verify-ca, which lets any name pass)"
                .into(),
        ));
    }
    read_authorities(&path).map_err(|problem| sqlx::Error::Configuration(problem.into()))?;
    Ok(())
}

/// The authorities of a file in PEM. Read at the start, so that a wrong path shows there.
fn read_authorities(path: &str) -> Result<Vec<u8>, String> {
    let authorities = std::fs::read(path)
        .map_err(|error| format!("cannot read the sslrootcert {path}: {error}"))?;
    // Drivers take a file without any certificate for one that trusts nobody.
    if !String::from_utf8_lossy(&authorities).contains("-----BEGIN CERTIFICATE-----") {
        return Err(format!("the sslrootcert {path} holds no certificate in PEM"));
    }
    Ok(authorities)
}

/// Reads Redis's URL. Connects to nothing yet, but reads the file of authorities, so that a wrong
/// one shows at the start.
pub(crate) fn redis_client(
    url: &SecretString,
    settings: redis::io::tcp::TcpSettings,
) -> Result<Client, StoreError> {
    let url = url.expose_secret();
    let info = url.into_connection_info()?.set_tcp_settings(settings);
    let is_tls = matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. });
    if matches!(info.addr(), redis::ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(unusable(
            "`#insecure` is not supported: name the authority by `?sslrootcert=`",
        ));
    }
    let mut files = parameters(url).filter(|(name, _)| *name == AUTHORITIES);
    let Some((_, path)) = files.next() else { return Ok(Client::open(info)?) };
    if !is_tls {
        return Err(unusable("the URL has an sslrootcert, but no TLS: write rediss://"));
    }
    let path = percent_decoded(path);
    let authorities = read_authorities(&path).map_err(|problem| unusable(&problem))?;
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(authorities) };
    Client::build_with_tls(info, certificates)
        .map_err(|error| unusable(&format!("the sslrootcert {path} is unusable: {error}")))
}

fn unusable(what: &str) -> StoreError {
    RedisError::from((ErrorKind::InvalidClientConfig, "the Redis URL", what.to_owned())).into()
}

/// The parameters behind the question mark, as they are written.
fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or("");
    query.split('&').filter_map(|pair| pair.split_once('='))
}

/// A value of a URL with its `%2F`s as they are meant.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let digits = text.get(place + 1..place + 3).filter(|_| bytes[place] == b'%');
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(byte);
            place += 3;
        } else {
            decoded.push(bytes[place]);
            place += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// What to do about an error of PostgreSQL's connection, where TLS is its cause.
pub(crate) fn postgres_advice(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Tls(cause) if cause.to_string().contains("does not support TLS") => {
            NO_TLS_ADVICE
        }
        sqlx::Error::Tls(_) => CERTIFICATE_ADVICE,
        sqlx::Error::Io(error) if is_about_certificates(error) => CERTIFICATE_ADVICE,
        _ => "",
    }
}

/// What to do about an error of Redis's connection, where TLS is its cause. The driver hides the
/// error of TLS, but repeats its text.
pub(crate) fn redis_advice(error: &RedisError) -> &'static str {
    let is_refused = error.is_io_error() && error.to_string().contains(CERTIFICATE_REFUSED);
    if is_refused { CERTIFICATE_ADVICE } else { "" }
}

/// rustls's errors arrive as invalid data; its wording of this one is its own for certificates.
fn is_about_certificates(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData
        && error.to_string().contains(CERTIFICATE_REFUSED)
}
