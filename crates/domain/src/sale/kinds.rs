//! What was sold, why, and to whom: closed lists of names.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Defines a closed list of names, written in capitals everywhere.
macro_rules! names {
    (
        $(#[doc = $doc:literal])+ $kind:ident, $(#[doc = $unknown_doc:literal])+ $unknown:ident = $message:literal;
        $($(#[doc = $variant_doc:literal])+ $variant:ident = $name:literal,)+
    ) => {
        $(#[doc = $doc])+
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[serde(rename_all = "UPPERCASE")]
        pub enum $kind {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $kind {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in files, messages and the database.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        $(#[doc = $unknown_doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Error)]
        #[error($message)]
        pub struct $unknown;

        impl FromStr for $kind {
            type Err = $unknown;

            fn from_str(text: &str) -> Result<Self, $unknown> {
                Self::ALL.iter().copied().find(|kind| kind.name() == text).ok_or($unknown)
            }
        }
    };
}

names! {
    /// What was sold. A plan may pay one kind only.
    SourceType,
    /// The text names no source type.
    UnknownSourceType = "must be PRODUCT or INVESTMENT";
    /// Goods and services.
    Product = "PRODUCT",
    /// Participations.
    Investment = "INVESTMENT",
}

names! {
    /// Why an order was placed.
    OrderKind,
    /// The text names no order kind.
    UnknownOrderKind = "must be STANDARD, ENROLMENT or SUBSCRIPTION";
    /// An order like any other.
    Standard = "STANDARD",
    /// The starter kit of somebody who enrols.
    Enrolment = "ENROLMENT",
    /// Repeats by itself.
    Subscription = "SUBSCRIPTION",
}

names! {
    /// Who bought.
    BuyerType,
    /// The text names no buyer type.
    UnknownBuyerType = "must be MEMBER or CUSTOMER";
    /// A member of the programme, the seller perhaps.
    Member = "MEMBER",
    /// Somebody outside it.
    Customer = "CUSTOMER",
}

impl Default for SourceType {
    /// Goods and services.
    fn default() -> Self {
        Self::Product
    }
}

impl Default for OrderKind {
    /// An order like any other.
    fn default() -> Self {
        Self::Standard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_kinds() {
        for kind in SourceType::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        for kind in OrderKind::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        for kind in BuyerType::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        assert_eq!("product".parse::<SourceType>(), Err(UnknownSourceType));
        assert_eq!("GIFT".parse::<OrderKind>(), Err(UnknownOrderKind));
        assert_eq!("SHOP".parse::<BuyerType>(), Err(UnknownBuyerType));
    }
}
