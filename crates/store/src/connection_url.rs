//! Reading a PostgreSQL URL without letting the driver write parts of it into the log.

use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;

/// The parameters that the driver understands. It ignores others, but logs them with their values,
/// and some that other programs understand are passwords: `sslpassword`.
const UNDERSTOOD: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// What a URL says. A parameter that is not understood is named, and left out.
pub(crate) fn read(url: &SecretString) -> Result<PgConnectOptions, sqlx::Error> {
    let (url, ignored) = understood(url.expose_secret());
    for parameter in ignored {
        tracing::warn!(parameter, "a parameter of the database URL is not understood, and ignored");
    }
    PgConnectOptions::from_str(url.expose_secret())
}

/// A URL without the parameters that are not understood, and their names.
fn understood(url: &str) -> (SecretString, Vec<&str>) {
    let Some((base, parameters)) = url.split_once('?') else { return (url.into(), Vec::new()) };
    let name = |parameter: &&str| {
        let name = parameter.split_once('=').map_or(*parameter, |(name, _)| name);
        UNDERSTOOD.contains(&name) || name.starts_with("options[")
    };
    let (kept, left_out): (Vec<&str>, Vec<&str>) = parameters.split('&').partition(name);
    let named = left_out.into_iter().filter_map(|parameter| Some(parameter.split_once('=')?.0));
    (format!("{base}?{}", kept.join("&")).into(), named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_left_out_and_named_without_its_value() {
        for (url, kept, ignored) in [
            ("postgres://u:p@h/d", "postgres://u:p@h/d", vec![]),
            ("postgres://h/d?sslmode=require", "postgres://h/d?sslmode=require", vec![]),
            (
                "postgres://h/d?sslpassword=x&user=u&connect_timeout=3&options[a]=b&x",
                "postgres://h/d?user=u&options[a]=b",
                vec!["sslpassword", "connect_timeout"],
            ),
        ] {
            let (url, names) = understood(url);
            assert_eq!((url.expose_secret(), names), (kept, ignored));
        }
    }

    #[test]
    fn every_parameter_that_is_kept_is_one_of_the_drivers() {
        let value = |name: &str| match name {
            "sslmode" | "ssl-mode" => "require",
            "port" | "statement-cache-capacity" => "7",
            "hostaddr" => "127.0.0.1",
            _ => "x",
        };
        for name in UNDERSTOOD {
            let url = format!("postgres://h/d?{name}={}", value(name));
            assert!(read(&url.into()).is_ok(), "{name}");
        }
    }
}
